"""Every setting, its default and its meaning.

Settings come from `HOME/towpath.toml`; an environment variable `TOWPATH_<NAME>` wins over the file.
`docs/operations.md` has a line for each.
"""

import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from towpath.kernel.errors import Invalid
from towpath.objects.location import location_of

PREFIX = "TOWPATH_"  #: of the variables of the environment; `variables` declares those that are no settings
IN_THE_FILE = frozenset({"images"})  #: settings that no variable can hold
LONGEST_LEASE_S = 3600
MOST_THREADS = 256  #: of the engine
MOST_RESTARTS = 100  #: of a job whose runner vanished
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
SECRET = frozenset({"objects_access_key", "objects_secret_key"})  #: settings whose values are shown to nobody
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")  #: in any case
_MORE_LOG_LEVELS = frozenset({"WARN", "FATAL", "NOTSET"})  #: other names of Python's: homes may hold them
LONGEST_KEPT = 36_500  #: days, and GB: beyond that nobody means a number


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one home."""

    host: str = "127.0.0.1"  #: address to listen on; others than loopback need TLS and keys made with `towpath keys`
    port: int = 7400  #: first port to try; the next free one is taken when it is in use
    tls_certificate: str = ""  #: PEM file of the server's certificate; a relative path begins at the home
    tls_key: str = ""  #: PEM file of its private key
    tls_ca: str = ""  #: PEM file that clients of this host check it by; empty: what the system trusts
    tls_ends_at_proxy: bool = False  #: a proxy in front has the certificate, and tells X-Forwarded-For or Forwarded
    url: str = ""  #: https://HOST:PORT that the certificate is for; empty: the address that is listened on
    account: str = "000000000000"  #: account id of a new home, 12 digits
    region: str = "us-east-1"  #: region of a new home; AWS clients accept only real ones
    sandbox: Literal["auto", "namespace", "bwrap", "paths"] = (
        "auto"  #: how jobs are isolated: auto, namespace, bwrap or paths
    )
    cores: int = 0  #: of this host that jobs may reserve together; 0: all, at least two
    memory_gb: float = 0.0  #: of this host that jobs and model servers may reserve together; 0: all
    job_limits: Literal["auto", "on", "off"] = (
        "auto"  #: who is held to the memory and cores of their instance type: those that chose one, all, none
    )
    warm_start: Literal["off", "on", "always"] = (
        "on"  #: on: scripts begin in forks of a process that holds what they name; always: that holds all; off: afresh
    )
    warm_imports: str = (  #: modules that such a process imports, with commas between; those that are installed
        "numpy, pandas, joblib, sklearn.compose, sklearn.ensemble, sklearn.feature_extraction.text, "
        "sklearn.linear_model, sklearn.metrics, sklearn.model_selection, sklearn.pipeline, sklearn.preprocessing"
    )
    functions_at_a_time: int = 0  #: calls that run side by side, others wait; 0: two for each core, at least four
    oversized_jobs: Literal["scale", "refuse"] = "scale"  #: an instance type larger than this host
    engine_threads: int = 4  #: resources that are looked at side by side
    engine_lease_s: float = 60.0  #: a look at a resource that takes longer is given up and begun again
    lost_runner_restarts: int = 1  #: new attempts after a runner vanished
    missed_schedules: Literal["latest", "all", "skip"] = (
        "latest"  #: times that passed while no server ran: start once, for each of them, or not at all
    )
    callback_timeout_days: float = 7.0  #: without an answer a Callback step has failed then; 0: it waits for ever
    log_level: str = "INFO"  #: of the server's own log: DEBUG, INFO, WARNING, ERROR or CRITICAL
    log_limit_mb: float = 256.0  #: of the log of one job; of a larger one the middle is dropped
    keep_attempts_days: float = 7.0  #: what an ended attempt worked on, where that is still there
    keep_logs_days: float = 90.0  #: the folder of an ended attempt, with its log
    keep_versions_days: float = 30.0  #: replaced object versions that nothing refers to
    keep_deleted_days: float = 30.0  #: deleted resources; so long `towpath undelete` brings them back
    keep_layers_days: float = 30.0  #: environment layers that nothing uses
    keep_uploads_days: float = 7.0  #: multipart uploads that were never completed
    keep_metrics_days: float = 455.0  #: values of metrics of CloudWatch; as long as AWS keeps them
    keep_accesses_days: float = 90.0  #: who read and wrote which object
    keep_limit_gb: float = 0.0  #: of attempts' files, old versions and layers together; 0: no limit
    objects: str = "folder"  #: where the bytes of objects lie: folder (of the home), or a prefix of a bucket of S3
    objects_access_key: str = ""  #: for that bucket; empty: keys are looked for where AWS clients do
    objects_secret_key: str = ""  #: of that access key; better set as a variable than in the file
    objects_keys_of_instance: bool = False  #: without keys: also ask the virtual machine's metadata service
    objects_cache_gb: float = 20.0  #: of copies on this host of bytes that lie in a bucket
    images: dict[str, str] = {}  #: image name or pattern (with *) -> Python interpreter that stands for it

    def shown(self) -> dict[str, Any]:
        """Return the values by name, without those that nobody is shown."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name not in SECRET}

    def differences(self, other: "Settings") -> list[str]:
        """Return the names of the settings that `other` has another value of, secret ones left out."""
        theirs = other.shown()
        return [name for name, value in self.shown().items() if theirs[name] != value]


