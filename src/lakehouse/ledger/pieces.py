"""Pieces of a person's data, and finding them in bytes however they were written down."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

# Of a telephone number the last ten digits tell whose it is: a country code may be there or not.
_LEAST_DIGITS = 7
_TOLD_DIGITS = 10
_DIGIT = re.compile(r"[0-9]")
# What stands between the digits of a telephone number: spaces (also the unbreakable), dots, dashes, brackets.
_BETWEEN = rb"(?:[ \t()./_-]|\xc2\xa0|\xe2\x80[\x90-\x94\xaf]){0,3}"
_MOST_NAMES = 4
# No byte of any UTF-8.
_DROPPED = b"\xff"


class Hit(msgspec.Struct, frozen=True, order=True):
    """A piece, found in bytes from `start` to `end`, and whose it is."""

    start: int
    end: int
    subjects: tuple[str, ...]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What tells somebody from others.

    Attributes:
        subject: Their id.
        pieces: Names, contact data and sentences that are theirs alone.
        common: Names and contact data that somebody who stays has as well: theirs only where a piece of them stands
            beside.
    """

    subject: str
    pieces: Sequence[str] = ()
    common: Sequence[str] = ()


def number_of(text: str) -> str:
    """Return the digits by which a telephone number is known, empty for what is none."""
    digits = "".join(_DIGIT.findall(text))
    # As in `staffing.worker`: more than half of it are digits.
    return digits[-_TOLD_DIGITS:] if len(digits) >= _LEAST_DIGITS and len(digits) * 2 > len(text) else ""


class Finder:
    """Finds pieces in bytes: plain, in any case, and escaped in JSON; telephone numbers in any spelling.

    Also a name whose last part was put first ("Ellis, Robert"). Letters beside a piece do not matter, because in files
    of tables other values stand right beside it.

    Args:
        owners: Whose each piece is; two who are sought together may have one in common.

    >>> finder = Finder({"Robert Ellis": ("w-1",), "215.555.0149": ("w-1", "w-2")})
    >>> [hit.start for hit in finder.hits(b"ROBERT ELLIS, +1 (215) 555-0149; (215) 555-0140")]
    [0, 18]
    """

    def __init__(self, owners: Mapping[str, tuple[str, ...]]) -> None:
        self._texts: dict[bytes, tuple[str, ...]] = {}
        self._numbers: dict[bytes, tuple[str, ...]] = {}
        for piece, subjects in owners.items():
            number = number_of(piece).encode()
            if number:
                self._numbers[number] = _united(self._numbers.get(number, ()), subjects)
            else:
                for form in _forms(piece):
                    self._texts[form] = _united(self._texts.get(form, ()), subjects)
        self._text = re.compile(_any_of(self._texts, b"")) if self._texts else None
        self._number = re.compile(_any_of(self._numbers, _BETWEEN)) if self._numbers else None
        # Nothing found is longer; between two digits stand up to nine bytes.
        self.longest = max([*map(len, self._texts), *(10 * len(number) for number in self._numbers)], default=0)

    def hits(self, data: bytes) -> list[Hit]:
        """Return what is found, in order of its start."""
        found: list[Hit] = []
        if self._text is not None:
            # Lower-casing bytes changes no length.
            found += [Hit(hit.start(), hit.end(), self._texts[hit[0]]) for hit in self._text.finditer(data.lower())]
        if self._number is not None:
            for hit in self._number.finditer(data):
                digits = bytes(byte for byte in hit[0] if 0x30 <= byte <= 0x39)
                found.append(Hit(hit.start(), hit.end(), self._numbers[digits]))
        found.sort()
        return found


class Blotter:
    """Writes over the pieces of people in texts, letter for letter, so that lengths stay as they are.

    Where a piece of somebody stands, what they have in common with others is written over as well: a name that two
    people have is theirs beside their own telephone number.

    >>> blotter = Blotter([Person(subject="w-1", pieces=["215-555-0149"], common=["Robert Ellis"])])
    >>> blotter.blot(['Robert Ellis: {"phone":"(215) 555-0149"}'])
    (['xxxxxxxxxxxx: {"phone":"(999) 999-9999"}'], {'w-1': 2})
    >>> blotter.blot(["Robert Ellis"])
    (['Robert Ellis'], {})
    """

    def __init__(self, people: Sequence[Person]) -> None:
        self._own = Finder(owners_of(people))
        self._common = {person.subject: person.common for person in people}
        self._finders: dict[str, Finder] = {}

    @property
    def idle(self) -> bool:
        """Whether there is nothing to look for."""
        return not self._own.longest

    def over(self, data: bytes) -> tuple[bytes, dict[str, int]]:
        """Return bytes written over, a line being a unit, and how many pieces of whom there were."""
        blotted, counts, at = bytearray(data), Counter[str](), 0
        for line in data.splitlines(keepends=True):
            for hit in self.spans(line):
                blotted[at + hit.start : at + hit.end] = over(line[hit.start : hit.end])
                counts.update(hit.subjects)
            at += len(line)
        return bytes(blotted), counts

    def spans(self, data: bytes) -> list[Hit]:
        """Return what is to be written over in one unit: a line, a row."""
        found = self._own.hits(data)
        for subject in sorted({subject for hit in found for subject in hit.subjects}):
            found += self._finder(subject).hits(data)
        return found

    def blot(self, texts: Sequence[str]) -> tuple[list[str], dict[str, int]]:
        """Return the texts of one unit written over, and how many pieces of whom there were."""
        coded = [text.encode("utf-8", "surrogatepass") for text in texts]
        counts: dict[str, int] = {}
        own = {subject for data in coded for hit in self._own.hits(data) for subject in hit.subjects}
        if not own:
            return [*texts], counts
        changed = []
        for data in coded:
            hits = self._own.hits(data)
            for subject in sorted(own):
                hits += self._finder(subject).hits(data)
            for subject in (subject for hit in hits for subject in hit.subjects):
                counts[subject] = counts.get(subject, 0) + 1
            changed.append(_letters(data, hits))
        return changed, counts

    def _finder(self, subject: str) -> Finder:
        if subject not in self._finders:
            self._finders[subject] = Finder(dict.fromkeys(self._common.get(subject, ()), (subject,)))
        return self._finders[subject]


