"""One row of a subject's chain: its canonical bytes, its HMAC, its line.

A row is a JSON object in the form of RFC 8785. The line that is kept of it is those bytes with `,"hmac":"<64 hex
digits>"` put in before the last brace, so that whoever verifies takes the bytes as they lie there and never parses and
writes them again. The row names the HMAC of the row before it (`prev`), which makes the chain.
"""

from __future__ import annotations

import functools
import hashlib
import json.encoder
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.ledger.verifier import Mac

# Structs with `gc=False` can be in no cycle, and there are many: the collector need not visit them.
GENESIS = "0" * 64
NO_HEAD = bytes(32)
MAX_TEXT = 512
# ,"hmac":"<64>"} at the end of a line.
_TAIL = 75
_MARK = b',"hmac":"'


class Accessor(msgspec.Struct, frozen=True, gc=False):
    """Who saw or used the data; `trace_id` is empty for work outside of any trace, and written all the same."""

    kind: str
    id: str
    trace_id: str


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What happened to one person's data.

    Attributes:
        subject: Id of the person, as in their corpus.
        action: `search`, `view`, `sql`, `fill`, `message`, `export`, `remember`, `erase`, ...
        purpose: What for.
        fields: Names of the fields shown or used, sorted; never their values.
        result: How it ended, such as `shown`.
    """

    subject: str
    action: str
    purpose: str
    fields: tuple[str, ...]
    result: str


class Run(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Events in a row that differ in their subject alone: what is known of their rows before one is due.

    Attributes:
        before: Of each row from its action to its key's id.
        after: From its purpose to its number.
        subjects: Of each row the subject, and that as it stands in the row.
    """

    before: str
    after: str
    subjects: tuple[tuple[str, str], ...]


