"""Makes time pass: leases, turns, timers."""

from towpath.engine.loop import Engine

__all__ = ["Engine"]
