"""The definition that a pipeline emits, and what is refused where it is written."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

from towpath.pipelines.checks import accept, refuse_unexecuted
from towpath.pipelines.definition import document, parse
from towpath.sdk import (
    Callback,
    Condition,
    CreateModel,
    DefinitionError,
    Endpoint,
    EndpointConfig,
    Fail,
    ForEach,
    Pipeline,
    Processing,
    Register,
    Step,
    Training,
    Transform,
    dataset,
    execution,
    failed,
    join,
    parameter,
)
from towpath.sdk.build import is_code
from towpath.sdk.expressions import Get

GOLDEN = Path(__file__).with_name("reviews.json")


class RealShapes:
    """The shapes of the real API."""

    def __init__(self) -> None:
        self._model = ServiceModel(Loader().load_service_model("sagemaker", "service-2"))

    def input(self, operation: str) -> Shape | None:
        known = operation in self._model.operation_names  # some types of steps call operations of our own
        return self._model.operation_model(operation).input_shape if known else None

    def output(self, operation: str) -> Shape | None:
        return self._model.operation_model(operation).output_shape


def test_the_definition_is_the_recorded_one(pipeline: Pipeline) -> None:
    """Recorded anew by writing `definition_json()` to the file, after looking at every difference."""
    assert pipeline.definition() == json.loads(GOLDEN.read_text())


def test_the_platform_reads_every_member_of_the_definition_and_finds_no_fault(pipeline: Pipeline) -> None:
    text = pipeline.definition_json()
    assert accept(text, RealShapes()) == parse(text)
    assert document(parse(text))["Steps"] == pipeline.definition()["Steps"]


def test_the_code_that_the_definition_names_is_what_is_uploaded(pipeline: Pipeline) -> None:
    text = pipeline.definition_json()
    uploads = pipeline.build().uploads
    assert sorted(upload.key.rpartition("/")[2] for upload in uploads) == [
        "evaluate.py",
        "prepare.py",
        "sourcedir.tar.gz",
    ]
    for upload in uploads:
        uri = f"s3://{upload.bucket}/{upload.key}"
        assert uri in text
        assert is_code(uri), "which is how listings know it"


def test_several_processing_files_are_uploaded_side_by_side_and_read_as_one_folder(project: Path) -> None:
    step = Processing("Prepare", script="prepare.py", include=["train.py"])
    built = Pipeline("p", steps=[step], root=project).build()
    uri = built.definition["Steps"][0]["Arguments"]["ProcessingInputs"][-1]["S3Input"]["S3Uri"]
    assert uri.endswith("/")
    assert [f"s3://{upload.bucket}/{upload.key}" for upload in built.uploads] == [f"{uri}prepare.py", f"{uri}train.py"]


def test_paths_start_from_the_folder_of_the_file_that_makes_the_pipeline(project: Path) -> None:
    names: dict[str, Any] = {"__file__": str(project / "pipeline.py")}
    code = "from towpath import Pipeline, Processing\np = Pipeline('p', steps=[Processing('A', script='prepare.py')])"
    exec(compile(code, names["__file__"], "exec"), names)
    assert names["p"].root == project


def test_parameters_that_steps_use_are_declared_in_the_order_of_use_after_the_listed_ones(project: Path) -> None:
    listed, used = parameter("Listed", 1), parameter("Used", 2)
    step = Processing("A", script="prepare.py", arguments=[used, listed])
    declared = Pipeline("p", steps=[step], parameters=[listed], root=project).definition()["Parameters"]
    assert [each["Name"] for each in declared] == ["Listed", "Used"]


def test_two_different_parameters_of_one_name_are_refused(project: Path) -> None:
    step = Processing("A", script="prepare.py", arguments=[parameter("P", 1), parameter("P", 2)])
    with pytest.raises(DefinitionError, match="two different parameters are called 'P'"):
        Pipeline("p", steps=[step], root=project)


def test_two_steps_of_one_name_are_refused_also_inside_a_condition(project: Path) -> None:
    limit = parameter("Limit", 1)
    gate = Condition("Gate", if_=limit > 0, then=[Fail("A", message="x")])
    with pytest.raises(DefinitionError, match="two steps are called 'A'"):
        Pipeline("p", steps=[Processing("A", script="prepare.py"), gate], root=project)


def test_reading_from_a_step_that_is_not_in_the_pipeline_is_refused(project: Path) -> None:
    lost = Processing("Lost", script="prepare.py", outputs=["x"])
    for step, told in (
        (Processing("A", script="prepare.py", inputs={"x": lost.output("x")}), "step A reads from 'Lost'"),
        (Fail("A", message=join("", lost.json("x", "y"))), "step A reads from 'Lost'"),
        (Fail("A", message="x", depends_on=[lost]), "step A depends on 'Lost'"),
        (Condition("A", if_=lost.json("x", "y") > 1, then=[Fail("B", message="")]), "step A reads from 'Lost'"),
    ):
        with pytest.raises(DefinitionError, match=told):
            Pipeline("p", steps=[step], root=project)


def test_a_missing_script_is_refused_where_the_pipeline_is_made(project: Path) -> None:
    with pytest.raises(DefinitionError, match=r"no file 'nothing\.py'"):
        Pipeline("p", steps=[Processing("A", script="nothing.py")], root=project)


def _gate(**members: Any) -> Step:
    return Condition("A", **members)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Processing("two words", script="a.py"), "is not a step name"),
        (lambda: Processing("A", script="a.py", outputs=["x", "x"]), "two outputs called 'x'"),
        (lambda: Processing("A", script="a.py", inputs={"code": "s3://b/k"}), "cannot be called 'code'"),
        (lambda: Processing("A", script="a.py", outputs=["x"]).output("y"), "no output 'y'; its outputs: x"),
        (lambda: Training("A", script="a.py", metrics={"m": "loss"}), "has no group"),
        (lambda: Training("A", script="a.py", metrics={"m": "("}), "no regular expression"),
        (lambda: Training("A", script="a.py", hyperparameters={"sagemaker_program": 1}), "reserved"),
        (lambda: Training("A", script="a.py").metric("m"), "no metric 'm'"),
        (lambda: Register("A", group="g", model="s3://b/k", approval="Yes"), "is not one of Pending"),
        (lambda: CreateModel("A"), "give model"),
        (lambda: _gate(if_=True, then=[]), "True is no condition"),
        (lambda: _gate(if_=[True], then=[Fail("B", message="")]), "True is no condition"),
        (lambda: _gate(if_=[], then=[Fail("B", message="")]), "has no condition"),
        (lambda: _gate(if_=parameter("P", 1) > 0), "decides nothing"),
        (lambda: dataset("a b"), "is not a dataset name"),
        (lambda: Pipeline("a b", steps=[Fail("A", message="")]), "is not a pipeline name"),
        (lambda: Pipeline("p", steps=[]), "has no steps"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(make: Any, told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        make()


def test_a_local_file_is_no_input_and_the_message_says_what_to_do(project: Path) -> None:
    with pytest.raises(DefinitionError, match=r"cannot read 'reviews\.csv'.*towpath data put"):
        Pipeline("p", steps=[Processing("A", script="prepare.py", inputs={"x": "reviews.csv"})], root=project)


def test_rounds_triggers_and_endpoints_are_read_by_the_platform_without_a_fault(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('hello')")
    (tmp_path / "report.py").write_text("print('hello')")
    train = Training("Train", script=str(tmp_path / "train.py"), hyperparameters={"epochs": ForEach.item})
    judged = train.property("FinalMetricDataList['accuracy'].Value")
    tries = ForEach("Tries", items=[1, 2, 5], steps=[train], at_once=2, highest=judged)
    create = CreateModel("Create", model=tries.selected("ModelArtifacts.S3ModelArtifacts"))
    config = EndpointConfig("Config", model=create)
    serve = Endpoint("Serve", endpoint="reviews", config=config)
    report = Processing("Report", script=str(tmp_path / "report.py"), depends_on=[failed(tries)])
    pipeline = Pipeline("tries", steps=[tries, create, config, serve, report])
    text = pipeline.definition_json()
    assert accept(text, RealShapes()) == parse(text)
    refuse_unexecuted(parse(text))
    loop, *_, last = pipeline.definition()["Steps"]
    assert loop["Arguments"]["Selector"] == {
        "Pick": "MaxBy",
        "Field": {"Get": "IterationOutput.Train.FinalMetricDataList['accuracy'].Value"},
    }
    assert last["DependsOn"] == [{"Step": "Tries", "Trigger": "Failed"}]
    output = loop["Arguments"]["ForEachBody"][0]["Arguments"]["OutputDataConfig"]["S3OutputPath"]
    assert {"Get": "ForEach.CurrentItem"} in output["Std:Join"]["Values"], "rounds do not write over each other"


def test_what_a_loop_selects_by_is_a_property_of_its_steps(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('hello')")
    train = Training("Train", script=str(tmp_path / "train.py"))
    with pytest.raises(DefinitionError, match=r"selects by Steps\.Other\.X, which is no property of one of its steps"):
        ForEach("Tries", items=[1], steps=[train], highest=Get("Steps.Other.X"))
    with pytest.raises(DefinitionError, match="cannot stand inside another one"):
        ForEach("Outer", items=[1], steps=[ForEach("Inner", items=[1], steps=[train])])
    with pytest.raises(DefinitionError, match="has no steps to run"):
        ForEach("Empty", items=[1], steps=[])
    with pytest.raises(DefinitionError, match="items is 3; expected a list"):
        ForEach("Number", items=3, steps=[train])  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="1 is twice among the items"):
        ForEach("Twice", items=[1, 2, "1"], steps=[train])


def test_a_model_transforms_what_it_is_given(project: Path) -> None:
    """Every member of the request is one of the API's, and what is left out is left out."""
    create = CreateModel("Create", model="s3://lake/model.tar.gz")
    plain = Transform("Plain", model=create.model_name, data=dataset("reviews"))
    every = Transform(
        "Every",
        model=parameter("Model", "wine"),
        data=plain.output,
        content_type="text/csv",
        accept="text/csv",
        strategy="MultiRecord",
        compression="Gzip",
        input_filter="$[1:]",
        join=True,
        output_filter="$[0,-1]",
        max_payload_mb=1,
        max_concurrent=2,
        answer_timeout_s=60,
        retries=0,
        environment={"THREADS": 2},
    )
    whole = Transform("Whole", model="wine", data="s3://lake/images/", content_type="image/png", split="None")
    text = Pipeline("p", steps=[create, plain, every, whole], root=project).definition_json()
    accept(text, RealShapes())
    _, first, second, third = (step["Arguments"] for step in json.loads(text)["Steps"])
    assert first["ModelName"] == {"Get": "Steps.Create.ModelName"}
    assert set(first) == {"ModelName", "TransformInput", "TransformOutput", "TransformResources", "BatchStrategy"}
    assert (first["TransformInput"]["SplitType"], first["TransformOutput"]["AssembleWith"]) == ("Line", "Line")
    source = second["TransformInput"]["DataSource"]["S3DataSource"]
    assert source["S3Uri"] == {"Get": "Steps.Plain.TransformOutput.S3OutputPath"}
    assert second["DataProcessing"] == {"InputFilter": "$[1:]", "JoinSource": "Input", "OutputFilter": "$[0,-1]"}
    assert second["ModelClientConfig"] == {"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 0}
    assert (second["MaxPayloadInMB"], second["MaxConcurrentTransforms"]) == (1, 2)
    assert second["Environment"] == {"THREADS": "2"}
    assert "BatchStrategy" not in third
    assert third["TransformInput"]["ContentType"] == "image/png"


def test_a_split_and_a_strategy_are_those_of_the_api() -> None:
    with pytest.raises(DefinitionError, match="split 'RecordIO' is not one of Line, None"):
        Transform("A", model="wine", data="s3://lake/rows", split="RecordIO")
    with pytest.raises(DefinitionError, match="strategy 'All' is not one of SingleRecord, MultiRecord"):
        Transform("A", model="wine", data="s3://lake/rows", strategy="All")


def test_a_callback_step_is_read_by_the_platform_without_a_fault(tmp_path: Path) -> None:
    """Its document is the one that the SageMaker SDK writes, but for the names."""
    where = parameter("Where", "https://sqs.us-east-1.amazonaws.com/000000000000/q")
    outputs = {"ticket": str, "count": int, "risk": float, "ok": bool}
    ask = Callback("Ask", to=where, inputs={"id": execution.id, "n": 1}, outputs=outputs)
    told = Fail("Told", message=ask.output("ticket"))
    text = Pipeline("asks", steps=[ask, told], root=tmp_path).definition_json()
    accept(text, RealShapes())
    refuse_unexecuted(parse(text))
    assert json.loads(text)["Steps"][0] == {
        "Name": "Ask",
        "Type": "Callback",
        "Arguments": {"id": {"Get": "Execution.PipelineExecutionId"}, "n": 1},
        "SqsQueueUrl": {"Get": "Parameters.Where"},
        "OutputParameters": [
            {"OutputName": "ticket", "OutputType": "String"},
            {"OutputName": "count", "OutputType": "Integer"},
            {"OutputName": "risk", "OutputType": "Float"},
            {"OutputName": "ok", "OutputType": "Boolean"},
        ],
    }


def test_what_a_callback_step_cannot_ask_is_refused_at_once() -> None:
    with pytest.raises(DefinitionError, match="'approvals' is no address; expected client"):
        Callback("Ask", to="approvals")
    with pytest.raises(DefinitionError, match=r"output a is <class 'list'>; expected str, int, float, bool"):
        Callback("Ask", to="https://example.org/", outputs={"a": list})
    with pytest.raises(DefinitionError, match="step Ask has no output 'b'; it has a"):
        Callback("Ask", to="https://example.org/", outputs={"a": str}).output("b")
