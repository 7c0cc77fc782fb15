"""Where the role stands in a demand, and the place and client that bound it."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol

import msgspec

from lakehouse.staffing._clients import ClientName, client_after, name_at
from lakehouse.staffing._companies import is_company, is_legal_name
from lakehouse.staffing._reading import Mark, Reading
from lakehouse.staffing.demand import LONGEST_ROLE
from lakehouse.staffing.places import PlaceMatch, Places


class RoleMatch(Protocol):
    """What a title resolves to."""

    @property
    def code(self) -> str:
        """O*NET-SOC code."""
        ...


class RoleVocabulary(Protocol):
    """What the parser asks of the role vocabulary."""

    def resolve(self, title: str) -> RoleMatch | None:
        """Return the occupation a title stands for, null when it is none."""
        ...

    def known(self, phrase: str) -> bool:
        """Tell whether a phrase is a title, in any case and number."""
        ...

    def longest_prefix(self, words: Sequence[str]) -> int:
        """Return how many of the first words make the longest known title, 0 when none do."""
        ...

    def is_head(self, word: str) -> bool:
        """Tell whether a word is one that titles end in, in any number."""
        ...


class RoleSpan(msgspec.Struct, frozen=True):
    """A role's half-open span, the place found with it and what stopped it."""

    start: int
    end: int
    place: PlaceMatch | None
    stopped_by: str = ""


_start = attrgetter("start")
_MOST_WORDS = 12
_LOOK_BACK = 60
_MOST_JOINTS = 8
_JOINING = re.compile(
    r"(?:in(?!\s+home|-)|at(?!\s+home)|of|for|to|and|or|with|the|as|than|then|so|by)\b", re.IGNORECASE
)
# Words of talk that no title has.
_TALK = re.compile(
    r"\b(?:i'm|i\s+(?:am|have|don'?t|need)|you|u|ur|my|your|was|were|had|don'?t|if|got|get|him|her|his|they|he|she|that|there|when|what|why|how|did|does|"
    r"could|would|just|latest|address)\b(?!\s*$)",
    re.IGNORECASE,
)

_TO_DO = re.compile(r"\bto [a-z]+ [a-z]")
# Words for who works or what is done that no list of titles ends in.
_JOB_WORD = re.compile(
    r"\b(?:grooms?|help|support|labou?r|interns?|pros?|framers?|pickers?|packers?|housekeeping|landscaping|roofing|groundskeeping|"
    r"masonry|cleaning|carpentry|welding|painting|nursing|dishwashing|forestry|nanny|nannies|au\s+pairs?|cnas?|rns?|lpns?|expo)$",
    re.IGNORECASE,
)
_LAST_WORD = re.compile(r"[^\W\d_]+(?=[^\w]*$)")
_GRADE = re.compile(r"[\s,]+(?:i{1,3}|iv|v|\d{1,2})$", re.IGNORECASE)

