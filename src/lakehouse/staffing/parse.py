"""A demand as text to a demand as fields, by rules and vocabularies; a model only when they find no role."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from lakehouse.errors import InvalidInput, TooLarge
from lakehouse.staffing._clients import name_at
from lakehouse.staffing._demand_fields import Fields, with_missing
from lakehouse.staffing._forms import Entry, Field, entries
from lakehouse.staffing._frames import Draft, Frames
from lakehouse.staffing._letters import Segment
from lakehouse.staffing._numbers import number_at
from lakehouse.staffing._reading import Reading, read
from lakehouse.staffing._role_spans import Around, RoleSpan, RoleVocabulary, span_at
from lakehouse.staffing._searchable import searchable_text
from lakehouse.staffing._several import drafts_in, forms, scopes, shifted, with_shared_place
from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.demand import LONGEST_ROLE, Demand, Location
from lakehouse.staffing.places import PlaceMatch, Places
from lakehouse.staffing.titles import role_key

__all__ = ["MAX_TEXT_BYTES", "Parser", "RoleVocabulary", "searchable_text"]

MAX_TEXT_BYTES = 8 * 1024
_MODEL_ANSWERS = 1024


class Parser:
    """Reads demands. One object serves any number of threads.

    Args:
        places: The gazetteer.
        roles: The role vocabulary.
        certifications: The list of certifications.
        role_model: Names the role of a text, or null; asked only by a caller who wants it, and only when
            the rules find none. Its latest answers are remembered.

    >>> parser = Parser.shipped()
    >>> demand = parser.parse("Need 3 Forklift Operators in Detroit MI starting at 06:00 for Beacon Freight")
    >>> demand.role, demand.count, demand.location.city, demand.start, demand.client
    ('Forklift Operator', 3, 'Detroit', '06:00', 'Beacon Freight')
    """

    def __init__(
        self,
        places: Places,
        roles: RoleVocabulary,
        certifications: Certifications,
        *,
        role_model: Callable[[str], str | None] | None = None,
    ) -> None:
        self.places = places
        self.roles = roles
        self.certifications = certifications
        self._frames = Frames(roles, places)
        self._role_model = role_model
        self._answers: OrderedDict[str, str | None] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def shipped(cls, *, role_model: Callable[[str], str | None] | None = None) -> Parser:
        """Build a parser from the vocabularies that ship with the product.

        Raises:
            NotInstalled: A data file is missing.
        """
        from lakehouse.staffing.roles import Roles

        return cls(Places.shipped(), Roles.shipped(), Certifications.shipped(), role_model=role_model)

    def parse(self, text: str, use_model: bool = False) -> Demand:
        """Read the first demand in a text: a line, an e-mail, a filled form.

        A field that the text does not say is null or empty and `count` is 1; nothing is guessed. A text that
        asks for nobody gives a demand without a role and a style.

        Args:
            text: 1 byte to 8 KiB.
            use_model: Ask the role model, where one is configured, when the rules find no role. Its answer
                counts only if its words are in the text.

        Raises:
            InvalidInput: The text is empty or blank.
            TooLarge: The text is over 8 KiB.
        """
        _check(text)
        reading = read(text, self.places, self.certifications)
        draft, scope = self._draft(reading)
        demand = Fields(reading, draft, scope, self.certifications).demand(self.roles)
        if use_model and demand.role is None and self._role_model is not None:
            return self._with_model(text, demand, self._role_model)
        return demand

    def parse_all(self, text: str) -> list[Demand]:
        """Read every demand in a text, in order; empty when it asks for nobody.

        A sentence may hold several ("3 welders and 2 cooks in Akron"), each then with a number of its own; a form
        holds as many as it names roles. Spans are offsets into the whole text. The model is never asked.

        Raises:
            InvalidInput, TooLarge: As `parse`.
        """
        _check(text)
        parts = forms(text)
        if parts:
            read_parts = [(start, self.parse_all(text[start:end])) for start, end in parts if text[start:end].strip()]
            return [shifted(demand, start) for start, demands in read_parts for demand in demands]
        reading = read(text, self.places, self.certifications)
        if entries(text, reading.segments, reading.said):
            return [self.parse(text)]
        found = drafts_in(reading, self._frames.draft)
        if not found:
            return []
        demands = [
            Fields(reading, draft, scope, self.certifications).demand(self.roles)
            for (_, draft), scope in zip(found, scopes(reading, found), strict=True)
        ]
        return [with_missing(demand) for demand in with_shared_place(demands, found, text)]

    def _draft(self, reading: Reading) -> tuple[Draft | None, tuple[int, int]]:
        """Return the first demand of a text and the span of the sentences that may say more about it."""
        body = reading.segments
        whole = (body[0].start, body[-1].end) if body else (0, 0)
        form = entries(reading.text, body, reading.said)
        if form:
            return self._from_form(reading, form), whole
        drafts = ((segment, self._frames.draft(reading, segment)) for segment in body)
        found = next(((segment, draft) for segment, draft in drafts if draft), None)
        if found is None:
            return None, whole
        within = found[1].segment.end
        following = next((segment for segment, draft in drafts if draft and segment.start >= within), None)
        return found[1], (whole[0], following.start if following else whole[1])

    def _from_form(self, reading: Reading, form: list[Entry]) -> Draft:
        filled: dict[Field, Entry] = {entry.field: entry for entry in form}
        role, count = filled["role"], filled.get("count")
        span = span_at(reading, role.start, Around(role.end, placed=True), roles=self.roles, places=self.places)
        client = filled.get("client")
        return Draft(
            style=None,
            segment=Segment(reading.segments[0].start, reading.segments[-1].end),
            count=number_at(reading.text, count.start) if count else None,
            role=RoleSpan(span.start, span.end, None),
            place=self._place_of_form(reading, filled.get("location"), filled.get("state")),
            client=name_at(reading, client.start, client.end, surely=True) if client else None,
        )

    def _place_of_form(self, reading: Reading, where: Entry | None, state: Entry | None) -> PlaceMatch | None:
        """Return the place that one field says, or one for the city with one for its state, or that alone."""
        code = self.places.state(reading.text[state.start : state.end]) if state else None
        if where is None:
            return (
                PlaceMatch(Location(None, code), state.start, state.end, True, state.start) if state and code else None
            )
        found = next((place for place in reading.places if where.start <= place.start < where.end), None)
        if code is None or (found is not None and found.location.state):
            return found
        stated = PlaceMatch(Location(None, code), where.start, where.end, False, where.end)
        return self.places.narrow(stated, reading.text, where.start)

    def _with_model(self, text: str, demand: Demand, model: Callable[[str], str | None]) -> Demand:
        role = self._answer(text, model)
        words = set(role_key(text).split())
        if not role or not role.strip() or len(role) > LONGEST_ROLE or not set(role_key(role).split()) <= words:
            return demand
        match = self.roles.resolve(role)
        named = msgspec.structs.replace(
            demand, role=" ".join(role.split()), role_code=match.code if match else None, source="model"
        )
        return with_missing(named)

    def _answer(self, text: str, model: Callable[[str], str | None]) -> str | None:
        with self._lock:
            if text in self._answers:
                self._answers.move_to_end(text)
                return self._answers[text]
        role = model(text)
        with self._lock:
            self._answers[text] = role
            while len(self._answers) > _MODEL_ANSWERS:
                self._answers.popitem(last=False)
        return role


def _check(text: str) -> None:
    if not text.strip():
        raise InvalidInput("field 'text' is empty; write what is needed, such as a role and a place", field="text")
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT_BYTES:
        raise TooLarge(
            f"field 'text' has {size} bytes, the limit is {MAX_TEXT_BYTES}; send the demand without attachments",
            field="text",
            limit_bytes=MAX_TEXT_BYTES,
        )
