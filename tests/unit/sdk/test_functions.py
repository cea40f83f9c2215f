"""Plain functions as steps of a pipeline."""

import importlib
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy
import polars
import pytest
from numpy.typing import NDArray

from towpath.cli.loading import load_pipeline
from towpath.pipelines.checks import accept
from towpath.sdk import (
    DefinitionError,
    ForEach,
    Pipeline,
    SageMakerJobStepRetryPolicy,
    StepRetryPolicy,
    Value,
    dataset,
    execution,
    files,
    parameter,
    step,
)
from towpath.sdk.expressions import Document
from towpath.sdk.steps.arguments import Inputs, words

Load = Callable[[str], Pipeline]

HEAD = """
    from dataclasses import dataclass
    from towpath import Condition, Fail, ForEach, Pipeline, Processing, dataset, execution, files, parameter, step

    @dataclass
    class Scores:
        accuracy: float
        by_class: list[float]

    @step
    def prepare(rows, *, words=("a",)) -> tuple[int, dict]: ...

    @step(cache="P1D", instance_type="ml.c5.large", environment={"A": 1}, timeout_s=60)
    def fit(table, note=None) -> Scores: ...

    @step
    def tell_it(what, more=None): ...
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(body: str) -> Pipeline:
        (tmp_path / "flow.py").write_text(textwrap.dedent(HEAD) + textwrap.dedent(body))
        return load_pipeline(tmp_path / "flow.py")

    return load


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Return a function that imports a text as a module of a package."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()

    def imported(text: str) -> Any:
        (tmp_path / "shop" / "steps.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        return importlib.import_module("shop.steps")

    yield imported
    for name in ("shop", "shop.steps"):
        sys.modules.pop(name, None)


def steps(pipeline: Pipeline) -> dict[str, Document]:
    return {each["Name"]: each for each in pipeline.definition()["Steps"]}


def test_the_last_value_pulls_in_what_it_needs_and_each_call_is_a_processing_step(load: Load) -> None:
    pipeline = load("""
        rows = parameter("Rows", 3)
        first, second = prepare(rows, words=["x"])
        scores = fit(first, note={"at": execution.id, "n": None})
        pipeline = Pipeline("p", steps=[tell_it(scores.accuracy, [second["k"], dataset("reviews")])])
    """)
    found = steps(pipeline)
    assert list(found) == ["prepare", "fit", "tell-it"]
    assert {each["Type"] for each in found.values()} == {"Processing"}
    prepare = found["prepare"]["Arguments"]["AppSpecification"]
    assert prepare["ContainerEntrypoint"] == ["python3", "/opt/ml/processing/input/runtime/run.py", "flow:prepare"]
    rows = {"Std:Join": {"On": "", "Values": [[{"Get": "Parameters.Rows"}]]}}
    assert prepare["ContainerArguments"] == ["--", "0", rows, "--", "words", '[["x"]]']
    fit = found["fit"]
    assert fit["CacheConfig"] == {"Enabled": True, "ExpireAfter": "P1D"}
    assert fit["Arguments"]["Environment"] == {"A": "1"}
    assert fit["Arguments"]["StoppingCondition"] == {"MaxRuntimeInSeconds": 60}
    assert fit["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceType"] == "ml.c5.large"
    inputs = {each["InputName"]: each["S3Input"]["S3Uri"] for each in fit["Arguments"]["ProcessingInputs"]}
    assert list(inputs) == ["code", "runtime", "from-prepare"]
    assert inputs["from-prepare"] == {"Get": "Steps.prepare.ProcessingOutputConfig.Outputs['value'].S3Output.S3Uri"}
    told = found["tell-it"]["Arguments"]
    assert told["AppSpecification"]["ContainerArguments"] == [
        "--", "0", '[{"$from":"from-fit","$at":["accuracy"]}]',
        "--", "1", '[[{"$from":"from-prepare","$at":[1,"k"]},{"$folder":"folder-0"}]]',
    ]  # fmt: skip
    assert [each["InputName"] for each in told["ProcessingInputs"]][2:] == ["from-fit", "from-prepare", "folder-0"]


def test_files_in_any_mapping_pull_in_what_makes_them(load: Load) -> None:
    pipeline = load("""
        from types import MappingProxyType
        _, words = prepare(3)
        pipeline = Pipeline("p", steps=[tell_it(MappingProxyType({"words": files(words)}))])
    """)
    assert list(steps(pipeline)) == ["prepare", "tell-it"]


def test_values_are_compared_joined_and_read_as_files_by_other_steps(load: Load) -> None:
    pipeline = load("""
        scores = fit(1)
        look = Processing("Look", script="flow.py", inputs={"all": scores}, arguments=[scores.by_class[1]])
        bad = Fail("Bad", message=scores.accuracy)
        gate = Condition("Gate", if_=scores.accuracy >= 0.5, then=[look], otherwise=[bad])
        pipeline = Pipeline("p", steps=[gate])
    """)
    found = steps(pipeline)
    accuracy = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.fit.PropertyFiles.value"}, "Path": "value['accuracy']"}}
    assert found["fit"]["PropertyFiles"] == [
        {"PropertyFileName": "value", "OutputName": "value", "FilePath": "value.json"}
    ]
    (condition,) = found["Gate"]["Arguments"]["Conditions"]
    assert condition["LeftValue"] == accuracy
    look = found["Gate"]["Arguments"]["IfSteps"][0]["Arguments"]
    assert look["ProcessingInputs"][0]["S3Input"]["S3Uri"] == {
        "Get": "Steps.fit.ProcessingOutputConfig.Outputs['value'].S3Output.S3Uri"
    }
    (argument,) = look["AppSpecification"]["ContainerArguments"]
    assert argument["Std:Join"]["Values"][0]["Std:JsonGet"]["Path"] == "value['by_class'][1]"


def test_what_one_branch_alone_needs_stands_in_it_and_what_two_need_beside_the_condition(load: Load) -> None:
    pipeline = load("""
        both, mine = fit(1), prepare(2)
        deep = tell_it(mine[0])
        gate = Condition("Gate", if_=prepare(0)[0] > 1, then=[tell_it(deep, both)], otherwise=[tell_it(both)])
        pipeline = Pipeline("p", steps=[gate])
    """)
    found = steps(pipeline)
    assert list(found) == ["fit", "prepare-2", "Gate"]
    gate = found["Gate"]["Arguments"]
    assert [each["Name"] for each in gate["IfSteps"]] == ["prepare", "tell-it", "tell-it-2"]
    assert [each["Name"] for each in gate["ElseSteps"]] == ["tell-it-3"]


def test_calls_for_each_item_stand_in_the_body(load: Load) -> None:
    pipeline = load("""
        each = ForEach("Each", items=[1, 2], steps=[tell_it(prepare(ForEach.item))])
        pipeline = Pipeline("p", steps=[each])
    """)
    found = steps(pipeline)
    assert list(found) == ["Each"]
    body = found["Each"]["Arguments"]["ForEachBody"]
    assert [each["Name"] for each in body] == ["prepare", "tell-it"]
    assert {"Get": "ForEach.CurrentItem"} in body[0]["Arguments"]["ProcessingOutputConfig"]["Outputs"][0]["S3Output"][
        "S3Uri"
    ]["Std:Join"]["Values"]


def test_calls_of_one_function_are_numbered_and_names_that_were_given_stay(load: Load) -> None:
    pipeline = load("""
        many = [tell_it(i) for i in range(2)]
        other = fit.options(name="Refit", cache=None)(3)
        pipeline = Pipeline("p", steps=[many[1], other, many[0]])
    """)
    found = steps(pipeline)
    assert sorted(found) == ["Refit", "tell-it", "tell-it-2"]
    assert found["tell-it"]["Arguments"]["AppSpecification"]["ContainerArguments"][-1] == "[0]"
    assert "CacheConfig" not in found["Refit"]


def test_one_value_may_stand_in_two_pipelines_under_other_names(load: Load) -> None:
    pipeline = load("""
        first, second = tell_it(1), tell_it(2)
        other = Pipeline("other", steps=[second])
        pipeline = Pipeline("p", steps=[first, second])
        both = (other.definition(), pipeline.definition())
    """)
    assert sorted(steps(pipeline)) == ["tell-it", "tell-it-2"]


def test_the_folder_of_the_function_travels_once_for_all_and_its_key_changes_with_any_file(
    load: Load, tmp_path: Path
) -> None:
    body = """
        pipeline = Pipeline("p", steps=[tell_it(1), tell_it(2)])
    """
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "helper.py").write_text("x = 1")
    before = load(body).build().uploads
    names = [upload.key.split("/", 3)[3] for upload in before]
    assert sorted(names) == [
        "deeper/helper.py", "flow.py", "run.py", "towpath/__init__.py", "towpath/calling/__init__.py",
        "towpath/calling/job.py", "towpath/calling/values.py", "towpath/names.txt",
    ]  # fmt: skip
    (tmp_path / "deeper" / "helper.py").write_text("x = 2")
    after = load(body).build().uploads
    changed = {upload.key.split("/")[2] for upload in before} ^ {upload.key.split("/")[2] for upload in after}
    assert len(changed) == 2, "the code's prefix, and not that of what runs it"


def test_requirements_of_a_step_take_the_place_of_those_in_the_folder(load: Load, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("polars\n")
    (tmp_path / "more.txt").write_text("scipy\n")
    pipeline = load("""
        @step(requirements=["pyarrow"])
        def a(): ...
        @step(requirements="more.txt")
        def b(): ...
        pipeline = Pipeline("p", steps=[a(), b(), tell_it(1)])
    """)
    texts = [each.content for each in pipeline.build().uploads if each.key.endswith("requirements.txt")]
    assert texts == [b"pyarrow\n", b"scipy\n", b"polars\n"]


def test_a_long_argument_is_cut_into_words_that_the_api_takes(load: Load) -> None:
    pipeline = load("""
        pipeline = Pipeline("p", steps=[tell_it("é--" * 500)])
    """)
    words = steps(pipeline)["tell-it"]["Arguments"]["AppSpecification"]["ContainerArguments"]
    assert all(len(word) <= 256 for word in words)
    assert json.loads("".join(words[2:])) == ["é--" * 500]


def test_data_that_looks_like_an_expression_stays_data(load: Load) -> None:
    pipeline = load("""
        pipeline = Pipeline("p", steps=[tell_it({"Get": "Parameters.No", "n": execution.id})])
    """)
    (word,) = steps(pipeline)["tell-it"]["Arguments"]["AppSpecification"]["ContainerArguments"][2:]
    pairs = [["Get", "Parameters.No"], ["n", {"Get": "Execution.PipelineExecutionId"}]]
    assert word["Std:Join"]["Values"] == [[{"$raw": pairs}]]


def test_elsewhere_than_at_the_top_level_a_call_is_a_call(module: Callable[[str], Any]) -> None:
    steps = module("""
        from towpath import step
        @step
        def double(x: int) -> int:
            "Return twice as much."
            return 2 * x
        later = double(1)
        def build():
            return double(1)
        built = build()
    """)
    assert steps.double(4) == 8
    assert steps.double.__doc__ == "Return twice as much."
    assert isinstance(steps.later, Value)
    assert isinstance(steps.built, Value), "by way of a function of the same file"
    assert steps.build() == 2
    assert isinstance(steps.double(parameter("X", 1)), Value), "the argument is known only while a pipeline runs"
    assert isinstance(steps.double.later(4), Value)


def test_a_function_of_a_package_travels_with_the_folder_above_the_package(
    module: Callable[[str], Any], tmp_path: Path
) -> None:
    steps = module("from towpath import step\n@step\ndef f(): ...\n")
    place = steps.f.later().step.place
    assert (place.named, place.file, place.root) == ("shop.steps:f", "shop/steps.py", tmp_path)


def plain(x: Any = None) -> Any:
    return x


def test_what_a_job_could_not_import_is_refused_with_what_to_do() -> None:
    def inner() -> None: ...

    with pytest.raises(DefinitionError, match=r"made inside of test_.*; move inner to the top level"):
        step(inner).later()
    with pytest.raises(DefinitionError, match="a lambda has no name"):
        step(lambda: 1).later()
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile("def cell(): ...", "<ipython-input-1>", "exec"), names)
    with pytest.raises(DefinitionError, match=r"a notebook or a console, .*%%writefile"):
        step(names["cell"]).later()
    with pytest.raises(
        DefinitionError, match=r"Trainer.fit is a method, and a job has no Trainer to call it on; move fit"
    ):

        class Trainer:
            @step
            def fit(self, rate: float) -> None: ...

    with pytest.raises(DefinitionError, match="belongs to an installed package"):
        step(joblib.dump).later(1, 2)
    with pytest.raises(DefinitionError, match=r"plain function, and .* is none"):
        step(Path)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (Path("data.csv"), r"argument x\['a'\] is 'data.csv', a path on this machine, .*towpath data put"),
        ({1, 2}, r"argument x\['a'\] is {1, 2} \(a set\), which cannot stand in a pipeline definition"),
        (float("nan"), r"is nan \(a float\)"),
        ([execution.id, "x" * 300], r"argument x holds a value that is known .*, beside 315 characters of plain data; "
         r"both together may take 256\. Give the plain data as an argument of its own"),
        ("x" * 30_000, "the arguments take 12. words of 256 characters, above 100"),
        (execution.id == "x", r"Comparison\(.*expected a value that it yields"),
        (files("reviews"), r"argument x\['a'\] cannot read 'reviews'; expected an s3:// URI"),
    ],
)  # fmt: skip
def test_what_cannot_be_given_to_a_job_is_refused_where_the_call_stands(value: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        step(plain).later({"a": value})


def test_a_number_of_numpy_is_given_as_pythons() -> None:
    inputs = Inputs()
    for value, text in ((numpy.float32(0.5), "[0.5]"), (numpy.int64(3), "[3]"), (numpy.bool_(True), "[true]")):
        arguments = inspect.signature(plain).bind(value)
        assert words(arguments, inputs, "s") == ["--", "0", text]


def test_wrong_arguments_and_options_are_refused_where_they_stand() -> None:
    with pytest.raises(DefinitionError, match=r"plain.*got an unexpected keyword argument 'y'"):
        step(plain).later(y=1)
    with pytest.raises(DefinitionError, match=r"@step has no option 'retries'; it has cache, "):
        step(retries=3)  # type: ignore[call-overload]


def table() -> tuple[polars.DataFrame, NDArray[numpy.float64], int]: ...  # type: ignore[empty-body]


def test_a_table_is_not_compared_or_put_into_a_text() -> None:
    whole, array, count = step(table).later()
    assert (count > 3).to_wire()["RightValue"] == 3
    for wrong, kind in ((whole == 1, "DataFrame"), (array > 0, "ndarray")):
        with pytest.raises(DefinitionError, match=rf"is a {kind}, and conditions, texts and arguments .* what is JSON"):
            wrong.to_wire()


def test_a_round_is_read_by_the_name_or_the_result_of_its_step_and_not_selected_by_what_a_function_returns() -> None:
    value = step(plain).later(ForEach.item)
    each = ForEach("Each", items=[1, 2], steps=[value])
    for named in (value, value.step, "plain"):
        assert each.output(1, named, "ExitMessage").path == "Steps.Each.IterationOutputs[1].plain.ExitMessage"
    with pytest.raises(
        DefinitionError, match=r"step Each selects by <what step plain returns>; .*cannot be selected by"
    ):
        ForEach("Each", items=[1, 2], steps=[value], highest=value)  # type: ignore[arg-type]


def test_what_stands_in_a_list_of_steps_and_is_none_is_told() -> None:
    with pytest.raises(DefinitionError, match=r"pipeline p, steps: 3 is no step; .* use NAME.later"):
        Pipeline("p", steps=[3])  # type: ignore[list-item]


def test_values_know_their_members_by_what_the_function_says_that_it_returns() -> None:
    value = step(plain).later(dataset("reviews"))
    with pytest.raises(AttributeError, match="has no member 'accuracy'; only a dataclass"):
        _ = value.accuracy
    with pytest.raises(DefinitionError, match="cannot be unpacked, since nothing says how many"):
        _, _ = value
    with pytest.raises(DefinitionError, match="-1 leads to no item"):
        _ = value[-1]
    with pytest.raises(DefinitionError, match="known only while the pipeline runs"):
        bool(value)


def test_a_call_is_made_again_by_the_retry_policies_that_the_sagemaker_sdk_has_names_for(load: Load) -> None:
    pipeline = load(
        """
        from towpath import (
            SageMakerJobExceptionTypeEnum as Job, SageMakerJobStepRetryPolicy, StepExceptionTypeEnum, StepRetryPolicy
        )

        @step(retry_policies=[
            StepRetryPolicy([StepExceptionTypeEnum.SERVICE_FAULT, "Step.THROTTLING"], expire_after_mins=10),
            SageMakerJobStepRetryPolicy(
                exception_types=[Job.RESOURCE_LIMIT],
                failure_reason_types=[Job.INTERNAL_ERROR, Job.RESOURCE_LIMIT],
                backoff_rate=1, interval_seconds=5, max_attempts=2,
            ),
        ])
        def fetch(): ...

        table = fetch()
        pipeline = Pipeline("p", steps=[table, fetch.options(name="Plain", retry_policies=())(), Processing(
            "Prepare", script="flow.py", retry_policies=[StepRetryPolicy([StepExceptionTypeEnum.THROTTLING])]
        )])
        """
    )
    found = steps(pipeline)
    expected = [
        {
            "ExceptionType": ["Step.SERVICE_FAULT", "Step.THROTTLING"],
            "IntervalSeconds": 1,
            "BackoffRate": 2.0,
            "ExpireAfterMin": 10,
        },
        {
            "ExceptionType": ["SageMaker.RESOURCE_LIMIT", "SageMaker.JOB_INTERNAL_ERROR"],
            "IntervalSeconds": 5,
            "BackoffRate": 1.0,
            "MaxAttempts": 2,
        },
    ]
    assert found["fetch"]["RetryPolicies"] == expected
    assert "RetryPolicies" not in found["Plain"]
    assert found["Prepare"]["RetryPolicies"][0]["ExceptionType"] == ["Step.THROTTLING"]
    accept(json.dumps(pipeline.definition()))


THROTTLED = ["Step.THROTTLING"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: StepRetryPolicy([]), "expected a list of StepExceptionTypeEnum"),
        (lambda: StepRetryPolicy("Step.THROTTLING"), "exception types are a list"),
        (lambda: StepRetryPolicy(["SageMaker.CAPACITY_ERROR"]), r"expected StepExceptionTypeEnum\.SERVICE_FAULT"),
        (lambda: SageMakerJobStepRetryPolicy(), "expected a list of SageMakerJobExceptionTypeEnum"),
        (
            lambda: StepRetryPolicy(THROTTLED, max_attempts=21),
            "max_attempts of a retry policy is 21; expected 1",
        ),
        (lambda: StepRetryPolicy(THROTTLED, interval_seconds=-1), "expected at least 0"),
        (lambda: StepRetryPolicy(THROTTLED, max_attempts=1, expire_after_mins=1), "give one of them"),
        (
            lambda: step(retry_policies=StepRetryPolicy(THROTTLED))(plain).later(),  # type: ignore[call-overload]
            "put brackets around the one",
        ),
        (lambda: step(retry_policies=[3])(plain).later(), "step plain: 3 is no retry"),  # type: ignore[list-item]
        (
            lambda: step(retry_policies=[StepRetryPolicy(THROTTLED)] * 2)(plain).later(),
            "two retry policies are for Step.THROTTLING",
        ),
    ],
)
def test_a_retry_policy_that_could_not_work_is_refused_where_it_stands(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        make()
