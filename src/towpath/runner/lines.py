"""Turns the bytes that a job prints into lines of its log."""

#: Longer lines are cut into pieces: a log line is for people, and one line must never fill the memory of its readers.
LONGEST_LINE = 32 * 1024
#: A text without a line end (a prompt, a progress bar at rest) is shown after this time.
QUIET_S = 2.0
#: A progress bar redraws itself many times a second; the log keeps one drawing in this time, and the last one.
REDRAW_S = 1.0


class Lines:
    """Collects output and gives back complete lines.

    A carriage return alone means that the line is drawn again: of many drawings within `REDRAW_S` the last is kept.
    """

    def __init__(self) -> None:
        self._partial = bytearray()
        self._drawing: bytes | None = None  #: a complete drawing that the next one may replace
        self._changed_at = 0.0  #: when the last byte came
        self._drawn_at = float("-inf")  #: when a drawing was last given back
        self._drawn = False  #: the last thing given back was a drawing, so a line end now adds nothing

    def feed(self, data: bytes, now: float) -> list[str]:
        """Take bytes that came at `now` (seconds, any clock that goes forward) and return the lines they complete."""
        self._changed_at = now
        lines: list[str] = []
        pieces = data.replace(b"\r\n", b"\n").split(b"\n") if b"\r" in data else data.split(b"\n")
        for position, piece in enumerate(pieces):
            if position > 0:
                self._end_line(lines)
            self._add(piece, now, lines)
        return lines

    def due_at(self) -> float | None:
        """Return when `flush` should be called if nothing more comes, or None if nothing waits."""
        return self._changed_at + QUIET_S if self._partial or self._drawing is not None else None

    def flush(self) -> list[str]:
        """Return what waits for its line end: the output has come to rest or to its end."""
        lines: list[str] = []
        if self._partial or self._drawing is not None:
            self._end_line(lines)
        return lines

    def _end_line(self, lines: list[str]) -> None:
        # "text\r" + "\n" across two reads leaves an empty partial behind a drawing: the drawing is the line.
        text = bytes(self._partial) if self._partial or self._drawing is None else self._drawing
        if text or not self._drawn:
            lines.append(text.decode("utf-8", "replace"))
        self._partial.clear()
        self._drawing = None
        self._drawn = False

    def _add(self, piece: bytes, now: float, lines: list[str]) -> None:
        *drawings, rest = piece.split(b"\r")
        for drawing in drawings:
            self._partial += drawing
            if self._partial:
                self._drawing = bytes(self._partial[-LONGEST_LINE:])
                self._partial.clear()
                if now - self._drawn_at >= REDRAW_S:
                    self._drawn_at = now
                    self._drawn = True
                    lines.append(self._drawing.decode("utf-8", "replace"))
                    self._drawing = None
        self._partial += rest
        while len(self._partial) > LONGEST_LINE:
            cut = LONGEST_LINE
            while cut > LONGEST_LINE - 4 and self._partial[cut] & 0xC0 == 0x80:
                cut -= 1  # do not cut a character in two
            lines.append(self._partial[:cut].decode("utf-8", "replace"))
            del self._partial[:cut]
