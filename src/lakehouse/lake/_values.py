"""Arrow columns as JSON values; `SqlResult` says how each type is written."""

from __future__ import annotations

import base64
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

_NO_DATE = "<value out of range"


def column_values(array: pa.Array) -> list[Any]:
    """Return a column's values as JSON types."""
    kind = array.type
    if kinds.is_boolean(kind) or kinds.is_integer(kind) or kinds.is_string(kind) or kinds.is_null(kind):
        return list(array.to_pylist())
    try:
        if kinds.is_timestamp(kind) and kind.unit == "ns":
            # Arrow would make another type of these where pandas is installed.
            array = array.cast(pa.timestamp("us", kind.tz))
        return [_plain(value) for value in array.to_pylist()]
    except (ValueError, OverflowError, pa.ArrowException):
        return _as_text(array)


def _as_text(array: pa.Array) -> list[str | None]:
    """Return values that Python's clock and calendar cannot hold (nanoseconds, year 12000) as Arrow's text."""
    try:
        texts = array.cast(pa.string()).to_pylist()
    except pa.ArrowException:
        texts = [str(value) if value.is_valid else None for value in array]
    return [None if text is None or text.startswith(_NO_DATE) else text for text in texts]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return _compound(value)


def _compound(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, pa.MonthDayNano):
        return _duration(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return str(value)


def _number(value: Decimal) -> int | float | str:
    if value == value.to_integral_value() and value.as_tuple().exponent == 0:
        return int(value)
    near = float(value)
    return near if Decimal(repr(near)) == value else str(value)


def _duration(value: pa.MonthDayNano) -> str:
    """Return an interval as ISO 8601."""
    months, days, nanoseconds = value
    seconds = Decimal(nanoseconds) / 1_000_000_000
    parts = [f"{months}M" if months else "", f"{days}D" if days else ""]
    clock = f"T{seconds.normalize():f}S" if nanoseconds else ""
    return "P" + "".join(parts) + clock if months or days or nanoseconds else "PT0S"
