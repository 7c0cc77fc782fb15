"""What comes in over the wire: path, query string, headers and body as the arguments of an operation."""

from __future__ import annotations

import functools
import os
import tempfile
import typing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope

from lakehouse import operations
from lakehouse.errors import InvalidInput, TooLarge
from lakehouse.operations import Operation
from lakehouse.serve.pool import Pool
from lakehouse.state.folder import disk_error

_SPOOL_BYTES = 1024 * 1024
_UPLOAD = "upload-"

_decode = msgspec.json.Decoder().decode


class Disconnected(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


def header(scope: Scope, name: bytes) -> str:
    """Return the first header of that lower-case name, empty when absent."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def from_address(operation: Operation, scope: Scope) -> dict[str, Any]:
    """Read the arguments that stand in the path and in the query string, converted to their types.

    Raises:
        InvalidInput: A query parameter is unknown, given twice or not of its type.
    """
    found: dict[str, str] = dict(scope.get("path_params", {}))
    for name, text in _query(scope):
        if name not in operation.query:
            known = f"; known: {', '.join(operation.query)}" if operation.query else ", which takes none"
            raise InvalidInput(f"unknown query parameter {name!r} for {operation.name}{known}", field=name)
        if name in found:
            raise InvalidInput(f"query parameter {name!r} of {operation.name} was given twice", field=name)
        found[name] = text
    types = _types(operation)
    return {name: _converted(operation, name, text, types[name]) for name, text in found.items()}


def _query(scope: Scope) -> list[tuple[str, str]]:
    raw = scope.get("query_string", b"")
    if not raw:
        return []
    try:
        return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput("the query string is not UTF-8", field="query") from None


@functools.cache
def _types(operation: Operation) -> dict[str, Any]:
    hints = typing.get_type_hints(operations.request_type(operation), include_extras=True)
    return {name.rstrip("_"): hint for name, hint in hints.items()}


def _converted(operation: Operation, name: str, text: str, kind: Any) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        reason = str(error).replace("`", "")
        raise InvalidInput(f"field {name!r} of {operation.name}: {reason}", field=name) from None


def from_body(operation: Operation, address: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Add the arguments of a JSON body to those of the address.

    Raises:
        InvalidInput: The body is not a JSON object in UTF-8, or repeats an argument of the path.
    """
    if not body.strip():
        return address
    if operation.verb in {"GET", "HEAD", "DELETE"}:
        raise InvalidInput(f"{operation.verb} {operation.path} takes no body", field="body")
    values = decoded(body)
    for name in address:
        if name in values:
            raise InvalidInput(f"field {name!r} of {operation.name} stands in the address, not in the body", field=name)
    return {**address, **values}


def decoded(body: bytes) -> dict[str, Any]:
    """Decode a JSON object.

    Raises:
        InvalidInput: The bytes are not JSON, not UTF-8, nested too deeply, or not an object.
    """
    try:
        values = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the body is not valid JSON: {error}", field="body") from None
    except RecursionError:
        raise InvalidInput("the body is not valid JSON: nested too deeply", field="body") from None
    if not isinstance(values, dict):
        raise InvalidInput(f"the body must be a JSON object, not {_kind(values)}", field="body")
    return values


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


class Body:
    """The body of one request, read at most once and never past its limit.

    Args:
        scope: ASGI scope of the request.
        receive: Its channel.
        limit: Most bytes.
        setting: Name of the setting that holds the limit, for the message.
    """

    def __init__(self, scope: Scope, receive: Receive, limit: int, *, setting: str) -> None:
        self._receive = receive
        self._limit = limit
        self._setting = setting
        self._read = 0
        self._more = True
        declared = header(scope, b"content-length")
        if declared.isdigit() and int(declared) > limit:
            raise self._too_large()

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the body is larger than {self._limit} bytes, the limit set by {self._setting}", limit=self._limit
        )

    async def chunk(self) -> bytes:
        """Return the next bytes, none at the end.

        Raises:
            TooLarge: The limit is passed.
            Disconnected: The client went away.
        """
        while self._more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            data: bytes = message.get("body", b"")
            self._more = message.get("more_body", False)
            self._read += len(data)
            if self._read > self._limit:
                raise self._too_large()
            if data:
                return data
        return b""

    async def whole(self) -> bytes:
        """Return all of it."""
        first = await self.chunk()
        if not self._more:
            return first
        chunks = [first]
        while data := await self.chunk():
            chunks.append(data)
        return b"".join(chunks)

    async def spool(self, folder: Path, pool: Pool) -> Path:
        """Write all of it to a new file in `folder`, in another thread; the caller removes the file.

        Raises:
            Unavailable: The disk is full.
            PermissionDenied: The folder cannot be written.
        """
        path = await pool.run(functools.partial(_new_file, folder))
        try:
            buffer = bytearray()
            while data := await self.chunk():
                buffer += data
                if len(buffer) >= _SPOOL_BYTES:
                    await pool.run(functools.partial(_append, path, bytes(buffer)))
                    buffer.clear()
            await pool.run(functools.partial(_append, path, bytes(buffer)))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path


def remove_uploads(folder: Path) -> None:
    """Remove the files that spooled bodies left in `folder`."""
    for path in folder.glob(f"{_UPLOAD}*"):
        path.unlink(missing_ok=True)


def _new_file(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_UPLOAD, dir=folder)
    except OSError as error:
        raise disk_error(error, folder) from error
    os.close(handle)
    return Path(name)


def _append(path: Path, data: bytes) -> None:
    try:
        with path.open("ab") as file:
            file.write(data)
    except OSError as error:
        raise disk_error(error, path) from error
