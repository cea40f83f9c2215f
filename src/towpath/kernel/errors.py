"""The one error tree. Each message says what was wrong, what was expected and what to do.

    TowpathError
    ├── Invalid               the request or document is wrong; names the place
    │   └── Absent            it names an object that is not there
    ├── NotFound              no such resource
    ├── Conflict              a name is taken, or the resource is in the wrong state for the request
    │   ├── InProgress        it is being changed by somebody else; possible once that has ended
    │   └── StaleRevision     another writer was first; decide again
    ├── InUse                 a resource cannot be changed or deleted while something refers to it
    ├── Denied                the caller is not known or may not do this
    ├── LimitExceeded         a limit of the API or of this host would be passed
    ├── Unsupported           well-formed, but not built yet; names what is missing
    ├── Unavailable           cannot be done now, may work later (starting, shutting down, overloaded)
    │   └── DiskFull          there is no room left for it on the disk
    └── ModelFailed           the user's model answered an invocation with an error

Front doors map the *kind* of an error to a wire code in one table each; `code` overrides it where AWS clients
match on a particular one.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class TowpathError(Exception):
    """Something the caller can act on. The docstring of a subclass is its default message."""

    def __init__(self, message: str | None = None, *, code: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.code = code
        super().__init__(self.message)


class Invalid(TowpathError):
    """The request is not valid."""


class Absent(Invalid):
    """There is no such object."""


class NotFound(TowpathError):
    """There is no such resource."""


class Conflict(TowpathError):
    """The resource is not in a state that allows this."""


class InProgress(Conflict):
    """The resource is just being changed; wait until that has ended."""


class StaleRevision(Conflict):
    """Another writer changed the resource first; read it again and decide anew."""


class InUse(TowpathError):
    """The resource is still in use."""


class Denied(TowpathError):
    """The caller may not do this."""


class LimitExceeded(TowpathError):
    """A limit would be exceeded."""


class Unsupported(TowpathError):
    """This is not built yet."""


class Unavailable(TowpathError):
    """This cannot be done right now; try again."""


class DiskFull(Unavailable):
    """The disk of the platform's home is full, and nothing was changed. Make room there and try again; \
`towpath gc --dry-run` says what the platform itself could give up."""


class ModelFailed(TowpathError):
    """The model answered with an error."""


@contextmanager
def noticing_full_disk() -> Iterator[None]:
    """Raise DiskFull where the system says that there is no room for what is done inside, on the disk or in a quota."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull from error
