"""Text as tokens that know where they stand."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from typing import NamedTuple

# Initials written with dots ("D.C.", "a.m.", "L.L.C.") are one token; hyphens, slashes and dots split.
_TOKEN = re.compile(r"(?:[A-Za-z]\.){2,}|[^\W_]+(?:['\u2018\u2019\u02bb\u02bc`][^\W_]+)*")
_TAKEN_FOR_ASCII = str.maketrans("\u0130\u0131\u017f\u212a", "IisK")
_APOSTROPHES = str.maketrans("", "", "'\u2018\u2019\u02bb\u02bc`.")


class Token(NamedTuple):
    """One word or number: `key` is lower case without accents, apostrophes and dots."""

    text: str
    start: int
    end: int
    key: str


def key_of(word: str) -> str:
    """Return a word in lower case without accents, apostrophes and dots."""
    if word.isascii():
        return word.lower().translate(_APOSTROPHES) if not word.isalnum() else word.lower()
    plain = unicodedata.normalize("NFKD", word)
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return kept.casefold().translate(_APOSTROPHES)


def tokens(text: str) -> list[Token]:
    """Split a text into words and numbers, in order; spans are half-open character offsets."""
    if not text.isascii():
        return [Token(m[0], *m.span(), key_of(m[0])) for m in _TOKEN.finditer(text)]
    # Small letters once for all, as most texts have nothing else to take away.
    low = text.lower()
    found = []
    for m in _TOKEN.finditer(text):
        start, end = m.span()
        key = low[start:end]
        found.append(Token(m[0], start, end, key if key.isalnum() else key.translate(_APOSTROPHES)))
    return found


def folded(word: str) -> str:
    """Return a word in small letters, with those that `re.IGNORECASE` takes for ASCII ones ("\u017fhift") as these."""
    return word.translate(_TAKEN_FOR_ASCII).lower()


class Casing:
    """Whether capitals tell anything: line by line, as a line in one case may stand in a letter in another."""

    def __init__(self, text: str) -> None:
        lines = text.split("\n")
        self._cased = [any(map(str.islower, line)) and any(map(str.isupper, line)) for line in lines]
        self._ends: list[int] = []
        end = 0
        for line in lines:
            end += len(line) + 1
            self._ends.append(end)

    def at(self, offset: int) -> bool:
        """Tell whether the line around an offset has both small letters and capitals."""
        return self._cased[min(bisect_right(self._ends, offset), len(self._cased) - 1)]
