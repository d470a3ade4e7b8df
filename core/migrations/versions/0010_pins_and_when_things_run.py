"""Pins of points, what a config says about its runs beside the schedule, when a job last got on."""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

ADDED = {
    'points': (
        sa.Column('pinned_at', sa.DateTime(), nullable=True),
        sa.Column('pinned_by', sa.String(length=200), nullable=False, server_default=''),
        sa.Column('pin_note', sa.Text(), nullable=False, server_default=''),
    ),
    'configs': (sa.Column('timing', sa.JSON(), nullable=False, server_default='{}'),),
    'jobs': (sa.Column('progressed_at', sa.DateTime(), nullable=True),),
}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)


def downgrade() -> None:
    for table, columns in ADDED.items():
        for column in columns:
            op.execute(f'ALTER TABLE {table} DROP COLUMN {column.name}')
