"""A resource is told which of its children have changed, so that it need not look at all of them."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the table. Nothing has to be filled in: after a start, everybody looks at all children once."""
    op.create_table(
        "changed_child",
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("parent", sa.String(32), nullable=False),
        sa.Column("child", sa.String(32), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("changed_child_parent", "changed_child", ["parent", "seq"])
