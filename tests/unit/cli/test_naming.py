"""What a name on the command line stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from towpath.cli.naming import StepNames, find, steps_of_jobs
from towpath.sdk import NotFound

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
TABLE = {
    "DescribeEndpoint": lambda request: (
        {"EndpointStatus": "InService"} if request["EndpointName"] == "reviews" else None
    ),
    "DescribePipeline": lambda request: {"PipelineStatus": "Active"} if request["PipelineName"] == "reviews" else None,
    "DescribeTrainingJob": lambda request: (
        {"TrainingJobStatus": "Completed"} if request["TrainingJobName"] in {"t-1", "tune-1-001-ab"} else None
    ),
    "DescribeModelPackageGroup": lambda request: (
        {"ModelPackageGroupArn": f"{ARN}:model-package-group/reviews"}
        if request["ModelPackageGroupName"] == "reviews"
        else None
    ),
    "DescribeModelPackage": lambda request: (
        {
            "ModelPackageGroupName": "reviews",
            "ModelPackageVersion": 3,
            "ModelPackageArn": f"{ARN}:model-package/reviews/3",
            "ModelApprovalStatus": "Approved",
        }
        if request["ModelPackageName"].endswith("reviews/3")
        else None
    ),
    "ListModelPackages": lambda request: (
        {"ModelPackageSummaryList": [{"ModelPackageArn": f"{ARN}:model-package/reviews/3"}]}
        if request["ModelPackageGroupName"] == "reviews"
        else None
    ),
    "DescribeModel": lambda request: {} if request["ModelName"] == "m-1" else None,
    "DescribeEndpointConfig": lambda request: {} if request["EndpointConfigName"] == "c-1" else None,
    "ListPipelines": {"PipelineSummaries": [{"PipelineName": "reviews"}]},
    "ListPipelineExecutions": lambda request: (
        {"PipelineExecutionSummaries": [{"PipelineExecutionArn": f"{ARN}:pipeline/reviews/execution/abc"}]}
        if request["PipelineName"] == "reviews"
        else None
    ),
    "DescribePipelineExecution": {"PipelineExecutionArn": f"{ARN}:pipeline/reviews/execution/abc"},
    "ListPipelineExecutionSteps": {
        "PipelineExecutionSteps": [
            {"StepName": "Train", "Metadata": {"TrainingJob": {"Arn": f"{ARN}:training-job/t-1"}}},
            {"StepName": "Gate", "Metadata": {"Condition": {"Outcome": "True"}}},
            {"StepName": "Tune", "Metadata": {"TuningJob": {"Arn": f"{ARN}:hyper-parameter-tuning-job/tune-1"}}},
            {"StepName": "Note", "Metadata": {"Lambda": {"Arn": "arn:aws:lambda:us-east-1:0:function:note"}}},
        ]
    },
    "DescribeHyperParameterTuningJob": lambda request: (
        {"HyperParameterTuningJobStatus": "Completed"} if request["HyperParameterTuningJobName"] == "tune-1" else None
    ),
    "ListTrainingJobsForHyperParameterTuningJob": {"TrainingJobSummaries": [{"TrainingJobName": "tune-1-001-ab"}]},
    "DescribeDataset": lambda request: {} if request["DatasetName"] == "clothes" else None,
}


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("t-1", "TrainingJob", "t-1"),
        ("tune-1", "HyperParameterTuningJob", "tune-1"),
        ("tuning-job/tune-1", "HyperParameterTuningJob", "tune-1"),
        ("reviews", "Endpoint", "reviews"),
        ("pipeline/reviews", "Pipeline", "reviews"),
        ("endpoint/reviews", "Endpoint", "reviews"),
        ("group/reviews", "ModelPackageGroup", "reviews"),
        ("reviews/3", "ModelPackage", "reviews/3"),
        ("reviews/abc", "PipelineExecution", "reviews/abc"),
        ("abc", "PipelineExecution", "reviews/abc"),
        ("execution/reviews/latest", "PipelineExecution", "reviews/abc"),
        ("reviews/latest", "PipelineExecution", "reviews/abc"),
        ("model-package/reviews/latest", "ModelPackage", "reviews/3"),
        ("reviews/latest/Train", "TrainingJob", "t-1"),
        ("execution/abc", "PipelineExecution", "reviews/abc"),
        ("reviews/abc/Train", "TrainingJob", "t-1"),
        ("abc/Train", "TrainingJob", "t-1"),
        ("reviews/abc/Tune", "HyperParameterTuningJob", "tune-1"),
        ("reviews/latest/Tune/1", "TrainingJob", "tune-1-001-ab"),
        ("abc/Tune/001", "TrainingJob", "tune-1-001-ab"),
        ("tune-1/1", "TrainingJob", "tune-1-001-ab"),
        ("tuning-job/tune-1/001", "TrainingJob", "tune-1-001-ab"),
        ("reviews/abc/Note", "PipelineExecutionStep", "reviews/abc/Note"),
        ("clothes", "Dataset", "clothes"),
        (f"{ARN}:training-job/t-1", "TrainingJob", "t-1"),
        (f"{ARN}:pipeline/reviews/execution/abc", "PipelineExecution", "reviews/abc"),
        (f"{ARN}:model-package/reviews/3", "ModelPackage", "reviews/3"),
    ],
)
def test_a_name_stands_for_the_likeliest_thing(answers: Callable[..., Any], name: str, kind: str, found: str) -> None:
    target = find(answers(**TABLE), name)
    assert (target.kind, target.name) == (kind, found)


def test_only_kinds_that_will_do_are_found(answers: Callable[..., Any]) -> None:
    assert find(answers(**TABLE), "reviews", kinds=["Pipeline"]).kind == "Pipeline"
    with pytest.raises(NotFound, match="'reviews' is an endpoint; expected the name of a job, see `towpath ps --all`"):
        find(answers(**TABLE), "reviews", kinds=["TrainingJob", "ProcessingJob"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "no job, execution or endpoint is called 'nothing'; `towpath ps --all` lists what there is"),
        ("reviws/abc", "no job, execution or endpoint is called 'reviws/abc' (did you mean 'reviews/abc'?); `towpath"),
        (
            "endpoint/reviws",
            "no job, execution or endpoint is called 'endpoint/reviws' (did you mean 'endpoint/reviews'?)",
        ),
    ],
)
def test_of_an_unknown_name_one_that_is_like_it_is_told(answers: Callable[..., Any], name: str, told: str) -> None:
    lists = {
        "ListEndpoints": {"Endpoints": [{"EndpointName": "shop"}]},
        "ListModelPackageGroups": {"ModelPackageGroupSummaryList": [{"ModelPackageGroupName": "reviews"}]},
    }
    kinds = ["TrainingJob", "ProcessingJob", "PipelineExecution", "Endpoint"]
    with pytest.raises(NotFound) as raised:
        find(answers(**TABLE, **lists), name, kinds=kinds)
    assert raised.value.message.startswith(told)


def test_a_number_that_no_training_job_of_a_step_has_is_told_with_those_that_there_are(
    answers: Callable[..., Any],
) -> None:
    with pytest.raises(NotFound, match=r"^abc/Tune has no training job '7'; it has 001 \(R"):
        find(answers(**TABLE), "abc/Tune/7")
    with pytest.raises(NotFound, match=r"^abc/Train ran the job t-1, which has no part '7'; its log"):
        find(answers(**TABLE), "abc/Train/7")


def test_jobs_are_known_by_their_step(answers: Callable[..., Any]) -> None:
    found = steps_of_jobs(answers(**TABLE), [f"{ARN}:pipeline/reviews/execution/abc"])
    assert found == {
        f"{ARN}:training-job/t-1": "reviews/abc/Train",
        f"{ARN}:hyper-parameter-tuning-job/tune-1": "reviews/abc/Tune",
    }


@pytest.mark.parametrize("name", ["nothing", "review/xyz", "reviews/xyz/Train", "a/b/c/d"])
def test_what_nothing_is_called_is_told_with_the_forms_that_names_have(answers: Callable[..., Any], name: str) -> None:
    nothing: Any = {"ListEndpoints": {}, "ListModelPackageGroups": {}}
    with pytest.raises(NotFound, match=r"nothing is called .*PIPELINE/EXECUTION/STEP"):
        find(answers(**TABLE, **nothing), name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("reviews/xyz", "its newest one is reviews/abc, `towpath ps --all` lists them"),
        (f"{ARN}:pipeline/reviews/execution/xyz", "its newest one is reviews/abc, `towpath ps --all` lists them"),
        ("reviews/Gate", "its newest one is reviews/abc, which has a step of that name: reviews/latest/Gate"),
    ],
)
@pytest.mark.parametrize("kinds", [None, ("PipelineExecution", "Pipeline")])
def test_of_an_execution_that_a_pipeline_does_not_have_the_newest_is_told(
    answers: Callable[..., Any], name: str, told: str, kinds: tuple[str, ...] | None
) -> None:
    table = {**TABLE, "DescribePipelineExecution": None}
    wanted = name.rpartition("/")[2]
    with pytest.raises(NotFound) as raised:
        find(answers(**table), name, kinds=kinds)
    assert raised.value.message == f"pipeline 'reviews' has no execution {wanted!r}; {told}"


def test_a_pipeline_that_has_never_run_is_told_as_such(answers: Callable[..., Any]) -> None:
    client = answers(**{**TABLE, "ListPipelineExecutions": {"PipelineExecutionSummaries": []}})
    with pytest.raises(NotFound, match="pipeline 'reviews' has no execution yet; start one: towpath run FILE"):
        find(client, "reviews/latest", kinds=("PipelineExecution",))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("reviews/latest/Trian", "execution reviews/abc has no step 'Trian'; those that began: Train, Gate"),
        (
            "abc/Tune",
            "Tune of reviews/abc ran the tuning job tune-1; its training jobs are: tune-1-001-ab",
        ),
        ("abc/Gate", "Gate of reviews/abc is Succeeded and ran no job"),
        ("reviews/abc/Early", "Early of reviews/abc is Failed and ran no job: no such image"),
    ],
)
@pytest.mark.parametrize("kinds", [None, ("TrainingJob", "PipelineExecution")])
def test_a_step_that_is_not_there_or_ran_no_job_is_told_as_such(
    answers: Callable[..., Any], name: str, told: str, kinds: tuple[str, ...] | None
) -> None:
    if kinds is None and "Trian" not in name:
        return  # where every kind will do a step stands for its tuning job, or for itself
    steps = [
        {"StepName": "Train", "Metadata": {"TrainingJob": {"Arn": f"{ARN}:training-job/t-1"}}},
        {"StepName": "Gate", "StepStatus": "Succeeded", "Metadata": {"Condition": {"Outcome": "True"}}},
        {"StepName": "Tune", "Metadata": {"TuningJob": {"Arn": f"{ARN}:hyper-parameter-tuning-job/tune-1"}}},
        {"StepName": "Early", "StepStatus": "Failed", "FailureReason": "no such image"},
    ]
    if "Trian" in name:
        del steps[2:]
    client = answers(**{**TABLE, "ListPipelineExecutionSteps": {"PipelineExecutionSteps": steps}})
    with pytest.raises(NotFound) as raised:
        find(client, name, kinds=kinds)
    assert raised.value.message == told


@pytest.mark.parametrize(
    ("step", "kind", "found"),
    [
        ("Tune", "HyperParameterTuningJob", "tune-1"),
        ("Create", "Model", "m-1"),
        ("Register", "ModelPackage", "reviews/3"),
        ("Config", "EndpointConfig", "c-1"),
        ("Serve", "Endpoint", "reviews"),
    ],
)
def test_a_step_that_ran_no_job_stands_for_what_it_made(
    answers: Callable[..., Any], step: str, kind: str, found: str
) -> None:
    made = {
        "Tune": ("TuningJob", "hyper-parameter-tuning-job/tune-1"),
        "Create": ("Model", "model/m-1"),
        "Register": ("RegisterModel", "model-package/reviews/3"),
        "Config": ("EndpointConfig", "endpoint-config/c-1"),
        "Serve": ("Endpoint", "endpoint/reviews"),
    }
    steps = [{"StepName": name, "Metadata": {member: {"Arn": f"{ARN}:{arn}"}}} for name, (member, arn) in made.items()]
    client = answers(**{**TABLE, "ListPipelineExecutionSteps": {"PipelineExecutionSteps": steps}})
    target = find(client, f"reviews/latest/{step}")
    assert (target.kind, target.name) == (kind, found)
    if kind == "HyperParameterTuningJob":
        assert find(client, f"abc/{step}", kinds=("TrainingJob", kind)).name == found, "so that it can be stopped"
    else:
        with pytest.raises(NotFound, match="ran no job"):  # `towpath stop` and `delete` mean nothing by a step's name
            find(client, f"abc/{step}", kinds=("TrainingJob", kind))


@pytest.mark.parametrize("name", ["reviews/latest/Gate", "abc/Gate"])
def test_a_step_that_made_nothing_stands_for_itself(answers: Callable[..., Any], name: str) -> None:
    gate = {"StepName": "Gate", "StepStatus": "Succeeded", "Metadata": {"Condition": {"Outcome": "True"}}}
    client = answers(**{**TABLE, "ListPipelineExecutionSteps": {"PipelineExecutionSteps": [gate]}})
    target = find(client, name)
    assert (target.kind, target.name, target.described) == ("PipelineExecutionStep", "reviews/abc/Gate", gate)


def test_the_tuning_job_of_a_step_is_known_by_it_too(answers: Callable[..., Any]) -> None:
    arn = f"{ARN}:hyper-parameter-tuning-job/tune-1"
    steps = [{"StepName": "Tune", "Metadata": {"TuningJob": {"Arn": arn}}}]
    client = answers(**{**TABLE, "ListPipelineExecutionSteps": {"PipelineExecutionSteps": steps}})
    assert steps_of_jobs(client, [f"{ARN}:pipeline/reviews/execution/abc"]) == {arn: "reviews/abc/Tune"}


def test_a_pipeline_where_an_execution_is_meant_comes_with_its_newest_one(answers: Callable[..., Any]) -> None:
    with pytest.raises(NotFound) as error:
        find(answers(**TABLE), "pipeline/reviews", kinds=("PipelineExecution", "TrainingJob"))
    assert "'pipeline/reviews' is a pipeline; expected the name of an execution or job" in str(error.value)
    assert "its newest execution is reviews/latest" in str(error.value)


def test_a_sentence_names_the_steps_that_jobs_belong_to(answers: Callable[..., Any]) -> None:
    steps = [{"StepName": "Train", "Metadata": {"TrainingJob": {"Arn": f"{ARN}:training-job/pipelines-abc-Train-1f"}}}]
    client = answers(**{**TABLE, "ListPipelineExecutionSteps": {"PipelineExecutionSteps": steps}})
    names = StepNames(client)
    said = "Waiting for 1 core: 0 of 1 core free, in use by pipelines-abc-Train-1f, by-hand and pipelines-gone-Train-2f"
    for _ in range(2):
        assert names.in_(said) == said.replace("pipelines-abc-Train-1f", "reviews/abc/Train")
    assert [operation for operation, _ in client.asked].count("ListPipelineExecutionSteps") == 1
    asked = len(client.asked)
    assert names.in_("Waiting for 1 core: in use by by-hand") == "Waiting for 1 core: in use by by-hand"
    assert len(client.asked) == asked


def test_of_a_version_that_a_group_does_not_have_the_group_is_told(answers: Callable[..., Any]) -> None:
    client = answers(
        DescribeModelPackageGroup={"ModelPackageGroupArn": f"{ARN}:model-package-group/reviews"},
        ListModelPackages={"ModelPackageSummaryList": []},
        ListPipelineExecutions={"PipelineExecutionSummaries": []},
    )
    with pytest.raises(NotFound, match="model group 'reviews' has no version 99; `towpath models reviews` lists those"):
        find(client, "reviews/99")
