"""A worker's row: which columns a roster has, what of it is shown with a match, what must never be embedded."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from lakehouse.staffing import shifts

if TYPE_CHECKING:
    from lakehouse.staffing.certifications import Certifications
    from lakehouse.staffing.places import Places
    from lakehouse.staffing.roles import Roles

COLUMNS = tuple(
    "id name role role_code skills certs cert_expiry years city state lat lon shifts available_from"
    " pay_hourly phone email resume".split()
)
LIST_COLUMNS = frozenset({"skills", "certs", "cert_expiry", "shifts"})
ROLE_COLUMNS = ("role", "job_title", "title", "position", "occupation")
SEPARATOR = "; "

# Whole column names, and words that make a longer name personal ("emergency_phone", "home_address_2").
_PERSONAL_NAMES = frozenset(
    "name fullname surname firstname lastname middlename maidenname nickname initials worker_name employee_name"
    " candidate_name contact contact_name person".split()
)
_PERSONAL_WORDS = frozenset(
    "phone telephone mobile cell fax email mail ssn itin passport dob birthday birthdate birth gender sex race"
    " ethnicity religion address street zip4 iban account routing license_number".split()
)
_NAME_OF_PERSON = re.compile(r"^(first|last|middle|maiden|given|family|full|legal|preferred|sur)_?name$")
_WORD = re.compile(r"[^\W_]+")
_NAME_PART = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_DIGIT = re.compile(r"\d")
_BETWEEN_SHIFTS = re.compile(r"[,/|&]|\band\b|\bor\b", re.IGNORECASE)
_ANY_SHIFT = frozenset("any all anytime flexible open".split())
_YEARS = re.compile(r"\s*(\d{1,2}(?:\.\d+)?)\s*\+?\s*(?:y(?:ea)?rs?\.?)?\s*", re.IGNORECASE)
_AMERICAN = re.compile(r"\s*(\d{1,2})/(\d{1,2})/(\d{4})\s*")


class CorpusShape(Protocol):
    """What rooms beside and below search read of a corpus: whose rows are people, and how their ids are made."""

    @property
    def name(self) -> str:
        """Of the corpus and its index."""

    @property
    def dataset(self) -> str:
        """The dataset that it is made from."""

    @property
    def id_column(self) -> str:
        """Column of the dataset with one distinct value per row."""

    @property
    def id_prefix(self) -> str:
        """Stands before each id in the corpus."""


def is_personal(column: str) -> bool:
    """Tell whether a column holds a name, contact data or another fact about a person that is never embedded.

    Goes by the column's name, whatever its case and separators ("E-Mail", "firstName", "home_phone").
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.strip())
    key = "_".join(_WORD.findall(snake.casefold()))
    words = set(key.split("_"))
    return (
        key in _PERSONAL_NAMES
        or key.replace("_", "") in _PERSONAL_NAMES | {"email", "zip4"}
        or _NAME_OF_PERSON.match(key) is not None
        or bool(words & _PERSONAL_WORDS)
    )


def metadata(
    row: Mapping[str, Any],
    columns: Sequence[str],
    *,
    roles: Roles | None = None,
    places: Places | None = None,
    certifications: Certifications | None = None,
) -> dict[str, Any]:
    """Build what is kept beside a worker's vector and comes back with every match.

    Args:
        row: Column to value, as the dataset has it.
        columns: Which columns to keep, in this order.
        roles: Resolves the role where the row has no `role_code`.
        places: Gives coordinates where the row has a city and state but no `lat` and `lon`, and postal codes of states.
        certifications: Writes certifications by their canonical names.

    Returns:
        The kept columns, less null and empty values other than an empty list of `certs`. `skills`, `certs`,
        `cert_expiry` and `shifts` are lists (text is split at semicolons); dates are ISO strings. Shifts, years and the
        day somebody is free are read as spreadsheets write them ("2nd, nights", "6 yrs", "1/5/2026"). `lat` and
        `lon` become `location: {"lat", "lon"}`. Derived and always there when they can be: `role_code`, `location`.
    """
    found: dict[str, Any] = {}
    for column in columns:
        value = _list(row[column]) if column in LIST_COLUMNS else _plain(row[column])
        if column in _READ_AS:
            value = _READ_AS[column](value)
        # A roster with a column of certifications knows who has none; any other empty cell is just not known.
        if column == "certs" or (value not in (None, "", []) and column not in {"lat", "lon"}):
            found[column] = value
    if certifications is not None and "certs" in found:
        found["certs"] = [certifications.canonical(name) or name for name in found["certs"]]
    code = row.get("role_code") or _resolved(row, roles)
    if code:
        found["role_code"] = str(code)
    # A roster may write "Missouri", a demand is held against "MO".
    state = places.state(str(found["state"])) if places is not None and "state" in found else None
    if state:
        found["state"] = state
    location = _location(row, places)
    if location:
        found["location"] = location
    return found


