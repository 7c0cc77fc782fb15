"""The files a page needs beside itself: a stylesheet, two scripts, an icon. Held in memory, cached by browsers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "static"
PATH = "/console/static"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}
_YEAR = "public, max-age=31536000, immutable"


class Asset(msgspec.Struct, frozen=True):
    """One file. `version` is derived from its bytes: an address that carries it never changes its content."""

    body: bytes
    media: str
    version: str


class Assets:
    """All files of a folder, read once.

    Args:
        headers: Sent with every answer.
        folder: Where they lie; files of other types than a page uses are left out.
    """

    def __init__(self, headers: Mapping[str, str], folder: Path = FOLDER) -> None:
        self._headers = dict(headers)
        self._assets = {path.name: _read(path) for path in sorted(folder.iterdir()) if path.suffix in _TYPES}

    def address(self, name: str) -> str:
        """Return the address of a file, with its version."""
        return f"{PATH}/{name}?v={self._assets[name].version}"

    def route(self) -> Route:
        """Return the route that serves the files."""
        return Route(PATH + "/{name}", self._serve, methods=["GET"])

    async def _serve(self, request: Request) -> Response:
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return PlainTextResponse("no such file", 404, self._headers)
        tag = f'"{asset.version}"'
        # An address without the right version may mean another content tomorrow.
        current = request.query_params.get("v") == asset.version
        headers = {**self._headers, "ETag": tag, "Cache-Control": _YEAR if current else "no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(asset.body, headers=headers, media_type=asset.media)


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:16])
