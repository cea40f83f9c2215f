"""Torch in the environment of the text extra."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.text


def test_torch_is_a_cpu_build() -> None:
    import torch

    assert torch.version.cuda is None
    assert not torch.cuda.is_available()


def test_neither_the_client_nor_the_server_loads_torch() -> None:
    code = (
        "import sys, towpath, towpath.sdk, towpath.server; print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]
