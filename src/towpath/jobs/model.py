"""What a job is for whoever runs it: the values that cross from the platform to a compute back end and back."""

from datetime import datetime
from enum import StrEnum

import msgspec


class InputFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file to lay out before the job starts."""

    path: str  #: below /opt/ml, relative, for example "input/data/train/part-0.csv"
    source: str  #: path of the blob on the runner's host
    size: int
    sha256: str
    uri: str  #: where it came from, for messages
    version_id: str
    unpack: bool = False  #: a tar archive whose members go below `path`
    host: str = ""  #: name of the only host that it is for; empty: it is for each


class OutputMode(StrEnum):
    """What becomes of an output folder."""

    FILES = "files"  #: each file is one object below the destination
    ARCHIVE = "archive"  #: the folder is packed into one .tar.gz object at the destination
    DISCARD_IF_EMPTY_ARCHIVE = "archive-unless-empty"  #: as ARCHIVE, and nothing at all when the folder is empty


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One folder below /opt/ml that is kept when the job ends."""

    name: str
    path: str  #: below /opt/ml, relative
    bucket: str
    key: str  #: key prefix for FILES, full key for archives
    mode: OutputMode = OutputMode.FILES
    on_failure: bool = False  #: kept even when the script failed (/opt/ml/output/data)
    continuous: bool = False  #: with FILES and `on_failure`: each file is kept while the job runs, once it is complete


class MetricDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A regular expression whose first group is a number, searched in each line of the log."""

    name: str
    regex: str


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a job may use, all of its hosts together."""

    max_runtime_s: float | None = None
    cores: int = 1
    hold_cores: bool = False  #: it gets the time of so many cores and no more, where the host can see to it
    memory_bytes: int | None = None  #: of the whole process tree; going over it ends the job
    network: bool = True
    stop_grace_s: float = 120.0  #: between SIGTERM and SIGKILL, as on SageMaker


class HostPart(msgspec.Struct, frozen=True, kw_only=True):
    """What one host of a job on several is given beside what all of them are, which it overrides."""

    name: str  #: by which the others find it
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    files: dict[str, str] = msgspec.field(default_factory=dict)  #: text files to write, by path below /opt/ml


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a runner needs. Written as JSON to `<attempt>/job.json`; paths in it are absolute on the runner's host
    except where a field says otherwise."""

    key: str  #: deterministic: the resource's uid and the attempt number
    kind: str  #: "processing", "training" or "serving"
    name: str
    argv: tuple[str, ...]  #: the user's command as the job sees it; "{python}" stands for the environment's interpreter
    cwd: str = "/opt/ml"  #: as the job sees it
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    python: str  #: interpreter of the environment; its folder comes first on the job's PATH
    files: dict[str, str] = msgspec.field(default_factory=dict)  #: text files to write, by path below /opt/ml
    folders: tuple[str, ...] = ()  #: empty folders to make, below /opt/ml
    inputs: tuple[InputFile, ...] = ()
    outputs: tuple[Output, ...] = ()
    metrics: tuple[MetricDefinition, ...] = ()
    requirements: tuple[str, ...] = ()  #: below /opt/ml; what those that are there ask for is added to the environment
    failure_file: str | None = None  #: below /opt/ml; its text explains a failure (output/failure, output/message)
    serves: bool = False  #: runs until stopped; writes a byte to the descriptor in TOWPATH_READY_FD when it can answer
    limits: Limits = Limits()
    #: Each runs the command, with an /opt/ml of its own; they begin together and resolve each other's names. What they
    #: write into outputs is put together. When one fails, the others are ended. Empty for a job on one host.
    hosts: tuple[HostPart, ...] = ()
    host: str = ""  #: of a job on one host: by which name it finds itself; empty: by that of the machine
    tags: dict[str, str] = msgspec.field(default_factory=dict)  #: for people: execution, step
    notes: tuple[str, ...] = ()  #: sentences that begin the log: what is not as it was asked for


class Phase(StrEnum):
    """How an attempt stands."""

    ABSENT = "absent"  #: nothing was ever started under this key
    STARTING = "starting"  #: handed to the back end, its runner has not claimed it yet
    RUNNING = "running"
    READY = "ready"  #: a serving job that can answer
    FINISHED = "finished"  #: the manifest is complete
    LOST = "lost"  #: the runner is gone and left no manifest


class StagedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of output, complete and synced in the attempt's staging area."""

    output: str  #: name of the output it belongs to
    bucket: str
    key: str
    path: str  #: absolute on the runner's host
    size: int
    sha256: str
    md5: str


class Increment(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a continuous output that was complete while the job ran, and waits in the attempt's staging area."""

    number: int  #: 1, 2, 3, … in the order in which the attempt staged them; some may be missing
    file: StagedFile


class MetricPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One value read from the log."""

    name: str
    value: float
    at: datetime


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """Packages that were added to a job's environment, because its requirements asked for them."""

    hash: str
    python_version: str
    base: dict[str, str]  #: what the environment held by itself: name -> version
    packages: dict[str, str]  #: what was added; empty where everything was there


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended. Written last, atomically, to `<attempt>/manifest.json`."""

    key: str
    #: Of the user's process, of several the one that failed first. Negative for a signal; None: it was never started.
    exit_code: int | None
    reason: str | None  #: why it failed, in words; None when it did its work
    host: str | None = None  #: which of several hosts failed first
    stopped: bool = False  #: ended because somebody asked
    timed_out: bool = False
    no_room: bool = False  #: what the platform wrote for the job, or kept of it, found no room on the disk
    started_at: datetime | None = None  #: when the user's process started
    ended_at: datetime
    download_s: float = 0.0
    peak_memory_bytes: int | None = None
    outputs: tuple[StagedFile, ...] = ()
    sandbox: str = "paths"  #: which isolation was used
    warm: bool = False  #: the script began in a process that had libraries imported already
    cold_because: str = ""  #: why it did not, where warm starts are on; empty where they are off
    layer: Layer | None = None  #: None where no requirements were asked for
    memory_limit: str | None = None  #: how memory was limited: "cgroup" or "watch"; None without a limit


class JobObservation(msgspec.Struct, frozen=True, kw_only=True):
    """What a back end sees of an attempt."""

    phase: Phase
    pid: int | None = None
    started_at: datetime | None = None  #: when the user's process started
    activity: str = ""  #: "Downloading", "Training", "Uploading", … for people
    metrics: tuple[MetricPoint, ...] = ()  #: last value of each name
    increments: tuple[Increment, ...] = ()  #: that wait to be adopted, by number; the first ones where there are many
    manifest: Manifest | None = None


class LogLine(msgspec.Struct, frozen=True):
    """One line of a job's output."""

    at: datetime
    text: str


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """Lines and where to go on."""

    lines: list[LogLine]
    start: int  #: byte offset of the first line
    end: int  #: byte offset behind the last line


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a back end can do; declared, not found out."""

    serving: bool = False
    isolation: str = "none"
    gpus: bool = False
    layers: bool = False  #: makes layers of requirements files
    hosts: bool = False  #: runs jobs on several hosts
    secrets: bool = False  #: hands secrets to the jobs that name them, and keeps them out of logs
