"""Whether what a host sends is packed."""

import sqlalchemy as sa
from alembic import op

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('hosts', sa.Column('compression', sa.String(length=200), nullable=False, server_default='auto'))


def downgrade() -> None:
    op.drop_column('hosts', 'compression')
