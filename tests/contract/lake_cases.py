"""Datasets beyond the basics: mappings, explanations, earlier snapshots."""

from __future__ import annotations

from contract.cases import Case, dataset
from lakehouse.errors import InvalidInput, NotFound

MAPPING = """
optional = ["county"]

[columns]
worker = "ID"
pay = ["PAY", "RATE"]
county = "COUNTY"

[types]
pay = "money"
"""
CSV = b'ID,RATE\n1,$12.50\n2,"$1,000"\n'

CASES = [
    Case(
        "ingest-mapped",
        [
            ("ingest.file", {"source": CSV, "name": "map1", "content_type": "text/csv", "mapping": MAPPING}),
            ("sql.query", {"sql": "SELECT * FROM map1 ORDER BY worker"}),
        ],
        lambda answer: answer.rows == [[1, 12.5, None], [2, 1000.0, None]],
    ),
    Case(
        "ingest-mapped-wrong",
        [("ingest.file", {"source": CSV, "name": "map2", "mapping": "[columns]\nworker = 'NUMBER'\n"})],
        raises=InvalidInput,
        says="none of NUMBER",
    ),
    Case(
        "explain",
        [("ingest.explain", {"source": CSV, "name": "map3", "content_type": "text/csv"})],
        lambda told: (
            (told.format, told.delimiter, told.rows, [column.type for column in told.columns])
            == ("csv", ",", 2, ["int64", "string"])
        ),
    ),
    Case("explain-writes-nothing", [("catalog.dataset", {"name": "map3"})], raises=NotFound),
    Case("explain-empty", [("ingest.explain", {"source": b""})], raises=InvalidInput, says="empty"),
    Case(
        "snapshots",
        [
            dataset("snap1", b"id,n\n1,1\n"),
            dataset("snap1", b"id,n\n1,2\n"),
            ("catalog.snapshots", {"name": "snap1"}),
        ],
        lambda listed: [each.rows for each in listed.snapshots] == [1, 1],
    ),
    Case("snapshots-absent", [("catalog.snapshots", {"name": "snap2"})], raises=NotFound, says="snap2"),
    Case(
        "sql-earlier",
        [
            dataset("snap3", b"id,n\n1,1\n"),
            dataset("snap3", b"id,n\n1,2\n"),
            (
                "sql.query",
                lambda seen: {"sql": "SELECT n FROM snap3", "snapshots": {"snap3": seen[0].snapshot_id}},
            ),
        ],
        lambda answer: answer.rows == [[1]],
    ),
    Case(
        "sql-earlier-absent",
        [dataset("snap4"), ("sql.query", {"sql": "SELECT 1", "snapshots": {"snap4": 1}})],
        raises=NotFound,
        says="no snapshot 1",
    ),
]
