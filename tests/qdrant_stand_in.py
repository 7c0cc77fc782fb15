"""A stand-in for a Qdrant server, where there is none: the routes that the product uses, over Qdrant's own engine.

Filters, payload indexes, scores and JSON are real; what a server adds (optimizers in the background, shards, copies) is
not here.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import qdrant_edge as edge

_KINDS = {"integer": "Integer", "float": "Float", "geo": "Geo"}


class QdrantStandIn:
    """Listens on a free port of loopback; a context manager.

    Args:
        folder: For its collections.
        key: Asked for in every request, empty for none.

    Attributes:
        late: Routes whose requests wait for `arrive`, whether or not their caller does, such as "points/delete".
        arrive: Lets them go on.
        waiting: How many there are.
        refused: Routes whose requests are answered with 400.
    """

    def __init__(self, folder: Path, key: str = "") -> None:
        self.folder = folder
        self.key = key
        self.shards: dict[str, Any] = {}
        self.indexed: dict[str, set[str]] = {}
        self.turn = threading.Lock()
        self.late: set[str] = set()
        self.arrive = threading.Event()
        self.waiting = 0
        self.refused: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Routes", (_Routes,), {"stand_in": self}))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for shard in self.shards.values():
            shard.close()

    def collections(self, method: str, name: str, body: Any) -> Any:
        if method == "GET":
            return {"collections": [{"name": each} for each in self.shards]}
        if method == "DELETE":
            shard = self.shards.pop(name, None)
            if shard is not None:
                shard.close()
                shutil.rmtree(self.folder / name)
            return shard is not None
        vectors = body["vectors"]
        hnsw = edge.HnswIndexConfig(body["hnsw_config"]["m"], body["hnsw_config"]["ef_construct"], 10)
        config = edge.EdgeConfig(
            vectors=edge.EdgeVectorParams(vectors["size"], getattr(edge.Distance, vectors["distance"])),
            hnsw_config=hnsw,
        )
        (self.folder / name).mkdir(parents=True)
        self.shards[name] = edge.EdgeShard.create(str(self.folder / name), config)
        self.indexed[name] = set()
        return True

    def index(self, name: str, body: Any) -> Any:
        schema = body["field_schema"]
        kind = _KINDS[schema if isinstance(schema, str) else schema["type"]]
        operation = edge.UpdateOperation.create_field_index(body["field_name"], getattr(edge.PayloadSchemaType, kind))
        self.indexed[name].add(body["field_name"])
        return self._update(name, operation)

    def upsert(self, name: str, body: Any) -> Any:
        points = [edge.Point(each["id"], each["vector"], each["payload"]) for each in body["points"]]
        return self._update(name, edge.UpdateOperation.upsert_points(points))

    def delete(self, name: str, body: Any) -> Any:
        if "filter" in body:
            return self._update(name, edge.UpdateOperation.delete_points_by_filter(_filter(body["filter"])))
        return self._update(name, edge.UpdateOperation.delete_points(body["points"]))

    def retrieve(self, name: str, body: Any) -> Any:
        found = self.shards[name].retrieve(body["ids"], _payload(body["with_payload"]), False)
        return [{"id": str(each.id), "payload": each.payload} for each in found]

    def scroll(self, name: str, body: Any) -> Any:
        request = edge.ScrollRequest(body.get("offset"), body["limit"], None, _payload(body["with_payload"]), False)
        found, more = self.shards[name].scroll(request)
        points = [{"id": str(each.id), "payload": each.payload} for each in found]
        return {"points": points, "next_page_offset": more and str(more)}

    def count(self, name: str, body: Any) -> Any:
        return {"count": self.shards[name].count(edge.CountRequest(exact=body["exact"]))}

    def query(self, name: str, body: Any) -> Any:
        request = edge.QueryRequest(
            limit=body["limit"],
            query=edge.Query.Nearest(body["query"]["nearest"]),
            with_payload=_payload(body["with_payload"]),
            filter=_filter(body["filter"]) if body.get("filter") else None,
            params=edge.SearchParams(hnsw_ef=body["params"]["hnsw_ef"], exact=body["params"]["exact"]),
        )
        found = self.shards[name].query(request)
        return {
            "points": [
                {"id": str(each.id), "version": 0, "score": each.score, "payload": each.payload} for each in found
            ]
        }

    def _update(self, name: str, operation: Any) -> Any:
        self.shards[name].update(operation)
        return {"operation_id": 0, "status": "completed"}


_ROUTES = {
    ("PUT", "index"): QdrantStandIn.index,
    ("PUT", "points"): QdrantStandIn.upsert,
    ("POST", "points"): QdrantStandIn.retrieve,
    ("POST", "points/delete"): QdrantStandIn.delete,
    ("POST", "points/scroll"): QdrantStandIn.scroll,
    ("POST", "points/count"): QdrantStandIn.count,
    ("POST", "points/query"): QdrantStandIn.query,
}


class _Routes(BaseHTTPRequestHandler):
    stand_in: QdrantStandIn
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        stand_in = self.stand_in
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "{}")
        name, _, route = urlsplit(self.path).path.removeprefix("/collections").lstrip("/").partition("/")
        if stand_in.key and self.headers.get("api-key") != stand_in.key:
            return self._send(401, {"status": {"error": "Invalid API key"}})
        if route in stand_in.refused:
            return self._send(400, {"status": {"error": "Bad request: strict mode"}})
        if route in stand_in.late:
            stand_in.waiting += 1
            stand_in.arrive.wait()
            stand_in.waiting -= 1
        with stand_in.turn:
            if route and name not in stand_in.shards:
                return self._send(404, {"status": {"error": f"Not found: Collection `{name}` doesn't exist!"}})
            if route:
                result = _ROUTES[self.command, route](stand_in, name, body)
            else:
                result = stand_in.collections(self.command, name, body)
        return self._send(200, {"result": result, "status": "ok", "time": 0.0})

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the handler's own names

    def _send(self, status: int, answer: Any) -> None:
        data = json.dumps(answer).encode()
        # Who asked may have hung up.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


def _payload(wanted: Any) -> Any:
    return edge.PayloadSelector.Include(wanted) if isinstance(wanted, list) else wanted


def _filter(given: dict[str, Any]) -> Any:
    return edge.Filter(**{group: [_condition(each) for each in given[group]] for group in given if given[group]})


def _condition(given: dict[str, Any]) -> Any:
    given = {name: value for name, value in given.items() if value is not None}
    if "has_id" in given:
        return edge.HasIdCondition(set(given["has_id"]))
    if "is_empty" in given:
        return edge.IsEmptyCondition(given["is_empty"]["key"])
    if "match" in given:
        return edge.FieldCondition(given["key"], match=edge.MatchAny(given["match"]["any"]))
    if "range" in given:
        bounds = given["range"]
        return edge.FieldCondition(
            given["key"], range=edge.RangeFloat(**{name: bounds.get(name) for name in ("gte", "gt", "lte", "lt")})
        )
    if "geo_radius" in given:
        circle = given["geo_radius"]
        center = edge.GeoPoint(lon=circle["center"]["lon"], lat=circle["center"]["lat"])
        return edge.FieldCondition(given["key"], geo_radius=edge.GeoRadius(center, circle["radius"]))
    return _filter(given)
