"""One commit of one dataset: new files, kept files, columns and notes together, or nothing of it.

The order is what a crash leaves nothing half-done of: intent written, data files in place and fsynced, Iceberg
metadata written and fsynced, one row of the SQL catalog changed (this is the commit), old files removed,
intent removed. What an intent names is swept at the next start.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow.parquet as pq
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError, ValidationException
from pyiceberg.io.pyarrow import compute_statistics_plan, data_file_statistics_from_parquet_metadata
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestEntry, ManifestFile
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update import AddSchemaUpdate, AssertCurrentSchemaId, SetCurrentSchemaUpdate
from pyiceberg.table.update.snapshot import ExpireSnapshots, _OverwriteFiles
from pyiceberg.typedef import Record

from lakehouse.errors import Conflict
from lakehouse.lake._iceberg import (
    CREATED_AT,
    NAMESPACE,
    Tables,
    data_files,
    fields_of,
    metadata_files,
    schema_of,
)
from lakehouse.lake.columns import Field

if TYPE_CHECKING:
    from pyiceberg.table import Table, Transaction

_CHANGED = (CommitFailedException, ValidationException, TableAlreadyExistsError, NoSuchTableError)
# How long after a creation was acknowledged another one, let in at the same moment, may still come through.
_CREATED_S = 0.25
_PROPERTIES = {
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "10",
    # A commit that lost a race must look at the new rows before it tries again; only its caller can.
    "commit.retry.num-retries": "0",
}


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit does.

    Attributes:
        table: The table as it was read, null for a new dataset.
        location: Recorded location of the table's folder.
        fields: Its columns after the commit.
        add: Parquet files to move in, written with those fields' ids.
        keep: Recorded locations of the files that stay; all others leave with this commit.
        notes: Snapshot properties.
        now: Time of creation, RFC 3339.
        forgets: True when not even the smallest and largest values of what leaves may stay on record.
    """

    name: str
    table: Table | None
    location: str
    fields: list[Field]
    add: list[Path]
    keep: frozenset[str]
    notes: Mapping[str, str]
    now: str
    forgets: bool = False


def new_location(tables: Tables, name: str) -> str:
    """Return a location that no table ever had, so that a dropped dataset's readers are left alone."""
    return f"{tables.home}/{name}-{secrets.token_hex(6)}"


def commit(tables: Tables, change: Change, keep_snapshots: int) -> list[str]:
    """Commit a change.

    Returns:
        Locations of the files that no kept snapshot needs any more.

    Raises:
        Conflict: The dataset changed since `change.table` was read; nothing was written.
    """
    try:
        with _transaction(tables, change) as transaction:
            _stage_schema(transaction, change)
            _stage_rows(tables, transaction, change)
            expired = _stage_expiry(transaction, keep_snapshots)
        if change.table is None:
            _check_created(tables, change, transaction._table)
    except _CHANGED as error:
        reason = f"dataset {change.name!r} was changed by another writer; try again"
        raise Conflict(reason, dataset=change.name) from error
    return _freed(transaction._table, expired)


def _check_created(tables: Tables, change: Change, made: Table) -> None:
    """Make sure that the table just created is the one that readers see.

    A database lets one of two writers create a table. A REST service may let both, when they come within milliseconds,
    and keep the later one (that of SeaweedFS did): the earlier must not be told that its rows are there.
    """
    from pyiceberg.catalog.sql import SqlCatalog

    if isinstance(tables.catalog, SqlCatalog):
        return
    time.sleep(_CREATED_S)
    if tables.catalog.load_table((NAMESPACE, change.name)).metadata.table_uuid != made.metadata.table_uuid:
        raise CommitFailedException(f"{change.name} was created by another writer")


def _transaction(tables: Tables, change: Change) -> Transaction:
    if change.table is not None:
        return change.table.transaction()
    return tables.catalog.create_table_transaction(
        (NAMESPACE, change.name),
        schema_of(change.fields, 0),
        location=change.location,
        properties={**_PROPERTIES, CREATED_AT: change.now},
    )


def _stage_schema(transaction: Transaction, change: Change) -> None:
    metadata = transaction.table_metadata
    if fields_of(metadata.schema()) == change.fields:
        return
    last = max(schema.schema_id for schema in metadata.schemas)
    transaction._stage(
        (AddSchemaUpdate(schema=schema_of(change.fields, last + 1)), SetCurrentSchemaUpdate()),
        (AssertCurrentSchemaId.model_validate({"current-schema-id": metadata.current_schema_id}),),
    )


class _Overwrite(_OverwriteFiles):
    """An overwrite that leaves manifests without a live file behind; kept, they would slow every later commit."""

    forgets = False

    def _deleted_entries(self) -> list[ManifestEntry]:
        # An entry carries the bounds of its file's columns: values of people who are to be forgotten.
        return [] if self.forgets else super()._deleted_entries()

    def _existing_manifests(self) -> list[ManifestFile]:
        return [
            found for found in super()._existing_manifests() if found.has_added_files() or found.has_existing_files()
        ]


