"""Demand lines as coordinators write them, made from real H-2B demands, with what they say known exactly.

The same rows, seed and wording give the same lines.
"""

from __future__ import annotations

import html
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from lakehouse.evals._demand_rows import Rows, iso_date, rows, whole
from lakehouse.evals._wordings import WORDINGS, TemplateSet, Wording
from lakehouse.staffing._gazetteer import read_states
from lakehouse.staffing.demand import Style
from lakehouse.staffing.shipped import shipped

STYLES: tuple[Style, ...] = ("need", "client_first", "looking", "shorthand")

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = "January February March April May June July August September October November December".split()
# Titles that themselves name a certificate or a shift would make the truth of those fields a matter of taste.
_SAYS_MORE = re.compile(r"\bshift|\bcdl\b|\bclass a\b|certif|licens|\bcpr\b|lifeguard", re.IGNORECASE)


class Contract(msgspec.Struct, frozen=True):
    """What one H-2B demand gives to a line."""

    year: str
    client: str
    city: str
    state: str
    zip: str
    role: str
    count: int
    date: str
    soc: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A demand line and what it says; a field it does not say is null or empty."""

    text: str
    style: Style
    role: str
    count: int
    city: str
    state: str
    certs: tuple[str, ...] = ()
    shift: str | None = None
    start: str | None = None
    client: str | None = None


def contracts(path: Path | None = None, years: Iterable[str] = ()) -> list[Contract]:
    """Read demands that name a city, a state and a role.

    Args:
        path: A CSV with the columns of the shipped sample, which is the default; see `_demand_rows.rows`.
        years: Fiscal years to keep; all when empty.

    Raises:
        NotFound, InvalidInput: As `_demand_rows.rows`.
    """
    return contracts_of(rows(path, years))


def contracts_of(found: Rows) -> list[Contract]:
    """Return the demands of these rows that name a city, a state, a role, a client and a number."""
    states = {code: name for code, (name, _) in read_states(shipped("us_states.csv")).items()}
    codes = {spelling.upper(): code for code, name in states.items() for spelling in (code, name)}
    read = (_contract(row, codes.get(row["worksite_state"].upper(), "")) for row in found.rows)
    return [contract for contract in read if contract is not None]


def _contract(row: dict[str, str], state: str) -> Contract | None:
    role, city, client = (
        " ".join(html.unescape(html.unescape(row[column])).split())
        for column in ("job_title", "worksite_city", "employer_name")
    )
    city, count = city.rstrip(" ,."), whole(row["workers_requested"])
    usable = (
        any(map(str.isalpha, role))
        and not _SAYS_MORE.search(role)
        and city
        and city.upper() != "N/A"
        and state
        and client
    )
    if not usable or count is None:
        return None
    return Contract(
        row["fy"],
        client,
        city,
        state,
        row.get("worksite_zip", "")[:5],
        role,
        max(1, count),
        iso_date(row["start_date"]),
        row["soc_code"][:7],
    )


def lines(found: Sequence[Contract], *, number: int, seed: int, wording: TemplateSet = "first") -> Iterator[Line]:
    """Yield `number` lines, the four styles in turn, each from a contract drawn by lot."""
    draw = random.Random(seed)
    states = {code: name for code, (name, _) in read_states(shipped("us_states.csv")).items()}
    for index in range(number):
        yield _Writer(draw, WORDINGS[wording], states).line(draw.choice(found), STYLES[index % len(STYLES)])


def line(
    contract: Contract, style: Style, draw: random.Random, *, states: dict[str, str], wording: TemplateSet = "first"
) -> Line:
    """Return one line for a contract; `states` are names by code."""
    return _Writer(draw, WORDINGS[wording], states).line(contract, style)


class _Writer:
    """Puts one contract into words."""

    def __init__(self, draw: random.Random, wording: Wording, states: dict[str, str]) -> None:
        self._draw = draw
        self._wording = wording
        self._states = states

    def line(self, contract: Contract, style: Style) -> Line:
        """Return a line in one of the four styles."""
        draw = self._draw
        template = draw.choice(self._wording.templates[style])
        time, time_value = self._time()
        day = draw.choice(_DAYS)
        date, date_value = self._date(contract.date)
        spoken = {"time": time, "day": day, "date": date}
        said = {"time": time_value, "day": day, "date": date_value}
        start = draw.choice(self._wording.starts) if "{start}" in template and draw.random() < 0.8 else ""
        client = draw.choice(self._wording.clients) if "{client}" in template and draw.random() < 0.8 else ""
        certs, shift, more = self._more()
        text = template.format(
            count=str(contract.count)
            if "{count}x" in template or "x{count}" in template
            else self._count(contract.count),
            role=self._role(contract),
            place=self._place(contract),
            start=start.format(**spoken),
            client=client.format(name=contract.client),
            name=contract.client,
            more=more,
            **spoken,
        )
        text = self._letter(self._cased(text))
        stated = [name for name in said if f"{{{name}}}" in template + start]
        return Line(
            text=text,
            style=style,
            role=contract.role,
            count=contract.count,
            city=contract.city,
            state=contract.state,
            certs=certs,
            shift=shift,
            start=" ".join(said[name] for name in ("date", "day", "time") if name in stated) or None,
            client=contract.client if client or "{name}" in template else None,
        )

    def _count(self, count: int) -> str:
        draw = self._draw
        if draw.random() < 0.75 or count > 99:
            return f"{count:,}" if draw.random() < 0.5 else str(count)
        if count == 12 and draw.random() < 0.5:
            return "a dozen"
        if count < 20:
            return _ONES[count]
        tens, ones = divmod(count, 10)
        return _TENS[tens] + (draw.choice(("-", " ")) + _ONES[ones] if ones else "")

    def _role(self, contract: Contract) -> str:
        """Return the title, in the plural where that takes no more than an -s."""
        role = contract.role
        if contract.count > 1 and re.search(r"[^\W\d_]{3}(?<![sSyYhH])$", role) and self._draw.random() < 0.5:
            return role + ("S" if role.isupper() else "s")
        return role

    def _place(self, contract: Contract) -> str:
        kinds = [kind for kind in self._wording.places if "zip" not in kind or contract.zip]
        return self._draw.choice(kinds).format(
            city=contract.city, state=contract.state, state_name=self._states[contract.state], zip=contract.zip
        )

    def _time(self) -> tuple[str, str]:
        hour, minute = self._draw.randrange(4, 23), self._draw.choice((0, 0, 0, 30))
        value = f"{hour:02d}:{minute:02d}"
        half, short = ("am" if hour < 12 else "pm"), (hour - 1) % 12 + 1
        clock = f"{short}:{minute:02d} {half.upper()}"
        return self._draw.choice((value, value, clock, f"{short}{half}" if not minute else clock)), value

    def _date(self, iso: str) -> tuple[str, str]:
        if not re.fullmatch(r"20\d\d-\d\d-\d\d", iso):
            iso = "2018-04-01"
        year, month, day = (int(part) for part in iso.split("-"))
        long = f"{_MONTHS[month - 1]} {day}, {year}"
        return self._draw.choice((iso, f"{month}/{day}/{year}", long)), iso

    def _more(self) -> tuple[tuple[str, ...], str | None, str]:
        """Return certifications, shift and the words that say them, in either order."""
        draw = self._draw
        certs: tuple[str, ...] = ()
        shift = None
        parts = []
        if draw.random() < 0.4:
            certs = tuple(draw.sample(sorted(self._wording.certs), draw.choice((1, 1, 2))))
            spoken = [draw.choice(self._wording.certs[name]) for name in certs]
            parts.append(draw.choice(self._wording.cert_lead).format(certs=draw.choice((" and ", ", ")).join(spoken)))
        if draw.random() < 0.4:
            shift = draw.choice(sorted(self._wording.shifts))
            parts.append(draw.choice(self._wording.shifts[shift]))
        if draw.random() < 0.5:
            parts.reverse()
        noise = draw.choice(self._wording.noise).format(pay=f"{draw.uniform(9, 30):.2f}", hours=draw.choice((35, 40)))
        return certs, shift, "".join([*parts, noise])

    def _cased(self, text: str) -> str:
        chance = self._draw.random()
        return text.lower() if chance < 0.12 else text.upper() if chance < 0.2 else text

    def _letter(self, text: str) -> str:
        letter = (
            self._wording.letters[0] if self._draw.random() < 0.85 else self._draw.choice(self._wording.letters[1:])
        )
        return letter.format(line=text)
