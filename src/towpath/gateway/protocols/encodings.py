"""Bodies that clients compress: CloudWatch's send large ones as gzip. The signature is that of the compressed body."""

import zlib

from towpath.kernel.errors import Invalid

_GZIP = 16 + zlib.MAX_WBITS  #: the form that zlib is to expect


def decoded(body: bytes, encoding: str, most: int) -> bytes:
    """Return a request's body as it was before its encoding; an S3 client's `aws-chunked` is not this module's.

    Args:
        encoding: value of the header Content-Encoding.
        most: bytes that it may come to.
    Raises:
        Invalid: another encoding than gzip, a body that is none, or one that comes to more.
    """
    if not encoding or encoding == "identity":
        return body
    if encoding != "gzip":
        raise Invalid(f"The content encoding {encoding!r} is not known; expected gzip, or none.")
    expander = zlib.decompressobj(_GZIP)
    try:
        whole = expander.decompress(body, most + 1)
    except zlib.error as error:
        raise Invalid(f"The request body is not gzip: {error}.", code="SerializationException") from error
    if len(whole) > most:
        raise Invalid(f"The request body comes to more than {most} bytes.", code="RequestEntityTooLarge")
    if not expander.eof:
        raise Invalid("The request body ends before its gzip does.", code="SerializationException")
    return whole
