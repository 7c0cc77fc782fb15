"""Lines of logs as the product writes them, made by hand, and rows of evidence."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lakehouse import operations, settings
from lakehouse.errors import LakehouseError
from lakehouse.learn.base import EvidenceRecord, Provenance
from lakehouse.observe.base import Op
from lakehouse.observe.traces import Traces
from lakehouse.validate.session import Attempt, Session, row

PROMPT = "Need 1 Forklift Operator in Cleveland OH. To choose from: w-1, reach truck; w-2, pallet jack."
FILL = {"demand": {"role": "Forklift Operator", "count": 1}, "workers": [{"id": "w-2"}]}


def op(nth: int, **more: Any) -> bytes:
    day = 20 + nth % 5
    fields = {"source": "call", "kind": "matrix.search", "status": "ok", "elapsed_ms": 1.5, "trace_id": f"t{nth}"}
    return msgspec.json.encode(Op(op_id=f"op-s-{nth}", time=f"2026-11-{day}T09:00:00.{nth:06d}Z", **(fields | more)))


def traced(path: Path, calls: Sequence[tuple[str, dict[str, Any], Any]]) -> Path:
    """The log of spans of calls with their arguments and their answers or errors, written as that of a lake is."""

    def ended(came: Any) -> Any:
        if isinstance(came, LakehouseError):
            raise came
        return came

    traces = Traces(settings.Traces(log=True, content=True), path, version="1")
    for name, values, came in calls:
        operation = operations.BY_NAME[name]
        with contextlib.suppress(LakehouseError):
            traces.around(operation, operations.arguments(operation, values), functools.partial(ended, came))
    traces.close()
    return path


def session(nth: int = 0, **more: Any) -> bytes:
    tried = [Attempt(n=1, verdict="accepted", prompt_tokens=40, completion_tokens=9, latency_ms=12.5)]
    fields = {"kind": "fill", "model": "small", "status": "accepted", "attempts": tried, "prompt": PROMPT}
    fields |= {"artifact": FILL, "grounded_in_roster": True, "fill_id": f"f-{nth}", "session_id": f"s{nth}"}
    return row(Session(time=f"2026-11-25T10:00:{nth % 60:02d}.000Z", **(fields | more)))


def written(path: Path, lines: list[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))
    return path


def record(nth: int = 0, **more: Any) -> EvidenceRecord:
    place = Provenance(file="logs/sessions.jsonl", part=1, line_offset=nth * 100, time="2026-11-25T10:00:00.000Z")
    fields: dict[str, Any] = {
        "evidence_id": f"ev-{nth}",
        "kind": "iterates",
        "task": "iterate.fill",
        "time": place.time,
        "status": "accepted",
        "input": PROMPT,
        "output": msgspec.json.encode(FILL).decode(),
        "labels": ("validator",),
        "subjects": ("w-2",),
        "model": "small",
        "provider": "ollama",
        "namespace": "default",
        "trace_id": f"s{nth}",
        "attempts": 1,
        "grounded_in_roster": True,
        "rating": None,
        "prompt_tokens": 40,
        "completion_tokens": 9,
        "latency_ms": 12.5,
        "metadata": {},
        "provenance": place,
    }
    return EvidenceRecord(**(fields | more))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
