"""What a transform job is told, as it lies in `input/config/transform.json`."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

SETTINGS = "input/config/transform.json"  #: below /opt/ml, as all of these
INPUT = "input/data/transform"
OUTPUT = "output/transform"  #: holds what is complete, and nothing else
PARTIAL = "output/partial"  #: of the file under way
FAILURE = "output/failure"
SUFFIX = ".out"
MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One object to transform."""

    path: str  #: below INPUT
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A transform job, as far as its driver acts on it."""

    sources: tuple[Source, ...]
    content_type: str = ""  #: of the payloads; empty: nothing was said
    accept: str = ""
    compression: str = "None"  #: or "Gzip"
    split: str = "None"  #: or "Line"
    batch: str = "MultiRecord"  #: or "SingleRecord"; of a file that is not split, the file is the one record
    payload_bytes: int | None = 6 * MEGABYTE  #: None: a record may be as large as it is
    concurrent: int | None = None  #: payloads that the model is given before it has answered; None: the driver chooses
    assemble: str = "None"  #: or "Line"
    input_filter: str = "$"
    join: bool = False
    output_filter: str = "$"
    timeout_s: float = 600.0  #: for one answer
    retries: int = 3  #: of a payload that the model failed over

    def text(self) -> str:
        """Return the settings as they are written down."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read(base: Path) -> Settings:
    """Return the settings of the job whose /opt/ml is `base`."""
    document = json.loads((base / SETTINGS).read_text("utf-8"))
    sources = tuple(Source(**source) for source in document.pop("sources"))
    return Settings(sources=sources, **document)
