"""Copies of a lake: `backup`, `restore`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.cli import showing
from lakehouse.cli.progress import bars, told
from lakehouse.cli.session import folder_of, settings_of
from lakehouse.cli.tree import Commands
from lakehouse.errors import IntegrityError

if TYPE_CHECKING:
    from lakehouse.settings import Settings
    from lakehouse.state.backup import Manifest

_MB = 1_000_000


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What `backup` and `restore` report; `checked` says what was looked at in the restored lake."""

    backup: str
    lake: str
    made_at: str
    files: int
    bytes: int
    quiet: bool
    frozen_ms: float
    elsewhere: list[str]
    checked: list[str] = []


def add(commands: Commands) -> None:
    """Add the commands of this module."""
    backup = commands.command(
        "backup",
        _backup,
        "copy a lake, also while it serves",
        more="Changes wait for the moment in which databases are copied and files get a second name; searches do\n"
        "not. Everything acknowledged before is in the copy. Buckets and databases outside of the folder are\n"
        "not; they are named.",
    )
    backup.add_argument("target", metavar="DEST", help="folder for the backup; does not exist or is empty")
    backup.add_argument(
        "--with-cache", action="store_true", help="take the cache of embeddings along, which could be made again"
    )
    backup.add_argument("--json", action="store_true", help="print one JSON document")
    restore = commands.command(
        "restore",
        _restore,
        "put a backup into a new folder; every file's hash is checked",
        more="The folder is named with --lake and appears whole or not at all.",
    )
    restore.add_argument("source", metavar="SRC", help="folder with the backup")
    restore.add_argument(
        "--verify",
        action="store_true",
        help="open what was restored and check databases, datasets, indexes and corpora",
    )
    restore.add_argument("--dry-run", action="store_true", help="restore into a temporary folder and remove it again")
    restore.add_argument("--json", action="store_true", help="print one JSON document")


def _backup(arguments: argparse.Namespace) -> int:
    from lakehouse.state import backup

    lake = Path(folder_of(arguments))
    with bars("backup"):
        manifest = backup.make(
            lake,
            Path(arguments.target),
            with_cache=arguments.with_cache,
            elsewhere=_elsewhere(settings_of(arguments)),
            progress=told("copying bytes"),
        )
    _report(arguments, manifest, backup_folder=arguments.target, lake=str(lake))
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from tempfile import TemporaryDirectory

    from lakehouse.state import backup

    source = Path(arguments.source)
    if arguments.dry_run:
        with TemporaryDirectory(prefix="lakehouse-restore-") as scratch:
            lake = Path(scratch) / "lake"
            manifest = backup.restore(source, lake)
            checked = list(examine(lake, settings_of(arguments))) if arguments.verify else []
    else:
        lake = Path(folder_of(arguments))
        with bars("restore"):
            manifest = backup.restore(source, lake, progress=told("copying bytes"))
        checked = list(examine(lake, settings_of(arguments))) if arguments.verify else []
    _report(arguments, manifest, backup_folder=arguments.source, lake=str(lake), checked=checked)
    return 0


def examine(folder: Path, config: Settings) -> Iterator[str]:
    """Open a restored lake, look at everything in it, and say what was found whole.

    Args:
        folder: The lake; nobody else has it open.
        config: Settings to open it with.

    Raises:
        IntegrityError: Something is not what it must be; the message names it.
    """
    from lakehouse.app import connect
    from lakehouse.state import backup

    yield f"{len(backup.check_databases(folder))} databases whole"
    own = msgspec.structs.replace(config, data=str(folder))
    with connect(config=own) as lake:
        datasets = lake.catalog.datasets().datasets
        for dataset in datasets:
            rows = lake.sql.query(f'SELECT count(*) FROM "{dataset.name}"').rows[0][0]  # noqa: S608 - names are checked
            if rows != dataset.rows:
                raise IntegrityError(f"dataset {dataset.name!r} has {rows} rows, its manifest says {dataset.rows}")
        yield f"{len(datasets)} datasets with {sum(dataset.rows for dataset in datasets):,} rows"
        indexes = {index.name: index for index in lake.vectors.list().indexes}
        for path in sorted((folder / "vectors").glob("*/index.json")):
            if path.parent.name not in indexes:
                raise IntegrityError(f"index {path.parent.name!r} cannot be opened", path=str(path.parent))
        yield f"{len(indexes)} indexes with {sum(index.items for index in indexes.values()):,} items"
        corpora = lake.corpora.list().corpora
        for corpus in corpora:
            if corpus.name not in indexes:
                raise IntegrityError(f"corpus {corpus.name!r} has no index")
        yield f"{len(corpora)} corpora"


def _elsewhere(config: Settings) -> list[str]:
    """Name what belongs to a lake and lies outside of its folder."""
    found = []
    if config.storage.backend == "s3":
        found.append(f"objects in bucket {config.storage.bucket!r}")
    if config.state.url:
        found.append("the state's database, which other stacks share (state.url)")
    if config.catalog.uri:
        found.append("the catalog's database (catalog.uri)")
    if config.catalog.warehouse:
        found.append(f"table files in {config.catalog.warehouse} (catalog.warehouse)")
    if config.ledger.keys:
        found.append(f"the ledger's keys in {config.ledger.keys} (ledger.keys)")
    return found


def _report(
    arguments: argparse.Namespace,
    manifest: Manifest,
    *,
    backup_folder: str,
    lake: str,
    checked: list[str] | None = None,
) -> None:
    made = Made(
        backup=backup_folder,
        lake=lake,
        made_at=manifest.made_at,
        files=len(manifest.files),
        bytes=manifest.bytes,
        quiet=manifest.quiet,
        frozen_ms=manifest.frozen_ms,
        elsewhere=manifest.elsewhere,
        checked=checked or [],
    )
    if arguments.json:
        showing.json_document(made)
        return
    facts = [
        ("backup", made.backup),
        ("lake", made.lake),
        ("made at", made.made_at),
        ("files", f"{made.files:,} ({made.bytes / _MB:,.1f} MB)"),
        ("changes waited", f"{made.frozen_ms:,.0f} ms" + ("" if made.quiet else "; one was under way")),
        *(("not in it", what) for what in made.elsewhere),
        *(("checked", what) for what in made.checked),
    ]
    showing.facts(facts)
