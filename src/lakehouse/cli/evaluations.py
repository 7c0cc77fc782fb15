"""How good the product is, measured: `eval parsing|roles|search|lift|conformance`, and what `cli/proving.py` adds."""

from __future__ import annotations

import argparse
from pathlib import Path

from lakehouse.cli import proving, reading, reviewing, showing
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands, Tree
from lakehouse.errors import InvalidInput, NotFound


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    evaluations = commands.group("eval", "measure the product; see docs/evaluations.md")
    parsing = evaluations.command(
        "parsing",
        _parsing,
        "measure how well demands are read, field by field",
        more="Lines are made from H-2B demands in four styles, so that what they say is known exactly.",
    )
    parsing.add_argument("--rows", metavar="FILE", help="CSV of demands, gzipped or not (default: the shipped sample)")
    parsing.add_argument(
        "--years", action="append", metavar="YEAR", help="fiscal year to draw from, again for more (default: 2018)"
    )
    _add_number(parsing, "--lines", 8_000, "lines per wording")
    _add_number(parsing, "--seed", 1, "of the drawing")
    _add_number(parsing, "--failures", 0, "how many wrong fields to show per wording")

    roles = evaluations.command(
        "roles",
        _roles,
        "measure how well titles are resolved to occupations",
        more="FOLDER has corpus.jsonl.gz, queries.jsonl.gz and qrels.tsv.gz.",
    )
    roles.add_argument("folder", metavar="FOLDER", help="labelled titles")
    roles.add_argument("--meanings", metavar="CACHE", help="compare meanings too; folder for the cache of vectors")

    _add_conformance(evaluations)
    search = evaluations.command(
        "search",
        _search,
        "measure search on generated rosters, of which the truth is known",
        more="demands: do the first ten meet everything, and is nobody good said when nobody is.\n"
        "names:   does any answer change when all names are swapped.\n"
        "fresh:   is a worker added just now first for their own resume.",
    )
    search.add_argument(
        "--part",
        action="append",
        choices=("demands", "names", "fresh"),
        metavar="PART",
        help="demands, names or fresh, again for more (default: all)",
    )
    _add_number(search, "--workers", 5_000, "people in the first corpus")
    _add_number(search, "--others", 10_000, "people in the second, 0 for none")
    _add_number(search, "--asks", 200, "demands of each kind, and fresh workers")
    _add_number(search, "--seed", 1, "of rosters and demands")
    _add_number(search, "--failures", 10, "how many failures to show")
    proving.add(evaluations)

    _add_lift(evaluations)


def _add_lift(evaluations: Commands) -> None:
    lift = evaluations.command(
        "lift",
        _lift,
        "measure what memory does for real demands, and what it must not do",
        more="Writes report.md, report.json, lift.png and lift.svg.",
    )
    lift.add_argument("--rows", metavar="FILE", help="CSV of demands, gzipped or not (default: the shipped sample)")
    lift.add_argument(
        "--years", action="append", metavar="YEAR", help="fiscal year to draw from, again for more (default: 2018)"
    )
    _add_number(lift, "--demands", 400, "least number of demands")
    _add_number(lift, "--clusters", 100, "least number of clients in a city with several roles")
    _add_number(lift, "--people", 1_000, "people from anywhere")
    _add_number(lift, "--each", 6, "people of each wanted occupation in its city")
    _add_number(lift, "--poison", 1_000, "hostile entries, 0 for none")
    _add_number(lift, "--seed", 1, "of the drawing")
    lift.add_argument(
        "--part",
        choices=("all", "tune", "held"),
        default="all",
        help="all clients, or one of two halves of them: what memory is tuned on, and what is held out (default: all)",
    )
    lift.add_argument(
        "--model", metavar="NAME", help="chat model that says demands in other words too, and gives second opinions"
    )
    lift.add_argument("--out", metavar="FOLDER", default="lift-report", help="folder (default: lift-report)")


