"""The SageMaker SDK 3, unmodified, with programs that were written for AWS."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.lanes.conftest import PROGRAMS, Lane, steps, why_refused

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(900)]


@pytest.fixture
def sdk(lane: Callable[[str], Lane]) -> Lane:
    return lane("sagemaker3")


def test_the_reviews_pipeline_becomes_an_endpoint_that_answers(sdk: Lane, raw_reviews: Path) -> None:
    outcome = sdk.run(PROGRAMS / "reviews_sagemaker3.py", "--reviews", raw_reviews)
    assert steps(outcome) == dict.fromkeys(("Prepare", "Train", "Evaluate", "GoodEnough", "Register"), "Succeeded")
    assert "execution Succeeded" in outcome.out
    assert "answer positive" in outcome.out
    assert "accuracy 0." in why_refused(sdk, "reviews-sagemaker3")


def test_account_bucket_and_role_are_known_although_the_code_asks_sts_at_aws(sdk: Lane) -> None:
    program = sdk.scratch / "who.py"
    program.write_text(
        "from sagemaker.core.helper.session_helper import Session, get_execution_role\n"
        "session = Session()\n"
        "print(session.account_id(), session.default_bucket(), get_execution_role(session))\n"
    )
    account, bucket, role = sdk.run(program).out.splitlines()[-1].split()
    assert account == "000000000000"
    assert bucket == f"sagemaker-us-east-1-{account}"
    assert role.startswith(f"arn:aws:iam::{account}:role/")
