"""The resource policies of model package groups: kept as they were given, and shown again.

A home is one account, so a policy has nobody to admit yet; teams keep theirs beside the group for the day they move it.
"""

from towpath.kernel import generic
from towpath.kernel.errors import Invalid, NotFound
from towpath.kernel.operations import Operation, Request
from towpath.kernel.ports import Transaction
from towpath.kernel.resource import Document
from towpath.kernel.texts import read_json
from towpath.registry.kinds import MODEL_PACKAGE_GROUP, POLICY


def put_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out PutModelPackageGroupPolicy.

    Raises:
        Invalid: the policy is not a JSON object with statements.
    """
    group = generic.find(transaction, MODEL_PACKAGE_GROUP, request.input["ModelPackageGroupName"])
    policy = request.input["ResourcePolicy"]
    try:
        document = read_json(policy)
    except ValueError as error:
        raise Invalid(f"ResourcePolicy is not valid JSON: {error}") from error
    if not isinstance(document, dict) or not document.get("Statement"):
        raise Invalid("ResourcePolicy needs to be a JSON object with a Statement")
    group = transaction.resources.replace(group, state={**group.state, POLICY: policy})
    generic.record(transaction, group, request, request.operation)
    return {"ModelPackageGroupArn": group.arn}


def get_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out GetModelPackageGroupPolicy."""
    group = generic.find(transaction, MODEL_PACKAGE_GROUP, request.input["ModelPackageGroupName"])
    if POLICY not in group.state:
        raise NotFound(f"Cannot find resource policy for: {group.arn}", code="ValidationException")
    return {"ResourcePolicy": group.state[POLICY]}


def delete_policy(transaction: Transaction, request: Request) -> Document:
    """Carry out DeleteModelPackageGroupPolicy."""
    group = generic.find(transaction, MODEL_PACKAGE_GROUP, request.input["ModelPackageGroupName"])
    if POLICY not in group.state:
        raise NotFound(f"Cannot find resource policy for: {group.arn}", code="ValidationException")
    left = {name: value for name, value in group.state.items() if name != POLICY}
    generic.record(transaction, transaction.resources.replace(group, state=left), request, request.operation)
    return {}


OPERATIONS = (
    Operation(name="PutModelPackageGroupPolicy", function=put_policy),
    Operation(name="GetModelPackageGroupPolicy", function=get_policy, writes=False),
    Operation(name="DeleteModelPackageGroupPolicy", function=delete_policy),
)
