"""What the last self-test and the last map of a host found."""

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None

COLUMNS = (
    sa.Column('self_test', sa.JSON(), nullable=False, server_default='{}'),
    sa.Column('self_tested_at', sa.DateTime(), nullable=True),
    sa.Column('blind_spots', sa.JSON(), nullable=False, server_default='{}'),
    sa.Column('mapped_at', sa.DateTime(), nullable=True),
)


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column('hosts', column)


def downgrade() -> None:
    for column in COLUMNS:
        op.execute(f'ALTER TABLE hosts DROP COLUMN {column.name}')
