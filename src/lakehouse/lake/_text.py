"""Text as CSV readers need it: UTF-8, no byte order mark, one kind of line end outside of quotes.

Which encoding: what the caller names; else a byte order mark; else UTF-16 when every other byte is zero; else
UTF-8 when the bytes are, or nearly are (the lines that are not become bad rows); else Windows-1252, the one
legacy code page that US office software writes. Guessing among all code pages from letter statistics was
tried and left out: on a few accented names it is confidently wrong.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lakehouse.errors import InvalidInput

CHUNK_BYTES = 1 << 20
HEAD_BYTES = 4096
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# The five bytes that Windows-1252 leaves undefined stay the control characters they are in Latin-1.
_WINDOWS = {code: bytes([code]).decode("cp1252", "replace") for code in range(0x80, 0xA0)}
_WINDOWS = {code: char for code, char in _WINDOWS.items() if char != _REPLACEMENT}


class _Ends(msgspec.Struct):
    """Line ends seen in a file; of line feeds without any other, that there are some."""

    crlf: int = 0
    lf: int = 0
    cr: int = 0

    @property
    def one(self) -> str:
        """The line end, when the file uses one only; empty when it mixes them."""
        if self.cr == 0:
            return "\n"
        if self.crlf == self.lf == self.cr:
            return "\r\n"
        return "\r" if self.lf == 0 else ""


class Seen(msgspec.Struct, frozen=True):
    """What the bytes of a file are: whether UTF-8, and their one line end, empty when they mix several."""

    utf8: bool
    end: str


class Look:
    """Looks through the bytes of a file as they pass.

    Attributes:
        head: The first of them.
    """

    def __init__(self) -> None:
        self.head = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._utf8 = True
        self._ends = _Ends()
        self._before = b""

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes."""
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]
        if self._utf8:
            self._decode(chunk)
        ends, before = self._ends, self._before
        self._before = chunk[-1:]
        if before != b"\r" and b"\r" not in chunk:
            # One line feed alone tells as much as all of them, and most files have no other line ends.
            ends.lf += b"\n" in chunk
            return
        ends.lf += chunk.count(b"\n")
        ends.cr += chunk.count(b"\r")
        ends.crlf += chunk.count(b"\r\n") + (before == b"\r" and chunk[:1] == b"\n")

    def seen(self) -> Seen:
        """Return what they were; nothing may be fed after."""
        if self._utf8:
            self._decode(b"", last=True)
        return Seen(self._utf8, self._ends.one)

    def _decode(self, chunk: bytes, *, last: bool = False) -> None:
        # Most of most files is ASCII, which is told in a tenth of the time.
        if not last and chunk.isascii() and not self._decoder.getstate()[0]:
            return
        try:
            self._decoder.decode(chunk, final=last)
        except UnicodeDecodeError:
            self._utf8 = False


class Text(msgspec.Struct, frozen=True):
    """A file fit for the CSV reader: UTF-8, without a byte order mark, with one kind of line end.

    Attributes:
        path: The file given, when it already is one.
        end: Its line end.
        encoding: What the file given was written in.
        mixed: True when the file given mixed its line ends.
    """

    path: Path
    end: str
    encoding: str
    mixed: bool


def normalised(path: Path, charset: str, scratch: Path, seen: Seen | None = None) -> Text:
    """Return a file fit for the CSV reader.

    Lines keep their numbers. The bytes are not looked through again where it was `seen` what they are.

    Raises:
        InvalidInput: The named charset is unknown, or the bytes are not in it.
    """
    seen = seen or _look(path)
    encoding = _encoding(path, charset, seen)
    if encoding != "utf-8":
        path = _transcoded(path, encoding, scratch / "text")
        seen = _look(path)
    if seen.end:
        return Text(path, seen.end, encoding, False)
    return Text(_unified(path, scratch / "unified"), "\n", encoding, True)


def _encoding(path: Path, charset: str, seen: Seen) -> str:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if charset:
        try:
            name = codecs.lookup(charset).name
        except LookupError:
            raise InvalidInput(f"charset {charset!r} is unknown; use utf-8", field="content_type") from None
        if name not in ("utf-8", "ascii"):
            return name
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if charset:
        return "utf-8"
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) >= 8 and max(even, odd) > 0.2 * len(head) and min(even, odd) == 0:
        return "utf-16-le" if odd else "utf-16-be"
    # Nearly: the lines that are not become bad rows.
    return "utf-8" if seen.utf8 or _mostly_utf8(path) else "cp1252"


def _mostly_utf8(path: Path) -> bool:
    good = bad = 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for chunk in _chunks(path):
        text = decoder.decode(chunk)
        damaged = max(text.count(_REPLACEMENT) - chunk.count(_REPLACEMENT.encode()), 0)
        good += len(text) - len(text.encode("ascii", "ignore")) - damaged
        bad += damaged
    return good >= bad


def _transcoded(path: Path, encoding: str, target: Path) -> Path:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with target.open("wb") as file:
        if encoding == "utf-8-sig":
            # Bytes that are no UTF-8 stay, for the reader to name their lines.
            for position, chunk in enumerate(_chunks(path)):
                file.write(chunk.removeprefix(codecs.BOM_UTF8) if position == 0 else chunk)
            return target
        try:
            for chunk in _chunks(path):
                text = chunk.decode("latin-1").translate(_WINDOWS) if encoding == "cp1252" else decoder.decode(chunk)
                file.write(text.encode())
            file.write(decoder.decode(b"", final=True).encode())
        except UnicodeError as error:
            raise InvalidInput(f"the file is not {encoding}: {error}; name its charset", field="source") from None
    return target


def _look(path: Path) -> Seen:
    look = Look()
    for chunk in _chunks(path):
        look.feed(chunk)
    return look.seen()


def _unified(path: Path, target: Path) -> Path:
    """Write every line end outside of quotes as a line feed."""
    inside = False
    held = b""
    with target.open("wb") as file:
        for chunk in _with_end(path):
            data = held + chunk
            # A carriage return at the end may be half of a pair.
            held = b"\r" if chunk and data.endswith(b"\r") else b""
            parts = data[: len(data) - len(held)].split(b'"')
            for position, part in enumerate(parts):
                if position:
                    inside = not inside
                    file.write(b'"')
                file.write(part if inside else part.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return target


def _with_end(path: Path) -> Iterator[bytes]:
    yield from _chunks(path)
    yield b""


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
