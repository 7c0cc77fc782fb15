"""Demands of somebody else, as their spreadsheet writes them."""

import csv
import gzip
import io
import random
from pathlib import Path

import pytest

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.evals import _demand_rows, _lift_report, lift
from lakehouse.evals.demand_lines import contracts
from lakehouse.staffing.shipped import shipped

YEAR = "2018"


@pytest.fixture(scope="module")
def sample():
    with gzip.open(shipped("h2b_demands_sample.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["fy"] == YEAR]


def written(rows, columns, delimiter=","):
    file = io.StringIO(newline="")
    table = csv.DictWriter(file, columns, extrasaction="ignore", delimiter=delimiter)
    table.writeheader()
    table.writerows(rows)
    return file.getvalue()


@pytest.mark.parametrize("form", ["plain", "gzipped", "mark", "semicolons", "american", "names of states"])
def test_contracts_other_forms_of_the_same_rows_are_the_same_demands(sample, tmp_path, form):
    columns = [*sample[0]]
    random.Random(3).shuffle(columns)
    rows = [dict(row) for row in sample]
    for row in rows:
        year, _, rest = row["start_date"].partition("-")
        if form == "american" and rest.count("-") == 1:
            month, day = rest.split("-")
            row |= {
                "start_date": f"{int(month)}/{int(day)}/{year}",
                "workers_requested": row["workers_requested"] + ".0",
            }
        if form == "names of states" and row["worksite_state"] == "TX":
            row["worksite_state"] = "Texas"
    text = written(rows, columns, ";" if form == "semicolons" else ",")
    file = tmp_path / "demands.csv"
    file.write_bytes(
        gzip.compress(text.encode()) if form == "gzipped" else text.encode("utf-8-sig" if form == "mark" else "utf-8")
    )
    assert contracts(file, [YEAR]) == contracts(None, [YEAR])


def test_contracts_of_standard_input_are_those_of_the_file(sample, monkeypatch):
    data = written(sample, [*sample[0]]).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert contracts(Path("-"), [YEAR]) == contracts(None, [YEAR])


def test_contracts_missing_cells_cost_their_rows_alone(sample, tmp_path):
    rows = [dict(row) for row in sample]
    for number, column in enumerate(
        ("job_title", "worksite_city", "worksite_state", "employer_name", "workers_requested")
    ):
        rows[number][column] = ""
    file = tmp_path / "demands.csv"
    # The last line ends early.
    file.write_text(written(rows, [*rows[0]]) + "H-1,2018,Somebody")
    whole = len(contracts(None, [YEAR]))
    assert whole - 5 <= len(contracts(file, [YEAR])) < whole


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b"", InvalidInput, "no heading"),
        (b"fy,employer_name\n2018,Ace\n", InvalidInput, "no column 'worksite_city'.*it has fy, employer_name"),
        (b"\x1f\x8b\x08broken", InvalidInput, "damaged gzip"),
        (b"fy,employer_name\n2018,Caf\xe9\n", InvalidInput, "not UTF-8 at byte 25"),
    ],
)
def test_rows_what_is_no_file_of_demands_is_named(tmp_path, data, error, said):
    file = tmp_path / "demands.csv"
    file.write_bytes(data)
    with pytest.raises(error, match=said):
        _demand_rows.rows(file)


def test_rows_year_that_is_not_there_names_those_that_are(sample, tmp_path):
    file = tmp_path / "demands.csv"
    file.write_text(written(sample, [*sample[0]]))
    with pytest.raises(NotFound, match=r"demands\.csv has no demand of 2031; it has 2018: see --years"):
        _demand_rows.rows(file, ["2031"])


def test_lift_few_rows_say_that_there_is_no_cluster(sample, tmp_path):
    file = tmp_path / "few.csv"
    file.write_text(written(sample[:3], [*sample[0]]))
    with pytest.raises(InvalidInput, match=r"no client in few\.csv asks for two or more roles"):
        lift.measure(lift.Options(rows=file, demands=5, clusters=2, people=5), tmp_path)


def test_lift_role_without_a_code_is_no_second_occupation(sample, tmp_path):
    row = next(row for row in sample if row["soc_code"] and row["worksite_city"] == row["worksite_city"].strip())
    file = tmp_path / "one.csv"
    file.write_text(written([row, {**row, "job_title": "Helper", "soc_code": ""}], [*row]))
    with pytest.raises(InvalidInput, match="2 of 2 rows"):
        lift.measure(lift.Options(rows=file, demands=5, clusters=2, people=5), tmp_path)


def test_lift_nobody_to_record_is_an_error_that_says_so(tmp_path):
    with pytest.raises(InvalidInput, match="nobody in the roster is rated 3 or better"):
        lift.measure(lift.Options(demands=2, clusters=1, people=1, each=0, poison=0), tmp_path)


def test_lift_report_says_what_it_was_drawn_from(sample, tmp_path):
    file = tmp_path / "mine.csv"
    rows = sample[:500]
    file.write_text(written(rows, [*sample[0]]))
    options = lift.Options(rows=file, demands=4, clusters=9_999, people=20, each=2, poison=0)
    said = _lift_report.markdown(lift.measure(options, tmp_path))
    assert f"Drawn from mine.csv: {len(rows):,} rows" in said
    assert "9,999 clusters, **which there are not**" in said
