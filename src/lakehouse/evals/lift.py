"""What memory does for real demands: cold, warm, paraphrase and re-judge passes, bleed, handover, poison.

    python -m lakehouse.evals.lift --out report --years 2018

The judge is the product's own rating by rules; among equals it takes the most years of experience, which neither search
nor rating looks at: that is the coordinator who knows somebody better. Everything goes through the public object.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import msgspec

from lakehouse import settings
from lakehouse.app import Lakehouse, connect
from lakehouse.errors import InvalidInput
from lakehouse.evals import _lift_demands as demands
from lakehouse.evals._demand_rows import Rows, rows
from lakehouse.evals._lift_checks import Checks
from lakehouse.evals._lift_demands import Part
from lakehouse.evals._lift_shapes import Drawn, Query, Report, Share, Top
from lakehouse.evals._paraphrase import Paraphraser
from lakehouse.evals.demand_lines import contracts_of
from lakehouse.evals.search_quality import METADATA_COLUMNS, TEXT_COLUMNS
from lakehouse.memory.base import NewPlaybook
from lakehouse.staffing import roster
from lakehouse.staffing.places import Places
from lakehouse.staffing.roles import Roles

CORPUS = "workers"
NAMESPACE = "lift"
K = 10
INSTRUCTIONS = "You help a staffing agency. Do as you are asked, in as few words as possible."
# The judge records nobody who is rated worse: who lacks the role or a certification did not work out.
_WORKS = 3


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure on.

    Attributes:
        rows: CSV of demands, see `_demand_rows.rows`; the shipped sample when None.
        years: Fiscal years the demands are drawn from.
        demands, clusters: At least so many, as far as there are.
        people: From anywhere, besides those near each demand.
        each: People of every wanted occupation in its city.
        poison: Hostile entries, 0 for none.
        part: All clients, or one half of them; memory is tuned on `tune` and never on `held`.
    """

    rows: Path | None = None
    years: tuple[str, ...] = ("2018",)
    demands: int = 400
    clusters: int = 100
    people: int = 1_000
    each: int = 6
    poison: int = 1_000
    seed: int = 1
    part: Part = "all"


@contextmanager
def lake_of(file: Path, folder: Path) -> Iterator[Lakehouse]:
    """Open a new lake with one corpus of a roster, on the day the roster is of."""
    with reopened(folder) as lake:
        lake.ingest.file(file, CORPUS, "text/csv")
        lake.corpora.build(
            name=CORPUS,
            dataset=CORPUS,
            id_column="id",
            id_prefix="w-",
            text_columns=list(TEXT_COLUMNS),
            metadata_columns=list(METADATA_COLUMNS),
        )
        yield lake


@contextmanager
def reopened(folder: Path) -> Iterator[Lakehouse]:
    """Open the lake of a folder under default settings, at noon of the roster's day."""
    noon = datetime.combine(roster.REFERENCE, time(12), UTC)
    config = settings.load(environ={}, overrides={"data": str(folder)})
    with connect(config=config, clock=lambda: noon) as lake:
        yield lake


def best_of(results: Sequence[Any]) -> int:
    """Return the position of the judge's choice: best rated, then most years of experience, then first."""
    return max(
        range(len(results)),
        key=lambda at: (results[at].rating or 0, results[at].metadata.get("years") or 0, -at),
    )


