"""Hosting: models, endpoint configs, endpoints and the fleets behind them."""

from towpath.hosting.controller import EndpointController
from towpath.hosting.kinds import ENDPOINT, ENDPOINT_CONFIG, KINDS, MODEL
from towpath.hosting.routing import Routes
from towpath.hosting.service import operations, served_model

__all__ = [
    "ENDPOINT",
    "ENDPOINT_CONFIG",
    "KINDS",
    "MODEL",
    "EndpointController",
    "Routes",
    "operations",
    "served_model",
]
