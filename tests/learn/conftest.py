"""A log of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.chat.base import ChatAnswer
from lakehouse.errors import ValidationFailed
from lakehouse.matrix.base import Match, SearchAnswer
from lakehouse.memory.base import Recorded
from lakehouse.staffing.parse import Parser
from learn.made import FILL, PROMPT, op, session, traced, written


def found(*rated: tuple[str, int | None]) -> SearchAnswer:
    """What a search that memory changed found: ids with their ratings."""
    more = {"corpus": "workers", "metadata": {}, "reasons": [], "memory": None}
    return SearchAnswer(
        results=[Match(id=id, distance=0.2 + at / 10, rating=rating, **more) for at, (id, rating) in enumerate(rated)],
        per_corpus={},
        boosted=1,
        injected=0,
        excluded=0,
        no_good_match=False,
        trace_id="t",
    )


@pytest.fixture
def logs(tmp_path: Path) -> dict[str, Path]:
    """A log of each kind with a few lines."""
    folder = tmp_path / "logs"
    entry = {"query_text": PROMPT, "answer_id": "w-2", "corpus": "workers", "score": 1.0, "outcome": "showed_up"}
    reply = ChatAnswer(
        content="hello",
        model="small",
        provider="ollama",
        finish_reason="stop",
        prompt_tokens=4,
        completion_tokens=1,
        latency_ms=9.5,
    )
    calls = [
        ("demand.parse", {"text": PROMPT}, Parser.shipped().parse(PROMPT)),
        ("matrix.search", {"query_text": PROMPT, "corpora": ["workers"]}, found(("w-1", 4), ("w-2", None))),
        ("playbooks.record", entry, Recorded("p", created=True)),
        ("validate.check", {"artifact": "fill", "payload": FILL}, ValidationFailed("w-2 is not in the roster")),
        ("chat.complete", {"model": "small", "messages": [{"role": "user", "content": "hi"}]}, reply),
    ]
    return {
        "ops": written(
            folder / "ops.jsonl", [op(nth) for nth in range(40)] + [op(41, source="inbox", kind="inbox.sms")]
        ),
        "spans": traced(folder / "spans.jsonl", calls),
        "sessions": written(folder / "sessions.jsonl", [session(nth) for nth in range(5)]),
    }
