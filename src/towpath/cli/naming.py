"""What a name on the command line stands for: a job, a step, an execution, an endpoint, a model version, …"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from towpath.sdk.client import Client
from towpath.sdk.errors import DefinitionError, NotFound, RequestFailed
from towpath.sdk.expressions import Document
from towpath.sdk.registry import find_version
from towpath.sdk.step_runs import step_run
from towpath.sdk.tuning_logs import TunedJobs, find_tuned

_Found = TypeVar("_Found")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A resource that a name stands for."""

    kind: str  #: the API's noun
    name: str
    described: Document

    @property
    def status(self) -> str:
        """Its status, empty for kinds without one."""
        return str(self.described.get("StepStatus" if self.kind == STEP else f"{self.kind}Status") or "")


#: Word on the command line -> noun of the kinds that are described by their name alone.
WORDS = {
    "training-job": "TrainingJob",
    "processing-job": "ProcessingJob",
    "tuning-job": "HyperParameterTuningJob",
    "transform-job": "TransformJob",
    "endpoint": "Endpoint",
    "endpoint-config": "EndpointConfig",
    "model": "Model",
    "pipeline": "Pipeline",
    "group": "ModelPackageGroup",
    "model-package-group": "ModelPackageGroup",
}
#: A bare name is looked for in this order.
JOBS = ("TrainingJob", "ProcessingJob", "TransformJob")
TUNING = "HyperParameterTuningJob"
STEP = "PipelineExecutionStep"  #: a step that stands for itself
#: What a step's Metadata calls what it made, where that is no job -> noun of the API.
MADE = {
    "TuningJob": TUNING,
    "Model": "Model",
    "RegisterModel": "ModelPackage",
    "EndpointConfig": "EndpointConfig",
    "Endpoint": "Endpoint",
}
NOUNS = (*JOBS, TUNING, "Endpoint", "Pipeline", "ModelPackageGroup", "Model", "EndpointConfig")
#: Noun of the API -> what errors call it.
NOUN_WORDS = {
    "TrainingJob": "job",
    "ProcessingJob": "job",
    "HyperParameterTuningJob": "tuning job",
    "TransformJob": "job",
    "Endpoint": "endpoint",
    "EndpointConfig": "endpoint config",
    "Model": "model",
    "Pipeline": "pipeline",
    "PipelineExecution": "execution",
    STEP: "step",
    "ModelPackageGroup": "model group",
    "ModelPackage": "model version",
    "Dataset": "dataset",
}


def find(client: Client, name: str, *, kinds: Sequence[str] | None = None) -> Target:
    """Return what a name stands for.

    Args:
        name: `KIND/NAME`, `PIPELINE/EXECUTION[/STEP]`, `GROUP/VERSION`, an ARN, or a bare name, which is
            looked for among jobs, endpoints, pipelines, groups, models, executions and datasets, in this order. A step
            stands for its job, or for what it made, or else for itself.
        kinds: nouns that will do; default: all.
    Raises:
        NotFound: nothing has the name; says what it may look like.
    """
    if name.startswith("arn:"):
        name = name.split(":", 5)[-1]
        if "/execution/" in name:
            name = name.replace("/execution/", "/").replace("pipeline/", "execution/", 1)
    for nouns, look in _readings(name):
        if kinds is not None and not set(nouns) & set(kinds):
            continue
        found = _or_none(look, client)
        if found is not None and (kinds is None or found.kind in kinds):
            return found
    raise NotFound("ResourceNotFound", _nothing(client, name, kinds), status=404)


def _or_none(look: Callable[[Client], _Found], client: Client) -> _Found | None:
    """Return what a look finds, None where nothing has the name or could have it."""
    try:
        return look(client)
    except (NotFound, DefinitionError):
        return None
    except RequestFailed as error:
        if error.code != "ValidationException":  # what the API says to a name that the kind could never have
            raise
        return None