class Prepared(msgspec.Struct, frozen=True, gc=False):
    """Events made ready for rows, for whoever writes the same ones again and again; see `prepare`."""

    runs: tuple[Run, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row as it is read back from a line."""

    seq: int
    time: str
    subject: str
    action: str
    purpose: str
    accessor: Accessor
    fields: list[str]
    result: str
    key_id: str
    prev: str
    hmac: str


class Link(msgspec.Struct, frozen=True):
    """What of a line makes the chain."""

    seq: int
    subject: str
    key_id: str
    prev: str
    hmac: str


class Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a chain stands: its rows, the HMAC of the last one, the hash over all lines."""

    count: int
    tip: str
    head: bytes


NEW = Head(0, GENESIS, NO_HEAD)

_row = msgspec.json.Decoder(Row).decode
link = msgspec.json.Decoder(Link).decode
"""Decode the chain's part of a line; raises `msgspec.DecodeError`."""


class Key(Mac):
    """An HMAC key that writes, with what many rows begin with hashed once."""

    def begin(self, message: bytes) -> Any:
        """Return a hash to be copied and finished for every row that begins with these bytes."""
        begun = self._inner.copy()
        begun.update(message)
        return begun

    @property
    def outer(self) -> Any:
        """The hash that ends every HMAC, to be copied."""
        return self._outer


class Writer:
    """Makes lines for many events of one moment and one accessor.

    Args:
        key: The bytes, or made ready by whoever writes with it often.
        key_id: Its name.
        accessor: Who saw or used the data.
        time: Of all rows, see `timestamp`.

    >>> writer = Writer(b"k" * 32, "k1", Accessor("local", "operator", ""), "2026-11-26T09:00:00.000000010Z")
    >>> event = Event(subject="w-1", action="view", purpose="staffing", fields=("name",), result="shown")
    >>> line, tip = writer.line(event, seq=1, prev=GENESIS)
    >>> line[-75:-66], len(tip)
    (b',"hmac":"', 64)
    """

    def __init__(self, key: bytes | Key, key_id: str, accessor: Accessor, time: str) -> None:
        self._key = key if isinstance(key, Key) else Key(key)
        self._begin = (
            f'{{"accessor":{{"id":{text(accessor.id)},"kind":{text(accessor.kind)},'
            f'"trace_id":{text(accessor.trace_id)}}},"action":'
        )
        self._key_id = text(key_id)
        self._end = f',"time":{text(time)}'

    def canonical(self, event: Event, *, seq: int, prev: str) -> bytes:
        """Return the row in the form of RFC 8785.

        Raises:
            InvalidInput: A text is no valid Unicode.
        """
        before, after = self._around(event)
        row = f'{before}{prev}{after}{seq},"subject":{text(event.subject)}{self._end}}}'
        try:
            return row.encode()
        except UnicodeEncodeError:
            raise _not_unicode(event.subject) from None

    def line(self, event: Event, *, seq: int, prev: str) -> tuple[bytes, str]:
        """Return a row's line, without a line break, and its HMAC."""
        canonical = self.canonical(event, seq=seq, prev=prev)
        tip = self._key.hex(canonical)
        return canonical[:-1] + _MARK + tip + b'"}', tip.decode()

    def chained(
        self, events: Sequence[Event] | Prepared, heads: Mapping[str, Head]
    ) -> tuple[list[bytes], dict[str, Head]]:
        """Return the lines of events, each put to the end of its subject's chain, and where those chains stand then.

        The lines are those of `line`. What comes before a row's own chain is put together and hashed once for a run.

        Raises:
            InvalidInput: A text is no valid Unicode.
        """
        lines: list[bytes] = []
        moved: dict[str, Head] = {}
        copied, emptied, known = self._key.outer.copy, _EMPTY.copy, heads.get
        # People of two corpora take turns in an answer, and with them two ways to begin a row.
        begins: dict[str, tuple[bytes, Callable[[], Any]]] = {}
        for run in prepare(events).runs:
            if run.before not in begins:
                encoded = self._encoded(run)
                begins[run.before] = encoded, self._key.begin(encoded).copy
            before, begun = begins[run.before]
            after, end = run.after, self._end
            # What is done for every row: each call that is not made here is made ten times less for an answer.
            for subject, named in run.subjects:
                head = moved.get(subject) or known(subject) or NEW
                seq = head.count + 1
                row = f"{head.tip}{after}{seq}{named}{end}".encode()
                inner, mac, running = begun(), copied(), emptied()
                inner.update(row)
                inner.update(b"}")
                mac.update(inner.digest())
                tip = mac.hexdigest()
                line = b"".join((before, row, _MARK, tip.encode(), b'"}'))
                running.update(head.head)
                running.update(line)
                moved[subject] = Head(seq, tip, running.digest())
                lines.append(line)
        return lines, moved

    def _encoded(self, run: Run) -> bytes:
        """Return what the rows of a run begin with, up to the HMAC of the row before."""
        try:
            return f'{self._begin}{run.before}{self._key_id},"prev":"'.encode()
        except UnicodeEncodeError:
            raise _not_unicode(run.subjects[0][0]) from None

    def _around(self, event: Event) -> tuple[str, str]:
        before, after = _shared(event)
        return f'{self._begin}{before}{self._key_id},"prev":"', after


def prepare(events: Sequence[Event] | Prepared) -> Prepared:
    """Make events ready for rows; what is ready stays as it is.

    Raises:
        InvalidInput: A text is no valid Unicode.

    >>> event = Event(subject="w-1", action="view", purpose="staffing", fields=("name",), result="shown")
    >>> writer = Writer(b"k" * 32, "k1", Accessor("local", "operator", ""), "2026-11-26T09:00:00.000000010Z")
    >>> lines, _ = writer.chained(prepare([event]), {})
    >>> lines == [writer.line(event, seq=1, prev=GENESIS)[0]]
    True
    """
    if isinstance(events, Prepared):
        return events
    runs: list[tuple[Event, list[tuple[str, str]]]] = []
    of: Event | None = None
    for event in events:
        # People of one answer mostly share everything but who they are.
        if of is None or not _alike(event, of):
            of = event
            runs.append((of, []))
        named = f',"subject":{text(event.subject)}'
        runs[-1][1].append((event.subject, named))
    return Prepared(tuple(_run(of, subjects) for of, subjects in runs))


def _alike(event: Event, other: Event) -> bool:
    return (
        event.fields is other.fields
        and event.action == other.action
        and event.purpose == other.purpose
        and event.result == other.result
    )


def _run(of: Event, subjects: list[tuple[str, str]]) -> Run:
    run = Run(*_shared(of), tuple(subjects))
    try:
        f"{run.before}{run.after}{''.join(named for _, named in subjects)}".encode()
    except UnicodeEncodeError:
        wrong = (subject for subject, _ in subjects if any("\ud800" <= sign <= "\udfff" for sign in subject))
        raise _not_unicode(next(wrong, of.subject)) from None
    return run


def _shared(event: Event) -> tuple[str, str]:
    """Return what is the same in the rows of events that differ in their subject alone."""
    return (
        f'{text(event.action)},"fields":[{_listed(event.fields)}],"key_id":',
        f'","purpose":{text(event.purpose)},"result":{text(event.result)},"seq":',
    )


@functools.lru_cache(maxsize=256)
def _listed(fields: tuple[str, ...]) -> str:
    return ",".join(map(text, fields))


def _not_unicode(subject: str) -> InvalidInput:
    return InvalidInput(f"{ascii(subject)[:80]} is not valid Unicode", field="subject")


# Copied: to make a new one takes longer than to hash a line with it.
_EMPTY = hashlib.sha256()

text = json.encoder.encode_basestring
"""Return a string as JSON; for strings the encoder does what RFC 8785 asks for."""


def canonical_of(line: bytes) -> tuple[bytes, str]:
    """Take a line apart into the row's canonical bytes and its HMAC, without parsing either.

    Raises:
        ValueError: It does not end as a line must.
    """
    tail = line[-_TAIL:]
    if len(line) <= _TAIL or not tail.startswith(_MARK) or not tail.endswith(b'"}'):
        raise ValueError("the line does not end in its HMAC")
    return line[:-_TAIL] + b"}", tail[len(_MARK) : -2].decode("ascii", "replace")


def read(line: bytes) -> Row:
    """Decode a line.

    Raises:
        ValueError: It is no row.
    """
    return _row(line)


def advance(head: bytes, line: bytes) -> bytes:
    """Return the head of a chain after a line more: the SHA-256 of the head before and the line.

    Heads are what the tree of checkpoints holds. They need no key, so anybody can check a chain against them.
    """
    return hashlib.sha256(head + line).digest()


def timestamp(moment: datetime) -> str:
    """Return a moment in RFC 3339, UTC, with nine digits of a second, trailing zeros written."""
    # Six digits, or no point at all, and a "Z": a tenth of the time that `isoformat` takes.
    written: str = msgspec.to_builtins(moment if moment.tzinfo is UTC else moment.astimezone(UTC))
    return f"{written[:-1]}000Z" if moment.microsecond else f"{written[:-1]}.000000000Z"


def needle(subject: str) -> bytes:
    """Return bytes that every line of a subject holds and no other line does."""
    return f',"subject":{text(subject)},"time":"'.encode()


def fields_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of fields in the order rows have them."""
    return tuple(sorted(names))
