"""The deployment as a document: the model is tried before the endpoint is touched, by scripts that find their files."""

from typing import Any

import pytest

import deploy
import smoke


@pytest.fixture(scope="module")
def steps() -> dict[str, dict[str, Any]]:
    return {each["Name"]: each for each in deploy.pipeline.definition()["Steps"]}


def test_only_the_version_has_to_be_given() -> None:
    declared = deploy.pipeline.definition()["Parameters"]
    assert [each["Name"] for each in declared if "DefaultValue" not in each] == ["ModelPackageArn"]


def test_the_model_is_the_version_that_was_approved(steps: dict[str, dict[str, Any]]) -> None:
    container = steps["CreateModel"]["Arguments"]["PrimaryContainer"]
    assert container == {"ModelPackageName": {"Get": "Parameters.ModelPackageArn"}}


def test_the_endpoint_changes_only_after_the_smoke_test(steps: dict[str, dict[str, Any]]) -> None:
    assert steps["Config"]["DependsOn"] == ["SmokeTest"]
    assert steps["Serve"]["Arguments"]["EndpointConfigName"] == {"Get": "Steps.Config.EndpointConfigName"}


def test_executions_share_no_name_but_that_of_the_endpoint(steps: dict[str, dict[str, Any]]) -> None:
    # Models and configurations without a name get one that begins with the execution's id.
    assert "ModelName" not in steps["CreateModel"]["Arguments"]
    assert "EndpointConfigName" not in steps["Config"]["Arguments"]
    assert steps["Serve"]["Arguments"]["EndpointName"] == {"Get": "Parameters.Endpoint"}


def test_the_script_writes_and_reads_where_the_pipeline_looks(steps: dict[str, dict[str, Any]]) -> None:
    settings = smoke.parse(steps["Questions"]["Arguments"]["AppSpecification"]["ContainerArguments"])
    (written,) = steps["Questions"]["Arguments"]["ProcessingOutputConfig"]["Outputs"]
    assert (settings.part, str(settings.questions)) == ("ask", written["S3Output"]["LocalPath"])
    judged = steps["SmokeTest"]["Arguments"]
    settings = smoke.parse(judged["AppSpecification"]["ContainerArguments"])
    read = {each["InputName"]: each["S3Input"]["LocalPath"] for each in judged["ProcessingInputs"]}
    assert (settings.part, str(settings.answers)) == ("check", read["answers"])
