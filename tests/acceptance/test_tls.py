"""A server with a certificate, and one behind a proxy that has it: what clients of each kind meet, on real servers."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import Machine
from tests.certificates import make_certificate

import towpath
import towpath.aws
from towpath.aws import client_environment
from towpath.home import HomeFolder
from towpath.sdk.client import Client
from towpath.sdk.errors import NoServer

pytestmark = pytest.mark.acceptance

#: What an unmodified client of AWS does: STS by its host at AWS, an object in parts, which botocore sends over TLS in
#: chunks with a trailing checksum, and a call of SageMaker.
PROGRAM = """
import boto3, io, os
assert os.environ["AWS_ENDPOINT_URL"].startswith("https://")
print(boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com").get_caller_identity()["Account"])
s3 = boto3.client("s3")
s3.create_bucket(Bucket="over-tls")
s3.put_object(Bucket="over-tls", Key="small", Body=b"small")
large = os.urandom(9 << 20)
s3.upload_fileobj(io.BytesIO(large), "over-tls", "large")
assert s3.get_object(Bucket="over-tls", Key="small")["Body"].read() == b"small"
back = io.BytesIO()
s3.download_fileobj("over-tls", "large", back)
assert back.getvalue() == large
assert "ContentEncoding" not in s3.head_object(Bucket="over-tls", Key="small")
print(boto3.client("sagemaker").list_models()["Models"])
"""


def settings(machine: Machine, **given: object) -> None:
    """Write the settings of a home."""
    machine.home.path.mkdir(exist_ok=True)
    lines = [f"{name} = {json.dumps(value)}" for name, value in given.items()]
    machine.home.settings_file.write_text("\n".join(lines) + "\n")


def test_every_client_talks_tls_to_a_server_with_a_certificate(machine: Machine, tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "127.0.0.1")
    settings(
        machine, port=0, tls_certificate=str(made.certificate), tls_key=str(made.key), tls_ca=str(made.certificate)
    )
    server = machine.up()
    assert server.url.startswith("https://127.0.0.1:")

    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert machine.towpath("exec", "--", "python", str(program)).split() == ["000000000000", "[]"]
    assert machine.json("env")["AWS_CA_BUNDLE"] == str(made.certificate)
    notebook = towpath.aws.session(machine.home.path)
    assert notebook.client("s3").get_object(Bucket="over-tls", Key="small")["Body"].read() == b"small"

    key = machine.json("keys", "create", "ada", "--role=administrator")
    with Client(home=machine.home.path) as client:
        assert {entry.user for entry in client.keys.ls()} == {"ada", "admin"}
    elsewhere = {
        "TOWPATH_ENDPOINT": server.url,
        "AWS_CA_BUNDLE": str(made.certificate),
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    hers = client_environment(HomeFolder(tmp_path / "her-own"), elsewhere)
    assert {name: hers.values[name] for name in elsewhere} == elsewhere, "as on a machine without the home"
    assert (
        "AWS_SESSION_TOKEN"
        in client_environment(
            HomeFolder(tmp_path / "her-own"), {**elsewhere, "AWS_SESSION_TOKEN": "of-a-session"}
        ).values
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CA_BUNDLE", str(made.certificate))
        with Client(server.url, token=hers.values["TOWPATH_TOKEN"]) as client:
            assert client.call("SageMaker.ListModels") == {"Models": []}
    with pytest.raises(NoServer, match="AWS_CA_BUNDLE"):
        Client(server.url, token=key["SecretAccessKey"]).call("SageMaker.ListModels")
    plain = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=60)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        plain.request("GET", "/health")
        plain.getresponse()
    plain.close()
    old = ssl.create_default_context(cafile=made.certificate)
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_2
    with urllib.request.urlopen(f"{server.url}/health", context=old, timeout=60) as answer:
        assert json.load(answer)["home"]


def test_a_server_that_its_clients_would_refuse_does_not_start(machine: Machine, tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "towpath.example")
    files = {"tls_certificate": str(made.certificate), "tls_key": str(made.key), "tls_ca": str(made.certificate)}
    settings(machine, port=0, **files)
    assert "clients would refuse it" in machine.towpath("up", "--background", code=3)
    settings(machine, host="192.0.2.1")
    assert "there is no TLS" in machine.towpath("up", code=1)


def test_behind_a_proxy_a_key_is_needed_that_was_made_for_somebody(machine: Machine) -> None:
    settings(machine, port=0, tls_ends_at_proxy=True)
    assert "towpath keys create" in machine.towpath("up", "--background", code=3)
    settings(machine, port=0)
    machine.up()
    ada = machine.json("keys", "create", "ada", "--role=administrator")
    machine.towpath("down")
    settings(machine, port=0, tls_ends_at_proxy=True)
    url = machine.up().url
    own = machine.home.credentials()
    assert own is not None
    assert [key["UserName"] for key in machine.json("keys", "ls")] == ["ada", "admin"], (
        "by the command line of this host"
    )

    def passed_on(token: str) -> Any:
        """Ask as a proxy does, for a caller from elsewhere."""
        headers = {
            "Authorization": f"Bearer {token}",
            "X-Forwarded-For": "192.0.2.7",
            "X-Amz-Target": "SageMaker.ListModels",
            "Content-Type": "application/x-amz-json-1.1",
        }
        with urllib.request.urlopen(urllib.request.Request(url, b"{}", headers), timeout=60) as answer:
            return json.load(answer)

    assert passed_on(ada["BearerToken"]) == {"Models": []}
    with pytest.raises(urllib.error.HTTPError) as refused:
        passed_on(own.token)
    assert refused.value.code == 403
    assert "good on the server's own host alone" in json.load(refused.value)["message"]
