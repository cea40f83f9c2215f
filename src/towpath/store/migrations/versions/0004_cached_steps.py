"""Executions can take results of earlier ones over: the newest success of each step with each key."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table; of what has succeeded before, nothing is taken over."""
    op.create_table(
        "cached_step",
        sa.Column("pipeline", sa.String(length=32), nullable=False),
        sa.Column("step", sa.String(length=256), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("execution", sa.String(length=32), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=False),
        sa.Column("outputs", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("pipeline", "step", "key"),
    )
    op.create_index("cached_step_execution", "cached_step", ["execution"])
