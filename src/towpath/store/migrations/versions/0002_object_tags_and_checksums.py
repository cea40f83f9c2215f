"""Objects, uploads and parts get what S3 keeps beside the bytes: tags, the client's checksum, when a part came."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; what is there already has neither tags nor a checksum of its client."""
    op.add_column("object_version", sa.Column("tags", sa.LargeBinary(), nullable=True))
    op.add_column("object_version", sa.Column("checksum", sa.String(length=128), nullable=True))
    op.add_column("upload", sa.Column("tags", sa.LargeBinary(), nullable=True))
    op.add_column("upload", sa.Column("checksum", sa.String(length=32), nullable=True))
    op.add_column("upload_part", sa.Column("checksum", sa.String(length=128), nullable=True))
    op.add_column("upload_part", sa.Column("created_at", sa.Float(), nullable=True))
