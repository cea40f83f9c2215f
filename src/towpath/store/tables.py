"""All tables, in one place. Times are epoch seconds (UTC) as floating point numbers, documents are JSON text."""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

#: Every kind's resources, tombstones included.
resource = Table(
    "resource",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),  # breaks ties between equal times
    Column("uid", String(32), nullable=False, unique=True),
    Column("account", String(12), nullable=False),
    Column("region", String(32), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("name", String(512), nullable=False),
    Column("arn", String(2048), nullable=False),
    Column("parent", String(32)),
    Column("spec", LargeBinary, nullable=False),  # nothing where it is long: it lies in `long_spec` then
    Column("state", LargeBinary, nullable=False),
    Column("status", String(64)),
    Column("generation", Integer, nullable=False),
    Column("observed_generation", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("format", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("modified_at", Float, nullable=False),
    Column("deleted_at", Float),
    Column("sort", LargeBinary, nullable=False),
    Index(
        "resource_live_name",
        "account",
        "region",
        "kind",
        "name",
        unique=True,
        sqlite_where=text("deleted_at IS NULL"),
    ),
    Index("resource_arn", "arn"),
    Index("resource_kind_created", "kind", "created_at", "seq"),
    Index("resource_kind_modified", "kind", "modified_at", "seq"),
    Index("resource_kind_status", "kind", "status", "created_at", "seq"),
    Index("resource_parent", "parent", "seq"),
    sqlite_autoincrement=True,
)

#: Specs that are long, as those of executions with their definitions are. In the row, each read and write of another
#: column would have to walk over them.
long_spec = Table(
    "long_spec",
    metadata,
    Column("uid", String(32), ForeignKey("resource.uid"), primary_key=True),
    Column("version", String(32), nullable=False),  # never used twice
    Column("spec", LargeBinary, nullable=False),  # without its long texts
)

#: Texts that are long, each once for all specs that hold it: the definition of a pipeline, its versions and executions.
long_text = Table(
    "long_text",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("text", LargeBinary, nullable=False),
)

#: Which member of a long spec is which text.
long_spec_text = Table(
    "long_spec_text",
    metadata,
    Column("uid", String(32), ForeignKey("resource.uid"), primary_key=True),
    Column("member", String(256), primary_key=True),
    Column("digest", String(64), ForeignKey("long_text.digest"), nullable=False),
    Index("long_spec_text_digest", "digest"),
)

#: The members that a kind is filtered and sorted by beyond the common ones.
resource_index = Table(
    "resource_index",
    metadata,
    Column("uid", String(32), ForeignKey("resource.uid"), primary_key=True),
    Column("member", String(64), primary_key=True),
    Column("kind", String(64), nullable=False),
    Column("text", String(2048)),
    Column("number", Float),
    Column("created_at", Float, nullable=False, server_default="0"),  # of the resource: the order of most lists
    Index("resource_index_text", "kind", "member", "text", "created_at", "uid"),
    Index("resource_index_number", "kind", "member", "number", "uid"),
)

tag = Table(
    "tag",
    metadata,
    Column("uid", String(32), ForeignKey("resource.uid"), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("value", String(256), nullable=False),
)

counter = Table(
    "counter",
    metadata,
    Column("name", String(512), primary_key=True),
    Column("value", Integer, nullable=False),
)

event = Table(
    "event",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("type", String(128), nullable=False),
    Column("subject", String(32)),
    Column("subject_arn", String(2048), nullable=False),
    Column("principal", String(256), nullable=False),
    Column("at", Float, nullable=False),
    Column("detail", LargeBinary, nullable=False),
    Index("event_subject", "subject", "seq"),
    sqlite_autoincrement=True,
)

#: Resources that the engine shall look at, each with at most one lease.
work = Table(
    "work",
    metadata,
    Column("uid", String(32), primary_key=True),
    Column("due_at", Float, nullable=False),
    Column("lease_until", Float),
    Column("owner", String(64)),
    Column("token", Integer, nullable=False, server_default="0"),  # grows with each lease; commits carry it
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row, for the delay before the next try
    Column("failing_since", Float),  # the first of these failures
    Column("fault", String(512)),  # the last of them; both mean something only where there are failures
    Index("work_due", "due_at"),
)

#: Whose children have changed since its last turn began: what a turn need not look for among all of them.
changed_child = Table(
    "changed_child",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),  # never used again, so that a turn drops what it saw
    Column("parent", String(32), nullable=False),
    Column("child", String(32), nullable=False),
    Index("changed_child_parent", "parent", "seq"),
    sqlite_autoincrement=True,
)

#: One row a step of an execution.
step = Table(
    "step",
    metadata,
    Column("execution", String(32), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("status", String(32), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("position", Integer, nullable=False),  # order in which steps were begun
    Column("data", LargeBinary, nullable=False),
    Index("step_position", "execution", "position", "name"),
)

#: Terminal facts in the order in which they were applied to an execution.
history = Table(
    "history",
    metadata,
    Column("execution", String(32), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("fact", LargeBinary, nullable=False),
)

lineage_node = Table(
    "lineage_node",
    metadata,
    Column("id", String(512), primary_key=True),
    Column("type", String(64), nullable=False),
    Column("properties", LargeBinary, nullable=False),
    # What it is in SageMaker's words, worked out of type and properties: see `lineage.entities`.
    Column("lineage_type", String(16), nullable=False),
    Column("entity", String(256), nullable=False),
    Column("entity_type", String(256), nullable=False),
    Column("source_uri", String(2048), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("modified_at", Float, nullable=False),
    Index("lineage_node_entity", "lineage_type", "entity"),
    Index("lineage_node_created", "lineage_type", "created_at", "id"),
    Index("lineage_node_source", "source_uri"),
)

#: Values of metrics: of a job what was read from its log, of a trial component what was sent for it.
#: The newest success of each step of a pipeline with each key, with the object versions that it left.
cached_step = Table(
    "cached_step",
    metadata,
    Column("pipeline", String(32), primary_key=True),
    Column("step", String(256), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("execution", String(32), nullable=False),
    Column("ended_at", Float, nullable=False),
    Column("outputs", LargeBinary, nullable=False),
    Index("cached_step_execution", "execution"),
)

metric_point = Table(
    "metric_point",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("subject", String(32), nullable=False),  # uid of the job or trial component
    Column("name", String(256), nullable=False),
    Column("at", Float, nullable=False),
    Column("step", Integer),
    Column("value", Float, nullable=False),
    Index("metric_point_subject", "subject", "name", "at", "seq"),
    sqlite_autoincrement=True,
)

metric_series = Table(
    "metric_series",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("namespace", String(256), nullable=False),
    Column("name", String(256), nullable=False),
    Column("dimensions", Text, nullable=False),  # JSON: [[name, value], …] by name
    Column("received_at", Float, nullable=False),  # when the latest value came
    Index("metric_series_key", "namespace", "name", "dimensions", unique=True),
    sqlite_autoincrement=True,
)

metric_datum = Table(
    "metric_datum",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("series", Integer, nullable=False),
    Column("at", Float, nullable=False),
    Column("unit", String(32), nullable=False),
    Column("count", Float, nullable=False),
    Column("total", Float, nullable=False),
    Column("least", Float, nullable=False),
    Column("greatest", Float, nullable=False),
    Index("metric_datum_series", "series", "at"),
    Index("metric_datum_at", "at"),
    sqlite_autoincrement=True,
)

#: What rules and schedules have written to log groups.
log_line = Table(
    "log_line",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("log_group", String(32), nullable=False),  # uid of the group
    Column("at", Float, nullable=False),  # as the line says of itself
    Column("received_at", Float, nullable=False),
    Column("text", Text, nullable=False),
    Index("log_line_group", "log_group", "seq"),
    Index("log_line_received", "received_at"),
    sqlite_autoincrement=True,
)

lineage_edge = Table(
    "lineage_edge",
    metadata,
    Column("source", String(512), primary_key=True),
    Column("destination", String(512), primary_key=True),
    Column("association", String(64), primary_key=True),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(256)),  # NULL: the platform itself, and nobody can take it back
    Index("lineage_edge_destination", "destination"),
)

bucket = Table(
    "bucket",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("created_at", Float, nullable=False),
)

object_version = Table(
    "object_version",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("bucket", String(63), nullable=False),
    Column("key", Text, nullable=False),
    Column("version_id", String(64), nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("etag", String(64), nullable=False),
    Column("blob", String(128)),
    Column("content_type", String(256), nullable=False),
    Column("metadata", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("is_latest", Boolean, nullable=False),
    Column("is_delete_marker", Boolean, nullable=False),
    Column("tags", LargeBinary),  # NULL: none
    Column("checksum", String(128)),  # as `kernel.objects.Checksum` is written; NULL where the client gave none
    Index("object_version_id", "bucket", "key", "version_id", unique=True),
    Index(
        "object_version_latest",
        "bucket",
        "key",
        unique=True,
        sqlite_where=text("is_latest = 1"),
    ),
    Index("object_version_blob", "blob"),
    sqlite_autoincrement=True,
)

#: Who read or wrote which version of an object: a row for all that one principal did by one operation in one hour.
object_access = Table(
    "object_access",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("bucket", String(63), nullable=False),
    Column("key", Text, nullable=False),
    Column("version_id", String(64), nullable=False),
    Column("principal", String(256), nullable=False),
    Column("operation", String(64), nullable=False),
    Column("hour", Integer, nullable=False),  # since the epoch
    Column("access_key", String(128), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("count", Integer, nullable=False),
    Index("object_access_kind", "bucket", "key", "version_id", "principal", "operation", "hour", unique=True),
    Index("object_access_principal", "principal"),
    sqlite_autoincrement=True,
)

#: Multipart uploads that are neither completed nor aborted, and what was sent for them.
upload = Table(
    "upload",
    metadata,
    Column("upload_id", String(64), primary_key=True),
    Column("bucket", String(63), nullable=False),
    Column("key", Text, nullable=False),
    Column("content_type", String(256), nullable=False),
    Column("metadata", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("created_by", String(256), nullable=False),
    Column("tags", LargeBinary),  # NULL: none
    Column("checksum", String(32)),  # algorithm and type; NULL where the client asked for none
    Index("upload_key", "bucket", "key"),
)

upload_part = Table(
    "upload_part",
    metadata,
    Column("upload_id", String(64), ForeignKey("upload.upload_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("blob", String(128), nullable=False),
    Column("size", Integer, nullable=False),
    Column("etag", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("checksum", String(128)),  # of the upload's algorithm, in base64
    Column("created_at", Float),  # NULL of parts that came before it was kept
    Index("upload_part_blob", "blob"),
)

#: What requests are signed with. Users and roles are resources; their keys are not, since documents are shown.
access_key = Table(
    "access_key",
    metadata,
    Column("access_key", String(128), primary_key=True),
    Column("secret_key", String(256), nullable=False),
    Column("principal", String(256), nullable=False),
    Column("arn", String(2048), nullable=False),  # of an assumed role's session, else empty
    Column("session_token", Text, nullable=False),  # empty for keys that do not expire
    Column("active", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Index("access_key_principal", "principal"),
)

#: Facts about the home itself: its id, the account, the region.
meta = Table(
    "meta",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
