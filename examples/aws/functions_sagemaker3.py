"""Functions as steps of a pipeline (`@step`), and run by themselves (`@remote`), with the SageMaker Python SDK 3.

`towpath exec -- python functions_sagemaker3.py --image IMAGE`, with an image that the server maps to an environment
that has the same version of Python and of the SDK as this one: see `docs/aws-clients.md`.
"""

import argparse
from typing import Any

from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.remote_function import remote
from sagemaker.core.remote_function.errors import RemoteFunctionError
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.parameters import ParameterInteger
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.function_step import step
from sagemaker.mlops.workflow.pipeline import Pipeline

NAME = "functions-sagemaker3"


def prepare(rows: int) -> dict[str, Any]:
    """Return numbers, and where they came from."""
    return {"numbers": list(range(rows)), "rows": rows}


def fit(prepared: dict[str, Any], scale: float) -> dict[str, Any]:
    """Return a model of the numbers."""
    total = sum(prepared["numbers"]) * scale
    return {"accuracy": total / 100, "rows": prepared["rows"]}


def tell(fitted: dict[str, Any], accuracy: float) -> str:
    """Return a sentence about a model."""
    return f"accuracy {accuracy} from {fitted['rows']} rows"


def fail(what: str) -> None:
    """Raise."""
    raise ValueError(f"no {what} today")


def main() -> None:
    """Run the pipeline, then a function by itself."""
    parser = argparse.ArgumentParser(description="Run functions as jobs with the SageMaker SDK 3.")
    parser.add_argument("--image", required=True, help="stands for an environment with this SDK")
    settings = parser.parse_args()
    session = Session()
    role = get_execution_role(session)
    how = {"image_uri": settings.image, "instance_type": "ml.m5.large", "role": role}

    rows = ParameterInteger("Rows", 20)
    prepared = step(prepare, name="prepare", **how)(rows)
    fitted = step(fit, name="fit", **how)(prepared, 0.5)
    told = step(tell, name="tell", **how)(fitted, fitted["accuracy"])
    gate = ConditionStep(
        name="GoodEnough",
        conditions=[ConditionGreaterThanOrEqualTo(left=fitted["accuracy"], right=0.5)],
        if_steps=[told],
        else_steps=[FailStep("TooWeak", error_message="the accuracy is below 0.5")],
    )
    pipeline = Pipeline(NAME, parameters=[rows], steps=[gate], sagemaker_session=session)
    pipeline.upsert(role_arn=role)
    execution = pipeline.start()
    execution.wait(delay=2, max_attempts=400)
    for each in execution.list_steps():
        print("step", each["StepName"], each["StepStatus"])
    print("result", execution.result("tell"))

    alone = remote(sagemaker_session=session, **how)
    print("remote", alone(prepare)(3))
    try:
        alone(fail)("bread")
    except (ValueError, RemoteFunctionError) as why:
        print("remote failed", type(why).__name__, why)


if __name__ == "__main__":
    main()
