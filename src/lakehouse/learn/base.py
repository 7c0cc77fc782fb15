"""The shapes of learning: evidence of work done, what it was scored, and what a run over the logs did."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from lakehouse.observe.scoring import Outcome

EVIDENCE_SCHEMA = "evidence.v1"
SCORED_SCHEMA = "scored_run.v1"

# Who says that the work was good or bad. What only a `judge` (a model or a rating rule) says teaches nothing.
Label = Literal["validator", "outcome", "human", "judge"]


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where a record comes from.

    Attributes:
        file: The log, relative to the lake, by the name that takes the appends (`logs/ops.jsonl`).
        part: Which file of the log, from 1; sealing one does not change it.
        line_offset: Of the line in that file, in bytes; 0 is the first line.
        time: Of the line, as it says itself.
    """

    file: str
    part: int
    line_offset: int
    time: str


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What a transform reads from one line: an evidence record but for its id and provenance; see `EvidenceRecord`."""

    time: str
    task: str
    status: str = ""
    input: str = ""
    output: str = ""
    labels: tuple[Label, ...] = ()
    subjects: tuple[str, ...] = ()
    model: str = ""
    provider: str = ""
    namespace: str = ""
    trace_id: str = ""
    attempts: int | None = None
    grounded_in_roster: bool | None = None
    rating: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: float | None = None
    metadata: dict[str, Any] = {}


class EvidenceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work that a log tells of. Every field is always written.

    Attributes:
        schema: `evidence.v1`.
        evidence_id: Follows from the transform and the place of the line, so it is the same in every run.
        kind: The transform that made it (`searches`).
        task: What was done: an operation (`matrix.search`), an artifact (`iterate.fill`), a recorder's own word.
        time: When, RFC 3339, UTC.
        status: How it ended, in the words of the log; empty when the log does not say.
        input: What was asked, as text; empty when the log keeps no content.
        output: What came of it, as text or JSON.
        labels: Who says how good it was.
        subjects: Ids of the people it is about.
        model, provider: Of a model's work.
        namespace: Whose memory or budget it was.
        trace_id: Of its trace.
        attempts: Tries it took.
        grounded_in_roster: Of a fill, whether everybody in it exists.
        rating: 1 to 5, null when not rated.
        prompt_tokens, completion_tokens: Of all tries together.
        latency_ms: Time it took.
        metadata: Further facts, by transform.
        provenance: Where it comes from.
    """

    schema: str = EVIDENCE_SCHEMA
    evidence_id: str
    kind: str
    task: str
    time: str
    status: str
    input: str
    output: str
    labels: tuple[Label, ...]
    subjects: tuple[str, ...]
    model: str
    provider: str
    namespace: str
    trace_id: str
    attempts: int | None
    grounded_in_roster: bool | None
    rating: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_ms: float | None
    metadata: dict[str, Any]
    provenance: Provenance


class SourceReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a run read of one log; `part` and `offset` are where the next run goes on."""

    file: str
    lines: int
    rejected: int
    part: int
    offset: int


class Materialized(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of one run over the logs.

    Attributes:
        lines: Lines that were new.
        records: Evidence records made of them; a line may give none, or several.
        rejected: Lines that are not what their log writes; each is listed with its reason beside the evidence.
        by_kind: Records by transform.
        by_day: Records by day of their line, `2026-01-31`.
        sources: By log.
        started_over: True when everything was made anew, because outputs or logs were not as the last run left them.
    """

    lines: int
    records: int
    rejected: int
    by_kind: dict[str, int]
    by_day: dict[str, int]
    sources: list[SourceReceipt]
    started_over: bool
    elapsed_ms: float


class ScoredRow(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one evidence record.

    Attributes:
        outcome: One of the four verdicts.
        reasons: The deciding one first.
        rule: Name of the rule that decided.
        rules_version: Of the table of rules.
    """

    schema: str = SCORED_SCHEMA
    evidence_id: str
    kind: str
    task: str
    time: str
    outcome: Outcome
    reasons: list[str]
    rule: str
    rules_version: str


class Scoring(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of one run of scoring.

    Attributes:
        scored: Records that were new.
        refused: Of these, those that say nothing at all; they have no verdict.
        outcomes: All verdicts there are, after this run.
        by_rule: The same, by the rule that decided.
        rescored: True when everything was scored anew, because the rules or the evidence are not those of the last run.
    """

    scored: int
    refused: int
    outcomes: dict[str, int]
    by_rule: dict[str, int]
    rules_version: str
    rescored: bool
    elapsed_ms: float


# The columns of the tables in SQL.
EVIDENCE_COLUMNS = {
    "schema": "VARCHAR",
    "evidence_id": "VARCHAR",
    "kind": "VARCHAR",
    "task": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "status": "VARCHAR",
    "input": "VARCHAR",
    "output": "VARCHAR",
    "labels": "VARCHAR[]",
    "subjects": "VARCHAR[]",
    "model": "VARCHAR",
    "provider": "VARCHAR",
    "namespace": "VARCHAR",
    "trace_id": "VARCHAR",
    "attempts": "INTEGER",
    "grounded_in_roster": "BOOLEAN",
    "rating": "INTEGER",
    "prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "latency_ms": "DOUBLE",
    "metadata": "JSON",
    "provenance": "STRUCT(file VARCHAR, part INTEGER, line_offset BIGINT, time VARCHAR)",
}
SCORED_COLUMNS = {
    "schema": "VARCHAR",
    "evidence_id": "VARCHAR",
    "kind": "VARCHAR",
    "task": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "outcome": "VARCHAR",
    "reasons": "VARCHAR[]",
    "rule": "VARCHAR",
    "rules_version": "VARCHAR",
}
