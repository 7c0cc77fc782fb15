"""The roster that validators ask: the rows of a dataset, by corpus or by name, at one snapshot."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.staffing import worker
from lakehouse.staffing.worker import CorpusShape
from lakehouse.state.names import MEMORY_INDEX
from lakehouse.validate.base import People, Question

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.lake.catalog import Catalog
    from lakehouse.staffing.parse import Parser
    from lakehouse.staffing.roles import Roles
    from lakehouse.vectors.service import Vectors

_KEPT_SHEETS = 4
_ID_COLUMNS = ("id", "worker_id", "employee_id", "person_id")
# Long texts that say nothing a validator compares.
_LEFT_OUT = frozenset({"resume"})
_DIGITS = re.compile(r"\D+")
_COUNTRY = "1"


class _Known(msgspec.Struct, frozen=True):
    """Ids by name and by address, and the given names."""

    names: dict[str, list[str]]
    addresses: dict[str, list[str]]
    given: frozenset[str]


class _Sheet:
    """The rows of one dataset at one snapshot, found by id, name and address."""

    def __init__(self, table: pa.Table, id_column: str, prefix: str) -> None:
        self._table = table
        self._numbers: dict[str, int] = {}
        for number, value in enumerate(table[id_column].to_pylist()):
            id = "" if value is None else str(value)
            if id:
                self._numbers.setdefault(id if id.startswith(prefix) else prefix + id, number)
        self._ids = {number: id for id, number in self._numbers.items()}
        self._lock = threading.Lock()
        self._known: _Known | None = None

    def rows(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        known = [id for id in dict.fromkeys(ids) if id in self._numbers]
        taken = self._table.take([self._numbers[id] for id in known]).to_pylist() if known else []
        return dict(zip(known, taken, strict=True))

    def by_name(self, names: Iterable[str]) -> tuple[dict[str, list[str]], frozenset[str]]:
        known = self._personal()
        found = {name: known.names[_key(name)] for name in names if _key(name) in known.names}
        return found, frozenset(name for name in names if _key(name).partition(" ")[0] in known.given)

    def by_address(self, addresses: Iterable[str]) -> dict[str, list[str]]:
        known = self._personal().addresses
        return {text: known[address_key(text)] for text in addresses if address_key(text) in known}

    def _personal(self) -> _Known:
        with self._lock:
            if self._known is None:
                self._known = self._indexed()
            return self._known

    def _indexed(self) -> _Known:
        names: dict[str, list[str]] = {}
        addresses: dict[str, list[str]] = {}
        columns = [name for name in self._table.column_names if worker.is_personal(name)]
        values = {name: self._table[name].to_pylist() for name in columns}
        for number, id in self._ids.items():
            row = {name: values[name][number] for name in columns}
            name = full_name(row)
            if name:
                names.setdefault(_key(name), []).append(id)
            for address in addresses_of(row):
                addresses.setdefault(address_key(address), []).append(id)
        return _Known(names, addresses, frozenset(name.partition(" ")[0] for name in names))


class Roster:
    """Looks people up. Thread-safe; a dataset is read once per snapshot and kept for as long as it is asked for.

    Args:
        catalog: Datasets, the truth.
        vectors: Indexes, asked only for people who were added to one directly.
        corpora: Gives the corpus definitions.
        built_ids: Gives the ids that a corpus got from its dataset when it was built, null when that is not known.
        parser, roles: Give rows their canonical places, certifications and role codes.
    """

    def __init__(
        self,
        catalog: Catalog,
        vectors: Vectors,
        *,
        corpora: Callable[[], Sequence[CorpusShape]],
        built_ids: Callable[[str], Collection[str] | None],
        parser: Parser,
        roles: Roles,
    ) -> None:
        self._catalog = catalog
        self._vectors = vectors
        self._corpora = corpora
        self._built_ids = built_ids
        self._parser = parser
        self._roles = roles
        self._lock = threading.Lock()
        self._sheets: OrderedDict[tuple[str, int, str, str], _Sheet] = OrderedDict()

    def look_up(self, question: Question) -> People:
        """Answer a question.

        With a roster named, people are looked for there alone. Without one every corpus is a roster, and an id is
        looked for in the corpus whose prefix it has; the answer then names the corpora that hold somebody asked for.

        Raises:
            NotFound: There is no such corpus, dataset, index or snapshot.
            InvalidInput: The dataset has no column of ids, or the snapshot is not a number.
        """
        corpora = list(self._corpora())
        if not question.roster:
            return self._in_all(question, corpora)
        named = next((corpus for corpus in corpora if corpus.name == question.roster), None)
        if named is not None:
            return self._in_corpus(question, named)
        if question.roster in self._catalog.versions():
            id_column = next((each.id_column for each in corpora if each.dataset == question.roster), None)
            return self._in_dataset(question, question.roster, id_column, "")
        # What lies in the index of a memory are entries about people.
        is_memory = question.roster.startswith(MEMORY_INDEX)
        if not is_memory and any(stats.name == question.roster for stats in self._vectors.list().indexes):
            rows = self._in_index(question.roster, question.ids)
            return People(roster=question.roster, snapshot_id="", rows=rows)
        raise NotFound(
            f"roster {question.roster!r} is neither a corpus nor a dataset; see `lakehouse corpus list`",
            roster=question.roster,
        )

    def _in_all(self, question: Question, corpora: Sequence[CorpusShape]) -> People:
        # Whose dataset was dropped has left, and holds up nobody of the others.
        there = self._catalog.versions()
        corpora = [corpus for corpus in corpora if corpus.dataset in there] or corpora
        if len(corpora) == 1:
            return self._in_corpus(question, corpora[0])
        if question.snapshot_id:
            raise InvalidInput("name the roster whose snapshot is meant", field="roster")
        found = [
            self._in_corpus(
                msgspec.structs.replace(question, ids=[id for id in question.ids if id.startswith(corpus.id_prefix)]),
                corpus,
            )
            for corpus in corpora
        ]
        holding = [people for people in found if people.rows] or found
        return People(
            roster=", ".join(people.roster for people in holding),
            snapshot_id=", ".join(people.snapshot_id for people in holding),
            rows={id: row for people in found for id, row in people.rows.items()},
            by_name=_joined(people.by_name for people in found),
            by_address=_joined(people.by_address for people in found),
            given=frozenset().union(*(people.given for people in found)),
        )

    def _in_corpus(self, question: Question, corpus: CorpusShape) -> People:
        people = self._in_dataset(question, corpus.dataset, corpus.id_column, corpus.id_prefix)
        missing = [id for id in question.ids if id not in people.rows]
        direct: dict[str, dict[str, Any]] = {}
        if missing and not question.snapshot_id:
            # Whoever came from the dataset and is in it no more has left, though the index may not know yet.
            ours = self._built_ids(corpus.name) or ()
            direct = self._in_index(corpus.name, [id for id in missing if id not in ours])
        return msgspec.structs.replace(people, roster=corpus.name, rows={**people.rows, **direct})

    def _in_dataset(self, question: Question, dataset: str, id_column: str | None, prefix: str) -> People:
        sheet, snapshot = self._sheet(dataset, id_column, prefix, question.snapshot_id)
        names, given = sheet.by_name(question.names) if question.names else ({}, frozenset[str]())
        return People(
            roster=dataset,
            snapshot_id=str(snapshot),
            rows={id: self._facts(row) for id, row in sheet.rows(question.ids).items()},
            by_name=names,
            by_address=sheet.by_address(question.addresses) if question.addresses else {},
            given=given,
        )

    def _in_index(self, name: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = {}
        for id in ids:
            try:
                found[id] = dict(self._vectors.get(name, id).metadata)
            except NotFound:
                continue
        return found

    def _facts(self, row: Mapping[str, Any]) -> dict[str, Any]:
        parser = self._parser
        return worker.metadata(
            row, list(row), roles=self._roles, places=parser.places, certifications=parser.certifications
        )

    def _sheet(self, dataset: str, id_column: str | None, prefix: str, snapshot: str) -> tuple[_Sheet, int]:
        if snapshot and not snapshot.isdigit():
            raise InvalidInput("snapshot_id is a number written as text, as in a manifest", field="snapshot_id")
        version = self._catalog.version(dataset, int(snapshot) if snapshot else None)
        columns = [field.name for field in version.fields]
        column = id_column or next((name for name in _ID_COLUMNS if name in columns), None)
        if column is None or column not in columns:
            raise InvalidInput(
                f"dataset {dataset!r} has no column of ids; build a corpus from it that names one", field="roster"
            )
        key = (dataset, version.snapshot_id, column, prefix)
        with self._lock:
            sheet = self._sheets.get(key)
            if sheet is None:
                wanted = [name for name in columns if name not in _LEFT_OUT]
                reader = self._catalog.scan(dataset, columns=wanted, snapshot_id=version.snapshot_id)
                sheet = self._sheets[key] = _Sheet(reader.read_all(), column, prefix)
                if len(self._sheets) > _KEPT_SHEETS:
                    self._sheets.popitem(last=False)
            self._sheets.move_to_end(key)
        return sheet, version.snapshot_id


def full_name(row: Mapping[str, Any]) -> str:
    """Return a person's name as the row has it, empty when it has none."""
    whole = next((row[key] for key in ("name", "full_name", "worker_name") if row.get(key)), None)
    parts = [whole] if whole else [row[key] for key in ("first_name", "last_name") if row.get(key)]
    return " ".join(" ".join(map(str, parts)).split())


def addresses_of(row: Mapping[str, Any]) -> list[str]:
    """Return the email addresses and telephone numbers of a row."""
    words = ("email", "mail", "phone", "mobile", "cell", "telephone")
    return [str(value) for key, value in row.items() if value and any(word in key.casefold() for word in words)]


def address_key(text: str) -> str:
    """Return what two spellings of an email address, or of a US telephone number, share."""
    text = text.strip()
    if "@" in text:
        return text.casefold()
    digits = _DIGITS.sub("", text.partition("x")[0])
    return digits[1:] if len(digits) == 11 and digits.startswith(_COUNTRY) else digits


def _key(name: str) -> str:
    return " ".join(name.casefold().split())


def _joined(parts: Iterable[Mapping[str, Sequence[str]]]) -> dict[str, Sequence[str]]:
    joined: dict[str, list[str]] = {}
    for part in parts:
        for key, ids in part.items():
            joined.setdefault(key, []).extend(ids)
    return dict(joined)
