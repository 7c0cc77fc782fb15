"""Buckets on `obstore`: memory and S3 as they are, local files with writes of our own that are fsynced."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import obstore
from obstore import exceptions
from obstore.store import LocalStore, MemoryStore, S3Store

from lakehouse.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    LakehouseError,
    NotFound,
    PermissionDenied,
    Unavailable,
)
from lakehouse.lake.store import ObjectInfo
from lakehouse.state.folder import disk_error, fsync_dir

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import ObjectStore

    from lakehouse.settings import Storage

_DENIED = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
# Of a list, the engine keeps no kind of error; and what a server says stands in its XML.
_REFUSED = re.compile(r"status code: 40[13]\b")
_SAID = re.compile(r"<Message>([^<]{1,300})</Message>")
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def open_bucket(storage: Storage, folder: Path, environ: Mapping[str, str]) -> Bucket:
    """Open the bucket that the settings name.

    Raises:
        InvalidInput: The backend is unknown, or S3 has no bucket.
        PermissionDenied, Unavailable: The local folder cannot be made.
    """
    if storage.backend == "memory":
        return Bucket(MemoryStore())
    if storage.backend == "local":
        return LocalBucket(folder / "objects", folder / "objects-incoming")
    if storage.backend == "s3":
        return Bucket(_s3(storage, environ))
    raise InvalidInput(f"storage.backend {storage.backend!r} is unknown; use local, s3 or memory", field="backend")


def _s3(storage: Storage, environ: Mapping[str, str]) -> S3Store:
    if not storage.bucket:
        raise InvalidInput("storage.bucket is empty; name the S3 bucket", field="bucket")
    options: dict[str, Any] = {"region": storage.region}
    if storage.endpoint:
        options["endpoint"] = storage.endpoint
        options["virtual_hosted_style_request"] = False
    keys = {"access_key_id": storage.access_key_env, "secret_access_key": storage.secret_key_env}
    options.update({option: environ[name] for option, name in keys.items() if environ.get(name)})
    return S3Store(
        storage.bucket,
        prefix=storage.prefix or None,
        client_options={"allow_http": storage.endpoint.startswith("http://"), "connect_timeout": timedelta(seconds=5)},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=15)},
        **options,
    )


class Bucket:
    """Objects of one `obstore` store; keys come checked."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, key: str, data: bytes | Path | BinaryIO) -> ObjectInfo:
        """Write an object whole, replacing the one there."""
        with _mapped(key):
            obstore.put(self._store, key, data)
        return self.head(key)

    def put_if(self, key: str, data: bytes | Path | BinaryIO, etag: str | None) -> ObjectInfo:
        """Write an object if the key is free (`etag` null) or its etag is the given one."""
        try:
            with _mapped(key):
                obstore.put(self._store, key, data, mode="create" if etag is None else {"e_tag": etag})
        except NotFound:
            raise _changed(key) from None
        return self.head(key)

    def get(self, key: str) -> bytes:
        """Return the bytes."""
        with _mapped(key):
            return bytes(obstore.get(self._store, key).bytes())

    def range(self, key: str, start: int, length: int | None, *, etag: str = "") -> bytes:
        """Return some of the bytes; with an etag only those of that very object."""
        options: GetOptions = {"range": (start, start + length) if length is not None else {"offset": start}}
        if etag:
            options["if_match"] = etag
        info = self.head(key)
        if start >= info.size or length == 0:
            return b""
        if length is not None:
            options["range"] = (start, min(start + length, info.size))
        with _mapped(key):
            return bytes(obstore.get(self._store, key, options=options).bytes())

    def head(self, key: str) -> ObjectInfo:
        """Return size, etag and time."""
        with _mapped(key):
            return _info(obstore.head(self._store, key), key)

    def delete(self, key: str) -> None:
        """Delete one object; a missing one is an error on every backend, also where S3 would not say."""
        self.head(key)
        with _mapped(key):
            obstore.delete(self._store, key)

    def below(self, prefix: str, *, after: str = "") -> list[ObjectInfo]:
        """Return all objects below a string prefix, sorted by key.

        `after` lets an S3 leave out what comes before it; such keys may still be there.
        """
        # The engine's prefix is a whole folder; a prefix that ends within a name is matched here.
        above = prefix.rpartition("/")[0]
        with _mapped(prefix):
            options = {"offset": after} if after else {}
            found = [
                meta for chunk in obstore.list(self._store, above or None, chunk_size=1000, **options) for meta in chunk
            ]
        infos = [_info(meta, meta["path"]) for meta in found if meta["path"].startswith(prefix)]
        return sorted(infos, key=lambda info: info.key)

    def look(self) -> None:
        """Ask for one object, whatever its name."""
        with _mapped(""):
            next(iter(obstore.list(self._store, chunk_size=1)), None)


