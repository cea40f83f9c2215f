"""What clients of AWS are told: variables, what must not be set, and the SDKs' defaults file."""

from pathlib import Path

from towpath.aws import ClientEnvironment, sdk_config
from towpath.aws.environment import _data_path, _no_proxy, service_models

URL = "http://127.0.0.1:7400"


def test_changes_replace_add_and_take_away() -> None:
    changes = ClientEnvironment(values={"A": "1", "B": "2"}, unset=("C",))
    assert changes.applied({"A": "0", "C": "3", "D": "4"}) == {"A": "1", "B": "2", "D": "4"}


def test_a_proxy_is_told_to_leave_the_server_alone() -> None:
    assert _no_proxy(URL, {}) == {}
    proxy = {"HTTP_PROXY": "http://proxy:3128"}
    assert _no_proxy(URL, proxy)["NO_PROXY"] == "127.0.0.1"
    assert _no_proxy(URL, {**proxy, "no_proxy": "intranet"})["no_proxy"] == "intranet,127.0.0.1"
    assert _no_proxy(URL, {**proxy, "NO_PROXY": "127.0.0.1"})["no_proxy"] == "127.0.0.1"
    assert _no_proxy(URL, {**proxy, "NO_PROXY": "*"})["no_proxy"] == "*"


def test_models_of_services_that_were_known_stay_known() -> None:
    ours = str(service_models())
    assert Path(ours, "towpath").is_dir()
    assert _data_path({}) == ours
    assert _data_path({"AWS_DATA_PATH": "/a"}) == f"/a:{ours}" == _data_path({"AWS_DATA_PATH": f"/a:{ours}"})


def test_the_defaults_file_names_bucket_role_and_no_telemetry_and_is_written_once(tmp_path: Path) -> None:
    written = sdk_config.write(tmp_path / "clients", account="123456789012", region="us-east-1", role="arn:r")
    text = written.read_text()
    assert 'DefaultS3Bucket: "sagemaker-us-east-1-123456789012"' in text
    assert 'RoleArn: "arn:r"' in text
    assert "TelemetryOptOut: true" in text
    before = written.stat()
    assert sdk_config.write(tmp_path / "clients", account="123456789012", region="us-east-1", role="arn:r") == written
    assert written.stat() == before
    assert list((tmp_path / "clients").iterdir()) == [written]
