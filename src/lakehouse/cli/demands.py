"""A parsed demand as a table: each field with the text it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lakehouse.cli import showing

if TYPE_CHECKING:
    from lakehouse.staffing.demand import Demand

_COLUMNS = (
    showing.Column("field"),
    showing.Column("value", wraps=True),
    showing.Column("from the text", wraps=True),
)


def table(demand: Demand, text: str) -> None:
    """Print every field, empty where the text does not say."""
    showing.table(_COLUMNS, [[field, value, _source(demand, field, text)] for field, value in _fields(demand)])
    if demand.missing:
        print(f"still to ask: {', '.join(demand.missing)}")


def place(demand: Demand) -> str:
    """Return the place of work as it is written on an envelope, empty when there is none."""
    found = demand.location
    return ", ".join(part for part in (found.city, found.state) if part) if found else ""


def _fields(demand: Demand) -> list[tuple[str, Any]]:
    return [
        ("role", f"{demand.role} ({demand.role_code})" if demand.role_code else demand.role),
        ("count", demand.count),
        ("location", place(demand)),
        ("certs", ", ".join(demand.certs)),
        ("skills", ", ".join(demand.skills)),
        ("shift", demand.shift),
        ("start", demand.start),
        ("client", demand.client),
        ("style", demand.style),
    ]


def _source(demand: Demand, field: str, text: str) -> str:
    span = demand.spans.get(field)
    return text[span[0] : span[1]] if span else ""
