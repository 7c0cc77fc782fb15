"""Skills that a demand asks for, as written."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from lakehouse.staffing._reading import Reading
from lakehouse.staffing._scan import Needing

_TOOLS = re.compile(
    r"""\b(?:mig|tig|arc|stick|flux[\s-]core(?:d)?)\s+weld(?:ing|er)?\b|\brf\s+(?:scanners?|guns?)\b|\bpallet\s+jacks?\b|
        \breach\s+trucks?\b|\bcherry\s+pickers?\b|\bblueprint(?:s|\s+reading)?\b|\bbilingual(?:\s+(?:spanish|english))?\b|
        \b(?:spanish|english|french|portuguese|mandarin|polish|russian)[\s-]speaking\b|\bspeaks?\s+(?:spanish|english)\b|
        \bcnc\s+(?:programming|machining)\b|\bms\s+(?:office|excel|word)\b|\bmicrosoft\s+(?:office|excel)\b|\bexcel\s+skills\b|
        \bquickbooks\b|\bpoint\s+of\s+sale\b|\bpos\s+systems?\b|\bsap\b(?=\s*(?:[,.;]|experience|$))|\bwms\b|\bg-?code\b|
        \bshrink\s+wrap(?:ping)?\b|\bchain\s?saws?\b|\bzero[\s-]turn(?:\s+mowers?)?\b|\bepic\s+(?:emr|ehr)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_PHRASE = r"[a-z0-9][\w&/+#'.-]*(?: [\w&/+#'.-]+){0,5}?"
_LIST = rf"(?P<what>{_PHRASE}(?: ?, ?{_PHRASE}){{0,8}}?(?:,? (?:and|&|or) {_PHRASE})?)"
_ONE = rf"(?P<what>{_PHRASE})"
_STOPS = (
    r"\s*(?:[.;!?\n|)]|\s-\s|$|\b(?:in|at|for|from|on|starting|start|must|and\s+must|required|requires|preferred|needed|is|are|"
    r"a\s+plus|a\s+must|please|who|with|to)\b)"
)
_BEHIND = re.compile(
    r"(?:\b(?:experienced?|exp|skilled|proficient|proficiency|knowledgeable|background|trained|familiar(?:ity)?|knowledge|"
    r"comfortable)\s+(?:in|with|of|on|using|operating)|\bskills?\s*(?::|-|needed:|required:|include|are))\s*"
    r"(?:an?\s+|the\s+)?"
    rf"{_LIST}(?={_STOPS})",
    re.IGNORECASE,
)
_ABLE = re.compile(
    r"(?:\bable\s+to|\bability\s+to|\bmust\s+know(?:\s+how\s+to)?)\s+(?!start|work|be\b|begin)"
    rf"{_ONE}(?=\s*,|{_STOPS})",
    re.IGNORECASE,
)
_AHEAD = re.compile(
    r"(?:\b(?:with|have|has|having|w/|some|previous|prior|years?(?:'|\u2019)?(?:\s+of)?|yrs?\.?(?:\s+of)?|proven|good|strong|"
    r"solid|recent)|,|^|\d\+?)\s+(?P<what>[a-z][\w&/+#'-]*(?:\s+(?!experience|exp\b)[a-z][\w&/+#'-]*){0,3})\s+"
    r"(?:experience|exp)\b",
    re.IGNORECASE,
)
_FOUND_TOOLS = Needing(
    _TOOLS,
    words="weld welding welder rf pallet reach cherry blueprint blueprints bilingual speaking speak speaks cnc ms "
    "microsoft excel quickbooks point pos sap wms code gcode shrink chain chainsaw chainsaws zero epic".split(),
)
_IN_LISTS = (
    Needing(
        _BEHIND,
        words="experienced skilled proficient proficiency knowledgeable background trained familiar familiarity "
        "knowledge comfortable experience exp".split(),
        signs=["skill"],
    ),
    Needing(_ABLE, words=["able", "ability", "know"]),
    Needing(_AHEAD, words=["experience", "exp"]),
)
_SPLIT = re.compile(r"\s*,\s*(?:and\s+|or\s+)?|\s+(?:and|or|&)\s+")
_NOT_A_SKILL = frozenset(
    "of some prior previous relevant related work working years year yrs similar no with have having any good "
    "strong solid required preferred experience recent must need minimum at least months month the same field a "
    "an this that job role position their them it these all more own supervisory proven full-time full part-time "
    "time paid class or".split()
)
_LOOSE_WORD = re.compile(
    r"^(?:or|and|of|in|with|that|the|to|as|on|for)\b|\b(?:or|and|of|in|with|that|the|to|as|on|for)$", re.IGNORECASE
)
_MOST_WORDS = 6
_MOST_SKILLS = 20


class SkillMatch(NamedTuple):
    """A skill as written, with its half-open span."""

    name: str
    start: int
    end: int


def skills_in(reading: Reading, start: int, end: int, taken: list[tuple[int, int]]) -> list[SkillMatch]:
    """Return the skills asked for within a span, in order, leaving out what was read as something else.

    A skill is what a demand says experience, knowledge or ability in, what it lists after "skills:", and a
    few tools that are named on their own. Of phrases longer than six words none is taken.
    """
    found: list[SkillMatch] = []
    for listed in _IN_LISTS:
        for match in itertools.islice(listed.found(reading.text, reading.said, start, end), _MOST_SKILLS):
            found.extend(_parts(match["what"], match.start("what")))
    found.extend(
        SkillMatch(m[0], m.start(), m.end())
        for m in itertools.islice(_FOUND_TOOLS.found(reading.text, reading.said, start, end), _MOST_SKILLS)
    )
    if not found:
        return []
    kept: list[SkillMatch] = []
    for skill in found:
        blocked = [*taken, *((mark.start, mark.end) for mark in reading.marks), *((s.start, s.end) for s in kept)]
        if _is_skill(skill.name) and all(skill.end <= first or skill.start >= last for first, last in blocked):
            kept.append(skill)
    kept.sort(key=lambda skill: skill.start)
    return list({skill.name.casefold(): skill for skill in reversed(kept)}.values())[::-1]


def _parts(phrase: str, start: int) -> list[SkillMatch]:
    parts = []
    at = 0
    for split in [*_SPLIT.finditer(phrase), None]:
        stop = split.start() if split else len(phrase)
        words = phrase[at:stop]
        left = at + len(words) - len(words.lstrip())
        name = words.strip(" .-")
        if name:
            parts.append(SkillMatch(" ".join(name.split()), start + left, start + left + len(name)))
        at = split.end() if split else stop
    return parts


def _is_skill(name: str) -> bool:
    words = name.lower().split()
    if len(words) > _MOST_WORDS or _LOOSE_WORD.search(name):
        return False
    return not all(word in _NOT_A_SKILL or word.isdigit() for word in words)
