"""Iceberg tables through pyiceberg: what is there, and commits that carry data and manifest together."""

from __future__ import annotations

import contextlib
import functools
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import BadRequestError, NoSuchTableError
from pyiceberg.manifest import DataFileContent
from pyiceberg.schema import Schema
from pyiceberg.typedef import EMPTY_DICT, Identifier, Properties
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)
from sqlalchemy import Select, event, select
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from lakehouse.errors import NotFound, Unavailable
from lakehouse.lake.catalog import Snapshot
from lakehouse.lake.columns import Field, decimal_parts, element_type
from lakehouse.settings import Storage
from lakehouse.state import servers

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as IcebergCatalog
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

    from lakehouse.lake._files import Files

NAMESPACE = "datasets"
FINGERPRINT = "lakehouse.fingerprint"
CREATED_AT = "lakehouse.created_at"
_ID = "lakehouse.id"

_PRIMITIVES: dict[str, IcebergType] = {
    "bool": BooleanType(),
    "int64": LongType(),
    "float64": DoubleType(),
    "date": DateType(),
    "time": TimeType(),
    "timestamp": TimestampType(),
    "timestamptz": TimestamptzType(),
    "string": StringType(),
    "binary": BinaryType(),
}
# What other engines may have written into a table of ours.
_READ_AS: dict[type[IcebergType], str] = {
    **{type(kind): name for name, kind in _PRIMITIVES.items()},
    IntegerType: "int64",
    FloatType: "float64",
    UUIDType: "string",
    FixedType: "binary",
}


class Version(msgspec.Struct, frozen=True):
    """One snapshot of one dataset: everything a reader needs, and nothing that changes.

    Attributes:
        fields: Columns with the ids they have in the files.
        files: The data files as DuckDB opens them now, in the order of their rows.
        recorded: The same files under the locations that Iceberg records.
        sizes: Their sizes in bytes.
        properties: What the ingest noted (`lakehouse.*`).
        s3: How to reach the files, null for local ones.
        alike: True when every file has exactly these columns under these names, so that no id need be looked up.
        location: Where the table lies, as Iceberg records it; what other engines load.
    """

    name: str
    snapshot_id: int
    fields: list[Field]
    files: list[str]
    recorded: list[str]
    sizes: list[int]
    rows: int
    properties: dict[str, str]
    created_at: str
    updated_at: str
    s3: Storage | None = None
    alike: bool = False
    location: str = ""


class LakeCatalog(SqlCatalog):
    """The SQL catalog of pyiceberg with SQLite made durable."""

    def _init_catalog(self) -> None:
        if self.engine.dialect.name == "sqlite":

            @event.listens_for(self.engine, "connect")
            def prepare(connection: Any, _record: Any) -> None:
                for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
                    connection.execute(f"PRAGMA {pragma}")

        else:
            servers.bound(self.engine)
        _made(super()._init_catalog)

    def create_namespace_if_not_exists(self, namespace: str | Identifier, properties: Properties = EMPTY_DICT) -> None:
        """Create a namespace, also while another process creates it."""
        _made(lambda: super(LakeCatalog, self).create_namespace_if_not_exists(namespace, properties))


def _made(make: Callable[[], None]) -> None:
    """Make what two processes may be making at once: who comes second looks again and finds it there."""
    try:
        make()
    except (ProgrammingError, IntegrityError, OperationalError):
        make()


