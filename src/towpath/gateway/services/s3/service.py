"""Which operation of S3 a request asks for, and carrying it out.

S3 has no names of operations on the wire. What tells them apart is the method, whether the path names a bucket or a
key, which of the query parameters in `SUBRESOURCES` are there, and whether the request names a source to copy from.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from towpath.gateway.services.s3 import buckets, copies, deletions, objects, tagging, upload_lists, uploads
from towpath.gateway.services.s3.model import Context, S3Error, S3Request, S3Response, error_response
from towpath.housekeeping.ports import Store
from towpath.kernel.accesses import NoReaders, Readers
from towpath.kernel.arns import Home
from towpath.kernel.errors import TowpathError
from towpath.kernel.objects import ObjectStore

Function = Callable[[Context, S3Request], S3Response]


@dataclass(frozen=True, slots=True)
class Route:
    """What tells one operation from the others."""

    method: str
    level: str  #: "service", "bucket" or "object"
    query: frozenset[str] = frozenset()  #: those of SUBRESOURCES that are present
    copies: bool = False  #: names a source with x-amz-copy-source


#: Query parameters that make another operation of a request; the other ones are its arguments.
SUBRESOURCES = frozenset(
    [
        "abac",
        "accelerate",
        "acl",
        "analytics",
        "annotation",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "legal-hold",
        "lifecycle",
        "list-type",
        "location",
        "logging",
        "metadataAnnotationTable",
        "metadataConfiguration",
        "metadataInventoryTable",
        "metadataJournalTable",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "renameObject",
        "replication",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "select-type",
        "session",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versioning",
        "versions",
        "website",
    ]
)

#: Every operation that is built. A new one is a line here and a function.
OPERATIONS: Mapping[Route, tuple[str, Function]] = {
    Route("GET", "service"): ("ListBuckets", buckets.list_buckets),
    Route("PUT", "bucket"): ("CreateBucket", buckets.create_bucket),
    Route("DELETE", "bucket"): ("DeleteBucket", buckets.delete_bucket),
    Route("HEAD", "bucket"): ("HeadBucket", buckets.head_bucket),
    Route("GET", "bucket", frozenset({"location"})): ("GetBucketLocation", buckets.get_bucket_location),
    Route("GET", "bucket", frozenset({"versioning"})): ("GetBucketVersioning", buckets.get_bucket_versioning),
    Route("PUT", "bucket", frozenset({"versioning"})): ("PutBucketVersioning", buckets.put_bucket_versioning),
    Route("GET", "bucket", frozenset({"list-type"})): ("ListObjectsV2", buckets.list_objects_v2),
    Route("GET", "bucket", frozenset({"versions"})): ("ListObjectVersions", buckets.list_object_versions),
    Route("GET", "bucket"): ("ListObjects", buckets.list_objects),
    Route("PUT", "object"): ("PutObject", objects.put_object),
    Route("GET", "object"): ("GetObject", objects.get_object),
    Route("HEAD", "object"): ("HeadObject", objects.head_object),
    Route("PUT", "object", copies=True): ("CopyObject", copies.copy_object),
    Route("GET", "object", frozenset({"attributes"})): ("GetObjectAttributes", objects.get_object_attributes),
    Route("DELETE", "object"): ("DeleteObject", deletions.delete_object),
    Route("POST", "bucket", frozenset({"delete"})): ("DeleteObjects", deletions.delete_objects),
    Route("GET", "object", frozenset({"tagging"})): ("GetObjectTagging", tagging.get_object_tagging),
    Route("PUT", "object", frozenset({"tagging"})): ("PutObjectTagging", tagging.put_object_tagging),
    Route("DELETE", "object", frozenset({"tagging"})): ("DeleteObjectTagging", tagging.delete_object_tagging),
    Route("GET", "bucket", frozenset({"uploads"})): ("ListMultipartUploads", upload_lists.list_multipart_uploads),
    Route("POST", "object", frozenset({"uploads"})): ("CreateMultipartUpload", uploads.create_multipart_upload),
    Route("PUT", "object", frozenset({"uploadId"})): ("UploadPart", uploads.upload_part),
    Route("PUT", "object", frozenset({"uploadId"}), copies=True): ("UploadPartCopy", copies.upload_part_copy),
    Route("GET", "object", frozenset({"uploadId"})): ("ListParts", upload_lists.list_parts),
    Route("POST", "object", frozenset({"uploadId"})): ("CompleteMultipartUpload", uploads.complete_multipart_upload),
    Route("DELETE", "object", frozenset({"uploadId"})): ("AbortMultipartUpload", uploads.abort_multipart_upload),
}


class S3Service:
    """The S3 front door, behind the request chain that verifies signatures."""

    def __init__(
        self,
        store: Store,
        objects: ObjectStore,
        home: Home,
        *,
        freeing: Store | None = None,
        readers: Readers | None = None,
    ) -> None:
        """
        Args:
            freeing: the store for deletions, where that is another one.
            readers: is told who reads which version; None: nobody is.
        """
        self._context = Context(
            store=store, objects=objects, home=home, freeing=freeing or store, readers=readers or NoReaders()
        )

    def handle(self, request: S3Request) -> S3Response:
        """Return the answer; errors of ours are answers too, others are raised for the chain to log."""
        try:
            response = self._answer(request)
        except TowpathError as error:
            response = error_response(error, request)
        headers = {"x-amz-request-id": request.caller.request_id, **response.headers}
        return S3Response(status=response.status, headers=headers, body=response.body)

    def _answer(self, request: S3Request) -> S3Response:
        owner = request.headers.get("x-amz-expected-bucket-owner")
        if owner is not None and owner != self._context.home.account:
            raise S3Error(
                "AccessDenied",
                f"The bucket belongs to the account {self._context.home.account}; the request expects {owner}.",
            )
        route = route_of(request)
        operation = OPERATIONS.get(route)
        if operation is None:
            raise S3Error("NotImplemented", f"{_name_of(route)} is not built yet.")
        _, function = operation
        return function(self._context, request)


def route_of(request: S3Request) -> Route:
    """Return what tells the operation of a request."""
    level = "service" if request.bucket is None else "bucket" if request.key is None else "object"
    present = frozenset(name for name, _ in request.query) & SUBRESOURCES
    return Route(request.method, level, present, "x-amz-copy-source" in request.headers)


def _name_of(route: Route) -> str:
    """Return the name of an operation that is not built, for messages."""
    levels = {"service": "the service", "bucket": "a bucket", "object": "an object"}
    query = "".join(f" with ?{name}" for name in sorted(route.query))
    return _published().get(route, f"{route.method} of {levels[route.level]}{query}")


@cache
def _published() -> Mapping[Route, str]:
    """Return the names of all operations of S3. Read from botocore's model, which is large, so only when needed."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    model = ServiceModel(Loader().load_service_model("s3", "service-2"))
    names: dict[Route, str] = {}
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        members = operation.input_shape.members if operation.input_shape is not None else {}
        fixed = {part.partition("=")[0] for part in query.split("&")} & SUBRESOURCES
        required = operation.input_shape.required_members if operation.input_shape is not None else []
        located = {members[member].serialization.get("name") for member in required} & (
            SUBRESOURCES | {"x-amz-copy-source"}
        )
        level = "object" if "{Key" in path else "bucket" if "{Bucket}" in path else "service"
        copies = "x-amz-copy-source" in located
        route = Route(operation.http["method"], level, frozenset(fixed | located) & SUBRESOURCES, copies)
        names.setdefault(route, name)
    return names
