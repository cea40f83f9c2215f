"""What `towpath invoke` says where it gets no answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.cli import hosting
from towpath.home import HomeFolder
from towpath.sdk import ClientError, ModelError, NotFound
from towpath.sdk.errors import RequestFailed
from towpath.sdk.registry import ModelVersion


@pytest.fixture
def invoked(answers: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that asks an endpoint `nix` whose request fails in some way."""

    def invoke(fault: Exception, *there: str) -> None:
        client = answers(ListEndpoints={"Endpoints": [{"EndpointName": name} for name in there]})

        def refuse(*_: object, **__: object) -> None:
            raise fault

        monkeypatch.setattr(client, "invoke", refuse)
        monkeypatch.setattr(hosting, "connect", lambda home: client)
        hosting.invoke("nix", text="x")

    return invoke


def test_whoever_no_longer_waits_for_an_endpoint_learns_where_to_see_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = HomeFolder(tmp_path / "elsewhere")
    with pytest.raises(KeyboardInterrupt), hosting.waiting_for_endpoint("Waiting", home):
        raise KeyboardInterrupt
    told = capsys.readouterr().err
    assert "goes on" in told
    assert f"towpath ps --home {home.path}" in told


@pytest.mark.parametrize(
    ("takes", "said"),
    [
        ([], "--json '…', --text '…' or --file FILE, whichever its model takes"),
        (["application/json"], "--json '…'   (own/1 says that it takes application/json; "),
        (
            ["text/csv; charset=utf-8", "application/json"],
            "--file FILE.csv or --json '…'   (own/1 says that it takes text/csv, application/json; ",
        ),
        (["application/x-npy"], "--file FILE --content-type application/x-npy   (own/1 says that it takes application"),
    ],
)
def test_what_is_recommended_to_send_is_what_the_version_says_that_it_takes(takes: list[str], said: str) -> None:
    described = {"InferenceSpecification": {"SupportedContentTypes": takes}}
    version = ModelVersion(group="own", version=1, arn="a", approval="Approved", described=described)
    assert hosting.how_to_send(version).startswith(said)


REFUSED = RequestFailed("ValidationError", "Endpoint nix of account 0 not found.", status=400)


def test_an_endpoint_that_is_not_there_is_told_with_those_that_are(invoked: Callable[..., None]) -> None:
    with pytest.raises(NotFound, match="there is no endpoint 'nix'; known: shop, wine"):
        invoked(REFUSED, "shop", "wine")
    with pytest.raises(NotFound, match="make one: towpath deploy GROUP/VERSION"):
        invoked(REFUSED)


def test_what_an_endpoint_that_is_there_refuses_is_told_as_it_is(invoked: Callable[..., None]) -> None:
    with pytest.raises(RequestFailed) as raised:
        invoked(REFUSED, "nix")
    assert raised.value is REFUSED


def test_an_error_of_the_model_names_its_log(invoked: Callable[..., None]) -> None:
    with pytest.raises(ClientError, match="ValueError: no text\nIts log: towpath logs nix"):
        invoked(ModelError("ModelError", "ValueError: no text", status=424), "nix")
