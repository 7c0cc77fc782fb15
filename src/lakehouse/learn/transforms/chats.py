"""Chats: the messages and what the model said. Nobody says whether it was right."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import spans
from lakehouse.learn.transforms.spans import SpanLine

LOG = spans.LOG


def draft(span: SpanLine) -> Iterable[Draft]:
    """Give one record per `chat.complete`."""
    if span.name == "chat.complete":
        asked, said = spans.conversation(span)
        usage = span.attributes
        yield spans.draft(
            span,
            input=spans.text(asked or None),
            output=said,
            model=str(usage.get("gen_ai.response.model") or usage.get("gen_ai.request.model") or ""),
            provider=str(usage.get("gen_ai.provider.name") or ""),
            namespace=str(spans.fact(span, "namespace") or ""),
            prompt_tokens=usage.get("gen_ai.usage.input_tokens"),
            completion_tokens=usage.get("gen_ai.usage.output_tokens"),
        )
