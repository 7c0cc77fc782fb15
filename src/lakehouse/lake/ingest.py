"""Files in: CSV, Parquet and JSON Lines become datasets, whole or not at all."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

from lakehouse.errors import Conflict, InvalidInput, LakehouseError
from lakehouse.lake.catalog import check_name
from lakehouse.progress import report

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.lake._mapping import ColumnMap
    from lakehouse.lake._source import Source
    from lakehouse.lake.catalog import Catalog

QUARANTINE = "_quarantine"
# The note by which a quarantine names the dataset whose bad rows it holds.
QUARANTINE_OF = "lakehouse.quarantine_of"
MAX_ATTEMPTS = 20
RETRY_S = 0.05


class Rejected(msgspec.Struct, frozen=True):
    """A row that did not land.

    Attributes:
        line: Where it starts, from 1; for Parquet the row's number.
        column: The column to blame, empty when there is no single one.
        reason: What is wrong with it.
    """

    line: int
    column: str
    reason: str


class Barred(Protocol):
    """Knows who must not come in."""

    def rows(self, dataset: str, path: Path) -> list[int]:
        """Return which rows of a Parquet file on its way into a dataset, from 0, are of such people."""

    def names(self, text: str) -> bool:
        """Tell whether a line that is no row names one of them."""


class Nobody:
    """Bars nobody."""

    def rows(self, dataset: str, path: Path) -> list[int]:  # noqa: ARG002 - the shape of `Barred`
        """Return none."""
        return []

    def names(self, text: str) -> bool:  # noqa: ARG002 - the shape of `Barred`
        """Tell no."""
        return False


class IngestReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an ingest did.

    Attributes:
        dataset: Its name.
        rows: Good rows of the file; all of them are in the dataset.
        rejected: The first bad rows, by line; empty unless `quarantine` was asked for.
        fingerprint: SHA-256 of the bytes as given, in hexadecimal.
        snapshot_id: The dataset's snapshot that holds the rows.
        unchanged: True when the same bytes were the last ingest already; then nothing was written.
        erased: Rows left out because they are of people who were erased; not written when there were none.
    """

    dataset: str
    rows: int
    rejected: list[Rejected]
    fingerprint: str
    snapshot_id: int
    unchanged: bool
    erased: int = 0


class Change(msgspec.Struct, frozen=True):
    """One difference between a dataset and a file; a type is null where the column is not."""

    column: str
    dataset: str | None
    file: str | None


