"""What the words of a command line point to: text, files, standard input, JSON."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from lakehouse.errors import InvalidInput, NotFound

T = TypeVar("T")

STDIN = "-"
STDOUT = "-"


def text(words: Sequence[str], what: str) -> str:
    """Return the text that `words` give: standard input for `-`, a file for `@FILE`, else the words themselves.

    Raises:
        InvalidInput: The text is empty or not UTF-8.
        NotFound: The file does not exist.
    """
    written = " ".join(words)
    if written == STDIN:
        found = _decoded(sys.stdin.buffer.read(), what, "standard input")
    elif written.startswith("@"):
        found = _decoded(whole(written[1:]), what, written[1:])
    else:
        found = written
    if not found.strip():
        raise InvalidInput(f"{what} is empty; give it as words, as @FILE, or as - to read standard input")
    return found.strip()


def whole(source: str) -> bytes:
    """Return every byte of a file, or of standard input for `-`.

    Raises:
        NotFound, InvalidInput: As `path`.
    """
    return sys.stdin.buffer.read() if source == STDIN else path(source).read_bytes()


def path(source: str) -> Path:
    """Return the path of an existing file.

    Raises:
        NotFound: It does not exist.
        InvalidInput: It is a folder.
    """
    file = Path(source)
    if not file.exists():
        raise NotFound(f"there is no file {source}", path=source)
    if file.is_dir():
        raise InvalidInput(f"{source} is a folder; name a file", path=source)
    return file


@contextmanager
def lines(source: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input for `-`, to be read line by line."""
    if source == STDIN:
        yield sys.stdin.buffer
        return
    with path(source).open("rb") as file:
        yield file


def json_lines(source: str, kind: type[T]) -> Iterator[tuple[int, T]]:
    """Yield the objects of a JSONL file, one a line, each with the number of its line; blank lines are skipped.

    Raises:
        InvalidInput: A line is not JSON or not of this kind; the message names its number.
    """
    decoder = msgspec.json.Decoder(kind)
    with lines(source) as file:
        for number, written in enumerate(file, 1):
            # Editors and spreadsheets put the mark before the first line, where it is no part of the JSON.
            line = written.removeprefix(codecs.BOM_UTF8) if number == 1 else written
            if line.strip():
                try:
                    yield number, decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise InvalidInput(f"{called(source)}, line {number}: {error}", line=number) from None


def called(source: str) -> str:
    """Return what a source is called in messages."""
    return "standard input" if source == STDIN else source


def json_value(argument: str, kind: type[T], option: str) -> T:
    """Return the JSON of an option: the value itself, `@FILE`, or `-`.

    Raises:
        InvalidInput: It is not JSON, or not of this kind.
    """
    written = text([argument], option)
    try:
        return msgspec.json.decode(written, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{option}: {error}", field=option) from None
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{option} is not valid JSON: {error}", field=option) from None


def ids(arguments: Sequence[str]) -> list[str]:
    """Return ids: each argument is one, but `@FILE` and `-` hold one a line."""
    found: list[str] = []
    for argument in arguments:
        if argument == STDIN or argument.startswith("@"):
            listed = text([argument], "the list of ids").splitlines()
            found.extend(line.strip() for line in listed if line.strip())
        else:
            found.append(argument)
    return found


def _decoded(data: bytes, what: str, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{what} in {place} is not UTF-8 (byte {error.start}); convert it first") from None
