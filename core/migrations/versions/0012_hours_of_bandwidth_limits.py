"""At which hours the bandwidth limits of a storage hold."""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('storages', sa.Column('limit_hours', sa.String(length=32), nullable=False, server_default=''))


def downgrade() -> None:
    op.execute('ALTER TABLE storages DROP COLUMN limit_hours')