def load(file: Path, environment: dict[str, str] | None = None) -> Settings:
    """Return the settings of a home: defaults, then the file, then the environment.

    Raises:
        Invalid: the file cannot be read, is not TOML, or has a setting that is unknown or of a wrong type; names both.
    """
    values: dict[str, Any] = {}
    if file.exists():
        values = _read(file)
    environment = dict(os.environ) if environment is None else environment
    places = {name: f"{file}: {name}" for name in values}
    for name in Settings.__struct_fields__:
        variable = variable_of(name)
        if variable in environment and name not in IN_THE_FILE:
            values[name] = environment[variable]
            places[name] = variable
    types = get_type_hints(Settings)
    for name, value in values.items():
        if name not in types:
            like = get_close_matches(name, types, n=1)
            did_you_mean = f" (did you mean {like[0]!r}?)" if like else ""
            raise Invalid(
                f"{file}: there is no setting {name!r}{did_you_mean}; see docs/operations.md for the settings"
            )
        try:
            msgspec.convert(value, types[name], strict=False)
        except msgspec.ValidationError as error:
            given = "of another type" if name in SECRET else repr(value)
            raise Invalid(f"{places[name]} is {given}; expected {_expected(types[name])}") from error
    settings = msgspec.convert(values, Settings, strict=False)
    for name, words in _faults(settings):
        raise Invalid(f"{places.get(name, f'{file}: {name}')} {words}")
    return settings


def variable_of(name: str) -> str:
    """Return the variable of the environment that wins over a setting in the file."""
    return f"{PREFIX}{name.upper()}"


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8"))
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Invalid(f"{file} is not valid TOML: line {line} is not UTF-8; save it in this encoding") from error
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{file} is not valid TOML: {error}") from error


def _expected(type_: Any) -> str:
    """Return in words what values a setting may have."""
    if get_origin(type_) is Literal:
        *others, last = map(str, get_args(type_))
        return f"{', '.join(others)} or {last}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text in quotation marks"}
    return words.get(type_, "a table of texts")


def from_shown(values: Mapping[str, Any]) -> tuple[Settings, list[str]]:
    """Return the settings whose values are these, and the names of those that cannot be read here.

    A server of another release may have fewer, others, or some with values that are unknown here. Those have their
    defaults.
    """
    types = get_type_hints(Settings)
    known: dict[str, Any] = {}
    left_out = []
    for name, value in values.items():
        try:
            known[name] = msgspec.convert(value, types[name])
        except (KeyError, msgspec.ValidationError):
            left_out.append(name)
    return Settings(**known), left_out


def modules_in(text: str) -> tuple[str, ...]:
    """Return the words of a list with commas between, each once, in its order."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _faults(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what is out of range: the name of a setting, and the words that go on behind it."""
    if settings.log_level.upper() not in _MORE_LOG_LEVELS.union(LOG_LEVELS):
        *others, last = LOG_LEVELS
        yield "log_level", f"is {settings.log_level!r}; expected {', '.join(others)} or {last}"
    if not (len(settings.account) == 12 and settings.account.isdigit()):
        yield "account", f"is {settings.account!r}; expected 12 digits"
    if settings.cores < 0:
        yield "cores", f"is {settings.cores}; expected 0 (all of it) or more"
    if settings.memory_gb < 0 or not math.isfinite(settings.memory_gb):
        yield "memory_gb", f"is {settings.memory_gb:g}; expected 0 (all of it) or a number of gigabytes"
    if not 1 <= settings.engine_threads <= MOST_THREADS:
        yield "engine_threads", f"is {settings.engine_threads}; expected 1 to {MOST_THREADS}"
    if not 0 <= settings.lost_runner_restarts <= MOST_RESTARTS:
        yield "lost_runner_restarts", f"is {settings.lost_runner_restarts}; expected 0 (none) to {MOST_RESTARTS}"
    if settings.functions_at_a_time < 0:
        yield "functions_at_a_time", f"is {settings.functions_at_a_time}; expected 0 (by the cores) or more"
    if unlikely := [word for word in modules_in(settings.warm_imports) if not _MODULE.fullmatch(word)]:
        yield "warm_imports", f"names {unlikely[0]!r}; expected names of modules with commas between"
    if not 1 <= settings.engine_lease_s <= LONGEST_LEASE_S:
        yield "engine_lease_s", f"is {settings.engine_lease_s:g}; expected 1 to {LONGEST_LEASE_S} seconds"
    if not settings.log_limit_mb >= 1:
        yield "log_limit_mb", f"is {settings.log_limit_mb:g}; expected 1 or more"
    if not 0 <= settings.callback_timeout_days <= LONGEST_KEPT:
        given = f"is {settings.callback_timeout_days:g}"
        yield "callback_timeout_days", f"{given}; expected 0 (for ever) to {LONGEST_KEPT}"
    if not 0 <= settings.port <= 65535:
        yield "port", f"is {settings.port}; expected 0 to 65535 (0 takes any free one)"
    if not 0 <= settings.objects_cache_gb <= LONGEST_KEPT:
        yield "objects_cache_gb", f"is {settings.objects_cache_gb:g}; expected 0 to {LONGEST_KEPT}"
    if bool(settings.objects_access_key) != bool(settings.objects_secret_key):
        yield "objects_access_key", "and objects_secret_key go together; one of them is empty"
    try:
        location_of(settings.objects)
    except Invalid as error:
        yield "objects", error.message.removeprefix("objects ")
    for name in Settings.__struct_fields__:
        if name.startswith("keep_") and not 0 <= getattr(settings, name) <= LONGEST_KEPT:
            yield name, f"is {getattr(settings, name):g}; expected 0 to {LONGEST_KEPT}"
