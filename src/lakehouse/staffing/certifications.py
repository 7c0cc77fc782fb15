"""Certifications and licences: their canonical names and finding them in a text."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from lakehouse.errors import NotFound
from lakehouse.staffing._scan import Said
from lakehouse.staffing._tokens import Casing
from lakehouse.staffing.shipped import shipped

_PIECE = re.compile(r"[^\W\d_]+|\d+")
_PARTED = re.compile(r"[,;:()\n]|\s-\s|\.\s")
_NEAR = re.compile(r"[ \t]*[-\u2013/&.:]?[ \t]*")
_LISTED = re.compile(r"\s*(?:,|/|\+|&|;)?\s*(?:\b(?:and|or|plus|the|a|an|valid|active|current)\b\s*)*", re.IGNORECASE)
_JOB = re.compile(r"(?:er|or|ist|ian|pilot|guard|person|paramedic)s?$")

_SAID_AFTER = frozenset(
    "cert certs certificate certificates certification certifications certified license licenses licence licences "
    "endorsed licensed licensure card cards ticket tickets endorsement endorsements permit permits credential "
    "credentials".split()
)
_SAID_BEFORE = frozenset("certified licensed".split())
_SAID_IN = frozenset("in on for as with".split())
_OWNED = frozenset("have hold holding has holds requires require required requirements certs certifications".split())
_FILLER = frozenset("a an the valid active current their own some".split())
_LISTING = frozenset("with and or plus need needs must w".split())
_NOT_AFTER = frozenset(
    "number no plate plates kit kits supplies attendant station room experience skills background knowledge dumpster "
    "job jobs work".split()
)
_AFTER_ARTICLE = frozenset("plus must bonus requirement day".split())
_WORDS_TOO = frozenset("tips pals nate".split())
_DENIED_BEFORE = frozenset("no not without".split())
_DENIED_AFTER = re.compile(
    r"\s*(?:is|are)?\s*(?:not|n't|isn't|aren't)\s+(?:required|needed|necessary|a must)", re.IGNORECASE
)

# What a demand says of a certification, where it says it of a thing only beside "experience" or the like.
_DEMANDED = re.compile(
    r"[ \t]*(?:(?:is|are)[ \t]+)?(?:required|mandatory|req'?d|preferred|(?:is[ \t]+)?a[ \t]+must)\b", re.IGNORECASE
)

Kind = Literal["plain", "upper", "cued"]


class Certification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One certification or licence; the file `certifications.toml` says what each field does."""

    name: str
    domains: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    upper: tuple[str, ...] = ()
    cued: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    role: bool = False


class CertificationMatch(NamedTuple):
    """A certification found in a text, with the half-open span of the words that say so."""

    name: str
    start: int
    end: int


class _Alias(NamedTuple):
    pieces: tuple[str, ...]
    name: str
    kind: Kind
    job: bool


class _Piece(NamedTuple):
    key: str
    start: int
    end: int
    upper: bool
    parted: bool


class _Mention(msgspec.Struct):
    """An alias at its place among the pieces; `last` is exclusive."""

    alias: _Alias
    first: int
    last: int
    said: bool = False
    before: bool = False
    after: bool = False
    demanded: bool = False