class Passes:
    """The passes over one lake.

    Args:
        lake: With the corpus `workers` and no memory.
        wanted: The demands.
        paraphraser: Says them in other words.
        seed: Of the paraphrases.
        opinion: Demand text and metadata to a rating by a chat model, None when it gave none.
    """

    def __init__(
        self,
        lake: Lakehouse,
        wanted: Sequence[demands.Wanted],
        paraphraser: Paraphraser,
        seed: int,
        opinion: Callable[[str, dict[str, Any]], int | None] | None = None,
    ) -> None:
        self._lake = lake
        self.wanted = wanted
        self.opinion = opinion
        self.paraphrases = [
            paraphraser.all(each.line, each.code, seed * 100_003 + number) for number, each in enumerate(wanted)
        ]
        self.cold: list[Any] = []
        self.recorded: list[Any] = []
        self.boosts = self.injects = 0
        self.changes: list[float] = []

    def search(self, text: str, namespace: str | None = NAMESPACE) -> Any:
        """Search with the memory of a namespace, or without memory."""
        return self._lake.matrix.search(
            text, [CORPUS], k=K, use_playbook=namespace is not None, playbook=namespace or "x"
        )

    def run_cold(self) -> None:
        """Search without memory, let the judge choose, record the choice; all before any of it is used."""
        for each in self.wanted:
            results = self.search(each.line.text, None).results
            best = results[best_of(results)]
            self.cold.append(results[0])
            self.recorded.append(best if (best.rating or 0) >= _WORKS else None)
        if not any(self.recorded):
            raise InvalidInput(
                f"nobody in the roster is rated {_WORKS} or better for any demand, so nothing can be recorded; "
                "give more people (--people, --each)",
                field="people",
            )
        self._lake.playbooks.bulk(
            [
                NewPlaybook(
                    query_text=each.line.text,
                    answer_id=answer.id,
                    corpus=CORPUS,
                    score=(answer.rating or 1) / 5,
                    namespace=NAMESPACE,
                    by="judge",
                    why="best rated, most years",
                )
                for each, answer in zip(self.wanted, self.recorded, strict=True)
                if answer is not None
            ]
        )

    def run_warm(self) -> list[Query]:
        """Ask again, in the same words and in others, and rate who is first now."""
        found = []
        for number, each in enumerate(self.wanted):
            cold, recorded = self.cold[number], self.recorded[number]
            answer = self.search(each.line.text)
            warm = answer.results[0]
            self.boosts += answer.boosted
            self.injects += answer.injected
            self.changes.append(warm.distance - cold.distance)
            found.append(
                Query(
                    cluster=each.cluster,
                    client=each.contract.client,
                    place=f"{each.contract.city}, {each.contract.state}",
                    role=each.contract.role,
                    soc=each.contract.soc,
                    style=each.line.style,
                    text=each.line.text,
                    cold=self._top(each.line.text, cold),
                    recorded=recorded.id if recorded else "",
                    recorded_rating=recorded.rating if recorded else 0,
                    discovery=recorded is not None and recorded.id != cold.id,
                    warm=self._top(each.line.text, warm),
                    verbatim=recorded is not None and warm.id == recorded.id,
                    effect=warm.memory.effect if warm.memory else "none",
                    paraphrases=[
                        (other.kind, other.text, self.rank(other.text, recorded.id))
                        for other in (self.paraphrases[number] if recorded else ())
                    ],
                )
            )
        return found

    def rank(self, text: str, id: str, namespace: str | None = NAMESPACE) -> int | None:
        """Return the place of somebody in the answer to a text, from 1; None when they are not there."""
        ids = [match.id for match in self.search(text, namespace).results]
        return ids.index(id) + 1 if id in ids else None

    def _top(self, text: str, match: Any) -> Top:
        model = self.opinion(text, match.metadata) if self.opinion else None
        return Top(match.id, match.rating, match.distance, model)


@contextmanager
def prepared(
    options: Options,
    folder: Path,
    *,
    model: Callable[[str], str] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Lakehouse, Passes, Sequence[demands.Cluster], Drawn, int]]:
    """Build a lake below `folder` and run the cold pass: the choices are recorded, and nothing of them was used yet.

    Yields:
        The lake, its passes, the clusters that were chosen, what they were drawn from, and how many people the roster
        has.
    """
    from lakehouse.staffing.opinion import opinion

    roles, places = Roles.shipped(), Places.shipped()
    found = rows(options.rows, options.years)
    usable = contracts_of(found)
    every = demands.clusters(usable, roster.REFERENCE.year, part=options.part)
    chosen = demands.chosen(every, number=options.clusters, demands=options.demands, seed=options.seed, places=places)
    if not chosen:
        raise InvalidInput(
            f"no client in {found.source} asks for two or more roles of different SOC codes in one known city "
            f"({len(usable)} of {len(found.rows)} rows can be read as demands); give more rows or years",
            field="rows",
        )
    wanted = demands.wanted(chosen, roles, options.seed)
    tell(f"{len(chosen)} clusters, {len(wanted)} demands; building the roster")
    file = folder / "roster.csv"
    people = demands.write_roster(
        file, wanted, others=options.people, each=options.each, seed=options.seed, roles=roles
    )
    judge = opinion(model) if model else None
    with lake_of(file, folder / "lake") as lake:
        passes = Passes(lake, wanted, Paraphraser(demands.states(), model), options.seed, judge)
        tell("cold pass")
        passes.run_cold()
        yield lake, passes, chosen, drawn_from(options, found, len(usable), len(every)), people


def drawn_from(options: Options, found: Rows, usable: int, clusters: int) -> Drawn:
    """Say what a run is made of."""
    return Drawn(
        source=found.source,
        rows=found.read,
        of_years=len(found.rows),
        usable=usable,
        clusters=clusters,
        demands_asked=options.demands,
        clusters_asked=options.clusters,
        others=options.people,
        each=options.each,
        hostile=options.poison,
    )


