"""From the frame of a demand and the marks around it to its fields."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from lakehouse.staffing import _when
from lakehouse.staffing._frames import Draft
from lakehouse.staffing._reading import Kind, Mark, Reading
from lakehouse.staffing._role_spans import RoleVocabulary
from lakehouse.staffing._skills import skills_in
from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.demand import Demand, Location
from lakehouse.staffing.places import PlaceMatch
from lakehouse.staffing.titles import singular, states_no_role

Span = tuple[int, int]


class Fields:
    """The fields of one demand and where each was read.

    Args:
        reading: The text.
        draft: Its frame, null when the text asks for nobody.
        scope: Where the demand's sentences lie; what stands outside of them belongs to something else.
        certifications: The list of certifications.
    """

    def __init__(self, reading: Reading, draft: Draft | None, scope: Span, certifications: Certifications) -> None:
        self._reading = reading
        self._draft = draft
        self._scope = scope
        self._certifications = certifications
        self._spans: dict[str, Span] = {}

    def demand(self, roles: RoleVocabulary) -> Demand:
        """Return the demand; every field that the text does not say is null or empty."""
        role = self._role()
        match = roles.resolve(role) if role else None
        demand = Demand(
            role=role,
            role_code=match.code if match else None,
            count=self._count(),
            client=self._client(),
            location=self._location(),
            certs=self._certs(),
            shift=self._shift(),
            start=self._start(),
            skills=self._skills(),
            style=self._draft.style if self._draft else None,
            spans=self._spans,
        )
        return with_missing(demand)

    def _role(self) -> str | None:
        if self._draft is None or self._draft.role.end == self._draft.role.start:
            return None
        span = (self._draft.role.start, self._draft.role.end)
        title = singular(" ".join(self._reading.text[slice(*span)].split()))
        # "Need 2 people in Detroit MI": where and when is all that anybody can be held against.
        if states_no_role(title):
            return None
        self._spans["role"] = span
        return title

    def _count(self) -> int:
        count = self._draft.count if self._draft else None
        if count is None:
            return 1
        self._spans["count"] = (count.start, count.end)
        return count.value

    def _client(self) -> str | None:
        client = self._draft.client if self._draft else None
        if client is None:
            return None
        self._spans["client"] = (client.start, client.end)
        return client.name

    def _location(self) -> Location | None:
        place = (self._draft.place if self._draft else None) or self._place_elsewhere()
        if place is None:
            return None
        self._spans["location"] = (place.start, place.end)
        return place.location

    def _place_elsewhere(self) -> PlaceMatch | None:
        """Return the place that another sentence names, one with a state before one without."""
        places = [self._reading.places[mark.nth] for mark in self._marks("place")]
        if self._draft is None:
            text = self._reading.text
            places = [place for place in places if place.known and place.location.city and text[place.start].isupper()]
        return next((place for place in places if place.location.state), places[0] if places else None)

    def _certs(self) -> list[str]:
        found: dict[str, Span] = {}
        for mark in self._marks("cert"):
            name = self._reading.certs[mark.nth].name
            if not (self._in_role(mark) and self._certifications.names_role(name)):
                found.setdefault(name, (mark.start, mark.end))
        self._put("certs", list(found.values()))
        return list(found)

    def _shift(self) -> str | None:
        for mark in self._marks("shift"):
            shift = self._reading.shifts[mark.nth]
            if shift.explicit or not self._in_role(mark):
                self._spans["shift"] = (mark.start, mark.end)
                return shift.shift
        return None

    def _start(self) -> str | None:
        if self._draft is None:
            return None
        marks = [mark for mark in self._marks("when") if not self._in_role(mark)]
        segment = self._draft.segment
        beside = [mark for mark in marks if segment.start <= mark.start < segment.end]
        moments = [self._reading.moments[mark.nth] for mark in beside or marks]
        start = _when.pick(moments, self._reading.text)
        if start is None:
            return None
        self._spans["start"] = (start.start, start.end)
        return start.value

    def _skills(self) -> list[str]:
        if self._draft is None:
            return []
        taken = [span for field, span in self._spans.items() if field != "certs"]
        found = skills_in(self._reading, *self._scope, taken)
        self._put("skills", [(skill.start, skill.end) for skill in found])
        return [skill.name for skill in found]

    def _marks(self, kind: Kind) -> Iterator[Mark]:
        """Yield the marks of a kind that stand in the body of the demand and outside of the client's name."""
        first, last = self._spans.get("client", (0, 0))
        for mark in self._reading.between(*self._scope, kind):
            inside = first <= mark.start < last
            if not inside and any(one.start <= mark.start < one.end for one in self._reading.segments):
                yield mark

    def _in_role(self, mark: Mark) -> bool:
        first, last = self._spans.get("role", (0, 0))
        return first <= mark.start < last

    def _put(self, field: str, spans: list[Span]) -> None:
        """Note where a list was read: from its first to its last item, or the first where others lie between."""
        if not spans:
            return
        first, last = min(spans)[0], max(spans)[1]
        others = (span for name, span in self._spans.items() if name != field)
        clear = all(end <= first or start >= last for start, end in others)
        self._spans[field] = (first, last) if clear else spans[0]


def with_missing(demand: Demand) -> Demand:
    """Return the demand with `missing` filled in: what a coordinator would still ask the client for.

    In this order: `role`, `count`, `location` (also when its city or state is not said), `start`, `shift`,
    `client`. Certifications and skills are never missing: many jobs ask for none.
    """
    place = demand.location
    said = {
        "role": demand.role is not None,
        "count": "count" in demand.spans,
        "location": place is not None and place.city is not None and place.state is not None,
        "start": demand.start is not None,
        "shift": demand.shift is not None,
        "client": demand.client is not None,
    }
    return msgspec.structs.replace(demand, missing=[field for field, is_said in said.items() if not is_said])
