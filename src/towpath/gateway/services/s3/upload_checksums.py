"""The checksum of a multipart upload: of the whole content, or of the checksums of its parts.

Source: Amazon S3 User Guide, "Checking object integrity", full object and composite checksums of multipart uploads.
"""

import base64
from collections.abc import Mapping, Sequence

from towpath.gateway.services.s3.checksums import CRCS, DIGESTS, algorithm_of, joined_crc
from towpath.gateway.services.s3.model import S3Error
from towpath.kernel.objects import Checksum, ChecksumKind, UploadPart

_ALWAYS_FULL = "crc64nvme"


def kind_of(headers: Mapping[str, str]) -> ChecksumKind | None:
    """Return what checksum the headers of a new upload ask for, None for none.

    Raises:
        S3Error: InvalidRequest, there is no such combination; NotImplemented, an unknown algorithm.
    """
    algorithm, form = algorithm_of(headers.get("x-amz-checksum-algorithm")), headers.get("x-amz-checksum-type")
    if algorithm is None:
        if form is not None:
            raise S3Error("InvalidRequest", "x-amz-checksum-type goes with an x-amz-checksum-algorithm.")
        return None
    possible = {
        "FULL_OBJECT": algorithm in CRCS,
        "COMPOSITE": algorithm != _ALWAYS_FULL,
    }
    form = form or ("FULL_OBJECT" if algorithm == _ALWAYS_FULL else "COMPOSITE")
    if not possible.get(form, False):
        forms = " or ".join(name for name, is_possible in possible.items() if is_possible)
        raise S3Error(
            "InvalidRequest", f"A checksum {algorithm.upper()} of type {form[:40]} is not possible; expected {forms}."
        )
    return ChecksumKind(algorithm, is_composite=form == "COMPOSITE")


def checksum_of_parts(
    headers: Mapping[str, str], kind: ChecksumKind | None, parts: Sequence[UploadPart]
) -> Checksum | None:
    """Return the checksum of the object that the parts make, None where the upload has none.

    Args:
        headers: of the request to complete, which may say what the checksum is expected to be.
    Raises:
        S3Error: BadDigest, it is another one; InvalidRequest, it is one of another type.
    """
    if kind is None:
        return None
    checksum = _joined(kind, [(base64.b64decode(part.checksum or ""), part.size) for part in parts])
    form, expected = headers.get("x-amz-checksum-type"), headers.get(f"x-amz-checksum-{kind.algorithm}")
    if form is not None and form != ("COMPOSITE" if kind.is_composite else "FULL_OBJECT"):
        raise S3Error("InvalidRequest", f"The upload was begun with a checksum of another type than {form[:40]}.")
    if expected is not None and expected.partition("-")[0] != checksum.value.partition("-")[0]:
        raise S3Error(
            "BadDigest", f"The parts have the {kind.algorithm.upper()} {checksum.value}; the client sent {expected}."
        )
    return checksum


def _joined(kind: ChecksumKind, parts: Sequence[tuple[bytes, int]]) -> Checksum:
    if not kind.is_composite:
        return Checksum(kind.algorithm, base64.b64encode(joined_crc(kind.algorithm, parts)).decode("ascii"))
    digest = DIGESTS[kind.algorithm]()
    for checksum, _ in parts:
        digest.update(checksum)
    return Checksum(kind.algorithm, f"{base64.b64encode(digest.digest()).decode('ascii')}-{len(parts)}")
