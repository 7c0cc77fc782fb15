"""The four ways a demand is put: need, client first, looking, shorthand."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import msgspec

from lakehouse.staffing._clients import (
    ClientName,
    client_after,
    leftover_name,
    name_at,
    place_of_subject,
    subject_of,
)
from lakehouse.staffing._companies import is_company, is_legal_name
from lakehouse.staffing._letters import Segment
from lakehouse.staffing._numbers import Number, number_at
from lakehouse.staffing._reading import Kind, Reading
from lakehouse.staffing._role_spans import Around, RoleSpan, RoleVocabulary, acceptable, is_role, span_at
from lakehouse.staffing._scan import Begun
from lakehouse.staffing.demand import Style
from lakehouse.staffing.places import PlaceMatch, Places

_LOOKING = (
    r"looking\s+(?:for|to\s+(?:hire|fill|staff|place|add|find|get|bring\s+(?:in|on)))|looks?\s+for|seeks?|seeking|"
    r"search(?:es|ing)?\s+for|in\s+search\s+of|hiring|hires?|recruiting|recruits?|on\s+the\s+(?:lookout|look-out|hunt)\s+for|"
    r"in\s+the\s+market\s+for|(?<=['\u2019]re\s)after|(?<=\bare\s)after|(?<=\bam\s)after|(?<=['\u2019]m\s)after|"
    r"(?:trying|hoping|planning|aiming|wanting|trie[sd]|hopes?|plans?)\s+to\s+"
    r"(?:hire|find|fill|get|staff|recruit|source|locate|add|bring\s+(?:in|on))"
)
_NEED = (
    r"(?<!no )(?:needs?|calls?|orders?|demand|requirements?)\s+for|"
    r"in\s+(?:urgent\s+|immediate\s+|desperate\s+|dire\s+)?need\s+of|needing|needs?|needed|requires?|required|requiring|"
    r"requests?|requesting|requested|wants?|wanted|could\s+use|can\s+use|send|openings?\s+for|positions?\s+for|request\s+for|"
    r"job\s+order(?:\s+for)?"
)
# These ask for people only with a number after them: "staff 3 cooks", but not "staff development specialist".
_NEED_COUNTED = (
    r"short|down|missing|get|find|provide|supply|fill|filling|order(?:ing)?|place|placing|book|schedule|staff|"
    r"lin(?:e|ing)\s+up|arrang(?:e|ing)(?:\s+for)?|round\s+up|secure|source|locate|do\s+you(?:\s+\w+)?\s+have|"
    r"do\s+with|room\s+for|take\s+on|bring\s+(?:in|on)|chances?\s+of|replacements?\s+for|"
    r"(?:you(?:\s+(?:have|got)|['\u2019]ve)|have\s+you)(?:\s+got|\s+any)?|"
    r"(?:have|has|had)\s+(?:got\s+)?to\s+have|(?:would|'d|will)\s+(?:like|love|take)|ask(?:s|ed|ing)?\s+for"
)
_VERB = re.compile(
    rf"""(?<![\w'-])(?:(?P<looking>{_LOOKING})|(?P<need>{_NEED})|(?P<counted>{_NEED_COUNTED}))(?![\w'-])
        (?:[\s:,\u2013-]*\b(?:me|us|over|out|for|to\s+(?:hire|fill|staff|find|get|book|place|order|add|bring\s+(?:in|on)|have|request|see)|
            a\s+(?:total|minimum|team|crew|group|gang)\s+of|an\s+(?:additional|extra)|total\s+of|about|approximately|approx\.?|around|roughly|
            at\s+least|up\s+to|the\s+services\s+of|another|some|the\s+following|minimum\s+of|help\s+(?:with|finding)|with|of|is|are|an?\s+order\s+(?:of|for)|urgently|immediately|
            asap|today|tomorrow|now)\b)*[\s:,\u2013(~-]*""",
    re.IGNORECASE | re.VERBOSE,
)
# "We 'd like 3 cooks" begins with an apostrophe.
_VERBS = Begun(
    _VERB,
    words="looking looks look seeks seek seeking search searches searching in hiring hires hire recruiting recruits "
    "recruit on trying hoping planning aiming wanting tries tried hopes hope plans plan need needs call calls "
    "order orders demand requirement requirements needing needed requires require required requiring requests "
    "request requesting requested wants want wanted could can send opening openings position positions job "
    "short down missing get find provide supply fill filling ordering place placing book schedule staff line "
    "lining arrange arranging round secure source locate do have has had would will ask asks asked asking "
    "after room take bring chance chances replacement replacements you youve".split(),
    unless=["'d", "'D", "`"],
)
_ARTICLE = re.compile(r"(?:an?|one|the|our\s+next)\s+", re.IGNORECASE)
_OPENING = re.compile(
    r"[\s\"'(*\u2022#\[-]*(?:(?:order|request|urgent|asap|new\s+order|rush|hot)\s*[:!-]\s*)?(?:x\s*|any\s+)?",
    re.IGNORECASE,
)
_TIMES = re.compile(r"\s*(?:[x\u00d7]|ea\.?|each|pcs?)(?![\w'])\s*|\s*\)?\s*(?:[x\u00d7]\b)?\s*", re.IGNORECASE)
_COUNT_AFTER = re.compile(
    r"\s*(?:[,:\u2013-]\s*)?(?:[x\u00d7]\s*(?P<times>\d{1,5})|(?P<before>\d{1,5})\s*[x\u00d7]|\((?:x\s*)?(?P<bracket>\d{1,5}|[a-z]+(?:[\s-][a-z]+)?)(?:\s*(?:needed|people|ppl))?\)|"
    r"(?:needed|wanted|required)\s*[:\u2013-]\s*(?P<passive>\d{1,4})(?=\s*(?:$|[-,;|.\u2013]|in\b|at\b))|"
    r"[-:\u2013,]\s*(?P<dash>\d{1,4})(?:\s+(?:needed|people|ppl|openings?|positions?))?(?=\s*(?:$|[-,;|\u2013]|in\b|at\b)))(?![\w:/])",
    re.IGNORECASE,
)
_PASSIVE = frozenset("needed wanted required".split())
# "Two nurses are talking" asks for nobody, "two nurses are needed" does.
_SAYING = frozenset(("is", "are", "will", "can", "should"))
_NEEDED = re.compile(
    r"\s+(?:is|are|will|should)\s+(?:be\s+)?(?:urgently\s+|also\s+)?(?:needed|wanted|required)\b", re.IGNORECASE
)
_AFTER_COUNT = re.compile(r"[\s(\u00d7xX)\u2013-]|\+\s|$")
_SEPARATOR = re.compile(r"\s*[-:|,;\u2013\u2014]+\s*|\s+/\s+")
_UNKNOWN_LEAD = re.compile(r"(?P<city>[^\W\d][\w.' -]{1,40}?)\s*[, (/]\s*(?P<state>[A-Za-z]{2})\)?\s*[:\u2013-]\s*")
# "Chicago" of "a cook, Chicago, nights".
_BARE_CITY = re.compile(r"\)?,[ \t]*(?P<city>[^\W\d_][\w.' -]*?)[ \t]*(?=[,.;!?\n]|$)")
_BEFORE_WHEN = re.compile(r"\s+(?:by|on|for|from|starting)\s", re.IGNORECASE)
_PARTED = re.compile(r"\s*[,|(\u2013-]\s*")
_TELLING = re.compile(
    r"\b(?:my|his|her|their|was|were|had|did|hired|placed|sent|filled|worked|works|quit|left|met|saw|know|thanks?|thank|ago|yesterday|"
    r"last|when|if|because|who)\b",
    re.IGNORECASE,
)
_NUMERALS = re.compile(
    r"(?<![\w.,$/:-])(?:\d{1,4}|an?|half|dozen|couple|pair|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty)\b",
    re.IGNORECASE,
)
_MOST_NUMERALS = 4
_MOST_VERBS = 8
_SHORT_WORDS = 30
_CITY_WORDS = 3
_MOST_SEPARATORS = 8
_HEADING_WORDS = 5
_PART_WORDS = 16
# A title and no more than this is a search for the title.
_DESCRIBING_WORDS = 10
_WORDS_AROUND = 3
_STATED: tuple[Kind, ...] = ("place", "when", "shift", "pay")


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A demand's frame: what the sentence that asks for somebody says by its shape.

    `role` is an empty span when the sentence asks for a number of people without saying who.
    """

    style: Style | None
    segment: Segment
    count: Number | None
    role: RoleSpan
    place: PlaceMatch | None
    client: ClientName | None


class Frames:
    """Finds the frame of a demand in a sentence."""

    def __init__(self, roles: RoleVocabulary, places: Places) -> None:
        self._roles = roles
        self._places = places

    def draft(self, reading: Reading, segment: Segment) -> Draft | None:
        """Return the demand that a sentence makes, null when it makes none."""
        draft = self._said(reading, segment)
        if draft is not None and draft.count is None:
            draft = msgspec.structs.replace(draft, count=_count_of_next(reading, draft.segment))
        if draft is None or draft.client is None:
            return draft
        # "Detroit needs 3 welders" names no client, but the place.
        city = self._places.bare_city(reading.text, draft.client.start, draft.client.end)
        if city is None or draft.place is not None:
            return draft
        return msgspec.structs.replace(draft, place=city, client=None)

    def _said(self, reading: Reading, segment: Segment) -> Draft | None:
        verbs = [*_verbs(reading, segment)]
        for verb in verbs:
            draft = self._counted(reading, segment, verb)
            if draft is not None:
                return draft
        draft = self._shorthand(reading, _with_parts(reading, segment))
        if draft is not None:
            return draft
        for verb in verbs:
            draft = self._uncounted(reading, segment, verb)
            if draft is not None:
                return draft
        return self._amid(reading, segment)

    def _amid(self, reading: Reading, segment: Segment) -> Draft | None:
        """Return a number of people of a known title at a place, whatever is around: "we're 2 cooks down in Reno NV".

        Not where the sentence tells of people who were there, are meant or do something.
        """
        text = reading.text
        if next(reading.between(segment.start, segment.end, "place"), None) is None:
            return None
        if _TELLING.search(text, segment.start, segment.end):
            return None
        for word in itertools.islice(_NUMERALS.finditer(text, segment.start, segment.end), _MOST_NUMERALS):
            count = number_at(text, word.start())
            if count is None or not _stands(reading, count, segment):
                continue
            role = self._role(reading, count.end, Around(segment.end))
            title = text[role.start : role.end]
            if role.place is None or role.stopped_by in _SAYING or not self._roles.known(title):
                continue
            return self._short(reading, segment, count, role, None)
        return None

    def _counted(self, reading: Reading, segment: Segment, verb: re.Match[str]) -> Draft | None:
        count = number_at(reading.text, verb.end())
        if count is None or not _stands(reading, count, segment):
            return None
        return self._framed(reading, segment, verb, count, count.end)

    def _uncounted(self, reading: Reading, segment: Segment, verb: re.Match[str]) -> Draft | None:
        if verb["counted"]:
            return None
        article = _ARTICLE.match(reading.text, verb.end(), segment.end)
        return self._framed(reading, segment, verb, None, article.end() if article else verb.end())

    def _framed(
        self, reading: Reading, segment: Segment, verb: re.Match[str], count: Number | None, start: int
    ) -> Draft | None:
        subject = subject_of(reading, segment.start, verb.start())
        home = place_of_subject(reading, segment.start, verb.start())
        role = self._role(reading, start, Around(segment.end, client=subject))
        if role.place is None and home is not None:
            role = msgspec.structs.replace(role, place=home)
        count, role = self._count_after(reading, count, role, segment.end)
        role = self._with_bare_city(reading, role, segment.end, count.end if count else 0)
        anybody = count is not None and role.place is not None and role.end == role.start
        if anybody and subject is not None and self._roles.known(subject.name):
            # "Janitors needed: 2 in Toledo OH" begins with whom it asks for.
            return None
        if not (anybody or acceptable(reading, role, self._roles, counted=count is not None)):
            return None
        style: Style = "client_first" if subject else "looking" if verb["looking"] else "need"
        client = subject or client_after(reading, max(role.end, start), segment.end)
        return Draft(style=style, segment=segment, count=count, role=role, place=role.place, client=client)

    def _shorthand(self, reading: Reading, segment: Segment) -> Draft | None:
        opening = _OPENING.match(reading.text, segment.start, segment.end)
        start = opening.end() if opening else segment.start
        lead = self._lead(reading, start, segment.end)
        if lead is not None:
            start = lead[1]
        count = number_at(reading.text, start)
        if count is not None and _stands(reading, count, segment):
            draft = self._number_first(reading, segment, count, placed=lead is not None and lead[2] is not None)
        else:
            draft = self._title_first(reading, segment, start)
        if draft is None or lead is None:
            return draft
        place, client = draft.place or lead[2], draft.client or lead[0]
        return msgspec.structs.replace(draft, place=place, client=client)

    def _lead(self, reading: Reading, start: int, end: int) -> tuple[ClientName | None, int, PlaceMatch | None] | None:
        """Return what stands before "- 3 cooks": client, place or day, and where the rest begins."""
        mark = reading.at(start)
        if mark is not None and mark.kind in {"place", "when"}:
            after = _SEPARATOR.match(reading.text, mark.end, end)
            place = reading.places[mark.nth] if mark.kind == "place" else None
            if after is not None:
                return None, after.end(), place
            # "Nantucket restaurant, 4 dishwashers" begins with a city and is not done with it.
            if place is None or place.location.state is not None:
                return None
        unknown = self._unknown_lead(reading, start, end)
        if unknown is not None:
            return unknown
        if number_at(reading.text, start) is not None:
            return None
        for after in itertools.islice(_SEPARATOR.finditer(reading.text, start, end), _MOST_SEPARATORS):
            joins = after[0] == "-" or reading.at(after.end()) is not None
            if not joins and number_at(reading.text, after.end()) is not None:
                found = self._parted_lead(reading, start, after)
                if found is not None:
                    return found
        return None

    def _parted_lead(
        self, reading: Reading, start: int, after: re.Match[str]
    ) -> tuple[ClientName | None, int, PlaceMatch | None] | None:
        """Read what stands before a separator and a number: a large city, a client, or a heading."""
        lead = reading.text[start : after.start()]
        city = self._places.bare_city(reading.text, start, after.start())
        if city is not None:
            return None, after.end(), city
        if is_company(lead):
            # A city stands at the beginning of "Nantucket restaurant", which is no name then.
            client = name_at(reading, start, after.start())
            return (client, after.end(), None) if client or reading.at(start) else None
        # "Nicole Adams: one Nanny" may name a client or not, but it is a heading for what follows.
        # "Janitors needed: 2" is the demand itself.
        if ":" in after[0] and len(lead.split()) <= _HEADING_WORDS and lead.split()[-1:] != ["needed"]:
            return None, after.end(), None
        return None

    def _unknown_lead(
        self, reading: Reading, start: int, end: int
    ) -> tuple[ClientName | None, int, PlaceMatch | None] | None:
        """Read a city that no gazetteer knows before the demand: "Nowhereville MD: 3 cooks"."""
        text = reading.text
        found = _UNKNOWN_LEAD.match(text, start, end)
        if found is None or number_at(text, found.end()) is None:
            return None
        state = next((one for one in reading.states if one.start == found.start("state")), None)
        if state is None or state.end != found.end("state"):
            return None
        place = PlaceMatch(state.location, start, state.end, False, found.end("city"))
        return None, found.end(), self._places.narrow(place, text, start)

    def _number_first(self, reading: Reading, segment: Segment, count: Number, *, placed: bool) -> Draft | None:
        times = _TIMES.match(reading.text, count.end, segment.end)
        start = times.end() if times else count.end
        role = self._role(reading, start, Around(segment.end, placed=placed))
        if not placed:
            role = self._with_bare_city(reading, self._with_place(reading, role, segment.end), segment.end)
        role, client = self._without_company(reading, role)
        if not acceptable(reading, role, self._roles, counted=True, placed=placed):
            return None
        if role.stopped_by in _SAYING and not _NEEDED.match(reading.text, role.end, segment.end):
            return None
        return self._short(reading, segment, count, role, client)

    def _role(self, reading: Reading, start: int, around: Around) -> RoleSpan:
        return span_at(reading, start, around, roles=self._roles, places=self._places)

    def _title_first(self, reading: Reading, segment: Segment, start: int) -> Draft | None:
        text = reading.text
        if len(text[start : segment.end].split()) > _SHORT_WORDS:
            return None
        role = self._role(reading, start, Around(segment.end))
        count, role = self._count_after(reading, None, role, segment.end)
        if count is not None:
            role = self._with_place(reading, role, segment.end)
        role, client = self._without_company(reading, role)
        if role.start != start or not acceptable(reading, role, self._roles, counted=count is not None):
            return None
        title, verb = text[role.start : role.end], _VERB.match(text, start, segment.end)
        # "Need cooks x3" asks for cooks, an "Order Picker" is one.
        if verb is not None and not verb["counted"] and not self._roles.known(title):
            return None
        first = segment == reading.segments[0]
        if count is None and not (first and self._roles.known(title)):
            return None
        if count is None and next(reading.between(role.end, segment.end), None) is None and role.end < segment.end:
            return None
        if count is None and _heads_description(reading, role, segment):
            return None
        return self._short(reading, segment, count, role, client)

    def _short(
        self, reading: Reading, segment: Segment, count: Number | None, role: RoleSpan, client: ClientName | None
    ) -> Draft:
        after = max(role.end, reading.place_end(role.place) if role.place else 0)
        before = role.place.start if role.place else role.end
        client = (
            client
            or client_after(reading, role.end, before)
            or leftover_name(reading, after, segment.end)
            or client_after(reading, after, segment.end)
        )
        style: Style = "need" if role.stopped_by in _PASSIVE or role.stopped_by in _SAYING else "shorthand"
        return Draft(style=style, segment=segment, count=count, role=role, place=role.place, client=client)

    def _count_after(
        self, reading: Reading, count: Number | None, role: RoleSpan, end: int
    ) -> tuple[Number | None, RoleSpan]:
        """Read a count behind the role: "Forklift Operators x3", "Forklift Operators (3)"."""
        text = reading.text
        if count is not None:
            return count, role
        for at in (*_spaces(text, role.start, role.end), role.end):
            found = _COUNT_AFTER.match(text, at, end)
            written = (found and found.lastgroup) or ""
            number = number_at(text, found.start(written)) if found else None
            if found is not None and number and number.end == found.end(written) and reading.at(number.start) is None:
                return number, msgspec.structs.replace(role, end=min(role.end, len(text[:at].rstrip(" ,:-("))))
        return None, role

    def _without_company(self, reading: Reading, role: RoleSpan) -> tuple[RoleSpan, ClientName | None]:
        """Part "Forklift Operator Beacon Freight" where a known title is followed by a company's name."""
        text = reading.text
        phrase = text[role.start : role.end]
        if not is_legal_name(phrase):
            return role, None
        spaces = [*_spaces(text, role.start, role.end)]
        known = self._roles.longest_prefix(phrase.split())
        if not 0 < known <= len(spaces) or text[spaces[known - 1] - 1] == ",":
            return role, None
        client = name_at(reading, spaces[known - 1], role.end)
        return (msgspec.structs.replace(role, end=spaces[known - 1]), client) if client else (role, None)

    def _with_place(self, reading: Reading, role: RoleSpan, end: int) -> RoleSpan:
        """Find a city that no gazetteer knows between a role and its state: "3 Cook Nowhereville MD"."""
        if role.place is not None or role.end == role.start:
            return role
        text = reading.text
        for state in reading.states:
            if not role.start < state.start < end or not text[role.start : state.start].strip():
                continue
            stop = len(text[: state.start].rstrip(" ,/(-\u2013"))
            if stop > role.end:
                return self._set_apart(text, role, state, stop)
            begin = self._title_end(text, role.start, stop)
            city = text[begin:stop].strip(" ,-(/")
            if not city:
                return msgspec.structs.replace(role, end=begin, place=state)
            if len(city.split()) > _CITY_WORDS:
                return role
            start = text.index(city, begin)
            place = self._places.narrow(PlaceMatch(state.location, start, state.end, False, stop), text, start)
            return msgspec.structs.replace(role, end=begin, place=place)
        return role

    def _with_bare_city(self, reading: Reading, role: RoleSpan, end: int, counted: int = 0) -> RoleSpan:
        """Find a large city right behind a known title, as messages have it: "2 welders Toledo", "a cook, Chicago".

        So it does where the count, which ends at `counted`, stands between: "welders x2, Toledo".
        """
        text = reading.text
        if role.place is not None or role.end == role.start:
            return role
        if self._roles.known(text[role.start : role.end]):
            after = _BARE_CITY.match(text, max(role.end, counted), end)
            place = after and self._places.bare_city(text, after.start("city"), after.end("city"))
            return msgspec.structs.replace(role, place=place) if place else role
        for at in [*_spaces(text, role.start, role.end)][-_CITY_WORDS:]:
            title = text[role.start : at]
            place = self._places.bare_city(text, role.end - len(text[at : role.end].lstrip()), role.end)
            if place and self._roles.known(title):
                return msgspec.structs.replace(role, end=at, place=place)
        return role

    def _set_apart(self, text: str, role: RoleSpan, state: PlaceMatch, stop: int) -> RoleSpan:
        """Take "Nowhereville" from "3 Cook, Nowhereville MD": up to three words between the comma and the state."""
        parted = list(_PARTED.finditer(text, role.end, stop))
        start = parted[-1].end() if parted else stop
        words = text[start:stop].split()
        title_end = parted[-1].start() if parted else role.end
        # "Cooks (5), Nowhereville MD" has its count between.
        if number_at(text[role.end : title_end].strip(" (),-"), 0) is not None:
            title_end = role.end
        whole = title_end == role.end or is_role(text[role.start : title_end], self._roles)
        if not whole or not 0 < len(words) <= _CITY_WORDS or not all(word[0].isalpha() for word in words):
            return role
        place = PlaceMatch(state.location, start, state.end, False, stop)
        return msgspec.structs.replace(role, end=title_end, place=self._places.narrow(place, text, start))

    def _title_end(self, text: str, start: int, stop: int) -> int:
        """Return where the title ends: after its longest known beginning, else after its last word for a worker."""
        ends = [*_spaces(text, start, stop), stop]
        known = self._roles.longest_prefix(text[start:stop].split())
        if known:
            return ends[min(known, len(ends)) - 1]
        return next((end for end in reversed(ends[:-1]) if is_role(text[start:end], self._roles)), stop)


def _with_parts(reading: Reading, segment: Segment) -> Segment:
    """Return a segment with the short ones after it parted by semicolons: "3 Cooks; Detroit MI; Beacon Grill"."""
    if number_at(reading.text, segment.start) is None:
        return segment
    end = segment.end
    for following in reading.segments:
        if following.start < end:
            continue
        if reading.text[end : following.start].strip() != ";":
            break
        if len(reading.text[following.start : following.end].split()) > _PART_WORDS or _asks(reading, following):
            break
        end = following.end
    return Segment(segment.start, end)


def _heads_description(reading: Reading, title: RoleSpan, segment: Segment) -> bool:
    """Tell whether a title alone in its sentence heads a description ("CNC Operator. Pin gauges; 6 years of ...").

    A demand in such sentences states a place, a start or a shift in one that says little else; who describes
    somebody tells more about them.
    """
    text = reading.text
    if text[title.end : segment.end].strip(" .:") or len(text[segment.end :].split()) <= _DESCRIBING_WORDS:
        return False
    following = [one for one in reading.segments if one.start >= segment.end]
    return not any(_states(reading, one) or _asks(reading, one) for one in following)


def _asks(reading: Reading, segment: Segment) -> bool:
    """Tell whether a sentence asks for a number: "Need 3 by Monday"."""
    return any(
        verb["looking"] or (verb["need"] and number_at(reading.text, verb.end())) for verb in _verbs(reading, segment)
    )


def _count_of_next(reading: Reading, segment: Segment) -> Number | None:
    """Return the number of the sentence after, where that says no more than when: "Any cooks in Reno? We need 5"."""
    following = next((one for one in reading.segments if one.start >= segment.end), None)
    if following is None:
        return None
    for verb in _verbs(reading, following):
        count = number_at(reading.text, verb.end())
        if count is not None and _stands(reading, count, following):
            when = _BEFORE_WHEN.match(reading.text, count.end, following.end)
            return count if reading.blank(when.end() if when else count.end, following.end) else None
    return None


def _verbs(reading: Reading, segment: Segment) -> Iterator[re.Match[str]]:
    found = _VERBS.found(reading.text, reading.said, reading.words, segment.start, segment.end)
    return itertools.islice(found, _MOST_VERBS)


def _states(reading: Reading, segment: Segment) -> bool:
    """Tell whether a sentence is a place, a start, a shift or pay with at most a few words around."""
    covered = [(mark.start, mark.end) for mark in reading.between(segment.start, segment.end, *_STATED)]
    words = len(reading.text[segment.start : segment.end].split())
    return bool(covered) and words - sum(len(reading.text[slice(*span)].split()) for span in covered) <= _WORDS_AROUND


def _stands(reading: Reading, count: Number, segment: Segment) -> bool:
    """Tell whether a number stands for itself: not part of a date, a price, a code or a list ("1,His wife")."""
    apart = count.end == segment.end or _AFTER_COUNT.match(reading.text, count.end) is not None
    return apart and count.end <= segment.end and reading.at(count.start) is None


def _spaces(text: str, start: int, end: int) -> Iterator[int]:
    """Yield where each word but the last ends."""
    for gap in re.finditer(r"\s+", text[start:end]):
        yield start + gap.start()