def measure(
    options: Options,
    folder: Path,
    *,
    model: Callable[[str], str] | None = None,
    model_name: str = "",
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run everything in lakes below `folder`.

    Args:
        options: What to measure on.
        folder: Empty folder for roster and lake.
        model: Prompt to text, for paraphrases and second opinions.
        model_name: Its name, for the report.
        tell: Gets a line before each step.
    """
    with prepared(options, folder, model=model, tell=tell) as (lake, passes, chosen, drawn, people):
        tell("warm, paraphrase and re-judge passes")
        queries = passes.run_warm()
        checks = Checks(lake, passes, CORPUS, NAMESPACE, K)
        tell("handover, isolation")
        handed = checks.handover()
        tell("bleed")
        bleed_queries, bleeds = checks.bleed(chosen, options.seed)
        tell("hostile entries")
        poison = checks.poison(options.poison, options.seed) if options.poison else None
        before = checks.answers()
        again = checks.answers()
    deterministic = {"the same process": checks.same(before, again)}
    tell("restart, index rebuild")
    with reopened(folder / "lake") as lake:
        deterministic["after a restart"] = checks.same(before, checks.answers(lake))
        lake.vectors.delete(f"playbook_{NAMESPACE}")
    with reopened(folder / "lake") as lake:
        deterministic["after a rebuild of the index"] = checks.same(before, checks.answers(lake))
    return _report(
        options,
        queries,
        passes,
        drawn=drawn,
        people=people,
        clusters=len(chosen),
        rest={
            **handed,
            "bleed_clusters": len(chosen),
            "bleed_queries": bleed_queries,
            "bleeds": bleeds,
            "deterministic": deterministic,
            "poison": poison,
            "agreement": checks.agreement(queries, model_name),
        },
    )


def _report(
    options: Options,
    queries: list[Query],
    passes: Passes,
    *,
    drawn: Drawn,
    people: int,
    clusters: int,
    rest: dict[str, Any],
) -> Report:
    found = [query for query in queries if query.discovery]
    kept = [query for query in queries if query.recorded]
    change = [(query.warm.rating or 0) - (query.cold.rating or 0) for query in queries]
    said = [(kind, rank == 1, query.discovery) for query in queries for kind, _, rank in query.paraphrases]
    kinds = list(dict.fromkeys(kind for kind, _, _ in said))
    return Report(
        years=list(options.years),
        part=options.part,
        seed=options.seed,
        drawn=drawn,
        k=K,
        people=people,
        clusters=clusters,
        demands=len(queries),
        recorded=len(kept),
        discoveries=len(found),
        verbatim=Share(sum(query.verbatim for query in found), len(found)),
        verbatim_all=Share(sum(query.verbatim for query in kept), len(kept)),
        paraphrase={
            kind: Share(sum(first for k, first, _ in said if k == kind), sum(k == kind for k, _, _ in said))
            for kind in kinds
        },
        paraphrase_discoveries=Share(sum(first for _, first, d in said if d), sum(d for _, _, d in said)),
        lifted=sum(delta > 0 for delta in change),
        neutral=sum(delta == 0 for delta in change),
        regressed=sum(delta < 0 for delta in change),
        worst=min(change, default=0),
        boosts=passes.boosts,
        injects=passes.injects,
        mean_distance_change=round(statistics.fmean(passes.changes), 4) if passes.changes else 0.0,
        queries=queries,
        **rest,
    )


def write(report: Report, out: Path) -> list[Path]:
    """Write the report as Markdown and JSON, with its plots as PNG and SVG where the plot library is installed."""
    from lakehouse.evals import _lift_plots, _lift_report

    out.mkdir(parents=True, exist_ok=True)
    plots = _lift_plots.write(report, out)
    for name, data in (
        ("report.md", _lift_report.markdown(report, [path.name for path in plots]).encode()),
        ("report.json", msgspec.json.format(msgspec.json.encode(report)) + b"\n"),
    ):
        (out / name).write_bytes(data)
    return [out / "report.md", out / "report.json", *plots]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options, `Options` by name."""
    defaults = Options()
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--rows", type=Path, help="CSV of demands, - for standard input; the shipped sample by default"
    )
    options.add_argument("--years", nargs="*", default=list(defaults.years), help="fiscal years to draw from")
    for name in ("demands", "clusters", "people", "each", "poison", "seed"):
        options.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    options.add_argument("--part", choices=("all", "tune", "held"), default="all", help="which clients")
    return options


def main(
    argv: Sequence[str] | None = None, *, model: Callable[[str], str] | None = None, model_name: str = ""
) -> Report:
    """Run the evaluation, write the report, print its table."""
    from lakehouse.evals import _lift_report

    options = arguments(__doc__)
    options.add_argument("--out", type=Path, default=Path("lift-report"), help="folder of the report")
    chosen = vars(options.parse_args(argv))
    out = chosen.pop("out")
    chosen["years"] = tuple(chosen["years"])
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Options(**chosen), Path(folder), model=model, model_name=model_name, tell=print)
    written = write(report, out)
    print(_lift_report.table(report))
    print("written: " + ", ".join(str(path) for path in written))
    return report


if __name__ == "__main__":
    main()
