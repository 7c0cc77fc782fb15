from __future__ import annotations

import csv
import io
import json

import pytest


def test_ingest_makes_the_lake_and_says_what_landed(run, tmp_path) -> None:
    (tmp_path / "cities.csv").write_text("id,name\n1,Reno\n2,Tulsa\n", encoding="utf-8")
    code, out, err = run("ingest", "cities.csv", "--name", "cities")
    assert (code, err) == (0, "")
    assert out.startswith("cities: 2 rows, snapshot ")
    assert run("ingest", "cities.csv", "--name", "cities")[1] == "cities: 2 rows, nothing new, unchanged\n"
    assert run("sql", "SELECT name FROM cities ORDER BY id")[1] == "name\nReno\nTulsa\n"


def test_ingest_of_standard_input_takes_its_type_from_the_option(run, stdin) -> None:
    stdin(b'{"id": 1, "name": "Reno"}\n')
    code, out, _ = run("ingest", "-", "--name", "cities", "--type", "jsonl", "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["dataset"], report["rows"], report["unchanged"]) == ("cities", 1, False)


def test_ingest_of_a_bad_row_lands_nothing_and_quarantine_lands_the_rest(run, tmp_path) -> None:
    (tmp_path / "cities.csv").write_text("id,name\n1,Reno\n2,Tulsa,OK,USA\n3,Bend\n", encoding="utf-8")
    code, out, err = run("ingest", "cities.csv", "--name", "cities")
    assert (code, out) == (2, "")
    assert "line 3" in err
    assert run("datasets", "cities")[0] == 3
    code, out, err = run("ingest", "cities.csv", "--name", "cities", "--quarantine")
    assert (code, out.partition(",")[0]) == (0, "cities: 2 rows")
    assert err.startswith("1 rows left out:\n  line 3")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("ingest", "none.csv", "--name", "x"), 3, "error: there is no file none.csv\n"),
        (("ingest", ".", "--name", "x"), 2, "error: . is a folder; name a file\n"),
        (
            ("ingest", "a.csv"),
            2,
            "error: the following arguments are required: --name; see `lakehouse ingest --help`\n",
        ),
    ],
)
def test_ingest_of_what_is_not_there_says_so(run, words, code, said) -> None:
    assert run(*words) == (code, "", said)


def test_datasets_lists_and_shows_one(run, folder) -> None:
    code, out, _ = run("datasets")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()] == [["dataset", "rows", "columns"], ["people", "36", "15"]]
    shown = run("datasets", "people")[1]
    assert "rows         36\n" in shown
    assert "role         string\n" in shown
    manifest = json.loads(run("datasets", "people", "--json")[1])
    assert manifest == json.loads(run("datasets", "--json")[1])["datasets"][0]


def test_datasets_of_an_unknown_name_is_not_found(run, folder) -> None:
    code, out, err = run("datasets", "peple")
    assert (code, out) == (3, "")
    assert "people" in err


def test_sql_prints_a_table_csv_or_json(run, folder) -> None:
    sql = "SELECT city, count(*) AS people, NULL AS none, ['x'] AS list FROM people GROUP BY city ORDER BY city"
    assert run("sql", sql)[1].splitlines() == [
        "city       people  none  list",
        'Cleveland      12        ["x"]',
        'Detroit        12        ["x"]',
        'Parma          12        ["x"]',
    ]
    rows = list(csv.reader(io.StringIO(run("sql", sql, "--csv")[1])))
    assert rows[:2] == [["city", "people", "none", "list"], ["Cleveland", "12", "", '["x"]']]
    document = json.loads(run("sql", sql, "--json")[1])
    assert document["rows"][0] == ["Cleveland", 12, None, ["x"]]
    assert document["row_count"] == 3


def test_sql_that_is_cut_off_says_so_on_standard_error(run, folder) -> None:
    code, out, err = run("sql", "SELECT id FROM people ORDER BY id", "--limit", "2")
    assert (code, out.split()) == (0, ["id", "1", "2"])
    assert err == "only the first 2 rows; --limit gives more\n"


@pytest.mark.parametrize("sql", ["SELEC 1", "DROP TABLE people", "SELECT * FROM read_csv('/etc/passwd')"])
def test_sql_that_is_wrong_or_does_more_than_read_is_refused(run, folder, sql) -> None:
    code, out, err = run("sql", sql)
    assert code in {2, 5}
    assert out == ""
    assert err.startswith("error: ")


def test_sql_from_standard_input_and_file_is_the_same(run, folder, stdin, tmp_path) -> None:
    (tmp_path / "q.sql").write_text("SELECT count(*) AS n\nFROM people", encoding="utf-8")
    stdin(b"SELECT count(*) AS n FROM people")
    assert run("sql", "@q.sql")[1] == run("sql", "-")[1] == " n\n36\n"


def test_lake_that_another_process_has_open_is_a_conflict_that_names_it(run, folder, lake_process) -> None:
    pid = lake_process(folder)
    code, out, err = run("datasets")
    assert (code, out) == (4, "")
    assert f"process {pid}" in err
    assert "connect to it by its URL" in err


def test_lake_that_is_read_only_is_not_allowed(run, read_only_folder) -> None:
    code, _, err = run("datasets", "--lake", read_only_folder)
    assert code == 5
    assert str(read_only_folder) in err


def test_suggested_mapping_is_toml_for_a_file_and_json_when_asked_for(run, folder, tmp_path) -> None:
    (tmp_path / "more.csv").write_text("ID,NAME\n1,Ann\n")
    words = ("ingest", tmp_path / "more.csv", "--name", "people", "--suggest-map")
    code, out, _ = run(*words)
    assert code == 0
    told = json.loads(run(*words, "--json")[1])
    assert told == {"mapping": out}
