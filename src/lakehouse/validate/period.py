"""When the work of a demand begins and ends, as far as the demand says."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

import msgspec

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NEAR = {"today": 0, "tonight": 0, "tomorrow": 1}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LAST_NIGHT_HOUR = 12


class Period(msgspec.Struct, frozen=True):
    """Begin and end on the clock of the place of work, the end not included."""

    start: datetime
    end: datetime

    @property
    def last_day(self) -> date:
        """The last day on which work is done."""
        return (self.end - timedelta(microseconds=1)).date()

    def overlaps(self, other: Period) -> bool:
        """Tell whether both share a moment."""
        return self.start < other.end and other.start < self.end


def period(start: str | None, end: str | None, shift: str | None, *, today: date) -> Period | None:
    """Return when the work is done, null when the demand names no day.

    Args:
        start: ISO 8601 date or time, a weekday (the next one, today included), "today" or "tomorrow". A time of day
            alone names no day.
        end: ISO 8601; a date alone means its whole day. Without it the work lasts the day of its start, at night
            until noon of the next.
        shift: As in a demand.
        today: Of the asker.
    """
    begin = _moment(start, today)
    if begin is None:
        return None
    until = _moment(end, today)
    if until is not None and end is not None and not _says_time(end):
        until = datetime.combine(until.date(), time()) + timedelta(days=1)
    if until is None or until <= begin:
        until = datetime.combine(begin.date(), time()) + timedelta(days=1)
        if shift == "night":
            until += timedelta(hours=_LAST_NIGHT_HOUR)
    return Period(begin, until)


def _moment(text: str | None, today: date) -> datetime | None:
    words = (text or "").strip().casefold()
    if _DATE.match(words):
        try:
            return datetime.fromisoformat(words.replace("z", "+00:00")).replace(tzinfo=None)
        except ValueError:
            return None
    days = _NEAR.get(words)
    if days is None:
        name = next((name for name in _WEEKDAYS if words in {name, name[:3], f"next {name}"}), None)
        if name is None:
            return None
        days = (_WEEKDAYS.index(name) - today.weekday()) % 7
    return datetime.combine(today + timedelta(days=days), time())


def _says_time(text: str) -> bool:
    return len(text.strip()) > len("2026-03-01")
