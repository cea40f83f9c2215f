"""Jobs as processes of this host."""

from towpath.compute.process.backend import ProcessBackend, zygotes_of
from towpath.compute.process.selftest import SandboxMode, SelfTest, Trial, self_test
from towpath.compute.process.warm import Imports, ZygoteStanding

__all__ = ["Imports", "ProcessBackend", "SandboxMode", "SelfTest", "Trial", "ZygoteStanding", "self_test", "zygotes_of"]
