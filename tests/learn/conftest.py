"""A log of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from learn.made import FILL, PROMPT, op, session, span, written


@pytest.fixture
def logs(tmp_path: Path) -> dict[str, Path]:
    """A log of each kind with a few lines."""
    folder = tmp_path / "logs"
    hits = [{"id": "w-1", "distance": 0.2, "rating": 4}, {"id": "w-2", "distance": 0.3, "rating": None}]
    entry = {"query_text": PROMPT, "answer_id": "w-2", "corpus": "workers", "score": 1.0, "outcome": "showed_up"}
    return {
        "ops": written(
            folder / "ops.jsonl", [op(nth) for nth in range(40)] + [op(41, source="inbox", kind="inbox.sms")]
        ),
        "spans": written(
            folder / "spans.jsonl",
            [
                span("demand.parse", {"text": PROMPT}, {"role": "Forklift Operator"}),
                span("matrix.search", {"query_text": PROMPT}, hits, top_rating=4, top_distance=0.2, boosted=1),
                span("playbooks.record", entry, {"playbook_id": "p"}),
                span("validate.check", {"artifact": "fill", "payload": FILL}, None, status="validation"),
                span("chat.complete", {"messages": [{"role": "user", "content": "hi"}]}, {"content": "hello"}),
            ],
        ),
        "sessions": written(folder / "sessions.jsonl", [session(nth) for nth in range(5)]),
    }
