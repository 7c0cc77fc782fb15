"""Files whose columns differ: mappings, what an ingest would make of a file, and the suggestion."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest

from lakehouse.errors import InvalidInput
from lakehouse.lake import _mapping, _suggest
from lakehouse.lake._mapping import ColumnMap
from lakehouse.lake._suggest import Side
from lakehouse.lake.columns import Column

FIRST = b"CASE_ID,CLIENT,PAY,STARTS\nA1,Beacon,$12.50,1/31/2024\nA2,Delta,9.,2/1/2024\n"
SECOND = b"Case Id,Employer,Rate of Pay,Starts,County\nB1,Beacon,14.25,2024-03-01 08:00:00,Cook\n"
MAPPING = """
optional = ["county"]

[columns]
case_id = ["CASE_ID", "Case Id"]
client = ["CLIENT", "Employer"]
pay = ["PAY", "Rate of Pay"]
starts = ["STARTS", "Starts"]
county = "County"

[types]
pay = "money"
starts = "mdy"
"""


def test_files_of_two_layouts_become_one_dataset(ingest, rows, types) -> None:
    assert ingest.file(FIRST, "demands", key="case_id", mapping=MAPPING).rows == 2
    ingest.file(SECOND, "demands", key="case_id", mapping=MAPPING.replace('"mdy"', '"day"'))
    assert types("demands") == {
        "case_id": "string",
        "client": "string",
        "pay": "float64",
        "starts": "date",
        "county": "string",
    }
    found = {row["case_id"]: (row["pay"], str(row["starts"]), row["county"]) for row in rows("demands")}
    assert found == {
        "A1": (12.5, "2024-01-31", None),
        "A2": (9.0, "2024-02-01", None),
        "B1": (14.25, "2024-03-01", "Cook"),
    }


def test_same_bytes_under_another_mapping_are_not_unchanged(ingest) -> None:
    assert not ingest.file(FIRST, "demands", mapping=MAPPING).unchanged
    assert ingest.file(FIRST, "demands", mapping=MAPPING).unchanged
    assert not ingest.file(FIRST, "demands", mapping=MAPPING.replace("county", "area")).unchanged
    assert not ingest.file(FIRST, "demands").unchanged


def test_value_not_written_as_asked_is_a_bad_row_in_the_files_own_words(ingest, rows) -> None:
    data = FIRST + b"A3,Delta,#####,2/1/2024\nA4,Delta,12.00,31/1/2024\n"
    report = ingest.file(data, "demands", mapping=MAPPING, quarantine=True)
    assert [(bad.line, bad.column, bad.reason) for bad in report.rejected] == [
        (4, "PAY", "'#####' is not an amount like $1,234.50"),
        (5, "STARTS", "'31/1/2024' is not a date like 12/31/2024"),
    ]
    assert rows("demands_quarantine")[0]["raw"] == "A3,Delta,#####,2/1/2024"


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        ("columns", "not TOML"),
        ("", None),
        ("[columns]\n[other]\n", "unknown field other"),
        ("others = 'maybe'\n[columns]\n", "Invalid enum value 'maybe'"),
        ("[columns]\na = 'CLIENT'\nb = 'CLIENT'\n", "to both 'a' and 'b'"),
        ("[columns]\na = 'CLIENT'\n[types]\nb = 'date'\n", "'b', which .columns. does not list"),
        ("[columns]\na = 'CLIENT'\n[types]\na = 'number'\n", "'number' for 'a'; use one of bool"),
        ("[columns]\na = 'CLIENT'\n", "does not mention columns of the file: CASE_ID, PAY, STARTS"),
        ("others = 'drop'\n[columns]\na = ['CLIENT', 'PAY']\n", "'a' twice in the file: CLIENT, PAY"),
        ("others = 'drop'\n[columns]\na = 'Client'\n", "'a', and the file has none of Client; it has CASE_ID, "),
    ],
)
def test_wrong_mapping_is_refused_saying_what_to_change(ingest, catalog, mapping: str, said: str | None) -> None:
    if said is None:
        assert ingest.file(FIRST, "demands", mapping=mapping).rows == 2
        return
    with pytest.raises(InvalidInput, match=said) as caught:
        ingest.file(FIRST, "demands", mapping=mapping)
    assert caught.value.detail["field"] == "mapping"
    assert not catalog.versions()


def test_other_columns_are_dropped_or_kept_when_asked(ingest, rows) -> None:
    ingest.file(FIRST, "few", mapping="others = 'drop'\n[columns]\nwho = 'CLIENT'\n")
    assert list(rows("few")[0]) == ["who"]
    ingest.file(FIRST, "all", mapping="others = 'keep'\n[columns]\nwho = 'CLIENT'\n")
    assert list(rows("all")[0]) == ["who", "CASE_ID", "PAY", "STARTS"]


def test_mapping_renames_columns_of_every_format(ingest, rows, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    mapping = "[columns]\nwho = 'Name'\nn = 'N'\n[types]\nn = 'float64'\n"
    pq.write_table(pa.table({"N": [1], "Name": ["Ann"]}), tmp_path / "x.parquet")
    for source in (b'{"Name": "Ann", "N": 1}\n', tmp_path / "x.parquet"):
        ingest.file(source, "t", mapping=mapping)
        assert rows("t") == [{"who": "Ann", "n": 1.0}]
    with pytest.raises(InvalidInput, match="which is for CSV"):
        ingest.file(b'{"Name": "Ann", "N": 1}\n', "t", mapping=mapping.replace("float64", "money"))


def test_columns_that_a_dataset_has_and_a_file_lacks_are_told_as_a_difference(ingest) -> None:
    ingest.file(b"id,city,zip\n1,Parma,44129\n", "t", key="id")
    with pytest.raises(
        InvalidInput, match=r"city \(string\) missing; zip int64 to float64; state \(string\) new"
    ) as caught:
        ingest.file(b"id,zip,state\n2,1.5,OH\n", "t", key="id")
    assert caught.value.detail["changes"] == [
        {"column": "city", "dataset": "string", "file": None},
        {"column": "zip", "dataset": "int64", "file": "float64"},
        {"column": "state", "dataset": None, "file": "string"},
    ]


def test_explanation_tells_every_decision(ingest, catalog) -> None:
    data = "# made by hand\nid;zip;name;note\r\n1;05356;J\u00e9r\u00f4me;\r\n2;44129;Ann;\r\n3;44129\r\n".encode(
        "cp1252"
    )
    told = ingest.explain(data, "people")
    assert (told.format, told.encoding, told.delimiter, told.line_ends, told.header_line) == (
        "csv",
        "cp1252",
        ";",
        "mixed",
        2,
    )
    assert (told.rows, told.bad_rows, told.rejected[0].line) == (2, 1, 5)
    assert [(each.name, each.type, each.empty, each.why) for each in told.columns] == [
        ("id", "int64", 0, "every value is written so"),
        ("zip", "string", 0, "'05356' has a leading zero"),
        ("name", "string", 0, "'J\u00e9r\u00f4me' is no number, date or truth value"),
        ("note", "string", 2, "no value anywhere"),
    ]
    assert not catalog.versions()


def test_explanation_compares_with_the_dataset(ingest) -> None:
    ingest.file(b"id,zip\n1,44129\n", "t", key="id")
    told = ingest.explain(b"id,zip,city\n2,1.5,Parma\n", "t", key="id")
    assert [(each.column, each.dataset, each.file) for each in told.changes] == [
        ("zip", "int64", "float64"),
        ("city", None, "string"),
    ]


def test_suggestion_matches_names_and_values(ingest) -> None:
    many = b"".join(b"C%d,Client %d,$%d.5,1/%d/2024\n" % (n, n % 7, n, n % 28 + 1) for n in range(50))
    told = ingest.explain(b"CASE_NUMBER,CLIENT_NAME,PAY,START_DATE\n" + many, "demands")
    assert 'pay = "money"' in told.mapping
    assert 'start_date = "mdy"' in told.mapping
    ingest.file(b"CASE_NUMBER,CLIENT_NAME,PAY,START_DATE\n" + many, "demands", key="case_number", mapping=told.mapping)
    again = ingest.explain(
        b"CASE_NO,EMPLOYER_CLIENT,PAY,STARTING_DATE,FLAG\n"
        + many.replace(b"C", b"D", 1).replace(b"2024\n", b"2024,Y\n"),
        "demands",
        key="case_number",
        mapping=told.mapping,
    )
    found = _mapping.parse(again.mapping)
    assert found.columns["client_name"] == ["CLIENT_NAME", "EMPLOYER_CLIENT"]
    assert found.columns["start_date"] == ["START_DATE", "STARTING_DATE"]
    assert found.columns["flag"] == "FLAG"
    assert "flag" in found.optional
    assert "needs a column for 'case_number'" in again.refusal


def test_suggested_mapping_of_any_names_can_be_read_back() -> None:
    names = ["a b", "\x7f\n\"'", "\U0001f600", "\\", "#", "a.b", "[x]"]
    text = _suggest.written(ColumnMap({name: [name, name + "2"] for name in names}), {}, ["x"])
    assert _mapping.parse(text).columns == {name: [name, name + "2"] for name in names}


def test_pairs_are_one_to_one_and_best_first() -> None:
    file = Side([Column("city", "string"), Column("work_city", "string")], {})
    dataset = Side([Column("worksite_city", "string"), Column("city", "string")], {})
    assert [(pair.target, pair.source) for pair in _suggest.pairs(file, dataset)] == [
        ("worksite_city", "work_city"),
        ("city", "city"),
    ]


def test_raw_h2b_files_of_four_years_become_one_dataset(ingest, query, shared: Path) -> None:
    """Each year's mapping is the suggestion made from the year before; only five types are said by hand."""
    mapping, rows, bad = "", 0, collections.Counter()
    for year in (2015, 2016, 2017, 2018):
        path = shared / "h2b_demands" / f"raw_fy{year}.csv.gz"
        told = ingest.explain(path, "demands", key="case_number", mapping=mapping)
        mapping = told.mapping
        if year == 2015:
            codes = "education_level naic_code supervise_how_many num_months_training emp_exp_num_months"
            mapping += "".join(f'{name} = "string"\n' for name in codes.split())
        report = ingest.file(path, "demands", key="case_number", mapping=mapping, quarantine=True)
        rows += report.rows
        bad.update(row.column for row in report.rejected)
        assert told.rows >= report.rows
    found = _mapping.parse(mapping).columns
    assert found["soc_title"] == ["SOC_TITLE", "SOC_NAME"]
    assert found["visa_class"] == ["VISA_CLASS", "VISA_TYPE"]
    assert found["npc_submitted_date"] == ["NPC_SUBMITTED_DATE", "SUBMITTED_DATE"]
    assert found["worksite_city"] == ["WORKSITE_CITY", "EMPLOYEE_WORKSITE_CITY"]
    assert found["worksite_state"] == ["WORKSITE_STATE", "EMPLOYEE_WORK_STATE"]
    # What spreadsheets left of 66 amounts: '#################'. Nothing else is lost. A report tells five a file here.
    assert (rows, dict(bad)) == (31_602 - 66, {"BASIC_RATE_OF_PAY": 15})
    answer = query.query("SELECT count(*), count(worksite_county) FROM demands").rows
    assert answer == [[31_529, 17_827]]
