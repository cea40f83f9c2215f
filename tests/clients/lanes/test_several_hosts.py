"""Jobs on two hosts by both SageMaker SDKs, unmodified: torchrun of the SDK 3's ModelTrainer, and processors.

Torchrun needs torch in the platform's environment (`make .venv/.towpath-text`), where the jobs run.
"""

import importlib.util
import os
from collections.abc import Callable

import pytest
from tests.clients.lanes.conftest import Lane

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(900)]

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-training:2.6.0-cpu-py312"
REDUCE = """
import os
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
mine = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(mine)
print(f"rank {dist.get_rank()} of {dist.get_world_size()} on {os.environ['SM_CURRENT_HOST']}: {mine.item():g}")
open(f"/opt/ml/model/{os.environ['SM_CURRENT_HOST']}", "w").write("trained")
dist.destroy_process_group()
"""
TORCHRUN = f"""
import logging
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.train.distributed import Torchrun
from sagemaker.train.model_trainer import ModelTrainer

logging.basicConfig(level=logging.INFO)  # the SDK hands what a training job prints to it
ModelTrainer(
    training_image="{IMAGE}", base_job_name="torchrun",
    source_code=SourceCode(source_dir="source", entry_script="reduce.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=2),
    distributed=Torchrun(process_count_per_node=1), sagemaker_session=Session(),
).train(wait=True, logs=True)
print("trained")
"""
WHO = """
import json, os, socket
told = json.load(open("/opt/ml/config/resourceconfig.json"))
print("I am", told["current_host"], "of", told["hosts"], len({socket.gethostbyname(host) for host in told["hosts"]}))
"""
PROCESSOR = {
    "sagemaker2": """
from sagemaker import Session, get_execution_role
from sagemaker.processing import ScriptProcessor
""",
    "sagemaker3": """
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.processing import ScriptProcessor
""",
}
PROCESS = """
session = Session()
ScriptProcessor(
    role=get_execution_role(session), command=["python3"], instance_count=2, instance_type="ml.m5.large",
    image_uri="683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
    sagemaker_session=session,
).run(code="who.py", wait=True, logs=True)
"""


@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None and "CI" not in os.environ, reason="needs torch: make .venv/.towpath-text"
)
def test_a_model_trainer_starts_torchrun_on_two_hosts(lane: Callable[[str], Lane]) -> None:
    sdk = lane("sagemaker3")
    (sdk.scratch / "source").mkdir()
    (sdk.scratch / "source/reduce.py").write_text(REDUCE)
    (sdk.scratch / "torchrun.py").write_text(TORCHRUN)
    outcome = sdk.run(sdk.scratch / "torchrun.py")
    assert "trained" in outcome.out
    assert "rank 0 of 2 on algo-1: 3" in outcome.told, "the log of the leading host"
    assert "rank 1 of 2 on algo-2: 3" in outcome.told, "the log of the other one"


@pytest.mark.parametrize("name", ["sagemaker2", "sagemaker3"])
def test_a_processor_runs_its_script_on_two_hosts(lane: Callable[[str], Lane], name: str) -> None:
    sdk = lane(name)
    (sdk.scratch / "who.py").write_text(WHO)
    (sdk.scratch / "process.py").write_text(PROCESSOR[name] + PROCESS)
    outcome = sdk.run(sdk.scratch / "process.py")
    for host in ("algo-1", "algo-2"):
        assert f"I am {host} of ['algo-1', 'algo-2'] 2" in outcome.told
