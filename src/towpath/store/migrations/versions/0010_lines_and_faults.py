"""Lines that events have written to log groups, and why work is held up."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table, and the columns. What fails now tells of itself with its next failure."""
    op.create_table(
        "log_line",
        sa.Column("seq", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("log_group", sa.String(length=32), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("log_line_group", "log_line", ["log_group", "seq"])
    op.create_index("log_line_received", "log_line", ["received_at"])
    op.add_column("work", sa.Column("failing_since", sa.Float(), nullable=True))
    op.add_column("work", sa.Column("fault", sa.String(length=512), nullable=True))
