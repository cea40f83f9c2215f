"""Steps that make models known: Model and RegisterModel."""

from towpath.pipelines.model import StepStatus
from towpath.pipelines.steps.declaration import StepType

MODEL = StepType(
    name="Model",
    executed=True,
    create="CreateModel",
    describe="DescribeModel",
    noun="Model",
    name_member="ModelName",
    arn_member="ModelArn",
    metadata="Model",
)
REGISTER_MODEL = StepType(
    name="RegisterModel",
    executed=True,
    create="CreateModelPackage",
    describe="DescribeModelPackage",
    noun="ModelPackage",
    # The version number makes the name, so there is no name member to fill in.
    arn_member="ModelPackageArn",
    ends={"Completed": StepStatus.SUCCEEDED, "Failed": StepStatus.FAILED},
    metadata="RegisterModel",
)
