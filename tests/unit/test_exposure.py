"""Which addresses a server may listen on, and with which keys."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath.exposure import address_of, check_keys, check_transport, is_loopback, is_shared
from towpath.kernel.errors import Invalid
from towpath.kernel.principals import AccessKey
from towpath.settings import Settings

NOW = datetime(2026, 11, 28, tzinfo=UTC)
FILES: dict[str, Any] = {"tls_certificate": "c.pem", "tls_key": "k.pem"}
HOSTS = st.sampled_from(
    ["127.0.0.1", "127.0.0.9", "::1", "localhost", "0.0.0.0", "::", "10.0.0.7", "192.0.2.1", "2001:db8::1", "host"]
)


def key(name: str, **members: object) -> AccessKey:
    given = {"access_key": name, "secret_key": "s", "principal": "ada", "created_at": NOW, **members}
    return AccessKey(**given)  # type: ignore[arg-type] # the names are those of its members


KEYS = st.lists(
    st.builds(
        key,
        st.sampled_from(["OWN", "A", "B"]),
        active=st.booleans(),
        expires_at=st.sampled_from([None, NOW + timedelta(hours=1)]),
    )
)


@given(HOSTS, st.booleans(), st.booleans(), KEYS)
def test_whoever_others_can_reach_has_tls_and_a_key_that_was_made_for_them(
    host: str, files: bool, proxy: bool, keys: list[AccessKey]
) -> None:
    settings = Settings(host=host, tls_ends_at_proxy=proxy, **(FILES if files else {}))
    try:
        check_transport(settings)
        check_keys(settings, keys, own="OWN")
    except Invalid:
        return
    assert not (files and proxy)
    if is_shared(settings):
        assert files or proxy
        assert any(key.active and key.expires_at is None and key.access_key != "OWN" for key in keys)


@given(KEYS)
def test_on_loopback_the_administrators_own_key_is_enough(keys: list[AccessKey]) -> None:
    for host in ("127.0.0.1", "::1", "localhost"):
        settings = Settings(host=host)
        assert not is_shared(settings)
        check_transport(settings)
        check_keys(settings, keys, own="OWN")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "towpath.example"])
def test_a_server_that_others_reach_without_tls_is_refused_with_the_settings_that_it_needs(host: str) -> None:
    with pytest.raises(Invalid, match="tls_certificate and tls_key, or tls_ends_at_proxy"):
        check_transport(Settings(host=host))
    check_transport(Settings(host=host, **FILES))
    check_transport(Settings(host=host, tls_ends_at_proxy=True))
    with pytest.raises(Invalid, match="towpath keys create"):
        check_keys(Settings(host=host, **FILES), [key("OWN")], own="OWN")
    check_keys(Settings(host=host, **FILES), [key("OWN"), key("A")], own="OWN")


def test_a_proxy_in_front_of_loopback_lets_others_in_as_well() -> None:
    behind = Settings(tls_ends_at_proxy=True)
    assert is_shared(behind)
    with pytest.raises(Invalid, match="towpath keys create"):
        check_keys(behind, [key("OWN")], own="OWN")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(tls_certificate="c.pem"), "go together"),
        (Settings(tls_key="k.pem"), "go together"),
        (Settings(tls_ca="ca.pem"), "tls_ca"),
        (Settings(tls_ends_at_proxy=True, **FILES), "exclude each other"),
        (Settings(url="https://host:7400"), "url"),
        (Settings(url="http://host:7400", **FILES), "expected https://HOST"),
        (Settings(url="https://host/below", **FILES), "expected https://HOST"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: Settings, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        check_transport(settings)


def test_only_addresses_of_this_host_alone_are_loopback() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.7", "localhost.example", ""))


def test_clients_of_this_host_find_the_server_by_an_address_that_they_can_use() -> None:
    assert address_of(Settings(), "127.0.0.1", 7400) == "http://127.0.0.1:7400"
    assert address_of(Settings(tls_ends_at_proxy=True), "0.0.0.0", 7400) == "http://127.0.0.1:7400"
    assert address_of(Settings(**FILES), "::", 7400) == "https://[::1]:7400"
    assert address_of(Settings(url="https://towpath.example:7400/", **FILES), "0.0.0.0", 7400) == (
        "https://towpath.example:7400"
    )
