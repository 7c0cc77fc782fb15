"""The client's name: where it stands in a demand and where it ends."""

from __future__ import annotations

import re
from typing import NamedTuple

from lakehouse.staffing._companies import is_company, is_form_only, is_legal_name
from lakehouse.staffing._reading import Mark, Reading
from lakehouse.staffing.places import PlaceMatch

_SUFFIX = re.compile(
    r"\s*,?\s*(?:inc|llc|l\.l\.c|l\.p|corp|ltd|llp|lp|lc|co|company|incorporated|corporation|pllc|jr|sr|iii|ii|"
    r"d/?b/?a)\b",
    re.IGNORECASE,
)
# Words that tell a phrase is about the work and not a name; a phrase of only such words is no client.
_NOT_A_NAME = frozenset(
    "urgent urgently asap please pls plz thru through until "
    "jan january feb february mar march apr april may jun june "
    "jul july aug august sep sept september oct october nov november dec december "
    "temp temporary perm permanent seasonal season long short term only weekly daily "
    "pay per hour hours hourly must have has own transportation tools experience experienced required requires "
    "preferred shift shifts day days night nights week weeks weekend weekends month months am pm now today "
    "tomorrow tonight immediate immediately start starting starts available work working job jobs site onsite on "
    "call ongoing overtime ot possible thanks thank you our my your their this that these those the a an and or "
    "with no not need needs needed w project projects more info time full part summer winter spring fall peak "
    "holiday certified cert certs license licensed certification valid active current background check drug test "
    "screen ppe boots steel toe lifting lbs speak english spanish bilingual to be in at for from of us we i it "
    "them me him her all any each minimum years year plus bonus dbl rate same who whom which report reporting "
    "arrive contact text email reply details asking candidates workers people guys staff everyone applicants "
    "having commencing effective beginning begins confirm by they will near around "
    "mandatory date dates training trained badge badges utility utilities "
    "right rights way ways disabled elderly seniors adults children kids veterans public".split()
)
_HOUSE_NUMBER = re.compile(r"\d{3,}\s")
_STREET = re.compile(
    r"\d+\s.*\b(?:road|rd|street|st|avenue|ave|boulevard|blvd|drive|dr|highway|hwy|lane|ln|way|parkway|pkwy|suite)\b",
    re.IGNORECASE,
)
_ENDS_IN_ZIP = re.compile(r"\b[A-Za-z]{2}\s+\d{5}(?:-\d{4})?$")
_POINTING = frozenset("our my your their this that these us me".split())
# "US Steel", and not who says "us", a road or what somebody must be.
_OF_THE_STATES = re.compile(r"US (?!(?:Highway|Hwy|Route|Rte|Citizen\w*|Work\w*|Based|Only)\b)[A-Z]")
_CUT_LOWER = re.compile(
    r"""\s+(?:must|needs?|needed|require[sd]?|requiring|who|whom|whose|which|paying|pays?|please|pls|plz|asap|thanks|thx|starting|start[s]?|
        beginning|begins?|commencing|effective|having|immediately|where|because|since|as\s+soon|but|so\s+|if|until|till|through|thru|
        to\s+(?:start|begin|work|help|cover|fill|be|report|support|assist|run|operate)|and\s+(?:must|need|should|pay|they|have|we|start)|
        is|are|was|were|will|would|can|could|should|has|have|per|looking|seeking|asking|wanting|hiring)\b|\s+w/""",
    re.IGNORECASE | re.VERBOSE,
)
_CUT_ANY = re.compile(r"\s*[;|\n\u2022]|\s+[-\u2013\u2014]\s+(?=[a-z$])|[!?]|\s*:\s")
_BEFORE_MARK = re.compile(
    r"(?:[\s,;|(\u2013\u2014-]|\bw/|\b(?:in|at|on|from|by|with|near|for|starting|start|starts|beginning|effective|and|must|have|the|a|an|"
    r"needs?|requires?|pay|paying|rate|of|is|around|about|this|valid|active|current|plus|required|req'?d)\b)*$",
    re.IGNORECASE,
)
_COMMA = re.compile(r"\s*,\s*")
_CLAUSE_AFTER_COMMA = re.compile(
    r"(?:must|with|who|need\w*|night|day|evening|starting|start|pay\w*|please|call|contact|experience\w*|no|all|long|short|temp\w*|"
    r"asap|urgent|and|or|but|they|we|should|able|ability|own|shift|both|either|including|incl|also|thanks|full|part|ongoing|weekend\w*|"
    r"valid|required|prefer\w*|some|minimum|min|approx\w*|about|you|it|the\s+(?!\w+\s+(?:inc|llc|co)\b))\b",
    re.IGNORECASE,
)
_AND_NAME = re.compile(r"(?:and|&) [A-Z]")
_INTRO = re.compile(
    r"(?<![\w'])(?P<cue>on\s+behalf\s+of|our\s+client(?:\s+is)?|(?:the\s+)?client\s*(?:is|:)|with\s+our\s+client|for|at|@)\s+"
    r"(?:our\s+(?:client|customer|partner)s?\s*,?\s*)?",
    re.IGNORECASE,
)
_HOUSE_AT = re.compile(
    r"\b(?:inns?|clubs?|lodge|resorts?|house|hotels?|suites|residences?|villas?|village|landing|spa|marina|farms?|ranch|estates?|shops|"
    r"school|university|college|hospital)\s+(?:at|of|in)\s+$",
    re.IGNORECASE,
)
_LEGAL_AFTER = re.compile(r"\s*,?\s*(?:inc|llc|l\.l\.c|corp|ltd|llp|lp|co)\b", re.IGNORECASE)
_NAME_AFTER = re.compile(r" (?:[A-Z][\w']*[ ,.]*)+")
_PRONOUN = re.compile(
    r"(?:\b|^)(?:we(?:['\u2019]?(?:re|ve|ll|d))?|i(?:['\u2019](?:m|ve|d|ll))?|you|u|can|could|chances?|they|he|she|it|who|there|and|please|also|us|anyone|someone|client|customer|my\s+boss|"
    r"this|that|what|if|do|does|did|don't|not|still|to|or|all|everyone|nobody|no|people|workers|will|would|might|may)$",
    re.IGNORECASE,
)
_WE = re.compile(r"\s*(?:we|i)(?:['\u2019][a-z]+)?\s", re.IGNORECASE)
_COMMON_NOUN = re.compile(r"\s*(?:[Oo]ur|[Tt]he|[Mm]y)\s+[a-z]+\s*")
_BEFORE_SUBJECT = re.compile(
    r"^(?:(?:urgent|asap|fyi|note|update|reminder|new\s+(?:order|request|job\s+order|req)|job\s+order|order|request|re|fwd?|hi|hello|hey|good\s+morning|"
    r"just\s+heard|please\s+note|attention|priority|high\s+priority|today|this\s+morning|ok|okay|so|client|customer)\s*[,:;!.\u2013-]+\s+"
    r"|(?:(?:our|my)\s+(?:client|customer)|please\s+note(?:\s+that)?|just\s+heard(?:\s+that)?|urgent|asap)\s*,?\s+)+|^[^\w(\"']+",
    re.IGNORECASE,
)
_AFTER_SUBJECT = re.compile(
    r"(?:(?:^|[\s,]+)(?:currently|urgently|also|now|still|immediately|desperately|is|are|has|have|had|will|just|again|really|actively|"
    r"an?|the|immediate|opening|openings|there|'s|in|would\s+like|wants?|wishes|to|that|who|"
    r"called(?:\s+in)?|phoned|wrote|emailed|asked|and|must)|\s*[,:\u2013-])+$",
    re.IGNORECASE,
)


