"""Real files, written by others: every row lands, and SQL over it answers what is known of it."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest


def records(path: Path) -> int:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def test_h2b_demands_land_typed_and_answer_sql(ingest, query, types, shared: Path) -> None:
    path = shared / "h2b_demands" / "h2b_demands_fy2015_2018.csv.gz"
    assert ingest.file(path, "demands").rows == 31_602
    found = types("demands")
    assert {name: found[name] for name in ("worksite_zip", "naics", "workers_requested", "end_date", "pay_rate")} == {
        "worksite_zip": "string",
        "naics": "int64",
        "workers_requested": "int64",
        "end_date": "date",
        "pay_rate": "float64",
    }
    # One value of 31,602 is '216-06-15': the column stays what it is, text.
    assert found["start_date"] == "string"
    strays = "SELECT start_date FROM demands WHERE start_date <> '' AND NOT regexp_full_match(start_date, '\\d{4}-.*')"
    assert query.query(strays).rows == [["216-06-15"]]
    by_year = query.query("SELECT fy, count(*) FROM demands GROUP BY fy ORDER BY fy").rows
    assert [year for year, _ in by_year] == [2015, 2016, 2017, 2018]
    assert sum(count for _, count in by_year) == 31_602
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        zips = {row["worksite_zip"] for row in csv.DictReader(file)}
    assert {row[0] or "" for row in query.query("SELECT DISTINCT worksite_zip FROM demands", limit=50_000).rows} == zips


@pytest.mark.parametrize("year", [2015, 2016, 2017, 2018])
def test_raw_h2b_file_lands_whole(ingest, rows, shared: Path, year: int) -> None:
    path = shared / "h2b_demands" / f"raw_fy{year}.csv.gz"
    assert ingest.file(path, "raw").rows == records(path)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    landed = rows("raw")[0]
    assert list(landed) == list(first)
    texts = {name: value for name, value in landed.items() if isinstance(value, str)}
    assert texts == {name: first[name] for name in texts}


def test_chicago_roster_lands_and_answers_sql(ingest, query, types, shared: Path) -> None:
    path = shared / "chicago_roster" / "chicago_city_workers_noname.csv.gz"
    report = ingest.file(path, "chicago", key="worker_id")
    assert (report.rows, report.rejected) == (31_133, [])
    assert types("chicago")["annual_salary"] == "float64"
    assert query.query("SELECT count(DISTINCT worker_id) FROM chicago").rows == [[31_133]]
    assert ingest.file(path, "chicago", key="worker_id").unchanged


def test_upsert_into_the_roster_changes_only_its_rows(ingest, query, shared: Path) -> None:
    path = shared / "chicago_roster" / "chicago_city_workers_noname.csv.gz"
    ingest.file(path, "chicago", key="worker_id")
    others = "SELECT count(*), round(sum(annual_salary)) FROM chicago WHERE worker_id NOT IN ('C00001', 'new')"
    before = query.query(others).rows
    data = io.BytesIO(
        b"worker_id,job_title,department,full_part_time,salary_or_hourly,typical_hours,annual_salary,hourly_rate\n"
        b"C00001,CHIEF,FIRE,F,SALARY,,1.5,\nnew,CHIEF,FIRE,F,SALARY,40,,9\n"
    )
    ingest.file(data, "chicago", key="worker_id")
    assert query.query("SELECT count(*) FROM chicago").rows == [[31_134]]
    assert query.query(others).rows == before
    assert query.query("SELECT job_title FROM chicago WHERE worker_id = 'C00001'").rows == [["CHIEF"]]


def test_places_keep_their_leading_zeros(ingest, query, types, shared: Path) -> None:
    ingest.file(shared / "us_geo" / "us_zipcodes.csv.gz", "zips")
    assert (types("zips")["zip_code"], types("zips")["active"]) == ("string", "bool")
    assert query.query("SELECT city FROM zips WHERE zip_code = '00501'").rows == [["Holtsville"]]


def test_tab_separated_titles_land(ingest, types, shared: Path) -> None:
    assert ingest.file(shared / "onet" / "Alternate_Titles.txt.gz", "titles").rows == 52_754
    assert list(types("titles"))[:2] == ["O*NET-SOC Code", "Alternate Title"]


def test_naughty_strings_are_kept_as_values_and_never_crash_as_names(ingest, catalog, rows, shared: Path) -> None:
    import json

    from lakehouse.errors import LakehouseError

    strings = json.loads((shared / "blns" / "blns.json").read_text(encoding="utf-8"))
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerows([["id", "text"], *([number, f"x{text}"] for number, text in enumerate(strings))])
    assert ingest.file(out.getvalue().encode(), "naughty").rows == len(strings)
    assert [row["text"] for row in rows("naughty")] == [f"x{text}" for text in strings]
    lines = b"".join(json.dumps({"id": n, "text": text}).encode() + b"\n" for n, text in enumerate(strings))
    ingest.file(lines, "naughty")
    assert [row["text"] for row in rows("naughty")] == strings
    names = sorted({text.casefold(): text for text in strings if text.strip() and len(text) <= 128}.values())
    header = io.StringIO(newline="")
    csv.writer(header, quoting=csv.QUOTE_ALL).writerows([names, ["v"] * len(names)])
    ingest.file(header.getvalue().encode(), "headers")
    assert list(rows("headers")[0]) == names
    for text in strings:
        if not text.isidentifier():
            for call in (catalog.dataset, catalog.drop):
                with pytest.raises(LakehouseError):
                    call(text)
