"""An index for how backups ended in the last months, which the overview counts."""

from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index('ix_jobs_kind_ended', 'jobs', ['kind', 'ended_at', 'status'])


def downgrade() -> None:
    op.drop_index('ix_jobs_kind_ended', 'jobs')