def owners_of(people: Iterable[Person]) -> dict[str, tuple[str, ...]]:
    """Return whose each piece is."""
    owners: dict[str, tuple[str, ...]] = {}
    for person in people:
        for piece in person.pieces:
            owners[piece] = _united(owners.get(piece, ()), (person.subject,))
    return owners


def _united(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *others)))


def over(piece: bytes) -> bytes:
    """Return what is written over a piece, byte for byte; valid wherever the piece was, in JSON too."""
    if number_of(piece.decode("utf-8", "replace")):
        # A number may stand there without quotes.
        return bytes(0x39 if 0x30 <= byte <= 0x39 else byte for byte in piece)
    return b"x" * len(piece)


def _letters(data: bytes, hits: Sequence[Hit]) -> str:
    blotted = bytearray(data)
    for hit in hits:
        piece = data[hit.start : hit.end]
        put = over(piece)
        # As many letters as there were, whatever bytes they took: offsets into texts are in letters.
        blotted[hit.start : hit.end] = put if put != b"x" * len(piece) else _spread(piece)
    return blotted.replace(_DROPPED, b"").decode("utf-8", "surrogatepass")


def _spread(piece: bytes) -> bytes:
    """Return an x for each letter of a piece, and what is to be dropped for each further byte of it."""
    return bytes(_DROPPED[0] if byte & 0xC0 == 0x80 else 0x78 for byte in piece)


def _forms(piece: str) -> Iterator[bytes]:
    """Yield the ways a text may stand in a file, in lower case as far as bytes have one."""
    written = {piece, *_turned(piece)}
    written |= {case(text) for text in written for case in _CASES}
    written |= {unicodedata.normalize(form, text) for text in written for form in ("NFC", "NFD")}
    for text in written:
        yield text.encode("utf-8", "surrogatepass").lower()
        yield json.dumps(text)[1:-1].encode().lower()
        yield json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass").lower()


_CASES: tuple[Callable[[str], str], ...] = (str.lower, str.upper, str.title)


def _turned(piece: str) -> Iterator[str]:
    names = piece.split()
    if 1 < len(names) <= _MOST_NAMES:
        yield f"{names[-1]}, {' '.join(names[:-1])}"


# A tree of what may follow what: by byte; below `_END` of what ends here.
_Tree = dict[int, "_Tree"]
_END = -1


def _any_of(words: Iterable[bytes], between: bytes) -> bytes:
    """Return a pattern for any of these words, the longest first, beginnings that several have once.

    An alternation of thousands of words tries each of them at every byte; this one looks at what can still come.

    Args:
        words: Not empty.
        between: A pattern that may match between any two bytes of a word.
    """
    tree: _Tree = {}
    for word in words:
        node = tree
        for byte in word:
            node = node.setdefault(byte, {})
        node[_END] = {}
    return _pattern(tree, between)


def _pattern(node: _Tree, between: bytes) -> bytes:
    ways = []
    for first, rest in sorted(node.items(), reverse=True):
        way, below = b"" if first == _END else re.escape(bytes([first])), rest
        while len(below) == 1 and _END not in below:
            byte, below = next(iter(below.items()))
            way += between + re.escape(bytes([byte]))
        if below and below.keys() != {_END}:
            # What ends here may also go on.
            way += _pattern_of_rest(below, between)
        ways.append(way)
    return ways[0] if len(ways) == 1 else b"(?:" + b"|".join(ways) + b")"


def _pattern_of_rest(below: _Tree, between: bytes) -> bytes:
    longer = {byte: rest for byte, rest in below.items() if byte != _END}
    inner = between + _pattern(longer, between)
    return b"(?:" + inner + b")?" if _END in below else inner
