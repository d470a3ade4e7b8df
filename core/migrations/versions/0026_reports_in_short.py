"""What the list of reports shows of each, so that it need not read them whole."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None

_COUNTS = ('good', 'failed', 'missed')
_reports = sa.table(
    'reports', sa.column('id'), sa.column('document', sa.JSON), sa.column('sentence'), *map(sa.column, _COUNTS)
)


def upgrade() -> None:
    op.add_column('reports', sa.Column('sentence', sa.Text(), nullable=False, server_default=''))
    for name in _COUNTS:
        op.add_column('reports', sa.Column(name, sa.BigInteger(), nullable=False, server_default='0'))
    connection = op.get_bind()
    for report_id in connection.scalars(sa.select(_reports.c.id)).all():
        mine = _reports.c.id == report_id
        document = connection.scalar(sa.select(_reports.c.document).where(mine))
        connection.execute(sa.update(_reports).where(mine).values(**_in_short(document)))


def downgrade() -> None:
    for name in ('sentence', *_COUNTS):
        op.drop_column('reports', name)


def _in_short(document: Any) -> dict[str, Any]:
    verdict, runs = document.get('verdict', {}), document.get('runs', {})
    return {
        'sentence': verdict.get('sentence', ''),
        'good': runs.get('completed', 0) + runs.get('warning', 0),
        'failed': runs.get('failed', 0) + runs.get('interrupted', 0),
        'missed': runs.get('missed', 0),
    }
