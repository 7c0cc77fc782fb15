"""Role titles as text: how they are written in the singular and when two of them are the same role."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator

# Words that end in "s" and are not plurals of a person's job.
_ALREADY_SINGULAR = frozenset(
    "always canvas chassis christmas crafts gas grounds has his its news operations plus sales series species sports "
    "swiss texas was works yes athletics avionics ceramics diagnostics electronics graphics gymnastics hydraulics "
    "logistics optics orthotics pediatrics physics plastics pneumatics prosthetics robotics statistics".split()
)
_IRREGULAR = {"buses": "bus", "gases": "gas", "people": "person"}
_KEEPS_E = frozenset("movies cookies hoodies rookies roadies foodies brownies smoothies".split())
_NUMERALS = re.compile(r"[ivx]+s")  # "Cook IIs"
_ES = ("sses", "shes", "ches", "xes", "zzes", "oes")
# Titles come again and again; each is worked out once.
_REMEMBERED = 8_192
_DASHES = re.compile(r"[\u2010-\u2015\u2212-]")
_WORD = re.compile(r"[^\W\d_]+")
_LAST_WORD = re.compile(r"([^\W\d_]+)([^\w]*)$")
# What a title begins with that says how good its worker is, and not what the work is.
_QUALIFIER = re.compile(
    r"\s*(?:certified|licen[sc]ed|experienced|qualified)(?:\s*(?:[,/&+]|\b(?:and|or)\b)\s*|\s+)"
    r"(?=\w)(?!(?:in|for|by|with|to|as|of|and|or)\b)",
    re.IGNORECASE,
)
_MOST_QUALIFIERS = 5
# What it begins with that says for how long, or how much, somebody works, and not at what. No H-2B client of 2015 to
# 2018 had two titles that differ by such words alone under two SOC codes, as many have by "lead" or "assistant".
_TERMS = re.compile(
    r"\s*(?:(?:full|part)[\s-]time|f/t|p/t|temp(?:orary)?|seasonal|general|journey(?:man|woman|person|[\s-]level)|entry[\s-]level)"
    r"(?:\s*[,/&+]\s*|\s+)(?=\w)(?!(?:in|for|by|with|to|as|of|and|or)\b)",
    re.IGNORECASE,
)
_ANYBODY = frozenset(
    "person worker temp staff hand body individual folk guy man men woman women candidate employee "
    "temporary seasonal good reliable extra additional more".split()
)
_JOINED = re.compile(r"\s+(?:and|or|&)\s+|\s*[/,;+&]\s*|\s+[-\u2013\u2014]\s+|\s*[()\[\]]\s*", re.IGNORECASE)


def singular_word(word: str) -> str:
    """Return one word without its plural ending, case kept; a word that is no plural comes back unchanged.

    Regular endings only (-s, -es, -ies) plus -men; "Waitresses" gives "Waitress", "Nurses" "Nurse",
    "Ladies" "Lady", "Foremen" "Foreman", "Sales" and "Waitress" stay.
    """
    low = word.lower()
    if low in _IRREGULAR:
        return _like(_IRREGULAR[low], word)
    if len(low) > 4 and low.endswith("men") and low != "women":
        return word[:-2] + ("A" if word[-2:].isupper() else "a") + word[-1]
    if _NUMERALS.fullmatch(low) or (len(word) == 2 and word[0].isupper() and word[1] == "s"):
        return word[:-1]
    if len(low) < 3 or not low.endswith("s") or low in _ALREADY_SINGULAR:
        return word
    if low.endswith(("ss", "us", "is")):
        return word
    if low.endswith("ies") and len(low) > 4 and low not in _KEEPS_E:
        return word[:-3] + ("Y" if word.isupper() else "y")
    return word[:-2] if low.endswith(_ES) else word[:-1]


def _like(replacement: str, original: str) -> str:
    if original.isupper():
        return replacement.upper()
    return replacement.capitalize() if original[:1].isupper() else replacement


def singular(title: str) -> str:
    """Return a role title in the singular of its head noun, otherwise as written.

    The head noun of a plain title is its last word. In a title joined of several parts ("Cooks and
    Servers", "Cooks, Line", "Attendants - Traveling") where an earlier part is itself a plural the head
    cannot be told for certain, and the title stays as the employer wrote it.
    """
    parts = [part for part in _JOINED.split(title.strip()) if part]
    if any(_is_plural(part) for part in parts[:-1]):
        return title.strip()
    text = title.strip()
    last = _LAST_WORD.search(text)
    if last is None or last[2].strip("."):
        return text
    return text[: last.start(1)] + singular_word(last[1]) + last[2]


def _is_plural(part: str) -> bool:
    last = _LAST_WORD.search(part)
    return last is not None and singular_word(last[1]) != last[1]


@functools.lru_cache(_REMEMBERED)
def role_key(title: str) -> str:
    """Return what two spellings of the same role share: no case, no plural, no final stop, hyphen or space alike.

    Every word loses its plural ending, so "Line Cooks", "line cook" and "LINE-COOK" have one key. The
    key is for comparing, never for showing.
    """
    text = unicodedata.normalize("NFKC", title).casefold().replace("\u2019", "'")
    text = " ".join(_DASHES.sub(" ", text).split()).strip(" .,;:")
    return _WORD.sub(lambda word: singular_word(word[0]), text)


def less_qualified(title: str) -> Iterator[str]:
    """Yield a title as written, then without the first word for how good its worker is, and so on up to five words.

    >>> list(less_qualified("experienced certified welders"))
    ['experienced certified welders', 'certified welders', 'welders']
    """
    yield title
    at = 0
    for _ in range(_MOST_QUALIFIERS):
        found = _QUALIFIER.match(title, at)
        if found is None:
            return
        at = found.end()
        yield title[at:]


def unqualified(title: str) -> str:
    """Return a title without the words it begins with for how good its worker is.

    >>> unqualified("Licensed and Experienced Plumber"), unqualified("certified")
    ('Plumber', 'certified')
    """
    *_, last = less_qualified(title)
    return last


def of_work(title: str) -> str:
    """Return a title without the words it begins with for how good, for how long or how much: what the work is.

    >>> of_work("Full-time Seasonal Experienced Line Cook"), of_work("General Laborers"), of_work("seasonal")
    ('Line Cook', 'Laborers', 'seasonal')
    """
    for _ in range(_MOST_QUALIFIERS):
        bare = unqualified(title)
        terms = _TERMS.match(bare)
        if terms is None:
            return bare
        title = bare[terms.end() :]
    return title


def states_no_role(title: str) -> bool:
    """Tell whether a title says that somebody is wanted and not for what.

    >>> states_no_role("good workers"), states_no_role("Warehouse Workers")
    (True, False)
    """
    return set(role_key(unqualified(title)).split()) <= _ANYBODY


def role_equal(a: str, b: str) -> bool:
    """Tell whether two titles are the same role, compared without case and plural -s/-es/-ies."""
    return role_key(a) == role_key(b)
