"""How one path answers: an operation by its verb, the search without detours, fixed answers."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
from starlette.types import Receive, Scope, Send

import lakehouse
from lakehouse import idempotency, operations, progress
from lakehouse.app import Lakehouse
from lakehouse.errors import MethodNotAllowed
from lakehouse.ledger.ledger import deferred
from lakehouse.matrix.base import SearchAnswer
from lakehouse.operations import Operation
from lakehouse.serve import answers, events, openapi, requests
from lakehouse.serve.answers import Reply
from lakehouse.serve.fresh import Fresh
from lakehouse.serve.kept import Kept, KeptAnswers
from lakehouse.serve.pool import Commits, Pool
from lakehouse.serve.requests import Body
from lakehouse.settings import Settings

_UPLOADS = "incoming"
_KEY = idempotency.HEADER.lower().encode()

# Arguments that turn a call of microseconds into one that takes long or waits for somebody else.
_SLOW_WITH = {
    "demand.parse": ("use_model",),
    "matrix.search": ("opinions",),
    "vectors.search": ("text", "filter", "exact"),
}
# Of more than that a look-up by a vector, or reading what was sent with it, is no matter of microseconds any more.
_QUICK_K = 1_000
_QUICK_BYTES = 64 * 1024


class Runtime:
    """What all endpoints share: the lake, the limits and the threads.

    Args:
        lake: Embedded in this process.
        config: Limits are read from `config.server`; uploads wait below `config.data`.
    """

    def __init__(self, lake: Lakehouse, config: Settings) -> None:
        self.lake = lake
        self.server = config.server
        self.kept_answers = config.matrix.kept_answers
        self.uploads = Path(config.data) / _UPLOADS
        # The folder is locked by this process, so what lies there is from one that was killed.
        requests.remove_uploads(self.uploads)
        waiting = self.server.max_waiting
        self.calls = Pool(self.server.threads, waiting=waiting, name="call")
        # Apart from the calls, so that a search never waits behind slow ones.
        self.embedding = Pool(1, waiting=waiting, name="embed")
        self.spooling = Pool(2, waiting=waiting, name="spool")
        # Calls that wait for a model take minutes, and do nothing meanwhile.
        self.upstream = Pool(self.server.upstream_threads, waiting=waiting, name="upstream")
        self.commits = Commits(self._commit)
        following = lake.rooms.following
        self.fresh = Fresh(following) if following.needed else None

    def body(self, scope: Scope, receive: Receive) -> Body:
        """Return the body of a request that is held in memory."""
        return Body(scope, receive, self.server.max_body_bytes, setting="server.max_body_bytes")

    async def spooled(self, scope: Scope, receive: Receive) -> Path:
        """Write the body of an upload to a file; the caller removes it."""
        body = Body(scope, receive, self.server.max_ingest_bytes, setting="server.max_ingest_bytes")
        return await body.spool(self.uploads, self.spooling)

    async def committed(self, positions: Sequence[int]) -> None:
        """Return when rows of the ledger that were `deferred` are safe; those who wait together share one sync.

        Nobody is shown to anybody before it is on disk who saw them.

        Raises:
            Unavailable: They may not be.
        """
        if positions:
            await self.commits.safe(positions[-1])

    def _commit(self, position: int) -> None:
        self.lake.rooms.ledger.commit(position)

    def stop(self) -> None:
        """Let nobody wait long any more for what is not said."""
        if self.fresh is not None:
            self.fresh.stop()

    def close(self, *, within_ms: float) -> bool:
        """Let calls under way finish, and tell whether all did in time."""
        pools = (self.calls, self.embedding, self.spooling, self.upstream, self.commits)
        closed = [pool.close(within_ms=within_ms) for pool in pools]
        if self.fresh is not None:
            closed.append(self.fresh.close(within_ms=within_ms))
        return all(closed)


def require_verb(scope: Scope, *allowed: str) -> None:
    """Refuse every other HTTP verb.

    Raises:
        MethodNotAllowed: The request has a verb that is not in `allowed`.
    """
    verb = scope["method"]
    if verb not in allowed:
        named = ", ".join(allowed)
        raise MethodNotAllowed(f"{scope['path']} does not answer to {verb}, only to {named}", allowed=list(allowed))


class Fixed:
    """One answer that never changes."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the shape of ASGI
        """Answer one request."""
        require_verb(scope, "GET", "HEAD")
        await self._reply.send(send)


def health(service: str) -> Fixed:
    """Tell that a service is up, and which version it is."""
    return Fixed(answers.json_reply({"status": "ok", "service": service, "version": lakehouse.__version__}))


