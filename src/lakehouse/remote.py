"""A running stack at the end of a URL, called like the rooms of this process."""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from lakehouse import errors, idempotency, operations, tracing
from lakehouse.errors import DeadlineExceeded, InvalidInput, Unavailable, Upstream
from lakehouse.operations import Operation

# As `serve.answers` sends them: what a HEAD cannot carry in a body.
_ANSWER_HEADER = "X-Lakehouse-Answer"
_ERROR_HEADER = "X-Lakehouse-Error"
_FINDINGS_HEADER = "X-Lakehouse-Findings"

_JSON = "application/json"
_CHUNK_BYTES = 1024 * 1024
# Between one try and the next, each shortened by lot so that many callers do not come back at once.
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)
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
        retry_within_ms: How long calls that failed for a moment are tried again, 0 for never; see `call`.

    Raises:
        InvalidInput: The URL is not one.
    """

    def __init__(
        self, url: str, token: str | None = None, *, timeout_ms: int = 600_000, retry_within_ms: int = 15_000
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidInput(f"{url!r} is not the URL of a stack; write it like http://127.0.0.1:3110", field="url")
        self.url = url.rstrip("/")
        self._timeout_ms = timeout_ms
        self._retry_within_ms = retry_within_ms
        self._reached = False
        headers = {"Accept": _JSON, **({"Authorization": f"Bearer {token}"} if token else {})}
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout_ms / 1000, connect=min(10.0, timeout_ms / 1000)),
            # A proxy cannot reach this machine's own stack.
            trust_env=not _is_loopback(parts.hostname),
        )

    def call(self, operation: Operation, values: Mapping[str, Any], *, strict: bool = True) -> Any:
        """Run an operation there and return its answer.

        An error that is retryable is waited out, for at most `retry_within_ms`, when the call has changed nothing: the
        stack refused it as unavailable, or could not be reached. When a connection broke or a part of the stack broke
        off, the call may have been carried out; it is sent again only when twice is as good as once
        (`Operation.repeatable`), every try with the same `Idempotency-Key` where it would count twice. A stack that has
        never answered is not waited for.

        Raises:
            LakehouseError: Whatever the stack raised, as the same class; `InvalidInput` without a round trip.
            Unavailable: Nothing answers at the URL, or the connection broke.
            DeadlineExceeded: No answer came in time.
        """
        checked = operations.arguments(operation, dict(values), strict=strict)
        given = {name.rstrip("_") for name in values}
        checked = {name.rstrip("_"): value for name, value in checked.items() if name.rstrip("_") in given}
        with tracing.span(operation.name, calls=True):
            return self._persistently(operation, checked)

    def _persistently(self, operation: Operation, values: Mapping[str, Any]) -> Any:
        until = 0.0
        pauses = itertools.chain(_PAUSES_S, itertools.repeat(_PAUSES_S[-1]))
        key = idempotency.current() or idempotency.new_key() if operation.keyed else ""
        with tracing.trace(), idempotency.keyed(key):
            while True:
                try:
                    return self._once(operation, values)
                except errors.LakehouseError as error:
                    pause = next(pauses) * random.uniform(0.5, 1.0)
                    # The time counts from the first failure: a call may have waited long before it broke.
                    until = until or time.monotonic() + self._retry_within_ms / 1000
                    if time.monotonic() + pause > until or not self._may_repeat(operation, values, error):
                        raise
                time.sleep(pause)

    def _once(self, operation: Operation, values: Mapping[str, Any]) -> Any:
        try:
            with _body(operation, values) as (content, media):
                request = self._request(operation, values, content, media)
                response = self._send(request, stream=operation.streams)
        except UnicodeEncodeError as error:
            raise InvalidInput(f"{ascii(error.object)[:80]} in {operation.name} is not valid Unicode") from None
        self._reached = True
        return _events(operation, response) if operation.streams else _answer(operation, response)

    def _may_repeat(self, operation: Operation, values: Mapping[str, Any], error: errors.LakehouseError) -> bool:
        source = values.get(operation.raw) if operation.raw else None
        if source is not None and not isinstance(source, str | os.PathLike | bytes):
            # A stream that was read cannot be read again.
            return False
        if not self._reached or self._client.is_closed or not isinstance(error, Unavailable | Upstream):
            return False
        if isinstance(error, Upstream) and "status" in error.detail:
            # Not the answer of a stack at all.
            return False
        return operation.repeatable or (isinstance(error, Unavailable) and "broken" not in error.detail)

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

    def _send(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        try:
            return self._client.send(request, stream=stream)
        except httpx.TimeoutException:
            raise DeadlineExceeded(
                f"{self.url} did not answer within {self._timeout_ms} ms", url=self.url, timeout_ms=self._timeout_ms
            ) from None
        except httpx.ConnectError as error:
            raise Unavailable(
                f"nothing answers at {self.url} ({error}); start it with 'lakehouse up'", url=self.url
            ) from None
        except httpx.TransportError as error:
            # Whether the call was carried out is not known.
            raise Unavailable(f"the connection to {self.url} broke: {error}", url=self.url, broken=True) from None
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
    headers = tracing.headers()
    if operation.keyed:
        headers[idempotency.HEADER] = idempotency.current()
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


def _events(operation: Operation, response: httpx.Response) -> Iterator[Any]:
    """Read server-sent events, each as it comes; an event `error` is raised."""
    if response.status_code >= 400:
        response.read()
        raise _error(response)
    return _each_event(operations.answer_type(operation), response)


def _each_event(kind: Any, response: httpx.Response) -> Iterator[Any]:
    failed = False
    try:
        for line in response.iter_lines():
            if line.startswith("event: "):
                failed = line == "event: error"
            elif line.startswith("data: ") and failed:
                body = msgspec.json.decode(line[6:])
                raise errors.from_wire(body.pop("status", 0), body)
            elif line.startswith("data: "):
                yield msgspec.json.decode(line[6:], type=kind)
    except httpx.TransportError as error:
        raise Unavailable(f"the connection broke: {error}") from None
    finally:
        response.close()


def _error(response: httpx.Response) -> errors.LakehouseError:
    text = response.headers.get(_ERROR_HEADER) or response.content
    try:
        body = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        body = None
    if response.status_code == errors.ValidationFailed.status and not (isinstance(body, dict) and "error" in body):
        return _refusal(response, body)
    return errors.from_wire(response.status_code, body)


def _refusal(response: httpx.Response, body: Any) -> errors.LakehouseError:
    """Rebuild the error of a refused artifact, whose body is one variant object."""
    from lakehouse.validate import variants

    try:
        beside = json.loads(response.headers.get(_FINDINGS_HEADER) or "{}")
        return variants.failure(variants.read(body), beside)
    except (ValueError, InvalidInput) as error:
        return Upstream(f"a refusal cannot be read: {error}", status=response.status_code)
