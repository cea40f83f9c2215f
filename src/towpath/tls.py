"""The certificate of a server: read from PEM files, and checked the way its clients will check it."""

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from towpath.kernel.errors import Invalid

_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_KEY = "PRIVATE KEY-----"
_OTHERS_MAY_READ = 0o004
_MOST_ROUNDS = 10  #: of a handshake: two are needed


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a server needs to speak TLS (1.2 or newer).

    Args:
        certificate: PEM file of the certificate, followed by those that lead to its authority.
        key: PEM file of its private key, without a passphrase.
    Raises:
        Invalid: a file cannot be read, does not hold what it should, or the two do not belong together.
    """
    _holding(certificate, _CERTIFICATE, "tls_certificate", "a certificate in PEM (-----BEGIN CERTIFICATE-----)")
    _holding(key, _KEY, "tls_key", "a private key in PEM (-----BEGIN PRIVATE KEY-----)")
    if key.stat().st_mode & _OTHERS_MAY_READ:
        raise Invalid(f"tls_key: everybody on this host may read {key}; take that right away: chmod o-r {key}")

    def refuse_passphrase() -> str:
        raise Invalid(f"tls_key: {key} is encrypted, and nobody is there to say the passphrase; store it without one")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Invalid(f"tls_key: {key} is not the key of the certificate in {certificate}") from error
        raise Invalid(
            f"tls_certificate and tls_key: {certificate} and {key} cannot be used: {error.reason or error}"
        ) from error
    return context


def client_context(ca: Path | None) -> ssl.SSLContext:
    """Return what a client checks the server by: the authorities of a PEM file, else those that this system knows.

    Raises:
        Invalid: the file cannot be read or holds no certificate.
    """
    if ca is None:
        return ssl.create_default_context()
    _holding(ca, _CERTIFICATE, "tls_ca", "certificates in PEM (-----BEGIN CERTIFICATE-----)")
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise Invalid(f"tls_ca: {ca} cannot be used: {error.reason or error}") from error


def check_trust(server: ssl.SSLContext, client: ssl.SSLContext, url: str) -> None:
    """Refuse a certificate that clients would refuse, by a handshake in memory.

    Raises:
        Invalid: it has expired, is for another name, or its authority is not known; says which.
    """
    name = urlsplit(url).hostname or ""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(_MOST_ROUNDS):
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                raise Invalid(
                    f"tls_certificate: clients would refuse it at {url}: {error.verify_message}. Set url to an address "
                    "with a name that the certificate holds, and tls_ca to the PEM file of its authority (the "
                    "certificate itself where that is self-signed)"
                ) from error
        if not ends:
            return
    raise Invalid(f"tls_certificate: no client could agree with this server on TLS at {url}")


def _holding(file: Path, mark: str, setting: str, expected: str) -> None:
    try:
        text = file.read_text("ascii", errors="replace")
    except OSError as error:
        raise Invalid(f"{setting}: {file} cannot be read: {error.strerror}") from error
    if mark not in text:
        raise Invalid(f"{setting}: {file} holds no such thing; expected {expected}")