class Certifications:
    """The list of certifications. Reading only, so one object serves any number of threads.

    >>> known = Certifications([Certification("OSHA-30", ("construction",), aliases=("osha 30",))])
    >>> known.find("OSHA-30 required")
    [CertificationMatch(name='OSHA-30', start=0, end=7)]
    """

    def __init__(self, entries: Iterable[Certification]) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._aliases: dict[str, list[_Alias]] = {}
        for entry in self._entries.values():
            kinds: tuple[tuple[Kind, tuple[str, ...]], ...] = (
                ("cued", entry.cued),
                ("upper", entry.upper),
                ("plain", entry.aliases),
            )
            for kind, spellings in kinds:
                for spelling in spellings:
                    keys = tuple(piece.key for piece in _pieces(spelling))
                    alias = _Alias(keys, entry.name, kind, _JOB.search(keys[-1]) is not None)
                    self._aliases.setdefault(keys[0], []).append(alias)
        # By its longest piece, which few texts have, all that an alias needs.
        self._needed: dict[str, list[frozenset[str]]] = {}
        for listed in self._aliases.values():
            listed.sort(key=lambda alias: -len(alias.pieces))
            for alias in listed:
                rarest = max(alias.pieces, key=lambda piece: (piece.isalpha(), len(piece)))
                others = frozenset(alias.pieces) - {rarest, alias.pieces[0], alias.pieces[-1]}
                for spelling in (rarest, f"{rarest}s", rarest.removesuffix("s")):
                    self._needed.setdefault(spelling, []).append(others)

    @classmethod
    def shipped(cls) -> Certifications:
        """Read the list that ships with the product.

        Raises:
            NotInstalled: The data file is missing.
        """
        return cls(read_certifications(shipped("certifications.toml")))

    @property
    def names(self) -> list[str]:
        """Canonical names, in the order of the list."""
        return list(self._entries)

    def domains(self, name: str) -> tuple[str, ...]:
        """Return the kinds of work that ask for a certification.

        Raises:
            NotFound: `name` is not a canonical name.
        """
        if name not in self._entries:
            raise NotFound(f"certification {name!r} is not in the list; use its canonical name", name=name)
        return self._entries[name].domains

    def names_role(self, name: str) -> bool:
        """Tell whether a canonical name is a job title as well ("CNA")."""
        return name in self._entries and self._entries[name].role

    def covers(self, held: str, wanted: str) -> bool:
        """Tell whether holding one certification satisfies a demand for another (OSHA-30 for OSHA-10)."""
        return held == wanted or (held in self._entries and wanted in self._entries[held].covers)

    def canonical(self, name: str) -> str | None:
        """Return the canonical name of one certification in any known spelling, null when it is none."""
        pieces = _pieces(name)
        while pieces and pieces[0].key in _FILLER | _SAID_BEFORE:
            pieces = pieces[1:]
        while pieces:
            for alias in self._aliases.get(pieces[0].key, ()):
                if _fits(alias, pieces, 0) and len(alias.pieces) == len(pieces):
                    return alias.name
            if pieces[-1].key not in _SAID_AFTER:
                break
            pieces = pieces[:-1]
        return next((entry for entry in self._entries if entry.casefold() == name.strip().casefold()), None)

    def find(self, text: str, said: Said | None = None) -> list[CertificationMatch]:
        """Return the certifications a text asks for, in order of appearance, without overlaps.

        A name that is also a thing or a job ("forklift") counts only where the text says that it is about
        a certification; what the text says is not required does not count.
        """
        if not self._may_be_in(said or Said(text)):
            return []
        pieces = _pieces(text)
        mentions = self._mentions(pieces)
        if not mentions:
            return []
        for mention in mentions:
            _judge(mention, pieces, text)
        _pass_along(mentions, pieces, text)
        found = []
        for mention in mentions:
            last = mention.last
            while last < len(pieces) and pieces[last].key in _SAID_AFTER and _near(text, pieces, last):
                last += 1
            if mention.said and not _denied(mention, pieces, text, last):
                found.append(CertificationMatch(mention.alias.name, pieces[mention.first].start, pieces[last - 1].end))
        return found

    def _may_be_in(self, said: Said) -> bool:
        """Tell whether the text has the pieces of any alias, wherever they stand."""
        if not said.plain:
            return True
        words = said.words
        return any(others <= words for piece in words & self._needed.keys() for others in self._needed[piece])

    def _mentions(self, pieces: Sequence[_Piece]) -> list[_Mention]:
        found: list[_Mention] = []
        at = 0
        while at < len(pieces):
            key = pieces[at].key
            begun = self._aliases.get(key) or self._aliases.get(key.removesuffix("s"), [])
            fitting = [alias for alias in begun if _fits(alias, pieces, at)]
            if fitting:
                found.append(_Mention(fitting[0], at, at + len(fitting[0].pieces)))
                at = found[-1].last
            else:
                at += 1
        return found


def read_certifications(path: Path) -> list[Certification]:
    """Read a list of certifications from its TOML file."""
    return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8"))["certification"], list[Certification])


def _pieces(text: str) -> list[_Piece]:
    """Split into runs of letters and runs of digits; "driver's" is one piece."""
    found: list[_Piece] = []
    end = 0
    for m in _PIECE.finditer(text):
        written = m[0]
        start, stop = m.span()
        between = text[end:start]
        if between in {"'", "\u2019"} and written in {"s", "S"} and found:
            before = found.pop()
            found.append(before._replace(key=before.key + "s", end=stop))
        else:
            parted = between not in {" ", "-", ""} and _PARTED.search(between) is not None
            found.append(_Piece(written.lower(), start, stop, written.rstrip("s").isupper(), parted))
        end = stop
    return found


def _fits(alias: _Alias, pieces: Sequence[_Piece], at: int) -> bool:
    last = at + len(alias.pieces) - 1
    if last >= len(pieces):
        return False
    for offset, wanted in enumerate(alias.pieces):
        key = pieces[at + offset].key
        if key != wanted and not (at + offset == last and key == wanted + "s"):
            return False
        if offset and pieces[at + offset].parted:
            return False
    # "CDL a plus" has an article where "CDL A" has a class.
    return alias.pieces[-1] != "a" or len(alias.pieces) == 1 or _is_class(pieces, last)