class Tables:
    """Tables by name; metadata is immutable under its location, so it is read once. Thread-safe.

    Args:
        catalog: Of pyiceberg: SQL or REST.
        files: The warehouse.
    """

    def __init__(self, catalog: IcebergCatalog, files: Files) -> None:
        self.files = files
        self.catalog = catalog
        try:
            self.catalog.create_namespace_if_not_exists(NAMESPACE)
        except BaseException:
            self.close()
            raise
        self._lock = threading.Lock()
        self._versions: dict[str, tuple[str, Version]] = {}

    def id(self) -> str:
        """Return what the catalog itself keeps to be told from others by, made when there is nothing yet.

        Some REST catalogs keep nothing beside tables; of those it is empty.
        """
        known = self._own_id()
        if not known:
            with contextlib.suppress(BadRequestError, NotImplementedError):
                self.catalog.update_namespace_properties(NAMESPACE, updates={_ID: secrets.token_hex(8)})
            known = self._own_id()
        return known

    def _own_id(self) -> str:
        return str(self.catalog.load_namespace_properties(NAMESPACE).get(_ID, ""))

    @property
    def home(self) -> str:
        """Location below which tables lie; some REST catalogs let nobody write but below the namespace."""
        root = self.files.root
        return root if isinstance(self.catalog, SqlCatalog) else f"{root}/{NAMESPACE}"

    def keeps(self, location: str) -> bool:
        """Tell whether a file is the catalog's own: a REST catalog looks after its metadata itself."""
        return not isinstance(self.catalog, SqlCatalog) and not location.endswith((".parquet", ".avro"))

    def close(self) -> None:
        """Close the catalog."""
        if isinstance(self.catalog, SqlCatalog):
            self.catalog.engine.dispose()
        else:
            self.catalog.close()

    def _recorded(self) -> dict[str, str]:
        """Return the metadata location of every table of a SQL catalog, by name; one short query."""
        catalog = cast(SqlCatalog, self.catalog)
        query = _recorded_of(catalog.name)
        with catalog.engine.connect() as connection:
            return {name: location for name, location in connection.execute(query) if location}

    def _listed(self) -> list[str]:
        return [identifier[-1] for identifier in self.catalog.list_tables(NAMESPACE)]

    def find(self, name: str) -> Table | None:
        """Read a table's metadata, null when there is none of that name."""
        try:
            return self.catalog.load_table((NAMESPACE, name))
        except NoSuchTableError:
            return None

    def load(self, name: str) -> Table:
        """Read a table's metadata.

        Raises:
            NotFound: There is none of that name.
        """
        table = self.find(name)
        if table is None:
            raise NotFound(f"no dataset {name!r}", dataset=name)
        return table

    def current(self) -> dict[str, Version]:
        """Return the newest version of every dataset that has one, by name.

        A SQL catalog tells in one query what changed; a REST catalog is asked for each table.
        """
        with self._lock:
            known = self._versions
        fresh: dict[str, tuple[str, Version]] = {}
        if isinstance(self.catalog, SqlCatalog):
            for name, location in sorted(self._recorded().items()):
                cached = known.get(name)
                if cached and cached[0] == location:
                    fresh[name] = cached
                elif table := self.find(name):
                    fresh[name] = (location, self._read(table))
        else:
            for name in sorted(self._listed()):
                if table := self.find(name):
                    cached = known.get(name)
                    same = cached and cached[0] == table.metadata_location
                    fresh[name] = cached if cached and same else (table.metadata_location, self._read(table))
        with self._lock:
            self._versions = fresh
        return {name: version for name, (_, version) in fresh.items()}

    def _read(self, table: Table) -> Version:
        snapshot = table.current_snapshot()
        if snapshot is None:
            name = table.name()[-1]
            raise Unavailable(
                f"dataset {name!r} has no snapshot yet; write it with the engine that made it", dataset=name
            )
        return self.version(table, snapshot)

    def history(self, name: str) -> list[Snapshot]:
        """Return the kept snapshots of a dataset, newest first."""
        table = self.load(name)
        ordered = sorted(table.snapshots(), key=lambda each: each.sequence_number or 0, reverse=True)
        return [_told(each) for each in ordered]

    def version(self, table: Table, snapshot: IcebergSnapshot) -> Version:
        """Describe one snapshot of a table."""
        files = data_files(table, snapshot)
        if any(file.content != DataFileContent.DATA for file in files):
            raise Unavailable(
                f"dataset {table.name()[-1]!r} has row-level deletes written by another engine; compact it there",
                dataset=table.name()[-1],
            )
        recorded = [file.file_path for file in files]
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        schema_id = snapshot.schema_id if snapshot.schema_id is not None else table.metadata.current_schema_id
        fields = fields_of(table.schemas()[schema_id])
        return Version(
            name=table.name()[-1],
            snapshot_id=snapshot.snapshot_id,
            fields=fields,
            files=[self.files.path(location) for location in recorded],
            recorded=recorded,
            sizes=[file.file_size_in_bytes for file in files],
            rows=sum(file.record_count for file in files),
            properties={name: value for name, value in summary.items() if name.startswith("lakehouse.")},
            created_at=table.properties.get(CREATED_AT) or rfc3339(table.metadata.snapshot_log[0].timestamp_ms),
            updated_at=rfc3339(snapshot.timestamp_ms),
            s3=self.files.s3,
            alike=_alike(table, fields, files),
            location=table.location(),
        )