_CIVIC = re.compile(r"\b(?:city|town(?:ship)?|village|county|borough|port|university|diocese)\s+of\s+$", re.IGNORECASE)
# What may stand between a place and the verb: "in Detroit MI, is urgently".
_AFTER_HOME = re.compile(
    r"^(?:[\s,.)\]:\u2013-]|(?:currently|urgently|also|now|still|immediately|is|are|has|have|will|would|again|actively|an?|the)\b)*",
    re.IGNORECASE,
)
_LONGEST_NAME = 160
_MOST_TRIES = 8
_EDGES = " \t\n,:;-\u2013\u2014\"'(|/@"


class ClientName(NamedTuple):
    """A client's name as written, with its half-open span."""

    name: str
    start: int
    end: int


def client_after(reading: Reading, start: int, end: int) -> ClientName | None:
    """Return the client introduced by "for", "at" or "client:" within a span, null when none is."""
    at = start
    for _ in range(_MOST_TRIES):
        intro = _INTRO.search(reading.text, at, end)
        if intro is None:
            return None
        surely = intro["cue"].lower() not in {"with", "at", "@"} or reading.casing.at(intro.end())
        found = name_at(reading, intro.end(), end, surely=surely)
        if found is not None:
            return found
        at = intro.start("cue") + 1
    return None


