"""The conformance suite of S3 front doors, and the client that its tests are made of."""

from towpath.testing.s3.client import S3, Answer
from towpath.testing.s3.suite import S3Conformance
from towpath.testing.s3.uploads import PART

__all__ = ["PART", "S3", "Answer", "S3Conformance"]
