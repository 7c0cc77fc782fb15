"""Other readers of Iceberg see the same rows, straight from the files: DuckDB's own reader and Sail."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

FIRST = b"id,name,day,pay\n1,Ann,2024-01-02,1\n2,Bo,,2\n3,Cy,2024-03-04,3\n"
SECOND = b"id,name,day,pay,more\n2,Bob,2024-05-06,2.5,x\n4,Di,,4,y\n"
EXPECTED = [
    (1, "Ann", "2024-01-02", 1.0, None),
    (2, "Bob", "2024-05-06", 2.5, "x"),
    (4, "Di", None, 4.0, "y"),
]
# Starts its server in a process of its own, which is what its threads need to end cleanly.
SAIL = """
import sys, warnings
warnings.simplefilter("ignore")
from pysail.spark import SparkConnectServer
from pyspark.sql.connect.session import SparkSession
server = SparkConnectServer("127.0.0.1", 0)
server.start(background=True)
session = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
frame = session.read.format("iceberg").load(sys.argv[1]).orderBy("id")
print([(r["id"], r["name"], r["day"] and str(r["day"]), r["pay"], r["more"]) for r in frame.toArrow().to_pylist()])
session.stop()
server.stop()
"""


@pytest.fixture
def table(ingest, catalog) -> Path:
    """Where the metadata of a table lies that was made, widened, extended, upserted and purged."""
    ingest.file(FIRST, "people", key="id")
    ingest.file(SECOND, "people", key="id")
    catalog.purge("people", "id", [3])
    location = catalog._warehouse.tables.load("people").metadata_location
    return Path(location.removeprefix("file://"))


def extension(name: str) -> str:
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is None or found.origin is None:
        pytest.skip(f"DuckDB's {name} extension is not installed")
    return str(Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension")


def test_duckdb_reads_the_table_with_its_own_iceberg_reader(table: Path) -> None:
    with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as reader:
        for name in ("avro", "iceberg"):
            reader.execute(f"LOAD '{extension(name)}'")
        columns = "id, name, day::VARCHAR, pay, more"
        assert reader.execute(f"SELECT {columns} FROM iceberg_scan('{table}') ORDER BY id").fetchall() == EXPECTED


def test_sail_reads_the_table(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("pysail", reason="no Sail here: install pysail and pyspark-client")
    # A file, because the client looks for itself beside the program that runs.
    (tmp_path / "read.py").write_text(SAIL, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "read.py"), str(table.parent.parent)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == str(EXPECTED)
