"""The SageMaker SDK 3 with its check of roles switched on: it asks IAM what a role may do and who may take it on."""

from collections.abc import Callable

import pytest
from tests.clients.lanes.conftest import Lane

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(900)]

PROGRAM = """
import logging, os
os.environ["SAGEMAKER_VALIDATE_ROLE"] = "true"
import boto3
from sagemaker.core.helper.iam_role_resolver import RoleValidationError, resolve_and_validate_role
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
COMPUTE = {"instance_type": "ml.m5.large", "instance_count": 1}
logging.basicConfig(level=logging.INFO, format="%(message)s")
logging.getLogger("sagemaker.core.helper.iam_role_resolver").setLevel(logging.DEBUG)
session = Session()
role = get_execution_role(session)

for role_type in ("training", "serving", "pipeline", "feature_store", "model_eval"):
    print("own", role_type, resolve_and_validate_role(role, role_type, session) == role)
trust = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": %s}]}'
iam = boto3.client("iam")
iam.create_role(RoleName="Trainer", AssumeRolePolicyDocument=trust % '{"Service": "sagemaker.amazonaws.com"}')
iam.create_role(RoleName="Batch", AssumeRolePolicyDocument=trust % '{"Service": "batch.amazonaws.com"}')
print("by name", resolve_and_validate_role("Trainer", "training", session))
for name, arn in (("other service", "Batch"), ("elsewhere", "arn:aws:iam::111122223333:role/Elsewhere")):
    try:
        resolve_and_validate_role(arn, "training", session)
    except RoleValidationError:
        print(name, "refused")

ModelTrainer(
    training_image=IMAGE, source_code=SourceCode(source_dir="code", entry_script="hello.py"),
    compute=Compute(**COMPUTE), sagemaker_session=session, role="Trainer",
).train(wait=True, logs=True)
pipelines = PipelineSession()
processor = ScriptProcessor(role=role, image_uri=IMAGE, command=["python3"], sagemaker_session=pipelines, **COMPUTE)
step = ProcessingStep("Hello", step_args=processor.run(code="code/hello.py"))
print("pipeline", Pipeline("validated", steps=[step], sagemaker_session=pipelines).upsert(role_arn=role)["PipelineArn"])
builder = ModelBuilder(s3_model_data_url="s3://b/model.tar.gz", image_uri=IMAGE, sagemaker_session=session)
print("builder", builder.role_arn == role)

os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
print("label", resolve_and_validate_role("arn:aws:iam::111122223333:role/Elsewhere", "training", session))
"""


def test_it_is_content_with_roles_that_are_kept_here_and_knows_no_others(lane: Callable[[str], Lane]) -> None:
    sdk = lane("sagemaker3")
    (sdk.scratch / "code").mkdir()
    (sdk.scratch / "code" / "hello.py").write_text("print('hello from a job')\n")
    program = sdk.scratch / "roles.py"
    program.write_text(PROGRAM)
    outcome = sdk.run(program)
    told = outcome.out.splitlines()
    assert [line for line in told if line.startswith("own ")] == [
        f"own {kind} True" for kind in ("training", "serving", "pipeline", "feature_store", "model_eval")
    ]
    assert "by name arn:aws:iam::000000000000:role/Trainer" in told
    assert {"other service refused", "elsewhere refused"} <= set(told)
    assert "hello from a job" in outcome.told
    assert any(line.startswith("pipeline ") and line.endswith("pipeline/validated") for line in told)
    assert "builder True" in told
    assert "label arn:aws:iam::111122223333:role/Elsewhere" in told
    assert outcome.told.count("Skipping IAM role validation") == 1, "all but the last were validated"
