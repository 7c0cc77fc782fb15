"""What the demo tells, step by step; every claim is checked before it is made."""

from __future__ import annotations

import csv
import gzip
import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lakehouse.cli import demands, matches, showing

if TYPE_CHECKING:
    from lakehouse.app import Lakehouse
    from lakehouse.cli._narration import Narrator
    from lakehouse.matrix.base import Match, SearchAnswer

# Corpus and dataset of the same name, and the prefix of its ids.
CORPORA = {"workers": "w-", "ethereal_workers": "e-"}
NAMESPACE = "demo"

FORKLIFT = "50 forklift operators in Cleveland, Monday day shift, OSHA-30"
SAME_NEED = "Beacon Freight is looking for 50 lift truck drivers in Cleveland OH, days from Monday, OSHA-30"
OTHER_ROLE = "Beacon Freight needs 10 order pickers in Cleveland OH, Monday day shift"
NOBODY = "Need 2 marine radar technicians in Bozeman MT"

# Five of the real contracts that ship with the product: five states, five roles, 20 to 100 people.
CASES = (
    "H-400-16127-953825",
    "H-400-15320-211927",
    "H-400-17324-369139",
    "H-400-15334-780812",
    "H-400-14307-972221",
)
_SAMPLE = "h2b_demands_sample.csv.gz"
_GOOD = 4
_SHOWN = 6
_REPLACED = 10


