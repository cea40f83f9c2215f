"""The conformance suite of the port `ComputeBackend`, and what its tests are made of."""

from towpath.testing.compute.suite import ComputeSuite
from towpath.testing.compute.trials import PATIENCE_S, SECRETS, STARTED, News, script

__all__ = ["PATIENCE_S", "SECRETS", "STARTED", "ComputeSuite", "News", "script"]
