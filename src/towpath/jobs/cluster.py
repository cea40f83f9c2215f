"""The machines that a job asks for, which are hosts of this one here, and what is said of them inside the job.

Source of names and files: Amazon SageMaker AI Developer Guide, "How Amazon SageMaker AI Provides Training Information".
"""

from collections.abc import Callable, Mapping

import msgspec

from towpath.jobs.model import HostPart
from towpath.kernel.errors import Invalid, Unsupported
from towpath.kernel.resource import Document

FIRST = "algo-1"  #: speaks for a job: scripts compare with it to know which host leads
GROUP = "homogeneousCluster"
MOST_HOSTS = 100  #: each is at least one process of this machine, with a copy of the inputs
_HOST = "algo-"
_INTERFACE = "lo"


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """So many machines of one type."""

    instance_type: str
    count: int = 1
    group: str = GROUP

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of the hosts, the leading one first."""
        return tuple(f"{_HOST}{number}" for number in range(1, self.count + 1))

    def resource_config(self, host: str) -> Document:
        """Return the content of resourceconfig.json on one of the hosts."""
        hosts = list(self.hosts)
        return {
            "current_host": host,
            "current_instance_type": self.instance_type,
            "current_group_name": self.group,
            "hosts": hosts,
            "instance_groups": [
                {"instance_group_name": self.group, "instance_type": self.instance_type, "hosts": hosts}
            ],
            "network_interface_name": _INTERFACE,
        }

    def parts(
        self, environment: Callable[[str], Mapping[str, str]], files: Callable[[str], Mapping[str, str]]
    ) -> tuple[HostPart, ...]:
        """Return what each host is given otherwise than the first one; nothing where that is alone.

        Args:
            environment: gives the variables of a host, by its name.
            files: gives its text files.
        """
        if self.count == 1:
            return ()
        first, texts = environment(FIRST), files(FIRST)
        return tuple(
            HostPart(name=host, environment=_changed(environment(host), first), files=_changed(files(host), texts))
            for host in self.hosts
        )

    def check(self) -> None:
        """Raise Invalid when no job can have so many hosts."""
        if not 1 <= self.count <= MOST_HOSTS:
            raise Invalid(f"InstanceCount is {self.count}; expected 1 to {MOST_HOSTS}, all of them on this machine")


def of_groups(groups: tuple[dict[str, object], ...]) -> Cluster:
    """Return the machines of an InstanceGroups member.

    Raises:
        Unsupported: there are several groups, which here would all be the same machine.
    """
    if len(groups) != 1:
        names = ", ".join(str(group.get("InstanceGroupName")) for group in groups)
        raise Unsupported(
            f"ResourceConfig.InstanceGroups has {len(groups)} groups ({names}); a job has hosts of one type here. Use "
            "one group, or InstanceType and InstanceCount"
        )
    (group,) = groups
    return Cluster(
        instance_type=str(group.get("InstanceType")),
        count=int(str(group.get("InstanceCount", 1))),
        group=str(group.get("InstanceGroupName")),
    )


def hosts_of(spec: Document) -> tuple[str, ...]:
    """Return the names of a job's hosts, from its Create request whatever its kind."""
    processing = (spec.get("ProcessingResources") or {}).get("ClusterConfig")
    resources = spec.get("ResourceConfig") or processing or spec.get("TransformResources") or {}
    groups = resources.get("InstanceGroups") or ()
    count = sum(int(group.get("InstanceCount", 1)) for group in groups) or int(resources.get("InstanceCount") or 1)
    return Cluster(instance_type="", count=count).hosts


def _changed(values: Mapping[str, str], first: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if first.get(name) != value}
