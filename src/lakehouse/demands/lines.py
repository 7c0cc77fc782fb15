"""A CSV of demands: one a line, with a reason for each line that cannot be one."""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from lakehouse.demands.base import URGENCIES, RefusedLine, Urgency
from lakehouse.errors import InvalidInput, TooLarge
from lakehouse.staffing.demand import Demand
from lakehouse.staffing.need import MOST_PEOPLE, NAMES, Fields, need_line, understood, whole_number

MOST_LINES = 5_000
MOST_BYTES = 8 * 1024 * 1024
_LONGEST = 8_192
_MORE = ("demand", "urgency", "owner", "note", "ref")
COLUMNS = (*NAMES, *_MORE)
_DELIMITERS = ",;\t"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One demand of a file.

    Attributes:
        number: Of the line, from 1.
        text: What it asks for, as the file or its fields say it.
        source: The same for the same line of the same file, or for the same `ref`.
    """

    number: int
    text: str
    source: str
    urgency: Urgency | None = None
    owner: str = ""
    note: str = ""


def read(source: bytes, parse: Callable[[str], Demand]) -> tuple[list[Line], list[RefusedLine]]:
    """Read a CSV with a heading.

    Columns, all optional but one of `demand` and `role`: `demand` in the client's own words; or `count`, `role`,
    `city`, `state`, `certs` and `skills` (joined by commas), `shift`, `start`, `client`; further `urgency`, `owner`,
    `note` and `ref`, the client's own number, by which a line is known when it comes again.

    Args:
        source: The bytes of the file, UTF-8; commas, semicolons or tabs part its columns.
        parse: Reads a demand.

    Returns:
        Demands and refused lines, each in the order of the file.

    Raises:
        InvalidInput: It is not UTF-8, has no line, or a heading that no column has.
        TooLarge: It is over 8 MiB or 5,000 lines.
    """
    rows = _rows(source)
    found: list[Line] = []
    refused: list[RefusedLine] = []
    seen: Counter[str] = Counter()
    for number, row in rows:
        try:
            found.append(_line(number, row, parse, seen))
        except InvalidInput as error:
            refused.append(RefusedLine(number, error.message))
    if not found and not refused:
        raise InvalidInput("the file has a heading and no line below it", field="file")
    return found, refused


def _rows(source: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    if len(source) > MOST_BYTES:
        raise TooLarge("the file is over 8 MiB; send it in parts", limit_bytes=MOST_BYTES)
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the file is not UTF-8 (byte {error.start}); save it as CSV UTF-8", field="file") from None
    first = text.lstrip().partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        heading = [name.strip().casefold() for name in next(reader, [])]
        _check(heading)
        return iter(_numbered(reader, heading))
    except csv.Error as error:
        raise InvalidInput(f"line {reader.line_num} is not CSV: {error}", field="file") from None


def _numbered(reader: csv._reader, heading: list[str]) -> list[tuple[int, dict[str, str]]]:  # type: ignore[name-defined]
    rows = []
    number = reader.line_num + 1
    for values in reader:
        if any(value.strip() for value in values):
            # What has no heading is kept under none, so that the line can be refused.
            named = dict(zip([*heading, *[""] * len(values)], values, strict=False))
            rows.append((number, {name: value.strip() for name, value in named.items()}))
        if len(rows) > MOST_LINES:
            raise TooLarge(f"the file has over {MOST_LINES:,} lines; send it in parts", limit=MOST_LINES)
        number = reader.line_num + 1
    return rows


def _check(heading: list[str]) -> None:
    if not any(heading):
        raise InvalidInput(f"the file has no heading; its columns are {', '.join(COLUMNS)}", field="file")
    for name in heading:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, 1, 0.6)
            hint = f"did you mean {near[0]!r}" if near else f"columns are {', '.join(COLUMNS)}"
            raise InvalidInput(f"line 1: there is no column {name[:60]!r}; {hint}", field="file", line=1)
        if heading.count(name) > 1:
            raise InvalidInput(f"line 1: the column {name!r} is there twice", field="file", line=1)
    if not {"demand", "role"} & set(heading):
        raise InvalidInput("line 1: one of the columns 'demand' and 'role' is needed", field="file", line=1)


def _line(number: int, row: dict[str, str], parse: Callable[[str], Demand], seen: Counter[str]) -> Line:
    if row.get(""):
        raise InvalidInput(f"there are more values than columns; the first too many is {row[''][:60]!r}")
    urgency = row.get("urgency", "").casefold()
    if urgency and urgency not in URGENCIES:
        raise InvalidInput(f"urgency {urgency[:60]!r} is none of {', '.join(URGENCIES)}")
    if len(row.get("owner", "")) > 64:
        raise InvalidInput("the owner is over 64 characters")
    text = _text(row, parse)
    words = "\x00".join(f"{name}={row[name]}" for name in sorted(row))
    seen[words] += 1
    # The same line twice in one file means two demands; the same file twice means nothing new.
    key = f"ref:{row['ref']}" if row.get("ref") else f"line:{words}\x00{seen[words]}"
    return Line(
        number=number,
        text=text,
        source="csv:" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32],
        urgency=urgency or None,
        owner=row.get("owner", ""),
        note=row.get("note", ""),
    )


def _text(row: dict[str, str], parse: Callable[[str], Demand]) -> str:
    said = Fields(**{name: row.get(name, "") for name in NAMES})
    written = row.get("demand", "")
    if written:
        also = [name for name in NAMES if getattr(said, name)]
        if also:
            raise InvalidInput(f"both the demand and its {', '.join(also)} are given; say it once")
        if len(written) > _LONGEST:
            raise InvalidInput("the demand is over 8,192 characters")
        if not parse(written).role:
            raise InvalidInput(f"no role was read from {written[:60]!r}")
        return written
    if not said.role:
        raise InvalidInput("role is empty; say who is needed")
    count = whole_number(said.count) if said.count else 1
    if count is None or not 1 <= count <= MOST_PEOPLE:
        raise InvalidInput(f"count {said.count[:60]!r} is not a whole number from 1 to {MOST_PEOPLE:,}")
    shown, lost = understood(said, parse)
    if lost:
        name = min(lost)
        raise InvalidInput(f"{name} {getattr(said, name)[:60]!r} was not understood")
    return need_line(shown)
