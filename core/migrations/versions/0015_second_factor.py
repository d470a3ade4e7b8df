"""The second factor of a login; what a login's browser called itself."""

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None

ADDED = {
    'users': (
        sa.Column('totp_sealed', sa.Text(), nullable=False, server_default=''),
        sa.Column('totp_confirmed_at', sa.DateTime(), nullable=True),
        sa.Column('totp_step', sa.BigInteger(), nullable=False, server_default='0'),
        sa.Column('recovery_codes', sa.JSON(), nullable=False, server_default='{}'),
    ),
    'login_sessions': (sa.Column('agent', sa.String(length=200), nullable=False, server_default=''),),
}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)


def downgrade() -> None:
    for table, columns in ADDED.items():
        for column in columns:
            op.execute(f'ALTER TABLE {table} DROP COLUMN {column.name}')
