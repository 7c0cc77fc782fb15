"""Input made to break readers: every case is read as it should be or refused in clear words, on every way in."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.errors import InternalError, LakehouseError


@pytest.fixture(scope="module")
def naughty() -> list[str]:
    path = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "blns" / "blns.json"
    if not path.is_file():
        pytest.skip(f"the naughty strings are not beside the project ({path})")
    return json.loads(path.read_text(encoding="utf-8"))


def refusal(call: Callable[[], object]) -> LakehouseError | None:
    """Call, and return how it was refused: in words, and never as a defect."""
    try:
        call()
    except LakehouseError as error:
        refused = error
    else:
        return None
    assert not isinstance(refused, InternalError)
    assert refused.message
    return refused


def test_naughty_strings_come_back_as_they_went_in(ingest, rows, query, naughty: list[str]) -> None:
    assert len(naughty) == 515
    lines = b"".join(json.dumps({"id": n, "text": text}).encode() + b"\n" for n, text in enumerate(naughty))
    ingest.file(lines, "naughty", key="id")
    assert [row["text"] for row in rows("naughty")] == naughty
    # As keys, twice over: the second upsert changes no row's identity.
    keyed = b"".join(
        json.dumps({"key": f"k{text}", "n": n}).encode() + b"\n" for n, text in enumerate(dict.fromkeys(naughty))
    )
    assert ingest.file(keyed, "keyed", key="key").rows == len(set(naughty))
    assert ingest.file(keyed[: keyed.rindex(b"\n", 0, -1) + 1], "keyed", key="key").rows == len(set(naughty)) - 1
    assert query.query("SELECT count(*), count(DISTINCT key) FROM keyed").rows == [[len(set(naughty))] * 2]
    # Compared in SQL as values.
    for text in naughty[::9]:
        literal = "'" + text.replace("'", "''") + "'"
        assert query.query(f"SELECT count(*) >= 1 FROM naughty WHERE text = {literal}").rows == [[True]]


def test_naughty_strings_as_headers_are_kept_or_refused(ingest, catalog, rows, naughty: list[str]) -> None:
    kept = refused = 0
    for number, text in enumerate(naughty):
        if number % 40 and len(text) <= 128:
            continue
        out = io.StringIO(newline="")
        csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["id", text], ["1", "v"]])
        if refusal(lambda: ingest.file(out.getvalue().encode(), "headers")):  # noqa: B023 - called at once
            refused += 1
        else:
            assert list(rows("headers")[0]) == ["id", text]
            kept += 1
    assert kept >= 8
    assert refused >= 3


def test_every_naughty_string_as_a_name_is_refused_or_works_whole(ingest, catalog, naughty: list[str]) -> None:
    for text in naughty:
        for call in (
            lambda: ingest.file(b"id,v\n1,2\n", text),  # noqa: B023 - called at once
            lambda: ingest.explain(b"id,v\n1,2\n", text or "-"),  # noqa: B023 - called at once
            lambda: catalog.dataset(text),  # noqa: B023 - called at once
            lambda: catalog.snapshots(text),  # noqa: B023 - called at once
            lambda: catalog.purge(text, text, [text]),  # noqa: B023 - called at once
            lambda: catalog.drop(text),  # noqa: B023 - called at once
        ):
            refusal(call)
    assert not [name for name in catalog.versions() if catalog.dataset(name).rows != 1]


def test_every_naughty_string_as_sql_is_answered_or_refused_in_time(ingest, query, naughty: list[str]) -> None:
    ingest.file(b"id,v\n1,2\n", "people")
    for text in naughty:
        for sql in (text, f"SELECT '{text}'", f'SELECT "{text}" FROM people', f"SELECT * FROM people WHERE v = {text}"):
            started = time.monotonic()
            refusal(lambda: query.query(sql, timeout_ms=2_000))  # noqa: B023 - called at once
            assert time.monotonic() - started < 10, sql
    assert query.query("SELECT * FROM people").rows == [[1, 2]]


def test_every_naughty_string_as_a_mapping_is_refused(ingest, catalog, naughty: list[str]) -> None:
    for text in naughty:
        if text.strip() and not text.startswith("#"):
            with pytest.raises(LakehouseError) as caught:
                ingest.file(b"id,v\n1,2\n", "t", mapping=text)
            assert not isinstance(caught.value, InternalError)
    assert not catalog.versions()
