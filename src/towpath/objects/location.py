"""Where the bytes of objects lie: in the home's folder, or below a prefix of a bucket of an S3 service."""

from urllib.parse import parse_qsl, urlsplit

import msgspec

from towpath.kernel.errors import Invalid

FOLDER = "folder"
_FORM = "s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION"


class S3Location(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix of a bucket of an S3 service."""

    bucket: str
    prefix: str  #: without slashes at its ends; may be empty
    endpoint: str | None = None  #: None: the one of AWS
    region: str = "us-east-1"

    @property
    def uri(self) -> str:
        """Bucket and prefix: what stays when the service moves to another address."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def __str__(self) -> str:
        return self.uri if self.endpoint is None else f"{self.uri} at {self.endpoint}"

    def key(self, blob: str) -> str:
        """Return the key that holds a blob."""
        return "/".join(part for part in (self.prefix, "blobs", blob[:2], blob) if part)


def location_of(setting: str) -> S3Location | None:
    """Return what the setting `objects` says, None for the home's folder.

    Raises:
        Invalid: it says neither.
    """
    if setting == FOLDER:
        return None
    parts = urlsplit(setting)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = given.keys() - {"endpoint", "region"}
    if parts.scheme != "s3" or not parts.netloc or parts.fragment or unknown:
        what = f"the unknown part {sorted(unknown)[0]!r}" if unknown else "another form"
        raise Invalid(f"objects is {setting!r}, which has {what}; expected {FOLDER} or {_FORM}")
    endpoint = given.get("endpoint")
    if endpoint is not None:
        address = urlsplit(endpoint)
        if address.scheme not in {"http", "https"} or not address.netloc or address.username is not None:
            raise Invalid(f"objects names the endpoint {endpoint!r}; expected http:// or https:// with a host, no keys")
    return S3Location(
        bucket=parts.netloc,
        prefix=parts.path.strip("/"),
        endpoint=endpoint,
        region=given.get("region") or "us-east-1",
    )
