"""Check a ledger, with nothing of lakehouse but this file: `python verifier.py DIR`.

It needs Python 3.11 and the package `cryptography`. It is one file, though a long one, because auditors get it: they
can read all that decides, and run it where nothing else of lakehouse is. DIR is a ledger (or the lake that holds it in
`ledger/`), or the bundle of one subject. What is checked, and answered apart:

- integrity: every row has the form and the HMAC it must have, follows the row it names, and hashes to what the signed
  tree says of it; every checkpoint is signed and its tree a continuation of the one before. The first bad row is named.
- completeness: nothing that a signed checkpoint speaks of is missing, neither the end of a chain nor a whole subject.
- freshness: the ledger goes on from the checkpoints that were put in a second place (`--anchor`); one that was set back
  to an older state, or forked, does not.

Without the HMAC keys (`--keys`) rows are checked by the tree alone, which anybody can do with the public key.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

GENESIS = b"0" * 64
_NEW = (0, GENESIS, bytes(32))
_S = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FRONT = re.compile(
    rb'\{"accessor":\{"id":%(s)s,"kind":%(s)s,"trace_id":%(s)s\},"action":%(s)s,"fields":\[(?:%(s)s(?:,%(s)s)*)?\],'
    rb'"key_id":"(k[1-9][0-9]*)"' % {b"s": _S}
)
_PREV = b',"prev":"'  # Within a text a quote has a backslash before it, so this cannot stand there.
_REST = re.compile(
    rb'([0-9a-f]{64})","purpose":%(s)s,"result":%(s)s,"seq":([1-9][0-9]*),"subject":(%(s)s),'
    rb'"time":"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{9}Z","hmac":"([0-9a-f]{64})"\}' % {b"s": _S}
)
ROW = re.compile(_FRONT.pattern + _PREV + _REST.pattern)
_TAIL = 75  # bytes of `,"hmac":"<64>"}`
_CHECKPOINT = re.compile(r"(?P<origin>[^\n+]+)\n(?P<size>[0-9]+)\n(?P<root>[^\n]+)\n\n")
_BLOCK = 4_096
_PARTS = ("LAKE.json", "bundle.json", "checkpoints.jsonl", "keys", "ledger", "rows.jsonl", "tree.jsonl")


class Bad(Exception):
    """Something is not what it must be; the message names it."""


@dataclass
class Chain:
    """The answer for one subject: rows checked, HMAC of the last good one, and the first fault."""

    rows: int = 0
    tip: str = ""
    verified: bool = True
    error: str = ""


@dataclass
class Answer:
    """One of the three answers: true, false, or null when it cannot be told."""

    ok: bool | None = True
    error: str = ""

    def fail(self, reason: str) -> None:
        """Take the first fault; later ones mostly follow from it."""
        if self.ok is not False:
            self.ok, self.error = False, reason


@dataclass
class Report:
    """All that was found.

    `signed_rows` of `rows` stand under a checkpoint; `torn_bytes` are what a crash left of a row that nobody was told
    of; `hmac_checked` is false when no keys were at hand; `public` is the key that signatures were checked with.
    """

    integrity: Answer = field(default_factory=Answer)
    completeness: Answer = field(default_factory=Answer)
    freshness: Answer = field(default_factory=lambda: Answer(None, "no anchor given"))
    rows: int = 0
    subjects: int = 0
    checkpoints: int = 0
    signed_rows: int = 0
    anchored_size: int = 0
    tree_size: int = 0
    torn_bytes: int = 0
    hmac_checked: bool = False
    public: str = ""

    @property
    def good(self) -> bool:
        """Nothing is wrong."""
        return False not in (self.integrity.ok, self.completeness.ok, self.freshness.ok)


def verify_chain(lines: Iterable[bytes], keys: Mapping[str, bytes], subject: str | None = None) -> Chain:
    """Check the rows of one subject, oldest first, from their bytes."""
    chain = Chain(tip=GENESIS.decode())
    try:
        for number, _, mac in _followed(lines, _macs(keys), subject):
            chain.rows, chain.tip = number, mac.decode()
    except Bad as fault:
        chain.verified, chain.error = False, str(fault)
    return chain


def _followed(
    lines: Iterable[bytes], macs: Mapping[bytes, Mac] | None, subject: str | None
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, line and HMAC of each row that is good; without `macs` HMACs are not checked."""
    tip, named = GENESIS, subject and json.dumps(subject, ensure_ascii=False).encode()
    for number, line in enumerate(lines, 1):
        match = ROW.fullmatch(line)
        if match is None:
            raise Bad(f"row {number} has not the form of a row")
        key_id, prev, seq, whose, mac = match.groups()
        if macs is not None and key_id not in macs:
            raise Bad(f"row {number} was written with the key {key_id.decode()}, which is not here")
        if macs is not None and macs[key_id].hex(line[:-_TAIL] + b"}") != mac:
            raise Bad(f"row {number} has an HMAC that does not fit its bytes")
        if named and whose != named:
            raise Bad(f"row {number} belongs to {whose.decode()}")
        if prev != tip or int(seq) != number:
            raise Bad(f"row {number} does not follow the row before it")
        tip = mac
        yield number, line, mac


