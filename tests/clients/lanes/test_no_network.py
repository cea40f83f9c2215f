"""No call leaves the machine: programs of both SDKs, and the server, where there is no network but loopback.

The other tests of the lanes watch which hosts a program turns to; here the kernel refuses them all.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.acceptance.conftest import clean_environment
from tests.clients.lanes.conftest import OBSERVER, Lane

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(900)]

ALONE = ["unshare", "--net", "--"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net", "--"]

#: Brings loopback up, whose interface a new network namespace has switched off. Numbers from Linux' <net/if.h>.
LOOPBACK = """
import fcntl, socket, struct
with socket.socket() as any:
    fcntl.ioctl(any, 0x8914, struct.pack("16sh22x", b"lo", 1))
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError:
    pass
else:
    raise SystemExit("there is a network")
"""

#: Calls that send telemetry unless they are told not to, and a job whose log is read.
SDK2 = """
from sagemaker import Session, get_execution_role
from sagemaker.processing import ScriptProcessor
from sagemaker.sklearn import SKLearn
from sagemaker.workflow.pipeline import Pipeline
from sagemaker.workflow.pipeline_context import PipelineSession
from sagemaker.workflow.steps import ProcessingStep

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"

def processor(session):
    return ScriptProcessor(
        role=get_execution_role(session), image_uri=IMAGE, command=["python3"], instance_count=1,
        instance_type="ml.m5.large", sagemaker_session=session,
    )

processor(Session()).run(code="hello.py", wait=True, logs=True)
SKLearn(
    entry_point="hello.py", role=get_execution_role(), framework_version="1.2-1", instance_type="ml.m5.large"
).fit(wait=True, logs="All")
session = PipelineSession()
step = ProcessingStep("Hello", step_args=processor(session).run(code="hello.py"))
print(Pipeline("alone2", steps=[step], sagemaker_session=session).upsert(role_arn=get_execution_role(session)))
"""
SDK3 = """
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.processing import ScriptProcessor
from sagemaker.core.training.configs import Compute, SourceCode
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.pipeline import Pipeline
from sagemaker.mlops.workflow.steps import ProcessingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer

IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"

def processor(session):
    return ScriptProcessor(
        role=get_execution_role(session), image_uri=IMAGE, command=["python3"], instance_count=1,
        instance_type="ml.m5.large", sagemaker_session=session,
    )

processor(Session()).run(code="hello.py", wait=True, logs=True)
ModelTrainer(
    training_image=IMAGE, source_code=SourceCode(source_dir=".", entry_script="hello.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=1), sagemaker_session=Session(),
).train(wait=True, logs=True)
session = PipelineSession()
step = ProcessingStep("Hello", step_args=processor(session).run(code="hello.py"))
print(Pipeline("alone3", steps=[step], sagemaker_session=session).upsert(role_arn=get_execution_role(session)))
"""


@pytest.mark.parametrize(("name", "program"), [("sagemaker2", SDK2), ("sagemaker3", SDK3)])
def test_an_sdk_works_where_there_is_no_network(
    lane: Callable[[str], Lane], name: str, program: str, tmp_path: Path
) -> None:
    if shutil.which("unshare") is None or subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this host lets nobody make a network namespace")
    python = lane(name).bin / "python"
    folder, notes = tmp_path / "code", tmp_path / "foreign-hosts"
    folder.mkdir()
    notes.touch()
    (folder / "hello.py").write_text("print('hello from a job')\n")
    (folder / "program.py").write_text(program)
    (tmp_path / "loopback.py").write_text(LOOPBACK)
    script = f"""
        set -e
        towpath() {{ '{sys.executable}' -m towpath "$@"; }}
        '{sys.executable}' ../loopback.py
        towpath up --background
        trap 'towpath down --all' EXIT
        towpath exec -- '{python}' program.py
    """
    done = subprocess.run(
        [*ALONE, "bash", "-c", script],
        env=clean_environment(
            TOWPATH_HOME=str(tmp_path / "home"),
            PYTHONPATH=str(OBSERVER),
            LANE_FOREIGN_HOSTS=str(notes),
            HOME=str(tmp_path),
            NO_COLOR="1",
        ),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tried = [line for line in notes.read_text().splitlines() if "192.0.2.1" not in line]
    assert tried == [], done.stdout + done.stderr
    assert "hello from a job" in done.stdout
    assert f"pipeline/alone{name[-1]}" in done.stdout
