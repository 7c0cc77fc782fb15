"""A DuckDB instance over one state of the catalog, locked before any statement reaches it.

Configuration and views are set once and never change, so nothing a statement does can widen what it may open:
the exact data files of the datasets, no other file, no network, no extension, no setting. When the catalog
changes, the next statement gets a new instance; the old one lives until its last statement is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from lakehouse.lake._relation import log_relation, quoted, relation, text, told_apart
from lakehouse.lake._s3 import reach

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.lake._iceberg import Version
    from lakehouse.lake.query import LogTable
    from lakehouse.lake.shipping import Beyond


class Session:
    """Datasets and logs as read-only views.

    Attributes:
        versions: Each dataset it shows, by name.
        snapshots: Their snapshots, by name.
        logs: Each log it shows with the files that it had.
        beyond: What it shows of them beside these.
        names: Of all tables.
        files: Paths of all their data files.
        broken: Those whose files cannot be read; the others work.
        uses: Statements running in it.
    """

    def __init__(
        self,
        versions: Mapping[str, Version],
        query: settings.Query,
        logs: Sequence[tuple[LogTable, list[Path]]] = (),
        beyond: Beyond | None = None,
    ) -> None:
        self.versions = dict(versions)
        self.snapshots = {name: version.snapshot_id for name, version in versions.items()}
        self.logs = list(logs)
        self.beyond = beyond
        others = beyond.tables if beyond else {}
        elsewhere = [path for tables in others.values() for rows in tables or () for path in rows.files]
        self.names = {*self.snapshots, *(table.name for table, _ in logs)}
        self.files = [path for version in versions.values() for path in version.files]
        self.files += [str(path) for _, paths in logs for path in paths] + elsewhere
        self.broken: set[str] = set()
        self.uses = 0
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": query.threads,
                "memory_limit": f"{query.memory_limit_bytes}B",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
                "python_enable_replacements": False,
            },
        )
        reach(self._connection, versions.values(), beside=beyond.storage if beyond and elsewhere else None)
        for version in versions.values():
            body = relation(version.fields, version.files, alike=version.alike)
            try:
                self._connection.execute(f"CREATE VIEW {quoted(version.name)} AS {body}")
            except duckdb.IOException:
                self.broken.add(version.name)
        for table, paths_of_log in logs:
            body = log_relation(table.columns, [str(path) for path in paths_of_log])
            self.broken.discard(table.name)
            if beyond and table.name in others:
                theirs = others[table.name]
                if theirs is None:
                    self.broken.add(table.name)
                by_replica = {rows.replica: log_relation(table.columns, rows.files) for rows in theirs or ()}
                body = told_apart({beyond.own: body, **by_replica})
            self._connection.execute(f"CREATE OR REPLACE VIEW {quoted(table.name)} AS {body}")
        paths = ", ".join(text(path) for path in self.files)
        for setting in (
            "TimeZone = 'UTC'",
            # Nothing spills to disk: the memory limit is a limit.
            "temp_directory = ''",
            f"allowed_paths = [{paths}]",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self._connection.execute(f"SET {setting}")

    @property
    def whole(self) -> bool:
        """True when every local file is still there."""
        return all(path.startswith("s3://") or Path(path).exists() for path in self.files)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own for one statement."""
        return self._connection.cursor()

    def close(self) -> None:
        """Close the instance."""
        self._connection.close()
