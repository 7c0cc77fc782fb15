"""Whom the rows of a statement show."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from lakehouse import settings
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest
from lakehouse.lake.query import Query, watched
from lakehouse.lake.shown import people_of

ROSTER = b"""id,name,phone,role,years,tags
1,Ann Lowell,216-555-0101,cook,1,a;b
2,Bo Marsh,216-555-0102,cook,2,a
3,Cy Novak,216-555-0103,welder,3,b
4,Cy Novak,216-555-0104,welder,3,b
"""
CORPUS = SimpleNamespace(dataset="people", id_column="id", id_prefix="w-")


@pytest.fixture(scope="module")
def query(tmp_path_factory):
    catalog = Catalog(settings.Catalog(), tmp_path_factory.mktemp("shown"))
    ingest = Ingest(settings.Ingest(), catalog)
    ingest.file(ROSTER, "people")
    ingest.file(b"code,name\nE1,Ann Lowell\n", "badges")
    ingest.file(ROSTER + b"5,broken\n", "people_b", quarantine=True)
    query = Query(settings.Query(), catalog)
    yield query
    query.close()
    catalog.close()


def held(query, sql, corpus=CORPUS):
    with watched() as given:
        query.query(sql)
    return people_of(query, given[0], corpus)


@pytest.mark.parametrize(
    ("sql", "ids"),
    [
        ("SELECT * FROM people WHERE id < 3", "1 2"),
        ("SELECT id AS x, phone FROM people WHERE id = 3", "3"),
        ('SELECT "id" AS "the id" FROM people p WHERE p.id = 2', "2"),
        ("SELECT CAST(id AS VARCHAR) AS v FROM people WHERE id = 2", "2"),
        ("SELECT a FROM (SELECT id FROM people WHERE id = 2) AS t(a)", "2"),
        ("WITH t(a) AS (SELECT id FROM people WHERE id = 1) SELECT a AS b FROM t", "1"),
        ("SELECT 7 AS n UNION ALL SELECT id FROM people WHERE id = 3", "3"),
        ("SELECT min(id), max(id) FROM people", "1 4"),
        ("SELECT list(id) AS l FROM people WHERE id > 2", "3 4"),
        ("SELECT CASE WHEN years > 1 THEN id END AS c FROM people WHERE id < 3", "2"),
        ("SELECT (SELECT max(id) FROM people) AS m", "4"),
        ("SELECT * RENAME (id AS zz) FROM people WHERE id = 1", "1"),
        ("SELECT x, y FROM people p(x, y) WHERE x = 1", "1"),
        ("FROM people SELECT id AS worker WHERE id = 1", "1"),
    ],
)
def test_ids_are_followed_under_any_name(query, sql, ids):
    found = held(query, sql)
    assert (found.ids, found.whole, found.reads) == (ids.split(), True, True)


@pytest.mark.parametrize(
    ("sql", "ids"),
    [
        ("SELECT name FROM people WHERE id = 1", "1"),
        ("SELECT upper(name) AS u FROM people WHERE id = 1", "1"),
        ("SELECT phone AS p FROM people WHERE id = 4", "4"),
        ("SELECT string_agg(name, ';') FROM (SELECT name FROM people WHERE id = 2)", "2"),
        ("SELECT years AS y FROM people WHERE id = 2", "2"),
        ("SELECT DISTINCT role AS r, years AS y FROM people WHERE id = 1", "1"),
        ("SELECT 'w-' || id AS z FROM people WHERE id = 4", "4"),
        ("SELECT list(name) AS l FROM people WHERE id < 3", "1 2"),
        ("SUMMARIZE SELECT name FROM people WHERE id = 1", "1"),
    ],
)
def test_without_ids_values_tell_who_is_shown_and_that_there_may_be_others(query, sql, ids):
    found = held(query, sql)
    assert (found.ids, found.whole, found.reads) == (ids.split(), False, True)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT role, count(*) AS n FROM people GROUP BY role",
        "SELECT avg(years) FROM people",
        "SELECT name FROM people WHERE id > 2",
        "SELECT id + 1 AS n FROM people",
        "SELECT name || phone AS n FROM people",
        "SELECT role FROM people",
    ],
)
def test_nobody_is_named_who_is_not_told_apart(query, sql):
    found = held(query, sql)
    assert (found.ids, found.whole, found.reads) == ([], False, True)


def test_ids_with_their_prefix_are_found_in_any_text(query):
    found = held(query, "SELECT 'sent w-2, w-3. and w-99 (w-23)' AS body")
    assert (found.ids, found.reads) == (["2", "3"], False)


def test_other_datasets_show_nobody(query):
    assert held(query, "SELECT * FROM badges") == held(query, "SELECT 1")


def test_lines_put_aside_are_the_datasets(query):
    corpus = SimpleNamespace(dataset="people_b", id_column="id", id_prefix="w-")
    found = held(query, "SELECT raw FROM people_b_quarantine", corpus)
    assert (found.ids, found.reads, found.whole) == ([], True, False)


def test_columns_are_told_by_their_own_names(query):
    assert held(query, "SELECT id AS a, phone AS b, years + 1 AS c FROM people").columns == {"id", "phone"}


def test_columns_of_one_name_and_empty_results(query):
    assert held(query, "SELECT a.id, b.id FROM people a JOIN people b ON b.id = a.id + 1").ids == ["1", "2", "3", "4"]
    empty = held(query, "SELECT name FROM people WHERE id = 99")
    assert (empty.ids, empty.reads, empty.whole) == ([], True, False)
    assert held(query, "SELECT {'a': id} AS s, [[id]] AS n, years FROM people WHERE id = 2").reads


def test_outside_of_watching_nothing_is_kept(query):
    with watched() as given:
        query.arrow("SELECT id FROM people")
    assert isinstance(given[0].table, pa.Table)
    query.query("SELECT 1")
    assert len(given) == 1