def _nothing(client: Client, name: str, kinds: Sequence[str] | None) -> str:
    """Return what to tell of a name that nothing has, or nothing of the kinds that will do."""
    known = _steps(client, name) or _numbers(client, name)
    if known is None and (kinds is None or "ModelPackage" in kinds):
        known = _versions(client, name)
    if known is None and (kinds is None or "PipelineExecution" in kinds):
        known = _executions(client, name)
    if known is not None:
        return known
    if kinds is None:
        return (
            f"nothing is called {name!r}{_did_you_mean(client, name)}; expected GROUP/VERSION, PIPELINE/EXECUTION, "
            f"PIPELINE/EXECUTION/STEP, a name that `towpath ps --all` lists, or KIND/NAME with KIND one of "
            f"{', '.join(WORDS)}, execution, dataset"
        )
    words = list(dict.fromkeys(NOUN_WORDS[kind] for kind in kinds))
    wanted = ", ".join(words[:-1]) + (" or " if words[1:] else "") + words[-1]
    try:
        other = find(client, name)
    except NotFound:
        return f"no {wanted} is called {name!r}{_did_you_mean(client, name)}; `towpath ps --all` lists what there is"
    said = f"{name!r} is {_one(NOUN_WORDS[other.kind])}; expected the name of {_one(wanted)}, see `towpath ps --all`"
    if other.kind == "Pipeline" and "PipelineExecution" in kinds:
        return f"{said}; its newest execution is {other.name}/latest"
    return said


def _steps(client: Client, name: str) -> str | None:
    """Return what to tell of `EXECUTION/STEP` where only the execution is there, None for any other name."""
    place, _, wanted = name.rpartition("/")
    execution = _or_none(lambda client: client.execution(place), client) if place else None
    if execution is None:
        return None
    steps = execution.steps()
    step = next((step for step in steps if step.name == wanted), None)
    if step is None:
        begun = ", ".join(step.name for step in steps) or "none yet"
        return f"execution {execution.pipeline}/{execution.id} has no step {wanted!r}; those that began: {begun}"
    if step.job is not None:
        return None
    if step.type == "TuningJob" and step.arn is not None:
        return _tuned_by(client, f"{wanted} of {execution.pipeline}/{execution.id}", step.arn.rpartition("/")[2])
    what = f"{wanted} of {execution.pipeline}/{execution.id} is {step.status} and ran no job"
    return f"{what}: {step.failure_reason}" if step.failure_reason else what


def _numbers(client: Client, name: str) -> str | None:
    """Return what to tell of `EXECUTION/STEP/NUMBER` where only the step is there, None for any other name."""
    place, _, number = name.rpartition("/")
    step = _or_none(lambda client: _step(client, place), client) if "/" in place else None
    if step is None:
        return None
    if step.kind != TUNING:
        return f"{place} ran the job {step.name}, which has no part {number!r}; its log: towpath logs {place}"
    numbers = [job.number for job in TunedJobs(client, step.name).look()]
    has = " to ".join(dict.fromkeys((numbers[0], numbers[-1]))) if numbers else "none yet"
    return f"{place} has no training job {number!r}; it has {has}"


def _executions(client: Client, name: str) -> str | None:
    """Return what to tell of `PIPELINE/EXECUTION` where only the pipeline is there, None for any other name."""
    pipeline, _, wanted = name.removeprefix("execution/").partition("/")
    if not wanted or "/" in wanted or _or_none(lambda client: _describe(client, "Pipeline", pipeline), client) is None:
        return None
    newest = next(_recent(client, pipeline), None)
    if newest is None:
        return never_run(pipeline)
    told = f"pipeline {pipeline!r} has no execution {wanted!r}; its newest one is {pipeline}/{newest}"
    if any(step.name == wanted for step in client.execution(f"{pipeline}/{newest}").steps()):
        return f"{told}, which has a step of that name: {pipeline}/latest/{wanted}"
    return f"{told}, `towpath ps --all` lists them"


def _recent(client: Client, pipeline: str) -> Iterator[str]:
    """Yield the ids of a pipeline's executions, the newest first."""
    request = {"PipelineName": pipeline, "SortBy": "CreationTime", "SortOrder": "Descending"}
    for shown in client.pages("SageMaker.ListPipelineExecutions", "PipelineExecutionSummaries", request):
        yield str(shown["PipelineExecutionArn"]).rpartition("/")[2]


def has_run(client: Client, pipeline: str) -> bool:
    """Return whether a pipeline has an execution, whatever came of it."""
    return next(_recent(client, pipeline), None) is not None


def never_run(pipeline: str) -> str:
    """Return what to tell of a pipeline that has no execution."""
    return f"pipeline {pipeline!r} has no execution yet; start one: towpath run FILE"


def _versions(client: Client, name: str) -> str | None:
    """Return what to tell of `GROUP/NUMBER` where only the group is there, None for any other name."""
    group, _, number = name.partition("/")
    if not number.isdigit() or _or_none(lambda client: _describe(client, "ModelPackageGroup", group), client) is None:
        return None
    return f"model group {group!r} has no version {number}; `towpath models {group}` lists those it has"