_STOP = re.compile(
    r"""\s+(?:starting|starts?|beginning|commencing|effective|who|whom|that|having|paying|asap|please|pls|immediately|must|would|
            needed|wanted|required|available|free|because|via|we|they|as\s+soon|with|without|per|is|are|will|can|should|
            to\s+(?:start|begin|work|help|cover|fill|join|be|run|operate|assist|support|handle|come|report|do)|
            and\s+(?:must|they|we|need|should|also)|
            (?:in|at|on|from|for|by|near)\s+(?:a|an|the|our|my|this|next|your|their|\d+|one|two|three|four|five|six)|
            for\s+(?-i:us|me|them)|for\s+(?:immediate|long|short|temp\w*|seasonal|peak|holiday|summer|winter|day|night)|from)\b
      | \s+w/
      | \s*[;|\n\u2022!?]|\s*:\s
      | \s*(?:,\s*(?:and\s+|&\s*)?|&\s*|\+\s*|\band\s+|\bplus\s+)
          (?=(?:\d{1,4}|an?|one|two|three|four|five|six|ten)\s+[a-z])""",
    re.IGNORECASE | re.VERBOSE,
)
_CLAUSE = re.compile(
    r"\s*(?:must|with|who|need\w*|starting|start|pay\w*|please|call|contact|experience\w*|no|"
    r"all(?!\s+other)|long\s+term|asap|urgent\w*|but|they|we|should|able|"
    r"own|both|either|thanks|day|night|evening|weekend|required|prefer\w*|minimum|min|approx\w*|you|shift|immediate\w*|temp|ongoing|"
    r"first|second|third|1st|2nd|3rd|for|at|in|from|client|valid|both|including)\b",
    re.IGNORECASE,
)
_BEFORE_CLIENT = re.compile(r"\s+(?:at|@|for)\s+", re.IGNORECASE)
_JOINT = re.compile(r"\s*,\s*|\s+[-\u2013\u2014]\s+|\s*\(")
_AT = re.compile(r"(?:\bat|@)\s+$", re.IGNORECASE)
_DASHES = frozenset("-\u2013\u2014")
_FENCE = re.compile(r"\s[-\u2013\u2014](?:\s|$)")
_PREPOSITION = re.compile(
    r"[\s,;:|(\u2013\u2014-]*(?:\b(?:located|out\s+of|for\s+our\s+\w+|over|up|down|out|here)\s+)?"
    r"(?:(?<![\w-])(?:in|at|on|near|around|outside|downtown|across|throughout|from|to|for)|@)?[\s(]*"
    r"(?:\b(?:the|greater|our|downtown|central|metro|beautiful|sunny|nearby|in|near|(?:city|town)\s+of)\s+)*$",
    re.IGNORECASE,
)
_LEADING = frozenset(
    "located out of for our over up down here in at on near around outside downtown across throughout from to the "
    "greater central metro beautiful sunny nearby city town".split()
)
_HAS_PREPOSITION = re.compile(
    r"\b(?:in|at|on|near|around|outside|downtown|across|throughout|from|to|for)\b|@", re.IGNORECASE
)
_SEPARATED = re.compile(r"[,;:|(\n\u2013\u2014]|\s-\s*$|-\s")
_MORE = re.compile(
    r"\s*(?:(?:few|several|more|additional|extra|other|(?:handful|bunch|number)\s+of|of\s+(?:your|our)\s+best)\s+)+(?=\S)",
    re.IGNORECASE,
)
_PRAISE = re.compile(
    r"\s*(?:(?:new|good|great|reliable|solid|strong|hard-?working|experienced|dependable|able-?bodied|motivated|qualified|capable)\s+)+(?=\S)",
    re.IGNORECASE,
)
_NO_MORE_THAN_PRAISE = re.compile(
    r"(?:(?:certified|licen[sc]ed|experienced|qualified|and|or)\b[\s,/&+]*)+", re.IGNORECASE
)
_MULTIPLIED = re.compile(r"\s*(?:[x\u00d7](?=\s)|\(\s*\d+\s*\)|[-:,](?=\s))\s*", re.IGNORECASE)
_STAND_IN = re.compile(
    r"\s*(?:(?:temp|temporary|seasonal|good|additional|extra|full[\s-]time|part[\s-]time)\s+)?(?:people|workers|temps|guys|folks|persons|individuals|candidates|hands|bodies|positions?|openings?|spots?|slots?|"
    r"vacanc(?:y|ies))\s+"
    r"(?:to\s+(?:work|serve|act)\s+as|as|for|of)\s+(?:an?\s+|the\s+)?",
    re.IGNORECASE,
)
# "Line cooks for" stands before "second shift".
_LEFT_OVER = re.compile(r"\s+(?:for|on|to|with|from|by|of|the)$", re.IGNORECASE)
_TRAILING = re.compile(r"\s+(?:positions?|openings?|jobs?|roles?|slots?|spots?|vacanc(?:y|ies))$", re.IGNORECASE)
_EDGES = " \t\n,;:|-\u2013\u2014\"'*\u2022/&+"


def is_role(phrase: str, roles: RoleVocabulary) -> bool:
    """Tell whether a phrase is a title, or ends in a word for somebody who works ("widget polisher")."""
    if roles.known(phrase):
        return True
    title = _GRADE.sub("", phrase)
    last = _LAST_WORD.search(title)
    return last is not None and (roles.is_head(last[0]) or _JOB_WORD.search(title) is not None)


class Around(msgspec.Struct, frozen=True):
    """What is known before the role is read: the sentence's end, the client, whether a place was named."""

    end: int
    client: ClientName | None = None
    placed: bool = False


def span_at(reading: Reading, start: int, around: Around, *, roles: RoleVocabulary, places: Places) -> RoleSpan:
    """Return the role that begins at `start`, up to the place, client or requirement that follows it.

    The span may be empty: then nothing that begins there can be a role.
    """
    end = around.end
    start = _after_leading(reading, start, end, roles)
    place = _place_after(reading, start, end)
    bound = end
    if place is not None:
        place = _settled(reading, place, start, roles=roles, places=places)
        before = _lead_in(reading, start, place.start)
        bound = before.start() if before else place.start
    if place is not None:
        around = msgspec.structs.replace(around, placed=True)
    bound, stopped_by = _stop(reading, start, bound, roles=roles, around=around)
    start, bound = _trim(reading.text, start, bound)
    joined = _LEFT_OVER.search(reading.text, start, bound)
    if joined is not None and stopped_by == "":
        bound = joined.start()
    bound = _without_trailing(reading, start, bound, roles)
    if bound - start > LONGEST_ROLE or _NO_MORE_THAN_PRAISE.fullmatch(reading.text, start, bound):
        start = bound
    if place is not None and place.start < bound:
        place = None
    return RoleSpan(start, bound, place, stopped_by)


