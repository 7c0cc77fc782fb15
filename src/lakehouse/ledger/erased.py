"""Who was erased, known by keyed digests alone, so that an old roster does not bring them back.

A digest is HMAC-SHA256 under a key of its own (`erased.key`, beside the ledger's), over what names somebody: their id
in a dataset, an e-mail address that is nobody else's, their name together with their telephone number. Without the key
nobody can try names out against them.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.ledger import keys as key_files
from lakehouse.ledger.pieces import number_of
from lakehouse.ledger.verifier import Mac
from lakehouse.staffing import worker

if TYPE_CHECKING:
    from lakehouse.ledger.erasure import Gone
    from lakehouse.state.database import Database

_BATCH_ROWS = 16_384
_NAME = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_ENDS = " \t\r\n\"'<>,;()[]{}|"


class Erased:
    """Digests of erased people. Thread-safe.

    Args:
        state: Keeps them.
        keys: Folder of the ledger's keys; the one of the digests is made with the first of them.
    """

    def __init__(self, state: Database, keys: Path) -> None:
        from lakehouse.ledger import _stored

        self._stored = _stored
        self._state = state
        self._keys = keys
        self._lock = threading.Lock()
        self._mac: Mac | None = None
        self._known: frozenset[bytes] | None = None

    def bar(self, gone: Gone) -> int:
        """Remember who somebody was; returns how many digests now speak of them."""
        own = set(gone.pieces)
        texts: set[str] = set()
        places: set[tuple[str, str]] = set()
        for each in gone.found:
            place = each.appearance
            if not worker.is_personal(place.column):
                texts.add(_id(place.dataset, place.column, place.value))
                places.add((place.dataset, place.column))
            for row in each.rows:
                texts.update(_contacts({name: value for name, value in row.items() if _told(value)}, own))
        with self._lock, self._state.write() as connection:
            digests = {self._digest(text, make=not self._stored.barred(connection)) for text in texts}
            count = self._stored.bar(connection, gone.subject, digests, places)
            self._known = None
        return count

    def lift(self, subject: str) -> None:
        """Forget the digests of somebody, who may come back."""
        with self._lock, self._state.write() as connection:
            self._stored.lift(connection, subject)
            self._known = None

    def follow(self) -> None:
        """Look anew who was erased: another process that shares the database may have erased somebody."""
        self._known = None

    def rows(self, dataset: str, path: Path) -> list[int]:
        """Return which rows of a Parquet file, from 0, are of somebody who was erased.

        Args:
            dataset: The dataset they are to go into.
            path: Of the file, with the dataset's columns.

        Raises:
            IntegrityError, PermissionDenied: There are digests, and their key is missing or open to others.
        """
        if self._state.shared:
            # Somebody may have been erased elsewhere since this ingest began.
            self._known = None
        if not self._digests():
            return []
        import pyarrow.parquet as pq

        found: list[int] = []
        first = 0
        with self._state.read() as connection:
            named = self._stored.barred_columns(connection, dataset)
        with pq.ParquetFile(path) as file:
            wanted = [name for name in file.schema_arrow.names if name in named or worker.is_personal(name)]
            for batch in file.iter_batches(_BATCH_ROWS, columns=wanted) if wanted else ():
                columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
                found += [first + row for row in self._of(dataset, columns, named, batch.num_rows)]
                first += batch.num_rows
        return found

    def names(self, text: str) -> bool:
        """Tell whether a text, such as a line that could not be read as a row, holds an address of somebody erased."""
        if "@" not in text or not self._digests():
            return False
        words = text.translate(str.maketrans(_ENDS, " " * len(_ENDS))).split()
        return any(self._digest(_mail(word)) in self._digests() for word in words if "@" in word)

    def _of(self, dataset: str, columns: Mapping[str, list[Any]], named: Iterable[str], count: int) -> Iterator[int]:
        known = self._digests()
        personal = [name for name in columns if worker.is_personal(name)]
        ids = [name for name in columns if name in named]
        for row in range(count):
            texts = {_id(dataset, name, str(columns[name][row])) for name in ids if _told(columns[name][row])}
            texts.update(_contacts({name: columns[name][row] for name in personal if _told(columns[name][row])}))
            if any(self._digest(text) in known for text in texts):
                yield row

    def _digests(self) -> frozenset[bytes]:
        known = self._known
        if known is None:
            with self._state.read() as connection:
                known = self._known = self._stored.barred(connection)
        return known

    def _digest(self, text: str, *, make: bool = False) -> bytes:
        mac = self._mac
        if mac is None:
            mac = self._mac = Mac(key_files.secret(self._keys / key_files.ERASED, make=make))
        return mac.hex(text.encode("utf-8", "surrogatepass"))


def _told(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _contacts(row: Mapping[str, Any], own: set[str] | None = None) -> Iterator[str]:
    """Yield what names the person of a row: addresses, and name and number together.

    Args:
        row: Values by column.
        own: What is this person's alone, when that is known: what somebody else has as well would bar both.
    """
    names: list[str] = []
    numbers: set[str] = set()
    told = False
    for column, value in row.items():
        text = str(value).strip()
        alone = own is None or text in own
        if not worker.is_personal(column):
            continue
        if "@" in text:
            if alone:
                yield _mail(text)
        elif number_of(text):
            numbers.add(number_of(text))
            told |= alone
        elif "name" in column.casefold():
            names += _NAME.findall(text.casefold())
            told |= alone
    if names and told:
        # In the order of letters, as one roster has the last name first and another in a column of its own.
        yield from (f"call\0{' '.join(sorted(names))}\0{number}" for number in sorted(numbers))


def _mail(address: str) -> str:
    return f"mail\0{address.casefold()}"


def _id(dataset: str, column: str, value: str) -> str:
    return f"id\0{dataset}\0{column}\0{value}"
