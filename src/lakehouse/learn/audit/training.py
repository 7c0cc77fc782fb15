"""Phases 6 to 9: from logs to evidence, verdicts, training data and replays."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.errors import IntegrityError
from lakehouse.learn import materialize, reading, sft
from lakehouse.learn.audit.base import Found, Lake
from lakehouse.learn.base import EvidenceRecord
from lakehouse.learn.outputs import read_state
from lakehouse.learn.replay import SCHEMA, Replayed
from lakehouse.learn.score import scored_row
from lakehouse.learn.synthesis import example
from lakehouse.observe import scoring
from lakehouse.state.log import files, sealed
from lakehouse.state.log import lines as log_lines

# Each so-manyth record is made again from its line and compared.
_EVERY = 97
_MOST_RUNS = 1_000


def evidence(lake: Lake) -> Found:
    """Bring the evidence up to date, and make a sample of it again from the lines it names."""
    learning = lake.learning
    learning.materialize()
    found = Found(metrics={"p6_evidence_rows": 0, "p6_checked": 0})
    try:
        for number, record in enumerate(reading.evidence(learning.evidence)):
            found.metrics["p6_evidence_rows"] += 1
            if number % _EVERY == 0:
                found.metrics["p6_checked"] += 1
                if not _is_of_its_line(lake, record):
                    place = record.provenance
                    found.wrong.append(
                        f"{record.evidence_id} is not what line {place.line_offset} of {place.file} says"
                    )
    except IntegrityError as error:
        found.wrong.append(error.message)
    state = read_state(learning.evidence)
    counts = state.counts if state else {}
    rejected = sum(count for name, count in counts.items() if name.startswith("rejected."))
    if rejected:
        found.doubtful.append(f"{rejected} lines of the logs could not be read; see learn/evidence/rejected")
    found.metrics["p6_rejected"] = rejected
    return found


def _is_of_its_line(lake: Lake, record: EvidenceRecord) -> bool:
    place = record.provenance
    log = next((name for name, path in lake.learning.logs.items() if _named(path, lake.folder) == place.file), None)
    if log is None:
        return False
    path = lake.learning.logs[log]
    whole = sealed(path, place.part)
    with (whole if whole.exists() else path).open("rb") as file:
        file.seek(place.line_offset)
        line = file.readline().rstrip(b"\n")
    try:
        made = list(materialize.records_of(log, line, msgspec.structs.asdict(place)))
    except ValueError:
        return False
    return msgspec.json.encode(record) in {msgspec.json.encode(each) for each in made}


def _named(path: Path, lake: Path) -> str:
    return str(path.relative_to(lake)) if path.is_relative_to(lake) else path.name


def verdicts(lake: Lake) -> Found:
    """Bring the verdicts up to date, and judge every record again by the rules there are now."""
    learning = lake.learning
    learning.score()
    found = Found(metrics={})
    outcomes: Counter[str] = Counter()
    unscored = 0
    try:
        written = reading.verdicts(learning.scored)
        for record in reading.evidence(learning.evidence):
            verdict, fresh = written.get(record.evidence_id), scored_row(record)
            if verdict is not None:
                outcomes[verdict.outcome] += 1
            if verdict != fresh and fresh is not None:
                unscored += verdict is None
                said = "has no verdict" if verdict is None else f"is written down as {verdict.outcome}"
                found.wrong.append(f"{record.evidence_id} {said}; the rules {scoring.VERSION} say {fresh.outcome}")
    except IntegrityError as error:
        found.wrong.append(error.message)
    named = ("accepted", "partially_accepted", "rejected", "needs_human")
    found.metrics |= {f"p7_{outcome}": outcomes[outcome] for outcome in named} | {"p7_unscored": unscored}
    return found


def firewall(lake: Lake) -> Found:
    """Look at every row of the newest export again: who it is from, and what it says."""
    exports = sft.exports(lake.learning.sft)
    found = Found(metrics={"p8_exports": len(exports), "p8_rows": 0, "p8_leaks": 0})
    if not exports:
        found.skipped = "nothing was exported yet"
        return found
    newest = exports[-1]
    wall = lake.learning.firewall()
    try:
        written = reading.verdicts(lake.learning.scored)
        by_id = {record.evidence_id: record for record in reading.evidence(lake.learning.evidence)}
        lineage = sft.lineage_of(newest)
        for split in sft.SPLITS:
            rows = sft.rows_of(newest, split)
            of_split = [each for each in lineage if each.split == split]
            found.metrics["p8_rows"] += len(rows)
            if len(rows) != len(of_split):
                found.wrong.append(f"{newest.name}: {split} has {len(rows)} rows, the lineage names {len(of_split)}")
            for row, line in zip(rows, of_split, strict=False):
                record, verdict = by_id.get(line.evidence_id), written.get(line.evidence_id)
                if record is None or verdict is None:
                    found.wrong.append(f"{newest.name}: {split} row {line.row} comes from no evidence")
                    continue
                never = wall.category(record, verdict.outcome, row.texts)
                if never:
                    found.wrong.append(f"{newest.name}: {split} row {line.row} must never be exported: {never}")
                elif row != example(record):
                    found.wrong.append(f"{newest.name}: {split} row {line.row} is not what its evidence says")
    except (IntegrityError, ValueError, OSError) as error:
        found.wrong.append(f"{newest.name} cannot be read: {error}")
    found.metrics["p8_leaks"] = len(found.wrong)
    return found


def replays(lake: Lake) -> Found:
    """Read the newest replays, and do the last search among them twice."""
    path = lake.learning.logs["replay_runs"]
    found = Found(metrics={"p9_replays": 0, "p9_unreadable": 0})
    decode = msgspec.json.Decoder(Replayed).decode
    runs: list[Replayed] = []
    if files(path):
        for _, offset, line in log_lines(path):
            try:
                run = decode(line)
                if run.schema != SCHEMA:
                    raise ValueError(f"schema {run.schema!r}")
                runs = [*runs[-_MOST_RUNS:], run]
                found.metrics["p9_replays"] += 1
            except ValueError as error:
                found.metrics["p9_unreadable"] += 1
                found.wrong.append(f"the row at byte {offset} of {path.name} is no {SCHEMA}: {error}")
    if not runs:
        found.skipped = "no task was replayed yet"
        return found
    found.metrics["p9_mean_overlap"] = round(sum(run.overlap for run in runs) / len(runs), 6)
    defined = {corpus.name for corpus in lake.rooms.corpora.defined()}
    last = next((run for run in reversed(runs) if defined.issuperset(run.corpora)), None)
    if last is not None:
        one, two = (_ids(lake, last) for _ in range(2))
        if one != two:
            found.wrong.append("the same search gives two different answers")
    return found


def _ids(lake: Lake, run: Replayed) -> list[Any]:
    answer = lake.rooms.matrix.search(run.task, run.corpora, k=max(1, len(run.now.results)))
    return [(match.id, match.distance, match.rating) for match in answer.results]
