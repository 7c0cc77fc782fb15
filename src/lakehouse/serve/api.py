"""The HTTP face: every operation of the table under its path, over one `Lakehouse`."""

from __future__ import annotations

import functools
import itertools
import logging
import operator
import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from lakehouse import operations
from lakehouse.app import Lakehouse
from lakehouse.errors import InvalidInput, LakehouseError, NotFound
from lakehouse.operations import Operation
from lakehouse.serve import services
from lakehouse.serve.doors import Doors
from lakehouse.serve.endpoints import Counters, Described, OlderEmbed, Resource, Runtime, Search, health
from lakehouse.serve.guard import Guard, is_loopback
from lakehouse.serve.pool import Pool
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
        warm: Makes ready what these need.
    """

    def __init__(
        self,
        lake: Lakehouse,
        config: Settings,
        *,
        doors: Doors | None = None,
        only: frozenset[str] | None = None,
        pages: Sequence[BaseRoute] = (),
        warm: Callable[[], None] = lambda: None,
    ) -> None:
        self._warm_pages = warm
        self.runtime = Runtime(lake, config)
        served = operations.OPERATIONS if only is None else services.operations_of(only)
        prefixes = (_PREFIX,) if only is None else ("", _PREFIX)
        name = services.GATEWAY if only is None else "+".join(sorted(services.find(word).name for word in only))
        routes = [
            *pages,
            *(Route(path, health(name), methods=None) for path in _own_health(only)),
            Route("/metrics", Counters(self.runtime), methods=None),
            Route("/openapi.json", Described(self.runtime, served, prefixes[0]), methods=None),
            *_health_routes(served, prefixes),
            *_older_routes(self.runtime, served),
        ]
        table = OperationTable(self.runtime, served, prefixes)
        router = Router(routes=routes, redirect_slashes=False, default=table)
        searches = _search_endpoints(self.runtime, served, prefixes)
        self._searched = bool(searches)
        known = _KnownFirst(routes, router, searches, table)
        self._app = Guard(known, doors=doors, local=is_loopback(config.server.host), fresh=self.runtime.fresh)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    async def warm(self) -> None:
        """Load indexes, model, vocabularies and templates in the background, so that nobody has to wait for them."""
        runtime = self.runtime
        rooms = runtime.lake.rooms
        await _loaded("indexes", runtime.calls, rooms.vectors.local_items)
        if self._searched:
            await _loaded("searches", runtime.embedding, functools.partial(rooms.matrix.prepare, _WARMING))
        if rooms.settings.catalog.uri:
            # A server: nobody would hear before the first who asks for a dataset that it is not there.
            await _loaded("datasets", runtime.calls, rooms.catalog.datasets)
        await _loaded("pages", runtime.calls, self._warm_pages)


async def _loaded(what: str, pool: Pool, work: Callable[[], object]) -> None:
    """Load ahead what some requests need; without it they have to load it, or fail, themselves."""
    try:
        await pool.run(work)
    except LakehouseError as error:
        _log.warning("%s may fail: %s", what, error.message)


class _KnownFirst:
    """Sends what belongs to an operation around the router: all its patterns in a row cost as much as a call."""

    def __init__(
        self, routes: Sequence[BaseRoute], router: ASGIApp, searches: dict[str, Search], table: OperationTable
    ) -> None:
        self._router = router
        self._searches = searches
        self._table = table
        self._routed = frozenset(route.path for route in routes if isinstance(route, Route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        search = self._searches.get(path)
        if search is not None:
            await search(scope, receive, send)
            return
        resource = self._table.whole.get(scope["raw_path"])
        if resource is not None and resource.answers_to(scope["method"]):
            # Another verb may be meant for a pattern that fits the same path.
            await resource(scope, receive, send)
        elif path.startswith(f"{_PREFIX}/") and path not in self._routed:
            await self._table(scope, receive, send)
        else:
            await self._router(scope, receive, send)


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
        self.whole: dict[bytes, Resource] = {}
        # By what stands before the first name in a path, with the place in the table; all of a path without one.
        self._beginning: dict[str, list[tuple[int, re.Pattern[str], Resource]]] = {}
        paths = [(_at(alike[0], prefix), alike) for prefix in prefixes for alike in by_path.values()]
        for place, (path, alike) in enumerate(paths):
            beginning, name, _ = path.partition("{")
            resource = Resource(runtime, alike)
            self._beginning.setdefault(beginning, []).append((place, _pattern(path), resource))
            if not name:
                self.whole[path.encode()] = resource
        self._deepest = max(beginning.count("/") for beginning in self._beginning)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        found = self._found(scope["raw_path"].decode("ascii"))
        if not found:
            raise NotFound(
                f"nothing is served at {scope['path']}; GET /openapi.json lists every path", path=scope["path"]
            )
        match, resource = next((pair for pair in found if pair[1].answers_to(scope["method"])), found[0])
        scope["path_params"] = {name: _unquoted(name, text) for name, text in match.groupdict().items()}
        await resource(scope, receive, send)

    def _found(self, path: str) -> list[tuple[re.Match[str], Resource]]:
        """Return what fits a path, in the order of the table."""
        slashes = itertools.islice(re.finditer("/", path), self._deepest)
        beginnings = [path, *(path[: slash.end()] for slash in slashes)]
        near = [each for beginning in beginnings for each in self._beginning.get(beginning, ())]
        near.sort(key=operator.itemgetter(0))
        return [(match, resource) for _, pattern, resource in near if (match := pattern.fullmatch(path))]


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


def _own_health(only: frozenset[str] | None) -> tuple[str, ...]:
    return ("/health",) if only is not None else ("/health", f"{_PREFIX}/{services.GATEWAY}/health")


def _health_routes(served: Sequence[Operation], prefixes: Sequence[str]) -> list[Route]:
    rooms = {operation.service for operation in served}
    return [
        Route(f"{prefix}/{word}/health", health(service.name), methods=None)
        for prefix in prefixes
        for word, service in services.health_names().items()
        if rooms & set(service.rooms)
    ]


def _older_routes(runtime: Runtime, served: Sequence[Operation]) -> list[Route]:
    return [
        Route("/ai/embed", OlderEmbed(runtime, operation), methods=None)
        for operation in served
        if operation.name == "embed.texts"
    ]
