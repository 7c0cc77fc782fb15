"""How good search is on generated rosters, of which the truth is known.

    python -m lakehouse.evals.search_quality --workers 5000 --others 10000 --asks 200
    python -m lakehouse.evals.search_quality --part names --workers 1000

Three parts, each on a lake of its own in a temporary folder:

    demands  of the top 10 for demands that 10 or more people fit, how many meet everything stated; whether
             `no_good_match` is true where nobody fits, and never where somebody does
    names    the same roster with every name, phone and email swapped gives the same answers, byte for byte
    fresh    a worker added while serving is first for their own text and resume, on the next request

Everything goes through the public object; the truth comes from the roster file alone (`_roster_asks`).
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec

from lakehouse import settings
from lakehouse.app import Lakehouse, connect
from lakehouse.evals._roster_asks import Ask, Truth, asks, known_places, read_people, read_rows
from lakehouse.staffing import roster, worker
from lakehouse.vectors.base import Item

TEXT_COLUMNS = ("role", "skills", "certs", "resume")
METADATA_COLUMNS = tuple(
    "name role role_code skills certs cert_expiry years city state lat lon shifts available_from pay_hourly phone "
    "email resume".split()
)
# Each corpus with its prefix; the second roster takes the seed after the first one's.
CORPORA = {"workers": "w-", "ethereal_workers": "e-"}
_SWAPPED = ("name", "phone", "email")
_TOP = 10


class Demands(msgspec.Struct, frozen=True, kw_only=True):
    """What search made of demands.

    Attributes:
        plenty, few, none: How many demands 10 or more, 1 to 9, and no people fit.
        satisfied: Mean number of the top 10 that meet everything stated, over `plenty`.
        later: Over `plenty`, how many of the top 10 on average are not available yet.
        below_nine: Demands of `plenty` with fewer than 9 such.
        missed: Over `plenty`, which stated thing the others lack, and how often.
        found: Of the people who fit the demands of `few`, the share in the top 10.
        honest: Share of `none` for which `no_good_match` is true.
        hidden: Demands that somebody fits and `no_good_match` is true.
        median_ms: Median time of one search, the first time its text is seen.
        failures: Demands behind `below_nine`, `hidden` and dishonest answers, with what went wrong.
    """

    plenty: int
    few: int
    none: int
    satisfied: float
    later: float
    below_nine: int
    missed: dict[str, int]
    found: float
    honest: float
    hidden: int
    median_ms: float
    failures: list[str]


class Names(msgspec.Struct, frozen=True):
    """How many queries were asked of both rosters, and which gave another answer."""

    queries: int
    different: list[str]


class Fresh(msgspec.Struct, frozen=True):
    """How many workers were added, and the ids of those who were not first: for what is embedded, for their resume."""

    added: int
    not_first: list[str]
    not_first_by_resume: list[str]


@contextmanager
def lake_of(rosters: dict[str, Path], folder: Path) -> Iterator[Lakehouse]:
    """Open a new lake in `folder` with a corpus of each roster CSV."""
    with connect(folder) as lake:
        for name, file in rosters.items():
            lake.ingest.file(file, name, "text/csv")
            lake.corpora.build(
                name=name,
                dataset=name,
                id_column="id",
                id_prefix=CORPORA[name],
                text_columns=list(TEXT_COLUMNS),
                metadata_columns=list(METADATA_COLUMNS),
            )
        yield lake


def measure_demands(lake: Lakehouse, truth: Truth, kinds: dict[str, list[Ask]], corpora: Sequence[str]) -> Demands:
    """Search for every demand and hold the answers against the truth."""
    satisfied: list[int] = []
    later: list[int] = []
    missed: Counter[str] = Counter()
    found = honest = hidden = 0
    took: list[float] = []
    failures: list[str] = []
    for kind, listed in kinds.items():
        for ask in listed:
            began = datetime.now(UTC)
            answer = lake.matrix.search(ask.text, list(corpora), k=_TOP)
            took.append((datetime.now(UTC) - began).total_seconds() * 1000)
            unmet = [truth.unmet(truth.people[match.id], ask) for match in answer.results]
            met = sum(not lacking for lacking in unmet)
            if ask.fitting and answer.no_good_match:
                hidden += 1
                failures.append(f"{len(ask.fitting)} fit, but no good match: {ask.text}")
            if kind == "plenty":
                satisfied.append(met)
                later.append(sum(match.id in ask.later for match in answer.results))
                missed.update(lack for lacking in unmet for lack in lacking)
                if met < _TOP - 1:
                    failures.append(f"{met} of {_TOP} fit: {ask.text}")
            elif kind == "few":
                found += sum(match.id in ask.fitting for match in answer.results)
            else:
                honest += answer.no_good_match
                if not answer.no_good_match:
                    failures.append(f"nobody fits, but {_described(answer.results)}: {ask.text}")
    return Demands(
        plenty=len(kinds["plenty"]),
        few=len(kinds["few"]),
        none=len(kinds["none"]),
        satisfied=statistics.fmean(satisfied) if satisfied else 0.0,
        later=statistics.fmean(later) if later else 0.0,
        below_nine=sum(met < _TOP - 1 for met in satisfied),
        missed=dict(missed.most_common()),
        found=found / max(1, sum(len(ask.fitting) for ask in kinds["few"])),
        honest=honest / max(1, len(kinds["none"])),
        hidden=hidden,
        median_ms=statistics.median(took) if took else 0.0,
        failures=failures,
    )


def _described(results: Sequence[Any]) -> str:
    best = max(results, key=lambda match: match.rating or 0)
    return f"{best.id} is rated {best.rating} ({'; '.join(best.reasons)})"


def measure_names(file: Path, queries: Sequence[str], scratch: Path) -> Names:
    """Ask the same queries of a roster and of the same one with names swapped; compare the answers' bytes.

    Args:
        file: A roster CSV.
        queries: Texts.
        scratch: A folder for both lakes.
    """
    swapped = scratch / "swapped.csv"
    swap_names(file, swapped)
    answers = []
    for number, each in enumerate((file, swapped)):
        with lake_of({"workers": each}, scratch / f"names-{number}") as lake:
            answers.append([_bytes(lake, query) for query in queries])
    return Names(len(queries), [query for query, one, two in zip(queries, *answers, strict=True) if one != two])


def swap_names(source: Path, target: Path) -> None:
    """Copy a roster CSV with every person's name, phone and email replaced by the next person's."""
    rows = read_rows(source)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row, following in zip(rows, [*rows[1:], rows[0]], strict=True):
            writer.writerow({**row, **{column: following[column] for column in _SWAPPED}})


def _bytes(lake: Lakehouse, query: str) -> bytes:
    """Return an answer without what was swapped and what names the request."""
    answer = msgspec.to_builtins(lake.matrix.search(query, ["workers"], k=50))
    del answer["trace_id"]
    for match in answer["results"]:
        for column in _SWAPPED:
            match["metadata"].pop(column, None)
    return msgspec.json.encode(answer, order="deterministic")


def measure_fresh(lake: Lakehouse, fresh: Sequence[dict[str, str]], corpora: Sequence[str]) -> Fresh:
    """Add the rows of a roster one by one to the first corpus, and look for each on the very next request.

    Once in the index by the text that is embedded, which shows whether a late item is found at all; once in all
    corpora by the resume alone, which is a part of that text and has to tell its worker from all others.
    """
    not_first: list[str] = []
    by_resume: list[str] = []
    for row in fresh:
        id = f"{CORPORA[corpora[0]]}fresh-{row['id']}"
        text = ". ".join(row[column].strip().rstrip(".") for column in TEXT_COLUMNS if row[column])
        lake.vectors.add(corpora[0], [Item(id=id, text=text, metadata=worker.metadata(row, METADATA_COLUMNS))])
        nearest = lake.vectors.search(corpora[0], 1, text=text).results
        matches = lake.matrix.search(row["resume"], list(corpora), k=1).results
        if not nearest or nearest[0].id != id:
            not_first.append(id)
        if not matches or matches[0].id != id:
            by_resume.append(id)
    return Fresh(len(fresh), not_first, by_resume)


def main(argv: Sequence[str] | None = None) -> None:
    """Generate rosters, run the parts and print what they found."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--part", choices=("demands", "names", "fresh"), action="append", help="all by default")
    options.add_argument("--workers", type=int, default=5_000, help="people in the first corpus")
    options.add_argument("--others", type=int, default=10_000, help="people in the second, 0 for none")
    options.add_argument("--asks", type=int, default=200, help="demands of each kind, and fresh workers")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--failures", type=int, default=10, help="how many to print")
    chosen = options.parse_args(argv)
    parts = chosen.part or ["demands", "fresh", "names"]
    with tempfile.TemporaryDirectory() as folder:
        run = _Run(Path(folder), chosen, datetime.now(UTC).date())
        if {"demands", "fresh"} & set(parts):
            run.on_both_corpora(parts)
        if "names" in parts:
            run.names()


