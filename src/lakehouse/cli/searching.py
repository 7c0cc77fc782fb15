"""People for a demand: `search`, `parse`, `corpus`, `embed`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from lakehouse.cli import demands, matches, reading, showing
from lakehouse.cli.progress import bars
from lakehouse.cli.session import is_remote, open_lake
from lakehouse.cli.tree import Commands
from lakehouse.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from lakehouse.app import Lakehouse
    from lakehouse.staffing.demand import Demand


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    _add_search(commands)
    parse = commands.command("parse", _parse, "show what a demand asks for, field by field")
    parse.add_argument("text", nargs="+", metavar="TEXT", help="the demand, @FILE, or - for standard input")
    parse.add_argument("--json", action="store_true", help="print one JSON document")
    _add_corpus(commands.group("corpus", "make a dataset searchable, list those that are, or delete one"))
    embed = commands.command("embed", _embed, "turn texts into vectors, one JSON array a line")
    embed.add_argument("texts", nargs="+", metavar="TEXT", help="one text each, or - for one a line on standard input")
    embed.add_argument("--model", metavar="MODEL", help="embedding model (default: the setting embed.model)")
    embed.add_argument("--json", action="store_true", help="print one JSON document")


def _add_search(commands: Commands) -> None:
    search = commands.command(
        "search",
        _search,
        "find people for a demand, a description or a few words",
        more="Distance says how near the texts are, rating (1 to 5) how well the person meets what was asked.",
    )
    search.add_argument("text", nargs="+", metavar="TEXT", help="the demand, @FILE, or - for standard input")
    search.add_argument(
        "--corpus", action="append", metavar="NAME", help="where to look, again for more (default: every corpus)"
    )
    search.add_argument("-k", "--top", type=int, default=10, metavar="N", help="most results (default: 10)")
    search.add_argument("--memory", action="store_true", help="let what worked before act on the results")
    search.add_argument("--namespace", metavar="NAME", help="whose memory; implies --memory (default: default)")
    search.add_argument("--role", metavar="ROLE", help="the role asked for, instead of the one in the text")
    search.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="ID",
        help="nobody of this id, again for more; @FILE, one a line",
    )
    search.add_argument("--filter", metavar="JSON", help="conditions that every result meets, or @FILE")
    search.add_argument(
        "--opinions",
        type=int,
        default=0,
        metavar="N",
        help="of the first N, what the chat model models.local_judge thinks, at most 10 (default: 0)",
    )
    search.add_argument("--max-distance", type=float, metavar="D", help="leave out what is farther, 0 to 2")
    search.add_argument("--json", action="store_true", help="print one JSON document")


def _add_corpus(corpus: Commands) -> None:
    build = corpus.command(
        "build",
        _build,
        "build a corpus from a dataset, or bring it up to date",
        more="A corpus that was built before needs only its name: it is brought up to date as it was built.\n"
        "Names and contact data are never embedded.",
    )
    build.add_argument("name", metavar="NAME", help="name of the corpus")
    build.add_argument("--dataset", metavar="NAME", help="where the rows are (default: of the same name)")
    build.add_argument("--prefix", metavar="PREFIX", help="put before each id, such as w-")
    build.add_argument("--id", metavar="COLUMN", help="column of the ids (default: id)")
    build.add_argument("--text", action="append", metavar="COLUMN", help="column to search by meaning, again for more")
    build.add_argument(
        "--metadata",
        action="append",
        metavar="COLUMN",
        help="column kept beside it, again for more (default: all others)",
    )
    build.add_argument("--json", action="store_true", help="print one JSON document")
    delete = corpus.command(
        "delete",
        _delete,
        "delete a corpus with its index, on every replica",
        more="Its dataset stays. Items that were added to the index directly go with it.",
    )
    delete.add_argument("name", metavar="NAME", help="name of the corpus")
    delete.add_argument("--json", action="store_true", help="print one JSON document")
    listing = corpus.command("list", _list, "list the corpora")
    listing.add_argument("--json", action="store_true", help="print one JSON document")


def _search(arguments: argparse.Namespace) -> int:
    from lakehouse.memory.base import DEFAULT_NAMESPACE
    from lakehouse.vectors.base import Filter

    text = reading.text(arguments.text, "the demand")
    filter = reading.json_value(arguments.filter, Filter, "--filter") if arguments.filter else None
    excluded = reading.ids(arguments.exclude)
    with open_lake(arguments) as lake:
        answer = lake.matrix.search(
            text,
            arguments.corpus or _every_corpus(lake),
            k=arguments.top,
            use_playbook=arguments.memory or arguments.namespace is not None,
            query_role=arguments.role,
            exclude_ids=excluded,
            filter=filter,
            playbook=arguments.namespace or DEFAULT_NAMESPACE,
            max_distance=arguments.max_distance,
            opinions=arguments.opinions,
        )
    if arguments.json:
        showing.json_document(answer)
    else:
        matches.whole(answer)
    return 0


def _every_corpus(lake: Lakehouse) -> list[str]:
    found = [corpus.name for corpus in lake.corpora.list().corpora]
    if not found:
        raise NotFound("this lake has no corpus to search; make one with `lakehouse corpus build`")
    return found


def _parse(arguments: argparse.Namespace) -> int:
    text = reading.text(arguments.text, "the demand")
    demand = _demand(arguments, text)
    if arguments.json:
        showing.json_document(demand)
        return 0
    demands.table(demand, text)
    return 0


def _demand(arguments: argparse.Namespace, text: str) -> Demand:
    # Parsing needs no lake, and must work while another process has it open.
    if not is_remote(arguments):
        from lakehouse.staffing.parse import Parser

        return Parser.shipped().parse(text)
    with open_lake(arguments) as lake:
        return lake.demand.parse(text)


def _build(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake, bars():
        report = lake.corpora.build(arguments.name, **_shape(arguments, lake))
    if arguments.json:
        showing.json_document(report)
    else:
        print(f"{report.corpus}: {report.items:,} items, {report.embedded:,} embedded, {report.reused:,} reused")
    return 0


def _shape(arguments: argparse.Namespace, lake: Lakehouse) -> dict[str, Any]:
    """Return what a corpus is made of: as said, else as it was built before, else the plain defaults."""
    before = next((each for each in lake.corpora.list().corpora if each.name == arguments.name), None)
    dataset = arguments.dataset or (before.dataset if before else arguments.name)
    prefix = arguments.prefix if arguments.prefix is not None else (before.id_prefix if before else None)
    text = arguments.text or (before.text_columns if before else None)
    if prefix is None or text is None:
        lack = "--prefix (such as w-)" if prefix is None else "--text COLUMN (what to search by meaning)"
        raise InvalidInput(f"corpus {arguments.name!r} is new: give {lack}")
    id_column = arguments.id or (before.id_column if before else "id")
    metadata = arguments.metadata or (before.metadata_columns if before else None)
    if metadata is None:
        columns = [column.name for column in lake.catalog.dataset(dataset).schema]
        metadata = [column for column in columns if column != id_column]
    return {
        "dataset": dataset,
        "id_column": id_column,
        "id_prefix": prefix,
        "text_columns": text,
        "metadata_columns": metadata,
    }


def _delete(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        lake.corpora.delete(arguments.name)
    showing.done(arguments.json, f"{arguments.name}: deleted", deleted=arguments.name)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        listed = lake.corpora.list()
    if arguments.json:
        showing.json_document(listed)
        return 0
    columns = [
        showing.Column("corpus"),
        showing.Column("dataset"),
        showing.Column("prefix"),
        showing.Column("items", right=True),
        showing.Column("state"),
        showing.Column("text columns", wraps=True),
        showing.Column("built"),
    ]
    showing.table(
        columns,
        [
            [
                each.name,
                each.dataset,
                each.id_prefix,
                f"{each.items:,}",
                "behind its dataset" if each.stale else "up to date",
                ", ".join(each.text_columns),
                each.built_at,
            ]
            for each in listed.corpora
        ],
    )
    return 0


def _embed(arguments: argparse.Namespace) -> int:
    texts = arguments.texts
    if texts == [reading.STDIN]:
        texts = reading.text(texts, "the list of texts").splitlines()
    with open_lake(arguments) as lake:
        answer = lake.embed.texts(texts, model=arguments.model)
    if arguments.json:
        showing.json_document(answer)
    else:
        for vector in answer.vectors:
            print("[" + ",".join(f"{number:.8g}" for number in vector) + "]")
    return 0
