"""boto3 alone, the newest and the oldest that is supported, unmodified, with a program that was written for AWS."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.clients.lanes.conftest import PROGRAMS, Lane, steps, why_refused

pytestmark = [pytest.mark.slow, pytest.mark.clients, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", ["boto3", "boto3-minimum"])
def test_the_reviews_pipeline_becomes_an_endpoint_that_answers(
    lane: Callable[[str], Lane], name: str, raw_reviews: Path
) -> None:
    client = lane(name)
    outcome = client.run(PROGRAMS / "reviews_boto3.py", "--reviews", raw_reviews)
    assert steps(outcome) == dict.fromkeys(("Prepare", "Train", "Evaluate", "GoodEnough", "Register"), "Succeeded")
    assert "labels ['positive', 'negative']" in outcome.out
    assert "answer positive" in outcome.out
    assert "accuracy 0." in why_refused(client, "reviews-boto3")


@pytest.mark.parametrize("name", ["boto3", "boto3-minimum"])
@pytest.mark.parametrize("service", ["sts", "sagemaker", "s3", "logs"])
def test_a_client_for_a_host_of_aws_talks_to_the_server(lane: Callable[[str], Lane], name: str, service: str) -> None:
    client = lane(name)
    program = client.scratch / "named.py"
    program.write_text(
        "import boto3, botocore.session, os, sys\n"
        "service, url = sys.argv[1:]\n"
        "made = boto3.client(service, endpoint_url=url)\n"
        "by_place = botocore.session.get_session().create_client(service, 'us-east-1', None, True, None, url)\n"
        "assert made.meta.endpoint_url == by_place.meta.endpoint_url == os.environ['AWS_ENDPOINT_URL']\n"
        "other = boto3.client('dynamodb', endpoint_url='https://dynamodb.us-east-1.amazonaws.com')\n"
        "assert other.meta.endpoint_url.endswith('.amazonaws.com'), 'a service that the server does not have'\n"
        "import botocore.session as module\n"
        "assert module.__spec__.loader is module.__loader__ and module.__loader__.get_source(module.__name__)\n"
    )
    client.run(program, service, f"https://{service}.us-east-1.amazonaws.com")
