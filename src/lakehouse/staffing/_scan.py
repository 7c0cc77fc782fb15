"""Patterns that are tried only where a text has a word that they need, which most texts lack."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

from lakehouse.staffing._tokens import Token

_RUN = re.compile(r"[a-z]+|[0-9]+")
_NUMBER = re.compile(r"[0-9][0-9][0-9]")
_start = attrgetter("start")


class Said:
    """The words and numbers of a text, to tell at once what is not in it.

    Attributes:
        low: The text in small letters.
        words: Its runs of letters and of digits.
        plain: All of it is ASCII without underscores, so its words can be compared letter by letter. Of another
            text nothing is told, and every pattern is tried.
    """

    __slots__ = ("low", "plain", "words")

    def __init__(self, text: str) -> None:
        self.low = text.lower()
        self.words = frozenset(_RUN.findall(self.low))
        self.plain = text.isascii() and "_" not in text


class Needing:
    """A pattern that matches only in texts with one of some words, or one of some signs anywhere.

    Args:
        pattern: What to look for.
        words: Runs of small letters or digits, as `Said.words` has them.
        signs: What may stand inside of a word too, in small letters.
        number: A number of three digits or more is enough as well.
    """

    def __init__(
        self,
        pattern: re.Pattern[str],
        *,
        words: Iterable[str] = (),
        signs: Iterable[str] = (),
        number: bool = False,
    ) -> None:
        self.pattern = pattern
        self._words = frozenset(words)
        self._signs = tuple(signs)
        self._number = number

    def may_be_in(self, said: Said) -> bool:
        """Tell whether the pattern can match at all."""
        if not (said.plain and said.words.isdisjoint(self._words)):
            return True
        low = said.low
        for sign in self._signs:
            if sign in low:
                return True
        return self._number and _NUMBER.search(low) is not None

    def found(self, text: str, said: Said, start: int = 0, end: int | None = None) -> Iterator[re.Match[str]]:
        """Yield the matches as `finditer` does."""
        if not self.may_be_in(said):
            return iter(())
        return self.pattern.finditer(text, start, len(text) if end is None else end)


class Begun:
    """A pattern whose every match begins where a token does, with one of some words or, as said, a digit.

    Args:
        pattern: What to look for.
        words: Keys of the tokens that a match may begin with.
        digits: A match may also begin with a digit.
        unless: Signs of texts in which a match may begin elsewhere.
    """

    def __init__(
        self, pattern: re.Pattern[str], *, words: Iterable[str], digits: bool = False, unless: Iterable[str] = ()
    ) -> None:
        self.pattern = pattern
        self._words = frozenset(words)
        self._digits = digits
        self._unless = tuple(unless)

    def found(
        self, text: str, said: Said, tokens: Sequence[Token], start: int = 0, end: int | None = None
    ) -> Iterator[re.Match[str]]:
        """Yield the matches as `finditer` does."""
        end = len(text) if end is None else end
        if not said.plain or any(sign in text for sign in self._unless):
            yield from self.pattern.finditer(text, start, end)
            return
        at = start
        for token in tokens[bisect_left(tokens, start, key=_start) :]:
            if token.start >= end:
                return
            key = token.key
            if (key in self._words or (self._digits and key[0].isdigit())) and token.start >= at:
                match = self.pattern.match(text, token.start, end)
                if match is not None:
                    yield match
                    at = match.end()
