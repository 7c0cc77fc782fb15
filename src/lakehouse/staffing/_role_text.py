"""Role titles as words: for looking a phrase up as written, and for comparing what two titles say."""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Mapping

from lakehouse.staffing.titles import singular_word

_WORD = re.compile(r"[a-z0-9]+")
_POSSESSIVE = re.compile(r"['\u2019]s?\b")
# What joins the words of a title, and what employers put around one, says nothing about the work.
_JOINING = frozenset("and of the for in a an or to with at by on".split())
_AROUND = frozenset(
    "i ii iii iv v job position needed wanted hiring seasonal temporary temp permanent full part time term season "
    "short long experienced entry level assigned inc llc ltd corp co h2b h sca visa hour hourly other all".split()
)
# Tried in this order.
_ENDINGS = tuple("ization ations ation ators ator ating ing ment ers er ors or ies ist ion ive al ed ery".split())
_SHORTEST_STEM = 4
_SHORTEST_MISSPELT = 5


def plain(text: str) -> str:
    """Return a text with HTML entities resolved, also where they were escaped twice, and single spaces."""
    return " ".join(html.unescape(html.unescape(text)).split())


def words(text: str) -> list[str]:
    """Return the words of a title or phrase: lower case, no accents, singular, "&" as "and"."""
    if "&" in text:
        text = plain(text).replace("&", " and ")
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.replace("\u2019", "'"))
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return [singular_word(word) for word in _WORD.findall(_POSSESSIVE.sub("", text.lower()))]


def telling(found: Iterable[str]) -> list[str]:
    """Keep the words that say something about the work; digits and grades ("II") do not."""
    return [word for word in found if word not in _JOINING and word not in _AROUND and not word.isdigit()]


def stem(word: str) -> str:
    """Return what "landscaper", "landscaping" and "landscape" share."""
    if word.endswith(_ENDINGS):
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
                word = word[: -len(ending)] + ("y" if ending == "ies" else "")
                break
    if len(word) > _SHORTEST_STEM and word[-1] == "e":
        word = word[:-1]
    if len(word) > _SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "sl":
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") else word


class Spelling:
    """Unknown words of a title as known ones: misspelt by one letter, cut off, or two written as one.

    Args:
        frequency: How often each known word occurs; the commonest fitting word wins, then the first by
            alphabet.
    """

    def __init__(self, frequency: Mapping[str, int]) -> None:
        self._frequency = frequency
        self._sorted = sorted(frequency)
        self._near: dict[str, list[str]] = {}
        for word in self._sorted:
            if len(word) >= _SHORTEST_MISSPELT - 1:
                for form in _with_one_letter_less(word):
                    self._near.setdefault(form, []).append(word)

    def correct(self, word: str) -> list[str]:
        """Return `word` when it is known or like nothing known, else what it was meant to be."""
        if word in self._frequency or len(word) < _SHORTEST_MISSPELT:
            return [word]
        near = {
            known
            for form in _with_one_letter_less(word)
            for known in self._near.get(form, ())
            if known[0] == word[0] and abs(len(known) - len(word)) <= 1
        }
        near = near or self._beginning_with(word)
        if near:
            return [max(sorted(near), key=self._frequency.__getitem__)]
        for cut in range(_SHORTEST_STEM, len(word) - _SHORTEST_STEM + 1):
            if word[:cut] in self._frequency and word[cut:] in self._frequency:
                return [word[:cut], word[cut:]]
        return [word]

    def _beginning_with(self, word: str) -> set[str]:
        first = bisect_left(self._sorted, word)
        return {
            known for known in self._sorted[first : first + 8] if known.startswith(word) and len(known) < len(word) + 5
        }


def _with_one_letter_less(word: str) -> set[str]:
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}