def acceptable(reading: Reading, span: RoleSpan, roles: RoleVocabulary, *, counted: bool, placed: bool = False) -> bool:
    """Tell whether a span is a role: a known title, or, where a count and a place frame it, any short phrase."""
    phrase = reading.text[span.start : span.end]
    words = phrase.split()
    if not any(map(str.isalpha, phrase)) or len(words) > _MOST_WORDS:
        return False
    if (_TALK.search(phrase) or _JOINING.match(phrase)) and not roles.known(phrase):
        return False
    # "I need an excuse to go on people" asks for nobody.
    if not counted and _TO_DO.search(phrase) and not roles.known(phrase):
        return False
    if is_role(phrase, roles):
        return counted or placed or span.place is not None or roles.known(phrase)
    return counted and (placed or (span.place is not None and span.place.location.state is not None))


def _after_leading(reading: Reading, start: int, end: int, roles: RoleVocabulary) -> int:
    """Skip what stands between the count and the role: "more", "people to work as", "night shift"."""
    text = reading.text
    for pattern in (_MULTIPLIED, _STAND_IN):
        found = pattern.match(text, start, end)
        start = found.end() if found else start
    while start < end and text[start] in _EDGES:
        start += 1
    mark = reading.at(start)
    while mark is not None and mark.end < end and _is_leading(reading, mark):
        start = mark.end
        while start < end and text[start] in _EDGES:
            start += 1
        mark = reading.at(start)
    more = _MORE.match(text, start, end)
    start = more.end() if more else start
    praise = _PRAISE.match(text, start, end)
    if praise is None or not (praise[0].islower() or reading.text[start:end].isupper()):
        return start
    # "3 experienced Cooks" praises, "Experienced Cook" is a title.
    words = re.findall(r"[\w'-]+", text[praise.end() : end])
    titled = text[praise.end()].isupper() and praise[0].islower()
    return praise.end() if titled or roles.longest_prefix(words) else start


def _is_leading(reading: Reading, mark: Mark) -> bool:
    if mark.kind == "cert":
        said = reading.text[mark.start : mark.end].lower()
        return said.endswith(("certified", "licensed"))
    return mark.kind in {"shift", "when", "time", "pay"}


def _place_after(reading: Reading, start: int, end: int) -> PlaceMatch | None:
    """Choose the place of work: with a state before one without, set apart before one glued to a name."""
    found = [place for place in reading.places if start < place.start < end]
    apart = [place for place in found if _is_apart(reading, start, place.start)]
    for wanted in (
        (place for place in apart if place.location.state and place.location.city and _is_sure(reading.text, place)),
        (place for place in apart if place.location.state and place.location.city),
        (place for place in found if place.location.state and place.location.city),
        iter(apart),
    ):
        place = next(wanted, None)
        if place is not None:
            return place
    return None


def _is_sure(text: str, place: PlaceMatch) -> bool:
    """Tell a place from the name of a company that ends in a state: "at Lawns of North Florida in Jacksonville FL"."""
    return place.known or _AT.search(text[max(0, place.start - 8) : place.start]) is None


def _is_apart(reading: Reading, start: int, place_start: int) -> bool:
    before = _lead_in(reading, start, place_start)
    return before is not None and bool(_HAS_PREPOSITION.search(before[0]) or _SEPARATED.search(before[0]))


def _lead_in(reading: Reading, start: int, place_start: int) -> re.Match[str] | None:
    """Find what leads to a place ("in the greater"), looking no farther back than its words go."""
    words = reading.words
    first = max(start, place_start - _LOOK_BACK)
    if reading.said.plain:
        at = bisect_left(words, place_start, key=_start)
        while at and words[at - 1].end > first:
            if words[at - 1].key in _LEADING:
                at -= 1
            elif at > 2 and words[at - 2].key == "our" and words[at - 3].key == "for":
                at -= 3
            else:
                first = words[at - 1].end
    return _PREPOSITION.search(reading.text, first, place_start)


def _settled(reading: Reading, place: PlaceMatch, start: int, *, roles: RoleVocabulary, places: Places) -> PlaceMatch:
    """Decide where a place's name begins when it follows the role with nothing between ("3 Cook Lake City MN")."""
    text = reading.text
    if _is_apart(reading, start, place.start) or place.location.city is None:
        return place
    begins = [place.start, *place.starts]
    for begin in begins:
        if is_role(text[start:begin].strip(_EDGES), roles):
            return places.narrow(place, text, begin) if begin != place.start else place
    state = text.find(text[place.city_end : place.end].lstrip(" ,"), place.city_end)
    if roles.known(text[start : place.city_end].strip(_EDGES)):
        return places.narrow(place, text, state)
    begin = next((begin for begin in begins if text[start:begin].strip(_EDGES)), state)
    return places.narrow(place, text, begin) if begin != place.start else place


