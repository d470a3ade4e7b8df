"""Indexes for what pages ask of an install with years in it: newest jobs of a config, copies that are there."""

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None

_THERE = sa.text('forgotten_at IS NULL AND lost_at IS NULL')
_LIVE = sa.text('forgotten_at IS NULL AND lost_at IS NULL AND trashed_at IS NULL AND damaged_at IS NULL')


def upgrade() -> None:
    op.create_index('ix_jobs_config_kind_ended', 'jobs', ['config_id', 'kind', 'ended_at'])
    op.drop_index('ix_jobs_config_id', 'jobs')
    op.create_index('ix_points_taken_at', 'points', ['taken_at'])
    op.create_index('ix_copies_there', 'copies', ['point_id'], sqlite_where=_THERE, postgresql_where=_THERE)
    op.create_index('ix_copies_live', 'copies', ['repository_id'], sqlite_where=_LIVE, postgresql_where=_LIVE)


def downgrade() -> None:
    op.drop_index('ix_copies_live', 'copies')
    op.drop_index('ix_copies_there', 'copies')
    op.drop_index('ix_points_taken_at', 'points')
    op.create_index('ix_jobs_config_id', 'jobs', ['config_id'])
    op.drop_index('ix_jobs_config_kind_ended', 'jobs')
