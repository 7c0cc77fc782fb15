"""Named vector indexes: `vectors list|stats|ids|create|add|get|search|merge|delete`."""

from __future__ import annotations

import argparse
import functools

from lakehouse.cli import portions, reading, showing
from lakehouse.cli.progress import bars
from lakehouse.cli.session import open_lake
from lakehouse.cli.tree import Commands
from lakehouse.errors import InvalidInput

# A few hundred items a call: between calls of one writer, others search.
_CHUNK = 200


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    vectors = commands.group("vectors", "work with a vector index directly")
    _add_indexes(vectors)
    _add_items(vectors)


def _add_indexes(vectors: Commands) -> None:
    listing = vectors.command("list", _list, "list the indexes")
    listing.add_argument("--json", action="store_true", help="print one JSON document")

    stats = vectors.command("stats", _stats, "show the state of one index")
    stats.add_argument("name", metavar="NAME", help="name of the index")
    stats.add_argument("--json", action="store_true", help="print one JSON document")

    create = vectors.command("create", _create, "make an empty index")
    create.add_argument("name", metavar="NAME", help="name of the index")
    create.add_argument("--dimension", type=int, required=True, metavar="N", help="length of its vectors")
    create.add_argument(
        "--distance", choices=("cosine", "dot", "euclid"), default="cosine", help="cosine (default), dot or euclid"
    )
    create.add_argument("--model", metavar="MODEL", help="model that its texts are embedded with")
    create.add_argument("--json", action="store_true", help="print one JSON document")

    merge = vectors.command("merge", _merge, "put the items of one index into another; ids already there are skipped")
    merge.add_argument("src", metavar="SRC", help="index to read")
    merge.add_argument("dest", metavar="DEST", help="index to add to")
    merge.add_argument("--clear-source", action="store_true", help="then empty SRC")
    merge.add_argument("--json", action="store_true", help="print one JSON document")

    delete = vectors.command("delete", _delete, "delete an index, or one item of it")
    delete.add_argument("name", metavar="NAME", help="name of the index")
    delete.add_argument("id", nargs="?", metavar="ID", help="delete only this item")
    delete.add_argument("--json", action="store_true", help="print one JSON document")


def _add_items(vectors: Commands) -> None:
    ids = vectors.command("ids", _ids, "list the ids of an index")
    ids.add_argument("name", metavar="NAME", help="name of the index")
    ids.add_argument("--json", action="store_true", help="print one JSON document")

    adding = vectors.command(
        "add",
        _add,
        "add items, replacing those of the same id",
        more='Each line is a JSON object: {"id": "w-17", "vector": [...] or "text": "...", "metadata": {...}}.',
    )
    adding.add_argument("name", metavar="NAME", help="name of the index")
    adding.add_argument("file", metavar="FILE", help="JSONL file, or - for standard input")
    adding.add_argument("--json", action="store_true", help="print one JSON document")

    get = vectors.command("get", _get, "print one item as JSON")
    get.add_argument("name", metavar="NAME", help="name of the index")
    get.add_argument("id", metavar="ID", help="id of the item")
    get.add_argument("--json", action="store_true", help="the same")

    search = vectors.command("search", _search, "find the items nearest to a text or a vector")
    search.add_argument("name", metavar="NAME", help="name of the index")
    search.add_argument("text", nargs="*", metavar="TEXT", help="the text, @FILE, or - for standard input")
    search.add_argument("--vector", metavar="JSON", help="a JSON array of numbers, @FILE or -, instead of a text")
    search.add_argument("-k", "--top", type=int, default=10, metavar="N", help="most results (default: 10)")
    search.add_argument("--filter", metavar="JSON", help="conditions on metadata, or @FILE")
    search.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="ID",
        help="an id not to find, again for more; @FILE, one a line",
    )
    search.add_argument("--exact", action="store_true", help="look at every item")
    search.add_argument("--json", action="store_true", help="print one JSON document")


