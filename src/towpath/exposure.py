"""Who may reach a server: the addresses that it may listen on, and the keys that it needs there."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from towpath.kernel.errors import Invalid
from towpath.kernel.principals import AccessKey
from towpath.settings import Settings

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  #: an address that means all -> the one of them on loopback


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on is reached by processes of this host alone.

    A name other than `localhost` may mean any address, so it counts as one that others reach.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_shared(settings: Settings) -> bool:
    """Return whether the settings let others than processes of this host reach the server."""
    return settings.tls_ends_at_proxy or not is_loopback(settings.host)


def check_transport(settings: Settings) -> None:
    """Refuse settings by which keys and documents would cross a network that anybody can read.

    Raises:
        Invalid: says which setting is missing, or which two do not go together.
    """
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise Invalid("tls_certificate and tls_key go together; one of them is empty")
    if settings.tls_ca and not settings.tls_certificate:
        raise Invalid("tls_ca says what a certificate is checked by; set tls_certificate and tls_key, or leave it out")
    if settings.tls_certificate and settings.tls_ends_at_proxy:
        raise Invalid("tls_certificate and tls_ends_at_proxy exclude each other: TLS ends here, or in front of here")
    if settings.url:
        parts = urlsplit(settings.url)
        if not settings.tls_certificate:
            raise Invalid(
                "url is the address that a certificate stands for; set tls_certificate and tls_key, or leave it out"
            )
        if parts.scheme != "https" or not parts.hostname or parts.path not in {"", "/"} or parts.query:
            raise Invalid(f"url is {settings.url!r}; expected https://HOST or https://HOST:PORT")
    if not is_loopback(settings.host) and not (settings.tls_certificate or settings.tls_ends_at_proxy):
        raise Invalid(
            f"host is {settings.host!r}, which others can reach, and there is no TLS: set tls_certificate and tls_key, "
            "or tls_ends_at_proxy where a proxy in front of this server has the certificate. "
            "Without them a server listens on loopback: 127.0.0.1, ::1 or localhost"
        )


def check_keys(settings: Settings, keys: Iterable[AccessKey], *, own: str) -> None:
    """Refuse to serve others while nobody has a key that was made for them.

    Args:
        own: the access key that the server made for itself, which is good on this host alone.
    Raises:
        Invalid: says how to make a key.
    """
    if not is_shared(settings):
        return
    if any(key.active and key.expires_at is None and key.access_key != own for key in keys):
        return
    where = "a proxy" if settings.tls_ends_at_proxy else f"host {settings.host!r}"
    raise Invalid(
        f"By the settings others reach this server ({where}), and no key was made for anybody yet: the administrator's "
        "own key is good on this host alone. Start the server on loopback once (without host and tls_ends_at_proxy), "
        "make keys with `towpath keys create NAME`, and start it again"
    )


def address_of(settings: Settings, bound: str, port: int) -> str:
    """Return the URL by which clients on this host find a server that listens there.

    Args:
        bound: the address that it listens on, as the system tells it.
    """
    if settings.url:
        return settings.url.rstrip("/")
    scheme = "https" if settings.tls_certificate else "http"
    host = _WILDCARDS.get(bound, bound)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
