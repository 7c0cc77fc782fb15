"""What the transforms over spans share: a span's row, and the call that it tells of."""

from __future__ import annotations

from typing import Any

import msgspec

from lakehouse.learn.base import Draft

LOG = "spans"
OK = "ok"
_INPUT = ("lakehouse.input", "gen_ai.input.messages", "gen_ai.retrieval.query.text", "langfuse.observation.input")
_OUTPUT = ("lakehouse.output", "gen_ai.output.messages", "gen_ai.retrieval.documents", "langfuse.observation.output")


class SpanLine(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a line of the log of spans."""

    trace_id: str
    name: str
    started: str
    elapsed_ms: float
    status: str
    attributes: dict[str, Any]


def arguments(span: SpanLine) -> dict[str, Any]:
    """Return the arguments of the call, empty when content is not recorded or was cut."""
    found = _json(span, _INPUT)
    return found if isinstance(found, dict) else {}


def answer(span: SpanLine) -> Any:
    """Return the call's answer as JSON, null when content is not recorded or was cut."""
    return _json(span, _OUTPUT)


def conversation(span: SpanLine) -> tuple[list[dict[str, str]], str]:
    """Return the messages of a chat, each with `role` and `content`, and what was answered.

    Either is empty when content is not recorded or was cut.
    """
    given = [] if fact(span, "input_cut") else _json(span, _INPUT) or []
    made = [] if fact(span, "output_cut") else _json(span, _OUTPUT) or []
    asked = [{"role": str(message["role"]), "content": _words(message)} for message in given]
    return asked, "".join(map(_words, made))


def fact(span: SpanLine, name: str) -> Any:
    """Return a fact of the call, null when it has none of that name."""
    return span.attributes.get(f"lakehouse.{name}")


def draft(span: SpanLine, **more: Any) -> Draft:
    """Return a draft with what every span says."""
    return Draft(
        time=span.started,
        trace_id=span.trace_id,
        latency_ms=span.elapsed_ms,
        **{"task": span.name, "status": span.status, **more},
    )


def text(value: Any) -> str:
    """Return a value as text: a text as it is, nothing for null, else JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return msgspec.json.encode(value).decode()


def _words(message: dict[str, Any]) -> str:
    return "".join(part["content"] for part in message["parts"] if part["type"] == "text")


def _json(span: SpanLine, names: tuple[str, ...]) -> Any:
    written = next((span.attributes[name] for name in names if name in span.attributes), None)
    try:
        return msgspec.json.decode(written) if isinstance(written, str) else None
    except msgspec.DecodeError:
        return None
