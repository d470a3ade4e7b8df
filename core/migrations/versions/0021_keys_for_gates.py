"""Keys that lead to gates on hosts: restores into one folder, dumps of one database."""

import sqlalchemy as sa
from alembic import op

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'gate_keys',
        sa.Column('id', sa.String(length=16), nullable=False),
        sa.Column('host_id', sa.String(length=16), nullable=False),
        sa.Column('mode', sa.String(length=40), nullable=False),
        sa.Column('place', sa.String(length=200), nullable=False),
        sa.Column('public_key', sa.Text(), nullable=False),
        sa.Column('credentials_sealed', sa.Text(), nullable=False),
        sa.Column('tested_at', sa.DateTime(), nullable=True),
        sa.Column('trouble', sa.Text(), nullable=False),
        sa.Column('created_at', sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(['host_id'], ['hosts.id'], name=op.f('fk_gate_keys_host_id_hosts')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_gate_keys')),
        sa.UniqueConstraint('host_id', 'mode', 'place', name=op.f('uq_gate_keys_host_id_mode_place')),
    )


def downgrade() -> None:
    op.drop_table('gate_keys')
