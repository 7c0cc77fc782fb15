"""Make the data that ships with lakehouse from the public sets it was taken from.

    python data/make.py --source ../shared/data

writes `us_cities.csv.gz` and `h2b_demands_sample.csv.gz` beside this file. The same source gives the
same bytes. `us_states.csv` and `certifications.toml` are written by hand; the O*NET files have a script
of their own, `make_onet.py`. Where each set comes from and on what terms is in `ATTRIBUTION.md`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

from lakehouse.staffing.places import place_key  # noqa: E402 - found through the path set above

SAMPLE_ROWS = 3_000
SAMPLE_SEED = 20_150_101
SAMPLE_COLUMNS = (
    "case_number fy employer_name worksite_city worksite_state worksite_zip job_title soc_code soc_title "
    "workers_requested workers_certified start_date end_date hours_week pay_rate pay_unit "
    "experience_required experience_months nature_of_need"
).split()

# A company is told by its legal form or by what only an institution is called. A client without either
# may be a person, and is left out; so is everything "doing business as" under a name without one.
_COMPANY = re.compile(
    r"\b(?:inc|incorporated|llc|l\.\s?l\.\s?c|corp|corporation|ltd|limited|l\.?l\.?p|lp|company|co|pllc|club|resort|hotel|"
    r"university|college|hospital|county|city of|town of|partners|partnership|enterprises|industries|international)\b",
    re.IGNORECASE,
)
_DOING_BUSINESS_AS = re.compile(r"\b(?:d\s?[./]?\s?b\s?[./]?\s?a|doing business as|t/a)\b", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d_][^\W\d_ .'\u2018\u2019\u02bb\u02bc-]*(?:[ .'\u2018\u2019\u02bb\u02bc-]+[^\W\d_]*){0,5}")
_STATES = frozenset(
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK "
    "OR PA RI SC SD TN TX UT VT VA WA WV WI WY PR GU VI AS MP".split()
)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the shipped files and say what is in them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=HERE.parent.parent / "shared" / "data")
    source: Path = parser.parse_args(argv).source
    demands = list(_rows(source / "h2b_demands" / "h2b_demands_fy2015_2018.csv.gz"))
    cities = list(_cities(source / "us_geo", demands))
    _write(HERE / "us_cities.csv.gz", ("name", "state", "lat", "lon", "population"), cities)
    sample = _sample(demands)
    _write(HERE / "h2b_demands_sample.csv.gz", SAMPLE_COLUMNS, ([row[c] for c in SAMPLE_COLUMNS] for row in sample))
    print(f"{len(cities)} cities, {len(sample)} demands")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield {key: (value or "").strip() for key, value in row.items()}


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    path.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))


def _cities(folder: Path, demands: Sequence[dict[str, str]]) -> list[tuple[str, str, str, str, int]]:
    """Return places largest first: GeoNames, then postal cities, then places as employers write them."""
    found: dict[tuple[str, str], tuple[str, str, str, str, int]] = {}

    def add(name: str, state: str, point: tuple[float, float], population: int) -> None:
        if state in _STATES and _NAME.fullmatch(name):
            key = (place_key(name), state)
            found.setdefault(key, (name, state, f"{point[0]:.4f}", f"{point[1]:.4f}", population))

    by_size = sorted(_rows(folder / "us_cities.csv.gz"), key=lambda row: -int(row["population"]))
    for row in by_size:
        add(row["name"], row["state"], (float(row["latitude"]), float(row["longitude"])), int(row["population"]))
    postal: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    zips: dict[str, tuple[str, tuple[float, float]]] = {}
    for row in _rows(folder / "us_zipcodes.csv.gz"):
        point = (float(row["lat"]), float(row["long"]))
        postal[row["city"], row["state"]].append(point)
        zips[row["zip_code"]] = (row["state"], point)
    for (name, state), points in sorted(postal.items()):
        # The post office leaves out "City" where GeoNames has it: New York.
        whole = found.get((place_key(f"{name} City"), state))
        add(name, state, _middle(points), whole[4] if whole else 0)
    for (name, state), points in sorted(_as_employers_write(demands, zips).items()):
        add(name, state, _middle(points), 0)
    return sorted(found.values(), key=lambda city: (-city[4], city[1], city[0]))


def _as_employers_write(
    demands: Iterable[dict[str, str]], zips: dict[str, tuple[str, tuple[float, float]]]
) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Return worksites of two or more contracts whose ZIP code lies in the state given.

    The years up to 2017 only, so that demands of 2018 stay unseen for measuring.
    """
    written: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in demands:
        state, point = zips.get(row["worksite_zip"][:5], ("", (0.0, 0.0)))
        if row["fy"] != "2018" and state and state == row["worksite_state"]:
            written[row["worksite_city"].title(), state].append(point)
    return {place: points for place, points in written.items() if len(points) > 1}


def _middle(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return sum(lat for lat, _ in points) / len(points), sum(lon for _, lon in points) / len(points)


def is_company(name: str) -> bool:
    """Tell whether a client's name is certainly a company's and not a person's; in doubt it is not."""
    before, *_ = _DOING_BUSINESS_AS.split(name, maxsplit=1)
    return bool(_COMPANY.search(before))


def _usable(row: dict[str, str]) -> bool:
    return (
        is_company(row["employer_name"])
        and row["worksite_state"] in _STATES
        and all(row[column] for column in ("worksite_city", "job_title", "soc_code"))
        and row["worksite_city"].upper() != "N/A"
        and row["workers_requested"].isdigit()
        and row["start_date"][:4] in {"2014", "2015", "2016", "2017", "2018", "2019"}
    )


def _sample(demands: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return demands of every state and every role: one of each role and state first, the rest by lot."""
    usable = [row for row in demands if _usable(row)]
    random.Random(SAMPLE_SEED).shuffle(usable)
    seen: Counter[str] = Counter()
    first: list[dict[str, str]] = []
    rest: list[dict[str, str]] = []
    for row in usable:
        fresh = not (seen[row["soc_code"]] and seen[row["worksite_state"]])
        (first if fresh else rest).append(row)
        seen.update((row["soc_code"], row["worksite_state"]))
    chosen = first + rest[: SAMPLE_ROWS - len(first)]
    return sorted(chosen, key=lambda row: (row["fy"], row["case_number"]))


if __name__ == "__main__":
    main()
