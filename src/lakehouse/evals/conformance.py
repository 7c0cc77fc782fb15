"""Conformance vectors: the same inputs for this product and any other implementation, compared field by field.

    lakehouse eval conformance                                     # this product, every file of docs/conformance
    lakehouse eval conformance --url http://127.0.0.1:3110         # a running stack, what has an HTTP form
    lakehouse eval conformance --command "their-tool"              # their program, started once per case

A program is started with the kind as its last word; it gets `{"input": ..., "setup": [...]}` on standard input and
prints the output as one JSON object. `--answer KIND` makes this product such a program.

A case counts only when the output is a real one and equal to what the file expects: a program that ends with an error,
an answer that is not JSON, an empty object, a server's own failure are failures whatever else failed alike.
"""

from __future__ import annotations

import math
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.errors import InvalidInput, LakehouseError, NotFound
from lakehouse.evals import _conforming

MOST_SECONDS = 60
FOLDER = Path("docs") / "conformance"

Output = dict[str, Any]
# Answers one case of a kind: input and setup in, output out.
Answer = Callable[[str, Any, list[Any]], Output]


class Vector(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case. The output expected must not be empty."""

    name: str
    input: Any
    expect: Output


class Vectors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file.

    Attributes:
        kind: What is asked; decides how this product answers.
        ignore: Paths of the output that may differ, `*` for any one name.
        texts: Paths of texts for people, which another implementation may word otherwise.
        setup: Requests to send before the first case, where a server answers.
        least_cosine: Lists of numbers are vectors, the same when their cosine is at least this; 0 compares exactly.
    """

    kind: str
    version: int
    about: str
    cases: list[Vector]
    ignore: list[str] = []
    texts: list[str] = []
    setup: list[Any] = []
    least_cosine: float = 0.0


class Difference(msgspec.Struct, frozen=True):
    """A field that is not as expected; a side that lacks it has `(absent)`."""

    path: str
    expected: Any
    found: Any


class Outcome(msgspec.Struct, frozen=True):
    """One case: it holds when there is neither a failure nor a difference."""

    kind: str
    name: str
    failure: str = ""
    differences: list[Difference] = []

    @property
    def holds(self) -> bool:
        """Whether the case counts."""
        return not self.failure and not self.differences


def read(paths: Sequence[Path]) -> list[Vectors]:
    """Read files of vectors, and every one in folders, by name.

    Raises:
        NotFound: A path does not exist, or there is no file.
        InvalidInput: A file is not one of vectors, has no cases, or a case expects nothing.
    """
    files: list[Path] = []
    for path in paths or [FOLDER]:
        if not path.exists():
            raise NotFound(f"there are no vectors at {path}; name the files or the folder", path=str(path))
        files += sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise NotFound(f"there are no vectors at {', '.join(map(str, paths))}")
    return [_read(file) for file in files]


def _read(file: Path) -> Vectors:
    try:
        vectors = msgspec.convert(_in_one_form(msgspec.json.decode(file.read_bytes())), Vectors)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file}: {error}", path=str(file)) from None
    empty = [case.name for case in vectors.cases if not case.expect]
    if not vectors.cases or empty:
        raise InvalidInput(f"{file}: a case must expect something{': ' + empty[0] if empty else ''}", path=str(file))
    return vectors


def _in_one_form(written: Any) -> Any:
    """Take the shorter form too: `expected` for `expect`, without version and about."""
    cases = written.get("cases") if isinstance(written, dict) else None
    if not isinstance(cases, list) or not any(isinstance(case, dict) and "expected" in case for case in cases):
        return written
    renamed = [{("expect" if name == "expected" else name): value for name, value in case.items()} for case in cases]
    return {"version": 1, "about": "", **written, "cases": renamed}


