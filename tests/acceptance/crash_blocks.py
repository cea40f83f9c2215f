"""The blocks of drawn pipelines: each adds its steps to a shape, and what comes of them."""

import random
from collections.abc import Callable
from typing import Any

from tests.acceptance.crash_shapes import (
    AGAIN,
    BUCKET,
    ENDPOINT,
    ENDS_BADLY,
    FUNCTION,
    GROUP,
    IMAGE,
    LINES,
    LONGEST_S,
    MODEL,
    ROLE,
    TRIED,
    Given,
    Shape,
    answer_to,
    below_execution,
    processing_step,
)


def _work(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    shape.steps.append(shape.job(name, before))
    return _wrote(shape, name, shape.text_of(name, before))


def _wrote(shape: Shape, name: str, text: str) -> Given:
    shape.objects[f"{name}/{name}.txt"] = text
    return Given(name, {"Get": f"Steps.{name}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}, text)


def _flaky(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    """Loses its runner once, which the platform makes good, or three times, which takes the retry policy."""
    says = f"{name}.{shape.tag}"
    shape.steps.append({**shape.job(name, before, says=says), "RetryPolicies": [AGAIN]})
    shape.speaks[name] = says
    shape.dooms[says] = chance.choice((1, 3))
    given = _wrote(shape, name, shape.text_of(says, before))
    shape.objects[f"{name}/{says}.txt"] = shape.objects.pop(f"{name}/{name}.txt")
    return given


def _kept(shape: Shape, _: str, before: Given | None, chance: random.Random) -> Given:
    """Is taken over from an earlier round where one has drawn the same name; nothing of its own round goes into it."""
    name = f"Kept{chance.choice('ABCDEF')}"
    salt = name.lower()
    says = f"Told{name}"
    step = processing_step(
        name, [says, str(shape.port)], {"code": f"s3://{BUCKET}/code/"}, f"s3://{BUCKET}/kept/{salt}"
    )
    shape.steps.append({**step, "CacheConfig": {"Enabled": True, "ExpireAfter": "P30D"}, **_after(before)})
    shape.rows[name], shape.speaks[name], shape.cached[name] = "Succeeded", says, salt
    text = f"{says}\n"
    shape.kept[f"kept/{salt}/{says}.txt"] = text
    return Given(name, {"Get": f"Steps.{name}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}, text)


def _after(before: Given | None) -> dict[str, Any]:
    return {} if before is None else {"DependsOn": [before.step]}


def _each(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    items = ["a", "b", "c", "d"][: chance.randint(2, 4)]
    body, then = f"Body{name}", f"Then{name}"
    item = {"Get": "ForEach.CurrentItem"}
    first = shape.job(body, before, says={"Std:Join": {"On": ".", "Values": [body, item]}})
    own = {"Get": f"Steps.{body}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    steps = [(body, first, before)]
    if chance.random() < 0.5:
        second = shape.job(then, Given(body, own), says={"Std:Join": {"On": ".", "Values": [then, item]}})
        steps.append((then, second, Given(body, own)))
    del shape.rows[body], shape.speaks[body]
    shape.rows.pop(then, None), shape.speaks.pop(then, None)
    for inner, step, _ in steps:
        output = step["Arguments"]["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]
        output["S3Uri"] = below_execution(inner, item)
        first.pop("DependsOn", None)  # the round waits for what its ForEach waits for
    for number, each in enumerate(items):
        text = ""
        for inner, _, source in steps:
            says = f"{inner}.{each}"
            text = shape.text_of(says, source) if inner == body else text + f"{says}\n"
            shape.rows[f"{inner}[{number}]"], shape.speaks[f"{inner}[{number}]"] = "Succeeded", says
            shape.objects[f"{inner}/{each}/{says}.txt"] = text
    shape.rows[name] = "Succeeded"
    arguments = {
        "IterableItems": items,
        "MaxConcurrency": chance.randint(1, 3),
        "ForEachBody": [step for _, step, _ in steps],
    }
    shape.steps.append({"Name": name, "Type": "ForEach", "Arguments": arguments, **_after(before)})
    last = steps[-1][0]
    place = f"Steps.{name}.IterationOutputs[1].{last}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"
    return Given(name, {"Get": place}, shape.objects[f"{last}/{items[1]}/{last}.{items[1]}.txt"])


def _callback(shape: Shape, name: str, before: Given | None) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Callback",
        "SqsQueueUrl": shape.queue,
        "Arguments": {"step": name},
        "OutputParameters": [{"OutputName": "answer", "OutputType": "String"}],
        **_after(before),
    }


def _ask(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    shape.steps.append(_callback(shape, name, before))
    shape.rows[name] = "Succeeded"
    shape.asks.add(name)
    return Given(name, value={"Get": f"Steps.{name}.OutputParameters['answer']"}, worth=answer_to(name))


def _call(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    event = {"step": name, "port": shape.port, "execution": {"Get": "Execution.PipelineExecutionId"}}
    step = {
        "Name": name,
        "Type": "Lambda",
        "Arguments": event,
        "FunctionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{FUNCTION}",
        "OutputParameters": [{"OutputName": "told", "OutputType": "String"}],
        "RetryPolicies": [AGAIN],
    }
    shape.steps.append({**step, **_after(before)})
    shape.rows[name], shape.speaks[name] = "Succeeded", name
    return Given(name, value={"Get": f"Steps.{name}.OutputParameters['told']"}, worth=f"told.by.{name}")


def _batch(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/lines/"}}
    arguments = {
        "ModelName": MODEL,
        "BatchStrategy": "SingleRecord",
        "TransformInput": {"DataSource": source, "ContentType": "text/plain", "SplitType": "Line"},
        "TransformOutput": {
            "S3OutputPath": below_execution(name),
            "Accept": "text/plain",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    shape.steps.append({"Name": name, "Type": "Transform", "Arguments": arguments, **_after(before)})
    shape.rows[name] = "Succeeded"
    shape.objects[f"{name}/lines.txt.out"] = LINES.upper()
    return Given(name, {"Get": f"Steps.{name}.TransformOutput.S3OutputPath"}, LINES.upper())


def _branch(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    left, worth = (before.value, before.worth) if before is not None and before.value is not None else ("x", "x")
    holds = chance.random() < 0.5
    condition = {"Type": "Equals", "LeftValue": left, "RightValue": worth if holds else f"not {worth}"}
    taken, other = f"Taken{name}", f"Other{name}"
    ran, never = shape.job(taken, before), shape.job(other, before)
    del shape.rows[other], shape.speaks[other]
    arguments = {
        "Conditions": [condition],
        "IfSteps": [ran if holds else never],
        "ElseSteps": [never if holds else ran],
    }
    shape.steps.append({"Name": name, "Type": "Condition", "Arguments": arguments, **_after(before)})
    shape.rows[name] = "Succeeded"
    return _wrote(shape, taken, shape.text_of(taken, before))


def _followed(shape: Shape, kind: str, name: str, before: Given | None, chance: random.Random) -> Given:
    """A step that ends badly, and one that was written to follow up on that."""
    bad = f"{kind}{name}"
    shape.steps.append(shape.job(bad, before, ends=ENDS_BADLY[kind]))
    trigger = {"Step": bad, "Trigger": chance.choice((ENDS_BADLY[kind], "Any"))}
    follow = f"Follows{name}"
    shape.steps.append({**shape.job(follow, None), "DependsOn": [trigger]})
    return _wrote(shape, follow, shape.text_of(follow, None))


def _failing(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    return _followed(shape, "Failing", name, before, chance)


def _halting(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    return _followed(shape, "Halting", name, before, chance)


def _overdue(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    """Runs for ever, and is stopped for that."""
    given = _followed(shape, "Overdue", name, before, chance)
    (step,) = [step for step in shape.steps if step["Name"] == f"Overdue{name}"]
    step["Arguments"]["StoppingCondition"] = {"MaxRuntimeInSeconds": LONGEST_S}
    return given


def _silent(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    """Nobody answers it."""
    bad, follow = f"Silent{name}", f"Follows{name}"
    shape.steps.append(_callback(shape, bad, before))
    shape.rows[bad] = ENDS_BADLY["Silent"]
    trigger = {"Step": bad, "Trigger": chance.choice(("Failed", "Any"))}
    shape.steps.append({**shape.job(follow, None), "DependsOn": [trigger]})
    return _wrote(shape, follow, shape.text_of(follow, None))


def _wide(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    """Runs on two hosts, each of which reads all and writes a file of its own."""
    step = shape.job(name, before)
    step["Arguments"]["ProcessingResources"]["ClusterConfig"] = {
        "InstanceType": "ml.t3.medium",
        "InstanceCount": 2,
        "VolumeSizeInGB": 1,
    }
    shape.steps.append(step)
    shape.hosts[name] = 2
    text = ""
    for host in ("algo-1", "algo-2"):
        says = f"{name}.{host}"
        shape.objects[f"{name}/{says}.txt"] = shape.text_of(says, before)
        text += shape.text_of(says, before)
    return Given(name, {"Get": f"Steps.{name}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}, text)


def _tune(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    static = {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": f"s3://{BUCKET}/tuned/code.tar.gz",
        "port": str(shape.port),
        "step": name,
        "execution": {"Get": "Execution.PipelineExecutionId"},
    }
    arguments = {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Grid",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "reached"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": len(TRIED), "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {"CategoricalParameterRanges": [{"Name": "rank", "Values": list(TRIED)}]},
        },
        "TrainingJobDefinition": {
            "RoleArn": ROLE,
            "StaticHyperParameters": static,
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "reached", "Regex": "reached=([0-9]+)"}],
            },
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/tuned"},
            "ResourceConfig": {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        },
    }
    shape.steps.append({"Name": name, "Type": "Tuning", "Arguments": arguments, **_after(before)})
    shape.rows[name] = "Succeeded"
    shape.tunes.add(name)
    return Given(name)


def _serve(shape: Shape, name: str, before: Given | None, _: random.Random) -> Given:
    """Brings the one endpoint of all rounds to a configuration of the execution's own."""
    config = f"Config{name}"
    variant = {"VariantName": "only", "ModelName": MODEL, "InstanceType": "ml.t2.medium", "InitialInstanceCount": 1}
    own = {"Std:Join": {"On": "-", "Values": [ENDPOINT, {"Get": "Execution.PipelineExecutionId"}]}}
    arguments = {"EndpointConfigName": own, "ProductionVariants": [variant]}
    shape.steps.append({"Name": config, "Type": "EndpointConfig", "Arguments": arguments, **_after(before)})
    arguments = {"EndpointName": ENDPOINT, "EndpointConfigName": {"Get": f"Steps.{config}.EndpointConfigName"}}
    shape.steps.append({"Name": name, "Type": "Endpoint", "Arguments": arguments})
    shape.rows |= {config: "Succeeded", name: "Succeeded"}
    shape.serves = name
    return Given(name)


def _register(shape: Shape, name: str, before: Given | None, chance: random.Random) -> Given:
    if shape.registers:
        return _work(shape, name, before, chance)
    arguments = {
        "ModelPackageGroupName": GROUP,
        "CustomerMetadataProperties": {"execution": {"Get": "Execution.PipelineExecutionId"}},
        "InferenceSpecification": {
            "Containers": [{"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/served/model.tar.gz"}],
            "SupportedContentTypes": ["text/plain"],
            "SupportedResponseMIMETypes": ["text/plain"],
        },
    }
    shape.steps.append({"Name": name, "Type": "RegisterModel", "Arguments": arguments, **_after(before)})
    shape.rows[name] = "Succeeded"
    shape.registers = True
    return Given(name)


Block = Callable[[Shape, str, Given | None, random.Random], Given]
BLOCKS: dict[str, Block] = {
    "Work": _work,
    "Flaky": _flaky,
    "Kept": _kept,
    "Each": _each,
    "Ask": _ask,
    "Call": _call,
    "Batch": _batch,
    "Gate": _branch,
    "Failed": _failing,
    "Halted": _halting,
    "Register": _register,
    "Late": _overdue,
    "Unheard": _silent,
    "Wide": _wide,
    "Tune": _tune,
    "Serve": _serve,
}


def drawn(chance: random.Random, *, tag: str, port: int, queue: str) -> Shape:
    """Return a shape of three or four blocks.

    Args:
        tag: of the round; goes into the names of steps that are told to die.
        port: where the recorder listens.
        queue: URL of the queue that is asked.
    """
    shape = Shape(tag, port, queue)
    given: list[Given] = []
    for number, kind in enumerate(chance.sample(sorted(BLOCKS), chance.randint(3, 4)), start=1):
        before = None
        if given and chance.random() < 0.8:
            before = given[-1] if chance.random() < 0.6 else chance.choice(given)
        given.append(BLOCKS[kind](shape, f"{kind}{number}", before, chance))
        shape.blocks.append(kind)
    return shape
