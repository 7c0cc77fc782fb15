"""Replay: a task done again, against the lake as it was and as it is, both answers side by side.

retrieve   the same search over the rows of each snapshot, without memory
bundle     who was found, without names and contact data
chat       a model proposes a fill from the bundle, where one is named
validate   the fill validator decides, against the roster of the same snapshot
log        one row in `logs/replay_runs.jsonl`, schema `replay_run.v1`
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from lakehouse import tracing
from lakehouse.errors import LakehouseError
from lakehouse.matrix.base import Match
from lakehouse.observe.lines import json_line
from lakehouse.staffing import worker
from lakehouse.validate import prompts
from lakehouse.validate.base import Context
from lakehouse.validate.extract import extract_json
from lakehouse.validate.iterate import Ask, Reply
from lakehouse.validate.prompts import Document

SCHEMA = "replay_run.v1"
COLUMNS = {
    "schema": "VARCHAR",
    "replay_id": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "task": "VARCHAR",
    "corpora": "VARCHAR[]",
    "model": "VARCHAR",
    "was": "JSON",
    "now": "JSON",
    "overlap": "DOUBLE",
    "same_first": "BOOLEAN",
    "prompt_tokens": "BIGINT",
    "completion_tokens": "BIGINT",
    "trace_id": "VARCHAR",
}
_MOST_TOKENS = 2_048
_TIMEOUT_MS = 120_000

SideVerdict = Literal["", "accepted", "rejected", "no_json", "infra_error"]


class ReplayHit(msgspec.Struct, frozen=True):
    """Somebody who was found."""

    id: str
    corpus: str
    distance: float
    rating: int | None


class ReplaySide(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two answers.

    Attributes:
        snapshots: Snapshot of its dataset, by corpus.
        results: Best first.
        answer: The model's fill, null without a model or when it gave none.
        verdict: Of the fill validator; empty without a model.
        reasons: What was wrong.
    """

    snapshots: dict[str, int]
    results: list[ReplayHit]
    answer: dict[str, Any] | None = None
    verdict: SideVerdict = ""
    reasons: list[str] = []


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A replay.

    Attributes:
        overlap: Share of those found on either side who were found on both (Jaccard); 1 when neither found anybody.
        same_first: Whether the first is the same.
    """

    schema: str = SCHEMA
    replay_id: str
    time: str
    task: str
    corpora: list[str]
    model: str
    was: ReplaySide
    now: ReplaySide
    overlap: float
    same_first: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    trace_id: str


class Write(Protocol):
    """Appends rows to the log, durable on return."""

    def __call__(self, rows: Sequence[bytes]) -> None:
        """Append."""


Search = Callable[[str, Mapping[str, int], int], Sequence[Match]]
# Kind, artifact, context to the reasons why it does not pass, none when it does.
Refusals = Callable[[Any, Context], Sequence[str]]


class Replays:
    """Runs replays.

    Args:
        search: Finds people for a task in corpora, each at a snapshot.
        complete: Asks a model.
        refusals: The fill validator.
        write: Takes the row.
        clock: The time, with its zone.
        new_id: Makes an id.
    """

    def __init__(
        self,
        *,
        search: Search,
        complete: Callable[[Ask], Reply],
        refusals: Refusals,
        write: Write,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._search = search
        self._complete = complete
        self._refusals = refusals
        self._write = write
        self._clock = clock
        self._new_id = new_id

    def run(self, task: str, was: Mapping[str, int], now: Mapping[str, int], *, k: int, model: str) -> Replayed:
        """Do a task against both states.

        Args:
            task: The ask.
            was, now: Snapshot by corpus; the same corpora in both.
            k: Most results.
            model: Proposes a fill from what was found; none when empty.

        Raises:
            NotFound: A snapshot does not exist any more.
            Unavailable: The row cannot be written.
        """
        replies: list[Reply] = []
        sides = [self._side(task, snapshots, k, model, replies) for snapshots in (was, now)]
        before, after = ([hit.id for hit in side.results] for side in sides)
        either = {*before, *after}
        run = Replayed(
            replay_id=f"rp-{self._new_id()}",
            time=self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            task=task,
            corpora=list(was),
            model=model,
            was=sides[0],
            now=sides[1],
            overlap=round(len({*before} & {*after}) / len(either), 6) if either else 1.0,
            same_first=before[:1] == after[:1],
            prompt_tokens=sum(reply.prompt_tokens for reply in replies) if model else None,
            completion_tokens=sum(reply.completion_tokens for reply in replies) if model else None,
            trace_id=tracing.current(),
        )
        self._write([json_line(msgspec.json.encode(run))])
        return run

    def _side(self, task: str, snapshots: Mapping[str, int], k: int, model: str, replies: list[Reply]) -> ReplaySide:
        found = self._search(task, snapshots, k)
        side = ReplaySide(
            snapshots=dict(snapshots),
            results=[ReplayHit(hit.id, hit.corpus, round(hit.distance, 6), hit.rating) for hit in found],
        )
        if not model:
            return side
        try:
            reply = self._complete(self._ask(task, found, model))
        except LakehouseError as error:
            return msgspec.structs.replace(side, verdict="infra_error", reasons=[error.message])
        replies.append(reply)
        answer = extract_json(reply.content)
        if answer is None:
            return msgspec.structs.replace(side, verdict="no_json", reasons=["the answer holds no JSON object"])
        only = next(iter(snapshots.items())) if len(snapshots) == 1 else None
        context = Context(roster=only[0], snapshot_id=str(only[1])) if only else Context()
        reasons = list(self._refusals(answer, context))
        return msgspec.structs.replace(
            side, answer=answer, verdict="rejected" if reasons else "accepted", reasons=reasons
        )

    def _ask(self, task: str, found: Sequence[Match], model: str) -> Ask:
        documents = [Document(hit.id, msgspec.json.encode(_shown(hit.metadata)).decode()[:65_536]) for hit in found]
        return Ask(
            model=model,
            turns=prompts.first("fill", task, documents, mark=secrets.token_hex(8)),
            schema=prompts.shape_of("fill"),
            max_tokens=_MOST_TOKENS,
            timeout_ms=_TIMEOUT_MS,
            namespace="replay",
            data_class="personal",
        )


def log_path(folder: Path) -> Path:
    """Return the log of replays of a lake."""
    return folder / "logs" / "replay_runs.jsonl"


def _shown(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if not worker.is_personal(name)}
