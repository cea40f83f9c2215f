"""The driver: reads the files of a transform job, has their records answered, and writes what becomes of them.

A file whose records were all answered has its output, and only then; one with a record that was not has none, and the
others go on. Source: Amazon SageMaker API Reference, "TransformOutput".
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import dropwhile, islice
from pathlib import Path
from typing import IO

from towpath.runner.folder import is_full
from towpath.transform import records
from towpath.transform.feeding import Feeder, Item, Model, ModelGone
from towpath.transform.joining import Processing, Unjoinable
from towpath.transform.jsonpath import PathError
from towpath.transform.narrowing import narrowed
from towpath.transform.payloads import Payload, assembled, cut, payloads
from towpath.transform.progress import Progress
from towpath.transform.settings import INPUT, OUTPUT, PARTIAL, SUFFIX, Settings, Source

CHUNK = 1 << 20


@dataclass(slots=True, eq=False)
class File:
    """A file of the job, while it is worked on."""

    source: Source
    size: int  #: bytes as they lie there
    unpacked: int = 0  #: of those, where the file is packed
    answered: int = 0  #: bytes of its records
    failure: str | None = None  #: the first one
    failed_at: int = 0  #: line of the first record of a payload of several that has failed
    output: IO[bytes] | None = field(default=None, repr=False)

    def place(self, payload: Payload | None) -> str:
        """Return the name of the file, with the lines of a payload."""
        if payload is None or not payload.first:
            return self.source.uri
        return self.lines(payload.first, payload.last)

    def lines(self, first: int, last: int) -> str:
        """Return the name of the file, with these lines."""
        return f"{self.source.uri} line {first}" if first == last else f"{self.source.uri} lines {first} to {last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job."""

    files: int
    failures: tuple[str, ...]  #: a sentence for each file without an output, the first record that failed in it

    @property
    def reason(self) -> str | None:
        """Why the job failed, None when it did not."""
        if not self.failures:
            return None
        if len(self.failures) == 1 == self.files:
            return self.failures[0]
        others = self.files - len(self.failures)
        kept = (
            f"the other {others} {'has its' if others == 1 else 'have their'} output" if others else "none has output"
        )
        return f"{self.failures[0]} ({len(self.failures)} of {self.files} files failed; {kept})"


