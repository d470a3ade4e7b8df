"""How fast a running job is just now."""

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('jobs', sa.Column('bytes_rate', sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column('jobs', 'bytes_rate')
