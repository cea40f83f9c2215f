"""Amazon Resource Names of our resources.

Source: AWS Service Authorization Reference, "Actions, resources, and condition keys for Amazon SageMaker AI".
"""

import msgspec

from towpath.kernel.errors import Invalid


class Home(msgspec.Struct, frozen=True):
    """The one account and region of a home."""

    account: str = "000000000000"
    region: str = "us-east-1"

    def arn(self, resource: str, name: str) -> str:
        """Return the ARN of a SageMaker resource, for example `resource="training-job"`."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{resource}/{name}"


def split_arn(arn: str) -> tuple[str, str]:
    """Return (resource type, name) of a SageMaker ARN; the name may hold slashes.

    Raises:
        Invalid: it is not an ARN of the form arn:aws:sagemaker:REGION:ACCOUNT:TYPE/NAME.
    """
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or "/" not in parts[5]:
        raise Invalid(f"{arn!r} is not an ARN; expected arn:aws:sagemaker:REGION:ACCOUNT:TYPE/NAME")
    kind, _, name = parts[5].partition("/")
    return kind, name


def name_of(name_or_arn: str) -> str:
    """Return the bare name of a resource given by name or by ARN."""
    return split_arn(name_or_arn)[1] if name_or_arn.startswith("arn:") else name_or_arn
