"""Canonical bytes and HMACs against the standards' own vectors, and against another implementation."""

import hmac
import json
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput
from lakehouse.ledger import rows
from lakehouse.ledger.rows import GENESIS, NEW, Accessor, Event, Head, Writer, advance
from lakehouse.ledger.verifier import ROW, Mac

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
KEY = bytes(range(32))
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@given(texts, texts, texts, texts, st.lists(texts, max_size=4), texts, texts, st.integers(1, 2**53 - 1))
def test_row_is_canonical_json(subject, who, trace, action, fields, purpose, result, seq):
    event = Event(subject=subject, action=action, purpose=purpose, fields=tuple(fields), result=result)
    writer = Writer(KEY, "k1", Accessor("key", who, trace), "2026-11-26T09:30:17.461439210Z")
    line, tip = writer.line(event, seq=seq, prev=GENESIS)
    canonical = writer.canonical(event, seq=seq, prev=GENESIS)
    assert canonical == rfc8785.dumps(json.loads(canonical))
    assert rows.canonical_of(line) == (canonical, tip)
    assert tip == hmac.digest(KEY, canonical, "sha256").hex()
    assert ROW.fullmatch(line)
    read = rows.read(line)
    assert (read.subject, read.accessor.id, read.accessor.trace_id) == (subject, who, trace)
    assert (read.action, read.fields, read.purpose, read.result, read.seq) == (action, fields, purpose, result, seq)
    assert rows.needle(subject) in line


def test_row_with_lone_surrogate_is_refused():
    writer = Writer(KEY, "k1", Accessor("key", "x", ""), "t")
    with pytest.raises(InvalidInput, match="Unicode"):
        writer.line(Event(subject="\ud800", action="a", purpose="p", fields=(), result="r"), seq=1, prev=GENESIS)


def test_row_writes_empty_fields():
    writer = Writer(KEY, "k1", Accessor("local", "", ""), "t")
    line, _ = writer.line(Event(subject="w-1", action="", purpose="", fields=(), result=""), seq=1, prev=GENESIS)
    for written in (b'"trace_id":""', b'"id":""', b'"fields":[]', b'"purpose":""', b'"result":""'):
        assert written in line


@pytest.mark.parametrize("line", [b"", b"{}", b'{"a":1,"hmac":"' + b"0" * 64 + b'"]'])
def test_canonical_of_anything_else_is_refused(line):
    with pytest.raises(ValueError, match="HMAC"):
        rows.canonical_of(line)


def test_timestamp_keeps_trailing_zeros_and_is_utc():
    east = timezone(timedelta(hours=5, minutes=30))
    assert rows.timestamp(datetime(2026, 11, 26, 9, 0, 0, 120000, tzinfo=UTC)) == "2026-11-26T09:00:00.120000000Z"
    assert rows.timestamp(datetime(2026, 11, 26, 9, 0, 0, tzinfo=east)) == "2026-11-26T03:30:00.000000000Z"


def _hmac_vectors(name):
    path = SHARED / "hmac_vectors" / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    for block in re.split(r"\n\s*\n", path.read_text()):
        facts = dict(re.findall(r"^(\w+) = (.*)$", block, re.MULTILINE))
        if {"Key", "Msg", "MD"} <= facts.keys():
            yield facts


def test_mac_passes_rfc_4231():
    checked = 0
    for facts in _hmac_vectors("rfc-4231-sha256.txt"):
        key, message, digest = (bytes.fromhex(facts[name].strip().strip('"')) for name in ("Key", "Msg", "MD"))
        assert Mac(key).hex(message).decode()[: 2 * len(digest)] == digest.hex()
        checked += 1
    assert checked >= 6


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_standard_library_passes_rfc_2202(digest):
    checked = 0
    for facts in _hmac_vectors(f"rfc-2202-{digest}.txt"):
        key, message, expected = (bytes.fromhex(facts[name].strip().strip('"')) for name in ("Key", "Msg", "MD"))
        assert hmac.new(key, message, digest).hexdigest()[: 2 * len(expected)] == expected.hex()
        checked += 1
    assert checked >= 6


def test_canonical_json_passes_rfc_8785():
    folder = SHARED / "jcs" / "testdata"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    for path in sorted((folder / "input").glob("*.json")):
        value = json.loads(path.read_text(encoding="utf-8"))
        assert rfc8785.dumps(value) == (folder / "output" / path.name).read_bytes().rstrip(b"\n"), path.name


@given(st.dictionaries(texts, texts, max_size=5))
def test_text_is_as_in_canonical_json(strings):
    for text in strings.values():
        assert rows.text(text).encode() == rfc8785.dumps(text)


@given(
    st.lists(
        st.builds(
            Event,
            subject=st.sampled_from(["w-1", "w-2", 'w-"\u00e9\\\n']),
            action=st.sampled_from(["search", "view"]),
            purpose=st.sampled_from(["staffing", "\U0001f600"]),
            fields=st.sampled_from([(), ("name",), ("city", "name")]),
            result=st.sampled_from(["shown", "not found"]),
        ),
        max_size=12,
    )
)
def test_chained_lines_are_those_of_line(events):
    writer = Writer(KEY, "k1", Accessor("key", "anna", "t-1"), "2026-11-26T09:30:17.461439210Z")
    before = {"w-2": Head(7, "f" * 64, b"h" * 32)}
    lines, moved = writer.chained(events, before)
    heads = dict(before)
    for event, line in zip(events, lines, strict=True):
        head = heads.get(event.subject, NEW)
        expected, tip = writer.line(event, seq=head.count + 1, prev=head.tip)
        assert line == expected
        heads[event.subject] = Head(head.count + 1, tip, advance(head.head, line))
    assert before | moved == heads


def test_prepared_events_give_the_same_lines_again_and_again():
    events = [
        Event(subject=f"w-{number % 3}", action=action, purpose="staffing", fields=("name",), result='shown "x"')
        for number, action in enumerate(["search", "search", "search", "view", "search"])
    ]
    prepared = rows.prepare(events)
    assert rows.prepare(prepared) is prepared
    plain, ready = {}, {}
    for trace in ("t-1", "t-2"):
        writer = Writer(KEY, "k1", Accessor("key", "anna", trace), "2026-11-26T09:30:17.461439210Z")
        lines, moved = writer.chained(prepared, ready)
        assert (lines, moved) == writer.chained(events, plain)
        plain |= moved
        ready |= moved
    assert ready["w-0"].count == 4


@pytest.mark.parametrize("field", ["subject", "action", "purpose", "fields", "result"])
def test_chained_with_lone_surrogate_is_refused(field):
    facts = {"subject": "w-1", "action": "view", "purpose": "staffing", "fields": ("name",), "result": "shown"}
    facts[field] = ("\ud800",) if field == "fields" else "\ud800"
    writer = Writer(KEY, "k1", Accessor("key", "x", ""), "t")
    with pytest.raises(InvalidInput, match="not valid Unicode"):
        writer.chained([Event(**facts)], {})


@given(st.integers(0, 2 * 10**17), st.integers(-14 * 60, 14 * 60))
def test_timestamp_is_what_the_calendar_says(microseconds, minutes):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    there = moment.astimezone(timezone(timedelta(minutes=minutes)))
    expected = moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
    assert rows.timestamp(there) == rows.timestamp(moment) == expected