def _is_class(pieces: Sequence[_Piece], at: int) -> bool:
    after = pieces[at + 1] if at + 1 < len(pieces) else None
    if pieces[at - 1].key == "class" or after is None or after.parted or after.key not in _AFTER_ARTICLE:
        return True
    return pieces[at].upper and not after.upper


def _near(text: str, pieces: Sequence[_Piece], at: int) -> bool:
    return _NEAR.fullmatch(text, pieces[at - 1].end, pieces[at].start) is not None


def _judge(mention: _Mention, pieces: Sequence[_Piece], text: str) -> None:
    """Mark what the text says about one mention: a cue word before or after it, or a name that needs none."""
    after = pieces[mention.last].key if mention.last < len(pieces) else ""
    if after in _NOT_AFTER:
        return
    mention.after = after in _SAID_AFTER and _near(text, pieces, mention.last)
    mention.before = _cue_before(mention, pieces)
    plain = mention.alias.kind == "plain"
    name = pieces[mention.first]
    capitals = mention.alias.kind == "upper" and name.upper and text[name.start : name.end].isalpha()
    if capitals and not Casing(text).at(pieces[mention.first].start):
        capitals = mention.alias.pieces[0] not in _WORDS_TOO and _set_apart(mention, pieces)
    mention.demanded = _is_demanded(mention, pieces, text)
    cued = mention.after or mention.before or (mention.demanded and not plain)
    mention.said = plain or capitals or cued


def _is_demanded(mention: _Mention, pieces: Sequence[_Piece], text: str) -> bool:
    """Tell whether "forklift required" stands apart; "2 forklift drivers required" asks for people."""
    if mention.alias.job or not mention.first or not _set_apart(mention, pieces):
        return False
    return _DEMANDED.match(text, pieces[mention.last - 1].end) is not None


def _set_apart(mention: _Mention, pieces: Sequence[_Piece]) -> bool:
    """Tell whether a name stands after a comma or "with", as capitals alone say nothing in a line of capitals."""
    before = pieces[mention.first - 1].key if mention.first else ""
    return not before or pieces[mention.first].parted or before in _FILLER | _OWNED | _LISTING


def _cue_before(mention: _Mention, pieces: Sequence[_Piece]) -> bool:
    at = mention.first - 1
    if at >= 0 and pieces[at].key in _SAID_BEFORE:
        return True
    if at >= 1 and pieces[at].key in _SAID_IN and pieces[at - 1].key in _SAID_BEFORE | _SAID_AFTER:
        return True
    while at >= 0 and pieces[at].key in _FILLER:
        at -= 1
    return at >= 0 and pieces[at].key in _OWNED and not mention.alias.job


def _pass_along(mentions: Sequence[_Mention], pieces: Sequence[_Piece], text: str) -> None:
    """Let "certified in forklift and OSHA-30" and "forklift and OSHA-30 certs" speak for the whole list."""
    for one, other in itertools.pairwise(mentions):
        if one.before and _listed(one, other, pieces, text):
            other.before = other.said = True
    for other, one in zip(reversed(mentions[:-1]), reversed(mentions[1:]), strict=True):
        if one.after and not other.alias.job and _listed(other, one, pieces, text) and _begins(other, mentions, pieces):
            other.after = other.said = True
        elif one.demanded and other.first and _set_apart(other, pieces) and _listed(other, one, pieces, text):
            other.demanded = other.said = other.said or not other.alias.job


def _begins(mention: _Mention, mentions: Sequence[_Mention], pieces: Sequence[_Piece]) -> bool:
    """Tell whether a list may begin with a mention: "A & M Irrigation, OSHA-10 card" names a company first."""
    if mention.alias.kind == "plain" or any(other.last == mention.first for other in mentions):
        return True
    before = pieces[mention.first - 1].key if mention.first else ""
    if before in {"and", "or"}:
        return any(other.last == mention.first - 1 for other in mentions)
    return _set_apart(mention, pieces)


def _listed(one: _Mention, other: _Mention, pieces: Sequence[_Piece], text: str) -> bool:
    last = one.last
    while last < other.first and pieces[last].key in _SAID_AFTER:
        last += 1
    return _LISTED.fullmatch(text, pieces[last - 1].end, pieces[other.first].start) is not None


def _denied(mention: _Mention, pieces: Sequence[_Piece], text: str, last: int) -> bool:
    at = mention.first - 1
    while at >= 0 and pieces[at].key in _FILLER:
        at -= 1
    if at >= 0 and pieces[at].key in _DENIED_BEFORE:
        return True
    return _DENIED_AFTER.match(text, pieces[last - 1].end) is not None
