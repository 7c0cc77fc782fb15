"""What goes back over the wire: answers and errors as status, headers and bytes."""

from __future__ import annotations

import email.utils
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.types import Send

from lakehouse.errors import LakehouseError, MethodNotAllowed, Unauthenticated
from lakehouse.operations import Operation

JSON = b"application/json"
OCTETS = b"application/octet-stream"

# A HEAD has no body, so its answer and its error travel here, as ASCII JSON.
ANSWER_HEADER = "X-Lakehouse-Answer"
ERROR_HEADER = "X-Lakehouse-Error"

# What stands beside the one variant object that is the whole body of a refused artifact.
FINDINGS_HEADER = "X-Lakehouse-Findings"

Headers = list[tuple[bytes, bytes]]

_NO_SNIFFING = (b"x-content-type-options", b"nosniff")

_encode = msgspec.json.Encoder().encode


class Reply(msgspec.Struct, frozen=True):
    """One whole answer."""

    status: int
    headers: Headers
    body: bytes = b""

    async def send(self, send: Send) -> None:
        """Send it through an ASGI channel."""
        # The list is copied because those on the way out add to it.
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body})


def reply(status: int, body: bytes, media: bytes = JSON) -> Reply:
    """Build an answer with a body, which browsers must take for what it is said to be."""
    return Reply(status, [(b"content-type", media), (b"content-length", b"%d" % len(body)), _NO_SNIFFING], body)


def json_reply(value: Any, status: int = 200) -> Reply:
    """Build a JSON answer from any value that msgspec can encode."""
    return reply(status, _encode(value))


def answer(operation: Operation, value: Any) -> Reply:
    """Build the answer of an operation from what its method returned."""
    if operation.verb == "HEAD":
        return _head(operation, value)
    if operation.status == 204:
        return Reply(204, [])
    if isinstance(value, bytes):
        media = operation.accept.encode() or OCTETS
        return reply(operation.status, value, media)
    return json_reply(value, operation.status)


def _head(operation: Operation, value: Any) -> Reply:
    facts = msgspec.to_builtins(value)
    headers: Headers = [(ANSWER_HEADER.lower().encode(), json.dumps(facts).encode("ascii")), (b"content-type", OCTETS)]
    if "size" in facts:
        headers.append((b"content-length", b"%d" % facts["size"]))
    if facts.get("etag"):
        headers.append((b"etag", json.dumps(str(facts["etag"]).strip('"')).encode("ascii")))
    if facts.get("modified"):
        moment = datetime.fromisoformat(str(facts["modified"])).astimezone(UTC)
        headers.append((b"last-modified", email.utils.format_datetime(moment, usegmt=True).encode("ascii")))
    return Reply(operation.status, headers)


def refusal(error: LakehouseError, trace_id: str, *, head: bool = False) -> Reply:
    """Build the one shape of an error; for a HEAD it stands in a header."""
    wire = error.to_wire(trace_id)
    built = json_reply(wire, error.status)
    if head:
        built = Reply(error.status, [(ERROR_HEADER.lower().encode(), json.dumps(wire).encode("ascii"))])
    if "variant" in error.detail:
        beside = {name: value for name, value in error.detail.items() if name != "variant"}
        built.headers.append((FINDINGS_HEADER.lower().encode(), json.dumps(beside).encode("ascii")))
    if isinstance(error, Unauthenticated):
        built.headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, MethodNotAllowed):
        built.headers.append((b"allow", ", ".join(error.detail.get("allowed", ())).encode("ascii")))
    return built
