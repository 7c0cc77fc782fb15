"""DuckDB over files in a bucket: its `httpfs` extension, loaded from an installed package, never fetched."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from lakehouse.errors import NotInstalled
from lakehouse.lake._relation import text

if TYPE_CHECKING:
    from lakehouse.lake._iceberg import Version
    from lakehouse.settings import Storage

_PACKAGE = "duckdb_extension_httpfs"


def reach(connection: duckdb.DuckDBPyConnection, versions: Iterable[Version], *, beside: Storage | None = None) -> None:
    """Let a connection open the files of some versions, and others beside them; nothing to do for local ones.

    Raises:
        NotInstalled: They lie in a bucket and the extension is not installed.
    """
    # A catalog has one warehouse, so one of its versions speaks for all.
    # All that lies in buckets is reached in the same way.
    storage = next((version.s3 for version in versions if version.s3 is not None), beside)
    if storage is None:
        return
    connection.execute(f"LOAD {text(str(_extension()))}")
    host = storage.endpoint.partition("://")[2] or f"s3.{storage.region}.amazonaws.com"
    options = {
        "KEY_ID": os.environ.get(storage.access_key_env, ""),
        "SECRET": os.environ.get(storage.secret_key_env, ""),
        "REGION": storage.region,
        "ENDPOINT": host.rstrip("/"),
        "URL_STYLE": "path" if storage.endpoint else "vhost",
    }
    listed = ", ".join(f"{name} {text(value)}" for name, value in options.items())
    secure = "false" if storage.endpoint.startswith("http://") else "true"
    connection.execute(f"CREATE SECRET warehouse (TYPE s3, {listed}, USE_SSL {secure})")


def _extension() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise NotInstalled(
            f"tables in S3 are read with DuckDB's httpfs; run: pip install 'lakehouse[s3]' (duckdb-extension-httpfs"
            f"=={duckdb.__version__})"
        )
    return Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
