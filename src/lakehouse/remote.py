"""A running stack at the end of a URL, called like the rooms of this process."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from lakehouse import errors, operations, tracing
from lakehouse.errors import DeadlineExceeded, InvalidInput, Unavailable, Upstream
from lakehouse.operations import Operation

# As `serve.answers` sends them: what a HEAD cannot carry in a body.
_ANSWER_HEADER = "X-Lakehouse-Answer"
_ERROR_HEADER = "X-Lakehouse-Error"

_JSON = "application/json"
_CHUNK_BYTES = 1024 * 1024
_MEDIA_OF_SUFFIX = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
}


class Remote:
    """Carries operations to a stack over HTTP: arguments checked here first, the same errors raised here.

    Thread-safe; connections are kept and shared.

    Args:
        url: Of a gateway, `http://` or `https://`.
        token: Bearer token for a stack that asks for one.
        timeout_ms: Longest wait for an answer; building a corpus or a large ingest answers when it is done.

    Raises:
        InvalidInput: The URL is not one.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout_ms: int = 600_000) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidInput(f"{url!r} is not the URL of a stack; write it like http://127.0.0.1:3110", field="url")
        self.url = url.rstrip("/")
        self._timeout_ms = timeout_ms
        headers = {"Accept": _JSON, **({"Authorization": f"Bearer {token}"} if token else {})}
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout_ms / 1000, connect=min(10.0, timeout_ms / 1000)),
            # A proxy cannot reach this machine's own stack.
            trust_env=not _is_loopback(parts.hostname),
        )

    def call(self, operation: Operation, values: Mapping[str, Any], *, strict: bool = True) -> Any:
        """Run an operation there and return its answer.

        Raises:
            LakehouseError: Whatever the stack raised, as the same class; `InvalidInput` without a round trip.
            Unavailable: Nothing answers at the URL, or the connection broke.
            DeadlineExceeded: No answer came in time.
        """
        checked = operations.arguments(operation, dict(values), strict=strict)
        given = {name.rstrip("_") for name in values}
        checked = {name.rstrip("_"): value for name, value in checked.items() if name.rstrip("_") in given}
        with tracing.span(operation.name, calls=True):
            try:
                with _body(operation, checked) as (content, media):
                    response = self._send(self._request(operation, checked, content, media))
            except UnicodeEncodeError as error:
                raise InvalidInput(f"{ascii(error.object)[:80]} in {operation.name} is not valid Unicode") from None
            return _answer(operation, response)

    def _request(
        self, operation: Operation, values: Mapping[str, Any], content: bytes | Iterator[bytes] | None, media: str
    ) -> httpx.Request:
        return self._client.build_request(
            operation.verb,
            self.url + _path(operation, values),
            params=_query(operation, values),
            content=content,
            headers=_headers(operation, media),
        )

    def close(self) -> None:
        """Close the connections; idempotent."""
        self._client.close()

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._client.send(request)
        except httpx.TimeoutException:
            raise DeadlineExceeded(
                f"{self.url} did not answer within {self._timeout_ms} ms", url=self.url, timeout_ms=self._timeout_ms
            ) from None
        except httpx.ConnectError as error:
            raise Unavailable(
                f"nothing answers at {self.url} ({error}); start it with 'lakehouse up'", url=self.url
            ) from None
        except httpx.TransportError as error:
            raise Unavailable(f"the connection to {self.url} broke: {error}", url=self.url) from None
        except RuntimeError as error:
            if self._client.is_closed:
                raise Unavailable(f"the connection to {self.url} is closed; connect again", url=self.url) from None
            raise error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path(operation: Operation, values: Mapping[str, Any]) -> str:
    path = operation.path.replace(":path}", "}")
    whole = {name for name in operation.path_arguments if f"{{{name}}}" in operation.path}
    return path.format(
        **{name: _quoted(str(values[name]), safe="" if name in whole else "/") for name in operation.path_arguments}
    )


def _quoted(text: str, *, safe: str) -> str:
    # Dot segments are resolved by every party on the way unless they are quoted.
    segments = quote(text, safe=safe).split("/")
    return "/".join(part.replace(".", "%2E") if part in {".", ".."} else part for part in segments)


def _query(operation: Operation, values: Mapping[str, Any]) -> dict[str, str]:
    found = {name: values[name] for name in operation.query if values.get(name) is not None}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in found.items()}


def _headers(operation: Operation, media: str) -> dict[str, str]:
    trace_id = tracing.current() or tracing.new_id()
    headers = {tracing.HEADER: trace_id}
    if above := tracing.parent_header(trace_id):
        headers[tracing.PARENT_HEADER] = above
    if media:
        headers["Content-Type"] = media
    if operation.accept:
        headers["Accept"] = operation.accept
    return headers


@contextmanager
def _body(operation: Operation, values: Mapping[str, Any]) -> Iterator[tuple[bytes | Iterator[bytes] | None, str]]:
    if not operation.raw:
        elsewhere = {*operation.path_arguments, *operation.query}
        fields = {name: value for name, value in values.items() if name not in elsewhere}
        if operation.verb in {"GET", "HEAD", "DELETE"}:
            yield None, ""
        else:
            yield msgspec.json.encode(fields), _JSON
        return
    source = values[operation.raw]
    media = values.get("content_type", "")
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        # The name stays here, so what it says of the content goes along; whether it is gzip shows in the bytes.
        media = media or _MEDIA_OF_SUFFIX.get(Path(path.name.lower().removesuffix(".gz")).suffix, "")
        with _opened(operation, path) as file:
            yield _chunks(file), media
    elif isinstance(source, bytes | bytearray | memoryview):
        yield bytes(source), media
    else:
        yield _chunks(source), media


@contextmanager
def _opened(operation: Operation, path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}", field=operation.raw, path=str(path)) from None
    with file:
        yield file


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while data := file.read(_CHUNK_BYTES):
        yield data


def _answer(operation: Operation, response: httpx.Response) -> Any:
    if response.status_code >= 400:
        raise _error(response)
    if response.status_code == 204:
        return None
    kind = operations.answer_type(operation)
    if kind is bytes:
        return response.content
    text = response.headers.get(_ANSWER_HEADER, "") if operation.verb == "HEAD" else response.content
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise Upstream(
            f"the answer of {operation.name} cannot be read ({error}); is {response.url} a stack of this version?",
            status=response.status_code,
        ) from None


def _error(response: httpx.Response) -> errors.LakehouseError:
    text = response.headers.get(_ERROR_HEADER) or response.content
    try:
        body = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        body = None
    return errors.from_wire(response.status_code, body)