def run(vectors: Vectors, answer: Answer, *, ignore_texts: bool = False) -> Iterator[Outcome]:
    """Yield the outcome of each case, in order."""
    ignore = [*vectors.ignore, *(vectors.texts if ignore_texts else ())]
    for case in vectors.cases:
        try:
            output = answer(vectors.kind, case.input, vectors.setup)
        except (LakehouseError, OSError, ValueError, subprocess.SubprocessError) as error:
            yield Outcome(vectors.kind, case.name, failure=str(error) or type(error).__name__)
            continue
        if not output:
            yield Outcome(vectors.kind, case.name, failure="the output is not an object with something in it")
            continue
        expected = _taken_over(case.expect, output, vectors.least_cosine) if vectors.least_cosine else case.expect
        found = [each for each in differences(expected, output) if not _is_ignored(each.path, ignore)]
        yield Outcome(vectors.kind, case.name, differences=found)


def differences(expected: Any, found: Any, path: str = "") -> Iterator[Difference]:
    """Yield every field in which two JSON values differ; numbers are compared with their kind."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in dict.fromkeys((*expected, *found)):
            inner = f"{path}.{name}" if path else str(name)
            yield from differences(expected.get(name, "(absent)"), found.get(name, "(absent)"), inner)
    elif isinstance(expected, list) and isinstance(found, list):
        for at in range(max(len(expected), len(found))):
            pair = [side[at] if at < len(side) else "(absent)" for side in (expected, found)]
            yield from differences(pair[0], pair[1], f"{path}[{at}]")
    elif expected != found or isinstance(expected, bool) != isinstance(found, bool):
        yield Difference(path, expected, found)


def _taken_over(expected: Any, found: Any, least: float) -> Any:
    """Return what is expected, with each vector that comes near enough replaced by the one that was found."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return {name: _taken_over(value, found.get(name), least) for name, value in expected.items()}
    if not (isinstance(expected, list) and isinstance(found, list)) or len(expected) != len(found):
        return expected
    if expected and all(isinstance(number, float | int) for number in (*expected, *found)):
        dot = math.fsum(one * two for one, two in zip(expected, found, strict=True))
        return found if dot >= least * math.hypot(*expected) * math.hypot(*found) > 0 else expected
    return [_taken_over(one, two, least) for one, two in zip(expected, found, strict=True)]


def _is_ignored(path: str, ignore: Sequence[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in ignore)


def by_command(command: str) -> Answer:
    """Return what answers by starting a program for each case."""
    words = shlex.split(command)

    def answer(kind: str, given: Any, setup: list[Any]) -> Output:
        asked = msgspec.json.encode({"input": given, "setup": setup})
        done = subprocess.run(  # noqa: S603 - the caller names the program to compare with
            [*words, kind], input=asked, capture_output=True, timeout=MOST_SECONDS, check=False
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise ValueError(f"the program ended with {done.returncode}: {said[-1] if said else 'it said nothing'}")
        return msgspec.json.decode(done.stdout, type=dict[str, Any])

    return answer


def answer_one(kind: str) -> int:
    """Answer one case from standard input, as a program for `by_command`."""
    asked = msgspec.json.decode(sys.stdin.buffer.read())
    with _conforming.here() as answer:
        output = answer(kind, asked["input"], asked.get("setup", []))
    sys.stdout.write(msgspec.json.encode(output).decode() + "\n")
    return 0


def measure(
    vectors: Sequence[Vectors], *, url: str = "", command: str = "", ignore_texts: bool = False
) -> list[Outcome]:
    """Run vectors against a program, a running stack, or this product.

    Raises:
        InvalidInput: Both a URL and a program are named.
    """
    if url and command:
        raise InvalidInput("name a URL or a command to compare with, not both", field="url")
    if command:
        answer = by_command(command)
        return [outcome for each in vectors for outcome in run(each, answer, ignore_texts=ignore_texts)]
    with _conforming.at(url) if url else _conforming.here() as answer:
        return [outcome for each in vectors for outcome in run(each, answer, ignore_texts=ignore_texts)]