def without_names(text: str, row: Mapping[str, Any]) -> str:
    """Return `text` without what the row's own personal columns hold: the name, phone, email and the like.

    Values go as they are written, in any case; telephone numbers also in other spellings of the same digits,
    names also without the middle ones and with the last name first. A single part of a name stays: "Cook" is
    a job too, and a text must not depend on what its worker is called.
    """
    names: list[str] = []
    for column, value in row.items():
        if value in (None, "") or not is_personal(column):
            continue
        if "name" in column.casefold():
            names += _NAME_PART.findall(str(value))
        else:
            text = re.sub(_spelling(str(value)), "", text, flags=re.IGNORECASE)
    if len(names) > 1:
        first, last = re.escape(names[0]), re.escape(names[-1])
        between = "".join(rf"(?:\s+{re.escape(part)})?" for part in names[1:-1])
        whole = rf"{first}{between}\s+(?:[^\W\d_]\.?\s+)?{last}|{last},?\s+{first}{between}"
        text = re.sub(rf"(?<!\w)(?:{whole})(?!\w)", "", text, flags=re.IGNORECASE)
    return " ".join(text.split())


def _spelling(value: str) -> str:
    digits = _DIGIT.findall(value)
    if len(digits) >= 7 and len(digits) * 2 > len(value):
        return r"\(?" + r"[^\w,;]{0,3}".join(digits)
    return rf"(?<!\w){re.escape(value)}(?!\w)"


def _resolved(row: Mapping[str, Any], roles: Roles | None) -> str | None:
    if roles is None:
        return None
    title = next((row[column] for column in ROLE_COLUMNS if row.get(column)), None)
    match = roles.resolve(str(title)) if title else None
    return match.code if match else None


def _location(row: Mapping[str, Any], places: Places | None) -> dict[str, float] | None:
    try:
        lat, lon = float(row["lat"]), float(row["lon"])
        if -90 <= lat <= 90 and -180 <= lon <= 180:
            return {"lat": lat, "lon": lon}
    except (KeyError, TypeError, ValueError):
        pass
    city, state = row.get("city"), row.get("state")
    place = places.lookup(str(city), str(state)) if places is not None and city and state else None
    if place is None or place.lat is None or place.lon is None:
        return None
    return {"lat": place.lat, "lon": place.lon}


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(";") if part.strip()]
    parts = value if isinstance(value, list | tuple) else [value]
    return [_plain(part) for part in parts if part not in (None, "")]


def _shifts(values: list[Any]) -> list[Any]:
    """Return the names of shifts that values stand for; a value that names none stays as it is."""
    found: dict[Any, None] = {}
    for value in values:
        for part in _BETWEEN_SHIFTS.split(value) if isinstance(value, str) else [value]:
            said = str(part).strip()
            if said.casefold().removesuffix(" shifts").removesuffix(" shift") in _ANY_SHIFT:
                found |= dict.fromkeys(shifts.SHIFTS)
            elif said:
                found[shifts.canonical(said) or said] = None
    return list(found)


def _years(value: Any) -> Any:
    """Return a number of years that is written as text, everything else as it is."""
    said = _YEARS.fullmatch(value) if isinstance(value, str) else None
    return float(said[1]) if said else value


def _day(value: Any) -> Any:
    """Return a day as ISO text where it is written the American way, everything else as it is."""
    said = _AMERICAN.fullmatch(value) if isinstance(value, str) else None
    if said is None:
        return value
    try:
        return date(int(said[3]), int(said[1]), int(said[2])).isoformat()
    except ValueError:
        return value


_READ_AS: Mapping[str, Callable[[Any], Any]] = {"shifts": _shifts, "years": _years, "available_from": _day}


def _plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return value
