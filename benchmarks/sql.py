#!/usr/bin/env python3
"""SQL over ten million rows through the product, against bare DuckDB over the same Parquet file in the same run.

python benchmarks/sql.py
python benchmarks/sql.py --rows 1000000
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import duckdb

from lakehouse import settings
from lakehouse.lake.catalog import Catalog
from lakehouse.lake.ingest import Ingest
from lakehouse.lake.query import Query

ROUNDS = 7
QUESTIONS = {
    "count": "SELECT count(*) FROM people",
    "group": "SELECT city, count(*), avg(rate), max(hired) FROM people GROUP BY city ORDER BY city",
    "filter": "SELECT count(*), sum(rate) FROM people WHERE city = 'city 7' AND rate > 30",
    "top": "SELECT id, rate FROM people ORDER BY rate DESC, id LIMIT 100",
    "join": "SELECT count(*) FROM people p JOIN (SELECT DISTINCT city FROM people WHERE rate > 39.99) USING (city)",
    "rows": "SELECT id, city, rate, hired FROM people WHERE id % 1000 = 0",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = folder / "people.parquet"
        duckdb.sql(
            f"COPY (SELECT i AS id, 'city ' || (i % 50) AS city, (hash(i) % 4000) / 100 AS rate,"
            f" DATE '2020-01-01' + CAST(i % 1000 AS INTEGER) AS hired FROM range({arguments.rows}) t(i))"
            f" TO '{source}' (FORMAT parquet)"
        )
        (folder / "lake").mkdir()
        catalog = Catalog(settings.Catalog(), folder / "lake")
        Ingest(settings.Ingest(), catalog).file(source, "people")
        query = Query(settings.Query(timeout_ms=600_000), catalog)
        bare = duckdb.connect(config={"threads": settings.Query().threads})
        (file,) = catalog.version("people").files
        bare.execute(f"CREATE VIEW people AS FROM read_parquet('{file}')")
        total = [0.0, 0.0]
        for name, sql in QUESTIONS.items():
            plain, ours = [], []
            for _ in range(ROUNDS):
                started = time.perf_counter()
                expected = bare.execute(sql).fetchall()
                plain.append(time.perf_counter() - started)
                started = time.perf_counter()
                answer = query.query(sql, limit=1_000_000)
                ours.append(time.perf_counter() - started)
                assert answer.row_count == len(expected)
            medians = statistics.median(plain), statistics.median(ours)
            total = [before + now for before, now in zip(total, medians, strict=True)]
            ratio = medians[1] / medians[0]
            print(f"{name:8} {medians[0] * 1000:8.1f} ms bare {medians[1] * 1000:8.1f} ms here  {ratio:.2f}")
        print(f"all      {total[0] * 1000:8.1f} ms bare {total[1] * 1000:8.1f} ms here  {total[1] / total[0]:.2f}")
        query.close()
        catalog.close()


if __name__ == "__main__":
    main()