_STATS = (
    showing.Column("index"),
    showing.Column("items", right=True),
    showing.Column("indexed", right=True),
    showing.Column("dimension", right=True),
    showing.Column("distance"),
    showing.Column("model"),
    showing.Column("findability", right=True),
)


def _list(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        listed = lake.vectors.list()
    if arguments.json:
        showing.json_document(listed)
        return 0
    showing.table(
        _STATS,
        [
            [each.name, each.items, each.indexed, each.dimension, each.distance, each.model, each.findability]
            for each in listed.indexes
        ],
    )
    return 0


def _stats(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        stats = lake.vectors.stats(arguments.name)
    if arguments.json:
        showing.json_document(stats)
    else:
        showing.facts((name, getattr(stats, name)) for name in stats.__struct_fields__)
    return 0


def _create(arguments: argparse.Namespace) -> int:
    with open_lake(arguments, make=True) as lake:
        stats = lake.vectors.create(
            arguments.name, arguments.dimension, distance=arguments.distance, model=arguments.model
        )
    if arguments.json:
        showing.json_document(stats)
    else:
        print(f"{stats.name}: made, dimension {stats.dimension}, {stats.distance}")
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        merged = lake.vectors.merge(arguments.src, arguments.dest, clear_source=arguments.clear_source)
    if arguments.json:
        showing.json_document(merged)
    else:
        print(
            f"{merged.merged:,} items merged into {arguments.dest}, {merged.skipped:,} already there,"
            f" {merged.cleared:,} cleared from {arguments.src}"
        )
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        if arguments.id is None:
            lake.vectors.delete(arguments.name)
        else:
            lake.vectors.delete_item(arguments.name, arguments.id)
    gone = arguments.name if arguments.id is None else arguments.id
    showing.done(arguments.json, f"{gone}: deleted", deleted=gone)
    return 0


def _ids(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        listed = lake.vectors.ids(arguments.name)
    if arguments.json:
        showing.json_document(listed)
    else:
        for id in listed.ids:
            print(showing.cell(id))
    return 0


def _add(arguments: argparse.Namespace) -> int:
    from lakehouse.vectors.base import Added, Item

    added = updated = 0
    with open_lake(arguments) as lake, bars():
        items = reading.json_lines(arguments.file, Item)
        send = functools.partial(lake.vectors.add, arguments.name)
        earlier = "were added; mend this and add the whole file again, which replaces them by the same"
        for done in portions.sent(arguments.file, items, send, most=_CHUNK, field="items", earlier=earlier):
            added, updated = added + done.added, updated + done.updated
    if arguments.json:
        showing.json_document(Added(added, updated))
    else:
        print(f"{arguments.name}: {added:,} added, {updated:,} replaced")
    return 0


def _get(arguments: argparse.Namespace) -> int:
    with open_lake(arguments) as lake:
        showing.json_document(lake.vectors.get(arguments.name, arguments.id))
    return 0


def _search(arguments: argparse.Namespace) -> int:
    from lakehouse.vectors.base import Filter

    if bool(arguments.text) == bool(arguments.vector):
        raise InvalidInput("give either a TEXT or a --vector to search for")
    vector = reading.json_value(arguments.vector, list[float], "--vector") if arguments.vector else None
    text = reading.text(arguments.text, "the text") if arguments.text else None
    filter = reading.json_value(arguments.filter, Filter, "--filter") if arguments.filter else None
    with open_lake(arguments) as lake:
        found = lake.vectors.search(
            arguments.name,
            k=arguments.top,
            vector=vector,
            text=text,
            filter=filter,
            exclude_ids=reading.ids(arguments.exclude),
            exact=arguments.exact,
        )
    if arguments.json:
        showing.json_document(found)
        return 0
    columns = [showing.Column("id"), showing.Column("distance", right=True), showing.Column("metadata", wraps=True)]
    showing.table(columns, [[hit.id, f"{hit.distance:.4f}", hit.metadata] for hit in found.results])
    return 0
