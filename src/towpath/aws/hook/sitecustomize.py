"""Sends clients that name a host of AWS to the server in AWS_ENDPOINT_URL. Loaded by each Python that starts.

botocore lets an address in the code win over AWS_ENDPOINT_URL, and both majors of the SageMaker SDK name the host of
STS in theirs. `towpath exec` puts this folder first on PYTHONPATH. The module is for any Python from 3.8 on and for any
environment: it uses the standard library only, and costs a program that never imports botocore next to nothing.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False  # as typing's, which takes a while to load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

#: Services of AWS that Towpath answers for, by the names that clients are made with.
SERVICES = frozenset(
    {
        "cloudtrail",
        "ecr",
        "events",
        "iam",
        "lambda",
        "logs",
        "s3",
        "sagemaker",
        "sagemaker-featurestore-runtime",
        "sagemaker-metrics",
        "sagemaker-runtime",
        "scheduler",
        "sqs",
        "sts",
        "towpath",
    }
)
_SESSIONS = "botocore.session"
_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_ENDPOINT_URL = 4  #: place of `endpoint_url` among what follows the service's name in `Session.create_client`


def address(service: str, wanted: str | None, server: str | None) -> str | None:
    """Return the address that a client of a service gets: the server's in place of one at AWS, else the wanted one."""
    if wanted and server and service in SERVICES and _is_aws(wanted):
        return server
    return wanted


def _is_aws(url: str) -> bool:
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    return host.endswith(_DOMAINS)


def redirect(sessions: Any) -> None:
    """Make `create_client` of a session class heed AWS_ENDPOINT_URL where the code names a host of AWS."""
    from functools import wraps

    create = sessions.create_client

    @wraps(create)
    def create_client(self: Any, service_name: str, *arguments: Any, **named: Any) -> Any:
        server = os.environ.get("AWS_ENDPOINT_URL")
        if named.get("endpoint_url"):
            named["endpoint_url"] = address(service_name, named["endpoint_url"], server)
        elif len(arguments) > _ENDPOINT_URL:
            url = address(service_name, arguments[_ENDPOINT_URL], server)
            arguments = (*arguments[:_ENDPOINT_URL], url, *arguments[_ENDPOINT_URL + 1 :])
        return create(self, service_name, *arguments, **named)

    sessions.create_client = create_client


class Finder:
    """Finds botocore's module of sessions, and redirects them once it is loaded."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Return how to load the module, None for every other one."""
        spec = PathFinder.find_spec(name, path) if name == _SESSIONS else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment] # it asks for two methods
        return spec


class _Loader:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # The module is what it would be without us, to whoever asks where it came from.
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        self._inner.exec_module(module)
        redirect(module.Session)


def load_next() -> None:
    """Load the `sitecustomize` that would have been loaded without this one, and leave the name to it."""
    from importlib.util import module_from_spec

    here = os.path.dirname(os.path.realpath(__file__))  # noqa: PTH120 - pathlib takes longer to load than all of this
    others = [folder for folder in sys.path if os.path.realpath(folder or os.curdir) != here]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    module = sys.modules["sitecustomize"] = module_from_spec(spec)
    spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    if _SESSIONS in sys.modules:  # something that site loads before us may have wanted it
        redirect(sys.modules[_SESSIONS].Session)
    else:
        sys.meta_path.insert(0, Finder())
    load_next()