class ExplainedColumn(msgspec.Struct, frozen=True):
    """A column as an ingest would make it.

    Attributes:
        name, type: In the dataset.
        source: In the file; empty when it has none.
        empty: Good rows without a value.
        example: One of its values, at most 60 characters.
        why: What decided on the type.
    """

    name: str
    type: str
    source: str
    empty: int
    example: str
    why: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What an ingest would make of a file.

    Attributes:
        format: `csv`, `jsonl` or `parquet`.
        encoding, line_ends, delimiter, quote: How a CSV file is written; empty for other formats. Line ends are `LF`,
            `CRLF`, `CR` or `mixed`.
        header_line: Line of the header, from 1; 0 for formats without one.
        rows: Good rows.
        bad_rows: All others.
        rejected: The first bad rows, by line.
        columns: Of the dataset, as far as the file decides on them.
        changes: How the columns differ from those of the dataset that is there.
        mapping: A mapping for this file, as TOML; it extends the one given.
        refusal: Why the mapping given does not fit this file; the rest is then told without it.
    """

    format: str
    encoding: str = ""
    line_ends: str = ""
    delimiter: str = ""
    quote: str = ""
    header_line: int = 0
    rows: int
    bad_rows: int
    rejected: list[Rejected]
    columns: list[ExplainedColumn]
    changes: list[Change]
    mapping: str
    refusal: str


class Order(msgspec.Struct, frozen=True):
    """What is to become of a file, checked."""

    name: str
    key: str | None
    quarantine: bool
    notes: Mapping[str, str]
    mapping: ColumnMap | None


class Ingest:
    r"""Ingests files into a catalog. Thread-safe; two ingests into one dataset run one after the other.

    Args:
        ingest: The settings section.
        catalog: Where datasets live.
        barred: Whose rows are left out.

    >>> import tempfile
    >>> from lakehouse.lake.catalog import Catalog
    >>> from lakehouse import settings
    >>> with tempfile.TemporaryDirectory() as scratch:
    ...     catalog = Catalog(settings.Catalog(), Path(scratch))
    ...     report = Ingest(settings.Ingest(), catalog).file(b"id,zip\n1,05356\n2,90210\n", "places")
    ...     print(report.rows, [(column.name, column.type) for column in catalog.dataset("places").schema])
    ...     catalog.close()
    2 [('id', 'int64'), ('zip', 'string')]
    """

    def __init__(self, ingest: settings.Ingest, catalog: Catalog, barred: Barred = Nobody()) -> None:  # noqa: B008 - has no state
        self._settings = ingest
        self._catalog = catalog
        self._barred = barred

    def file(
        self,
        source: bytes | Path | BinaryIO,
        name: str,
        content_type: str = "",
        key: str | None = None,
        quarantine: bool = False,
        mapping: str = "",
    ) -> IngestReport:
        """Make a file the content of a dataset.

        CSV needs a header; its delimiter, encoding and line ends are found out. Types are inferred over the
        whole file (see `lakehouse.lake.columns`); `05356` stays text. Gzip is expanded. The file lands whole
        or not at all, in one commit that survives a crash once this returned; the same bytes again change
        nothing. Rows of people who were erased are left out and counted. A file given by its path is read where
        it lies, and refused when it changed before all of it was read.

        Args:
            source: The file.
            name: Dataset, 1 to 63 of `a-z`, `0-9` and `_`, starting with a letter; made when absent.
            content_type: `text/csv`, `application/x-ndjson` or `application/vnd.apache.parquet`, with an
                optional `charset`; empty leaves it to the file's name and content.
            key: Column that identifies a row. With it, rows of the dataset with the same key are replaced and
                the others kept, columns may be added, and integers may widen to floats; without it the file
                replaces all rows and columns.
            quarantine: Land the good rows though some are bad. The bad ones are reported, and kept with line,
                column, reason and text in the dataset `<name>_quarantine`, which is replaced each time.
            mapping: TOML that says which columns of the file become which of the dataset, and how they are
                written; empty keeps the file's names. `explain` suggests one; docs/ingest.md describes it.

        Raises:
            InvalidInput: The name, the type, the mapping or the file is wrong, the file changed while it was read, or
                rows are bad and `quarantine` is false: `detail.rejected` lists the first of them; nothing was
                written.
            Conflict: Another process kept changing the dataset.
            Unavailable, PermissionDenied: The disk is full or not writable; nothing was written.
        """
        return self.ingest(
            source,
            name,
            content_type=content_type,
            key=key,
            quarantine=quarantine,
            mapping=mapping,
            progress=lambda done, total: report("ingesting bytes", done, total),
        )

    def explain(
        self,
        source: bytes | Path | BinaryIO,
        name: str = "",
        content_type: str = "",
        key: str | None = None,
        mapping: str = "",
    ) -> Explanation:
        """Tell what an ingest would make of a file, and suggest a mapping; nothing is written.

        Args:
            source: The file.
            name: The dataset it would go into; one that is there is compared with, and the mapping fits it.
            content_type: As for `file`.
            key: As for `file`; the dataset's types then bind the file.
            mapping: As for `file`; the suggested one extends it to this file's columns.

        Raises:
            InvalidInput: The name, the type or the mapping is wrong, or the file cannot be read at all, or changed
                meanwhile.
            Unavailable, PermissionDenied: The disk is full or not writable.
        """
        from lakehouse.lake import _mapping, _source
        from lakehouse.lake._explain import Explainer

        if name:
            check_name(name)
        columns = _mapping.parse(mapping) if mapping else None
        base = self._catalog.versions().get(name)
        with self._catalog.scratch() as scratch:
            brought = _source.bring(source, content_type, scratch)
            explainer = Explainer(
                brought,
                scratch,
                base=base,
                mapping=columns,
                bound=key is not None,
                batch_rows=self._settings.batch_rows,
            )
            with _as_hashed(brought):
                explanation = explainer.explain(self._settings.max_rejected_reported)
            brought.check()
        return explanation

    def ingest(
        self,
        source: bytes | Path | BinaryIO,
        name: str,
        *,
        content_type: str = "",
        key: str | None = None,
        quarantine: bool = False,
        mapping: str = "",
        progress: Callable[[int, int], None] | None = None,
    ) -> IngestReport:
        """Do what `file` does, and call `progress` with work done and work in all, in bytes.

        The total is 0 while it is unknown.
        """
        from lakehouse.lake import _mapping, _source
        from lakehouse.lake._iceberg import note

        self._catalog.check_free(name)
        columns = _mapping.parse(mapping) if mapping else None
        if quarantine:
            self._check_quarantine(name)
        with self._catalog.scratch() as scratch:
            brought = _source.bring(source, content_type, scratch, progress and _weighed(progress))
            with self._catalog.writing(name):
                # What was done to the same bytes counts too: another mapping makes other rows of them.
                how = hashlib.sha256(mapping.encode()).hexdigest() if mapping else ""
                notes = note(fingerprint=brought.fingerprint, key=key or "", quarantine=quarantine, mapping=how)
                report = self._unchanged(name, brought, notes)
                if report is None:
                    order = Order(name, key, quarantine, notes, columns)
                    with _as_hashed(brought):
                        report = self._landed(brought, scratch, order)
        if progress:
            progress(3 * brought.size, 3 * brought.size)
        return report

    def _check_quarantine(self, name: str) -> None:
        if name.endswith(QUARANTINE):
            raise InvalidInput(f"dataset {name!r} holds bad rows itself; choose another name", field="name")
        try:
            self._catalog.check_free(name + QUARANTINE)
        except InvalidInput:
            raise InvalidInput(
                f"with quarantine a name has at most {63 - len(QUARANTINE)} letters", field="name"
            ) from None

    def _unchanged(self, name: str, brought: Source, notes: Mapping[str, str]) -> IngestReport | None:
        version = self._catalog.versions().get(name)
        if version is None or "lakehouse.purged" in version.properties:
            return None
        if version.properties.get("lakehouse.erased", "0") != "0":
            # Whose rows were left out may be back.
            return None
        if any(version.properties.get(note, "") != value for note, value in notes.items()):
            return None
        return IngestReport(
            dataset=name,
            rows=int(version.properties["lakehouse.rows"]),
            rejected=self._remembered(name, int(version.properties["lakehouse.bad_rows"])),
            fingerprint=brought.fingerprint,
            snapshot_id=version.snapshot_id,
            unchanged=True,
        )

    def _remembered(self, name: str, count: int) -> list[Rejected]:
        """Read the bad rows of the last ingest back."""
        if not count or name + QUARANTINE not in self._catalog.versions():
            return []
        table = self._catalog.scan(name + QUARANTINE, columns=["line", "column", "reason"]).read_all()
        first = table.slice(0, self._settings.max_rejected_reported).to_pylist()
        return [Rejected(**row) for row in first]

    def _landed(self, brought: Source, scratch: Path, order: Order) -> IngestReport:
        from lakehouse.lake._landing import Landing

        for attempt in range(1, MAX_ATTEMPTS + 1):
            folder = scratch / f"attempt-{attempt}"
            folder.mkdir()
            landing = Landing(
                self._catalog, self._settings, brought, folder, mapping=order.mapping, barred=self._barred
            )
            try:
                landed = landing.land(order.name, key=order.key, quarantine=order.quarantine, notes=order.notes)
            except Conflict:
                # Another process was first: its rows must be part of what is merged.
                if attempt == MAX_ATTEMPTS:
                    raise
                time.sleep(random.uniform(0.0, RETRY_S * attempt))
            else:
                break
        limit = self._settings.max_rejected_reported
        return IngestReport(
            dataset=order.name,
            rows=landed.rows,
            rejected=[Rejected(row.line, row.column, row.reason) for row in landed.bad[:limit]],
            fingerprint=brought.fingerprint,
            snapshot_id=landed.snapshot_id,
            unchanged=False,
            erased=landed.erased,
        )


@contextmanager
def _as_hashed(brought: Source) -> Iterator[None]:
    """Tell of a file that failed because it changed meanwhile that it changed, and of nothing else."""
    try:
        yield
    except (LakehouseError, OSError):
        brought.check()
        raise


def _weighed(progress: Callable[[int, int], None]) -> Callable[[int, int], None]:
    """Count reading the source as the first third of the work."""

    def report(done: int, total: int) -> None:
        progress(done, 3 * total)

    return report