class Driver:
    """Transforms the files of one job."""

    def __init__(self, base: Path, settings: Settings, model: Model, say: Callable[[str], None]) -> None:
        """
        Args:
            base: what stands for /opt/ml.
            say: writes a line of the log.
        """
        self._base = base
        self._settings = settings
        self._say = say
        self._model = model
        self._processing = Processing.of(
            settings.content_type,
            input_filter=settings.input_filter,
            join=settings.join,
            output_filter=settings.output_filter,
        )
        self._feeder: Feeder[File] = Feeder(
            model,
            concurrent=settings.concurrent,
            timeout_s=settings.timeout_s,
            retries=settings.retries,
            retried=lambda item, words: say(f"{item.key.place(item.payload)}: {words}"),
        )

    def run(self) -> Outcome:
        """Transform everything; return what became of it.

        Raises:
            ModelGone: the model could not be loaded again after it had ended.
        """
        for folder in (OUTPUT, PARTIAL):
            (self._base / folder).mkdir(parents=True, exist_ok=True)
        files = [File(item, (self._base / INPUT / item.path).stat().st_size) for item in self._settings.sources]
        progress = Progress(self._say, files=len(files), size=sum(file.size for file in files))
        for item in self._feeder.answers(self._items(files)):
            if item.payload is None:
                self._ended(item)
                progress.ended(item.key.size)
            elif item.key.failure is None:
                self._answered(item.key, item.payload, item)
                if item.key.failure is None:
                    progress.answered(item.payload.records, item.key.unpacked or item.key.answered)
        self._name_records(file for file in files if file.failed_at)
        failures = tuple(f"{file.failure}" for file in files if file.failure is not None)
        progress.over(len(failures))
        return Outcome(files=len(files), failures=failures)

    def _items(self, files: list[File]) -> Iterator[Item[File]]:
        """Yield the payloads of all files, behind those of each a mark: that it has ended, or cannot be read on."""
        for file in files:
            reason = None
            try:
                for payload in self._payloads(file):
                    if file.failure is not None:
                        break  # a record of it was not answered meanwhile; the rest would be for nothing
                    yield Item(file, payload)
            except records.TooLarge as error:
                line = "" if error.line is None else f" line {error.line}"
                reason = f"{file.source.uri}{line}: {error}"
            except _Unreadable as error:
                reason = str(error)
            yield Item(file, failure=reason)

    def _payloads(self, file: File) -> Iterator[Payload]:
        settings, processing = self._settings, self._processing
        split = records.lines if settings.split == "Line" else records.whole

        def filtered(record: records.Record) -> bytes:
            assert processing is not None
            try:
                return processing.filtered(record)
            except (PathError, Unjoinable) as error:
                line = f" line {record.line}" if record.line else ""
                raise _Unreadable(f"{file.source.uri}{line}: InputFilter: {error}") from error

        many = settings.split == "Line" and settings.batch == "MultiRecord"
        with (self._base / INPUT / file.source.path).open("rb", buffering=0) as raw:
            chunks = self._chunks(file, raw)
            if many and processing is None:
                yield from cut(chunks, settings.payload_bytes)
                return
            yield from payloads(
                split(chunks, settings.payload_bytes),
                many=many,
                limit=settings.payload_bytes,
                filtered=filtered if processing is not None and processing.filters else None,
                keep=processing is not None and processing.join,
            )

    def _chunks(self, file: File, raw: IO[bytes]) -> Iterator[bytes]:
        if self._settings.compression != "Gzip":
            while chunk := raw.read(CHUNK):
                yield chunk
            return
        try:
            with gzip.open(raw) as unpacked:
                while chunk := unpacked.read(CHUNK):
                    file.unpacked = raw.tell()
                    yield chunk
        except (OSError, EOFError, zlib.error) as error:
            raise _Unreadable(f"{file.source.uri}: cannot be unpacked as gzip (CompressionType): {error}") from error

    def _answered(self, file: File, payload: Payload, item: Item[File]) -> None:
        """Write what the output gets of an answer, or give the file up."""
        processing = self._processing
        if item.failure is not None:
            if payload.records > 1 and not item.timed_out:
                file.failed_at = payload.first
            self._give_up(file, f"{file.place(payload)}: {item.failure}")
            return
        assert item.answer is not None
        written = item.answer
        if processing is not None and processing.changes:
            try:
                written = processing.joined(payload, item.answer)
            except (PathError, Unjoinable) as error:
                self._give_up(file, f"{file.place(payload)}: DataProcessing of the answer: {error}")
                return
        if file.output is None:
            file.output = self._partial.open("wb", buffering=CHUNK)
        file.output.write(assembled(written, with_line=self._settings.assemble == "Line"))
        file.answered += payload.size + payload.records * bool(payload.first)  # each with its newline

    def _ended(self, item: Item[File]) -> None:
        """Show the output of a file that is complete."""
        file = item.key
        if item.failure is not None and file.failure is None:
            self._give_up(file, item.failure)
        if file.failure is not None:
            return
        if file.output is None:
            self._partial.touch()  # there was no record in it
        else:
            file.output.close()
            file.output = None
        target = self._base / OUTPUT / (file.source.path + SUFFIX)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._partial.rename(target)
        except OSError as error:
            if is_full(error):
                raise
            # The name is too long with its suffix, or it is that of a folder which another output lies in.
            self._partial.unlink()
            self._give_up(file, f"{file.source.uri}: its output {file.source.path + SUFFIX!r} cannot be kept: {error}")

    def _give_up(self, file: File, reason: str) -> None:
        file.failure = reason
        self._say(reason)
        if file.output is not None:
            file.output.close()
            file.output = None
            self._partial.unlink()

    def _name_records(self, files: Iterable[File]) -> None:
        """Find out which record it is that fails, of files of which a payload of several records has failed.

        A payload that took too long is left as it is: finding out would take as long, many times.
        """
        with suppress(ModelGone):  # what failed is told already, only less exactly
            for file in files:
                self._name_record(file)

    def _name_record(self, file: File) -> None:
        payload = next(each for each in self._payloads(file) if each.first == file.failed_at)
        reason = ""
        asks: Feeder[None] = Feeder(
            self._model, concurrent=1, timeout_s=self._settings.timeout_s, retries=0, retried=lambda *_: None
        )

        def fails(body: bytes) -> bool:
            asked = Payload(first=0, last=0, records=0, body=body)
            (item,) = asks.answers([Item(None, asked)])
            nonlocal reason
            reason = item.failure or reason
            return item.failure is not None

        begin, end = narrowed(payload.body.split(records.NEWLINE), fails)
        if (begin, end) == (0, payload.records):
            self._say(f"{file.place(payload)}: no half of these records fails by itself")
            return
        lines = self._lines_of(file, payload)
        file.failure = f"{file.lines(lines[begin], lines[end - 1])}: {reason}"
        self._say(f"{file.failure}; found by asking for less at a time")

    def _lines_of(self, file: File, payload: Payload) -> Sequence[int]:
        """Return the line of each record of a payload."""
        if payload.last - payload.first + 1 == payload.records:
            return range(payload.first, payload.last + 1)
        with (self._base / INPUT / file.source.path).open("rb", buffering=0) as raw:  # empty lines are among them
            every = (record.line for record in records.lines(self._chunks(file, raw), self._settings.payload_bytes))
            return list(islice(dropwhile(lambda line: line < payload.first, every), payload.records))

    @property
    def _partial(self) -> Path:
        # Answers come in order, so that one file is written at a time.
        return self._base / PARTIAL / "file"


class _Unreadable(Exception):
    """A file cannot be read to its end; the message says which and why."""
