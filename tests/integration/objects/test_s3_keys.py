"""Keys of the bucket that are not in the settings: where they are looked for, and where not."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from towpath.kernel.errors import Invalid
from towpath.objects.location import S3Location, location_of
from towpath.objects.s3 import S3Objects, client_of

pytestmark = pytest.mark.slow


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Return what the metadata service of this virtual machine is asked; nothing else here knows of any keys."""
    paths: list[str] = []

    class Metadata(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        do_GET = do_PUT

        def log_message(self, format: str, *_: object) -> None:
            pass

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as service:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{service.server_port}/")
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        yield paths
        service.shutdown()
        thread.join()


@pytest.fixture
def location() -> S3Location:
    found = location_of("s3://lake/of/?endpoint=http://127.0.0.1:1")
    assert found is not None
    return found


def test_no_metadata_service_is_asked_unless_a_setting_says_so(
    asked: list[str], location: S3Location, tmp_path: Path
) -> None:
    with pytest.raises(Invalid, match="objects_access_key"):
        S3Objects(client_of(location), location, tmp_path, cache_bytes=0)
    assert asked == []
    with pytest.raises(Invalid, match="objects_access_key"):
        S3Objects(client_of(location, keys_of_instance=True), location, tmp_path, cache_bytes=0)
    assert asked != []


def test_keys_of_the_environment_are_found(
    asked: list[str], location: S3Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    url = client_of(location).generate_presigned_url("get_object", Params={"Bucket": "lake", "Key": "k"})
    assert "of-the-environment" in url
    assert asked == []
