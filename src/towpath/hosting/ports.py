"""What hosting needs from outside."""

from collections.abc import Callable
from typing import TypeAlias

from towpath.jobs.images import Environment

Resolve: TypeAlias = Callable[
    [str], Environment
]  #: image name -> environment; raises a TowpathError for unknown images
Ping: TypeAlias = Callable[[str], bool]  #: whether the model server at the socket path answers `GET /ping` with 200