def _stop(reading: Reading, start: int, end: int, *, roles: RoleVocabulary, around: Around) -> tuple[int, str]:
    """Return where the role ends before `end`, and the word that ended it."""
    text = reading.text
    stopped_by = ""
    for mark in reading.between(start + 1, len(text)):
        if mark.start >= end:
            break
        if not _in_title(reading, mark, start, end, roles):
            end = mark.start
            break
    for word in _STOP.finditer(text, start + 1, end):
        if _is_plain(reading, word[0].strip(), start, word.start()):
            end, stopped_by = word.start(), word[0].strip().lower()
            break
    for pattern in (_BEFORE_CLIENT, _JOINT):
        for joint in itertools.islice(pattern.finditer(text, start + 1, end), _MOST_JOINTS):
            if _ends_role(reading, joint, (start, end), roles=roles, around=around):
                end, stopped_by = joint.start(), joint[0].strip().lower()
                break
    return end, stopped_by


def _is_plain(reading: Reading, word: str, start: int, end: int) -> bool:
    """Tell whether a word is written as the sentence is and not as a title: "Worker Is" belongs to the title."""
    return not (word[:1].isupper() and reading.casing.at(start)) or reading.text[start:end].isupper()


def _in_title(reading: Reading, mark: Mark, start: int, end: int, roles: RoleVocabulary) -> bool:
    """Tell whether a mark is part of the title, as in "Seasonal CDL Truck Driver"."""
    if mark.kind == "place":
        return not reading.places[mark.nth].location.state
    if mark.kind != "cert":
        return False
    # "Triage LPN", "certified forklift operators": a title that ends in a certificate's name.
    if roles.known(reading.text[start : mark.end]):
        return True
    after = reading.text[mark.end : end]
    return (
        after[:1] in {" ", "-", "/"}
        and not re.match(r"\s*(?:certified|required|and|or|&)\b|\s*[-\u2013,(]\s", after)
        and reading.text[mark.start - 1] != ","
        and not re.search(r"(?:,|\bwith|\bw/|\band)\s*$", reading.text[start : mark.start])
        and is_role(re.split(r"[,;(]", after)[0], roles)
    )


def _ends_role(
    reading: Reading, joint: re.Match[str], span: tuple[int, int], *, roles: RoleVocabulary, around: Around
) -> bool:
    """Tell whether a comma, dash, bracket, "at" or "for" inside the title's text ends the title."""
    text = reading.text
    start, end = span
    word = joint[0].strip().lower()
    after = joint.end()
    if word in {"at", "@"}:
        return True
    if word == "(":
        close = text.find(")", after, around.end)
        return close >= 0 and (reading.blank(after, close) or text[after:close].strip().isdigit())
    title = text[start:end].strip(_EDGES)
    if word == "for":
        known = around.client is not None or roles.known(title)
        named = name_at(reading, after, end, surely=reading.casing.at(after))
        return not known and named is not None and not client_after(reading, end, around.end)
    if _CLAUSE.match(text, after, end) or not text[after:end].strip(_EDGES):
        return True
    if is_legal_name(text[after:end]) or (word in _DASHES and _is_fenced_company(text, after, end)):
        return True
    return not around.placed and not roles.known(title)


def _is_fenced_company(text: str, start: int, end: int) -> bool:
    """Tell whether a company stands between dashes: "3 Cooks - Beacon Grill - Detroit MI"."""
    fence = _FENCE.search(text, start, end)
    return fence is not None and is_company(text[start : fence.start()])


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start] in _EDGES:
        start += 1
    while end > start and (text[end - 1] in _EDGES or (text[end - 1] == "." and not text[end - 2 : end - 1].isupper())):
        end -= 1
    if text[end - 1 : end] == "(":
        end = start + len(text[start : end - 1].rstrip(_EDGES))
    return start, max(start, end)


def _without_trailing(reading: Reading, start: int, end: int, roles: RoleVocabulary) -> int:
    found = _TRAILING.search(reading.text, start, end)
    if found is None:
        return end
    # "Nail Technician Jobs" is a title as written, "Nail Technician jobs" is not.
    titled = reading.casing.at(start) and found[0].strip()[0].isupper() and not reading.text[start:end].isupper()
    if not titled and (found[0].endswith(("s", "S")) or is_role(reading.text[start : found.start()], roles)):
        return found.start()
    return end
