"""The HTTP face: every operation of the table under its path, over one `Lakehouse`."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Sequence
from urllib.parse import unquote

from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from lakehouse import operations
from lakehouse.app import Lakehouse
from lakehouse.errors import InvalidInput, LakehouseError, NotFound
from lakehouse.operations import Operation
from lakehouse.serve import answers, openapi, services
from lakehouse.serve.doors import Doors
from lakehouse.serve.endpoints import Counters, Fixed, OlderEmbed, Resource, Runtime, Search, health
from lakehouse.serve.guard import Guard, is_loopback
from lakehouse.settings import Settings

_PREFIX = "/v1"
_WARMING = "warehouse worker"

_log = logging.getLogger("lakehouse.serve")


class Api:
    """An ASGI application over an embedded lake.

    Calls that hold the interpreter anyway run on the event loop, all others in a bounded pool of threads.

    Args:
        lake: Embedded in this process.
        config: Limits are read from `config.server`; uploads wait below `config.data`.
        doors: Who may come in; by default everybody, as the local operator.
        only: Services to serve, by name; None serves all of them, as the gateway. A service served alone
            answers without `/v1` as well as with it.
        pages: Further routes, such as the console's, looked at first.
    """

    def __init__(
        self,
        lake: Lakehouse,
        config: Settings,
        *,
        doors: Doors | None = None,
        only: frozenset[str] | None = None,
        pages: Sequence[BaseRoute] = (),
    ) -> None:
        self.runtime = Runtime(lake, config)
        served = operations.OPERATIONS if only is None else services.operations_of(only)
        prefixes = (_PREFIX,) if only is None else ("", _PREFIX)
        name = services.GATEWAY if only is None else "+".join(sorted(services.find(word).name for word in only))
        routes = [
            *pages,
            Route("/health", health(name), methods=None),
            Route("/metrics", Counters(self.runtime), methods=None),
            *_descriptions(served, prefixes),
            *_health_routes(served, prefixes),
            *_older_routes(self.runtime, served),
        ]
        table = OperationTable(self.runtime, served, prefixes)
        router = Router(routes=routes, redirect_slashes=False, default=table)
        searches = _search_endpoints(self.runtime, served, prefixes)
        self._searched = bool(searches)
        known = _KnownFirst(router, searches, table.whole)
        self._app = Guard(known, doors=doors, local=is_loopback(config.server.host), fresh=self.runtime.fresh)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    async def warm(self) -> None:
        """Load model and vocabularies in the background, so that the first search need not wait for them."""
        if self._searched:
            try:
                await self.runtime.embedding.run(functools.partial(self.runtime.lake.rooms.matrix.prepare, _WARMING))
            except LakehouseError as error:
                _log.warning("searches will fail: %s", error.message)


class _KnownFirst:
    """Sends searches, and calls whose path is a whole one, around the router: its patterns cost as much as a call."""

    def __init__(self, router: ASGIApp, searches: dict[str, Search], whole: dict[bytes, Resource]) -> None:
        self._router = router
        self._searches = searches
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        search = self._searches.get(scope["path"])
        if search is not None:
            await search(scope, receive, send)
            return
        resource = self._whole.get(scope["raw_path"])
        # Another verb may be meant for a pattern that fits the same path.
        known = resource if resource is not None and resource.answers_to(scope["method"]) else self._router
        await known(scope, receive, send)


class OperationTable:
    """Finds the resource of a path and a verb.

    Paths are matched as they were sent, so that a quoted `/` stays inside its name. Where several patterns
    match (`playbooks/{id}` and `playbooks/handover`), the one that answers to the verb is meant.

    Attributes:
        whole: Resources by path, of the paths without a name in them.
    """

    def __init__(self, runtime: Runtime, served: Sequence[Operation], prefixes: Sequence[str]) -> None:
        by_path: dict[str, list[Operation]] = {}
        for operation in served:
            by_path.setdefault(operation.path, []).append(operation)
        self._resources = [
            (_pattern(_at(alike[0], prefix)), Resource(runtime, alike))
            for prefix in prefixes
            for alike in by_path.values()
        ]
        self.whole = {
            pattern.pattern.encode(): resource for pattern, resource in self._resources if not pattern.groupindex
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = scope["raw_path"].decode("ascii")
        found = [(match, resource) for pattern, resource in self._resources if (match := pattern.fullmatch(path))]
        if not found:
            raise NotFound(
                f"nothing is served at {scope['path']}; GET /openapi.json lists every path", path=scope["path"]
            )
        match, resource = next((pair for pair in found if pair[1].answers_to(scope["method"])), found[0])
        scope["path_params"] = {name: _unquoted(name, text) for name, text in match.groupdict().items()}
        await resource(scope, receive, send)


def _pattern(path: str) -> re.Pattern[str]:
    expression = re.sub(r"{(\w+)(:path)?}", lambda at: f"(?P<{at[1]}>{'.*' if at[2] else '[^/]*'})", path)
    return re.compile(expression)


def _unquoted(name: str, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput(f"{name!r} in the path is not UTF-8", field=name) from None


def _at(operation: Operation, prefix: str) -> str:
    return prefix + operation.path.removeprefix(_PREFIX)


def _search_endpoints(runtime: Runtime, served: Sequence[Operation], prefixes: Sequence[str]) -> dict[str, Search]:
    return {
        _at(operation, prefix): Search(runtime, operation)
        for operation in served
        for prefix in prefixes
        if operation.name == "matrix.search"
    }


def _health_routes(served: Sequence[Operation], prefixes: Sequence[str]) -> list[Route]:
    rooms = {operation.service for operation in served}
    return [
        Route(f"{prefix}/{word}/health", health(service.name), methods=None)
        for prefix in prefixes
        for word, service in services.health_names().items()
        if rooms & set(service.rooms)
    ]


def _descriptions(served: Sequence[Operation], prefixes: Sequence[str]) -> list[Route]:
    description = openapi.describe(served, server_prefix=prefixes[0])
    return [Route("/openapi.json", Fixed(answers.json_reply(description)), methods=None)]


def _older_routes(runtime: Runtime, served: Sequence[Operation]) -> list[Route]:
    return [
        Route("/ai/embed", OlderEmbed(runtime, operation), methods=None)
        for operation in served
        if operation.name == "embed.texts"
    ]
