"""`doctor`: is everything there that the product needs, and what to do when it is not."""

from __future__ import annotations

import argparse
import functools
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from lakehouse.cli import session, showing
from lakehouse.cli.tree import Commands
from lakehouse.errors import Conflict, IntegrityError, LakehouseError, NotInstalled, Unavailable

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.settings import Embed, Settings

_OLDEST_PYTHON = (3, 11)
_PATIENCE_MS = 10_000
_ENOUGH_BYTES = 2 * 1024**3
_DEMAND = "Need 3 Forklift Operators in Detroit MI"
_SAMPLE = "h2b_demands_sample.csv.gz"
_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)(?:==(?P<version>[^;, ]+))?")


class Check(msgspec.Struct, frozen=True):
    """One thing looked at. `note` is worth knowing, only `wrong` makes the command fail."""

    name: str
    state: Literal["ok", "note", "wrong"]
    found: str


class Report(msgspec.Struct, frozen=True):
    """Every check, in order; `ok` when nothing is wrong."""

    ok: bool
    checks: list[Check]


def add(commands: Commands) -> None:
    """Add the command of this module."""
    doctor = commands.command(
        "doctor",
        _doctor,
        "check that everything needed is there",
        more="Looks at Python, packages, model weights, shipped data, the lake, servers that\n"
        "the settings name, disk and ports; changes nothing.\n"
        "The exit code is 1 when something is wrong.",
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON document")


def _doctor(arguments: argparse.Namespace) -> int:
    checks = list(examine(arguments))
    report = Report(ok=all(check.state != "wrong" for check in checks), checks=checks)
    if arguments.json:
        showing.json_document(report)
    else:
        columns = [showing.Column("check"), showing.Column("state"), showing.Column("found", wraps=True)]
        showing.table(columns, [[check.name, check.state, check.found] for check in checks])
        wrong = sum(check.state == "wrong" for check in checks)
        print("Everything needed is there." if report.ok else f"{wrong} of {len(checks)} checks failed.")
    return 0 if report.ok else 1


def examine(arguments: argparse.Namespace) -> Iterator[Check]:
    """Yield every check, each made when it is asked for."""
    yield _python()
    yield _checked("packages", _packages)
    try:
        config = session.settings_of(arguments)
    except LakehouseError as error:
        yield Check("settings", "wrong", error.message)
        return
    yield Check("settings", "ok", f"data in {config.data}")
    yield _checked("model", lambda: _model(config))
    yield _checked("vocabularies", _vocabularies)
    yield _checked("sample data", _sample)
    if session.is_remote(arguments):
        yield _checked("stack", lambda: _stack(arguments))
        return
    folder = Path(session.where(arguments) or config.data).absolute()
    yield _lake(folder)
    yield from _ledger(config, folder)
    yield from _servers(config, folder)
    yield _disk(folder)
    yield _port(config)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= _OLDEST_PYTHON:
        return Check("python", "ok", version)
    return Check("python", "wrong", f"{version}; install Python 3.11 or newer")


def _checked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", look())
    except LakehouseError as error:
        return Check(name, "wrong", error.message)
    except (ImportError, OSError) as error:
        return Check(name, "wrong", f"{type(error).__name__}: {error}; run `make install` again")


def _packages() -> str:
    from importlib import metadata

    try:
        required = metadata.requires("lakehouse") or []
    except metadata.PackageNotFoundError:
        raise NotInstalled("lakehouse is run from its source and not installed; run `make install`") from None
    lacking = []
    for line in required:
        found = _REQUIREMENT.match(line)
        if found and "extra ==" not in line:
            lacking += _lacking(found["name"], found["version"])
    if lacking:
        raise NotInstalled(f"{'; '.join(lacking)}; run `make install`")
    return f"{len(required)} installed"


def _lacking(name: str, wanted: str | None) -> list[str]:
    from importlib import metadata

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return [f"{name} is missing"]
    return [f"{name} is {version}, not {wanted}"] if wanted and version != wanted else []


def _model(config: Settings) -> str:
    from tempfile import TemporaryDirectory

    import numpy as np

    # Looking must not fetch anything: the weights count only when they are here.
    here = msgspec.structs.replace(config.embed, hub_url="")
    served, name = _embedded(here, Path(config.data))
    with TemporaryDirectory() as scratch:
        try:
            # An empty cache: the model is built anew, from weights whose hash is checked.
            fresh, _ = _embedded(msgspec.structs.replace(here, cache_path=scratch), Path(scratch))
        except NotInstalled:
            return f"{name}, from the cache of an earlier download"
    if not np.allclose(served, fresh, atol=1e-4):
        raise IntegrityError("the model in the cache does not embed as its weights do; delete the folder of the cache")
    return f"{name}, {len(served)} numbers a text, weights checked"


def _embedded(config: Embed, folder: Path) -> tuple[np.ndarray, str]:
    """Return the vector of a known text, and what made it."""
    from lakehouse.embed.service import open_embedder

    embedder = open_embedder(config.model, config, folder)
    try:
        return embedder.embed([_DEMAND])[0], embedder.fingerprint
    finally:
        embedder.close()


def _vocabularies() -> str:
    from lakehouse.staffing.parse import Parser

    demand = Parser.shipped().parse(_DEMAND)
    return f"roles, places and certifications read; {_DEMAND!r} asks for {demand.count} of {demand.role_code}"


def _sample() -> str:
    from lakehouse.staffing.shipped import shipped

    return str(shipped(_SAMPLE).name)


def _lake(folder: Path) -> Check:
    from lakehouse.state.folder import open_folder

    if not folder.exists():
        return Check("lake", "note", f"{folder} does not exist yet; the first `lakehouse ingest` makes it")
    try:
        with open_folder(folder) as lake:
            return Check("lake", "ok", f"{folder}, format {lake.format.format}")
    except Conflict as error:
        return Check("lake", "note", error.message)
    except LakehouseError as error:
        return Check("lake", "wrong", error.message)


def _ledger(config: Settings, folder: Path) -> Iterator[Check]:
    """Look at the keys of a lake that has a ledger; whether its rows hold takes `lakehouse subject verify`."""
    from lakehouse.ledger import keys, ledger

    held = ledger.folder_of_keys(config.ledger, folder)
    if config.ledger.enabled and (folder / ledger.FOLDER).exists():
        yield _checked("ledger keys", lambda: f"{keys.open_keys(held, make=False).origin} in {held}")


def _servers(config: Settings, folder: Path) -> Iterator[Check]:
    """Look at each server that the settings name, for some ten seconds at most."""
    from lakehouse.lake import checks
    from lakehouse.state import database

    storage = config.storage
    if config.state.url:
        yield _checked("state", lambda: database.look(config.state.url, setting="state.url"))
    if config.catalog.uri:
        yield _checked("catalog", lambda: checks.catalog(config.catalog, storage, folder))
    if config.vectors.engine != "local":
        yield _checked("vectors", lambda: _vectors(config))
    places = {
        "storage": ("storage.bucket", f"s3://{storage.bucket}/{storage.prefix}" if storage.backend == "s3" else ""),
        "warehouse": ("catalog.warehouse", config.catalog.warehouse),
        "logs": ("storage.logs", storage.logs),
    }
    for name, (setting, place) in places.items():
        if place.startswith("s3://"):
            yield _checked(name, functools.partial(checks.bucket, storage, place, setting))


def _vectors(config: Settings) -> str:
    from lakehouse.vectors import _server

    server = _server.connect(
        msgspec.structs.replace(config.vectors, timeout_ms=min(config.vectors.timeout_ms, _PATIENCE_MS))
    )
    try:
        return server.look()
    finally:
        server.close()


def _disk(folder: Path) -> Check:
    standing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(standing).free
    text = f"{free / 1024**3:.1f} GiB free at {standing}"
    if free >= _ENOUGH_BYTES:
        return Check("disk", "ok", text)
    return Check("disk", "wrong", f"{text}; free some, {_ENOUGH_BYTES // 1024**3} GiB is the least to work with")


def _port(config: Settings) -> Check:
    from lakehouse.serve import ports

    host, port = config.server.host, config.server.port
    try:
        ports.bind(host, port).close()
    except Unavailable as error:
        if _answers(f"http://{host}:{port}"):
            return Check("port", "note", f"a lakehouse already serves http://{host}:{port}")
        return Check("port", "wrong", error.message)
    except LakehouseError as error:
        return Check("port", "wrong", error.message)
    return Check("port", "ok", f"{port} on {host} is free")


def _stack(arguments: argparse.Namespace) -> str:
    url = session.where(arguments) or ""
    if not _answers(url):
        raise Unavailable(f"no lakehouse answers at {url}; start one with `lakehouse up`")
    with session.open_lake(arguments) as lake:
        return f"{url} serves {len(lake.catalog.datasets().datasets)} datasets"


def _answers(url: str) -> bool:
    """Tell whether a lakehouse, and not somebody else, answers at a URL."""
    import httpx

    try:
        health = httpx.get(f"{url.rstrip('/')}/health", timeout=2.0).json()
    except (httpx.HTTPError, ValueError):
        return False
    return isinstance(health, dict) and health.get("status") == "ok" and "service" in health