@functools.lru_cache(maxsize=8)
def _recorded_of(catalog: str) -> Select[str, str | None]:
    """Return the query for the tables of a catalog; every look at the datasets sends it."""
    return select(IcebergTables.table_name, IcebergTables.metadata_location).where(
        IcebergTables.catalog_name == catalog, IcebergTables.table_namespace == NAMESPACE
    )


def _told(snapshot: IcebergSnapshot) -> Snapshot:
    summary = snapshot.summary.additional_properties if snapshot.summary else {}
    rows = int(summary.get("total-records") or 0)
    return Snapshot(snapshot.snapshot_id, rfc3339(snapshot.timestamp_ms), rows, summary.get(FINGERPRINT, ""))


def _alike(table: Table, fields: list[Field], files: list[DataFile]) -> bool:
    leaves = {field.element_id or field.id for field in fields}
    if any(set(file.value_counts or ()) != leaves for file in files):
        return False
    # An id stands for one name and type unless another engine renamed or promoted its column.
    meanings: dict[int, set[tuple[str, str]]] = {}
    for schema in table.schemas().values():
        for nested in schema.fields:
            meanings.setdefault(nested.field_id, set()).add((nested.name, str(nested.field_type)))
    return all(len(meanings[field.id]) == 1 for field in fields)


def data_files(table: Table, snapshot: IcebergSnapshot) -> list[DataFile]:
    """Return the live files of a snapshot, oldest first."""
    manifests = sorted(snapshot.manifests(table.io), key=lambda manifest: manifest.sequence_number or 0)
    return [entry.data_file for manifest in manifests for entry in manifest.fetch_manifest_entry(table.io)]


def metadata_files(table: Table, snapshot: IcebergSnapshot) -> set[str]:
    """Return the locations of a snapshot's manifest list and manifests."""
    return {snapshot.manifest_list, *(manifest.manifest_path for manifest in snapshot.manifests(table.io))}


def rfc3339(milliseconds: int) -> str:
    """Return a time since the epoch as RFC 3339 in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def schema_of(fields: list[Field], schema_id: int) -> Schema:
    """Return the Iceberg schema; every column is optional."""
    nested = [NestedField(field.id, field.name, _iceberg_type(field), required=False) for field in fields]
    return Schema(*nested, schema_id=schema_id)


def known_ids(table: Table | None) -> tuple[list[Field], int]:
    """Return a table's columns and the last id it gave out; none and 0 when there is no table."""
    return (fields_of(table.schema()), table.metadata.last_column_id) if table else ([], 0)


def fields_of(schema: Schema) -> list[Field]:
    """Return the columns of an Iceberg schema; types this product does not write are read as text."""
    return [_field(nested) for nested in schema.fields]


def _field(nested: NestedField) -> Field:
    kind = nested.field_type
    if isinstance(kind, ListType):
        return Field(nested.field_id, nested.name, f"list<{_type_name(kind.element_type)}>", kind.element_id)
    return Field(nested.field_id, nested.name, _type_name(kind))


def _type_name(kind: IcebergType) -> str:
    if isinstance(kind, DecimalType):
        return f"decimal({kind.precision},{kind.scale})"
    return _READ_AS.get(type(kind), "string")


def _iceberg_type(field: Field) -> IcebergType:
    element = element_type(field.type)
    if element and field.element_id is not None:
        return ListType(field.element_id, _primitive(element), element_required=False)
    return _primitive(field.type)


def _primitive(name: str) -> IcebergType:
    parts = decimal_parts(name)
    return DecimalType(*parts) if parts else _PRIMITIVES[name]


def note(**values: Any) -> Mapping[str, str]:
    """Return snapshot properties: `fingerprint="ab"` is kept as `lakehouse.fingerprint`."""
    return {f"lakehouse.{name}": str(value) for name, value in values.items()}
