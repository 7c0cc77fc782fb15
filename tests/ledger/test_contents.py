"""What of a file can be searched."""

import gzip
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.ledger import contents


def read(path, overlap=0):
    return b"\x00".join(contents.blocks(path, overlap))


@pytest.mark.parametrize("compression", ["zstd", "snappy", "none"])
def test_texts_and_numbers_of_parquet_are_read(tmp_path, compression):
    columns = {
        "name": ["Anna Smith", None],
        "phone": [4405550101, 2],
        "skills": [["reach truck", "Robert Lee"], []],
        "detail": [{"note": "in a struct"}, None],
        "kind": pa.array(["again", "again"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", compression=compression)
    for piece in (b"Anna Smith", b"4405550101\n2", b"Robert Lee", b"in a struct", b"again"):
        assert piece in read(tmp_path / "a.parquet")


def test_gzip_is_expanded(tmp_path):
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(b"Anna Smith", mtime=0))
    assert b"Anna Smith" in read(tmp_path / "a.log.gz")


@pytest.mark.parametrize("codec", [b"null", b"deflate"])
def test_blocks_of_avro_are_expanded(tmp_path, codec):
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = b"Anna Smith" if codec == b"null" else squeeze.compress(b"Anna Smith") + squeeze.flush()
    head = b"Obj\x01\x02" + bytes([20]) + b"avro.codec" + bytes([2 * len(codec)]) + codec + b"\x00" + b"s" * 16
    (tmp_path / "m.avro").write_bytes(head + b"\x02" + bytes([2 * len(block)]) + block + b"s" * 16)
    assert b"Anna Smith" in read(tmp_path / "m.avro")


@pytest.mark.parametrize("head", [b"PAR1", b"\x1f\x8b", b"Obj\x01"])
def test_what_is_not_what_it_seems_is_searched_as_it_lies_there(tmp_path, head):
    (tmp_path / "a").write_bytes(head + b"Anna Smith")
    assert b"Anna Smith" in read(tmp_path / "a")


def test_what_lies_across_two_blocks_is_in_one(tmp_path):
    (tmp_path / "a").write_bytes(bytes(contents._CHUNK - 4) + b"Anna Smith" + bytes(8))
    assert any(b"Anna Smith" in block for block in contents.blocks(tmp_path / "a", 10))


def test_lists_of_files_of_a_dataset_are_read(lake):
    found = list(Path(lake.rooms.settings.data).rglob("*.avro"))
    assert found
    assert all(len(list(contents.blocks(path, 0))) >= 2 for path in found)
