"""An indexed member tells when its resource was created: the newest with a value is found without the others."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column, fill it from the resources, and order the index by it."""
    op.add_column("resource_index", sa.Column("created_at", sa.Float(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE resource_index SET created_at ="
        " (SELECT resource.created_at FROM resource WHERE resource.uid = resource_index.uid)"
    )
    op.drop_index("resource_index_text", "resource_index")
    op.create_index("resource_index_text", "resource_index", ["kind", "member", "text", "created_at", "uid"])
