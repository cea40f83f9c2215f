"""Jobs as processes of this host."""

from towpath.compute.process.backend import ProcessBackend
from towpath.compute.process.selftest import SandboxMode, SelfTest, Trial, self_test

__all__ = ["ProcessBackend", "SandboxMode", "SelfTest", "Trial", "self_test"]
