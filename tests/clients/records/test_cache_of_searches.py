"""The cache of Tuning steps and of checks, through unmodified boto3 on a real server."""

import itertools
import json
from typing import Any

import pytest
from tests.clients.records.conftest import ROLE, Aws
from tests.clients.records.test_cache import archive, explanation_of
from tests.clients.records.test_flow import CHECK, check, create, job, run
from tests.clients.records.test_tuning import request

from towpath.cli.explaining import cache_of
from towpath.sdk import Client

pytestmark = pytest.mark.slow

CACHE = {"Enabled": True, "ExpireAfter": "P1D"}
NAMES = itertools.count()
TRAIN = """
import json, os, pathlib
x = float(json.load(open("/opt/ml/input/config/hyperparameters.json"))["x"])
words = pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "words.txt").read_text()
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.txt").write_text(words)
print(f"loss={abs(x - 0.3):.4f}")
"""


class Search:
    """A bucket and a pipeline of a test's own: Tune, and Uses, which tells what it was given of the best one."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.name = f"search-{next(NAMES)}"
        self.seed = 7
        self.created = False
        aws.s3.create_bucket(Bucket=self.name)
        aws.s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})
        self.put("raw/words.txt", b"one two")
        self.put("source.tar.gz", archive({"train.py": TRAIN}, at=1))

    def put(self, key: str, content: bytes) -> None:
        self.aws.s3.put_object(Bucket=self.name, Key=key, Body=content)

    def definition(self) -> str:
        asked = request("unused", f"s3://{self.name}/source.tar.gz", RandomSeed=self.seed)
        del asked["HyperParameterTuningJobName"]
        definition = asked["TrainingJobDefinition"]
        definition["OutputDataConfig"]["S3OutputPath"] = f"s3://{self.name}/models"
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{self.name}/raw/"}
        definition["InputDataConfig"] = [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}]
        best = {"Get": "Steps.Tune.BestTrainingJob.TrainingJobName"}
        first = {"Get": "Steps.Tune.TrainingJobSummaries[0].TrainingJobName"}
        same = "import sys; assert sys.argv[1] == sys.argv[2], sys.argv"
        steps = [
            {"Name": "Tune", "Type": "Tuning", "Arguments": asked, "CacheConfig": CACHE},
            job("Uses", same, best, first),
        ]
        return json.dumps({"Version": "2020-12-01", "Steps": steps})

    def run(self) -> dict[str, Any]:
        """Run the pipeline as it is described now and return its step Tune."""
        sagemaker = self.aws.sagemaker
        asked = {"PipelineName": self.name, "PipelineDefinition": self.definition(), "RoleArn": ROLE}
        (sagemaker.update_pipeline if self.created else sagemaker.create_pipeline)(**asked)
        self.created = True
        ended, steps = run(self.aws, self.name)
        assert ended["PipelineExecutionStatus"] == "Succeeded", [step.get("FailureReason") for step in steps]
        self.arn = ended["PipelineExecutionArn"]
        return next(step for step in steps if step["StepName"] == "Tune")

    def models(self) -> list[str]:
        found = self.aws.s3.list_objects_v2(Bucket=self.name, Prefix="models/").get("Contents", ())
        return sorted(item["Key"] for item in found if item["Key"].endswith("model.tar.gz"))

    def explained(self, step: str) -> dict[str, Any]:
        told: dict[str, Any] = explanation_of(self.aws, self.arn, step)
        return told


@pytest.fixture
def search(aws: Aws) -> Search:
    return Search(aws)


def test_a_search_is_taken_over_with_all_that_it_yields_and_its_outputs_are_put_back(search: Search) -> None:
    first = search.run()
    assert "CacheHitResult" not in first
    source = search.arn
    models = search.models()
    assert len(models) == 3
    told = search.explained("Tune")
    assert told["Outcome"] == "Miss"
    groups = {part["Group"] for part in told["KeyParts"]}
    assert groups == {"argument", "input", "code", "environment"}
    keys = search.aws.home.credentials()
    assert keys is not None
    execution = Client(search.aws.url, token=keys.token).execution(source)
    listed = {step.name: cache_of(execution, step) for step in execution.steps()}
    assert listed["Tune"] == ("Miss", told["Reason"])
    search.aws.s3.delete_object(Bucket=search.name, Key=models[1])

    second = search.run()
    assert second["CacheHitResult"]["SourcePipelineExecutionArn"] == source
    assert second["Metadata"] == first["Metadata"]
    assert search.models() == models, "what was deleted is put back"
    assert search.explained("Tune")["Key"] == told["Key"]
    assert search.explained("Tune")["KeyParts"] == told["KeyParts"]


def test_a_search_runs_again_where_what_it_was_made_of_has_changed(search: Search) -> None:
    search.run()
    search.put("source.tar.gz", archive({"train.py": TRAIN}, at=2))  # packed again: the same code
    assert "CacheHitResult" in search.run()
    search.put("raw/words.txt", b"one two three")
    assert "CacheHitResult" not in search.run()
    (difference,) = search.explained("Tune")["Differences"]
    assert (difference["Group"], difference["Name"]) == ("input", "train")
    search.put("source.tar.gz", archive({"train.py": TRAIN + "print('more')\n"}, at=2))
    assert "CacheHitResult" not in search.run()
    search.seed = 8
    assert "CacheHitResult" not in search.run()
    (difference,) = search.explained("Tune")["Differences"]
    assert difference["Name"] == "HyperParameterTuningJobConfig.RandomSeed"


def test_a_check_is_taken_over_with_its_baseline_and_runs_again_against_another_one(aws: Aws) -> None:
    aws.s3.create_bucket(Bucket="flow-checks")
    aws.s3.put_object(Bucket="flow-checks", Key="check.py", Body=CHECK.encode())
    aws.s3.put_object(Bucket="flow-checks", Key="kept/constraints.json", Body=b'{"version": 1}')
    supplied = {"SuppliedBaselineConstraints": "s3://flow-checks/kept/constraints.json"}
    used = {"Get": "Steps.Makes.BaselineUsedForDriftCheckConstraints"}
    create(
        aws,
        "checks-again",
        check("Makes", SkipCheck=True, RegisterNewBaseline=True, CacheConfig=CACHE),
        check(
            "Looks", SkipCheck=False, RegisterNewBaseline=False, FailOnViolation=False, CacheConfig=CACHE, **supplied
        ),
        job("Uses", "import sys; assert sys.argv[1] == 's3://flow-checks/Makes/constraints.json'", used),
    )

    def hits() -> tuple[set[str], dict[str, Any], str]:
        ended, steps = run(aws, "checks-again")
        assert ended["PipelineExecutionStatus"] == "Succeeded", [step.get("FailureReason") for step in steps]
        shown = {step["StepName"]: step for step in steps}
        return {name for name, step in shown.items() if "CacheHitResult" in step}, shown, ended["PipelineExecutionArn"]

    none, first, _ = hits()
    assert none == set()
    both, second, arn = hits()
    assert both == {"Makes", "Looks"}
    for name in ("Makes", "Looks"):
        assert second[name]["Metadata"] == first[name]["Metadata"]
    told = explanation_of(aws, arn, "Looks")
    assert told["Outcome"] == "Hit"
    parts = {(part["Group"], part["Name"]): part["Value"] for part in told["KeyParts"]}
    assert parts["argument", "Check.FailOnViolation"] == "False"
    assert ("input", "baseline_constraints") in parts

    aws.s3.put_object(Bucket="flow-checks", Key="kept/constraints.json", Body=b'{"version": 2}')
    some, _, arn = hits()
    assert some == {"Makes"}
    told = explanation_of(aws, arn, "Looks")
    assert [each["Name"] for each in told["Differences"]] == ["baseline_constraints"]


def test_a_check_compares_with_what_was_approved_since(aws: Aws) -> None:
    """The baseline that the registry names counts, and it is looked up each time."""
    aws.s3.create_bucket(Bucket="flow-checks")
    aws.s3.put_object(Bucket="flow-checks", Key="check.py", Body=CHECK.encode())
    aws.sagemaker.create_model_package_group(ModelPackageGroupName="checked")

    def approve(number: int) -> None:
        key = f"approved-{number}/constraints.json"
        aws.s3.put_object(Bucket="flow-checks", Key=key, Body=json.dumps({"number": number}).encode())
        aws.s3.put_object(Bucket="flow-checks", Key="model.tar.gz", Body=b"model")
        aws.sagemaker.create_model_package(
            ModelPackageGroupName="checked",
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [{"Image": "towpath", "ModelDataUrl": "s3://flow-checks/model.tar.gz"}],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
            DriftCheckBaselines={
                "ModelDataQuality": {
                    "Constraints": {"ContentType": "application/json", "S3Uri": f"s3://flow-checks/{key}"}
                }
            },
        )

    approve(1)
    looks = check(
        "Looks",
        SkipCheck=False,
        RegisterNewBaseline=False,
        FailOnViolation=False,
        ModelPackageGroupName="checked",
        CacheConfig=CACHE,
    )
    create(aws, "approved-baselines", looks)
    outcomes = []
    for _ in range(2):
        outcomes.append("CacheHitResult" in run(aws, "approved-baselines")[1][0])
    approve(2)
    _, (step,) = run(aws, "approved-baselines")
    assert [*outcomes, "CacheHitResult" in step] == [False, True, False]
    assert step["Metadata"]["QualityCheck"]["BaselineUsedForDriftCheckConstraints"] == (
        "s3://flow-checks/approved-2/constraints.json"
    )
