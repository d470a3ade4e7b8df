"""Indexes for what a storage's page adds up: what copies added, by day and by config, with no look at their rows."""

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None

_THERE = sa.text('forgotten_at IS NULL AND lost_at IS NULL')


def upgrade() -> None:
    op.create_index('ix_copies_added', 'copies', ['repository_id', 'created_at', 'point_id', 'bytes_added'])
    op.create_index(
        'ix_copies_added_there', 'copies', ['repository_id', 'point_id', 'bytes_added'],
        sqlite_where=_THERE, postgresql_where=_THERE,
    )


def downgrade() -> None:
    op.drop_index('ix_copies_added_there', 'copies')
    op.drop_index('ix_copies_added', 'copies')