def _tuned_by(client: Client, step: str, tuning: str) -> str:
    """Return what to tell of a step that ran a tuning job where the name of a job is wanted."""
    listing, asked = "SageMaker.ListTrainingJobsForHyperParameterTuningJob", {"HyperParameterTuningJobName": tuning}
    jobs = ", ".join(str(job["TrainingJobName"]) for job in client.pages(listing, "TrainingJobSummaries", asked))
    return f"{step} ran the tuning job {tuning}; its training jobs are: {jobs or 'none yet'}"


def _one(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _did_you_mean(client: Client, name: str) -> str:
    """Return a question about the name that is most like `name`, empty where none is."""
    known = [str(each["EndpointName"]) for each in client.pages("SageMaker.ListEndpoints", "Endpoints")]
    for pipeline in client.pages("SageMaker.ListPipelines", "PipelineSummaries"):
        known.append(str(pipeline["PipelineName"]))
    for group in client.pages("SageMaker.ListModelPackageGroups", "ModelPackageGroupSummaryList"):
        known.append(str(group["ModelPackageGroupName"]))
    word, slash, rest = name.partition("/")
    kind = f"{word}/" if rest and word in WORDS else ""
    begin, slash, rest = name.removeprefix(kind).partition("/")
    alike = [each for each in get_close_matches(begin, dict.fromkeys(known), n=1) if each != begin]
    return f" (did you mean {kind + alike[0] + slash + rest!r}?)" if alike else ""


def steps_of_jobs(client: Client, executions: Iterable[str]) -> dict[str, str]:
    """Return for each job of executions, given as ARNs, `PIPELINE/EXECUTION/STEP` by the job's ARN."""
    found = {}
    for arn in executions:
        execution = client.execution(arn)
        for step in execution.steps():
            runs = step.job is not None or step.type == "TuningJob"
            if runs and step.arn is not None and step.cached_from is None:
                found[step.arn] = f"{execution.pipeline}/{execution.id}/{step.name}"
    return found


#: The name that a step gives to its job, with the id of its execution.
_STEP_JOB = re.compile(r"\bpipelines-([a-z0-9]+)-[A-Za-z0-9-]+")


class StepNames:
    """Names the jobs of steps in sentences of the platform as `ps` does: PIPELINE/EXECUTION/STEP."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, str] = {}  #: name of a job -> of its step; what was asked for once is not asked again

    def in_(self, sentence: str) -> str:
        """Return the sentence with the names of steps; a job that is not found keeps its own."""
        return _STEP_JOB.sub(lambda job: self._step(job[0], job[1]), sentence)

    def _step(self, job: str, execution: str) -> str:
        if job not in self._known:
            try:
                for arn, name in steps_of_jobs(self._client, [self._client.execution(execution).arn]).items():
                    self._known[arn.rpartition("/")[2]] = name
            except (NotFound, DefinitionError):
                pass  # deleted since: its job has a name all the same
            self._known.setdefault(job, job)
        return self._known[job]


def _readings(name: str) -> list[tuple[Sequence[str], Callable[[Client], Target]]]:
    """Return what `name` may be, the likeliest first, each with the nouns it may turn out as and the way to look."""
    word, _, rest = name.partition("/")
    if rest:
        named: list[tuple[Sequence[str], Callable[[Client], Target]]] = []
        if word in WORDS:
            named.append(([WORDS[word]], lambda client: _describe(client, WORDS[word], rest)))
        if word == "execution":
            named.append((["PipelineExecution"], lambda client: _execution(client, rest)))
        if word == "dataset":
            named.append((["Dataset"], lambda client: _dataset(client, rest)))
        if word == "model-package":
            named.append((["ModelPackage"], lambda client: _version(client, rest)))
        plain: list[tuple[Sequence[str], Callable[[Client], Target]]] = [
            (["ModelPackage"], lambda client: _version(client, name)),
            (["PipelineExecution"], lambda client: _execution(client, name)),
        ]
        if rest == "latest":  # an execution for every command, also where a group has the pipeline's name
            plain.reverse()
        return [
            *named,
            *plain,
            ((*JOBS, TUNING), lambda client: _step(client, name)),
            (["TrainingJob"], lambda client: _tuned(client, name)),
            ([STEP], lambda client: _calling(client, name)),
            ((), lambda client: _made(client, name)),  # to look at it, never to stop or delete it by a step's name
        ]
    return [
        *(([noun], lambda client, noun=noun: _describe(client, noun, name)) for noun in NOUNS),
        (["PipelineExecution"], lambda client: _execution(client, name)),
        (["Dataset"], lambda client: _dataset(client, name)),
    ]


def _describe(client: Client, noun: str, name: str) -> Target:
    described = client.call(f"SageMaker.Describe{noun}", {f"{noun}Name": name})
    return Target(kind=noun, name=name, described=described)


def _execution(client: Client, name: str) -> Target:
    execution = client.execution(name)
    return Target(kind="PipelineExecution", name=f"{execution.pipeline}/{execution.id}", described=execution.describe())


def _dataset(client: Client, name: str) -> Target:
    plain, _, version = name.partition("/")
    if version:
        request = {"DatasetName": plain, "Version": int(version)} if version.isdigit() else {"DatasetName": name}
        return Target(kind="Dataset", name=name, described=client.call("Towpath.DescribeDatasetVersion", request))
    return Target(kind="Dataset", name=name, described=client.call("Towpath.DescribeDataset", {"DatasetName": name}))


def _version(client: Client, name: str) -> Target:
    found = find_version(client, name)
    return Target(kind="ModelPackage", name=found.name, described=found.described)


def _step(client: Client, name: str) -> Target:
    """Return the job or tuning job of `PIPELINE/EXECUTION/STEP` or `EXECUTION/STEP`."""
    kind, job = _result(client, name)
    if kind not in {*JOBS, TUNING}:
        raise NotFound("ResourceNotFound", f"the step {name!r} ran no job", status=404)
    return _describe(client, kind, job)


def _tuned(client: Client, name: str) -> Target:
    """Return a training job of a Tuning step by its number, `EXECUTION/STEP/7`, or `TUNING-JOB/7`."""
    place, _, number = name.removeprefix("tuning-job/").rpartition("/")
    if not number.isdecimal():
        raise NotFound("ResourceNotFound", f"{number!r} is no number of a training job", status=404)
    tuning = _step(client, place).name if "/" in place else place
    job = find_tuned(client, tuning, int(number))
    if job is None:
        raise NotFound("ResourceNotFound", f"tuning job {tuning} has no training job {number}", status=404)
    return _describe(client, "TrainingJob", job.name)


def _calling(client: Client, name: str) -> Target:
    """Return a Lambda step: the call that it begins has no name of its own."""
    found = _entry(client, name)
    if "Lambda" not in (found.described.get("Metadata") or {}):
        raise NotFound("ResourceNotFound", f"the step {name!r} calls no function", status=404)
    return found


def _made(client: Client, name: str) -> Target:
    """Return what a step made: a model, a model version, an endpoint or its config; the step itself if nothing."""
    try:
        kind, made = _result(client, name)
    except NotFound:
        return _entry(client, name)
    return _version(client, made) if kind == "ModelPackage" else _describe(client, kind, made)


def find_entry(client: Client, name: str) -> Target | None:
    """Return a step of an execution as it is listed, by `EXECUTION/STEP`; None where there is none of that name."""
    return _or_none(lambda client: _entry(client, name), client) if "/" in name else None


def _entry(client: Client, name: str) -> Target:
    """Return a step as ListPipelineExecutionSteps tells it, with its outcome, or what it asked and was answered."""
    place, _, wanted = name.rpartition("/")
    execution = client.execution(place)
    request = {"PipelineExecutionArn": execution.arn}
    for shown in client.pages("SageMaker.ListPipelineExecutionSteps", "PipelineExecutionSteps", request):
        if step_run(shown).name == wanted:
            named = f"{execution.pipeline}/{execution.id}/{wanted}"
            return Target(kind=STEP, name=named, described=shown)
    raise NotFound("ResourceNotFound", f"execution {place} has no step {wanted!r}", status=404)


def _result(client: Client, name: str) -> tuple[str, str]:
    """Return noun and name of what a step ran or made."""
    execution, _, wanted = name.rpartition("/")
    step = next((step for step in client.execution(execution).steps() if step.name == wanted), None)
    kind = None if step is None else MADE.get(step.type, step.type if step.job else None)
    if step is None or step.arn is None or kind is None:
        raise NotFound("ResourceNotFound", f"execution {execution} has no step {wanted!r} with a result", status=404)
    return kind, step.arn.split(":", 5)[-1].partition("/")[2]
