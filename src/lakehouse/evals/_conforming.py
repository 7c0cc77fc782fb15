"""How this product answers conformance vectors: each kind by the part that does it, or by its route."""

from __future__ import annotations

import functools
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.errors import InvalidInput, Upstream
from lakehouse.staffing.parse import Parser

Output = dict[str, Any]
_TIMEOUT_S = 120.0


def _extract_json(given: Any) -> Output:
    from lakehouse.validate.extract import extract_json

    value = extract_json(given["text"])
    return {"matched": value is not None, "value": value}


def _session_row(given: Any) -> Output:
    from lakehouse.validate.session import Session, row

    return {"row": msgspec.json.decode(row(msgspec.convert(given, Session)))}


@functools.cache
def _parser() -> Parser:
    # Building its index takes longer than reading all lines with it.
    return Parser.shipped()


def _demand(given: Any) -> Output:
    """Read a line; neither the case of words nor the plural of a role is told apart."""
    found = _parser().parse(given["text"])
    place = found.location
    return {
        "role": (found.role or "").casefold().removesuffix("s"),
        "count": found.count,
        "city": ((place and place.city) or "").casefold(),
        "state": (place and place.state) or "",
    }


def _subject_audit(given: Any) -> Output:
    from lakehouse.evals import ledger_chains

    return ledger_chains.verdict(given)


def _materialized(given: Any) -> Output:
    """Make evidence of lines of one log, offsets as in a file that holds them."""
    from lakehouse.learn.materialize import records_of

    found: list[Any] = []
    rejected: list[int] = []
    offset = 0
    for text in given["lines"]:
        line = text.encode()
        place = {"file": given["file"], "part": 1, "line_offset": offset}
        try:
            found += msgspec.json.decode(msgspec.json.encode(list(records_of(given["log"], line, place))))
        except ValueError:
            rejected.append(offset)
        offset += len(line) + 1
    return {"evidence": found, "rejected": rejected}


# Kinds that are plain functions. A room with vectors of its own adds its kind here.
FUNCTIONS: dict[str, Callable[[Any], Output]] = {
    "demand": _demand,
    "extract_json": _extract_json,
    "materializer": _materialized,
    "session_log": _session_row,
    "subject-audit": _subject_audit,
}
# Kinds that are one request: verb and path.
REQUESTS: dict[str, tuple[str, str]] = {"embed": ("POST", "/v1/embed"), "validator": ("POST", "/v1/validate")}


class _Answers:
    """Answers cases; a server is reached at a URL, or started when the first case needs one."""

    def __init__(self, held: ExitStack, url: str = "") -> None:
        self._held = held
        self._url = url
        self._remote = bool(url)
        self._ready: set[str] = set()

    def __call__(self, kind: str, given: Any, setup: list[Any]) -> Output:
        if kind in REQUESTS:
            return self._asked(kind, given, setup)
        if kind not in FUNCTIONS:
            known = ", ".join(sorted({*FUNCTIONS, *REQUESTS}))
            raise InvalidInput(f"nothing here answers vectors of the kind {kind!r}; known: {known}", kind=kind)
        if self._remote:
            raise InvalidInput(f"vectors of the kind {kind!r} have no HTTP form; compare by --command", kind=kind)
        return FUNCTIONS[kind](given)

    def _asked(self, kind: str, given: Any, setup: list[Any]) -> Output:
        import httpx

        self._url = self._url or self._held.enter_context(_stack())
        with httpx.Client(base_url=self._url, timeout=_TIMEOUT_S, trust_env=False) as client:
            if kind not in self._ready:
                for step in setup:
                    _sent(client, step)
                self._ready.add(kind)
            verb, path = REQUESTS[kind]
            answer = client.request(verb, path, json=given)
        if answer.status_code >= 500:
            raise Upstream(f"the server failed with {answer.status_code}: {answer.text[:200]}")
        return {"status": answer.status_code, "body": answer.json()}


def _sent(client: Any, step: Any) -> None:
    text = step.get("text")
    answer = client.request(
        step["verb"],
        step["path"],
        json=step.get("json"),
        content=text.encode() if text is not None else None,
        headers={"Content-Type": step["content_type"]} if "content_type" in step else None,
    )
    if answer.status_code >= 400:
        raise Upstream(
            f"{step['verb']} {step['path']} of the setup failed with {answer.status_code}: {answer.text[:200]}"
        )


@contextmanager
def here() -> Iterator[_Answers]:
    """Answer by this process; a server of its own over a new lake is started when a kind needs one."""
    with ExitStack() as held:
        yield _Answers(held)


@contextmanager
def at(url: str) -> Iterator[_Answers]:
    """Answer by a running stack; what has no HTTP form fails."""
    with ExitStack() as held:
        yield _Answers(held, url.rstrip("/"))


@contextmanager
def _stack() -> Iterator[str]:
    from lakehouse import settings
    from lakehouse.app import connect
    from lakehouse.serve import ports
    from lakehouse.serve.run import Stack

    with tempfile.TemporaryDirectory() as scratch:
        config = settings.load(environ={}, overrides={"data": str(Path(scratch) / "lake")})
        with connect(config=config) as lake:
            stack = Stack(lake, config, ports.bind("127.0.0.1", 0))
            ready = threading.Event()
            running = threading.Thread(target=stack.run, kwargs={"ready": ready.set})
            running.start()
            try:
                ready.wait(_TIMEOUT_S)
                yield stack.url
            finally:
                stack.stop()
                running.join()
                stack.drain()