class Mac:
    """HMAC-SHA256 under one key, with the key's two blocks hashed once: half the time of a call with the key."""

    def __init__(self, key: bytes) -> None:
        key = hashlib.sha256(key).digest() if len(key) > 64 else key
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key.ljust(64, b"\0")))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key.ljust(64, b"\0")))

    def hex(self, message: bytes) -> bytes:
        """Return the HMAC of a message as 64 hexadecimal digits."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.hexdigest().encode()


def _macs(keys: Mapping[str, bytes]) -> dict[bytes, Mac]:
    return {name.encode(): Mac(key) for name, key in keys.items()}


def _keys_in(folder: Path | None) -> dict[bytes, Mac]:
    return _macs({path.stem: path.read_bytes() for path in sorted(folder.glob("k*.key"))}) if folder else {}


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf of the tree (RFC 6962, SHA-256)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Range:
    """A tree from its first leaf on, kept as the hashes of its whole subtrees, largest first."""

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = [*hashes]

    def append(self, leaf: bytes) -> None:
        """Add the hash of a leaf."""
        self.hashes.append(leaf)
        size = self.size
        while size & 1:
            right = self.hashes.pop()
            self.hashes[-1] = node_hash(self.hashes[-1], right)
            size >>= 1
        self.size += 1

    def root(self) -> bytes:
        """Return the hash of the whole tree."""
        if not self.hashes:
            return hashlib.sha256(b"").digest()
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root


def root_of_inclusion(index: int, size: int, leaf: bytes, proof: Iterable[bytes]) -> bytes:
    """Return the root that an inclusion proof leads to (RFC 9162, 2.1.3.2)."""
    if index >= size:
        raise Bad("an inclusion proof speaks of a leaf outside of its tree")
    fn, sn, root = index, size - 1, leaf
    for step in proof:
        if sn == 0:
            raise Bad("an inclusion proof is too long")
        if fn & 1 or fn == sn:
            root = node_hash(step, root)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            root = node_hash(root, step)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise Bad("an inclusion proof is too short")
    return root


# Signed checkpoints: C2SP signed-note and tlog-checkpoint.


def vkey(name: str, public: bytes) -> str:
    """Return a public key in the form `<name>+<hash>+<key>`."""
    coded = base64.b64encode(b"\x01" + public).decode()
    return f"{name}+{_key_hash(name, public).hex()}+{coded}"


def public_key(text: str) -> bytes:
    """Return the public key of a vkey.

    Raises:
        Bad: It is none.
    """
    try:
        name, digest, coded = _split(text)
        raw = base64.b64decode(coded, validate=True)
    except ValueError:
        raise Bad("the public key cannot be read") from None
    if len(raw) != 33 or raw[:1] != b"\x01" or _key_hash(name, raw[1:]).hex() != digest:
        raise Bad("the public key cannot be read")
    return raw[1:]


def _split(text: str) -> list[str]:
    # The key itself is base64 and may hold a plus.
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise Bad("cannot be checked: there is no public key (public.vkey) to check it with")
    return parts


def _key_hash(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]


def note(text: str, key: str, signature: bytes) -> str:
    """Return a text with its signature."""
    name, digest, _ = _split(key)
    coded = base64.b64encode(bytes.fromhex(digest) + signature).decode()
    return f"{text}\n\u2014 {name} {coded}\n"


@lru_cache(maxsize=4096)  # An anchor holds the same notes as the ledger.
def is_signed(signed: str, key: str) -> bool:
    """Tell whether a text is a note signed by this key, and written as one must be."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    name, digest, _ = _split(key)
    text, mark, line = signed.rpartition(f"\n\u2014 {name} ")
    try:
        coded = base64.b64decode(line.removesuffix("\n"), validate=True)
        Ed25519PublicKey.from_public_bytes(public_key(key)).verify(coded[4:], text.encode())
    except (ValueError, InvalidSignature):
        return False
    return bool(mark) and coded[:4].hex() == digest and note(text, key, coded[4:]) == signed


