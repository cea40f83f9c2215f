"""Who read and wrote objects is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "object_access",
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("bucket", sa.String(63), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("version_id", sa.String(64), nullable=False),
        sa.Column("principal", sa.String(256), nullable=False),
        sa.Column("operation", sa.String(64), nullable=False),
        sa.Column("hour", sa.Integer, nullable=False),
        sa.Column("access_key", sa.String(128), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("first_at", sa.Float, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "object_access_kind",
        "object_access",
        ["bucket", "key", "version_id", "principal", "operation", "hour"],
        unique=True,
    )
    op.create_index("object_access_principal", "object_access", ["principal"])
