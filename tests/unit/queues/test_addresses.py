"""Which addresses mean a queue here."""

import pytest

from towpath.kernel.arns import Home
from towpath.kernel.errors import Invalid, NotFound
from towpath.queues.addresses import asked_for, queue_of, url_of

HOME = Home(account="123456789012", region="us-east-1")


@pytest.mark.parametrize(
    "address",
    [
        "https://sqs.us-east-1.amazonaws.com/123456789012/tickets",
        "https://sqs.eu-west-3.amazonaws.com/000000000000/tickets",
        "https://sqs-fips.us-east-1.amazonaws.com/000000000000/tickets",
        "https://queue.amazonaws.com/000000000000/tickets",
        "https://us-west-2.queue.amazonaws.com/000000000000/tickets",
        "https://sqs.cn-north-1.amazonaws.com.cn/000000000000/tickets",
        "https://sqs.us-east-1.api.aws/000000000000/tickets",
        "http://127.0.0.1:7400/123456789012/tickets",
        url_of("tickets", HOME, "https://towpath.example.com:7400/"),
    ],
)
def test_an_address_of_aws_or_of_this_account_means_the_queue_of_that_name(address: str) -> None:
    assert queue_of(address, HOME) == "tickets"
    assert asked_for(address) == "tickets"


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.example.org/in",
        "http://127.0.0.1:7400/000000000000/tickets",
        "https://example.org/123456789012/tickets/more",
        "https://sqs.us-east-1.amazonaws.com.example.org/000000000000/tickets",
        "tickets",
        "",
    ],
)
def test_any_other_address_means_no_queue(address: str) -> None:
    assert queue_of(address, HOME) is None


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://sqs.us-east-1.amazonaws.com/tickets", "is not the address of a queue"),
        ("https://sqs.us-east-1.amazonaws.com/123456789012/t.fifo", "FIFO queues are not there"),
        ("https://example.org/123456789012/a.b", "is not the name of a queue"),
    ],
)
def test_an_address_of_a_queue_as_there_is_none_here_is_refused(address: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        queue_of(address, HOME)


def test_a_request_about_something_else_finds_no_queue() -> None:
    with pytest.raises(NotFound, match="has no /ACCOUNT/NAME") as caught:
        asked_for("https://example.org/tickets")
    assert caught.value.code == "QueueDoesNotExist"
