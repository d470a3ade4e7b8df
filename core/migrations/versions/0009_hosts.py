"""Hosts over SSH; which one a job works on and a restore goes to; what of a point could not be kept."""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('hosts',
    sa.Column('id', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('address', sa.String(length=200), nullable=False),
    sa.Column('port', sa.Integer(), nullable=False),
    sa.Column('user', sa.String(length=200), nullable=False),
    sa.Column('sudo', sa.Boolean(), nullable=False),
    sa.Column('jump_id', sa.String(length=16), nullable=True),
    sa.Column('parallel_jobs', sa.Integer(), nullable=False),
    sa.Column('public_key', sa.Text(), nullable=False),
    sa.Column('credentials_sealed', sa.Text(), nullable=False),
    sa.Column('host_keys', sa.JSON(), nullable=False),
    sa.Column('confirmed_at', sa.DateTime(), nullable=True),
    sa.Column('confirmed_by', sa.String(length=200), nullable=False),
    sa.Column('tested_at', sa.DateTime(), nullable=True),
    sa.Column('test_result', sa.JSON(), nullable=False),
    sa.Column('trouble', sa.Text(), nullable=False),
    sa.Column('trouble_advice', sa.Text(), nullable=False),
    sa.Column('trouble_since', sa.DateTime(), nullable=True),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['jump_id'], ['hosts.id'], name=op.f('fk_hosts_jump_id_hosts')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_hosts')),
    sa.UniqueConstraint('name', name=op.f('uq_hosts_name'))
    )
    op.add_column('jobs', sa.Column('host_id', sa.String(length=16), nullable=True))
    op.create_index(op.f('ix_jobs_host_id'), 'jobs', ['host_id'], unique=False)
    op.add_column('restores', sa.Column('host_id', sa.String(length=16), nullable=True))
    op.add_column('restores', sa.Column('host_name', sa.String(length=200), nullable=False, server_default=''))
    op.add_column('points', sa.Column('limits', sa.JSON(), nullable=False, server_default='{}'))


def downgrade() -> None:
    op.execute('ALTER TABLE points DROP COLUMN limits')
    op.execute('ALTER TABLE restores DROP COLUMN host_name')
    op.execute('ALTER TABLE restores DROP COLUMN host_id')
    op.drop_index(op.f('ix_jobs_host_id'), table_name='jobs')
    op.execute('ALTER TABLE jobs DROP COLUMN host_id')
    op.drop_table('hosts')