class LocalBucket(Bucket):
    """A folder of files. A write lands in `incoming`, is fsynced there and then gets its name."""

    def __init__(self, folder: Path, incoming: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # What a crash left here was never acknowledged.
            shutil.rmtree(incoming, ignore_errors=True)
            incoming.mkdir(parents=True, exist_ok=True)
            fsync_dir(folder.parent)
        except OSError as error:
            raise disk_error(error, folder) from error
        super().__init__(LocalStore(folder))
        self._folder = folder
        self._incoming = incoming
        # Names change one at a time, so that a folder emptied by a delete is not pulled from under a put.
        self._naming = threading.Lock()

    def put(self, key: str, data: bytes | Path | BinaryIO) -> ObjectInfo:
        """Write an object whole, replacing the one there."""
        with self._written(data) as scratch, self._naming:
            return self._placed(scratch, key)

    def put_if(self, key: str, data: bytes | Path | BinaryIO, etag: str | None) -> ObjectInfo:
        """Write an object if the key is free (`etag` null) or its etag is the given one."""
        with self._written(data) as scratch, self._naming:
            taken = (self._folder / key).is_file()
            if etag is None and taken:
                raise _taken(key)
            if etag is not None and (not taken or self.head(key).etag != etag):
                raise _changed(key)
            return self._placed(scratch, key)

    def delete(self, key: str) -> None:
        """Delete one object and the folders it leaves empty."""
        with self._naming:
            super().delete(key)
            parent = (self._folder / key).parent
            while parent != self._folder and not any(parent.iterdir()):
                parent.rmdir()
                parent = parent.parent
            fsync_dir(parent)

    @contextmanager
    def _written(self, data: bytes | Path | BinaryIO) -> Iterator[Path]:
        scratch = self._incoming / secrets.token_hex(12)
        try:
            with scratch.open("xb") as file, _reader(data) as source:
                shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            yield scratch
        except OSError as error:
            raise disk_error(error, self._folder) from error
        finally:
            scratch.unlink(missing_ok=True)

    def _placed(self, scratch: Path, key: str) -> ObjectInfo:
        target = self._folder / key
        if target.is_dir():
            raise AlreadyExists(f"key {key!r} has objects below it; choose another key", key=key)
        renamed_in = [target.parent]
        while not renamed_in[-1].exists():
            renamed_in.append(renamed_in[-1].parent)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise AlreadyExists(f"key {key!r} lies below another object; choose another key", key=key) from None
        scratch.replace(target)
        for folder in renamed_in:
            fsync_dir(folder)
        return self.head(key)


@contextmanager
def _reader(data: bytes | Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(data, Path):
        with data.open("rb") as file:
            yield file
    elif isinstance(data, (bytes, bytearray, memoryview)):
        yield BytesIO(data)
    else:
        yield data


def _info(meta: ObjectMeta, key: str) -> ObjectInfo:
    modified = meta["last_modified"].isoformat(timespec="microseconds").replace("+00:00", "Z")
    return ObjectInfo(key=key, size=meta["size"], etag=meta["e_tag"] or "", modified=modified)


def _taken(key: str) -> AlreadyExists:
    return AlreadyExists(f"object {key!r} exists; read its etag and swap it instead", key=key)


def _changed(key: str) -> Conflict:
    return Conflict(f"object {key!r} has changed or is gone; read it again", key=key)


@contextmanager
def _mapped(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotFound(f"no object {key!r}", key=key) from None
    except exceptions.AlreadyExistsError:
        raise _taken(key) from None
    except exceptions.PreconditionError:
        raise _changed(key) from None
    except (exceptions.BaseError, OSError, ValueError) as error:
        raise _named(error, key) from error


def _named(error: Exception, key: str) -> LakehouseError:
    whole = str(error)
    said = _SAID.search(whole)
    text = whole.partition("\n")[0].partition(": <?xml")[0] + (f": {said[1]}" if said else "")
    if isinstance(error, _DENIED) or _REFUSED.search(text):
        return PermissionDenied(f"storage refused {key!r}: {text}; check the credentials", key=key)
    system = _OS_ERROR.search(text)
    if system:
        return disk_error(OSError(int(system[1]), os.strerror(int(system[1]))), key)
    return Unavailable(f"storage cannot serve {key!r}: {text}", key=key)
