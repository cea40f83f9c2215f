"""The S3 front door: path style, streaming, every object with versions."""

from towpath.gateway.services.s3.model import S3Error, S3Request, S3Response
from towpath.gateway.services.s3.service import OPERATIONS, S3Service

__all__ = ["OPERATIONS", "S3Error", "S3Request", "S3Response", "S3Service"]
