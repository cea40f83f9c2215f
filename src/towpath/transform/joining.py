"""DataProcessing: what the model gets of a record, and how its answer is put together with the record. Pure.

Source: Amazon SageMaker API Reference, "DataProcessing", for the words SageMakerInput and SageMakerOutput and for where
each is used; Developer Guide, "Associate Prediction Results with Input Records".
"""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from towpath.transform.jsonpath import Path, compiled
from towpath.transform.payloads import Payload
from towpath.transform.records import NEWLINE, Record

INPUT_MEMBER, OUTPUT_MEMBER = "SageMakerInput", "SageMakerOutput"
CSV, JSON, JSON_LINES = "csv", "json", "jsonlines"
_FORMATS = {
    "text/csv": CSV,
    "application/json": JSON,
    "application/jsonlines": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
}


class Unjoinable(ValueError):
    """A record or an answer is not what its type says, or the two do not belong together."""


def format_of(media_type: str) -> str | None:
    """Return the format that records of a media type are read in, None for one that is not read here."""
    return _FORMATS.get(media_type.partition(";")[0].strip().lower())


@dataclass(frozen=True, slots=True)
class Processing:
    """What is done to records and answers."""

    format: str
    input_filter: Path
    output_filter: Path
    join: bool

    @classmethod
    def of(cls, media_type: str, *, input_filter: str, join: bool, output_filter: str) -> "Processing | None":
        """Return what is to be done, None when records and answers stay as they are.

        Raises:
            PathError: a filter is no path.
            Unjoinable: there is something to do, and records of the media type cannot be read.
        """
        before, after = compiled(input_filter), compiled(output_filter)
        if before.is_root and after.is_root and not join:
            return None
        found = format_of(media_type)
        if found is None:
            raise Unjoinable(
                f"DataProcessing reads {', '.join(sorted(_FORMATS))}; the ContentType is {media_type or 'not given'}"
            )
        return cls(found, before, after, join)

    @property
    def filters(self) -> bool:
        """Whether the model gets less than the record."""
        return not self.input_filter.is_root

    @property
    def changes(self) -> bool:
        """Whether the answer is not written as it comes."""
        return self.join or not self.output_filter.is_root

    def filtered(self, record: Record) -> bytes:
        """Return what the model gets of a record.

        Raises:
            PathError, Unjoinable: the record has no such part, or is not of its format.
        """
        parts = (self.input_filter.select(value) for value in _values(record.data, self.format))
        return _written(parts, self.format)

    def joined(self, payload: Payload, answer: bytes) -> bytes:
        """Return what the output file gets of a payload and its answer: a row or document for each record.

        Raises:
            PathError, Unjoinable: the answer is not of its format, has another number of rows than there were records,
                or has no such part.
        """
        answers = _values(answer, self.format)
        if not self.join:
            results: Iterable[Any] = answers
        else:
            records = [value for source in payload.sources for value in _values(source, self.format)]
            if len(records) != len(answers):
                noun = "rows" if self.format == CSV else "documents"
                raise Unjoinable(f"{len(answers)} {noun} for {len(records)} records; expected one for each")
            results = map(self._pair, records, answers)
        written = _written((self.output_filter.select(result) for result in results), self.format)
        return written if self.format == JSON else written + NEWLINE

    def _pair(self, record: Any, answer: Any) -> Any:
        if self.format == CSV:
            return [*record, *answer]
        if isinstance(record, dict):
            return {**record, OUTPUT_MEMBER: answer}
        return {INPUT_MEMBER: record, OUTPUT_MEMBER: answer}


def _values(data: bytes, format_: str) -> list[Any]:
    """Return the rows or documents in a body."""
    try:
        text = data.decode()
        if format_ == CSV:
            return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
        if format_ == JSON:
            try:
                return [json.loads(text)]
            except json.JSONDecodeError:
                if "\n" not in text.strip():
                    raise  # else several records that were put together
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (UnicodeDecodeError, csv.Error, ValueError, RecursionError) as error:
        words = {CSV: "CSV", JSON: "JSON", JSON_LINES: "JSON Lines"}[format_]
        raise Unjoinable(f"{_shortened(data)} cannot be read as {words}: {error}") from None


def _written(values: Iterable[Any], format_: str) -> bytes:
    if format_ != CSV:
        return "\n".join(json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values).encode()
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    for value in values:
        writer.writerow(value if isinstance(value, list) else [value])
    return stream.getvalue().removesuffix("\n").encode()


def _shortened(data: bytes) -> str:
    return repr(data if len(data) <= 60 else data[:60] + b"...")[1:]
