"""When the work starts: dates, weekdays and times of day as people write them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lakehouse.staffing._scan import Begun, Said
from lakehouse.staffing._tokens import Token, folded

_DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_MONTHS = "january february march april may june july august september october november december".split()
_MONTH_NUMBER = {name: number for number, name in enumerate(_MONTHS, 1)}
_MONTH_NUMBER |= {name[:3]: number for name, number in _MONTH_NUMBER.items()} | {"sept": 9}
_MONTH = "|".join(sorted(_MONTH_NUMBER, key=len, reverse=True))

# One group per way of writing; the last group that matched names it.
_MOMENT = re.compile(
    rf"""(?<![\w$.])(?:
        (?P<iso>(?:19|20)\d\d-\d\d?-\d\d?)(?![\w-])
      | (?P<us>\d\d?(?P<mark>[/.-])\d\d?(?P=mark)(?:\d{{4}}|\d\d))(?![\w/-])
      | (?P<short>(?:0?[1-9]|1[0-2])/(?:0?[1-9]|[12]\d|3[01]))(?![\w/%-])
      | (?P<named>(?:{_MONTH})\.?\s+\d\d?(?:st|nd|rd|th)?(?:,?\s+(?:19|20)\d\d)?)(?!\w|:\S)
      | (?P<turned>\d\d?(?:st|nd|rd|th)?\s+(?:of\s+)?(?:{_MONTH})\b\.?(?:,?\s+(?:19|20)\d\d)?)(?!\w)
      | (?P<month>(?:{_MONTH})\b\.?(?:\s+(?:19|20)\d\d\b)?)
      | (?P<clock>(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?(?:\s*(?:[ap]m\b|[ap]\.\s?m\b\.?))?)(?![\w:])
      | (?P<half>(?:1[0-2]|0?[1-9])\s*(?:[ap]m\b|[ap]\.\s?m\b\.?))
      | (?P<military>(?:[01]\d|2[0-3])[0-5]\d(?:\s*(?:hrs|hours|h)\b)?)(?![\w/-])
      | (?P<noon>noon|midnight)\b
      | (?P<weekday>(?:(?:this|next|coming)\s+)?(?:{"|".join(_DAYS)}))\b(?!['\u2019])
      | (?P<brief>(?:(?:this|next|coming)\s+)?(?:mon|tues?|wed|thurs?|thu|fri|sat|sun)\b\.?)
      | (?P<relative>today|tonight|tomorrow(?:\s+(?:morning|night|evening))?|asap|a\.s\.a\.p\.?|immediately|
            right\s+away|next\s+(?:week|month)|this\s+week|day\s+after\s+tomorrow)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_MOMENTS = Begun(
    _MOMENT,
    words=[
        *_MONTH_NUMBER,
        *_DAYS,
        *"mon tue tues wed thur thurs thu fri sat sun this next coming noon midnight".split(),
        *"today tonight tomorrow asap asa immediately right day".split(),
    ],
    digits=True,
    unless="'`",
)
_KINDS = "iso us short named turned month clock half military noon weekday brief relative".split()
_TIMES = frozenset("clock half military noon".split())

_CUE = re.compile(
    r"""(?:\b(?:start(?:s|ing|ed)?|begin(?:s|ning)?|commenc(?:es|ing)|effective|report(?:s|ing)?|arriv(?:e|ing)|
            on-?site|opening|as\s+of|available|needed)\b[\s:]*(?:dates?|times?|days?)?[\s:]*(?:is|will\s+be)?\s*
            (?:at|on|from|by|in|of|for|@)?(?:\s+(?:the|week\s+of))?
      | \b(?:on|for|from|by|this|next|week\s+of)|@)\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
_STRONG_CUE = re.compile(
    r"\b(?:start(?:s|ing)?|begin(?:s|ning)?|commencing|effective|report(?:ing)?)\b[\s:]*(?:time|date)?[\s:]*"
    r"(?:is\s+)?(?:at|on|from|in|@)?\s*$",
    re.IGNORECASE,
)
_AT = re.compile(r"(?:\bat|@)\s*$", re.IGNORECASE)
_OTHER_END = re.compile(
    r"""(?:\b(?:until|till?|through|thru|ends?|ending|finish(?:es|ing)?|deadline|due|expir(?:es|ing)|sent|posted|dated|
            received|before|later\s+than|last\s+day|every|each|all|most)
            (?:\s+(?:date|time|day))?[\s:]*(?:at|on|by|of|is|the)?
      | \b(?:call|text|reply|respond|submit|confirm|quote|contact|rsvp)\b[^.;,\n]{0,15}\b(?:at|by|before))\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
_RANGE = re.compile(
    r"\s*(?:-|\u2013|\u2014|/|\bto\b|\bthrough\b|\bthru\b|\btill?\b|\buntil\b|&|\band\b)\s*", re.IGNORECASE
)
_ADJACENT = re.compile(r"[\s,]*(?:(?:at|on|@|from|starting|morning|-|\u2013)\s*){0,2}", re.IGNORECASE)
_NAME_GOES_ON = re.compile(
    r"\s+(?!(?:in|at|on|for|and|or|to|through|until|start|starts?|with|of|near|by|from|shift)\b)[^\W\d]", re.IGNORECASE
)
_ASKED = re.compile(
    r"\b(?:needs?|needing|needed|requires?|requesting|looking\s+for|seeking|hiring|wants?|send(?:\s+us)?)\s+$",
    re.IGNORECASE,
)
_LOOK_BACK = 40


class Moment(NamedTuple):
    """A date or time found in a text; `value` is normalised where its meaning is certain."""

    value: str
    start: int
    end: int
    time: bool
    cued: bool


class Start(NamedTuple):
    """When the work starts, with the half-open span it was read from."""

    value: str
    start: int
    end: int


def moments(text: str, words: Sequence[Token], said: Said) -> list[Moment]:
    """Return the dates and times of a text that may be when work starts, in order.

    The end of a range, a deadline and a weekday that is part of a schedule ("Mon-Fri", "every Monday") are
    left out; a bare month, a short weekday or "3/1" counts only after a word such as "starting".
    """
    found: list[Moment] = []
    previous = _Seen("", -1)
    for match in _MOMENTS.found(text, said, words):
        kind = next(name for name in _KINDS if match[name])
        ranged = previous.end >= 0 and _RANGE.fullmatch(text, previous.end, match.start())
        if ranged and _is_day(kind) and _is_day(previous.kind) and found and found[-1].end == previous.end:
            found.pop()
        previous = _Seen(kind, match.end())
        moment = None if ranged else _moment(match, kind, text)
        if moment is not None:
            found.append(moment)
    return found


def pick(found: Sequence[Moment], text: str) -> Start | None:
    """Return when work starts: the first date and the first time, those after "starting" before others.

    A date and a time side by side are joined, date first; of two that stand apart the one after a word
    like "starting" wins, then the date.
    """
    date = min(_dates([m for m in found if not m.time], text), key=_urgency, default=None)
    time = min((m for m in found if m.time), key=_urgency, default=None)
    if date and time:
        one, other = sorted((date, time), key=lambda moment: moment.start)
        if _ADJACENT.fullmatch(text, one.end, other.start):
            return Start(f"{date.value} {time.value}", one.start, other.end)
        return _start(time if time.cued and not date.cued else date)
    return _start(date or time)


class _Seen(NamedTuple):
    kind: str
    end: int


def _dates(found: Sequence[Moment], text: str) -> list[Moment]:
    """Return the dates, a weekday joined with the date after it ("Monday, March 5") as that date."""
    dates: list[Moment] = []
    for moment in found:
        beside = bool(dates) and _ADJACENT.fullmatch(text, dates[-1].end, moment.start)
        before = dates.pop() if beside else moment
        dates.append(moment._replace(cued=moment.cued or before.cued))
    return dates


def _urgency(moment: Moment) -> tuple[bool, int]:
    return (not moment.cued, moment.start)


def _start(moment: Moment | None) -> Start | None:
    return Start(moment.value, moment.start, moment.end) if moment else None


def _is_day(kind: str) -> bool:
    return kind in {"weekday", "brief"}


def _moment(match: re.Match[str], kind: str, text: str) -> Moment | None:
    before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
    if _OTHER_END.search(before):
        return None
    time = kind in _TIMES
    cued = _CUE.search(before) is not None or (time and _AT.search(before) is not None)
    if kind in {"short", "month", "brief", "noon"} and not cued:
        return None
    # "For Sun Valley Rides" has no day in it, "for April Homes LLC" no month.
    named = kind == "brief" or (kind == "month" and _NAME_GOES_ON.match(text, match.end()) is not None)
    if named and before.rstrip().lower().endswith("for"):
        return None
    # "Need 4 PM Techs" asks for four.
    if kind == "half" and _ASKED.search(before) and _NAME_GOES_ON.match(text, match.end()):
        return None
    if kind == "military" and not (match[kind][-1].isalpha() or _STRONG_CUE.search(before)):
        return None
    value = _READ[kind](match[kind])
    return Moment(value, match.start(), match.end(), time, cued) if value else None


def _iso(written: str) -> str:
    return _date(*written.split("-"))


def _us(written: str) -> str:
    month, day, year = re.split(r"[/.-]", written)
    century = "19" if len(year) == 2 and int(year) > 69 else "20" if len(year) == 2 else ""
    return _date(century + year, month, day)


def _date(year: str, month: str, day: str) -> str:
    try:
        return dt.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return ""


def _named(written: str) -> str:
    words = re.findall(r"[a-z]{3,}|\d+", folded(written))
    month = next(_MONTH_NUMBER[word] for word in words if word in _MONTH_NUMBER)
    numbers = [word for word in words if word.isdigit()]
    if len(numbers) == 2:
        return _date(numbers[1], str(month), numbers[0])
    return " ".join(written.split()) if 1 <= int(numbers[0]) <= 31 else ""


def _clock(written: str) -> str:
    parts = re.findall(r"\d+", written)
    hour, minute = int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    half = re.search(r"[ap]", written.lower())
    if half and hour <= 12:
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    return f"{hour:02d}:{minute:02d}"


def _military(written: str) -> str:
    return f"{written[:2]}:{written[2:4]}"


def _noon(written: str) -> str:
    return "12:00" if folded(written) == "noon" else "00:00"


def _weekday(written: str) -> str:
    *which, day = folded(written).rstrip(".").split()
    return " ".join([*which, next(name for name in _DAYS if name.startswith(day[:3])).capitalize()])


def _as_written(written: str) -> str:
    return " ".join(written.split())


def _relative(written: str) -> str:
    plain = folded(_as_written(written))
    return "ASAP" if plain.replace(".", "") == "asap" else plain


_READ: dict[str, Callable[[str], str]] = {
    "iso": _iso,
    "us": _us,
    "short": _as_written,
    "named": _named,
    "turned": _named,
    "month": _as_written,
    "clock": _clock,
    "half": _clock,
    "military": _military,
    "noon": _noon,
    "weekday": _weekday,
    "brief": _weekday,
    "relative": _relative,
}
