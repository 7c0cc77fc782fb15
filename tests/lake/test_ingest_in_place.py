"""Files read where they lie: whatever they are called, left alone, and refused when they change meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse import settings
from lakehouse.errors import InvalidInput
from lakehouse.lake import _source
from lakehouse.lake.ingest import Ingest, Nobody

CSV = b"id,v\n1,a\n2,b\n"


class Meddling(Nobody):
    """Bars nobody, and does something to the file when its rows were read and nothing is committed."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        self._meddle = meddle

    def rows(self, dataset: str, path: Path) -> list[int]:
        self._meddle()
        return super().rows(dataset, path)


def meddled(catalog, path: Path, meddle: Callable[[], object], **options) -> object:
    return Ingest(settings.Ingest(), catalog, Meddling(meddle)).file(path, "t", **options)


def overwrite(path: Path) -> None:
    """Write other bytes of the same number, and put the time of the last write back."""
    state = path.stat()
    with path.open("r+b") as file:
        file.seek(len(CSV) - 2)
        file.write(b"c")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"3,c\n")


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(CSV)
    other.replace(path)


@pytest.mark.parametrize("change", [overwrite, append, replace, Path.unlink], ids=lambda change: change.__name__)
@pytest.mark.parametrize("key", [None, "id"])
@pytest.mark.parametrize("fresh_s", [0.0, 60.0], ids=["times tell", "times do not tell"])
def test_file_that_changes_while_it_is_read_is_refused(
    catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change, key, fresh_s
) -> None:
    monkeypatch.setattr(_source, "FRESH_S", fresh_s)
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    # The time of the change differs from that of the file by more than a step of the clock.
    os.utime(path, ns=(0, 0))
    with pytest.raises(InvalidInput, match="changed while it was read") as caught:
        meddled(catalog, path, lambda: change(path), key=key)
    assert caught.value.detail["field"] == "source"
    assert catalog.datasets().datasets == []


def test_bad_rows_of_a_file_that_changes_are_not_set_aside(catalog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(CSV + b"3\n")
    with pytest.raises(InvalidInput, match="changed while it was read"):
        meddled(catalog, path, lambda: append(path), quarantine=True)
    assert catalog.datasets().datasets == []


def test_file_that_fails_because_it_changed_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    brought = _source.bring(path, "", scratch)
    brought.check()
    path.write_bytes(b"")
    with pytest.raises(InvalidInput, match="changed while it was read"):
        brought.check()


def test_file_that_is_gone_once_it_is_hashed_is_told_so(ingest, catalog, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    with pytest.raises(InvalidInput, match="changed while it was read"):
        ingest.ingest(path, "t", progress=lambda _done, _total: path.unlink(missing_ok=True))
    assert catalog.datasets().datasets == []


def test_file_whose_permissions_change_is_the_same_file(catalog, rows, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    meddled(catalog, path, lambda: path.chmod(0o600))
    assert len(rows("t")) == 2


def test_stream_and_bytes_may_change_once_they_are_read(catalog, rows, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(CSV)
    with path.open("rb") as stream:
        Ingest(settings.Ingest(), catalog, Meddling(lambda: append(path))).file(stream, "t")
    assert len(rows("t")) == 2


@pytest.mark.parametrize("name", ["a*b[1]?.csv", "plain.csv.gz", 'it\'s "quoted".csv', "x.zst", "s3:", "-", "ü.csv"])
def test_name_of_a_file_is_only_its_name(ingest, rows, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(CSV)
    report = ingest.file(path, "t", "text/csv")
    assert report.fingerprint == hashlib.sha256(CSV).hexdigest()
    assert rows("t") == [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]
    assert path.read_bytes() == CSV
    assert not path.is_symlink()


def test_file_is_found_by_links_and_relative_paths(ingest, rows, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "t.csv").write_bytes(CSV)
    (tmp_path / "link.csv").symlink_to("t.csv")
    monkeypatch.chdir(tmp_path)
    ingest.file(Path("link.csv"), "t")
    assert len(rows("t")) == 2
    assert ingest.file(Path("t.csv"), "t").unchanged
    assert ingest.explain(Path("link.csv")).rows == 2


def test_other_formats_are_read_where_they_lie_and_left_there(ingest, rows, folder: Path, tmp_path: Path) -> None:
    lines, table, packed = (tmp_path / name for name in ("t.jsonl", "t.parquet", "t.csv.gz"))
    lines.write_bytes(b'{"id": 1}\n')
    pq.write_table(pa.table({"id": [1]}), table)
    packed.write_bytes(gzip.compress(b"id\n1\n", mtime=0))
    for path in (lines, table, packed):
        before = path.read_bytes()
        ingest.file(path, "t")
        assert rows("t") == [{"id": 1}]
        assert path.read_bytes() == before
    assert list((folder / "scratch").iterdir()) == []
