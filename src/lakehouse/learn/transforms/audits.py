"""Rows of the ledger: whose data was seen or used. They name fields, never values."""

from __future__ import annotations

from collections.abc import Iterable

from lakehouse.learn.base import Draft
from lakehouse.ledger.rows import Row

LOG = "ledger"


def draft(row: Row) -> Iterable[Draft]:
    """Give one record per row."""
    yield Draft(
        time=row.time,
        task=f"audit.{row.action}",
        subjects=(row.subject,),
        trace_id=row.accessor.trace_id,
        metadata={"seq": row.seq, "purpose": row.purpose, "fields": len(row.fields), "result": row.result},
    )
