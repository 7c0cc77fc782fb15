"""Demands read from text: the words and the fields."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import spans
from lakehouse.learn.transforms.spans import SpanLine

LOG = spans.LOG


def draft(span: SpanLine) -> Iterable[Draft]:
    """Give one record per `demand.parse`."""
    if span.name == "demand.parse":
        asked = spans.arguments(span)
        yield spans.draft(span, input=spans.text(asked.get("text")), output=spans.text(spans.answer(span)))
