"""Corpora: datasets made searchable, and kept so without doing work twice.

A corpus is a vector index of the same name, derived from a dataset's rows. A refresh embeds only texts it
has not seen, touches only items that changed, and leaves items alone that were added to the index directly.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lakehouse import progress
from lakehouse.errors import IntegrityError, InvalidInput, LakehouseError, NotFound, TooLarge, WrongState
from lakehouse.matrix.base import Corpus, CorpusList, CorpusReport, Somebody, SomebodyList, Wanted
from lakehouse.staffing import worker
from lakehouse.state.folder import atomic_write
from lakehouse.vectors.base import Item
from lakehouse.vectors.items import check_writable, no_corpus

if TYPE_CHECKING:
    from lakehouse.embed.service import Embeddings
    from lakehouse.lake._iceberg import Version
    from lakehouse.lake.catalog import Manifest
    from lakehouse.lake.query import Query
    from lakehouse.matrix._corpus_rows import Shape
    from lakehouse.staffing.parse import Parser
    from lakehouse.staffing.roles import Roles
    from lakehouse.state.database import Database
    from lakehouse.vectors.service import Vectors

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
Prefix = Annotated[str, msgspec.Meta(max_length=32)]
# People asked for at once.
Asked = Annotated[list[Wanted], msgspec.Meta(max_length=1_000)]
Columns = list[Annotated[str, msgspec.Meta(min_length=1)]]

# A refresh that touches more than this share of the items builds the index anew beside the old one.
_REBUILD_SHARE = 0.2
# What stays as it is however often a build is tried again.
_LASTING = (InvalidInput, TooLarge, WrongState, IntegrityError)

_log = logging.getLogger(__name__)


class Corpora:
    """Builds and refreshes corpora.

    Args:
        state: Database of corpus definitions.
        folder: The lake folder, for scratch files and what is known of the last build.
        sql: Datasets to read, by the engine that runs statements over them.
        embed, vectors: Where texts become items.
        parser, roles: Canonical roles, places and certifications.
    """

    def __init__(
        self,
        state: Database,
        folder: Path,
        *,
        sql: Query,
        embed: Embeddings,
        vectors: Vectors,
        parser: Parser,
        roles: Roles,
    ) -> None:
        from lakehouse.matrix import _corpus_state
        from lakehouse.matrix._corpora_here import Here

        self._state = state
        self._rows_of = _corpus_state
        self._folder = folder / "corpora"
        self._here = Here(self._folder, shared=state.shared)
        self._sql = sql
        self._catalog = sql.catalog
        self._embed = embed
        self._vectors = vectors
        self._parser = parser
        self._roles = roles
        self._followed = False
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        state.prepare(_corpus_state.ROOM, _corpus_state.metadata)
        for left in self._folder.glob("build-*"):
            shutil.rmtree(left, ignore_errors=True)
        if not state.shared:
            try:
                self._remove_deleted()
            except LakehouseError as error:
                _log.warning("what is left of a deleted corpus is still there: %s", error.message)

    def build(
        self,
        name: Name,
        dataset: str,
        id_column: str,
        id_prefix: Prefix,
        text_columns: Columns,
        metadata_columns: Columns = [],  # noqa: B006 - never changed; the request type needs a value
    ) -> CorpusReport:
        """Build a corpus from a dataset, or bring it up to date.

        The text columns, joined, are what is embedded; columns of names and contact data are refused there,
        and a row's own name is taken out of its text. Metadata columns come back with every hit; role codes
        and coordinates are derived from them where the dataset has none. Searches go on meanwhile; the new
        state appears at once when it is complete. Interrupted, the corpus is as before.

        Args:
            name: Of the corpus and its index.
            dataset: Name of a dataset in the catalog.
            id_column: Column with one distinct value per row.
            id_prefix: Put before each id that does not have it ("w-"); no two corpora share one.
            text_columns: What is embedded.
            metadata_columns: What is kept beside it.

        Raises:
            InvalidInput: Empty prefix, unknown or personal column, an id missing or twice, a row without text; or a
                name that begins with `playbook_`, as the indexes of memory do.
            NotFound: The dataset does not exist.
            WrongState: The index of that name holds vectors of another dimension or for another distance.
        """
        check_writable(name)
        manifest = self._catalog.dataset(dataset)
        shape = self._shape(name, manifest, id_column, id_prefix, (text_columns, metadata_columns))
        with self._lock(name):
            self._remove_if_deleted(name)
            self._check_fits(name)
            with self._scratch() as scratch:
                report = self._bring_up(name, self._catalog.version(dataset), shape=shape, scratch=scratch)
            self._save(name, manifest, shape)
        return report

    def delete(self, name: Name) -> None:
        """Remove a corpus: its definition, its index with all items, also those that were added directly.

        Every replica removes its index before it answers again. Of a crash remains the whole corpus, or nothing from
        the next start on. The dataset stays, and so do vectors of texts in the cache. A build under way is waited for.

        Raises:
            NotFound: There is no such corpus; the message names those there are.
            PermissionDenied, Unavailable: The disk or the vector server refused. The corpus is no longer one, and what
                is left of it goes with the same call again, or at the next start.
        """
        with self._lock(name):
            names = [corpus.name for corpus in self.defined()]
            if name in names:
                if not self._state.shared:
                    self._here.begin(name)
                with self._state.write() as connection:
                    self._rows_of.remove(connection, name)
            elif not self._here.has(name):
                raise no_corpus(name, names)
            self._remove_if_deleted(name)
            self._here.accept_all_but({*names} - {name})

    def follow(self) -> None:
        """Build here what another process that shares the database has built, from the same state of its dataset.

        What another one has deleted is removed. A corpus that cannot be built here, however often that is tried, is
        refused from then on until it can, and holds up nothing else.

        Raises:
            PermissionDenied, Unavailable: The disk refused, or the datasets or the model are out of reach.
        """
        self._remove_deleted()
        for corpus in self.defined():
            if not self._followed and self._here.built(corpus.name) == corpus:
                # The model may be another one since this replica was last started.
                with self._refused_where_it_lasts(corpus):
                    if self._check_fits(corpus.name) not in (None, self._embed.model):
                        self._here.begin(corpus.name)
            if self._here.built(corpus.name) != corpus and not self._here.is_refused(corpus.name, corpus):
                with self._lock(corpus.name):
                    self._build_here(corpus.name)
        self._followed = True

    def around(self, _operation: object, values: Mapping[str, Any], work: Callable[[], Any]) -> Any:
        """Refuse a call that names a corpus which cannot be built here as it was elsewhere: its index may be older.

        Raises:
            WrongState: The message says why it cannot, and what to do.
        """
        corpora = values.get("corpora") or values.get("corpus") or []
        self._here.check([corpora] if isinstance(corpora, str) else corpora)
        return work()

    def keep_whole(self, name: str) -> None:
        """Refuse to have the index of a corpus deleted alone where other replicas would go on answering from theirs.

        One that cannot be used or brought up to the others may go, so that it can be built anew.

        Raises:
            WrongState: It is such an index.
        """
        if self._here.is_refused(name):
            return
        if any(corpus.name == name for corpus in self.defined()):
            try:
                self._check_fits(name)
            except (WrongState, IntegrityError):
                return
            raise WrongState(
                f"index {name!r} is that of a corpus, and other replicas would go on answering from theirs;"
                f" `lakehouse corpus delete {name}` removes the corpus from all of them",
                index=name,
            )

    def defined(self) -> tuple[Corpus, ...]:
        """Return every corpus as it was last built, by name, without a look at its index."""
        with self._state.read() as connection:
            return tuple(self._rows_of.all_corpora(connection))

    def texts(self, dataset: str, row: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the texts that corpora of a dataset embed of one of its rows."""
        from lakehouse.matrix import _corpus_rows

        shapes = [corpus for corpus in self.defined() if corpus.dataset == dataset]
        return tuple(_corpus_rows.text_of(row, corpus.text_columns) for corpus in shapes)

    def list(self) -> CorpusList:
        """List all corpora by name, each with whether its dataset has changed since it was built."""
        newest = {name: str(version.snapshot_id) for name, version in self._catalog.versions().items()}
        return CorpusList(corpora=[self._now(corpus, newest) for corpus in self.defined()])

    def people(self, people: Asked) -> SomebodyList:
        """Tell who stands behind ids: name, role and place alone, so that a list can be read.

        Args:
            people: At most 1,000; each is in the answer once.

        Returns:
            In the order asked for; people whom the corpus does not have, and corpora there are not, are left out.
        """
        names = {corpus.name for corpus in self.defined()}
        found: dict[tuple[str, str], Somebody] = {}
        for each in people:
            row = self._vectors.metadata(each.corpus, each.id) if each.corpus in names else None
            if row is not None:
                said = {key: str(row[key]) for key in ("name", "role", "city", "state") if row.get(key) is not None}
                found[each.corpus, each.id] = Somebody(corpus=each.corpus, id=each.id, **said)
        return SomebodyList([*found.values()])

    def built_ids(self, name: str) -> frozenset[str] | None:
        """Return the ids that a corpus got from its dataset at the last build, null when that is not known."""
        built = self._built(name)
        return None if built is None else frozenset(built)

    def _now(self, corpus: Corpus, newest: Mapping[str, str]) -> Corpus:
        stale = newest.get(corpus.dataset) != corpus.snapshot_id
        items = 0
        with contextlib.suppress(NotFound):
            items = self._vectors.stats(corpus.name).items
        return msgspec.structs.replace(corpus, items=items, stale=stale)

    def _shape(
        self, name: str, manifest: Manifest, id_column: str, id_prefix: str, columns: tuple[Columns, Columns]
    ) -> Shape:
        from lakehouse.matrix._corpus_rows import Shape

        text_columns, metadata_columns = columns
        if not id_prefix.strip():
            raise InvalidInput("id_prefix is empty; give each corpus its own, such as 'w-'", field="id_prefix")
        if not text_columns:
            raise InvalidInput("text_columns is empty; name the columns to search by meaning", field="text_columns")
        known = [column.name for column in manifest.schema]
        for field, wanted in (
            ("id_column", [id_column]),
            ("text_columns", text_columns),
            ("metadata_columns", metadata_columns),
        ):
            for column in wanted:
                if column not in known:
                    raise InvalidInput(
                        f"{field}: dataset {manifest.name!r} has no column {column!r}; it has {', '.join(known)}",
                        field=field,
                        column=column,
                    )
        for column in text_columns:
            if worker.is_personal(column):
                raise InvalidInput(
                    f"text_columns: {column!r} is personal data, which is never embedded; name it in"
                    " metadata_columns instead",
                    field="text_columns",
                    column=column,
                )
        self._own_prefix(name, id_prefix)
        return Shape(id_column, id_prefix, tuple(text_columns), tuple(metadata_columns))

    def _own_prefix(self, name: str, prefix: str) -> None:
        """Refuse a prefix with which ids might be those of another corpus; a corpus keeps the one it has."""
        with self._state.read() as connection:
            corpora = list(self._rows_of.all_corpora(connection))
        if any(corpus.name == name and corpus.id_prefix == prefix for corpus in corpora):
            return
        for other in corpora:
            theirs = other.id_prefix
            # "w-" and an id 12 are "w-1" and an id 2.
            if other.name != name and (theirs.startswith(prefix) or prefix.startswith(theirs)):
                same = "belongs to" if theirs == prefix else f"cannot be told from {theirs!r} of"
                raise InvalidInput(
                    f"id_prefix {prefix!r} {same} the corpus {other.name!r}; choose another",
                    field="id_prefix",
                    corpus=other.name,
                )

    def _build_here(self, name: str) -> None:
        corpus = next((each for each in self.defined() if each.name == name), None)
        if corpus is None or self._here.built(name) == corpus:
            return
        with self._refused_where_it_lasts(corpus):
            self._build_as(corpus, self._version(corpus))

    @contextlib.contextmanager
    def _refused_where_it_lasts(self, corpus: Corpus) -> Iterator[None]:
        try:
            yield
        except _LASTING as error:
            _log.error("corpus %s is refused here until this is mended: %s", corpus.name, error.message)
            self._here.refuse(corpus, error.message)

    def _build_as(self, corpus: Corpus, version: Version) -> None:
        from lakehouse.matrix._corpus_rows import Shape

        name = corpus.name
        shape = Shape(corpus.id_column, corpus.id_prefix, tuple(corpus.text_columns), tuple(corpus.metadata_columns))
        self._check_fits(name)
        self._here.begin(name)
        with self._scratch() as scratch:
            self._bring_up(name, version, shape=shape, scratch=scratch, snapshot_id=version.snapshot_id)
        self._here.note(corpus)

    def _check_fits(self, name: str) -> str | None:
        """Refuse an index of that name, if there is one, that cannot hold vectors of the model in use.

        Returns:
            The model whose vectors it holds, as far as that is known.

        Raises:
            WrongState: It holds others.
            IntegrityError: Its files are damaged.
        """
        try:
            found = self._vectors.stats(name)
        except NotFound:
            return None
        except IntegrityError as error:
            raise IntegrityError(
                f"index {name!r} is of no use ({error.message}); delete it with `lakehouse vectors delete {name}`",
                index=name,
            ) from error
        if (found.dimension, found.distance) != (self._embed.dimension, "cosine"):
            raise WrongState(
                f"index {name!r} holds vectors of {found.dimension} numbers under {found.distance}, and those of the"
                f" embed.model {self._embed.model!r} have {self._embed.dimension} under cosine; delete the index with"
                f" `lakehouse vectors delete {name}`",
                index=name,
            )
        return found.model

    def _remove_deleted(self) -> None:
        """Remove what is here of corpora that are none any more."""
        names = {corpus.name for corpus in self.defined()}
        self._here.accept_all_but(names)
        for name in self._here.names():
            if name not in names:
                with self._lock(name):
                    self._remove_if_deleted(name)

    def _remove_if_deleted(self, name: str) -> None:
        if self._here.has(name) and all(corpus.name != name for corpus in self.defined()):
            with contextlib.suppress(NotFound):
                self._vectors.delete(name)
            self._here.forget(name)

    def _version(self, corpus: Corpus) -> Version:
        """Return the state of its dataset that a corpus was built from, the newest when that is kept no more.

        Raises:
            WrongState: The dataset is gone.
        """
        for snapshot_id in (int(corpus.snapshot_id), None):
            with contextlib.suppress(NotFound):
                return self._catalog.version(corpus.dataset, snapshot_id)
        raise WrongState(
            f"its dataset {corpus.dataset!r} is gone; ingest it again, or `lakehouse corpus delete {corpus.name}`"
            " removes the corpus from all replicas",
            dataset=corpus.dataset,
        )

    @contextlib.contextmanager
    def _scratch(self) -> Iterator[Path]:
        self._folder.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix="build-", dir=self._folder))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _bring_up(
        self, name: str, version: Version, *, shape: Shape, scratch: Path, snapshot_id: int | None = None
    ) -> CorpusReport:
        from lakehouse.matrix import _corpus_rows

        personal = [field.name for field in version.fields if worker.is_personal(field.name)]
        columns = list(dict.fromkeys([*shape.columns, *personal]))
        reader = self._sql.scan(version.name, columns=columns, snapshot_id=snapshot_id)
        rows = _corpus_rows.Rows(reader, shape, parser=self._parser, roles=self._roles).items()
        source = scratch / "rows.arrow"
        hashes = _corpus_rows.write(_counted(rows, version.rows), source)
        before = self._built(name)
        changed = {id for id, digest in hashes.items() if before is None or before.get(id) != digest}
        gone = set(before or {}) - set(hashes)
        # Vectors of another model, if only as long, say something else.
        other = self._check_fits(name) not in (None, self._embed.model)
        if before is None or other or len(changed) + len(gone) > _REBUILD_SHARE * max(1, len(hashes)):
            embedded, reused = self._rebuild(name, source, scratch, hashes.keys() | (before or {}).keys())
        else:
            embedded, reused = self._touch_up(name, source, scratch, changed, gone)
            reused += len(hashes) - len(changed)
        atomic_write(self._here.hashes(name), _corpus_rows.save_hashes(hashes))
        return CorpusReport(name, self._vectors.stats(name).items, embedded, reused)

    def _built(self, name: str) -> dict[str, bytes] | None:
        """Return what the index got from the dataset at the last build; None when that is not known."""
        from lakehouse.matrix import _corpus_rows

        with self._state.read() as connection:
            known = any(corpus.name == name for corpus in self._rows_of.all_corpora(connection))
        if not known or not self._exists(name):
            return None
        return _corpus_rows.load_hashes(self._here.hashes(name))

    def _exists(self, name: str) -> bool:
        return any(stats.name == name for stats in self._vectors.list().indexes)

    def _rebuild(self, name: str, source: Path, scratch: Path, ours: AbstractSet[str]) -> tuple[int, int]:
        """Build the index anew from the rows, keeping items that did not come from them (not in `ours`)."""
        from lakehouse.matrix import _corpus_rows

        vectors, whole = scratch / "vectors.arrow", scratch / "whole.arrow"
        done = self._embed.embed_file(source, vectors, progress=progress.stage("embedding"))
        if self._exists(name):
            direct = (
                (item.id, item.vector, msgspec.json.encode(item.metadata).decode())
                for item in self._vectors.scan(name)
                if item.id not in ours
            )
            _corpus_rows.append(vectors, whole, direct)
        else:
            whole = vectors
        self._vectors.replace(
            name,
            whole,
            dimension=self._embed.dimension,
            model=self._embed.model,
            progress=progress.stage("indexing"),
        )
        return done.embedded, done.reused

    def _touch_up(self, name: str, source: Path, scratch: Path, changed: set[str], gone: set[str]) -> tuple[int, int]:
        from lakehouse.matrix import _corpus_rows

        embedded, reused = 0, 0
        if changed:
            part, vectors = scratch / "changed.arrow", scratch / "changed-vectors.arrow"
            _corpus_rows.subset(source, part, changed)
            done = self._embed.embed_file(part, vectors, progress=progress.stage("embedding"))
            embedded, reused = done.embedded, done.reused
            for batch in _corpus_rows.embedded(vectors):
                items = [
                    Item(id=row["id"], vector=row["vector"], metadata=msgspec.json.decode(row["metadata"]))
                    for row in batch
                ]
                self._vectors.add(name, items)
        self._vectors.delete_items(name, sorted(gone))
        return embedded, reused

    def _save(self, name: str, manifest: Manifest, shape: Shape) -> None:
        corpus = Corpus(
            name=name,
            dataset=manifest.name,
            id_column=shape.id_column,
            id_prefix=shape.id_prefix,
            text_columns=[*shape.text_columns],
            metadata_columns=[*shape.metadata_columns],
            snapshot_id=str(manifest.snapshot_id),
            items=0,
            stale=False,
            built_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        new = self._state.shared and not self._here.has(name)
        if new:
            # Before others can delete it, so that this one knows of it when it was down meanwhile.
            self._here.begin(name)
        try:
            with self._state.write() as connection:
                self._rows_of.put(connection, corpus)
        except BaseException:
            if new:
                self._here.unnote(name)
            raise
        if self._state.shared:
            self._here.note(corpus)

    def _lock(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(name, threading.Lock())


def _counted(rows: Iterator[tuple[str, str, str]], total: int) -> Iterator[tuple[str, str, str]]:
    tell = progress.stage("reading")
    for number, row in enumerate(rows, 1):
        yield row
        if number % 1_000 == 0 or number == total:
            tell(number, total)
