"""Each rule finds its fault in a real document that was spoilt in one place, and names that place."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from towpath.kernel.errors import Unsupported
from towpath.pipelines.checks import RULES, accept, accept_executed, check, refuse_unexecuted
from towpath.pipelines.definition import parse
from towpath.pipelines.faults import InvalidDefinition
from towpath.pipelines.ports import Shapes
from towpath.pipelines.steps import STEP_TYPES

DOCUMENTS = sorted((Path(__file__).parents[2] / "golden" / "definitions").glob("*.json"))
Golden = Callable[[str], Any]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_a_real_document_has_no_faults(path: Path, shapes: Shapes) -> None:
    assert check(parse(path.read_text()), shapes) == []
    assert accept(path.read_text(), shapes) == parse(path.read_text())


class Spoilt:
    """A real document, how it is spoilt, and the one fault that must be found."""

    def __init__(self, rule: str, name: str, path: str, value: Any, place: str, message: str) -> None:
        self.rule = rule
        self.name = name
        self.path = path  #: where to write, dotted, numbers for lists
        self.value = value  #: what to write; REMOVE takes the member out
        self.place = place
        self.message = message

    def apply(self, document: Any) -> None:
        *way, last = [int(part) if part.isdigit() else part for part in self.path.split("/")]
        for part in way:
            document = document[part]
        if self.value is REMOVE:
            del document[last]
        elif last == "+":
            document.append(self.value)
        else:
            document[last] = self.value


REMOVE = object()
SCORE = "IterationOutput.Body.OutputParameters['score']"
CONDITIONS = "Steps/4/Arguments/Conditions/0"
AT = "Steps[4].Arguments.Conditions[0]"

SPOILT = [
    Spoilt(
        "loops",
        "v3_foreach",
        "Steps/0/Arguments/MaxConcurrency",
        0,
        "Steps[0].Arguments.MaxConcurrency",
        "MaxConcurrency is the number 0; expected an integer of at least 1",
    ),
    Spoilt(
        "loops",
        "v3_foreach",
        "Steps/0/Arguments/IterableItems",
        {"a": 1},
        "Steps[0].Arguments.IterableItems",
        "IterableItems is an object; expected a list",
    ),
    Spoilt(
        "loops",
        "v3_foreach",
        "Steps/0/Arguments/Selector/Pick",
        "Best",
        "Steps[0].Arguments.Selector",
        "expected an object with Pick (MaxBy or MinBy) and Field ({'Get': 'IterationOutput.<step>.<path>'})",
    ),
    Spoilt(
        "loops",
        "v3_foreach",
        "Steps/1/DependsOn",
        ["Body"],
        "Steps[1].DependsOn[0]",
        "step 'Body' runs in each round of 'Each'; wait for that instead",
    ),
    Spoilt(
        "performed",
        "v3_cleanup_trigger",
        "Steps/2/Arguments/Resources/S3/0/S3Uris",
        "s3://b/k",
        "Steps[2].Arguments.Resources.S3[0].S3Uris",
        "expected a list, found the text 's3://b/k'",
    ),
    Spoilt(
        "performed",
        "v3_cleanup_trigger",
        "Steps/2/Arguments/Resources/S3/0/StepName",
        "Nobody",
        "Steps[2].Arguments.Resources.S3[0].StepName",
        "there is no step 'Nobody'",
    ),
    Spoilt(
        "performed",
        "v3_cleanup_trigger",
        "Steps/2/Arguments/Resources",
        "T",
        "Steps[2].Arguments.Resources",
        "expected an object with S3, the list of what is deleted; found the text 'T'",
    ),
    Spoilt(
        "performed",
        "v3_cleanup_trigger",
        "Steps/2/Arguments/Resources/S3",
        {"Get": "Parameters.what"},
        "Steps[2].Arguments.Resources.S3",
        "expected a list of objects with the StepName of what it waits for; found an object",
    ),
    Spoilt(
        "performed",
        "v3_cleanup_trigger",
        "Steps/2/Arguments/Resources/S3/0/S3Uris/0",
        "not-s3",
        "Steps[2].Arguments.Resources.S3[0].S3Uris[0]",
        "'not-s3' is not an S3 URI; expected s3://bucket/key",
    ),
    Spoilt(
        "performed",
        "v3_cleanup_trigger",
        "Steps/2/Arguments/Resources/S3/0/S3Uris/0",
        5,
        "Steps[2].Arguments.Resources.S3[0].S3Uris[0]",
        "expected an S3 URI, found the number 5",
    ),
    Spoilt(
        "performed",
        "v3_lineage",
        "Steps/0/Arguments/Artifacts",
        "x",
        "Steps[0].Arguments.Artifacts",
        "expected a list, found the text 'x'",
    ),
    Spoilt(
        "performed",
        "v3_lineage",
        "Steps/0/Arguments/Artifacts/0",
        "x",
        "Steps[0].Arguments.Artifacts[0]",
        "expected an object, found the text 'x'",
    ),
    Spoilt(
        "performed",
        "v3_lineage",
        "Steps/0/Arguments/Associations",
        [5],
        "Steps[0].Arguments.Associations[0]",
        "expected an object with Source and Destination, found the number 5",
    ),
    Spoilt(
        "check-members",
        "v2_clarify",
        "Steps/0/CheckType",
        "DATA_QUALITY",
        "Steps[0]",
        "CheckType is 'DATA_QUALITY'; expected one of DATA_BIAS, MODEL_BIAS, MODEL_EXPLAINABILITY",
    ),
    Spoilt("no-steps", "v2_bert", "Steps", [], "Steps", "the pipeline has no steps"),
    Spoilt(
        "step-names",
        "v3_tuning",
        "Steps/0/Name",
        "my tuning",
        "Steps[0].Name",
        "'my tuning' is not a step name; expected 1 to 64 letters, digits, - and _",
    ),
    Spoilt(
        "duplicate-steps",
        "v2_bert",
        "Steps/4/Arguments/ElseSteps/0/Name",
        "Train",
        "Steps[4].Arguments.ElseSteps[0].Name",
        "the name 'Train' is taken by the step at Steps[1]",
    ),
    Spoilt(
        "step-types",
        "v2_transform",
        "Steps/0/Type",
        "BatchTransform",
        "Steps[0].Type",
        "'BatchTransform' is not a type of steps; expected one of AutoML, Callback,",
    ),
    Spoilt(
        "parameter-names",
        "v2_bert",
        "Parameters/3/Name",
        "Input Data",
        "Parameters[3].Name",
        "'Input Data' is not a parameter name; expected 1 to 256 letters, digits, - and _",
    ),
    Spoilt(
        "parameter-names",
        "v2_bert",
        "Parameters/7/Name",
        "InputData",
        "Parameters[7].Name",
        "the name 'InputData' is taken by the parameter at Parameters[0]",
    ),
    Spoilt(
        "parameter-defaults",
        "v2_bert",
        "Parameters/2/DefaultValue",
        "1",
        "Parameters[2].DefaultValue",
        "the text '1' is not of type Integer",
    ),
    Spoilt(
        "parameter-defaults",
        "v2_bert",
        "Parameters/2/DefaultValue",
        1.5,
        "Parameters[2].DefaultValue",
        "the number 1.5 is not an Integer",
    ),
    Spoilt(
        "parameter-defaults",
        "v2_bert",
        "Parameters/1/DefaultValue",
        "ml.p3.2xlarge",
        "Parameters[1].DefaultValue",
        "the text 'ml.p3.2xlarge' is not one of ml.c5.2xlarge, ml.m5.large",
    ),
    Spoilt(
        "parameter-defaults",
        "v2_bert",
        "Parameters/2/EnumValues",
        [1, 2],
        "Parameters[2].EnumValues",
        "only String parameters have them, this is Integer",
    ),
    Spoilt(
        "parameter-defaults",
        "v2_bert",
        "Parameters/1/EnumValues/+",
        3,
        "Parameters[1].EnumValues[2]",
        "expected a text, found the number 3",
    ),
    Spoilt(
        "unknown-parameters",
        "v2_bert",
        f"{CONDITIONS}/RightValue/Get",
        "Parameters.MinAcuracy",
        f"{AT}.RightValue.Get",
        "there is no parameter 'MinAcuracy'; there are InputData, ProcInstanceType,",
    ),
    Spoilt(
        "unknown-variables",
        "v2_callback",
        "Steps/0/Arguments/b/Get",
        "Execution.Id",
        "Steps[0].Arguments.b.Get",
        "there is no execution variable 'Id'; there are CurrentDateTime, PipelineArn,",
    ),
    Spoilt(
        "unknown-variables",
        "v2_callback",
        "Steps/0/Arguments/b/Get",
        "PipelineExperimentConfig.Name",
        "Steps[0].Arguments.b.Get",
        "PipelineExperimentConfig has no member 'Name'; there are ExperimentName, TrialName",
    ),
    Spoilt(
        "unknown-variables",
        "v2_callback",
        "Steps/0/Arguments/b/Get",
        "MlflowConfig.Arn",
        "Steps[0].Arguments.b.Get",
        "the definition has no MlflowConfig",
    ),
    Spoilt(
        "unknown-steps", "v2_bert", "Steps/2/DependsOn/0", "Proc", "Steps[2].DependsOn[0]", "there is no step 'Proc'"
    ),
    Spoilt(
        "unknown-steps",
        "v3_bert",
        "Steps/1/InputPlaceholder",
        {"a": {"Get": "Steps.Nowhere.X"}},
        "Steps[1].InputPlaceholder.a.Get",
        "there is no step 'Nowhere'",
    ),
    Spoilt(
        "property-files",
        "v2_bert",
        "Steps/3/PropertyFiles/0/OutputName",
        "report",
        "Steps[3].PropertyFiles[0].OutputName",
        "step 'Evaluation' has no output 'report'; it has metrics",
    ),
    Spoilt(
        "property-files",
        "v2_bert",
        "Steps/1/PropertyFiles",
        [{"PropertyFileName": "a", "OutputName": "b", "FilePath": "c"}],
        "Steps[1].PropertyFiles",
        "only Processing steps have property files, this is Training",
    ),
    Spoilt(
        "unknown-property-files",
        "v2_bert",
        f"{CONDITIONS}/LeftValue/Std:JsonGet/PropertyFile/Get",
        "Steps.Evaluation.PropertyFiles.Report",
        f"{AT}.LeftValue.Std:JsonGet.PropertyFile.Get",
        "step 'Evaluation' declares no property file 'Report'; it declares EvaluationReport",
    ),
    Spoilt(
        "expression",
        "v2_bert",
        f"{CONDITIONS}/LeftValue/Std:JsonGet/Path",
        "metrics..accuracy",
        f"{AT}.LeftValue.Std:JsonGet.Path",
        "'metrics..accuracy' is not a path: at character 9 stands '.'; expected a name, [0] or ['name']",
    ),
    Spoilt(
        "unknown-yields",
        "v2_legacy_register",
        "Steps/2/Arguments/PrimaryContainer/ModelDataUrl/Get",
        "Steps.T.ModelArtifact.S3ModelArtifacts",
        "Steps[2].Arguments.PrimaryContainer.ModelDataUrl.Get",
        "a Training step yields no ModelArtifact; see DescribeTrainingJob",
    ),
    Spoilt(
        "unknown-yields",
        "v3_bert",
        "Steps/1/Arguments/InputDataConfig/0/DataSource/S3DataSource/S3Uri/Get",
        "Steps.Processing.ProcessingOutputConfig.Outputs['test'].S3Output.S3Uri",
        "Steps[1].Arguments.InputDataConfig[0].DataSource.S3DataSource.S3Uri.Get",
        "step 'Processing' has no item 'test' in ProcessingOutputConfig.Outputs; it has train",
    ),
    Spoilt(
        "unknown-yields",
        "v2_lambda_cond",
        "Steps/1/Arguments/Conditions/0/LeftValue/Get",
        "Steps.L.OutputParameters['state']",
        "Steps[1].Arguments.Conditions[0].LeftValue.Get",
        "step 'L' declares no output 'state'; it declares status",
    ),
    Spoilt(
        "unknown-yields",
        "v2_lambda_cond",
        "Steps/1/Arguments/Conditions/0/LeftValue/Get",
        "Steps.L.Result",
        "Steps[1].Arguments.Conditions[0].LeftValue.Get",
        "a Lambda step yields OutputParameters, not Result",
    ),
    Spoilt(
        "lambdas",
        "v2_lambda_cond",
        "Steps/0/FunctionArn",
        "no function!",
        "Steps[0].FunctionArn",
        "expected the ARN of a function, arn:aws:lambda:REGION:ACCOUNT:function:NAME; found",
    ),
    Spoilt(
        "lambdas",
        "v2_lambda_cond",
        "Steps/0/OutputParameters/0/OutputType",
        "Text",
        "Steps[0].OutputParameters[0]",
        "'Text' is not a type of outputs; expected one of",
    ),
    Spoilt(
        "rounds",
        "v3_foreach",
        "Steps/1/Arguments/i0/Get",
        "ForEach.CurrentItem",
        "Steps[1].Arguments.i0.Get",
        "step 'After' is not in the body of a ForEach step; there is no current item",
    ),
    Spoilt(
        "rounds",
        "v3_foreach",
        "Steps/1/Arguments/i0/Get",
        "Steps.Body.OutputParameters['score']",
        "Steps[1].Arguments.i0.Get",
        "step 'Body' runs once in each round of 'Each'; read it as Steps.Each.IterationOutputs[0].Body",
    ),
    Spoilt(
        "rounds",
        "v3_foreach",
        "Steps/0/Arguments/Selector/Field/Get",
        "Steps.Body.OutputParameters['score']",
        "Steps[0].Arguments.Selector.Field.Get",
        "step 'Body' runs once in each round of 'Each'; read it as IterationOutput.Body.OutputParameters['score']",
    ),
    Spoilt(
        "loops",
        "v3_foreach",
        "Steps/0/Selector",
        {"Pick": "MaxBy", "Field": {"Get": "IterationOutput.Body.OutputParameters['score']"}},
        "Steps[0].Selector",
        "this member belongs into the Arguments of the ForEach step, and here it means nothing; write Arguments.",
    ),
    Spoilt(
        "rounds",
        "v3_foreach",
        "Steps/0/Arguments/Selector/Field/Get",
        "IterationOutput.After.OutputParameters['score']",
        "Steps[0].Arguments.Selector.Field.Get",
        "the body of 'Each' has no step 'After'",
    ),
    Spoilt(
        "rounds",
        "v2_callback",
        "Steps/+",
        {
            "Name": "D",
            "Type": "Callback",
            "SqsQueueUrl": "https://q",
            "Arguments": {"a": {"Get": "Steps.C.Selected.X"}},
        },
        "Steps[1].Arguments.a.Get",
        "step 'C' is of type Callback; only ForEach steps have rounds",
    ),
    Spoilt(
        "request-members",
        "v2_function",
        "ParallelismConfiguration",
        {"MaxParallelExecutionSteps": 2},
        "ParallelismConfiguration",
        "it is a member of requests and no part of a definition; give it to CreatePipeline, UpdatePipeline",
    ),
    Spoilt(
        "waiting-in-circles",
        "v2_function",
        "Steps/2/DependsOn",
        ["fit"],
        "Steps[2].DependsOn[0]",
        "steps wait for each other: fit → pre → fit",
    ),
    Spoilt(
        "waiting-in-circles",
        "v2_bert",
        "Steps/0/DependsOn",
        ["CreateIt-CreateModel"],
        "Steps[1].Arguments.InputDataConfig[0].DataSource.S3DataSource.S3Uri.Get",
        "steps wait for each other: Processing → CreateIt-CreateModel → CreateIt-RepackModel-0 → Train → Processing",
    ),
    Spoilt(
        "impossible-order",
        "v2_bert",
        "Steps/4/Arguments/ElseSteps/0/DependsOn",
        ["CreateIt-CreateModel"],
        "Steps[4].Arguments.ElseSteps[0].DependsOn[0]",
        "step 'Fail' and step 'CreateIt-CreateModel' stand in different branches of 'Accuracy'; never do both run",
    ),
    Spoilt(
        "impossible-order",
        "v3_bert",
        "Steps/1/DependsOn",
        ["Fail"],
        "Steps[1].DependsOn[0]",
        "step 'Fail' is a Fail step; nothing runs after it",
    ),
    Spoilt(
        "impossible-order",
        "v3_cleanup_trigger",
        "Steps/1/Arguments/a",
        {"Get": "Steps.T.OutputParameters['score']"},
        "Steps[1].Arguments.a.Get",
        "step 'N' runs only when 'T' has Failed, and then there is nothing to read",
    ),
    Spoilt(
        "cache-durations",
        "v2_bert",
        "Steps/0/CacheConfig/ExpireAfter",
        "1 hour",
        "Steps[0].CacheConfig.ExpireAfter",
        "'1 hour' is not an ISO 8601 duration; expected something like PT1H or P30D",
    ),
    Spoilt(
        "retry-policies",
        "v2_bert",
        "Steps/0/RetryPolicies/1/ExceptionType/0",
        "SageMaker.OUT_OF_MEMORY",
        "Steps[0].RetryPolicies[1].ExceptionType[0]",
        "'SageMaker.OUT_OF_MEMORY' is not an exception type; expected one of Step.SERVICE_FAULT,",
    ),
    Spoilt(
        "retry-policies",
        "v2_bert",
        "Steps/0/RetryPolicies/1/ExceptionType/0",
        "Step.THROTTLING",
        "Steps[0].RetryPolicies[1].ExceptionType[0]",
        "'Step.THROTTLING' stands in an earlier policy already",
    ),
    Spoilt(
        "retry-policies",
        "v2_bert",
        "Steps/0/RetryPolicies/0/MaxAttempts",
        21,
        "Steps[0].RetryPolicies[0].MaxAttempts",
        "21 is out of range; expected 1 to 20",
    ),
    Spoilt(
        "retry-policies",
        "v2_bert",
        "Steps/0/RetryPolicies/0/ExpireAfterMin",
        5,
        "Steps[0].RetryPolicies[0]",
        "MaxAttempts and ExpireAfterMin exclude each other",
    ),
    Spoilt(
        "condition",
        "v2_bert",
        f"{CONDITIONS}/Type",
        "AtLeast",
        f"{AT}.Type",
        "'AtLeast' is not a type of conditions; expected one of Equals, GreaterThan,",
    ),
    Spoilt(
        "condition",
        "v2_lambda_cond",
        "Steps/1/Arguments/Conditions/1/Condition/Values",
        REMOVE,
        "Steps[1].Arguments.Conditions[1].Condition.Values",
        "this member is missing; In needs it",
    ),
    Spoilt(
        "comparable-values",
        "v2_lambda_cond",
        "Steps/1/Arguments/Conditions/2/Conditions/0/RightValue",
        "two",
        "Steps[1].Arguments.Conditions[2].Conditions[0]",
        "LeftValue and RightValue are a number and a text; they cannot be ordered",
    ),
    Spoilt(
        "comparable-values",
        "v2_bert",
        f"{CONDITIONS}/RightValue/Get",
        "Parameters.FreezeBert",
        f"{AT}.RightValue",
        "a Boolean has no order; GreaterThanOrEqualTo compares numbers or texts",
    ),
    Spoilt(
        "required-members",
        "v2_callback",
        "Steps/0/SqsQueueUrl",
        REMOVE,
        "Steps[0].SqsQueueUrl",
        "this member is missing; Callback steps need it",
    ),
    Spoilt(
        "required-members",
        "v2_bert",
        "Steps/4/Arguments/ElseSteps/0/Arguments/ErrorMessage",
        REMOVE,
        "Steps[4].Arguments.ElseSteps[0].Arguments.ErrorMessage",
        "this member is missing; Fail steps need it",
    ),
    Spoilt(
        "required-members",
        "v2_bert",
        "Steps/4/Arguments/Conditions",
        [],
        "Steps[4].Arguments.Conditions",
        "there must be at least one condition",
    ),
    Spoilt(
        "callbacks",
        "v2_callback",
        "Steps/0/SqsQueueUrl",
        "approvals",
        "Steps[0].SqsQueueUrl",
        "expected the address of a queue, or of a webhook, https://…; found the text 'approvals'",
    ),
    Spoilt(
        "callbacks",
        "v2_callback",
        "Steps/0/OutputParameters/1/OutputType",
        "Date",
        "Steps[0].OutputParameters[1]",
        "'Date' is not a type of outputs; expected one of String, Integer, Float, Boolean",
    ),
    Spoilt(
        "callbacks",
        "v2_callback",
        "Steps/0/OutputParameters",
        "o1",
        "Steps[0].OutputParameters",
        "expected a list of objects with OutputName and OutputType, found the text 'o1'",
    ),
    Spoilt(
        "arguments",
        "v2_bert",
        "Steps/1/Arguments/OutputDataConfig/S3OutputPath",
        REMOVE,
        "Steps[1].Arguments.OutputDataConfig.S3OutputPath",
        "this member is missing; the request needs it",
    ),
    Spoilt(
        "arguments",
        "v2_bert",
        "Steps/0/Arguments/ProcessingResources/ClusterConfig/VolumeSizeInGB",
        "thirty",
        "Steps[0].Arguments.ProcessingResources.ClusterConfig.VolumeSizeInGB",
        "the text 'thirty' is not allowed: Member must be a number",
    ),
    Spoilt(
        "arguments",
        "v2_bert",
        "Steps/0/Arguments/ProcessingInputs",
        {},
        "Steps[0].Arguments.ProcessingInputs",
        "expected a list, found an object",
    ),
    Spoilt(
        "arguments",
        "v2_bert",
        "Steps/0/Arguments/ProcessingInputs/0/S3Input/S3DataType",
        "Prefix",
        "Steps[0].Arguments.ProcessingInputs[0].S3Input.S3DataType",
        "the text 'Prefix' is not allowed: Member must satisfy enum value set: [ManifestFile, S3Prefix]",
    ),
    Spoilt(
        "arguments",
        "v2_bert",
        "Steps/0/Arguments/AppSpecification/ContainerArguments",
        [],
        "Steps[0].Arguments.AppSpecification.ContainerArguments",
        "0 items are not allowed: Member must have length greater than or equal to 1",
    ),
    Spoilt(
        "arguments",
        "v2_bert",
        "Steps/1/Arguments/InputDataConfig/0/ChannelName",
        "my channel",
        "Steps[1].Arguments.InputDataConfig[0].ChannelName",
        "the text 'my channel' is not allowed: Member must satisfy regular expression pattern",
    ),
    Spoilt(
        "arguments",
        "v2_bert",
        "Steps/0/Arguments/Environment",
        {"not a name": "1"},
        "Steps[0].Arguments.Environment['not a name']",
        "the text 'not a name' is not allowed as a name: Member must satisfy regular expression pattern",
    ),
    Spoilt(
        "arguments",
        "v2_bert",
        "Steps/1/Arguments/HyperParameters",
        {str(number): "1" for number in range(101)},
        "Steps[1].Arguments.HyperParameters",
        "101 items are not allowed: Member must have length less than or equal to 100",
    ),
]


@pytest.mark.parametrize("spoilt", SPOILT, ids=lambda spoilt: f"{spoilt.rule}-{spoilt.name}-{spoilt.path[-20:]}")
def test_a_fault_is_found_where_it_stands(spoilt: Spoilt, golden: Golden, shapes: Shapes) -> None:
    document = golden(spoilt.name)
    spoilt.apply(document)
    found = check(parse(document), shapes)
    fault = next((fault for fault in found if fault.rule == spoilt.rule and fault.place == spoilt.place), None)
    assert fault is not None, [f"{fault.rule} {fault}" for fault in found]
    assert fault.message.startswith(spoilt.message)
    with pytest.raises(InvalidDefinition) as caught:
        accept(json.dumps(document), shapes)
    assert f"{spoilt.place}: {spoilt.message}" in caught.value.message


def test_every_rule_has_a_document_that_breaks_it() -> None:
    assert {rule.__name__.replace("_", "-") for rule in RULES} <= {spoilt.rule for spoilt in SPOILT}


def test_all_faults_are_listed_at_once(golden: Golden, shapes: Shapes) -> None:
    document = golden("v2_bert")
    document["Steps"][0]["CacheConfig"]["ExpireAfter"] = "soon"
    document["Steps"][2]["DependsOn"] = ["Nobody"]
    with pytest.raises(InvalidDefinition) as caught:
        accept(json.dumps(document), shapes)
    assert caught.value.message == (
        "The pipeline definition has 2 faults:\n"
        "- Steps[2].DependsOn[0]: there is no step 'Nobody'\n"
        "- Steps[0].CacheConfig.ExpireAfter: 'soon' is not an ISO 8601 duration; expected something like PT1H or P30D"
    )


def test_members_that_are_given_more_than_once_are_refused_and_in_a_stored_definition_the_last_counts(
    golden: Golden, shapes: Shapes
) -> None:
    sound = json.dumps(golden("v2_bert"))
    parameters = '"Parameters": [{"Name": "Old", "Type": "String"}], '
    text = "{" + parameters + sound[1:].replace('"Type": "Condition"', '"Type": "Fail", "Type": "Condition"', 1)
    assert parse(text) == parse(sound)
    for accepted in (accept, accept_executed):
        with pytest.raises(InvalidDefinition) as caught:
            accepted(text, shapes)
        assert caught.value.message == (
            "The pipeline definition has 2 faults:\n"
            "- Parameters: this member is given more than once\n"
            "- Steps[4].Type: this member is given more than once"
        )


def test_a_repeated_member_does_not_hide_that_a_step_is_never_executed(golden: Golden) -> None:
    with pytest.raises(Unsupported, match="is of type EMR"):
        accept_executed('{"Version": "2020-12-01", ' + json.dumps(golden("v2_emr"))[1:])


def test_the_guide_shows_a_whole_selector(golden: Golden, shapes: Shapes) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "pipeline-definition.md").read_text()
    (shown,) = re.findall(r'"Selector": (\{"Pick": .*\}\}),$', guide, re.MULTILINE)
    document = golden("v3_foreach")
    selector = json.loads(shown.replace("IterationOutput.Train.FinalMetricDataList['accuracy'].Value", SCORE))
    assert selector["Field"] == {"Get": SCORE}, "the guide reads a metric of the step Train"
    document["Steps"][0]["Arguments"]["Selector"] = selector
    assert check(parse(document), shapes) == []


def test_a_malformed_expression_is_one_fault(golden: Golden, shapes: Shapes) -> None:
    document = golden("v2_bert")
    document["Steps"][4]["Arguments"]["Conditions"][0]["LeftValue"]["Std:JsonGet"]["Path"] = "a..b"
    assert [fault.rule for fault in check(parse(document), shapes)] == ["expression"]


@pytest.mark.parametrize(
    ("name", "type_"), [("v2_emr", "EMR"), ("v3_emrserverless", "EMRServerless"), ("v2_automl", "AutoML")]
)
def test_what_is_never_executed_is_refused_with_what_to_use_instead(name: str, type_: str, golden: Golden) -> None:
    with pytest.raises(Unsupported, match=rf"is of type {type_}, which Towpath does not execute; use a \w+ step"):
        refuse_unexecuted(parse(golden(name)))


@pytest.mark.parametrize("type_", sorted(name for name, type_ in STEP_TYPES.items() if type_.instead is not None))
def test_what_is_never_executed_is_refused_before_its_faults_are_told(type_: str, shapes: Shapes) -> None:
    text = json.dumps({"Version": "2020-12-01", "Steps": [{"Name": "A", "Type": type_, "Arguments": {}}]})
    with pytest.raises(Unsupported, match=rf"^Step 'A' .* is of type {type_}, which Towpath does not execute"):
        accept_executed(text, shapes)
    places = [fault.place for fault in check(parse(text), shapes)]
    assert len(places) == len(set(places)), "each member is missed once"


@pytest.mark.parametrize(
    "name",
    [
        "v2_bert",
        "v3_bert",
        "v2_function",
        "v3_function",
        "v2_legacy_register",
        "v2_clarify",
        "v2_qualitycheck",
        "v3_lineage",
        "v2_notebook",
        "v2_tuning",
        "v2_callback",
    ],
)
def test_what_can_be_executed_is_not_refused(name: str, golden: Golden, shapes: Shapes) -> None:
    assert accept_executed(golden(name), shapes) == parse(golden(name))
