"""One suite over every backend of the object store."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake.services import BUCKET, KEYS, S3Service, free_ports
from lakehouse.errors import AlreadyExists, Conflict, InvalidInput, NotFound, PermissionDenied, Unavailable
from lakehouse.lake.store import Store
from lakehouse.settings import Storage


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param != "s3":
        return Store(Storage(backend=request.param), tmp_path)
    endpoint = request.getfixturevalue("s3_service").endpoint
    prefix = f"test-{os.getpid()}-{time.time_ns()}"
    return Store(Storage(backend="s3", bucket=BUCKET, endpoint=endpoint, prefix=prefix), tmp_path)


def keys(store: Store, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix).objects]


def test_put_then_get_returns_the_bytes(store: Store) -> None:
    put = store.put("a/b c/é#%?.txt", b"hello")
    assert store.get("a/b c/é#%?.txt") == b"hello"
    assert (put.key, put.size) == ("a/b c/é#%?.txt", 5)
    assert put == store.head("a/b c/é#%?.txt") == store.list().objects[0]
    assert datetime.fromisoformat(put.modified).utcoffset() is not None


def test_put_empty_and_large_and_streams_keep_every_byte(store: Store, tmp_path: Path) -> None:
    large = os.urandom(6 * 1024 * 1024 + 1)
    (tmp_path / "file").write_bytes(large)
    store.put("empty", b"")
    store.put("path", tmp_path / "file")
    store.put("stream", io.BytesIO(large))
    assert store.get("empty") == b""
    assert store.get("path") == large
    assert store.get("stream") == large
    assert [info.size for info in store.list().objects] == [0, len(large), len(large)]


def test_put_again_replaces_and_changes_the_etag(store: Store) -> None:
    first = store.put("k", b"one")
    second = store.put("k", b"three")
    assert first.etag
    assert first.etag != second.etag
    assert store.get("k") == b"three"


def test_missing_object_is_not_found(store: Store) -> None:
    store.put("k/present", b"")
    for call in (store.get, store.head, store.delete):
        with pytest.raises(NotFound, match="no object 'k/missing'"):
            call("k/missing")
        with pytest.raises(NotFound):
            call("k")


def test_delete_removes_only_that_object(store: Store) -> None:
    for key in ("d/a", "d/ab", "d/a2/x"):
        store.put(key, b"1")
    store.delete("d/a")
    assert keys(store) == ["d/a2/x", "d/ab"]
    store.delete("d/a2/x")
    store.put("d/a2", b"now an object")
    assert keys(store) == ["d/a2", "d/ab"]


def test_list_takes_any_start_of_a_key_in_order(store: Store) -> None:
    for key in ("b", "a/2", "a/10", "a/1/x", "ab", "a b", "é"):
        store.put(key, b"")
    assert keys(store) == ["a b", "a/1/x", "a/10", "a/2", "ab", "b", "é"]
    assert keys(store, "a/1") == ["a/1/x", "a/10"]
    assert keys(store, "a/") == ["a/1/x", "a/10", "a/2"]
    assert keys(store, "a") == ["a b", "a/1/x", "a/10", "a/2", "ab"]
    assert keys(store, "zzz") == keys(store, "zzz/") == keys(store, "a/10/") == []


def test_put_if_create_only_keeps_the_first(store: Store) -> None:
    store.put_if("k", b"first", etag=None)
    with pytest.raises(AlreadyExists, match="'k'"):
        store.put_if("k", b"second", etag=None)
    assert store.get("k") == b"first"


def test_put_if_swaps_only_what_was_seen(store: Store) -> None:
    seen = store.put("k", b"one")
    newer = store.put_if("k", b"two", etag=seen.etag)
    with pytest.raises(Conflict, match="'k'"):
        store.put_if("k", b"three", etag=seen.etag)
    assert store.get("k") == b"two"
    assert store.head("k").etag == newer.etag


def test_put_if_on_a_missing_object_conflicts(store: Store) -> None:
    with pytest.raises(Conflict, match="'none'"):
        store.put_if("none", b"x", etag='"0"')
    assert keys(store) == []


def test_put_if_from_many_threads_lets_one_win(store: Store) -> None:
    won: list[int] = []

    def create(number: int) -> None:
        with contextlib.suppress(AlreadyExists, Conflict):
            store.put_if("race", str(number).encode(), etag=None)
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.get("race") == str(won[0]).encode()


MALFORMED = ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\0b", "a\nb", "\x7f", "\udc80"]
OVERSIZED = ["x" * 1025, "é" * 513, "a/" + "x" * 241]


@pytest.mark.parametrize("key", [*MALFORMED, *OVERSIZED, "a#1", "a#12/b"])
def test_malformed_key_is_refused_naming_the_field(store: Store, key: str) -> None:
    for call in (
        lambda: store.put(key, b""),
        lambda: store.get(key),
        lambda: store.head(key),
        lambda: store.delete(key),
    ):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert caught.value.detail["field"] == "key"
    assert keys(store) == []


def test_data_that_cannot_be_read_is_refused_naming_the_field(store: Store, tmp_path: Path) -> None:
    for data in ("text", io.StringIO("text"), None, tmp_path, tmp_path / "missing"):
        with pytest.raises(InvalidInput) as caught:
            store.put("k", data)
        assert caught.value.detail["field"] == "data"
    assert keys(store) == []


def test_get_of_a_range_gives_those_bytes(store: Store) -> None:
    store.put("k", bytes(range(100)))
    assert store.get("k", start=10, length=5) == bytes(range(10, 15))
    assert store.get("k", start=90) == bytes(range(90, 100))
    assert store.get("k", start=95, length=50) == bytes(range(95, 100))
    assert store.get("k", length=0) == store.get("k", start=100) == store.get("k", start=500, length=3) == b""
    for start, length in ((-1, None), (0, -1)):
        with pytest.raises(InvalidInput):
            store.get("k", start=start, length=length)
    with pytest.raises(NotFound):
        store.get("none", start=1, length=1)


def test_chunks_stream_an_object_in_bounded_pieces(store: Store) -> None:
    data = os.urandom(3 * 1024 * 1024 + 7)
    store.put("big", data)
    pieces = list(store.chunks("big", chunk_bytes=1 << 20))
    assert b"".join(pieces) == data
    assert [len(piece) for piece in pieces] == [1 << 20, 1 << 20, 1 << 20, 7]
    store.put("empty", b"")
    assert list(store.chunks("empty")) == []
    with pytest.raises(NotFound):
        list(store.chunks("none"))


def test_chunks_of_an_object_replaced_meanwhile_conflict_instead_of_mixing(store: Store) -> None:
    store.put("k", b"a" * 10)
    pieces = store.chunks("k", chunk_bytes=4)
    assert next(pieces) == b"aaaa"
    store.put("k", b"b" * 10)
    with pytest.raises(Conflict):
        list(pieces)


def test_list_in_pages_gives_every_key_once_in_order(store: Store) -> None:
    names = [f"p/{number:03}" for number in range(25)]
    for name in names:
        store.put(name, b"")
    found, after = [], ""
    while True:
        page = store.list("p/", after=after, limit=10)
        found += [info.key for info in page.objects]
        if page.next is None:
            break
        after = page.next
        assert len(page.objects) == 10
    assert found == names
    assert store.list("p/", limit=25).next is None
    assert [info.key for info in store.list("p/", after="p/0225").objects] == ["p/023", "p/024"]
    with pytest.raises(InvalidInput, match="limit"):
        store.list(limit=0)


def test_malformed_prefix_is_refused_naming_the_field(store: Store) -> None:
    for prefix in ("/", "../", "a//", "a\0"):
        with pytest.raises(InvalidInput) as caught:
            store.list(prefix)
        assert caught.value.detail["field"] == "prefix"
        with pytest.raises(InvalidInput) as caught:
            store.list(after=prefix)
        assert caught.value.detail["field"] == "after"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.text(max_size=40), data=st.binary(max_size=100))
def test_any_key_is_either_refused_or_kept_exactly(
    tmp_path_factory: pytest.TempPathFactory, key: str, data: bytes
) -> None:
    folder = tmp_path_factory.mktemp("keys")
    store = Store(Storage(), folder)
    try:
        store.put(key, data)
    except InvalidInput:
        assert keys(store) == []
    else:
        assert store.get(key) == data
        assert keys(store) == keys(store, key) == [key]
    assert sorted(entry.name for entry in folder.iterdir()) == ["objects", "objects-incoming"] or not any(
        folder.iterdir()
    )
    assert not list(folder.glob("objects-incoming/*"))


def test_local_key_below_an_object_is_refused(tmp_path: Path) -> None:
    store = Store(Storage(), tmp_path)
    store.put("a/b", b"1")
    for key in ("a/b/c", "a/b/c/d", "a"):
        with pytest.raises(AlreadyExists, match=repr(key)):
            store.put(key, b"2")
    assert keys(store) == ["a/b"]


def test_local_objects_survive_reopening_without_leftovers(tmp_path: Path) -> None:
    Store(Storage(), tmp_path).put("a/b", b"1")
    (tmp_path / "objects-incoming" / "torn").write_bytes(b"half")
    again = Store(Storage(), tmp_path)
    assert again.get("a/b") == b"1"
    assert not list((tmp_path / "objects-incoming").iterdir())


def test_local_full_disk_is_unavailable_and_keeps_the_old(small_disk: Path) -> None:
    store = Store(Storage(), small_disk)
    store.put("k", b"old")
    with pytest.raises(Unavailable, match="no room left"):
        store.put("k", bytes(4 * 1024 * 1024))
    assert store.get("k") == b"old"
    store.put("k", b"new")
    assert keys(store) == ["k"]


def test_local_read_only_folder_is_denied(read_only_folder: Path) -> None:
    with pytest.raises(PermissionDenied, match=str(read_only_folder)):
        Store(Storage(), read_only_folder).put("k", b"")


def test_s3_out_of_reach_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    endpoint = f"http://127.0.0.1:{free_ports(1)[0]}"
    store = Store(Storage(backend="s3", bucket="b", endpoint=endpoint), tmp_path)
    with pytest.raises(Unavailable, match="'k'"):
        store.get("k")


def test_s3_wrong_credentials_are_denied(
    s3_service: S3Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    store = Store(Storage(backend="s3", bucket=BUCKET, endpoint=s3_service.endpoint), tmp_path)
    for call in (lambda: store.put("k", b""), lambda: store.get("k"), store.list, lambda: store.delete("k")):
        with pytest.raises(PermissionDenied, match="check the credentials"):
            call()


@pytest.mark.parametrize("storage", [Storage(backend="ftp"), Storage(backend="s3")])
def test_unusable_settings_are_refused(tmp_path: Path, storage: Storage) -> None:
    with pytest.raises(InvalidInput, match=r"storage\."):
        Store(storage, tmp_path).list()