def open_note(signed: str, key: str) -> tuple[int, bytes]:
    """Check the signature of a checkpoint and return its tree's size and root.

    Raises:
        Bad: It is no checkpoint of this log, or not signed by this key.
    """
    name, _, _ = _split(key)
    match = _CHECKPOINT.match(signed)
    if match is None or match["origin"] != name:
        raise Bad("is no checkpoint of this log")
    if not is_signed(signed, key):
        raise Bad("has a signature that does not fit")
    try:
        root = base64.b64decode(match["root"], validate=True)
    except ValueError:
        raise Bad("is no checkpoint of this log") from None
    return int(match["size"]), root


def verify(
    folder: Path, *, keys: Path | None = None, anchors: Sequence[Path] = (), public: str | None = None
) -> Report:
    """Check a whole ledger.

    Args:
        folder: Of the ledger, or of the lake around it.
        keys: Folder of the keys; `keys` in the ledger when None and there.
        anchors: Folders with checkpoints that were put elsewhere.
        public: The public key, from a place one trusts; else of the first anchor, else of the keys' folder.
    """
    folder = folder / "ledger" if (folder / "ledger").is_dir() else folder
    keys = keys if keys is not None else folder / "keys"
    trusted = _public(public, [*anchors, keys])
    check = _Check(folder, keys, anchors, trusted)
    if _public(None, [keys]) not in ("", trusted):
        check.report.integrity.fail("the ledger has another public key than the one it is checked with")
    return check.run()


def _public(given: str | None, places: Iterable[Path]) -> str:
    if given:
        return given.strip()
    for place in places:
        if (place / "public.vkey").is_file():
            return (place / "public.vkey").read_bytes().decode("ascii", "replace").removesuffix("\n")
    return ""