def _add_conformance(evaluations: Commands) -> None:
    conformance = evaluations.command(
        "conformance",
        _conformance,
        "compare an implementation with the conformance vectors, field by field",
        more="Without --url and --command this product is compared. A program gets the kind as its last word,\n"
        "a case as JSON on standard input, and prints its output as JSON. What fails never counts as equal.",
    )
    conformance.add_argument("paths", nargs="*", metavar="PATH", help="files or folders (default: docs/conformance)")
    conformance.add_argument("--kind", metavar="KIND", help="only vectors of this kind")
    conformance.add_argument("--url", metavar="URL", help="compare a running stack; its lake gets the vectors' data")
    conformance.add_argument("--command", metavar="COMMAND", help="compare a program, started once per case")
    conformance.add_argument("--ignore-texts", action="store_true", help="let texts for people be worded otherwise")
    conformance.add_argument("--answer", metavar="KIND", help="be such a program: answer the case on standard input")
    conformance.add_argument("--json", action="store_true", help="print one JSON document")


def _add_number(tree: Tree, option: str, default: int, what: str) -> None:
    tree.add_argument(option, type=int, default=default, metavar="N", help=f"{what} (default: {default})")


def _parsing(arguments: argparse.Namespace) -> int:
    from lakehouse.evals import parsing

    if arguments.lines < 1:
        raise InvalidInput("--lines must be at least 1", field="lines")
    words = _options(arguments, "lines", "seed", "failures")
    if arguments.rows:
        words += ["--rows", _rows(arguments.rows)]
    if arguments.years:
        words += ["--years", *arguments.years]
    parsing.main(words)
    return 0


def _roles(arguments: argparse.Namespace) -> int:
    from lakehouse.evals import roles

    if not Path(arguments.folder).is_dir():
        raise NotFound(f"there is no folder {arguments.folder}", path=arguments.folder)
    words = ["--set", arguments.folder]
    if arguments.meanings:
        words += ["--meanings", arguments.meanings]
    roles.main(words)
    return 0


def _search(arguments: argparse.Namespace) -> int:
    from lakehouse.evals import search_quality

    words = _options(arguments, "workers", "others", "asks", "seed", "failures")
    for part in arguments.part or ():
        words += ["--part", part]
    search_quality.main(words)
    return 0


def _conformance(arguments: argparse.Namespace) -> int:
    from lakehouse.evals import conformance

    if arguments.answer:
        return conformance.answer_one(arguments.answer)
    files = conformance.read([Path(path) for path in arguments.paths])
    chosen = [vectors for vectors in files if arguments.kind in {None, vectors.kind}]
    if not chosen:
        raise NotFound(f"there are no vectors of the kind {arguments.kind!r}", kind=arguments.kind)
    outcomes = conformance.measure(
        chosen, url=arguments.url or "", command=arguments.command or "", ignore_texts=arguments.ignore_texts
    )
    held = sum(outcome.holds for outcome in outcomes)
    if arguments.json:
        showing.json_document({"held": held, "of": len(outcomes), "outcomes": outcomes})
        return 0 if held == len(outcomes) else 1
    for outcome in outcomes:
        print(showing.cell(f"{'ok  ' if outcome.holds else 'FAIL'}  {outcome.kind}: {outcome.name}"))
        if outcome.failure:
            print(showing.cell(f"      {outcome.failure}"))
        for each in outcome.differences:
            print(showing.cell(f"      {each.path}: expected {each.expected!r}, found {each.found!r}"))
    print(f"{held} of {len(outcomes)}")
    return 0 if held == len(outcomes) else 1


def _lift(arguments: argparse.Namespace) -> int:
    from lakehouse.evals import lift

    for name, least in (("demands", 1), ("clusters", 1), ("people", 1), ("each", 0), ("poison", 0)):
        if getattr(arguments, name) < least:
            raise InvalidInput(f"--{name} must be at least {least}", field=name)
    words = _options(arguments, "demands", "clusters", "people", "each", "poison", "seed", "part", "out")
    if arguments.rows:
        words += ["--rows", _rows(arguments.rows)]
    if arguments.years:
        words += ["--years", *arguments.years]
    if not arguments.model:
        lift.main(words)
        return 0
    with open_lake(arguments, make=True) as lake:
        ask = reviewing.chat_of(lake)
        lift.main(
            words, model=lambda prompt: ask(arguments.model, lift.INSTRUCTIONS, prompt), model_name=arguments.model
        )
    return 0


def _rows(source: str) -> str:
    return source if source == reading.STDIN else str(reading.path(source))


def _options(arguments: argparse.Namespace, *names: str) -> list[str]:
    return [word for name in names for word in (f"--{name}", str(getattr(arguments, name)))]
