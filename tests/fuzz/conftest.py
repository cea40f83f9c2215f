"""One real server for all that is thrown at it, and how much that is."""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import Machine
from tests.fuzz.budget import BUDGET_S, Budget, Share
from tests.fuzz.documents import ARTIFACT, EXECUTION, MEMBERS, PACKAGE
from tests.fuzz.door import Door, form

from towpath.home import HomeFolder

EACH = 25  #: requests to each operation where nothing is said, always the same ones; fewer where time is short
#: How many requests each operation gets; S3 and invocations, which are one test each, get a multiple of it.
EXAMPLES = int(os.environ.get("TOWPATH_FUZZ_EXAMPLES", "0"))
SEED = int(os.environ.get("TOWPATH_TEST_SEED") or secrets.randbelow(2**32)) if EXAMPLES else 0


#: A file with the names of tests that have passed; they are left out, so that a long run can be taken up again.
PASSED = Path(os.environ["TOWPATH_FUZZ_PASSED"]) if "TOWPATH_FUZZ_PASSED" in os.environ else None


_SHARED = pytest.StashKey[Budget]()


def pytest_collection_finish(session: pytest.Session) -> None:
    thrown = sum("share" in getattr(item, "fixturenames", ()) for item in session.items)
    session.config.stash[_SHARED] = Budget(BUDGET_S, thrown)


@pytest.fixture
def share(door: Door, request: pytest.FixtureRequest) -> Share | None:
    """Return the time that a test has for its requests; None where somebody said how many to send."""
    return None if EXAMPLES else request.config.stash[_SHARED].share()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if PASSED is None or not PASSED.exists():
        return
    passed = set(PASSED.read_text("utf-8").splitlines())
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in passed])
    items[:] = [item for item in items if item.nodeid not in passed]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if PASSED is not None and report.when == "call" and report.passed:
        with PASSED.open("a", encoding="utf-8") as file:  # one write of one line: workers append to it together
            file.write(f"{report.nodeid}\n")


def pytest_report_header() -> str:
    return f"fuzzing: seed {SEED}, {EXAMPLES} requests for each operation" if EXAMPLES else ""


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder: Path = tmp_path_factory.mktemp("fuzz")
    machine = Machine(HomeFolder(folder / "home"))
    server = machine.up()
    door = Door(machine, server.url)
    try:
        furnish(door, anew=True)
        yield door
        assert door.health()["pid"] == server.pid, "the server that was started is the one that answers"
        log = machine.home.server_log.read_text("utf-8", errors="replace").splitlines()
        assert [line for line in log if " ERROR " in line] == [], "nor does anything fail behind an answer"
    finally:
        door.hang_up()
        machine.towpath("down", "--all")


def furnish(door: Door, *, anew: bool = False) -> None:
    """Make what requests name, or make it again, so that they get beyond the check of names.

    Args:
        anew: nothing of it is there yet, so that each has to be made.
    """
    for path, body in (("/fuzz", b""), ("/fuzz/key", b"not a model"), ("/fuzz/in/a", b"1")):
        assert door.send("s3", "PUT", path, {}, body).status == 200
    for service, operation, document in FURNITURE:
        asked: Any = form(operation, document) if service == "iam" else document
        answer = door.check(door.ask(service, operation, asked))
        assert answer.status == 200 or not anew, f"{operation}: {answer.body[:500]!r}"
        if answer.status == 200 and operation in CHOSEN:
            placeholder, member = CHOSEN[operation]
            door.known[placeholder] = json.loads(answer.body)[member]


