"""Ratings of top matches against the original ask. They are a judge's word, and teach nothing by themselves."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.learn.base import Draft
from lakehouse.learn.transforms import searches, spans
from lakehouse.learn.transforms.spans import SpanLine

LOG = spans.LOG


def draft(span: SpanLine) -> Iterable[Draft]:
    """Give one record per search whose first match was rated."""
    rating = spans.fact(span, "top_rating") if span.name == searches.NAME else None
    if rating:
        first = next(iter(searches.results(span)), None)
        yield spans.draft(
            span,
            task="matrix.rate",
            status="",
            input=spans.text(spans.arguments(span).get("query_text")),
            output=spans.text(first),
            subjects=(first["id"],) if first else (),
            rating=int(rating),
            labels=("judge",),
            metadata={"top_distance": spans.fact(span, "top_distance")},
        )
