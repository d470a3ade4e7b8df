"""Providers, credentials and facts of storages; destinations with rules of their own; copies between them."""

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

# By table: what is added. What may not be null gets a default for the rows that are there.
ADDED = {
    'storages': (
        sa.Column('credentials_sealed', sa.Text(), nullable=False, server_default=''),
        sa.Column('quota_bytes', sa.BigInteger(), nullable=True),
        sa.Column('site', sa.String(length=200), nullable=False, server_default=''),
        sa.Column('offsite', sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column('media', sa.String(length=40), nullable=False, server_default='disk'),
        sa.Column('price_per_gb_month', sa.Float(), nullable=True),
        sa.Column('currency', sa.String(length=3), nullable=False, server_default=''),
        sa.Column('upload_limit', sa.BigInteger(), nullable=True),
        sa.Column('download_limit', sa.BigInteger(), nullable=True),
        sa.Column('immutable_days', sa.Integer(), nullable=True),
        sa.Column('tested_at', sa.DateTime(), nullable=True),
        sa.Column('test_ok', sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column('test_result', sa.Text(), nullable=False, server_default=''),
        sa.Column('used_bytes', sa.BigInteger(), nullable=True),
        sa.Column('measured_at', sa.DateTime(), nullable=True),
    ),
    'repositories': (
        sa.Column('polynomial_sealed', sa.Text(), nullable=False, server_default=''),
        sa.Column('adopted', sa.Boolean(), nullable=False, server_default=sa.false()),
    ),
    'destinations': (
        sa.Column('tier', sa.String(length=40), nullable=False, server_default='custom'),
        sa.Column('copy_when', sa.String(length=200), nullable=False, server_default='after'),
        sa.Column('scheduled_since', sa.DateTime(), nullable=True),
        sa.Column('retention', sa.JSON(), nullable=False, server_default='{}'),
        sa.Column('copied_at', sa.DateTime(), nullable=True),
    ),
    'jobs': (sa.Column('repository_id', sa.String(length=16), nullable=True),),
    'copies': (sa.Column('bytes_added', sa.BigInteger(), nullable=False, server_default='0'),),
}


def upgrade() -> None:
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)
    op.create_index(op.f('ix_jobs_repository_id'), 'jobs', ['repository_id'], unique=False)
    op.create_table('storage_samples',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('storage_id', sa.String(length=16), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('used_bytes', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['storage_id'], ['storages.id'], name=op.f('fk_storage_samples_storage_id_storages')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_storage_samples')),
    sa.UniqueConstraint('storage_id', 'day', name=op.f('uq_storage_samples_storage_id_day'))
    )
    op.execute('UPDATE destinations SET retention = '
               '(SELECT configs.retention FROM configs WHERE configs.id = destinations.config_id)')
    op.execute('UPDATE copies SET bytes_added = COALESCE('
               '(SELECT points.bytes_added FROM points WHERE points.id = copies.point_id), 0)')
    # Not in batch mode: that would drop the table, to which other rows refer.
    op.execute('ALTER TABLE configs DROP COLUMN retention')


def downgrade() -> None:
    op.add_column('configs', sa.Column('retention', sa.JSON(), nullable=False, server_default='{}'))
    op.execute('UPDATE configs SET retention = COALESCE((SELECT destinations.retention FROM destinations '
               "WHERE destinations.config_id = configs.id AND destinations.position = 0), '{}')")
    op.drop_table('storage_samples')
    op.drop_index(op.f('ix_jobs_repository_id'), 'jobs')
    for table, columns in ADDED.items():
        for column in columns:
            op.execute(f'ALTER TABLE {table} DROP COLUMN {column.name}')
