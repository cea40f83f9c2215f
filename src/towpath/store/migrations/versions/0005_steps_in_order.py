"""The steps of an execution are found in the order in which they began: a page of many is read without the others."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the index."""
    op.create_index("step_position", "step", ["execution", "position", "name"])