def name_at(reading: Reading, start: int, end: int, *, surely: bool = False) -> ClientName | None:
    """Return the name that begins at an offset, null when what stands there is no name.

    Args:
        reading: The text.
        start: Where the name would begin.
        end: Where it must end at the latest.
        surely: A word like "for" says that a name comes; in a text without capitals that is enough.
    """
    while start < end and reading.text[start] in _EDGES + ")":
        start += 1
    end = _cut(reading, start, min(end, start + _LONGEST_NAME))
    name = _trimmed(reading.text, start, end)
    if name is None or not _is_name(reading, name, surely=surely):
        return None
    return name


def subject_of(reading: Reading, start: int, end: int) -> ClientName | None:
    """Return the client that needs somebody: what stands before the verb, unless it is "we"."""
    start = max(start, end - _LONGEST_NAME)
    text = reading.text[start:end].rstrip()
    home = _mark_of_home(reading, start, end)
    # "LandCare - Wilmington NC" is a name that clients of several branches have.
    if home is not None and not reading.text[start : home.start].rstrip().endswith(("-", "\u2013")):
        # "City of Detroit" is a name, "Beacon Freight of Detroit" is one with a place.
        civic = _CIVIC.search(reading.text, start, home.start)
        text = reading.text[start : reading.places[home.nth].city_end if civic else home.start].rstrip(_EDGES)
    after = _AFTER_SUBJECT.search(text)
    stop = start + (after.start() if after else len(text))
    text = reading.text[start:stop]
    if _PRONOUN.search(text) or _WE.match(text) or _COMMON_NOUN.fullmatch(text) or _is_house(reading, start, stop):
        return None
    before = _BEFORE_SUBJECT.match(text)
    name = _trimmed(reading.text, start + (before.end() if before else 0), stop)
    if name is None or len(name.name.split()) > 12 or not _is_name(reading, name, surely=True):
        return None
    return name


def place_of_subject(reading: Reading, start: int, end: int) -> PlaceMatch | None:
    """Return the city and state after the client that needs somebody: "Beacon Freight (Detroit, MI) wants"."""
    home = _mark_of_home(reading, start, end)
    return reading.places[home.nth] if home is not None else None


def _is_house(reading: Reading, start: int, stop: int) -> bool:
    """Tell whether "the Detroit site" is all that stands there: a city and what the client has in it."""
    city = next(reading.between(start, stop, "place"), None)
    if city is None:
        return False
    before, after = reading.text[start : city.start].split(), reading.text[city.end : stop].split()
    return bool(after) and len(before) <= 1 and all(word.islower() for word in after)


def _mark_of_home(reading: Reading, start: int, end: int) -> Mark | None:
    for mark in reading.between(start, end, "place"):
        place = reading.places[mark.nth]
        stated = place.known and place.location.city is not None and place.location.state is not None
        if stated and not _AFTER_HOME.sub("", reading.text[mark.end : end]):
            return mark
    return None


def leftover_name(reading: Reading, start: int, end: int) -> ClientName | None:
    """Return the name among what no mark covers in a span: shorthand ends with the client, unannounced."""
    at = start
    for mark in [*reading.between(start, end), None]:
        stop = mark.start if mark else end
        while at < stop:
            while at < stop and reading.text[at] in _EDGES + ")":
                at += 1
            if at == stop:
                break
            comma = reading.text.find(",", at, stop)
            if comma >= 0 and _says_nothing(reading.text[at:comma]):
                at = comma + 1
                continue
            intro = _INTRO.match(reading.text, at, stop)
            found = name_at(reading, intro.end() if intro else at, end)
            if found is not None:
                return found
            at = comma + 1 if comma >= 0 else stop
        at = mark.end if mark else end
    return None


