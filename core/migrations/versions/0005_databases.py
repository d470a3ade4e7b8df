"""Secrets of configs, and what a restore of a database was asked to do and did."""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('configs', sa.Column('secrets_sealed', sa.Text(), nullable=False, server_default=''))
    op.add_column('restores', sa.Column('database', sa.JSON(), nullable=False, server_default='{}'))


def downgrade() -> None:
    op.execute('ALTER TABLE restores DROP COLUMN database')
    op.execute('ALTER TABLE configs DROP COLUMN secrets_sealed')