def _stage_rows(tables: Tables, transaction: Transaction, change: Change) -> None:
    snapshot = change.table.current_snapshot() if change.table else None
    producer = _Overwrite(
        operation=Operation.OVERWRITE if snapshot else Operation.APPEND,
        transaction=transaction,
        io=transaction._table.io,
        snapshot_properties=dict(change.notes),
    )
    producer.forgets = change.forgets
    with producer:
        for old in data_files(change.table, snapshot) if change.table and snapshot else []:
            if old.file_path not in change.keep:
                producer.delete_data_file(old)
        for path in change.add:
            location = f"{change.location}/data/{secrets.token_hex(12)}.parquet"
            file = _data_file(transaction, path, location, change.fields)
            tables.files.place(path, location)
            producer.append_data_file(file)


def _data_file(transaction: Transaction, path: Path, location: str, fields: list[Field]) -> DataFile:
    footer = pq.read_metadata(path)
    # A flat column has one leaf and a list has one, so leaves and columns stand in the same order.
    ids = [field.element_id or field.id for field in fields]
    leaves = {footer.schema.column(position).path: leaf for position, leaf in enumerate(ids)}
    metadata = transaction.table_metadata
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(metadata.schema(), metadata.properties),
        parquet_column_mapping=leaves,
    )
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        file_size_in_bytes=path.stat().st_size,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _stage_expiry(transaction: Transaction, keep_snapshots: int) -> list[Snapshot]:
    """Stage the removal of all but the newest snapshots; return those removed, oldest first."""
    metadata = transaction.table_metadata
    ordered = sorted(metadata.snapshots, key=lambda snapshot: snapshot.sequence_number or 0)
    pinned = {ref.snapshot_id for ref in metadata.refs.values()}
    old = [snapshot for snapshot in ordered[: -max(keep_snapshots, 1)] if snapshot.snapshot_id not in pinned]
    if old:
        ExpireSnapshots(transaction).by_ids([snapshot.snapshot_id for snapshot in old]).commit()
    return old


def _freed(table: Table, expired: list[Snapshot]) -> list[str]:
    """Return what only the expired snapshots referred to.

    A file leaves a table once and never comes back, so what the oldest kept snapshot does not use is unused.
    """
    if not expired:
        return []
    oldest = min(table.snapshots(), key=lambda snapshot: snapshot.sequence_number or 0)
    needed = _files(table, oldest)
    return sorted(set().union(*(_files(table, snapshot) for snapshot in expired)) - needed)


def _files(table: Table, snapshot: Snapshot) -> set[str]:
    return {file.file_path for file in data_files(table, snapshot)} | metadata_files(table, snapshot)


def needed(table: Table) -> set[str]:
    """Return the locations of everything that a table's snapshots need."""
    found = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    for snapshot in table.snapshots():
        found |= _files(table, snapshot)
    return found


def sweep(tables: Tables, name: str, location: str, candidates: Iterable[str] | None = None) -> int:
    """Remove what lies in a table's folder and belongs to none of its snapshots.

    Args:
        tables: The catalog, which decides what belongs.
        name: The dataset that had this folder; when it is gone, or lives elsewhere, nothing here is needed.
        location: The folder's recorded location.
        candidates: Only these files, all by default (then the folder of a dataset that is gone goes whole).

    Returns:
        How many files were removed; 0 for a folder that went whole.
    """
    table = tables.find(name)
    if table is None or table.location() != location:
        if candidates is None:
            tables.files.clear(location)
            return 0
        kept: set[str] = set()
    else:
        kept = needed(table)
    orphans = {each for each in (candidates or tables.files.below(location)) if not tables.keeps(each)} - kept
    for each in orphans:
        tables.files.remove(each)
    return len(orphans)


def expire(tables: Tables, name: str, *, before_ms: int) -> list[str]:
    """Expire the snapshots of a dataset that are older than a moment, all but the newest.

    Returns:
        Locations of the files that no kept snapshot needs any more.

    Raises:
        Conflict: The dataset was changed meanwhile; nothing was expired.
    """
    table = tables.load(name)
    pinned = {ref.snapshot_id for ref in table.metadata.refs.values()}
    old = [each for each in table.snapshots() if each.timestamp_ms < before_ms and each.snapshot_id not in pinned]
    if not old:
        return []
    try:
        with table.transaction() as transaction:
            ExpireSnapshots(transaction).by_ids([each.snapshot_id for each in old]).commit()
    except _CHANGED as error:
        raise Conflict(f"dataset {name!r} was changed by another writer; try again", dataset=name) from error
    return _freed(transaction._table, old)
