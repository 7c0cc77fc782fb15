"""A file of demands as rows: what somebody else exported, under the columns of the shipped sample."""

from __future__ import annotations

import csv
import gzip
import io
import re
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.staffing.shipped import shipped

COLUMNS = "fy employer_name worksite_city worksite_state job_title workers_requested start_date soc_code".split()
_STDIN = Path("-")
_GZIP = b"\x1f\x8b"
_ISO = re.compile(r"(?P<year>20\d\d)-(?P<month>\d\d)-(?P<day>\d\d)")
_AMERICAN = re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>20\d\d)")
_COUNT = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.0+)?")


class Rows(msgspec.Struct, frozen=True):
    """Rows of some years: `source` is the file's name, `read` counts all rows of the file."""

    source: str
    read: int
    rows: list[dict[str, str]]


def rows(path: Path | None = None, years: Iterable[str] = ()) -> Rows:
    """Read the rows of some years, all when none is named; cells that are missing are empty.

    Args:
        path: A CSV in UTF-8, gzipped or not, parted by commas, semicolons or tabs, in any order of columns; `-` for
            standard input. The shipped sample when None.
        years: As the column `fy` has them.

    Raises:
        NotFound: There is no such file, or no row of these years.
        InvalidInput: It is not such a CSV, or lacks a column.
    """
    source = "the shipped sample" if path is None else "standard input" if path == _STDIN else path.name
    text = _text(_bytes(path), source)
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [(name or "").strip().lower() for name in table.fieldnames or ()]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        has = ", ".join(names) or "no heading"
        raise InvalidInput(f"{source} has no column {', '.join(map(repr, missing))}; it has {has}", field="rows")
    table.fieldnames = names
    try:
        read = [{name: (row.get(name) or "").strip() for name in names} for row in table]
    except csv.Error as error:
        raise InvalidInput(f"{source}, line {table.line_num}: {error}", field="rows") from None
    wanted = set(years)
    kept = [row for row in read if not wanted or row["fy"] in wanted]
    if not kept:
        has = ", ".join(sorted({row["fy"] for row in read} - {""})) or "no rows"
        raise NotFound(
            f"{source} has no demand of {', '.join(sorted(wanted))}; it has {has}: see --years", field="years"
        )
    return Rows(source, len(read), kept)


def iso_date(text: str) -> str:
    """Return a day written as "2021-04-01" or "4/1/2021" as the former, empty for what is neither.

    >>> iso_date("4/1/2021"), iso_date("2021-04-01 00:00:00"), iso_date("spring")
    ('2021-04-01', '2021-04-01', '')
    """
    found = _ISO.match(text) or _AMERICAN.match(text)
    return f"{found['year']}-{int(found['month']):02d}-{int(found['day']):02d}" if found else ""


def whole(text: str) -> int | None:
    """Return a number of people as spreadsheets write it ("12", "12.0", "1,200"), null for what is none.

    >>> whole("12.0"), whole("1,200"), whole("a few")
    (12, 1200, None)
    """
    found = _COUNT.fullmatch(text)
    return int(found[1].replace(",", "")) if found else None


def _bytes(path: Path | None) -> bytes:
    if path == _STDIN:
        return sys.stdin.buffer.read()
    file = path or shipped("h2b_demands_sample.csv.gz")
    if not file.is_file():
        raise NotFound(f"there is no file {file}", field="rows")
    return file.read_bytes()


def _text(data: bytes, source: str) -> str:
    try:
        return (gzip.decompress(data) if data.startswith(_GZIP) else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{source} is a damaged gzip file: {error}", field="rows") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{source} is not UTF-8 at byte {error.start}; save it as CSV UTF-8", field="rows") from None
