"""Where a text names a place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from lakehouse.staffing._gazetteer import City, Gazetteer, is_nickname, key_of_words, place_key
from lakehouse.staffing._tokens import Casing, Token
from lakehouse.staffing.demand import Location

_LONGEST_NAME = 5
_INSIDE_NAME = re.compile(r"['\u2019]?[ \t]*[-\u2010-\u2013.]?[ \t]*")
_BEFORE_STATE = re.compile(r"[ \t]*[.,]{0,2}[ \t]*[-\u2013/(\[]?[ \t]*")

_TITLED = re.compile(r"(?<![^\W_])[A-Z][a-z]")
_HOUSE_AFTER = re.compile(r" ([a-z]+)(?: ([a-z]+))?\b")
# "Lawns of Louisiana, Inc." names a company.
_LEGAL_FORM = re.compile(r"[\s.,]*(?:inc|llc|l\.l\.c|l\.p|corp|corporation|ltd|llp|lp|company)\b", re.IGNORECASE)
_BEFORE_STATE_STRICT = re.compile(r"[ \t]*[.,]{0,2}[ \t]*[/(\[]?[ \t]*")

_CITY_CUES = frozenset("in near around outside downtown at across throughout".split())
_STATE_CUES = frozenset("in across throughout near around outside".split())
_NAME_CUES = frozenset("in at near to from".split())
# Codes of states that are words too: without capitals their letters alone do not tell.
_WORDS_TOO = frozenset("in or me ok hi oh as de la ma pa id al co ms ct mt vi pr mo".split())
_COMMON_WORDS = frozenset("in or me ok hi oh as de la co".split())
_NOT_AFTER_CODE = frozenset(
    "the a an our your my this that these and be is are will near nearby around somewhere".split()
)
_NOT_A_CITY = frozenset(
    "january february march april may june july august september october november december monday tuesday "
    "wednesday thursday friday saturday sunday morning afternoon evening night".split()
)
# Cities that a text without capitals more likely means as words.
_ORDINARY = frozenset(
    "mobile reading orange normal industry commerce enterprise liberty surprise plant home field order paradise "
    "progress energy economy hope trade media early price star bath time person house production service".split()
)
_BEFORE_NAME = frozenset("the a an our your my this greater central downtown metro nearby beautiful sunny".split())
# What may stand before a known name to make another: "Upper Darby", "West Lake Placid".
_PART_OF_NAME = frozenset(
    "north south east west upper lower new old fort ft port lake mount mt saint st village little big point bay cape "
    "isle grand great san santa el la los las del de".split()
)
_NEVER_IN_NAME = frozenset(
    "to inc llc corp ltd company hospital hotel resort restaurant club school university warehouse need needs for "
    "find hire fill get staff "
    "starting at near from with shift experience positions position jobs job work or and in".split()
)
_NAME_AND_STATE_PEOPLE = 500_000
# What a client has in a city, called by it: "our Duluth warehouse".
_HOUSES = frozenset(
    "site jobsite location plant warehouse facility property office branch yard store hotel restaurant resort lodge "
    "mill factory shipyard kitchen bakery bar inn farm ranch terminal depot shop campus hospital clinic project".split()
)
_OURS = frozenset("our the my your their".split())
_FEWEST_PEOPLE = 1_000
_FEWEST_PEOPLE_UNCASED = 20_000
# A city by itself, without "in" and without its state.
_FEWEST_PEOPLE_BARE = 100_000


class PlaceMatch(msgspec.Struct, frozen=True):
    """A place found in a text, with the half-open span of its name and state.

    Attributes:
        known: The city is in the gazetteer. An unknown one is taken only between "in" or "at" and its state.
        city_end: Where the city's name ends; equal to `start` when only a state was named.
        starts: Where the city's name could also begin when the words before it belong to something else:
            offsets of shorter names known in that state, longest first.
    """

    location: Location
    start: int
    end: int
    known: bool
    city_end: int
    starts: tuple[int, ...] = ()


class _Named(msgspec.Struct, frozen=True):
    """A state named by the tokens `first` to `last` (exclusive)."""

    code: str
    first: int
    last: int


class Mentions:
    """One text, read for places."""

    def __init__(self, gazetteer: Gazetteer, text: str, words: Sequence[Token]) -> None:
        self._gazetteer = gazetteer
        self._text = text
        self._words = words
        self._keys = [word.key for word in words]
        self._casing = Casing(text)
        self._named = [
            _Named(found[0], first, found[1])
            for first, key in enumerate(self._keys)
            if key in gazetteer.begin_states and (found := gazetteer.state_at(self._keys, first))
        ]

    def matches(self) -> list[PlaceMatch]:
        """Return what was found, in order; of overlapping candidates the longer one, then the earlier."""
        found = [*self._city_alone(), *self._with_state()]
        found.sort(key=lambda match: (match.start - match.end, match.start))
        kept: list[PlaceMatch] = []
        taken = bytearray(len(self._text))
        for match in found:
            if not any(taken[match.start : match.end]):
                taken[match.start : match.end] = b"\x01" * (match.end - match.start)
                kept.append(match)
        return sorted(kept, key=lambda match: match.start)

    def states(self) -> list[PlaceMatch]:
        """Return every state written as a code in capitals or in full, wherever it stands, in order."""
        found: list[PlaceMatch] = []
        for named in self._named:
            start, after = self._words[named.first].start, found[-1].end if found else 0
            if start >= after and self._is_code(named, known=False):
                end = self._words[named.last - 1].end
                found.append(PlaceMatch(Location(None, named.code), start, end, True, start))
        return found

    def _with_state(self) -> Iterator[PlaceMatch]:
        for named in self._named:
            match = self._at_state(named)
            if match is not None:
                yield match

    def _at_state(self, state: _Named) -> PlaceMatch | None:
        end = self._words[state.last - 1].end
        if _LEGAL_FORM.match(self._text, end):
            return None
        known = list(self._known_before(state))
        first = self._unknown_before(state, known[0] if known else state.first)
        if first is not None and self._is_code(state, known=bool(known)):
            start, city_end = self._words[first].start, self._words[state.first - 1].end
            location = _located(self._text[start:city_end], state.code, None)
            return PlaceMatch(location, start, end, False, city_end, self._offsets(known))
        if known and self._is_code(state, known=True):
            start, city_end = self._words[known[0]].start, self._words[state.first - 1].end
            key = key_of_words(self._keys[known[0] : state.first])
            location = _located(self._text[start:city_end], state.code, self._gazetteer.cities(key)[state.code])
            return PlaceMatch(location, start, end, True, city_end, self._offsets(known[1:]))
        in_full = len(self._words[state.first].key) == 2 or not self._gazetteer.is_abbreviation(self._keys[state.first])
        if in_full and self._cue_before(state.first, _STATE_CUES) and self._is_code(state, known=False):
            start = self._words[state.first].start
            return PlaceMatch(Location(None, state.code), start, end, True, start)
        return None

    def _offsets(self, firsts: Sequence[int]) -> tuple[int, ...]:
        return tuple(self._words[first].start for first in firsts)

    def _joined(self, first: int, last: int, between: re.Pattern[str]) -> bool:
        """Tell whether nothing but `between`, which takes one space, stands between two neighbouring tokens."""
        start, end = self._words[first].end, self._words[last].start
        return (end - start == 1 and self._text[start] == " ") or between.fullmatch(self._text, start, end) is not None

    def _known_before(self, state: _Named) -> Iterator[int]:
        """Yield the first token of each known city that ends right before the state, longest name first."""
        if state.first == 0 or not self._joined(state.first - 1, state.first, _BEFORE_STATE):
            return
        reach = state.first - 1
        while reach > max(0, state.first - _LONGEST_NAME) and self._joined(reach - 1, reach, _INSIDE_NAME):
            reach -= 1
        for first in range(reach, state.first):
            if state.code in self._gazetteer.cities(key_of_words(self._keys[first : state.first])):
                yield first

    def _unknown_before(self, state: _Named, known_first: int) -> int | None:
        """Return the first token of a city the gazetteer lacks: all between "in" or "at" and its state."""
        if state.first == 0 or not self._joined(state.first - 1, state.first, _BEFORE_STATE_STRICT):
            return None
        first = state.first
        while first > 0 and first > state.first - _LONGEST_NAME and self._in_name(first - 1):
            if first < state.first and not self._joined(first - 1, first, _INSIDE_NAME):
                break
            first -= 1
        if first in (0, state.first) or not self._named_from(first) or self._keys[state.first - 1] == "of":
            return None
        capitals = any(not self._lower_in_cased(index) for index in range(first, state.first))
        while first < known_first and (self._keys[first] in _BEFORE_NAME or (capitals and self._lower_in_cased(first))):
            first += 1
        if known_first < state.first and not all(key in _PART_OF_NAME for key in self._keys[first:known_first]):
            return None
        return first if first < known_first else None

    def _named_from(self, first: int) -> bool:
        between = self._text[self._words[first - 1].end : self._words[first].start]
        if "@" in between:
            return True
        hyphened = self._before(self._words[first - 1].start) == "-"
        return self._keys[first - 1] in _NAME_CUES and not between.strip() and not hyphened

    def _in_name(self, index: int) -> bool:
        key = self._keys[index]
        return key not in _NEVER_IN_NAME and key.isalpha()

    def _small(self, first: int) -> bool:
        """Tell whether a word in small letters is none of a name: its line has names or titles in capitals.

        A telephone writes the first word of a message in capitals, and "RNs" or "CDL" are written so in any line.
        """
        return self._lower_in_cased(first) and _TITLED.search(self._line_of(self._words[first].start)) is not None

    def _line_of(self, offset: int) -> str:
        """Return the line around an offset without its first word."""
        start = self._text.rfind("\n", 0, offset) + 1
        end = self._text.find("\n", offset)
        return self._text[start : end if end >= 0 else len(self._text)].lstrip().partition(" ")[2]

    def _lower_in_cased(self, index: int) -> bool:
        word = self._words[index]
        return word.text[:1].islower() and self._casing.at(word.start)

    def _cue_before(self, index: int, cues: frozenset[str]) -> bool:
        return (
            index > 0
            and self._keys[index - 1] in cues
            and self._text[self._words[index - 1].end : self._words[index].start].isspace()
        )

    def _is_code(self, state: _Named, *, known: bool) -> bool:
        """Tell whether the token means the state, judged by its letters, its case and what follows."""
        word = self._words[state.first]
        cased = self._casing.at(word.start)
        if len(word.key) > 2 or state.last - state.first > 1 or (cased and word.text.isupper()):
            return True
        if word.key not in _WORDS_TOO:
            return known or not cased or word.text.istitle() or self._before(word.start) in {",", "("}
        if not known:
            ends = self._text[word.end : word.end + 1] in {"", ",", ".", ";", "\n"}
            enclosed = self._before(word.start) == "("
            return enclosed or (not cased and (ends or word.key not in _COMMON_WORDS))
        if self._city_at(state):
            return False
        if self._before(word.start) == ",":
            return True
        after = self._keys[state.last] if state.last < len(self._keys) else ""
        small = cased and word.text.islower() and not self._words[state.first - 1].text.islower()
        return not small and after not in _NOT_AFTER_CODE

    def _before(self, offset: int) -> str:
        """Return the last character before an offset that is no space, empty when there is none near."""
        return self._text[max(0, offset - 4) : offset].rstrip()[-1:]

    def _city_at(self, state: _Named) -> bool:
        """Tell whether "or" or "in" is followed by another city rather than being Oregon or Indiana."""
        if state.last >= len(self._words):
            return False
        city = self._gazetteer.dominant(self._keys[state.last])
        return city is not None and city.population > _FEWEST_PEOPLE_UNCASED

    def _city_alone(self) -> Iterator[PlaceMatch]:
        houses = not _HOUSES.isdisjoint(self._keys)
        for first in range(len(self._words)):
            cue = self._keys[first - 1] if first else ""
            if cue in _CITY_CUES and self._cue_before(first, _CITY_CUES) and not self._small(first):
                match = self._longest_city(first)
                if match is not None and not (cue == "at" and self._runs_on(match.end)):
                    yield match
            elif houses and (not first or cue in _OURS) and self._words[first].text[:1].isupper():
                match = self._longest_city(first)
                if match is not None and self._has_house(match.end):
                    yield match

    def _has_house(self, end: int) -> bool:
        """Tell whether a city is followed by what a client has there, in small letters where capitals tell."""
        after = _HOUSE_AFTER.match(self._text, end)
        return after is not None and not _HOUSES.isdisjoint(after.groups())

    def _runs_on(self, end: int) -> bool:
        """Tell whether a name goes on after `end`: "at Beacon Freight" is a company, not the city of Beacon."""
        after = self._text[end : end + 2]
        return after[:1] == " " and (after[1:].isupper() or not self._casing.at(end))

    def _longest_city(self, first: int) -> PlaceMatch | None:
        last = first + 1
        while last < min(len(self._words), first + _LONGEST_NAME) and self._joined(last - 1, last, _INSIDE_NAME):
            last += 1
        for end in range(last, first, -1):
            keys = self._keys[first:end]
            cities = self._gazetteer.cities(key_of_words(keys))
            people = max((city.population for city in cities.values()), default=0)
            if cities and self._meant_as_city(
                keys, people, cased=self._casing.at(self._words[first].start) and not self._lower_in_cased(first)
            ):
                return self._city_match(first, end, self._gazetteer.dominant(key_of_words(keys)))
        return None

    def _city_match(self, first: int, end: int, city: City | None) -> PlaceMatch | None:
        start, stop = self._words[first].start, self._words[end - 1].end
        code = self._gazetteer.state(self._keys[first:end])
        if code is not None:
            # "in Ohio" is the state, "in New York" and "in Washington" more likely the city.
            if city is None or city.population < _NAME_AND_STATE_PEOPLE:
                return None
            city = city if city.state == code else None
        location = _located(self._text[start:stop], None, city)
        return PlaceMatch(location, start, stop, True, stop)

    def _meant_as_city(self, keys: Sequence[str], people: int, *, cased: bool) -> bool:
        if keys[0] in _NOT_A_CITY and len(keys) == 1:
            return False
        if cased:
            return people >= _FEWEST_PEOPLE
        return people >= _FEWEST_PEOPLE_UNCASED and not (len(keys) == 1 and keys[0] in _ORDINARY)


def bare_city(gazetteer: Gazetteer, text: str, start: int, end: int) -> PlaceMatch | None:
    """Return the large city that a stretch of text is the name of, null when it names none."""
    written = text[start:end]
    key = place_key(written)
    people = max((city.population for city in gazetteer.cities(key).values()), default=0)
    if people < _FEWEST_PEOPLE_BARE or key in _NOT_A_CITY:
        return None
    cased = Casing(text).at(start)
    if (cased and written[:1].islower()) or (not cased and key in _ORDINARY):
        return None
    return PlaceMatch(_located(written, None, gazetteer.dominant(key)), start, end, True, end)


def narrowed(gazetteer: Gazetteer, match: PlaceMatch, text: str, start: int) -> PlaceMatch:
    """Return the match with its city beginning at `start`, or without a city when the state begins there."""
    state = match.location.state
    if start >= match.city_end:
        return PlaceMatch(Location(None, state), start, match.end, True, start)
    written = text[start : match.city_end]
    city = gazetteer.cities(place_key(written)).get(state or "")
    starts = tuple(other for other in match.starts if other > start)
    return PlaceMatch(_located(written, state, city), start, match.end, city is not None, match.city_end, starts)


def _located(written: str, state: str | None, city: City | None) -> Location:
    """Return the place with its city as written, in the gazetteer's case; for a nickname, by the gazetteer's name."""
    name = " ".join(written.split())
    if city is not None:
        if city.name.casefold() == name.casefold() or is_nickname(name):
            name = city.name
        elif name.isupper() or name.islower():
            name = name.title()
        return Location(name, state, city.lat, city.lon)
    return Location(name, state)