class Story:
    """The steps, in order. Each uses what the steps before it found.

    Args:
        lake: Holds both corpora.
        narrator: Prints, and keeps what did not hold.
    """

    def __init__(self, lake: Lakehouse, narrator: Narrator) -> None:
        self._lake = lake
        self._tell = narrator
        self._seen: set[tuple[str, str]] = set()

    def tell(self) -> None:
        """Tell everything."""
        self._forget()
        first = self.forklift()
        self.contracts()
        self.nobody()
        chosen = self.record(first)
        self.remembered(chosen)
        self.other_role()
        self.replacements(first)
        self.question()
        self.no_phantoms()

    def _forget(self) -> None:
        for entry in self._lake.playbooks.list(NAMESPACE).entries:
            self._lake.playbooks.delete(entry.id)

    def forklift(self) -> SearchAnswer:
        """Show a demand understood, and who can go."""
        self._tell.step(
            "A client's line, as it comes in",
            "Rules and vocabularies read it in well under a millisecond: no model, no key, and a field that the text"
            " does not state stays empty.",
        )
        self._tell.quote(FORKLIFT)
        demand = self._lake.demand.parse(FORKLIFT)
        demands.table(demand, FORKLIFT)
        self._tell.step(
            "Who can go",
            "Stated requirements come first, then nearness in meaning. Distance (0 is identical) and the rating"
            " against the original ask (5 is everything met) stand side by side, with the reasons.",
        )
        answer = self._ask(FORKLIFT, k=demand.count)
        matches.table(answer.results[:_SHOWN])
        good = _good(answer.results)
        self._tell.say(
            f"{len(answer.results)} proposed for {demand.count} places, {_SHOWN} shown; {good} of them are rated"
            f" {_GOOD} or 5."
            + (f" For the other {demand.count - good} the reasons say what is lacking." if good < demand.count else "")
        )
        return answer

    def contracts(self) -> None:
        """Show five real contracts, one line each."""
        self._tell.step(
            "Five real contracts",
            "From the public H-2B record of 2015 to 2018: role, place and client as the employers wrote them, less the"
            " dates, which are past. One row each: the first match, and how many of the first ten are rated 4 or 5.",
        )
        rows = []
        for line in contract_lines(CASES):
            answer = self._ask(line, k=10)
            asked = line.removeprefix("Need ").partition(" for ")[0]
            code = self._lake.demand.parse(line).role_code
            rows.append([asked, code, *_first(answer), _good(answer.results)])
        columns = (
            showing.Column("asked for", wraps=True),
            showing.Column("role code"),
            showing.Column("first"),
            showing.Column("role", wraps=True),
            showing.Column("city", wraps=True),
            showing.Column("distance", right=True),
            showing.Column("rating", right=True),
            showing.Column("good", right=True),
        )
        showing.table(columns, rows)

    def nobody(self) -> None:
        """Show a demand that nobody meets."""
        self._tell.step(
            "Nobody fits",
            "A search always finds somebody nearest. What matters is that it says so when nearest is not good.",
        )
        self._tell.quote(NOBODY)
        answer = self._ask(NOBODY, k=5)
        matches.table(answer.results[:3])
        self._tell.claim(
            answer.no_good_match,
            "The answer is marked no_good_match: we have nobody good for this, and the ratings say why.",
            "the search calls somebody a good match for a marine radar technician in Bozeman",
        )

    def record(self, first: SearchAnswer) -> Match:
        """Remember somebody for the forklift demand who was not first."""
        self._tell.step(
            "What worked is remembered",
            "A coordinator sends somebody from farther down the list, it works out, and one click (or one call)"
            " records it for this demand.",
        )
        chosen = _from_farther_down(first.results[:_SHOWN])
        done = self._lake.playbooks.record(FORKLIFT, chosen.id, chosen.corpus, 1.0, namespace=NAMESPACE)
        self._tell.say(
            f"{chosen.id} ({chosen.metadata.get('name')}), number {_rank(first, chosen)} on the list above, recorded"
            f" as entry {done.playbook_id}."
        )
        return chosen

    def remembered(self, chosen: Match) -> None:
        """Ask for the same in other words, without and with memory."""
        self._tell.step(
            "The next coordinator gains by it, in other words",
            "Nothing in this line repeats the first one's wording of the role. Memory goes by meaning: a remembered"
            " answer to a like demand moves closer (boost), or is put in when it is missing (inject).",
        )
        self._tell.quote(SAME_NEED)
        before = _rank(self._ask(SAME_NEED, k=50), chosen)
        answer = self._ask(SAME_NEED, k=50, memory=True)
        after = _rank(answer, chosen)
        matches.table(answer.results[:4])
        self._tell.claim(
            _effect(answer, chosen) in {"boost", "inject"} and 0 < after < (before or len(answer.results) + 1),
            f"{chosen.id} stands at number {after}; without memory at number {before}."
            if before
            else f"{chosen.id} stands at number {after}; without memory not among the first 50.",
            f"memory did not bring {chosen.id} forward: number {before} without it, {after} with it (0 is absent)",
        )

    def other_role(self) -> None:
        """Ask for another role of the same client."""
        self._tell.step(
            "It never leaks into another role",
            "Same client, same city, same Monday, another role. The role gate keeps the memory of forklift operators"
            " out, whatever the likeness of the words.",
        )
        self._tell.quote(OTHER_ROLE)
        without, answer = self._ask(OTHER_ROLE, k=10), self._ask(OTHER_ROLE, k=10, memory=True)
        matches.table(answer.results[:3])
        self._tell.claim(
            answer.results == without.results and not answer.boosted + answer.injected,
            "Moved closer: 0, put in: 0. All ten results are the same, digit for digit, with memory on and off.",
            f"memory touched another role: {answer.boosted} moved, {answer.injected} put in",
        )

    def replacements(self, first: SearchAnswer) -> None:
        """Ask again for others than the first ten."""
        self._tell.step(
            "Replacements",
            f"The client wants others than the first {_REPLACED}. Excluded people come back by no way: not by"
            " search, not by boost, not by inject.",
        )
        placed = {match.id for match in first.results[:_REPLACED]}
        answer = self._ask(FORKLIFT, k=_REPLACED, memory=True, exclude=sorted(placed))
        matches.table(answer.results[:3])
        found = {match.id for match in answer.results}
        self._tell.claim(
            bool(found) and not placed & found,
            f"{len(found)} replacements, {len(placed & found)} of them among the {len(placed)} excluded.",
            f"excluded people came back: {', '.join(sorted(placed & found)) or 'nobody was found at all'}",
        )

    def question(self) -> None:
        """Ask the roster a question in SQL."""
        self._tell.step(
            "The same roster, in SQL",
            "What was ingested is a table as well: where do we have forklift operators, and how many hold OSHA-30?",
        )
        self._tell.quote(_QUESTION)
        result = self._lake.sql.query(_QUESTION)
        columns = [showing.Column(each.name, right=at > 0) for at, each in enumerate(result.columns)]
        showing.table(columns, result.rows)

    def no_phantoms(self) -> None:
        """Look up everybody who was shown."""
        self._tell.step(
            "No phantom people",
            "Every id that any answer above held is looked up in the roster it claims to come from.",
        )
        found = 0
        for corpus, prefix in CORPORA.items():
            ids = sorted({id for name, id in self._seen if name == corpus})
            listed = ", ".join("'" + id.replace("'", "''") + "'" for id in ids)
            if ids:
                sql = f"SELECT count(*) FROM {corpus} WHERE concat('{prefix}', id) IN ({listed})"  # noqa: S608
                found += self._lake.sql.query(sql).rows[0][0]
        self._tell.claim(
            found == len(self._seen),
            f"{len(self._seen)} people in the answers, {found} in the roster.",
            f"{len(self._seen) - found} of {len(self._seen)} people in the answers are in no roster",
        )

    def _ask(self, text: str, *, k: int, memory: bool = False, exclude: Sequence[str] = ()) -> SearchAnswer:
        answer = self._lake.matrix.search(
            text, list(CORPORA), k=k, use_playbook=memory, playbook=NAMESPACE, exclude_ids=list(exclude)
        )
        self._seen.update((match.corpus, match.id) for match in answer.results)
        return answer


