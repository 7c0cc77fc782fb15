"""Asking for people for a demand: a ranked list, and what it would find if it asked for less."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from typing import Annotated, Any

import msgspec

from lakehouse.demands.base import OUT, Candidate, OpenDemand, Relaxation, Relaxed
from lakehouse.demands.desk import Desk
from lakehouse.errors import InvalidInput
from lakehouse.matrix.base import Match, SearchAnswer
from lakehouse.staffing.need import Fields, fields_of, need_line
from lakehouse.vectors.base import Condition, Filter, Place

Names = Annotated[list[Annotated[str, msgspec.Meta(min_length=1)]], msgspec.Meta(max_length=32)]
K = Annotated[int, msgspec.Meta(ge=1, le=1_000)]
# Matches rated so are good; only the first hundred of a search are rated.
_GOOD = 4
_RATED = 100
_KM = (80, 160)
_LATER_DAYS = 7
_SHOWN = 5


class Asking:
    """Searches for demands.

    Args:
        desk: The rows and what stands around them.
        search: `matrix.search` with its arguments by name, watched as everybody's.
        corpora: Names of all corpora.
    """

    def __init__(
        self, desk: Desk, *, search: Callable[..., SearchAnswer], corpora: Callable[[], Sequence[str]]
    ) -> None:
        self._desk = desk
        self._search = search
        self._corpora = corpora

    def candidates(
        self,
        id: str,
        k: K = 10,
        corpora: Names = [],  # noqa: B006 - never changed; the request type needs a value
        use_playbook: bool = True,
    ) -> SearchAnswer:
        """Find people for a demand, without those filled, excluded from it or not wanted back by its client.

        Args:
            id: Of the demand.
            k: At most so many; the first 100 are rated.
            corpora: Where to look; everywhere when empty.
            use_playbook: Whether memory may act.

        Raises:
            NotFound: There is no such demand or corpus.
            InvalidInput: There is nobody to search yet.
        """
        found = self._desk.get(id)
        gone = _out(found) + [each.id for each in found.people if each.stage == "filled"]
        return self._ask(found, found.line, k=k, corpora=corpora, exclude_ids=gone, use_playbook=use_playbook)

    def _ask(self, found: OpenDemand, line: str, *, corpora: Sequence[str], **more: Any) -> SearchAnswer:
        among = list(corpora) or list(self._corpora())
        if not among:
            raise InvalidInput("there is nobody to search yet; make a corpus first", field="corpora")
        # What stands in a demand is one, however long and in whatever form.
        return self._search(
            query_text=line, corpora=among, query_role=found.demand.role, playbook=found.namespace, **more
        )

    def relax(self, id: str, corpora: Names = []) -> Relaxed:  # noqa: B006 - never changed
        """Ask again for less of what a demand asks, and count the good matches that it does not find itself.

        Farther away, a week later, on any shift, and without each certification; every one by a search of its own,
        rated against what it asks. At most 100 matches of each are looked at.

        Args:
            id: Of the demand.
            corpora: Where to look; everywhere when empty.

        Raises:
            NotFound: There is no such demand or corpus.
            InvalidInput: There is nobody to search yet.
        """
        found = self._desk.get(id)
        out = _out(found)

        def good(line: str, filter: Filter | None = None) -> list[Match]:
            answer = self._ask(found, line, k=_RATED, corpora=corpora, exclude_ids=out, filter=filter)
            return [match for match in answer.results if (match.rating or 0) >= _GOOD]

        known = {match.id for match in good(found.line)}
        made: list[Relaxation] = []
        for what, line, filter in self._less(found):
            more = [match for match in good(line, filter) if match.id not in known]
            people = [Candidate(match.corpus, match.id) for match in more[:_SHOWN]]
            made.append(Relaxation(what=what, line=line, more=len(more), people=people))
        return Relaxed(good=len(known), relaxations=sorted(made, key=lambda one: -one.more))

    def _less(self, found: OpenDemand) -> Iterator[tuple[str, str, Filter | None]]:
        fields = fields_of(found.demand)
        place = found.demand.location
        if place is not None and place.city and place.lat is not None and place.lon is not None:
            anywhere = need_line(msgspec.structs.replace(fields, city="", state=""))
            for km in _KM:
                around = Condition(key="location", within_km=float(km), of=Place(place.lat, place.lon))
                yield f"within {km} km", anywhere, Filter(must=[around])
        if found.starts:
            yield _later(found, fields)
        if fields.shift:
            yield "on any shift", need_line(msgspec.structs.replace(fields, shift="")), None
        for cert in found.demand.certs:
            others = ", ".join(name for name in found.demand.certs if name != cert)
            yield f"without {cert}", need_line(msgspec.structs.replace(fields, certs=others)), None


def _later(found: OpenDemand, fields: Fields) -> tuple[str, str, None]:
    day = (date.fromisoformat(found.starts) + timedelta(days=_LATER_DAYS)).isoformat()
    return "a week later", need_line(msgspec.structs.replace(fields, start=day)), None


def _out(found: OpenDemand) -> list[str]:
    excluded = [each.id for each in found.people if each.stage in OUT]
    return list(dict.fromkeys([*excluded, *found.barred]))
