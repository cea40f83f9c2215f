"""Which lines of a stream are wanted, and how they are found from the head on, or back from the tail."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from towpath.gateway.services.event_groups import Reader
from towpath.gateway.services.log_streams import Stream
from towpath.jobs.model import LogLine, LogPage
from towpath.kernel.errors import Unsupported

#: How far ahead of an offset to look for lines before it, in bytes; None is the beginning.
_REACHES = (1 << 16, 1 << 20, 1 << 24, None)
_PAGE = 2_000  #: lines looked through at a time where only some are wanted
_TERM = re.compile(r'([?-]?)(?:"([^"]*)"|([^\s"]+))')


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A filter pattern of terms. Source: CloudWatch Logs User Guide, "Filter pattern syntax", unstructured events."""

    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()  #: written ?term
    none_of: tuple[str, ...] = ()  #: written -term

    def matches(self, text: str) -> bool:
        """Whether a message is wanted."""
        return (
            all(term in text for term in self.all_of)
            and (not self.any_of or any(term in text for term in self.any_of))
            and not any(term in text for term in self.none_of)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which events are wanted."""

    limit: int
    start_ms: int | None = None
    end_ms: int | None = None  #: exclusive
    pattern: Pattern = Pattern()

    def shows(self, line: LogLine) -> bool:
        """Whether a line is wanted."""
        at = time_ms(line)
        if self.start_ms is not None and at < self.start_ms:
            return False
        if self.end_ms is not None and at >= self.end_ms:
            return False
        return self.pattern.matches(line.text)


def read_pattern(text: str) -> Pattern:
    """Return the terms of a filter pattern; a term in quotes may hold spaces.

    Raises:
        Unsupported: it is a pattern for JSON or columns, or a regular expression.
    """
    if text.lstrip()[:1] in {"{", "[", "%"}:
        raise Unsupported(f"Filter patterns of terms are understood; {text[:64]!r} is of another form.")
    terms = [(sign, quoted or plain) for sign, quoted, plain in _TERM.findall(text)]
    return Pattern(
        all_of=tuple(term for sign, term in terms if not sign),
        any_of=tuple(term for sign, term in terms if sign == "?"),
        none_of=tuple(term for sign, term in terms if sign == "-"),
    )


def lines_from(reader: Reader, stream: Stream, begin: int, window: Window) -> tuple[list[LogLine], int]:
    """Return wanted lines from an offset on, and where to go on."""
    plain = window.start_ms is None and window.end_ms is None and window.pattern == Pattern()
    if plain:
        page = reader.log(stream.key, host=stream.host, start=begin, limit=window.limit)
        return page.lines, max(page.end, begin)
    wanted: list[LogLine] = []
    end = begin
    while len(wanted) < window.limit:
        # Never more lines at a time than are still missing, so that none behind the returned offset was left out.
        page = reader.log(stream.key, host=stream.host, start=end, limit=min(_PAGE, window.limit - len(wanted)))
        if page.end <= end:
            break
        wanted += [line for line in page.lines if window.shows(line)]
        end = page.end
    return wanted, end


def lines_before(reader: Reader, stream: Stream, until: int | None, window: Window) -> tuple[list[LogLine], int, int]:
    """Return the last wanted lines before an offset (None: the end), where they begin, and where they end.

    A log is read forwards, so this begins further and further ahead of the offset until enough is found.
    """
    for reach in _REACHES:
        first = 0
        if reach is not None:
            near = -reach if until is None else max(0, until - reach)
            first = reader.log(stream.key, host=stream.host, start=near, limit=1).start if near else 0
        pages = list(_pages(reader, stream, first, until))
        wanted = [
            (page, number, line) for page in pages for number, line in enumerate(page.lines) if window.shows(line)
        ]
        if len(wanted) >= window.limit or first == 0:
            break
    wanted = wanted[-window.limit :]
    end = pages[-1].end if pages else until or 0
    if not wanted:
        return [], first, end
    page, number, _ = wanted[0]
    begin = page.start if number == 0 else reader.log(stream.key, host=stream.host, start=page.start, limit=number).end
    return [line for _, _, line in wanted], begin, end


def _pages(reader: Reader, stream: Stream, first: int, until: int | None) -> Iterator[LogPage]:
    """Yield what lies between two offsets at which lines begin."""
    offset, size = first, _PAGE
    while until is None or offset < until:
        page = reader.log(stream.key, host=stream.host, start=offset, limit=size)
        if page.end <= offset:
            return
        if until is not None and page.end > until:
            if size == 1:
                return
            size = max(1, size // 2)
            continue
        yield page
        offset = page.end


def time_ms(line: LogLine) -> int:
    """Return the time of a line in milliseconds since 1970."""
    return int(line.at.timestamp() * 1000)
