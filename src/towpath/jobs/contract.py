"""What every job finds around it, whatever its kind: configuration files, environment variables, cores, provenance."""

from collections.abc import Iterable, Mapping

import msgspec

from towpath.jobs.channels import PinnedInput, Role, WantedInput, empty_shards, input_files
from towpath.jobs.cluster import Cluster
from towpath.jobs.images import Environment
from towpath.jobs.instances import Allocation, Host, allocation
from towpath.jobs.model import HostPart, JobSpec, Limits, Output
from towpath.kernel.arns import Home
from towpath.kernel.errors import Invalid
from towpath.kernel.objects import ObjectRef
from towpath.kernel.resource import Resource

TOOLKIT_PATH = "input/config/towpath_toolkit.py"  #: below /opt/ml
NOTEBOOK_PATH = "input/config/towpath_notebook.py"  #: below /opt/ml
MESSAGE_LENGTH = 1024  #: of FailureReason and ExitMessage in the API


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What is the same for all jobs of a home; supplied by the composition root."""

    home: Home
    host_cores: int
    toolkit_source: str  #: text of the script-mode launcher, laid out in each job that needs it
    environment: dict[str, str] = msgspec.field(default_factory=dict)  #: for every job, for example AWS_ENDPOINT_URL
    lost_runner_restarts: int = 1  #: new attempts after a runner has vanished
    host_memory_bytes: int = 1 << 62  #: that jobs may use together
    host_gpus: int = 0
    job_limits: str = "auto"  #: see `instances.Host.limits`
    oversized_jobs: str = "scale"  #: see `instances.Host.oversized`
    endpoint: str = ""  #: where the server is reached
    notebook_source: str = ""  #: text of what runs notebooks, laid out in each job that is one

    @property
    def host(self) -> Host:
        """What this host gives to jobs."""
        return Host(
            cores=self.host_cores,
            memory_bytes=self.host_memory_bytes,
            gpus=self.host_gpus,
            limits=self.job_limits,
            oversized=self.oversized_jobs,
        )


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt of a job is made of, whatever its kind: all that a translation needs beside the request."""

    key: str
    surroundings: Surroundings
    image: Environment
    inputs: tuple[PinnedInput, ...]
    paths: Mapping[ObjectRef, str]  #: of the inputs' bytes on the runner's host
    tags: Mapping[str, str]  #: for people

    def allocated(self, cluster: Cluster) -> Allocation:
        """Return what the job gets of this host."""
        return allocation(cluster.instance_type, self.surroundings.host, cluster.count)

    def job(
        self,
        resource: Resource,
        *,
        kind: str,
        argv: tuple[str, ...],
        environment: dict[str, str],
        files: dict[str, str],
        folders: tuple[str, ...],
        wanted: Iterable[WantedInput],
        outputs: tuple[Output, ...],
        allocated: Allocation,
        max_runtime_s: float,
        network: bool,
        hosts: tuple[HostPart, ...] = (),
    ) -> JobSpec:
        """Return what every kind of job has in common: names, inputs, folders, limits and the first lines of the log.

        Args:
            environment, files: of the first host; `hosts` tells what is otherwise on each.
            folders: to make beside those of inputs and outputs. The script may expect the folder of an input that
                holds no objects, and never has to make that of an output.
        """
        wanted = tuple(wanted)
        names = tuple(part.name for part in hosts)
        sharded = {(item.name, item.role) for item in wanted if item.sharded}
        divided = [item for item in self.inputs if (item.name, item.role) in sharded]
        return JobSpec(
            key=self.key,
            kind=kind,
            name=resource.name,
            argv=argv,
            environment=environment,
            python=self.image.python,
            files=files,
            folders=(*folders, *(item.path for item in outputs), *(item.path for item in wanted)),
            inputs=input_files(self.inputs, self.paths, divided=divided, hosts=names),
            outputs=outputs,
            hosts=hosts,
            limits=Limits(
                max_runtime_s=max_runtime_s,
                cores=allocated.all_cores,
                hold_cores=allocated.hold_cores,
                memory_bytes=allocated.memory_bytes,
                network=network,
            ),
            tags=dict(self.tags),
            notes=(*notes(self.image, allocated), *empty_shards(divided, names)),
        )


def notes(image: Environment, allocated: Allocation) -> tuple[str, ...]:
    """Return what a job's log begins with: where this host is not what the request named."""
    found = [] if allocated.note is None else [allocated.note]
    if not image.image.startswith("towpath"):
        found.append(f"{image.image} is Python {image.python_version} of {image.python} here ({image.description})")
    return tuple(found)


def requirements_beside(inputs: Iterable[WantedInput]) -> tuple[str, ...]:
    """Return where the requirements files of a job's code would lie, below /opt/ml."""
    return tuple(f"{item.path}/requirements.txt" for item in inputs if item.role is Role.CODE)


def environment(surroundings: Surroundings, asked: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Return a job's variables: the home's, then the request's, then those of the contract, which nobody overrides."""
    region = surroundings.home.region
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "PYTHONUNBUFFERED": "1",
        **surroundings.environment,
        **asked,
        **own,
    }


def as_json(document: object) -> str:
    """Return a configuration file's text."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=1).decode()


def shortened(message: str, limit: int = MESSAGE_LENGTH) -> str:
    """Return `message` within the API's length; what is left out is in the middle, since the end tells most."""
    message = message.strip()
    if len(message) <= limit:
        return message
    head = limit // 4
    return f"{message[:head]} … {message[-(limit - head - 3) :]}"


def below(uri: str, *parts: str) -> tuple[str, str]:
    """Return (bucket, key) of something below an `s3://` URI, whether or not this ends in a slash."""
    scheme, _, rest = uri.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise Invalid(f"{uri!r} is not an S3 URI; expected s3://bucket/key")
    return bucket, "/".join(part for part in (prefix.strip("/"), *parts) if part)


class CodeOrigin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a job's code comes from, as exactly as is known."""

    commit: str | None = None
    dirty: bool | None = None  #: the working tree differed from the commit
    tree: str | None = None  #: digest of the code that was sent
    repository: str | None = None
    objects: tuple[str, ...] = ()  #: `uri sha256` of the code objects that the job was given


def code_origin(tags: Mapping[str, str], inputs: tuple[PinnedInput, ...]) -> CodeOrigin | None:
    """Return what is known of a job's code: the client's tags, digests of code objects; None without code."""
    objects = tuple(
        f"{item.uri} {item.sha256}" for pinned in inputs if pinned.role is Role.CODE for item in pinned.objects
    )
    dirty = tags.get("towpath:code-dirty")
    origin = CodeOrigin(
        commit=tags.get("towpath:code-commit"),
        dirty=None if dirty is None else dirty.lower() == "true",
        tree=tags.get("towpath:code-tree"),
        repository=tags.get("towpath:code-repository"),
        objects=objects,
    )
    return None if origin == CodeOrigin() else origin
