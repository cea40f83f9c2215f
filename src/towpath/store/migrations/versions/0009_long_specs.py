"""Long specs lie beside their resources, so that the rest of a row can be read and written without them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_LONG_BYTES = 16_384  #: as `store.long_specs` has it; what is longer there and lies in its row is read from there


def upgrade() -> None:
    """Make the table and move what is long into it."""
    op.create_table(
        "long_spec",
        sa.Column("uid", sa.String(32), sa.ForeignKey("resource.uid"), primary_key=True),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("spec", sa.LargeBinary(), nullable=False),
    )
    op.execute(
        "INSERT INTO long_spec (uid, version, spec)"
        f" SELECT uid, lower(hex(randomblob(16))), CAST(spec AS BLOB) FROM resource WHERE length(spec) > {_LONG_BYTES}"
    )
    op.execute("UPDATE resource SET spec = x'' WHERE uid IN (SELECT uid FROM long_spec)")
