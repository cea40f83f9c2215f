"""A certificate that no client would take, or files that are none, are refused at start, in words."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.certificates import make_certificate

from towpath.kernel.errors import Invalid
from towpath.tls import check_trust, client_context, server_context

URL = "https://127.0.0.1:7400"


def test_a_certificate_that_clients_take_is_taken(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "127.0.0.1", "towpath.example")
    context, client = server_context(made.certificate, made.key), client_context(made.certificate)
    check_trust(context, client, URL)
    check_trust(context, client, "https://towpath.example")
    with pytest.raises(Invalid, match=r"refuse it at https://other\.example"):
        check_trust(context, client, "https://other.example")


def test_one_for_another_name_an_expired_one_and_one_of_an_unknown_authority_are_refused(tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "towpath.example", name="other")
    with pytest.raises(Invalid, match=r"refuse it at https://127.0.0.1:7400: .*127.0.0.1"):
        check_trust(server_context(other.certificate, other.key), client_context(other.certificate), URL)
    old = make_certificate(tmp_path, "127.0.0.1", name="old", ends_in=timedelta(days=-1))
    with pytest.raises(Invalid, match="expired"):
        check_trust(server_context(old.certificate, old.key), client_context(old.certificate), URL)
    unknown = make_certificate(tmp_path, "127.0.0.1", name="unknown")
    with pytest.raises(Invalid, match=r"self.signed.*tls_ca"):
        check_trust(server_context(unknown.certificate, unknown.key), client_context(None), URL)


def test_files_that_are_missing_or_hold_something_else_are_named(tmp_path: Path) -> None:
    made, other = make_certificate(tmp_path, "127.0.0.1"), make_certificate(tmp_path, "127.0.0.1", name="other")
    with pytest.raises(Invalid, match=r"tls_certificate: .*gone.pem cannot be read: No such file"):
        server_context(tmp_path / "gone.pem", made.key)
    with pytest.raises(Invalid, match=r"tls_certificate: .*server.key holds no such thing"):
        server_context(made.key, made.key)
    with pytest.raises(Invalid, match=r"tls_key: .*server.pem holds no such thing"):
        server_context(made.certificate, made.certificate)
    with pytest.raises(Invalid, match=r"other.key is not the key of the certificate in .*server.pem"):
        server_context(made.certificate, other.key)
    with pytest.raises(Invalid, match="tls_ca"):
        client_context(made.key)
    made.key.chmod(0o644)
    with pytest.raises(Invalid, match=r"everybody on this host may read .*chmod o-r"):
        server_context(made.certificate, made.key)


def test_a_key_with_a_passphrase_is_refused_instead_of_asked_for(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "127.0.0.1", passphrase=b"secret")
    with pytest.raises(Invalid, match="encrypted"):
        server_context(made.certificate, made.key)


def test_a_damaged_certificate_is_refused(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "127.0.0.1")
    made.certificate.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with pytest.raises(Invalid, match="cannot be used"):
        server_context(made.certificate, made.key)