_QUESTION = (
    "SELECT state, count(*) AS forklift_operators, count(*) FILTER (certs LIKE '%OSHA-30%') AS with_osha_30"
    " FROM ethereal_workers WHERE role_code = '53-7051.00' GROUP BY state ORDER BY 2 DESC, 1 LIMIT 5"
)


def contract_lines(cases: Iterable[str]) -> list[str]:
    """Return shipped H-2B contracts as demand lines, in the order of `cases`: role, place and client as written."""
    from lakehouse.staffing.shipped import shipped

    with gzip.open(shipped(_SAMPLE), "rt", encoding="utf-8", newline="") as file:
        rows = {row["case_number"]: row for row in csv.DictReader(file)}
    return [
        "Need {workers_requested} {job_title}{s} in {worksite_city} {worksite_state} for {employer_name}".format_map(
            {**rows[case], "s": "S" if rows[case]["job_title"].isupper() else "s"}
        )
        for case in cases
    ]


def _good(results: Sequence[Match]) -> int:
    return sum((match.rating or 0) >= _GOOD for match in results)


def _from_farther_down(shown: Sequence[Match]) -> Match:
    """Return the last good match that memory can bring forward: one who meets as much as the one before."""
    equals = [match for before, match in itertools.pairwise(shown) if match.rating == before.rating]
    good = [match for match in equals if (match.rating or 0) >= _GOOD]
    return (good or equals or shown[1:])[-1]


def _first(answer: SearchAnswer) -> list[Any]:
    if not answer.results:
        return ["nobody", "", "", "", ""]
    first = answer.results[0]
    home = ", ".join(str(first.metadata.get(key)) for key in ("city", "state"))
    return [first.id, first.metadata.get("role"), home, f"{first.distance:.3f}", first.rating]


def _rank(answer: SearchAnswer, wanted: Match) -> int:
    """Return where somebody stands, from 1; 0 when absent."""
    places = [(match.corpus, match.id) for match in answer.results]
    key = (wanted.corpus, wanted.id)
    return places.index(key) + 1 if key in places else 0


def _effect(answer: SearchAnswer, wanted: Match) -> str:
    for match in answer.results:
        if (match.corpus, match.id) == (wanted.corpus, wanted.id):
            return match.memory.effect if match.memory else "none"
    return ""