class _Run:
    """One run: files below `folder`, rosters whose "today" is the day searches go by."""

    def __init__(self, folder: Path, chosen: argparse.Namespace, today: date) -> None:
        self._folder = folder
        self._chosen = chosen
        self._today = today
        sizes = {"workers": chosen.workers, "ethereal_workers": chosen.others}
        self._files = {
            name: self._roster(name, sizes[name], chosen.seed + number)
            for number, name in enumerate(CORPORA)
            if sizes[name]
        }

    def _roster(self, name: str, workers: int, seed: int) -> Path:
        file = self._folder / f"{name}.csv"
        roster.write(file, workers, seed, "csv", reference=self._today)
        return file

    def _truth(self) -> Truth:
        people = [person for name, file in self._files.items() for person in read_people(file, CORPORA[name])]
        return Truth(people, on=self._today, near_km=settings.Matrix().near_km)

    def on_both_corpora(self, parts: Sequence[str]) -> None:
        """Measure demands and fresh workers on one lake."""
        truth = self._truth()
        with lake_of(self._files, self._folder / "lake") as lake:
            if "demands" in parts:
                kinds = asks(
                    truth, known_places(truth.people.values()), number=self._chosen.asks, seed=self._chosen.seed
                )
                self._print_demands(measure_demands(lake, truth, kinds, [*self._files]))
            if "fresh" in parts:
                file = self._roster("fresh", self._chosen.asks, self._chosen.seed + len(CORPORA))
                fresh = measure_fresh(lake, read_rows(file), [*self._files])
                print(
                    f"{fresh.added - len(fresh.not_first)} of {fresh.added} fresh workers first by their text, "
                    f"{fresh.added - len(fresh.not_first_by_resume)} by their resume"
                )

    def names(self) -> None:
        """Measure what names change."""
        truth = self._truth()
        kinds = asks(truth, known_places(truth.people.values()), number=self._chosen.asks // 3, seed=self._chosen.seed)
        queries = [ask.text for kind in kinds.values() for ask in kind]
        names = measure_names(self._files["workers"], queries, self._folder)
        print(f"{len(names.different)} of {names.queries} answers change when every name is swapped")

    def _print_demands(self, found: Demands) -> None:
        print(f"{found.plenty} demands that 10 or more fit: {found.satisfied:.3f} of the top 10 meet everything")
        print(
            f"  not available yet: {found.later:.2f}; below 9: {found.below_nine}; lacking: {found.missed or 'nothing'}"
        )
        print(f"{found.few} demands that 1 to 9 fit: {found.found:.1%} of those who do are in the top 10")
        print(f"{found.none} demands that nobody fits: no_good_match on {found.honest:.1%}")
        print(f"fitting people hidden by no_good_match: {found.hidden} demands")
        print(f"median search, text seen for the first time: {found.median_ms:.1f} ms")
        for failure in found.failures[: self._chosen.failures]:
            print(f"  {failure}")


if __name__ == "__main__":
    main()
