"""Why somebody is not among the matches: what the same search says of them, and whom they stand behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from lakehouse.app import Lakehouse
from lakehouse.errors import NotFound
from lakehouse.matrix.base import Match, SearchAnswer
from lakehouse.serve.console import people
from lakehouse.serve.console.people import Somebody
from lakehouse.vectors.base import Condition, Filter

# So many people of one name are told apart.
NAMESAKES = 100


class WhyNot(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say of one person; `people` instead, when several may be meant."""

    asked: str
    people: list[Somebody] = []
    somebody: Somebody | None = None
    facts: list[str] = []


def explain(
    lake: Lakehouse,
    text: str,
    *,
    answer: SearchAnswer,
    excluded: Sequence[str],
    search: Callable[[Filter], SearchAnswer],
) -> WhyNot:
    """Explain one person's absence from an answer, or their place in it.

    Args:
        lake: Where the person is looked up.
        text: A name or an id.
        answer: What the search found.
        excluded: Ids of people left out by the coordinator.
        search: The same search among those who pass a filter, nobody left out.

    Raises:
        NotFound: Nobody has this name or id.
    """
    found = people.find(lake, lake.corpora.list().corpora, text)
    if not found:
        raise NotFound(f"Nobody on the roster has the name or id “{text[:60]}”.", field="why")
    if len(found) > 1:
        return WhyNot(asked=text, people=found)
    one = found[0]
    place = next((at for at, match in enumerate(answer.results, 1) if match.id == one.id), 0)
    if place:
        return WhyNot(asked=text, somebody=one, facts=[f"is match {place}"])
    facts = ["was left out by you for this demand"] if one.id in excluded else []
    match = _alone(one, search)
    if match is None:
        facts.append("is in the roster but not in what was searched; rebuild the group of people on the Lake page")
        return WhyNot(asked=text, somebody=one, facts=facts)
    facts += _against(match, answer)
    facts += [f"memory: {each.reason}" for each in answer.dropped if each.answer_id == one.id]
    return WhyNot(asked=text, somebody=one, facts=facts)


def _alone(one: Somebody, search: Callable[[Filter], SearchAnswer]) -> Match | None:
    among = search(Filter(must=[Condition(key="name", match=one.name)]))
    return next((match for match in among.results if match.id == one.id), None)


def _against(match: Match, answer: SearchAnswer) -> list[str]:
    rated = "not rated" if match.rating is None else f"rated {match.rating} of 5"
    facts = [f"{rated} against this demand, distance {match.distance:.3f}", *match.reasons]
    if answer.results:
        last = answer.results[-1]
        name = last.metadata.get("name") or last.id
        rating = "not rated" if last.rating is None else f"rated {last.rating}"
        facts.append(f"the last one shown, {name}, is {rating} at distance {last.distance:.3f}")
        if match.rating is not None and last.rating is not None and match.rating >= last.rating:
            facts.append("fits no worse than the last one shown; ask for more matches to see them")
    return facts
