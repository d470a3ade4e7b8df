"""Indexes that hold all that is asked of copies where they are counted, and one of missed runs.

SQLite looks at the row, too, unless the columns that make an index partial are among its own.
"""

import sqlalchemy as sa
from alembic import op

revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None

_THERE = sa.text('forgotten_at IS NULL AND lost_at IS NULL')
_LIVE = sa.text(f'{_THERE} AND trashed_at IS NULL AND damaged_at IS NULL')
_MISSED = sa.text('job_id IS NULL')
_STATE = ['trashed_at', 'damaged_at', 'forgotten_at', 'lost_at']


def upgrade() -> None:
    _replace('ix_copies_there', ['point_id', 'repository_id', *_STATE], _THERE)
    _replace('ix_copies_live', ['repository_id', 'point_id', *_STATE], _LIVE)
    _replace(
        'ix_copies_added_there', ['repository_id', 'point_id', 'bytes_added', 'forgotten_at', 'lost_at'], _THERE
    )
    op.create_index(
        'ix_scheduled_runs_missed', 'scheduled_runs', ['due_at', 'config_id', 'job_id'],
        sqlite_where=_MISSED, postgresql_where=_MISSED,
    )


def downgrade() -> None:
    op.drop_index('ix_scheduled_runs_missed', 'scheduled_runs')
    _replace('ix_copies_there', ['point_id'], _THERE)
    _replace('ix_copies_live', ['repository_id'], _LIVE)
    _replace('ix_copies_added_there', ['repository_id', 'point_id', 'bytes_added'], _THERE)


def _replace(name: str, columns: list[str], where: sa.TextClause) -> None:
    op.drop_index(name, 'copies')
    op.create_index(name, 'copies', columns, sqlite_where=where, postgresql_where=where)