ROLE = "arn:aws:iam::000000000000:role/any"
POLICY = '{"Version":"2012-10-17","Statement":[]}'
JOB = {
    "RoleArn": ROLE,
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}
RESOURCES = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
ENDS = ["python3", "-c", "print('ended')"]
IMAGE = MEMBERS["Image"][0]
SOURCE = {"Source": {"SourceUri": "s3://fuzz/key"}}
#: Operation -> the name that documents have for what it makes, and the member of its answer with the real one.
CHOSEN = {
    "StartPipelineExecution": (EXECUTION, "PipelineExecutionArn"),
    "CreateModelPackage": (PACKAGE, "ModelPackageArn"),
    "CreateArtifact": (ARTIFACT, "ArtifactArn"),
}
FURNITURE: list[tuple[str, str, dict[str, Any]]] = [
    ("sqs", "CreateQueue", {"QueueName": "fuzz"}),
    *(
        ("sagemaker", operation, document)
        for operation, document in (
            ("CreateExperiment", {"ExperimentName": "fuzz"}),
            (
                "CreatePipeline",
                {"PipelineName": "fuzz", "PipelineDefinition": MEMBERS["PipelineDefinition"][0], "RoleArn": ROLE},
            ),
            ("StartPipelineExecution", {"PipelineName": "fuzz", "ClientRequestToken": "f" * 32}),
            ("CreateModelPackageGroup", {"ModelPackageGroupName": "fuzz"}),
            (
                "CreateModelPackage",
                {
                    "ModelPackageGroupName": "fuzz",
                    "ClientToken": "f" * 36,
                    "InferenceSpecification": {"Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://fuzz/key"}]},
                },
            ),
            ("CreateTrial", {"TrialName": "fuzz", "ExperimentName": "fuzz"}),
            ("CreateTrialComponent", {"TrialComponentName": "fuzz"}),
            ("AssociateTrialComponent", {"TrialName": "fuzz", "TrialComponentName": "fuzz"}),
            ("CreateAction", {"ActionName": "fuzz", "ActionType": "T", **SOURCE}),
            ("CreateContext", {"ContextName": "fuzz", "ContextType": "T", **SOURCE}),
            ("CreateArtifact", {"ArtifactName": "fuzz", "ArtifactType": "T", **SOURCE}),
            ("CreateModelCard", {"ModelCardName": "fuzz", "Content": "{}", "ModelCardStatus": "Draft"}),
            (
                "CreateTrainingJob",
                {
                    "TrainingJobName": "fuzz",
                    "AlgorithmSpecification": {
                        "TrainingImage": IMAGE,
                        "TrainingInputMode": "File",
                        "ContainerEntrypoint": ENDS,
                    },
                    "OutputDataConfig": {"S3OutputPath": "s3://fuzz/out"},
                    "ResourceConfig": RESOURCES,
                    **JOB,
                },
            ),
            (
                "CreateProcessingJob",
                {
                    "ProcessingJobName": "fuzz",
                    "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ENDS},
                    "ProcessingResources": {"ClusterConfig": RESOURCES},
                    **JOB,
                },
            ),
            (
                "CreateModel",
                {"ModelName": "fuzz", "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": ROLE},
            ),
            (
                "CreateEndpointConfig",
                {
                    "EndpointConfigName": "fuzz",
                    "ProductionVariants": [
                        {
                            "VariantName": "fuzz",
                            "ModelName": "fuzz",
                            "InitialInstanceCount": 1,
                            "InstanceType": "ml.m5.large",
                        }
                    ],
                },
            ),
            # Its model has no script, so that it ends in the status Failed.
            ("CreateEndpoint", {"EndpointName": "fuzz", "EndpointConfigName": "fuzz"}),
        )
    ),
    ("towpath", "CreateDatasetVersion", {"DatasetName": "fuzz", "S3Uri": "s3://fuzz/in/"}),
    ("towpath", "PutJobSecret", {"Name": "fuzz", "Value": "not-a-secret"}),
    ("iam", "CreateUser", {"UserName": "fuzz"}),
    ("iam", "CreateRole", {"RoleName": "fuzz", "AssumeRolePolicyDocument": POLICY}),
    ("iam", "PutRolePolicy", {"RoleName": "fuzz", "PolicyName": "fuzz", "PolicyDocument": POLICY}),
    ("iam", "CreatePolicy", {"PolicyName": "fuzz", "PolicyDocument": POLICY}),
]
