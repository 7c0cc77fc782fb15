"""Cases of playbook memory beyond recording, of pathways, relevance and downgrade."""

from __future__ import annotations

from typing import Any

from contract.cases import Case, remembered
from lakehouse.errors import InvalidInput, NotFound, WrongState

SPLIT = {
    "task": "Split a demand for 200 people over two shifts",
    "steps": ["ask for the shift plan", {"call": "search"}],
}
UNKNOWN = {"role": None, "outcome": "worked", "by": "", "why": "", "good": 1.0, "bad": 0.0, "evidence_on": "2026-01-01",
           "created_at": "2026-01-01T00:00:00.000+00:00", "updated_at": "2026-01-01T00:00:00.000+00:00"}  # fmt: skip
CHUNKS = [
    {"id": "a", "text": "Connector::open takes a URL and returns a live database connection."},
    {"id": "b", "text": "catalogd::Registry lists every dataset with its row count."},
]


def pathway(name: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "pathways.add", {**SPLIT, "tags": [name], **more}


def uid_of(seen: list[Any]) -> dict[str, Any]:
    return {"uid": seen[0].uid}


def same_as_first(answer: Any) -> bool:
    return answer.version == 1 and answer.change == 1


CASES = [
    Case(
        "remembered-by-whom",
        [remembered("me1"), ("playbooks.get", lambda seen: {"id": seen[0].playbook_id})],
        lambda found: found.entry.trust == 1.0 and [past.outcome for past in found.outcomes] == ["worked"],
    ),
    Case("remembered-absent", [("playbooks.get", {"id": "pb-none"})], raises=NotFound, says="pb-none"),
    Case(
        "merge-memory",
        [remembered("me2"), ("playbooks.merge", {"src": "me2", "dest": "me3"})],
        lambda done: (done.merged, done.joined, done.cleared) == (1, 0, 0),
    ),
    Case(
        "handover-to-somebody-who-remembers-it-too",
        [remembered("me8"), ("playbooks.record", {**remembered("me9")[1], "outcome": "accepted"}),
         ("playbooks.handover", {"from_": "me8", "to": "me9", "mode": "move"}),
         ("playbooks.get", lambda seen: {"id": seen[1].playbook_id})],
        # Which of them is older by its milliseconds is not known here.
        lambda found: (
            found.entry.good == 1.5 and sorted(past.outcome for past in found.outcomes) == ["accepted", "worked"]
        ),
    ),
    Case(
        "shared-and-copied-is-listed-once",
        [remembered("me12"), ("playbooks.handover", {"from_": "me12", "to": "me13", "mode": "share"}),
         ("playbooks.handover", {"from_": "me12", "to": "me13", "mode": "copy"}),
         ("playbooks.list", {"namespace": "me13"})],
        lambda found: [entry.namespace for entry in found.entries] == ["me13"],
    ),
    Case(
        "shared-and-copied-counts-once",
        [remembered("me14"), ("playbooks.handover", {"from_": "me14", "to": "me15", "mode": "share"}),
         ("playbooks.handover", {"from_": "me14", "to": "me15", "mode": "copy"}),
         ("playbooks.lift", {"namespace": "me15"})],
        lambda lift: lift.served.outcomes == 1,
    ),
    Case(
        "remembered-in-another-normal-form",
        [("playbooks.record", {**remembered("me16")[1], "query_text": "2 Welders Toledo OH for Caf\u00e9 Rio"}),
         ("playbooks.record", {**remembered("me16")[1], "query_text": "2 Welders Toledo OH for Cafe\u0301 Rio"})],
        lambda made: not made.created,
    ),
    Case(
        "handover-of-a-client-in-another-spelling",
        [("playbooks.record", {**remembered("me17")[1], "query_text": "2 Welders Toledo OH for O\u2019Brien, Inc"}),
         ("playbooks.handover", {"from_": "me17", "to": "me18", "mode": "copy", "client": "O'Brien Inc."})],
        lambda done: done.entries == 1,
    ),
    Case(
        "handover-of-a-client-of-whom-nothing-is-known",
        [("playbooks.record", {**remembered("me19")[1], "query_text": "2 Welders Toledo OH for Beacon Freight"}),
         ("playbooks.handover", {"from_": "me19", "to": "me20", "mode": "move", "client": "Becon Freight"})],
        lambda done: (done.entries, done.held, done.clients_like) == (0, 0, ["beacon freight"]),
    ),
    Case(
        "unknown-field-is-like-none",
        [("playbooks.record", {**remembered("me21")[1], "client": "Beacon Freight"})],
        raises=InvalidInput,
        says="'client' for playbooks.record; known: query_text, ",
    ),
    Case("index-of-memory-made", [("vectors.create", {"name": "playbook_me", "dimension": 3})], raises=InvalidInput,
         says="/v1/matrix/playbooks"),
    Case(
        "index-of-memory-added-to",
        [remembered("me10"), ("vectors.add", {"name": "playbook_me10", "items": [{"id": "x", "text": "welder"}]})],
        raises=InvalidInput,
        says="/v1/matrix/playbooks",
    ),
    Case(
        "index-of-memory-deleted-and-made-again",
        [remembered("me11"), ("vectors.delete", {"name": "playbook_me11"}), remembered("me11"),
         ("vectors.stats", {"name": "playbook_me11"})],
        lambda stats: stats.items == 1,
    ),
    Case("remembered-of-memory", [("playbooks.record", {"query_text": "welder", "answer_id": "pb-1", "score": 1.0,
         "corpus": "playbook_me1"})], raises=NotFound, says="does not exist"),
    Case("merge-with-itself", [("playbooks.merge", {"src": "me2", "dest": "me2"})], raises=InvalidInput, says="itself"),
    Case(
        "export",
        [remembered("me4"), ("playbooks.export", {"namespace": "me4"})],
        lambda found: [entry.answer_id for entry in found.entries] == ["w-1"],
    ),
    Case(
        "import",
        [remembered("me5"), ("playbooks.export", {"namespace": "me5"}),
         ("playbooks.import_", lambda seen: {"entries": seen[1].entries, "namespace": "me6"})],
        lambda done: (done.imported, done.replaced, done.unknown) == (1, 0, []),
    ),
    Case(
        "import-phantom",
        [("playbooks.import_", {"entries": [
            {"query_text": "welder", "answer_id": "w-999", "corpus": "workers", "score": 1.0, **UNKNOWN}]})],
        raises=NotFound,
        says="entries[0]",
    ),
    Case(
        "import-phantom-skipped",
        [("playbooks.import_", {"skip_unknown": True, "entries": [
            {"query_text": "welder", "answer_id": "w-999", "corpus": "workers", "score": 1.0, **UNKNOWN}]})],
        lambda done: done.unknown == ["w-999"],
    ),
    Case(
        "lift-of-a-namespace",
        [remembered("me7"), ("playbooks.lift", {"namespace": "me7"})],
        lambda lift: (lift.served.outcomes, lift.served.good, lift.held_out.outcomes) == (1, 1, 0),
    ),
    Case(
        "search-opinions-of-no-model",
        [("matrix.search", {"query_text": "Need 2 Forklift Operators in Cleveland OH", "corpora": ["workers"],
                            "opinions": 1})],
        raises=InvalidInput,
        says="local_judge",
    ),
    Case("search-opinions-too-many", [("matrix.search", {"query_text": "welder", "corpora": ["workers"],
         "opinions": 11})], raises=InvalidInput, says="opinions"),
    Case(
        "relevance",
        [("matrix.relevance", {"query": "How does Connector open a database connection?", "chunks": CHUNKS})],
        lambda found: ([each.id for each in found.kept], [each.id for each in found.dropped]) == (["a"], ["b"]),
    ),
    Case("relevance-empty", [("matrix.relevance", {"query": " ", "chunks": CHUNKS})], raises=InvalidInput,
         says="query"),
    Case("relevance-threshold", [("matrix.relevance", {"query": "x", "chunks": [], "threshold": 2})],
         raises=InvalidInput),
    Case(
        "downgrade",
        [("matrix.downgrade", {"mode": "lakehouse", "model": "grok-4.1-fast"})],
        lambda found: found.mode == "isolation" and "grok-4.1-fast" in found.reason,
    ),
    Case("downgrade-no-model", [("matrix.downgrade", {"mode": "lakehouse"})], raises=InvalidInput, says="model"),
    Case("pathway", [pathway("p1")], lambda made: same_as_first(made) and not made.retired, varies=True),
    Case("pathway-blank", [pathway("p1", task=" ")], raises=InvalidInput, says="task"),
    Case("pathway-unknown-field", [pathway("p1", title="x")], raises=InvalidInput, says="title"),
    Case(
        "pathway-idempotent",
        [("pathways.add_idempotent", {**SPLIT, "tags": ["p2"]})] * 2,
        lambda made: not made.created,
        varies=True,
    ),
    Case(
        "pathway-update",
        [pathway("p3"), ("pathways.update", lambda seen: {**uid_of(seen), "outcome": "filled"})],
        lambda made: (made.version, made.change, made.outcome) == (1, 2, "filled"),
        varies=True,
    ),
    Case(
        "pathway-revise",
        [pathway("p4"), ("pathways.revise", lambda seen: {**uid_of(seen), "steps": ["call"]})],
        lambda made: (made.version, made.change, made.steps) == (2, 2, ["call"]),
        varies=True,
    ),
    Case(
        "pathway-revise-nothing",
        [pathway("p5"), ("pathways.revise", uid_of)],
        raises=InvalidInput,
        says="at least one",
        varies=True,
    ),
    Case(
        "pathway-retire",
        [pathway("p6"), ("pathways.retire", uid_of)],
        lambda made: made.retired,
        varies=True,
    ),
    Case(
        "pathway-revise-retired",
        [pathway("p7"), ("pathways.retire", uid_of),
         ("pathways.revise", lambda seen: {**uid_of(seen), "outcome": "x"})],
        raises=WrongState,
        says="retired",
        varies=True,
    ),
    Case("pathway-get", [pathway("p8"), ("pathways.get", uid_of)], same_as_first, varies=True),
    Case("pathway-absent", [("pathways.get", {"uid": "pw-none"})], raises=NotFound, says="pw-none"),
    Case(
        "pathway-history",
        [pathway("p9"), ("pathways.retire", uid_of), ("pathways.history", uid_of)],
        lambda found: [each.retired for each in found.history] == [False, True],
        varies=True,
    ),
    Case(
        "pathway-search",
        [pathway("p10"), ("pathways.search", {"q": "two shifts for 200 people", "tag": "p10"})],
        lambda found: [each.tags for each in found.results] == [["p10"]],
        varies=True,
    ),
    Case("pathway-search-nothing", [("pathways.search", {"q": ""})], raises=InvalidInput, says="'q'"),
    Case("pathway-stats", [("pathways.stats", {})], lambda stats: stats.retired == 3 and stats.tags["p10"] == 1),
]  # fmt: skip
