"""What clients keep with a config; jobs that were deleted from the list."""

import sqlalchemy as sa
from alembic import op

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('configs', sa.Column('metadata', sa.JSON(), nullable=False, server_default='{}'))
    op.add_column('jobs', sa.Column('hidden_at', sa.DateTime(), nullable=True))


def downgrade() -> None:
    op.execute('ALTER TABLE jobs DROP COLUMN hidden_at')
    op.execute('ALTER TABLE configs DROP COLUMN metadata')
