"""Long texts of specs lie once for each content: executions of a pipeline held a copy of its definition each."""

import hashlib

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_LONG_CHARACTERS = 16_384  #: as `store.long_specs` has it; what is longer there and lies in its spec is read from there


def upgrade() -> None:
    """Make the tables and move what is long into them, one spec after the other: each may take megabytes."""
    op.create_table(
        "long_text",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("text", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "long_spec_text",
        sa.Column("uid", sa.String(32), sa.ForeignKey("resource.uid"), primary_key=True),
        sa.Column("member", sa.String(256), primary_key=True),
        sa.Column("digest", sa.String(64), sa.ForeignKey("long_text.digest"), nullable=False),
    )
    op.create_index("long_spec_text_digest", "long_spec_text", ["digest"])
    connection = op.get_bind()
    for uid in connection.execute(sa.text("SELECT uid FROM long_spec")).scalars().all():
        data = connection.execute(sa.text("SELECT spec FROM long_spec WHERE uid = :uid"), {"uid": uid}).scalar_one()
        spec = msgspec.json.decode(data)
        texts = {
            name: value for name, value in spec.items() if isinstance(value, str) and len(value) > _LONG_CHARACTERS
        }
        for member, text in texts.items():
            encoded = msgspec.json.encode(text)
            digest = hashlib.sha256(encoded).hexdigest()
            connection.execute(
                sa.text("INSERT OR IGNORE INTO long_text (digest, text) VALUES (:digest, :text)"),
                {"digest": digest, "text": encoded},
            )
            connection.execute(
                sa.text("INSERT INTO long_spec_text (uid, member, digest) VALUES (:uid, :member, :digest)"),
                {"uid": uid, "member": member, "digest": digest},
            )
        if texts:
            rest = {name: value for name, value in spec.items() if name not in texts}
            # The version is another one: who keeps the spec decoded has kept another spec.
            connection.execute(
                sa.text("UPDATE long_spec SET spec = :spec, version = lower(hex(randomblob(16))) WHERE uid = :uid"),
                {"spec": msgspec.json.encode(rest), "uid": uid},
            )
