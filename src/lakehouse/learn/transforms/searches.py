"""Searches: the ask, who came back, and what memory did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import spans
from lakehouse.learn.transforms.spans import SpanLine

LOG = spans.LOG
NAME = "matrix.search"
_FACTS = ("results", "top_distance", "top_rating", "boosted", "injected", "excluded", "no_good_match")


def results(span: SpanLine) -> list[dict[str, Any]]:
    """Return the results of a search, best first, empty when content is not recorded."""
    found = spans.answer(span)
    return [hit for hit in found if isinstance(hit, dict) and "id" in hit] if isinstance(found, list) else []


def draft(span: SpanLine) -> Iterable[Draft]:
    """Give one record per search."""
    if span.name == NAME:
        asked, hits = spans.arguments(span), results(span)
        yield spans.draft(
            span,
            input=spans.text(asked.get("query_text")),
            output=spans.text(hits or None),
            subjects=tuple(hit["id"] for hit in hits),
            namespace=asked.get("playbook") or "",
            metadata={name: value for name in _FACTS if (value := spans.fact(span, name)) is not None},
        )
