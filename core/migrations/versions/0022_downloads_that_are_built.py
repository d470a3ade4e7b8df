"""Downloads that are built before they are fetched."""

import sqlalchemy as sa
from alembic import op

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('built_downloads',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('job_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('point_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('form', sa.String(length=40), nullable=False),
    sa.Column('include', sa.JSON(), nullable=False),
    sa.Column('same_as', sa.String(length=64), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('asked_by', sa.String(length=200), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('left_out', sa.JSON(), nullable=False),
    sa.Column('ready_at', sa.DateTime(), nullable=True),
    sa.Column('expires_at', sa.DateTime(), nullable=True),
    sa.Column('removed_at', sa.DateTime(), nullable=True),
    sa.Column('removed_why', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.id'], name=op.f('fk_built_downloads_job_id_jobs')),
    sa.ForeignKeyConstraint(['point_id'], ['points.id'], name=op.f('fk_built_downloads_point_id_points')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_built_downloads')),
    sa.UniqueConstraint('job_id', name=op.f('uq_built_downloads_job_id'))
    )
    op.create_index(op.f('ix_built_downloads_point_id'), 'built_downloads', ['point_id'], unique=False)
    op.create_index(op.f('ix_built_downloads_same_as'), 'built_downloads', ['same_as'], unique=False)


def downgrade() -> None:
    op.drop_table('built_downloads')
