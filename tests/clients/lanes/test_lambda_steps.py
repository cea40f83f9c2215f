"""Lambda steps of both majors of the SageMaker SDK, which make their function themselves."""

from collections.abc import Callable

import pytest
from tests.clients.lanes.conftest import PROGRAMS, Lane, steps

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", ["sagemaker2", "sagemaker3"])
def test_a_step_calls_the_function_that_it_made(lane: Callable[[str], Lane], name: str) -> None:
    sdk = lane(name)
    for _ in range(2):  # the second time function and pipeline are there, and are changed
        outcome = sdk.run(PROGRAMS / f"lambda_{name}.py")
        assert steps(outcome) == {"Words": "Succeeded", "Enough": "Succeeded"}
        assert "execution Succeeded" in outcome.out
        assert '[{"Name": "count", "Value": "4"}, {"Name": "longest", "Value": "lovely"}]' in outcome.out
        assert "answer {'count': 2, 'longest': 'nothing'}" in outcome.out
        assert "deleted" in outcome.out