def _cut(reading: Reading, start: int, end: int) -> int:
    """Return where the name that begins at `start` ends."""
    text = reading.text
    for mark in reading.between(start, len(text)):
        if mark.start >= end:
            break
        if not _inside_name(reading, mark, start):
            end = mark.start
            break
    stop = _CUT_ANY.search(text, start, end)
    end = stop.start() if stop else end
    for stop in _CUT_LOWER.finditer(text, start, end):
        shouted = text[start : stop.end()].isupper()
        if not reading.casing.at(start) or stop[0].strip()[:1].islower() or shouted:
            end = stop.start()
            break
    return _cut_commas(reading, start, end)


def _cut_commas(reading: Reading, start: int, end: int) -> int:
    text = reading.text
    for comma in _COMMA.finditer(text, start, end):
        after = text[comma.end() : end]
        if _SUFFIX.match(text, comma.start(), end):
            continue
        lower = reading.casing.at(start) and after[:1].islower() and not _AND_NAME.match(after)
        clause = _CLAUSE_AFTER_COMMA.match(after) and not _AND_NAME.match(after)
        if not after or lower or clause or not is_company(after):
            return comma.start()
    return end


def _inside_name(reading: Reading, mark: Mark, start: int) -> bool:
    """Tell whether a mark is part of the name, such as the Sunday in "Sunday River Resort" or in "Inn at Aspen"."""
    text = reading.text
    if mark.kind == "place":
        named = reading.places[mark.nth].location.state is None and mark.start > start
        return named and (
            _HOUSE_AT.search(text, start, mark.start) is not None or _LEGAL_AFTER.match(text, mark.end) is not None
        )
    if any(map(str.isdigit, text[mark.start : mark.end])):
        return False
    if not reading.casing.at(start) or not text[mark.start].isupper() or reading.at(mark.end + 1) is not None:
        return False
    after = _NAME_AFTER.match(text, mark.end)
    return after is not None and is_company(after[0]) and (mark.start == start or text[mark.start - 1] == " ")


def _trimmed(text: str, start: int, end: int) -> ClientName | None:
    before = _BEFORE_MARK.search(text[start:end])
    if before and before[0] and not _SUFFIX.search(before[0]):
        end = start + before.start()
    while start < end and text[start] in _EDGES:
        start += 1
    end = start + len(text[start:end].rstrip(_EDGES))
    name = text[start:end]
    if name.endswith(")") and "(" not in name:
        end, name = end - 1, name[:-1]
    if name.endswith(".") and not re.search(
        r"(?:\b(?:inc|co|corp|ltd|bros|assn|jr|sr|dept|intl|mfg)|\.\w|\b\w)\.$", name, re.IGNORECASE
    ):
        end, name = end - 1, name[:-1]
    return ClientName(" ".join(name.split()), start, end) if any(map(str.isalpha, name)) else None


def _says_nothing(phrase: str) -> bool:
    """Tell whether a phrase has only words about the work, such as "long term"."""
    return all(word in _NOT_A_NAME or word.isdigit() for word in re.findall(r"[\w']+", phrase.lower()))


def _is_elsewhere(reading: Reading, name: ClientName) -> bool:
    """Tell whether what would be a name is the state or the end of an address that was not read as the place."""
    if _ENDS_IN_ZIP.search(name.name):
        return True
    return any(state.start <= name.start and name.end <= state.end for state in reading.states)


def _is_name(reading: Reading, name: ClientName, *, surely: bool) -> bool:
    words = re.findall(r"[\w']+", name.name)
    plain = [word.lower() for word in words]
    of_the_states = surely and reading.casing.at(name.start) and _OF_THE_STATES.match(name.name) is not None
    if not of_the_states and (len(words) > 14 or _says_nothing(name.name) or is_form_only(name.name)):
        return False
    if of_the_states or (is_legal_name(name.name) and not _is_elsewhere(reading, name)):
        return True
    if (
        _is_elsewhere(reading, name)
        or _STREET.match(name.name)
        or (_HOUSE_NUMBER.match(name.name) and not is_company(name.name))
    ):
        return False
    if plain[0] in _POINTING or (plain[0] in {"a", "an"} and plain[1] != "and"):
        return words[0].isupper() and len(words) > 1 and words[1][0].isupper() and is_company(name.name)
    if reading.casing.at(name.start):
        return name.name[0].isupper() or (name.name[0].isdigit() and any(word[0].isupper() for word in words))
    if is_company(name.name):
        return True
    return (
        sum(map(len, words)) - 1 > 1
        and len(words) <= 8
        and (surely or not _NOT_A_NAME & set(plain))
        and plain[0] not in _NOT_A_NAME
    )
