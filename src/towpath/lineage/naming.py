"""Nodes of the lineage by the ARNs of SageMaker's entities, and back.

Of a trial component that is the record of a job the node is the job's own. Which job that is stands in the component's
state, and what a job's component is called is for `experiments` to say; both are read here as plain documents.
"""

from collections.abc import Callable, Mapping

from towpath.kernel.arns import split_arn
from towpath.kernel.errors import Invalid
from towpath.kernel.kinds import resource_not_found
from towpath.kernel.ports import LineageNode, Transaction
from towpath.kernel.resource import Uid
from towpath.lineage.entities import ARN_TYPES, LineageType, component_node, user_node
from towpath.lineage.model import NodeType, job_id

ComponentName = Callable[[str, str], str]  #: (kind of a job, its name) -> name of its trial component

_LINEAGE_TYPES: Mapping[str, LineageType] = {arn_type: type_ for type_, arn_type in ARN_TYPES.items()}


class Naming:
    """Finds nodes by ARN and tells the ARNs and names of nodes."""

    def __init__(self, component_name: ComponentName) -> None:
        self._component_name = component_name

    def node_id(self, transaction: Transaction, arn: str) -> str:
        """Return the id of the node of an entity; a trial component gets its node with its first association.

        Raises:
            NotFound: there is no such entity.
            Invalid: it is the ARN of something else.
        """
        arn_type, name = split_arn(arn)
        lineage_type = _LINEAGE_TYPES.get(arn_type)
        if lineage_type is None:
            expected = ", ".join(sorted(_LINEAGE_TYPES))
            raise Invalid(f"{arn!r} is the ARN of a {arn_type}; the lineage is of {expected}")
        resource = transaction.resources.by_arn(arn)
        if lineage_type is LineageType.TRIAL_COMPONENT:
            if resource is None:
                raise resource_not_found("TrialComponent", name)
            job = resource.state.get("Job")
            return component_node(resource.uid) if job is None else job_id(Uid(job["Uid"]))
        if resource is not None:
            return user_node(lineage_type, resource.uid)
        node = transaction.lineage.by_entity(lineage_type.value, name)
        if node is None:
            raise resource_not_found(lineage_type.value, name)
        return node.id

    def name(self, transaction: Transaction, node: LineageNode) -> str:
        """Return what stands in the ARN of a node's entity behind the type."""
        if node.lineage_type != LineageType.TRIAL_COMPONENT:
            return node.entity
        resource = None
        if "name" not in node.properties or "kind" not in node.properties:
            resource = transaction.resources.get(Uid(node.entity))
        if node.type == NodeType.TRIAL_COMPONENT:
            return node.entity if resource is None else resource.name
        if resource is not None:
            return self._component_name(resource.kind, resource.name)
        properties = node.properties
        known = "name" in properties and "kind" in properties
        return self._component_name(properties["kind"], properties["name"]) if known else node.entity

    def arn(self, transaction: Transaction, node: LineageNode) -> str:
        """Return the ARN of a node's entity."""
        return transaction.home.arn(ARN_TYPES[LineageType(node.lineage_type)], self.name(transaction, node))