class _Check:
    """One run over one ledger."""

    def __init__(self, folder: Path, keys: Path, anchors: Sequence[Path], public: str) -> None:
        self.folder, self.anchors, self.public = folder, anchors, public
        self.report = Report(public=public)
        self.keys = _keys_in(keys)
        self.report.hmac_checked = bool(self.keys)
        # What leaves say: of a subject after so many rows, and of the whole log after so many.
        self.heads: dict[bytes, dict[int, bytes]] = {}
        self.newest: dict[bytes, int] = {}
        self.marks: list[tuple[int, int, str]] = []
        self.signed_marks = 0
        self.ends: list[int] = []

    def run(self) -> Report:
        try:
            anchored = self._anchored()
            self._tree(anchored)
        except Bad as fault:
            self.report.integrity.fail(str(fault))
        self._rows()
        if self.report.good and not self.report.rows + self.report.tree_size:
            self.report.completeness = Answer(None, "nothing is written here: it is new, or all of it is gone")
        return self.report

    def _anchored(self) -> list[tuple[str, int, bytes]]:
        found = []
        for place in self.anchors:
            paths = sorted(place.glob("*.checkpoint"))
            if not paths:
                self.report.freshness.fail(f"anchor {place} holds no checkpoint: it is not there, or another folder")
            for path in paths:
                text = path.read_text(encoding="utf-8", errors="replace")
                try:
                    found.append((str(path), *open_note(text, self.public)))
                except Bad as fault:
                    self.report.freshness.fail(f"anchor {path} {fault}")
        if found and self.report.freshness.ok is None:
            self.report.freshness = Answer()
            self.report.anchored_size = max(size for _, size, _ in found)
        return found

    def _tree(self, anchored: list[tuple[str, int, bytes]]) -> None:
        """Check leaves, checkpoints and anchors against each other."""
        history = [self._entry(number, line) for number, line in enumerate(lines(self.folder, "checkpoints"), 1)]
        sizes = {size for size, *_ in history}
        wanted = sizes | {size for _, size, _ in anchored}
        tree, at, roots = Range(), 0, {0: Range().root()}
        states: dict[int, tuple[int, list[str]]] = {0: (0, [])}
        for line in lines(self.folder, "tree"):
            self._leaf(tree.size + 1, line)
            tree.append(leaf_hash(line))
            at += len(line) + 1
            if tree.size in sizes:
                self.signed_marks = len(self.marks)
            if tree.size in wanted:
                roots[tree.size] = tree.root()
                states[tree.size] = (at, [each.hex() for each in tree.hashes])
        self.report.tree_size, self.report.checkpoints = tree.size, len(history)
        self._unsigned_ends(sizes)
        last = 0
        for number, (size, root, offset, hashes) in enumerate(history, 1):
            if size > tree.size:
                self.report.completeness.fail(
                    f"checkpoint {number} signs {size} leaves, of which {tree.size} are there"
                )
            elif size <= last or roots[size] != root or states[size] != (offset, hashes):
                raise Bad(f"checkpoint {number} does not fit the tree")
            last = size
        for path, size, root in anchored:
            if size > max(last, 0) or size not in roots:
                self.report.freshness.fail(f"anchor {path} signs {size} leaves, the ledger {last}: it was set back")
            elif roots[size] != root:
                self.report.freshness.fail(f"anchor {path} signs another tree of {size} leaves: the ledger was forked")

    def _unsigned_ends(self, sizes: set[int]) -> None:
        """Miss checkpoints in the middle: every one ends in a mark, so every mark but the newest has one."""
        for size in self.ends:
            if size not in sizes and size < max(sizes, default=0):
                self.report.completeness.fail(f"the checkpoint of {size} leaves is missing")

    def _entry(self, number: int, line: bytes) -> tuple[int, bytes, int, list[str]]:
        try:
            entry: dict[str, Any] = json.loads(line)
            size, root = open_note(entry["note"], self.public)
            offset, hashes = entry["at"], entry["range"]
            again = {"at": offset, "note": entry["note"], "range": hashes, "size": size}
            if json.dumps(again, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() != line:
                raise Bad("is not written as a checkpoint must be")
        except Bad as fault:
            raise Bad(f"checkpoint {number} {fault}") from None
        except (ValueError, KeyError, TypeError):
            raise Bad(f"checkpoint {number} cannot be read") from None
        return size, root, offset, hashes

    def _leaf(self, number: int, line: bytes) -> None:
        try:
            leaf: dict[str, Any] = json.loads(line)
            if "subject" in leaf:
                subject = json.dumps(leaf["subject"], ensure_ascii=False).encode()
                self.newest[subject] = _above(self.newest.get(subject, 0), leaf["count"])
                self.heads.setdefault(subject, {})[leaf["count"]] = bytes.fromhex(leaf["head"])
            else:
                rows, size, _ = self.marks[-1] if self.marks else (0, 0, "")
                mark = _above(rows, leaf["rows"]), _above(size, leaf["bytes"]), leaf["digest"]
                self.marks.append(mark)
                self.ends.append(number)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Bad(f"leaf {number} cannot be read, or sets back what a leaf before it says") from None

    def _rows(self) -> None:
        """Check every row, and the log as a whole up to each mark."""
        chains: dict[bytes, tuple[int, bytes, bytes]] = {}
        log = lines(self.folder, "rows", self.report)
        size, before = 0, bytes(32)
        try:
            for number, (due, signed_size, digest) in enumerate(self.marks, 1):
                running = hashlib.sha256(before)
                while block := [*islice(log, min(due - self.report.rows, _BLOCK))]:
                    self._block(block, chains)
                    text = b"\n".join([*block, b""])
                    size += len(text)
                    running.update(text)
                if self.report.rows < due:
                    self.report.completeness.fail(f"{due} rows were signed, {self.report.rows} are there")
                    break
                before = running.digest()
                if (size, before.hex()) != (signed_size, digest):
                    raise Bad(f"row {due} or one before it is not as it was signed")
                if number <= self.signed_marks:
                    self.report.signed_rows = due
            while block := [*islice(log, _BLOCK)]:
                self._block(block, chains)
        except Bad as fault:
            self.report.integrity.fail(str(fault))
            return
        self._missing(chains)

    def _block(self, block: list[bytes], chains: dict[bytes, tuple[int, bytes, bytes]]) -> None:
        """Check some rows; written for speed, as there may be many millions."""
        match, sha256, macs, heads = _REST.fullmatch, hashlib.sha256, self.keys, self.heads
        fronts: dict[bytes, bytes] = {}  # Who asked, how and for what: the same in all rows of one answer.
        for number, line in enumerate(block, self.report.rows + 1):
            front, _, rest = line.partition(_PREV)
            if front not in fronts:
                form = _FRONT.fullmatch(front)
                fronts[front] = form[1] if form else b""
            row, key_id = match(rest), fronts[front]
            if row is None or not key_id:
                raise Bad(f"row {number} has not the form of a row")
            prev, seq, subject, mac = row.groups()
            try:
                if macs and macs[key_id].hex(line[:-_TAIL] + b"}") != mac:
                    raise Bad(f"row {number} has an HMAC that does not fit its bytes")
            except KeyError:
                raise Bad(f"row {number} was written with the key {key_id.decode()}, which is not here") from None
            count, tip, head = chains.get(subject, _NEW)
            count += 1
            if prev != tip or int(seq) != count:
                of = f"(row {seq.decode()} of {subject.decode()})"
                raise Bad(f"row {number} {of} does not follow row {count - 1} of that subject")
            head = sha256(head + line).digest()
            if subject in heads and heads[subject].get(count, head) != head:
                raise Bad(f"row {number} (row {count} of {subject.decode()}) or one before it is not as it was signed")
            chains[subject] = (count, mac, head)
        self.report.rows += len(block)

    def _missing(self, chains: Mapping[bytes, tuple[int, bytes, bytes]]) -> None:
        self.report.subjects = len(chains)
        for subject, count in self.newest.items():
            found = chains.get(subject, _NEW)[0]
            if found < count:
                self.report.completeness.fail(f"subject {subject.decode()} has {found} rows, {count} were signed")


def _above(before: int, now: object) -> int:
    if type(now) is not int or now <= before:
        raise ValueError(now)
    return now


def lines(folder: Path, name: str, report: Report | None = None) -> Iterator[bytes]:
    """Yield the whole lines of a log, `name-000001.jsonl`, ... and then `name.jsonl`."""
    files = sorted(folder.glob(f"{name}-[0-9][0-9][0-9][0-9][0-9][0-9].jsonl"))
    for path in [*files, folder / f"{name}.jsonl"]:
        if not path.is_file():
            continue
        with path.open("rb") as handle:
            for line in handle:
                if line.endswith(b"\n"):
                    yield line[:-1]
                elif report is not None:
                    report.torn_bytes = len(line)


def verify_bundle(folder: Path, *, keys: Path | None = None, public: str | None = None) -> Report:
    """Check what an auditor was given of one subject: chain, proof, checkpoint."""
    report = Report()
    try:
        facts = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        chain = [line for line in (folder / "chain.jsonl").read_bytes().split(b"\n") if line]
        report.public = public or facts["vkey"]
        size, root = open_note((folder / "checkpoint").read_text(encoding="utf-8"), report.public)
        leaf = facts["leaf"].encode()
        proof = [base64.b64decode(step) for step in facts["proof"]]
        if root_of_inclusion(facts["index"], size, leaf_hash(leaf), proof) != root:
            raise Bad("the proof does not lead to the checkpoint")
        signed = json.loads(leaf)
        if signed["subject"] != facts["subject"]:
            raise Bad("the proof is of another subject")
        report.subjects, report.checkpoints, report.tree_size = 1, 1, size
        _bundled(report, chain, signed, keys)
    except Bad as fault:
        report.integrity.fail(str(fault))
    except (OSError, ValueError, KeyError, TypeError) as fault:
        report.integrity.fail(f"the bundle cannot be read: {fault}")
    return report


def _bundled(report: Report, chain: list[bytes], signed: Mapping[str, Any], keys: Path | None) -> None:
    macs = _keys_in(keys)
    report.hmac_checked = bool(macs)
    head = bytes(32)
    for number, line, _ in _followed(chain, macs or None, signed["subject"]):
        head, report.rows = hashlib.sha256(head + line).digest(), number
        if number == signed["count"]:
            report.signed_rows = number
            if head.hex() != signed["head"]:
                raise Bad(f"row {number} or one before it is not as it was signed")
    if report.rows < signed["count"]:
        report.completeness.fail(f"{signed['count']} rows were signed, {report.rows} are there")


def main(words: list[str] | None = None) -> int:
    """Run as a command; 0 when nothing is wrong, 1 when something is, 3 when there is nothing to check."""
    parser = argparse.ArgumentParser(description="Check a ledger, or the bundle of one subject.")
    parser.add_argument("folder", type=Path, help="ledger, lake or bundle")
    parser.add_argument("--keys", type=Path, help="folder of the HMAC keys")
    parser.add_argument("--anchor", type=Path, action="append", default=[], help="folder of checkpoints kept elsewhere")
    parser.add_argument("--public", help="public key (vkey) from a place you trust")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args(words)
    lacks = "" if any((given.folder / name).exists() for name in _PARTS) else f"{given.folder} holds no ledger"
    if given.keys and not _keys_in(given.keys):
        lacks = f"{given.keys} holds no keys (k1.key, ...)"
    if lacks:
        sys.stderr.write(f"error: {lacks}; name a folder that does\n")
        return 3
    if (given.folder / "bundle.json").is_file():
        report = verify_bundle(given.folder, keys=given.keys, public=given.public)
    else:
        report = verify(given.folder, keys=given.keys, anchors=given.anchor, public=given.public)
    sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n" if given.json else words_of(report))
    return 0 if report.good else 1


def words_of(report: Report) -> str:
    """Return a report as lines of text."""
    said = {True: "good", False: "BAD", None: "unknown"}
    answers = [("integrity", report.integrity), ("completeness", report.completeness), ("freshness", report.freshness)]
    found = [f"{name:<14}{said[answer.ok]}{': ' + answer.error if answer.error else ''}" for name, answer in answers]
    found.append(
        f"{report.rows} rows of {report.subjects} subjects, {report.signed_rows} rows under {report.checkpoints} signed"
        f" checkpoints; HMACs {'checked' if report.hmac_checked else 'not checked (no keys)'}"
    )
    if report.public:
        found.append(f"signed by {report.public}; compare that with a copy you trust, or name it with --public")
    if report.torn_bytes:
        found.append(f"the log ends in {report.torn_bytes} bytes of a row that was never acknowledged")
    return "\n".join(found) + "\n"


if __name__ == "__main__":
    sys.exit(main())
