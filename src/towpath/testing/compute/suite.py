"""The conformance suite of the port `ComputeBackend`: what every place that runs jobs has to do.

For authors of a back end: inherit from `ComputeSuite`, override the fixture `open_backend` (where secrets are
handed over, on a back end that knows `SECRETS`), and let pytest collect it.
"""

from towpath.testing.compute.contents import Contents
from towpath.testing.compute.endings import Endings
from towpath.testing.compute.layers import Layers
from towpath.testing.compute.several import Several
from towpath.testing.compute.words import Words


class ComputeSuite(Contents, Words, Layers, Several, Endings):
    """Behaviour of a back end, one test a promise. Tests that start processes; mark the class `slow`."""
