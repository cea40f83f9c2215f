"""A Lambda step with the SageMaker Python SDK 3: it makes the function, a pipeline calls it, and a condition reads it.

`towpath exec -- python lambda_sagemaker3.py`. Started again, it changes the function and the pipeline.
"""

import argparse
import json
import tempfile
from pathlib import Path

from sagemaker.core.helper.session_helper import get_execution_role
from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.workflow.conditions import ConditionGreaterThanOrEqualTo
from sagemaker.core.workflow.functions import Join
from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.lambda_step import LambdaOutput, LambdaOutputTypeEnum, LambdaStep
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import CacheConfig

HANDLER = """
def on_text(event, context):
    words = event.get("text", "nothing said").split()
    return {"count": len(words), "longest": max(words, key=len)}
"""


def main() -> None:
    """Make the function and the pipeline, run this, and call the function by hand."""
    argparse.ArgumentParser(description="Run a Lambda step with the SageMaker SDK 3.").parse_args()
    session = PipelineSession()
    role = get_execution_role(session)
    script = Path(tempfile.mkdtemp()) / "words.py"
    script.write_text(HANDLER)
    function = Lambda(
        function_name="words-sagemaker3",
        execution_role_arn=role,
        script=str(script),
        handler="words.on_text",
        timeout=30,
        runtime="python3.11",
        session=session,
    )
    text = ParameterString(name="Text", default_value="what a lovely dress")
    count = LambdaOutput(output_name="count", output_type=LambdaOutputTypeEnum.Integer)
    longest = LambdaOutput(output_name="longest", output_type=LambdaOutputTypeEnum.String)
    words = LambdaStep(
        name="Words",
        lambda_func=function,
        inputs={"text": text},
        outputs=[count, longest],
        cache_config=CacheConfig(enable_caching=True, expire_after="P1D"),
    )
    enough = ConditionStep(
        name="Enough",
        conditions=[ConditionGreaterThanOrEqualTo(left=words.properties.Outputs["count"], right=3)],
        if_steps=[],
        else_steps=[
            FailStep(
                name="Short",
                error_message=Join(on=" ", values=["only", words.properties.Outputs["count"], "words"]),
            )
        ],
    )
    pipeline = Pipeline(name="words-sagemaker3", parameters=[text], steps=[words, enough], sagemaker_session=session)
    pipeline.upsert(role_arn=role)
    execution = pipeline.start()
    execution.wait(delay=1, max_attempts=120)
    print("execution", execution.describe()["PipelineExecutionStatus"])
    for step in sorted(execution.list_steps(), key=lambda step: step["StartTime"]):
        print("step", step["StepName"], step["StepStatus"])
        if "Lambda" in step["Metadata"]:
            print("outputs", json.dumps(step["Metadata"]["Lambda"]["OutputParameters"]))
    answer = function.invoke()  # it sends no event
    print("answer", json.loads(answer["Payload"].read()))
    function.delete()
    print("deleted")


if __name__ == "__main__":
    main()
