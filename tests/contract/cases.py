"""What a client can do, step by step, and how each story ends: the same on every face.

A step is an operation with its arguments; arguments that depend on earlier answers are functions of them. A case ends
with a check of its last answer, or with the error that its last step must raise. Names are the case's own, so that
cases do not see each other.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec

from lakehouse.errors import AlreadyExists, InvalidInput, LakehouseError, NotFound, TooLarge, WrongState

Arguments = dict[str, Any] | Callable[[list[Any]], dict[str, Any]]

FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift, must have OSHA-30"
SAME_WORDS_DIFFER = "Looking for 2 Forklift Operators at Cleveland OH, days, OSHA-30 holders"
CSV = b"id,role,resume\n1,cook,grill and prep\n2,welder,MIG and TIG\n"
PAIR = [{"id": "a", "vector": [1.0, 0.0], "metadata": {"n": 1}}, {"id": "b", "vector": [0.0, 1.0]}]
ROSTER = {"id_column": "id", "text_columns": ["role", "resume"], "metadata_columns": ["role"]}


class Case(msgspec.Struct, frozen=True):
    """One story. `covers` is the operation of its last step."""

    name: str
    steps: list[tuple[str, Arguments]]
    holds: Callable[[Any], bool] | None = None
    raises: type[LakehouseError] | None = None
    says: str = ""
    varies: bool = False
    """Whether the answer has something of the face in it, so that faces cannot be compared word for word."""

    @property
    def covers(self) -> str:
        return self.steps[-1][0]


def index(name: str, dimension: int = 2) -> tuple[str, Arguments]:
    return "vectors.create", {"name": name, "dimension": dimension}


def filled(name: str) -> list[tuple[str, Arguments]]:
    return [index(name), ("vectors.add", {"name": name, "items": PAIR})]


def dataset(name: str, data: bytes = CSV) -> tuple[str, Arguments]:
    return "ingest.file", {"source": data, "name": name, "content_type": "text/csv"}


def corpus(name: str) -> list[tuple[str, Arguments]]:
    return [dataset(name), ("corpora.build", {"name": name, "dataset": name, "id_prefix": f"{name}-", **ROSTER})]


def remembered(namespace: str, answer_id: str = "w-1") -> tuple[str, Arguments]:
    entry = {"query_text": FORKLIFT, "answer_id": answer_id, "corpus": "workers", "score": 1.0}
    return "playbooks.record", {**entry, "namespace": namespace}


def search(**more: Any) -> tuple[str, Arguments]:
    return "matrix.search", {"query_text": FORKLIFT, "corpora": ["workers"], **more}


STORAGE = [
    Case("put", [("storage.put", {"key": "put/x", "data": b"123"})], lambda info: info.size == 3),
    Case("put-stream", [("storage.put", {"key": "put/s", "data": io.BytesIO})], lambda info: info.size == 6),
    Case(
        "get-binary",
        [("storage.put", {"key": "get/\u00fc \u2b50?#%2F", "data": bytes(range(256))}),
         ("storage.get", {"key": "get/\u00fc \u2b50?#%2F"})],
        lambda data: data == bytes(range(256)),
    ),
    Case(
        "get-empty",
        [("storage.put", {"key": "get/empty", "data": b""}), ("storage.get", {"key": "get/empty"})],
        lambda data: data == b"",
    ),
    Case("get-absent", [("storage.get", {"key": "nothing/here"})], raises=NotFound, says="nothing/here"),
    Case("get-named-health", [("storage.get", {"key": "health"})], raises=NotFound),
    Case("get-dots", [("storage.get", {"key": "a/../b"})], raises=InvalidInput),
    Case("get-double-slash", [("storage.get", {"key": "a//b"})], raises=InvalidInput),
    Case("get-empty-key", [("storage.get", {"key": ""})], raises=InvalidInput, says="must not be empty"),
    Case(
        "head",
        [("storage.put", {"key": "head/x", "data": b"12345"}), ("storage.head", {"key": "head/x"})],
        lambda info: (info.key, info.size) == ("head/x", 5),
    ),
    Case("head-absent", [("storage.head", {"key": "head/\u4f60"})], raises=NotFound, says="\u4f60"),
    Case(
        "delete",
        [("storage.put", {"key": "delete/x", "data": b"1"}), ("storage.delete", {"key": "delete/x"})],
        lambda answer: answer is None,
    ),
    Case(
        "delete-twice",
        [("storage.put", {"key": "delete/y", "data": b"1"}), ("storage.delete", {"key": "delete/y"}),
         ("storage.delete", {"key": "delete/y"})],
        raises=NotFound,
    ),
    Case(
        "list-prefix",
        [("storage.put", {"key": "list/b", "data": b"1"}), ("storage.put", {"key": "list/a", "data": b"1"}),
         ("storage.list", {"prefix": "list/"})],
        lambda listed: [info.key for info in listed.objects] == ["list/a", "list/b"],
    ),
    Case("list-unknown-field", [("storage.list", {"prefx": "a"})], raises=InvalidInput, says="did you mean 'prefix'"),
    Case("list-wrong-type", [("storage.list", {"prefix": 3})], raises=InvalidInput, says="prefix"),
]  # fmt: skip

LAKE = [
    Case("ingest", [dataset("in1")], lambda report: (report.rows, report.unchanged) == (2, False)),
    Case("ingest-again", [dataset("in2"), dataset("in2")], lambda report: report.unchanged),
    Case(
        "ingest-quarantine",
        [("ingest.file", {"source": CSV + b"3,cook\n", "name": "in3", "content_type": "text/csv", "quarantine": True})],
        lambda report: report.rows == 2 and report.rejected[0].line == 4,
    ),
    Case("ingest-bad-row", [dataset("in4", CSV + b"3,cook\n")], raises=InvalidInput, says="line 4"),
    Case("ingest-bad-row-leaves-nothing", [("catalog.dataset", {"name": "in4"})], raises=NotFound),
    Case("ingest-empty", [dataset("in5", b"")], raises=InvalidInput),
    Case("ingest-bad-name", [dataset("../in6")], raises=InvalidInput, says="name"),
    Case("ingest-no-name", [("ingest.file", {"source": CSV})], raises=InvalidInput, says="'name'"),
    Case(
        "ingest-unknown-type",
        [("ingest.file", {"source": CSV, "name": "in7", "content_type": "image/png"})],
        raises=InvalidInput,
    ),
    Case("datasets", [("catalog.datasets", {})], lambda listed: "people" in [m.name for m in listed.datasets]),
    Case(
        "dataset",
        [("catalog.dataset", {"name": "people"})],
        lambda manifest: manifest.rows == 36 and manifest.schema[0].name == "id",
    ),
    Case("dataset-absent", [("catalog.dataset", {"name": "nobody"})], raises=NotFound, says="nobody"),
    Case("drop", [dataset("drop1"), ("catalog.drop", {"name": "drop1"})], lambda answer: answer is None),
    Case("drop-absent", [("catalog.drop", {"name": "drop2"})], raises=NotFound),
    Case(
        "sql",
        [("sql.query", {"sql": "SELECT city, count(*) AS n FROM people GROUP BY city ORDER BY city"})],
        lambda result: result.rows == [["Cleveland", 12], ["Detroit", 12], ["Parma", 12]] and not result.truncated,
    ),
    Case(
        "sql-limit",
        [("sql.query", {"sql": "SELECT id FROM people ORDER BY id", "limit": 3})],
        lambda result: result.row_count == 3 and result.truncated,
    ),
    Case("sql-wrong", [("sql.query", {"sql": "SELEC 1"})], raises=InvalidInput),
    Case("sql-unknown-table", [("sql.query", {"sql": "SELECT * FROM nobody"})], raises=LakehouseError, says="nobody"),
    Case("sql-write", [("sql.query", {"sql": "DROP TABLE people"})], raises=LakehouseError),
    Case("sql-unknown-field", [("sql.query", {"q": "SELECT 1"})], raises=InvalidInput, says="did you mean 'sql'"),
    Case("sql-empty", [("sql.query", {"sql": ""})], raises=InvalidInput),
    Case(
        "arrow",
        [("sql.arrow", {"sql": "SELECT 1 AS one"})],
        lambda data: data[:4] == b"\xff\xff\xff\xff" and b"one" in data,
    ),
    Case("arrow-wrong", [("sql.arrow", {"sql": "SELEC 1"})], raises=InvalidInput),
]

VECTORS = [
    Case("create", [index("ix1")], lambda stats: (stats.name, stats.dimension, stats.items) == ("ix1", 2, 0)),
    Case("create-twice", [index("ix2"), index("ix2")], raises=AlreadyExists, says="ix2"),
    Case("create-bad-dimension", [index("ix3", 0)], raises=InvalidInput, says="dimension"),
    Case("create-bad-name", [index("a/b")], raises=InvalidInput, says="name"),
    Case(
        "create-bad-distance",
        [("vectors.create", {"name": "ix4", "dimension": 2, "distance": "manhattan"})],
        raises=InvalidInput,
        says="distance",
    ),
    Case("indexes", [("vectors.list", {})], lambda listed: "workers" in [stats.name for stats in listed.indexes]),
    Case("stats", [*filled("ix5"), ("vectors.stats", {"name": "ix5"})], lambda stats: stats.items == 2),
    Case("stats-absent", [("vectors.stats", {"name": "no-index"})], raises=NotFound, says="no-index"),
    Case("stats-slash", [("vectors.stats", {"name": "a/b"})], raises=LakehouseError),
    Case("ids", [*filled("ix6"), ("vectors.ids", {"name": "ix6"})], lambda listed: listed.ids == ["a", "b"]),
    Case("add", filled("ix7"), lambda added: (added.added, added.updated) == (2, 0)),
    Case(
        "add-again",
        [*filled("ix8"), ("vectors.add", {"name": "ix8", "items": PAIR[:1]})],
        lambda added: (added.added, added.updated) == (0, 1),
    ),
    Case(
        "add-wrong-dimension",
        [index("ix9"), ("vectors.add", {"name": "ix9", "items": [{"id": "a", "vector": [1.0, 2.0, 3.0]}]})],
        raises=InvalidInput,
        says="dimension",
    ),
    Case(
        "add-unknown-field",
        [index("ix10"), ("vectors.add", {"name": "ix10", "items": [{"id": "a", "vectr": [1.0, 2.0]}]})],
        raises=InvalidInput,
        says="vectr",
    ),
    Case(
        "add-no-vector",
        [index("ix11"), ("vectors.add", {"name": "ix11", "items": [{"id": "a"}]})],
        raises=InvalidInput,
    ),
    Case("add-absent", [("vectors.add", {"name": "no-index", "items": PAIR})], raises=NotFound),
    Case(
        "near",
        [*filled("ix12"), ("vectors.search", {"name": "ix12", "vector": [1.0, 0.1], "k": 1})],
        lambda found: [hit.id for hit in found.results] == ["a"] and found.results[0].metadata == {"n": 1},
    ),
    Case(
        "near-filtered",
        [*filled("ix13"),
         ("vectors.search", {"name": "ix13", "vector": [0.0, 1.0], "filter": {"must": [{"key": "n", "gte": 1}]}})],
        lambda found: [hit.id for hit in found.results] == ["a"],
    ),
    Case(
        "near-excluded",
        [*filled("ix14"), ("vectors.search", {"name": "ix14", "vector": [1.0, 0.0], "exclude_ids": ["a"]})],
        lambda found: [hit.id for hit in found.results] == ["b"],
    ),
    Case(
        "near-text",
        [("vectors.search", {"name": "workers", "text": "reach truck", "k": 2})],
        lambda found: len(found.results) == 2,
    ),
    Case(
        "near-wrong-dimension",
        [*filled("ix15"), ("vectors.search", {"name": "ix15", "vector": [1.0, 0.0, 0.0]})],
        raises=InvalidInput,
        says="dimension",
    ),
    Case("near-k-0", [("vectors.search", {"name": "workers", "text": "x", "k": 0})], raises=InvalidInput, says="k"),
    Case("near-k-10001", [("vectors.search", {"name": "workers", "text": "x", "k": 10_001})], raises=InvalidInput),
    Case("near-nothing", [("vectors.search", {"name": "workers"})], raises=InvalidInput),
    Case(
        "merge",
        [*filled("ix16"), index("ix17"), ("vectors.merge", {"src": "ix16", "dest": "ix17", "clear_source": True})],
        lambda merged: (merged.merged, merged.skipped, merged.cleared) == (2, 0, 2),
    ),
    Case("merge-itself", [index("ix18"), ("vectors.merge", {"src": "ix18", "dest": "ix18"})], raises=InvalidInput),
    Case("merge-absent", [index("ix19"), ("vectors.merge", {"src": "ix19", "dest": "no-index"})], raises=NotFound),
    Case(
        "item",
        [*filled("ix20"), ("vectors.get", {"name": "ix20", "id": "a"})],
        lambda item: (item.id, item.vector, item.metadata) == ("a", [1.0, 0.0], {"n": 1}),
    ),
    Case(
        "item-odd-id",
        [index("ix21"), ("vectors.add", {"name": "ix21", "items": [{"id": "a/../\u00fc?", "vector": [1.0, 0.0]}]}),
         ("vectors.get", {"name": "ix21", "id": "a/../\u00fc?"})],
        lambda item: item.id == "a/../\u00fc?",
    ),
    Case("item-absent", [*filled("ix22"), ("vectors.get", {"name": "ix22", "id": "z"})], raises=NotFound, says="z"),
    Case(
        "item-delete",
        [*filled("ix23"), ("vectors.delete_item", {"name": "ix23", "id": "a"})],
        lambda answer: answer is None,
    ),
    Case("item-delete-absent", [index("ix24"), ("vectors.delete_item", {"name": "ix24", "id": "a"})], raises=NotFound),
    Case("index-delete", [index("ix25"), ("vectors.delete", {"name": "ix25"})], lambda answer: answer is None),
    Case("index-delete-absent", [("vectors.delete", {"name": "no-index"})], raises=NotFound),
]  # fmt: skip

TEXTS = [
    Case(
        "embed",
        [("embed.texts", {"texts": ["Caf\u00e9 r\u00e9sum\u00e9 \u2b50 \u4f60\u597d", "x"]})],
        lambda embedded: embedded.dimension == len(embedded.vectors[1]) == 384,
    ),
    Case("embed-none", [("embed.texts", {"texts": []})], raises=InvalidInput, says="texts"),
    Case("embed-empty", [("embed.texts", {"texts": [""]})], raises=InvalidInput, says="texts[0]"),
    Case("embed-long", [("embed.texts", {"texts": ["x" * 65_536]})], raises=TooLarge, says="texts[0]"),
    Case("embed-model", [("embed.texts", {"texts": ["x"], "model": "nobody"})], raises=NotFound, says="nobody"),
    Case(
        "parse",
        [("demand.parse", {"text": FORKLIFT})],
        lambda demand: (demand.role, demand.count, demand.location.city) == ("Forklift Operator", 2, "Cleveland"),
    ),
    Case("parse-unknown-field", [("demand.parse", {"txt": FORKLIFT})], raises=InvalidInput, says="did you mean 'text'"),
    Case("parse-number", [("demand.parse", {"text": 7})], raises=InvalidInput, says="text"),
    Case("parse-empty", [("demand.parse", {"text": ""})], raises=InvalidInput, says="text"),
]

CORPORA = [
    Case(
        "corpus",
        [dataset("co1"), ("corpora.build", {"name": "co1", "dataset": "co1", "id_prefix": "c1-", **ROSTER})],
        lambda report: (report.corpus, report.items) == ("co1", 2),
    ),
    Case(
        "corpus-without-id-column",
        [dataset("co2"), ("corpora.build", {"name": "co2", "dataset": "co2", "id_prefix": "c2-", **ROSTER,
                                            "id_column": "worker_id"})],
        raises=InvalidInput,
        says="worker_id",
    ),
    Case(
        "corpus-duplicate-ids",
        [dataset("co3", CSV + b"2,welder,again\n"),
         ("corpora.build", {"name": "co3", "dataset": "co3", "id_prefix": "c3-", **ROSTER})],
        raises=InvalidInput,
        says="2",
    ),
    Case(
        "corpus-empty-prefix",
        [dataset("co4"), ("corpora.build", {"name": "co4", "dataset": "co4", "id_prefix": "", **ROSTER})],
        raises=InvalidInput,
        says="id_prefix",
    ),
    Case(
        "corpus-prefix-that-begins-as-another",
        [dataset("co6"), ("corpora.build", {"name": "co6", "dataset": "co6", "id_prefix": "c6-", **ROSTER}),
         ("corpora.build", {"name": "co7", "dataset": "co6", "id_prefix": "c6-1", **ROSTER})],
        raises=InvalidInput,
        says="cannot be told from 'c6-' of the corpus 'co6'",
    ),
    Case(
        "corpus-absent-dataset",
        [("corpora.build", {"name": "co5", "dataset": "nobody", "id_prefix": "c5-", **ROSTER})],
        raises=NotFound,
        says="nobody",
    ),
    Case(
        "corpus-people",
        [("corpora.people", {"people": [{"corpus": "workers", "id": id} for id in ("w-2", "w-9999", "w-1")]})],
        lambda listed: [(one.id, one.role, one.city) for one in listed.people] == [
            ("w-2", "Forklift Operator", "Cleveland"), ("w-1", "Forklift Operator", "Cleveland")
        ],
    ),
    Case("corpus-people-shape", [("corpora.people", {"people": [{"id": "w-1"}]})], raises=InvalidInput, says="corpus"),
    Case("corpus-delete", [*corpus("co8"), ("corpora.delete", {"name": "co8"})], lambda answer: answer is None),
    Case(
        "corpus-delete-is-not-listed",
        [*corpus("co9"), ("corpora.delete", {"name": "co9"}), ("corpora.list", {})],
        lambda listed: "co9" not in [each.name for each in listed.corpora],
    ),
    Case(
        "corpus-delete-takes-the-index",
        [*corpus("co10"), ("corpora.delete", {"name": "co10"}), ("vectors.stats", {"name": "co10"})],
        raises=NotFound,
        says="co10",
    ),
    Case(
        "corpus-delete-is-in-the-next-search",
        [*corpus("co11"), search(corpora=["co11"]), ("corpora.delete", {"name": "co11"}), search(corpora=["co11"])],
        raises=NotFound,
        says="corpus 'co11' does not exist",
    ),
    Case(
        "corpus-delete-leaves-the-dataset-and-the-name",
        [*corpus("co12"), ("corpora.delete", {"name": "co12"}), *corpus("co12")[1:]],
        lambda report: (report.items, report.embedded) == (2, 0),
    ),
    Case("corpus-delete-absent", [("corpora.delete", {"name": "nobody"})], raises=NotFound, says="'nobody' does not"),
    Case(
        "corpus-delete-of-an-index-that-is-none",
        [*filled("co13"), ("corpora.delete", {"name": "co13"})],
        raises=NotFound,
        says="'co13' does not",
    ),
    Case("corpus-delete-bad-name", [("corpora.delete", {"name": "a b"})], raises=InvalidInput, says="name"),
    Case(
        "corpus-of-an-index-with-other-vectors",
        [dataset("co14"), *filled("co14"),
         ("corpora.build", {"name": "co14", "dataset": "co14", "id_prefix": "co14-", **ROSTER})],
        raises=WrongState,
        says="`lakehouse vectors delete co14`",
    ),
    Case("corpora", [("corpora.list", {})], lambda listed: "workers" in [corpus.name for corpus in listed.corpora]),
]  # fmt: skip

MATRIX = [
    Case(
        "search",
        [search(k=3)],
        lambda answer: len(answer.results) == 3 and answer.results[0].rating == 5 and not answer.no_good_match,
    ),
    Case(
        "search-filter",
        [search(filter={"must": [{"key": "state", "match": "MI"}]})],
        lambda answer: {match.metadata["state"] for match in answer.results} == {"MI"},
    ),
    Case(
        "search-excluded",
        [search(k=2), ("matrix.search", lambda seen: {
            "query_text": FORKLIFT, "corpora": ["workers"], "exclude_ids": [match.id for match in seen[0].results]})],
        lambda answer: answer.excluded == 2,
    ),
    Case(
        "search-memory",
        [remembered("mem1", "w-9"),
         ("matrix.search", {"query_text": SAME_WORDS_DIFFER, "corpora": ["workers"], "use_playbook": True,
                            "playbook": "mem1", "k": 36})],
        lambda answer: answer.boosted + answer.injected == 1,
    ),
    Case(
        "search-nobody",
        [("matrix.search", {"query_text": "Need 2 Marine Radar Technicians in Bozeman MT", "corpora": ["workers"]})],
        lambda answer: answer.no_good_match,
    ),
    Case("search-absent-corpus", [search(corpora=["nobody"])], raises=NotFound, says="workers"),
    Case("search-no-corpus", [search(corpora=[])], raises=InvalidInput, says="corpora"),
    Case("search-empty", [search(query_text="")], raises=InvalidInput, says="query_text"),
    Case("search-blank", [search(query_text=" \n ")], raises=InvalidInput),
    Case("search-long", [search(query_text="welder " * 9_363)], raises=TooLarge),
    Case("search-k-0", [search(k=0)], raises=InvalidInput, says="k"),
    Case("search-k-10001", [search(k=10_001)], raises=InvalidInput, says="k"),
    Case(
        "search-unknown-field",
        [("matrix.search", {"query": FORKLIFT, "corpora": ["workers"]})],
        raises=InvalidInput,
        says="did you mean 'query_text'",
    ),
    Case("search-unknown-inside", [search(filter={"mist": []})], raises=InvalidInput, says="mist"),
]  # fmt: skip

PLAYBOOKS = [
    Case("record", [remembered("pb1")], lambda recorded: recorded.created),
    Case("record-again", [remembered("pb2"), remembered("pb2")], lambda recorded: not recorded.created),
    Case("record-phantom", [remembered("pb3", "w-999")], raises=NotFound, says="w-999"),
    Case("record-absent-corpus", [
        ("playbooks.record", {"query_text": "x", "answer_id": "w-1", "corpus": "nobody", "score": 1.0})],
        raises=NotFound, says="nobody"),
    Case("record-score", [
        ("playbooks.record", {"query_text": "x", "answer_id": "w-1", "corpus": "workers", "score": 1.5})],
        raises=InvalidInput, says="score"),
    Case(
        "bulk",
        [("playbooks.bulk", {"entries": [
            {"query_text": text, "answer_id": "w-1", "corpus": "workers", "score": 0.5, "namespace": "pb4"}
            for text in ("forklift driver", "reach truck driver")]})],
        lambda done: (done.recorded, done.updated) == (2, 0),
    ),
    Case("bulk-phantom", [("playbooks.bulk", {"entries": [
        {"query_text": "x", "answer_id": "w-999", "corpus": "workers", "score": 0.5}]})],
        raises=NotFound, says="0"),
    Case(
        "entries",
        [remembered("pb5"), ("playbooks.list", {"namespace": "pb5"})],
        lambda listed: [entry.answer_id for entry in listed.entries] == ["w-1"],
    ),
    Case(
        "entries-paged",
        [
            remembered("pb5-pages", answer_id="w-1"),
            remembered("pb5-pages", answer_id="w-2"),
            ("playbooks.list", {"namespace": "pb5-pages", "limit": 1, "offset": 1}),
        ],
        lambda listed: len(listed.entries) == 1,
    ),
    Case("entries-no-limit", [("playbooks.list", {"limit": 0})], raises=InvalidInput, says="limit"),
    Case("entries-bad-namespace", [("playbooks.list", {"namespace": "a b"})], raises=InvalidInput, says="namespace"),
    Case(
        "forget",
        [remembered("pb6"), ("playbooks.delete", lambda seen: {"id": seen[0].playbook_id})],
        lambda answer: answer is None,
    ),
    Case("forget-absent", [("playbooks.delete", {"id": "nothing"})], raises=NotFound, says="nothing"),
    Case(
        "handover",
        [remembered("pb7"), ("playbooks.handover", {"from": "pb7", "to": "pb8", "mode": "copy"})],
        lambda done: done.entries == 1,
    ),
    Case(
        "handover-python-name",
        [remembered("pb9"), ("playbooks.handover", {"from_": "pb9", "to": "pb10", "mode": "move"})],
        lambda done: done.entries == 1,
    ),
    Case(
        "handover-of-another-client",
        [
            remembered("pb11"),
            ("playbooks.handover", {"from": "pb11", "to": "pb12", "mode": "move", "client": "Nobody"}),
        ],
        lambda done: done.entries == 0,
    ),
    Case(
        "handover-of-a-client-shared",
        [("playbooks.handover", {"from": "pb1", "to": "p", "mode": "share", "client": "Nobody"})],
        raises=InvalidInput,
        says="mode",
    ),
    Case(
        "shares",
        [
            ("playbooks.handover", {"from": "sh1", "to": "sh2", "mode": "share"}),
            ("playbooks.shares", {"namespace": "sh2"}),
        ],
        lambda found: (found.uses, found.used_by) == (["sh1"], []),
    ),
    Case(
        "withdraw",
        [
            ("playbooks.handover", {"from": "sh3", "to": "sh4", "mode": "share"}),
            ("playbooks.withdraw", {"namespace": "sh3", "reader": "sh4"}),
        ],
        lambda answer: answer is None,
    ),
    Case(
        "withdraw-twice",
        [
            ("playbooks.handover", {"from": "sh7", "to": "sh8", "mode": "share"}),
            ("playbooks.withdraw", {"namespace": "sh7", "reader": "sh8"}),
            ("playbooks.withdraw", {"namespace": "sh7", "reader": "sh8"}),
        ],
        raises=NotFound,
        says="sh8",
    ),
    Case("withdraw-what-is-not-shared", [("playbooks.withdraw", {"namespace": "sh5", "reader": "sh6"})],
         raises=NotFound, says="sh6"),
    Case("handover-itself", [("playbooks.handover", {"from": "p", "to": "p", "mode": "copy"})], raises=InvalidInput),
    Case("handover-mode", [("playbooks.handover", {"from": "pb1", "to": "p", "mode": "lend"})], raises=InvalidInput),
]  # fmt: skip

# Below everything those modules take from this one.
from contract import (  # noqa: E402
    chat_cases,
    demands_cases,
    lake_cases,
    learn_cases,
    ledger_cases,
    memory_cases,
    observe_cases,
    proof_cases,
    validate_cases,
)

ROOMS = (
    lake_cases,
    ledger_cases,
    memory_cases,
    observe_cases,
    validate_cases,
    chat_cases,
    proof_cases,
    learn_cases,
    demands_cases,
)
CASES = [
    *STORAGE,
    *LAKE,
    *VECTORS,
    *TEXTS,
    *CORPORA,
    *MATRIX,
    *PLAYBOOKS,
    *(case for room in ROOMS for case in room.CASES),
]
