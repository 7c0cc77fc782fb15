"""Purging a person: no row, no older snapshot, no quarantined line and no file has them any more."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.lake.catalog import Purged

PEOPLE = b"id,name\n" + b"".join(b"%d,Person Number%d Zyx\n" % (number, number) for number in range(1, 200))
SECRET = b"Quirinus Featherstonehaugh"


def holds(folder: Path, text: bytes) -> list[Path]:
    """Every file with a text in it, also inside of Avro's and Parquet's compressed blocks."""
    import pyarrow.parquet as pq
    from pyiceberg.avro.file import AvroFile
    from pyiceberg.io.pyarrow import PyArrowFileIO

    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            data += str(pq.read_table(path).to_pydict()).encode()
        if path.suffix == ".avro":
            with AvroFile(PyArrowFileIO().new_input(str(path))) as blocks:
                data += b"".join(repr(block).encode() for block in blocks)
        if path.suffix == ".gz":
            data += gzip.decompress(data)
        if text in data:
            found.append(path)
    return found


def test_purge_leaves_no_trace_of_the_rows(ingest, catalog, query, folder: Path) -> None:
    ingest.file(PEOPLE, "people", key="id")
    ingest.file(b"id,name\n7,%s\n500,%s\n" % (SECRET, SECRET), "people", key="id")
    ingest.file(b"id,name\n501,Ann\n", "people", key="id")
    assert holds(folder, SECRET)
    purged = catalog.purge("people", "id", [7, "500", "nobody"])
    assert purged == Purged("people", 2, 0, catalog.dataset("people").snapshot_id)
    assert query.query("SELECT count(*), count(*) FILTER (id IN (7, 500)) FROM people").rows == [[199, 0]]
    assert holds(folder, SECRET) == []
    assert holds(folder, b"Quirinus") == []
    assert len(catalog._warehouse.tables.load("people").snapshots()) == 1
    again = catalog.purge("people", "id", [7])
    assert (again.rows, catalog.dataset("people").rows) == (0, 199)


def test_purge_expires_history_even_when_no_row_is_left_of_it(ingest, catalog, folder: Path) -> None:
    ingest.file(b"id,name\n1,%s\n2,Bo\n" % SECRET, "people")
    ingest.file(b"id,name\n2,Bo\n", "people")
    assert holds(folder, SECRET)
    assert catalog.purge("people", "id", [1]).rows == 0
    assert holds(folder, SECRET) == []


def test_purge_takes_the_lines_of_the_quarantine_that_name_the_value(ingest, catalog, rows, folder: Path) -> None:
    data = b"id,name\n1,Ann\n77,%s,x\n177,Bo,x\n" % SECRET
    ingest.file(data, "people", quarantine=True)
    assert catalog.purge("people", "id", [77]) == Purged("people", 0, 1, catalog.dataset("people").snapshot_id)
    assert [row["raw"] for row in rows("people_quarantine")] == ["177,Bo,x"]
    assert holds(folder, SECRET) == []


def test_dataset_can_be_purged_of_every_row_and_filled_again(ingest, catalog, query) -> None:
    ingest.file(b"id,name\n1,Ann\n", "people")
    assert catalog.purge("people", "name", ["Ann"]).rows == 1
    assert query.query("SELECT * FROM people").rows == []
    assert not ingest.file(b"id,name\n1,Ann\n", "people").unchanged
    assert query.query("SELECT * FROM people").rows == [[1, "Ann"]]


def test_reader_from_before_a_purge_finishes_and_its_files_go_with_it(ingest, catalog, folder: Path) -> None:
    ingest.file(b"id,name\n1,%s\n" % SECRET, "people")
    reader = catalog.scan("people")
    catalog.purge("people", "id", [1])
    assert reader.read_all().num_rows == 1
    del reader
    assert holds(folder, SECRET) == []


def test_purge_of_what_is_not_there_is_refused_naming_it(ingest, catalog) -> None:
    ingest.file(b'{"id": 1, "tags": ["a"]}\n', "people")
    with pytest.raises(NotFound, match="nobody"):
        catalog.purge("nobody", "id", [1])
    with pytest.raises(InvalidInput, match="no column 'key'; it has id, tags"):
        catalog.purge("people", "key", [1])
    with pytest.raises(InvalidInput, match="'tags' is a list"):
        catalog.purge("people", "tags", ["a"])
    with pytest.raises(InvalidInput, match="no values"):
        catalog.purge("people", "id", [])
