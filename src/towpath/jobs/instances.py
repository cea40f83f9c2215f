"""What the instance types of AWS have, and what becomes of one on a host that has less."""

import msgspec

from towpath.kernel.errors import Unsupported

GIB = 1 << 30
#: What SDKs and examples send when nobody chose a machine.
DEFAULT_TYPE = "ml.m5.large"
#: Set aside for a job that nobody chose a machine for; see docs/decisions/0012-admission.md.
DEFAULT_RESERVE_BYTES = GIB

#: Virtual CPUs by the size at the end of an instance type. Source: Amazon EC2 instance types (the general, compute and
#: memory families agree on these).
_CORES = {"medium": 2, "large": 2, "xlarge": 4, "metal": 96}
#: GiB of memory for each virtual CPU, by how the family's name begins; the longest match counts. Source: as above.
_GIB_PER_CORE = {"": 4.0, "c": 2.0, "r": 8.0, "x": 16.0, "p2": 15.25, "p3": 7.625, "p4": 12.0, "p5": 10.667}
_MEDIUM_GIB = 4.0  #: ml.t3.medium; the other sizes of the family are as everybody's
#: GPUs of the families that have them: those of single sizes, and of all others.
_GPUS: dict[str, tuple[dict[int, int], int]] = {
    "p2": ({8: 8, 16: 16}, 1),
    "p3": ({2: 1, 8: 4, 16: 8, 24: 8}, 1),
    "p4": ({}, 8),
    "p5": ({4: 1}, 8),
    "g4": ({12: 4}, 1),
    "g5": ({12: 4, 24: 4, 48: 8}, 1),
    "g6": ({12: 4, 24: 4, 48: 8}, 1),
}


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """Cores, memory and GPUs: of a machine, or what is set aside of one."""

    cores: float = 0.0
    memory_bytes: int = 0
    gpus: int = 0


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What this host gives to jobs, and how strictly."""

    cores: int
    memory_bytes: int
    gpus: int = 0
    limits: str = "auto"  #: which jobs are held to their type: "auto" (those that name one), "on" (all) or "off"
    oversized: str = "scale"  #: a type that is larger than this host: "scale" it down, or "refuse" it


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """What a job gets of this host, and what to tell about it."""

    cores: int  #: that each host of the job is told of
    gpus: int = 0  #: as `cores`. They are counted, not handed out: the job can see those of others too
    hosts: int = 1
    reserved: Capacity  #: that is set aside for all hosts, at once
    memory_bytes: int | None = None  #: what they are held to together; None: no limit
    hold_cores: bool = False  #: they get the time of so many cores at most
    note: str | None = None

    @property
    def all_cores(self) -> int:
        """The cores of all hosts."""
        return self.cores * self.hosts


def machine(instance_type: str) -> Capacity | None:
    """Return what an instance type has, None for one that is not known here."""
    family, _, size = instance_type.removeprefix("ml.").rpartition(".")
    multiple = size.removesuffix("xlarge")
    if size in _CORES:
        cores = _CORES[size]
    elif size.endswith("xlarge") and multiple.isdigit():
        cores = 4 * int(multiple)
    else:
        return None
    begins = max((name for name in _GIB_PER_CORE if family.startswith(name)), key=len)
    gib = _MEDIUM_GIB if size == "medium" else cores * _GIB_PER_CORE[begins]
    sizes, else_gpus = _GPUS.get(family[:2], ({}, 0))
    gpus = sizes.get(int(multiple) if multiple.isdigit() else 1, else_gpus)
    return Capacity(cores=float(cores), memory_bytes=int(gib * GIB), gpus=gpus)


def allocation(instance_type: str, host: Host, hosts: int = 1) -> Allocation:
    """Return what a job on so many instances of a type gets of this machine: what they have, at most what it has.

    Two virtual CPUs are one core of a processor, so half of them are set aside.

    Args:
        hosts: of the job. They share the machine evenly where it has less than all of them would.
    Raises:
        Unsupported: the machine is smaller, and the setting says that this is no place for the job then.
    """
    asked = machine(instance_type)
    if asked is None:
        note = f"{instance_type} is not an instance type known here; the job gets 1 core"
        if hosts > 1:
            note += " for each host"
        cores = min(float(hosts), max(1.0, host.cores))
        reserved = Capacity(cores=cores, memory_bytes=_default_memory(host, hosts))
        return Allocation(cores=1, hosts=hosts, reserved=reserved, note=note)
    missing = _missing(instance_type, asked, host, hosts)
    if missing is not None and host.oversized == "refuse":
        fewer = "fewer or smaller instances" if hosts > 1 else "a smaller instance type"
        raise Unsupported(f"{missing}. Name {fewer}, or set oversized_jobs to 'scale' to run it with what there is")
    cores_each = min(int(asked.cores), max(1, host.cores // hosts))
    memory_bytes = hosts * min(asked.memory_bytes, host.memory_bytes // hosts)
    chosen = instance_type != DEFAULT_TYPE
    held = host.limits == "on" or (host.limits == "auto" and chosen)
    return Allocation(
        cores=cores_each,
        gpus=min(asked.gpus, host.gpus // hosts),
        hosts=hosts,
        reserved=Capacity(
            cores=min(hosts * asked.cores / 2, float(host.cores)),
            memory_bytes=memory_bytes if chosen else _default_memory(host, hosts),
            gpus=min(hosts * asked.gpus, host.gpus),
        ),
        memory_bytes=memory_bytes if held else None,
        hold_cores=held and hosts * cores_each < host.cores,
        note=missing,
    )


def reserved(instance_type: str, host: Host, hosts: int = 1) -> Capacity:
    """Return what is set aside for something on an instance type that runs, whatever the settings refuse by now."""
    return allocation(instance_type, msgspec.structs.replace(host, oversized="scale"), hosts).reserved


def _default_memory(host: Host, hosts: int) -> int:
    return min(hosts * min(DEFAULT_RESERVE_BYTES, host.memory_bytes // max(1, host.cores)), host.memory_bytes)


def _missing(instance_type: str, one: Capacity, host: Host, hosts: int) -> str | None:
    """Return a sentence that says what the machine has less of than so many instances of a type."""
    asked = Capacity(cores=hosts * one.cores, memory_bytes=hosts * one.memory_bytes, gpus=hosts * one.gpus)
    parts = []
    if asked.cores > host.cores:
        parts.append((f"{asked.cores:g} cores", f"{host.cores}"))
    if asked.memory_bytes > host.memory_bytes:
        parts.append((f"{gigabytes(asked.memory_bytes)} of memory", gigabytes(host.memory_bytes)))
    if asked.gpus > host.gpus:
        parts.append((f"{asked.gpus} GPU{'s' if asked.gpus > 1 else ''}", str(host.gpus or "none")))
    if not parts:
        return None
    has, here = ", ".join(part for part, _ in parts), ", ".join(part for _, part in parts)
    named = f"{instance_type} has" if hosts == 1 else f"{hosts} instances of {instance_type} have"
    return f"{named} {has}, this host {here}"


def gigabytes(count: int) -> str:
    """Return a number of bytes as GiB, for people."""
    return f"{count / GIB:.3g} GB"
