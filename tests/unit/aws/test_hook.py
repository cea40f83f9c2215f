"""What `towpath exec` puts first on PYTHONPATH: which clients it sends elsewhere, and that nobody else notices it."""

import subprocess
import sys
from pathlib import Path

import pytest

from towpath.aws import HOOK
from towpath.aws.hook.sitecustomize import SERVICES, address, redirect
from towpath.gateway.gateway import SERVICES as SERVED

SERVER = "http://127.0.0.1:7400"


def test_every_service_of_the_front_door_is_known_to_the_hook() -> None:
    assert set(SERVED) <= SERVICES


@pytest.mark.parametrize(
    "url",
    [
        "https://sts.us-east-1.amazonaws.com",
        "https://sts.amazonaws.com/",
        "https://sts.cn-north-1.amazonaws.com.cn",
        "https://sts.us-east-1.api.aws:443",
    ],
)
def test_a_host_of_aws_becomes_the_server(url: str) -> None:
    assert address("sts", url, SERVER) == SERVER


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ("sts", "http://localhost:4566"),
        ("s3", "https://minio.example.com"),
        ("s3", "https://amazonaws.com.example.com"),
        ("dynamodb", "https://dynamodb.us-east-1.amazonaws.com"),
        ("sts", None),
    ],
)
def test_every_other_address_stays(service: str, url: str | None) -> None:
    assert address(service, url, SERVER) == url


def test_without_a_server_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        def create_client(self, service_name: str, region_name: str = "", endpoint_url: str = "") -> tuple[str, str]:
            """Make a client."""
            return service_name, endpoint_url

    redirect(Session)
    url = "https://sts.us-east-1.amazonaws.com"
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert Session().create_client("sts", endpoint_url=url) == ("sts", url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", SERVER)
    assert Session().create_client("sts", endpoint_url=url) == ("sts", SERVER)
    assert Session.create_client.__doc__ == "Make a client."


def python(code: str, *folders: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a Python that loads the hook, with further folders behind it."""
    path = ":".join(map(str, (HOOK, *folders)))
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_sitecustomize_that_was_there_is_loaded_and_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("MARK = 'theirs'\n")
    done = python("import sitecustomize; print(sitecustomize.MARK, sitecustomize.__file__)", tmp_path)
    assert done.stdout.split() == ["theirs", str(tmp_path / "sitecustomize.py")], done.stderr


@pytest.mark.slow
def test_an_error_in_the_one_that_was_there_is_told_as_ever(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('theirs')\n")
    done = python("print('goes on')", tmp_path)
    assert (done.returncode, done.stdout) == (0, "goes on\n")
    assert "RuntimeError: theirs" in done.stderr


@pytest.mark.slow
def test_a_program_without_botocore_loads_nothing_for_the_hook() -> None:
    done = python("import sys; print([n for n in ('botocore', 'urllib.parse') if n in sys.modules])")
    assert done.stdout == "[]\n", done.stderr