class Described:
    """The OpenAPI description of what is served, made when it is asked for first."""

    def __init__(self, runtime: Runtime, served: Sequence[Operation], prefix: str) -> None:
        self._runtime = runtime
        self._made = functools.cache(lambda: answers.json_reply(openapi.describe(served, server_prefix=prefix)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the shape of ASGI
        """Answer one request."""
        require_verb(scope, "GET", "HEAD")
        reply = await self._runtime.calls.run(self._made)
        await reply.send(send)


class Resource:
    """All operations of one path: chosen by verb, then by the media type asked for."""

    def __init__(self, runtime: Runtime, alike: Sequence[Operation]) -> None:
        self._runtime = runtime
        self._by_verb: dict[str, list[Operation]] = {}
        for operation in alike:
            self._by_verb.setdefault(operation.verb, []).append(operation)
        # Operations without a media type of their own come last: they answer everybody else.
        for operations_ in self._by_verb.values():
            operations_.sort(key=lambda operation: not operation.accept)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        operation = self._chosen(scope)
        values = requests.from_address(operation, scope)
        if operation.streams:
            await self._stream(operation, values, scope, receive, send)
            return
        call = self._raw if operation.raw else self._json
        with idempotency.keyed(requests.header(scope, _KEY) if operation.keyed else ""):
            reply = await call(operation, values, scope, receive)
        await reply.send(send)

    def answers_to(self, verb: str) -> bool:
        """Tell whether one of the operations has this verb; what answers to GET answers to HEAD."""
        return verb in self._by_verb or (verb == "HEAD" and "GET" in self._by_verb)

    def _chosen(self, scope: Scope) -> Operation:
        verb = scope["method"]
        if not self.answers_to(verb):
            require_verb(scope, *self._by_verb)
        alike = self._by_verb.get(verb) or self._by_verb["GET"]
        wanted = requests.header(scope, b"accept")
        return next((operation for operation in alike if operation.accept in wanted), alike[-1])

    async def _json(self, operation: Operation, address: dict[str, Any], scope: Scope, receive: Receive) -> Reply:
        body = await self._runtime.body(scope, receive).whole()
        if operation.runs == "inline" and len(body) <= _QUICK_BYTES:
            values = requests.from_body(operation, address, body)
            if self._is_quick(operation, values):
                with deferred() as positions:
                    reply = self._call(operation, values)
                await self._runtime.committed(positions)
                return reply
        work = functools.partial(self._decode_and_call, operation, address, body)
        if operation.stops:
            return await _while_awaited(self._runtime.calls, work, receive)
        pool = self._runtime.upstream if operation.runs == "upstream" else self._runtime.calls
        return await pool.run(work)

    def _is_quick(self, operation: Operation, values: Mapping[str, Any]) -> bool:
        """Tell whether a call that may run on the loop takes microseconds with these arguments, not yet checked."""
        if any(values.get(name) for name in _SLOW_WITH.get(operation.name, ())):
            return False
        if operation.name != "vectors.search":
            return True
        return values.get("k", 1) in range(_QUICK_K + 1) and self._runtime.lake.rooms.vectors.is_at_hand(values["name"])

    async def _stream(
        self, operation: Operation, address: dict[str, Any], scope: Scope, receive: Receive, send: Send
    ) -> None:
        body = await self._runtime.body(scope, receive).whole()

        def begin() -> Any:
            return self._runtime.lake.call(operation, requests.from_body(operation, address, body))

        await events.send(await self._runtime.upstream.run(begin), self._runtime.upstream, receive, send)

    def _decode_and_call(self, operation: Operation, address: dict[str, Any], body: bytes) -> Reply:
        # Decoding and encoding large bodies is work too, so both happen off the event loop.
        return self._call(operation, requests.from_body(operation, address, body))

    def _call(self, operation: Operation, values: dict[str, Any]) -> Reply:
        return answers.answer(operation, self._runtime.lake.call(operation, values))

    async def _raw(self, operation: Operation, values: dict[str, Any], scope: Scope, receive: Receive) -> Reply:
        runtime = self._runtime
        if "content_type" in operations.request_type(operation).__struct_fields__:
            values["content_type"] = requests.header(scope, b"content-type")
        if not _takes_path(operation):
            values[operation.raw] = await runtime.body(scope, receive).whole()
            return await runtime.calls.run(functools.partial(self._call, operation, values))
        path = await runtime.spooled(scope, receive)
        values[operation.raw] = path
        try:
            return await runtime.calls.run(functools.partial(self._call, operation, values))
        finally:
            path.unlink(missing_ok=True)


async def _while_awaited(pool: Pool, work: Callable[[], Reply], receive: Receive) -> Reply:
    """Run a call, and tell it when its caller has hung up."""
    gone = threading.Event()
    with progress.awaited(gone):
        answer = asyncio.ensure_future(pool.run(work))
    leaving = asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            gone.set()
        return await answer
    finally:
        leaving.cancel()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


@functools.cache
def _takes_path(operation: Operation) -> bool:
    return Path in get_args(get_type_hints(operations.function(operation))[operation.raw])


class Search:
    """`matrix.search` without detours: decode, call, encode; or the answer that was given to the same request before.

    What stands around calls (audit, ops) sees a repeated answer as it saw the first.
    """

    def __init__(self, runtime: Runtime, operation: Operation) -> None:
        self._runtime = runtime
        self._operation = operation
        self._decode = msgspec.json.Decoder(operations.request_type(operation)).decode
        self._kept = KeptAnswers(self._version, runtime.kept_answers)
        runtime.lake.rooms.on_change.append(self._kept.forget)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the vector of a text not seen before is made in a thread first."""
        require_verb(scope, "POST")
        runtime = self._runtime
        if scope["query_string"]:
            requests.from_address(self._operation, scope)
        body = await runtime.body(scope, receive).whole()
        with deferred() as positions:
            reply = self._again(body)
        if reply is None:
            values = self._arguments(body)
            matrix = runtime.lake.rooms.matrix
            # Its span is opened before, so that what another service does for the vector belongs below it.
            with runtime.lake.rooms.traces.ahead(self._operation):
                if not matrix.ready(values["query_text"]):
                    await runtime.embedding.run(functools.partial(matrix.prepare, values["query_text"]))
                if any(values[name] for name in _SLOW_WITH[self._operation.name]):
                    # Waits for a model, and another time that may say something else: neither here nor kept.
                    await (await runtime.upstream.run(functools.partial(self._apart, values))).send(send)
                    return
                if self._is_at_hand(values):
                    with deferred() as positions:
                        reply = self._first(body, values)
                else:
                    # While a server or a model is asked, or files are opened, everybody else is answered.
                    reply = await runtime.calls.run(functools.partial(self._first, body, values))
        await runtime.committed(positions)
        await reply.send(send)

    def _first(self, body: bytes, values: dict[str, Any]) -> Reply:
        rooms = self._runtime.lake.rooms
        version = self._version(values)
        # What the search itself says is kept, not what was made of it outside: that is done anew each time.
        found: list[SearchAnswer] = []

        def work() -> SearchAnswer:
            found.append(rooms.matrix.search(**values))
            return found[0]

        answer = rooms.watched(self._operation, values, work)
        kept = self._kept.put(body, values, version, found[0]) if found else None
        return self._reply(kept, answer, unchanged=bool(found) and answer is found[0])

    def _apart(self, values: dict[str, Any]) -> Reply:
        return answers.answer(self._operation, self._runtime.lake.call(self._operation, values))

    def _again(self, body: bytes) -> Reply | None:
        kept = self._kept.get(body)
        if kept is None:
            return None
        answer = kept.again()
        seen = self._runtime.lake.rooms.watched(self._operation, kept.values, lambda: answer)
        return self._reply(kept, seen, unchanged=seen is answer)

    @staticmethod
    def _reply(kept: Kept | None, answer: SearchAnswer, *, unchanged: bool) -> Reply:
        """Encode an answer; what was encoded to be kept serves unless whoever stands around has changed it."""
        if kept is not None and unchanged:
            return answers.reply(200, kept.encoded(answer.trace_id))
        return answers.json_reply(answer)

    def _is_at_hand(self, values: Mapping[str, Any]) -> bool:
        """Tell whether all that is searched lies here and is up to date, so that nothing is waited for."""
        rooms = self._runtime.lake.rooms
        if values["use_playbook"] and rooms.playbooks.is_behind(values["playbook"]):
            return False
        return all(map(rooms.vectors.is_here, values["corpora"]))

    def _version(self, values: Mapping[str, Any]) -> Hashable:
        namespace = values["playbook"] if values["use_playbook"] else None
        return self._runtime.lake.rooms.version(values["corpora"], namespace)

    def _arguments(self, body: bytes) -> dict[str, Any]:
        try:
            request = self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # The general way has the words for what is wrong.
            return operations.arguments(self._operation, requests.from_body(self._operation, {}, body))
        return {name: getattr(request, name) for name in request.__struct_fields__}


class Counters:
    """What this process has counted, for Prometheus."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the shape of ASGI
        """Answer one request."""
        require_verb(scope, "GET", "HEAD")
        body, media = await self._runtime.calls.run(self._runtime.lake.rooms.metrics.text)
        await answers.reply(200, body, media.encode("ascii")).send(send)


class OlderEmbed:
    """`embed.texts` in the wire form of the earlier editions, `{embeddings, dimensions}`."""

    def __init__(self, runtime: Runtime, operation: Operation) -> None:
        self._runtime = runtime
        self._operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        require_verb(scope, "POST")
        body = await self._runtime.body(scope, receive).whole()
        reply = await self._runtime.calls.run(functools.partial(self._work, body))
        await reply.send(send)

    def _work(self, body: bytes) -> Reply:
        values = requests.from_body(self._operation, {}, body)
        embedded = self._runtime.lake.call(self._operation, values)
        return answers.json_reply({"embeddings": embedded.vectors, "dimensions": embedded.dimension})
