"""How a task was solved: `pathway add|update|revise|retire|show|history|search|stats`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lakehouse.cli import reading, showing
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands, Tree

if TYPE_CHECKING:
    from lakehouse.memory.pathways import Pathway

_UID = "uid of the pathway, see `lakehouse pathway search`"


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    pathway = commands.group("pathway", "keep how tasks were solved, version by version, and find it again")
    made = pathway.command("add", _add, "keep how a task was solved")
    made.add_argument("task", nargs="+", metavar="TASK", help="what was to be done, @FILE, or -")
    _add_content(made)
    made.add_argument("--once", action="store_true", help="unless this task with these steps and tags was added before")
    made.add_argument("--json", action="store_true", help="print one JSON document")
    for name, does, summary in (
        ("update", _update, "correct the current version; what it was stays in the history"),
        ("revise", _revise, "make a new version; the old one stays in the history"),
    ):
        changed = pathway.command(name, does, summary, more="What is not given stays as it is.")
        changed.add_argument("uid", metavar="UID", help=_UID)
        changed.add_argument("--task", metavar="TEXT", help="what was to be done")
        _add_content(changed)
        changed.add_argument("--json", action="store_true", help="print one JSON document")
    for name, does, summary in (
        ("retire", _retire, "hide a pathway from search; its history stays"),
        ("show", _show, "show a pathway as it is now"),
        ("history", _history, "show everything a pathway ever was, oldest first"),
    ):
        one = pathway.command(name, does, summary)
        one.add_argument("uid", metavar="UID", help=_UID)
        one.add_argument("--json", action="store_true", help="print one JSON document")
    search = pathway.command("search", _search, "find the pathways whose task and steps are nearest to a text")
    search.add_argument("text", nargs="+", metavar="TEXT", help="what is to be solved, @FILE, or -")
    search.add_argument("-k", "--top", type=int, default=10, metavar="N", help="most results (default: 10)")
    search.add_argument("--tag", metavar="TAG", help="only those with this tag")
    search.add_argument("--json", action="store_true", help="print one JSON document")
    stats = pathway.command("stats", _stats, "count pathways, versions, tags and outcomes")
    stats.add_argument("--json", action="store_true", help="print one JSON document")


def _add_content(tree: Tree) -> None:
    steps = tree.add_mutually_exclusive_group()
    steps.add_argument("--step", action="append", metavar="TEXT", help="a step, again for the next")
    steps.add_argument("--steps", metavar="JSON", help="all steps as a JSON list of texts and objects, @FILE, or -")
    tree.add_argument("--tag", action="append", metavar="TAG", help="a word to find it by, again for more")
    tree.add_argument("--outcome", metavar="TEXT", help="what came of it")


def _add(arguments: argparse.Namespace) -> int:
    task = reading.text(arguments.task, "the task")
    content = {"steps": [], **_content(arguments)}
    with open_lake(arguments, make=True) as lake:
        keep = lake.pathways.add_idempotent if arguments.once else lake.pathways.add
        return _print(keep(task, **content), as_json=arguments.json)


def _update(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        return _print(lake.pathways.update(arguments.uid, **_changes(arguments)), as_json=arguments.json)


def _revise(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        return _print(lake.pathways.revise(arguments.uid, **_changes(arguments)), as_json=arguments.json)


def _retire(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        return _print(lake.pathways.retire(arguments.uid), as_json=arguments.json)


def _show(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        found = lake.pathways.get(arguments.uid)
    if not arguments.json:
        print(f"{found.task}\n")
        for number, step in enumerate(found.steps, 1):
            print(f"{number:3}. {_said(step)}")
        print()
    return _print(found, as_json=arguments.json)


def _history(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        found = lake.pathways.history(arguments.uid)
    if arguments.json:
        showing.json_document(found)
        return 0
    columns = [
        showing.Column("change", right=True),
        showing.Column("version", right=True),
        showing.Column("at"),
        showing.Column("state"),
        showing.Column("outcome", wraps=True),
        showing.Column("task and steps", wraps=True, below=True),
    ]
    rows = [
        [each.change, each.version, each.updated_at[:19], _state(each), each.outcome, _all_said(each)]
        for each in found.history
    ]
    showing.table(columns, rows)
    return 0


def _search(arguments: argparse.Namespace) -> int:
    text = reading.text(arguments.text, "what is to be solved")
    with open_lake(arguments) as lake:
        found = lake.pathways.search(text, k=arguments.top, tag=arguments.tag)
    if arguments.json:
        showing.json_document(found)
        return 0
    columns = [
        showing.Column("uid"),
        showing.Column("distance", right=True),
        showing.Column("version", right=True),
        showing.Column("tags", wraps=True),
        showing.Column("outcome", wraps=True),
        showing.Column("task and steps", wraps=True, below=True),
    ]
    rows = [
        [each.uid, f"{each.distance:.3f}", each.version, ", ".join(each.tags), each.outcome, _all_said(each)]
        for each in found.results
    ]
    showing.table(columns, rows)
    return 0


def _stats(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        found = lake.pathways.stats()
    if arguments.json:
        showing.json_document(found)
        return 0
    print(f"{found.pathways:,} pathways, {found.retired:,} of them retired; {found.versions:,} versions")
    print(f"{found.changes:,} changes in the history")
    for what, counted in (("tag", found.tags), ("outcome", found.outcomes)):
        for name, count in counted.items():
            print(showing.cell(f"{what} {name}: {count:,}"))
    return 0


def _content(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what of a pathway was given."""
    steps = arguments.step
    if arguments.steps is not None:
        steps = reading.json_value(arguments.steps, list[str | dict[str, Any]], "--steps")
    given = {"steps": steps, "tags": arguments.tag, "outcome": arguments.outcome}
    return {name: value for name, value in given.items() if value is not None}


def _changes(arguments: argparse.Namespace) -> dict[str, Any]:
    task = {} if arguments.task is None else {"task": arguments.task}
    return {**task, **_content(arguments)}


def _print(found: Pathway, *, as_json: bool) -> int:
    if as_json:
        showing.json_document(found)
    else:
        known = getattr(found, "created", True)
        print(f"{found.uid}: version {found.version}, {_state(found) if known else 'known before'}")
    return 0


def _state(pathway: Pathway) -> str:
    return "retired" if pathway.retired else "in use"


def _all_said(pathway: Pathway) -> str:
    return "; ".join(_numbered([pathway.task, *map(_said, pathway.steps)]))


def _numbered(words: Iterable[str]) -> list[str]:
    return [word if not number else f"{number}. {word}" for number, word in enumerate(words)]


def _said(step: str | dict[str, Any]) -> str:
    import msgspec

    return step if isinstance(step, str) else msgspec.json.encode(step).decode()
