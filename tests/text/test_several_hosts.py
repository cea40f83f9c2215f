"""Torch on two hosts: torchrun on each, met at algo-1, and gloo between them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.conftest import Machine, clients
from tests.acceptance.test_killed_parts import until

from towpath.home import HomeFolder

pytestmark = [pytest.mark.text, pytest.mark.slow]

BUCKET = "gloo"
REDUCE = """
import os
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
mine = torch.tensor([float(dist.get_rank() + 1), 10.0])
dist.all_reduce(mine)
print(f"rank {dist.get_rank()} of {dist.get_world_size()} on {os.environ['CURRENT_HOST']}: {mine.tolist()}", flush=True)
torch.save(mine, f"/opt/ml/model/{os.environ['CURRENT_HOST']}-{os.environ['LOCAL_RANK']}.pt")
dist.destroy_process_group()
"""
#: The master is named, as the drivers of the SageMaker SDK do it; or whoever is algo-1 finds out that it is.
STATIC = "--master_addr=algo-1 --master_port=7777 --node_rank=$((${CURRENT_HOST#algo-} - 1))"
FOUND_OUT = "--rdzv_backend=c10d --rdzv_endpoint=algo-1:29400 --rdzv_id=job"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(HomeFolder(tmp_path_factory.mktemp("gloo") / "home"))
    machine.up()
    yield machine
    machine.towpath("down", "--all")
    assert machine.processes() == []


@pytest.mark.parametrize("isolated", [False, True], ids=["network", "isolated"])
@pytest.mark.parametrize("how", [STATIC, FOUND_OUT], ids=["static", "c10d"])
def test_all_reduce_over_gloo_adds_up_what_both_hosts_hold(machine: Machine, how: str, isolated: bool) -> None:
    aws = clients(machine)
    aws["s3"].create_bucket(Bucket=BUCKET)  # us-east-1 answers a repeat as the first time
    aws["s3"].put_object(Bucket=BUCKET, Key="code/reduce.py", Body=REDUCE.encode())
    name = f"gloo-{'static' if how is STATIC else 'c10d'}-{'isolated' if isolated else 'network'}"
    source: dict[str, Any] = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/code/"}
    launch = f"exec torchrun --nnodes=2 --nproc_per_node=1 {how} /opt/ml/input/data/code/reduce.py"
    aws["sagemaker"].create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={
            "TrainingImage": "towpath",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", launch],
        },
        InputDataConfig=[{"ChannelName": "code", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out", "CompressionType": "NONE"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 200},
        EnableNetworkIsolation=isolated,
        RoleArn="arn:aws:iam::000000000000:role/any",
    )
    described: dict[str, Any] = {}

    def has_ended() -> bool:
        described.update(aws["sagemaker"].describe_training_job(TrainingJobName=name))
        return described["TrainingJobStatus"] not in {"InProgress", "Stopping"}

    until(has_ended, within_s=250, every_s=0.5)
    told = machine.towpath("logs", name)
    assert described["TrainingJobStatus"] == "Completed", told
    ranks = sorted(line.partition(": ")[2] for line in told.splitlines() if ": rank " in line)
    assert [rank.rpartition(": ")[2] for rank in ranks] == ["[3.0, 20.0]", "[3.0, 20.0]"]
    assert {rank.partition(" on ")[2].partition(":")[0] for rank in ranks} == {"algo-1", "algo-2"}
    if how is STATIC:
        assert ranks[0].startswith("rank 0 of 2 on algo-1"), "the leading host is rank 0"
    keys = aws["s3"].list_objects_v2(Bucket=BUCKET, Prefix=f"out/{name}/output/model/")["Contents"]
    assert [Path(each["Key"]).name for each in keys] == ["algo-1-0.pt", "algo-2-0.pt"]
