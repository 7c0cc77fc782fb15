"""Rows, checkpoints, keys and anchors on disk, and the verifier over them."""

import base64
import functools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lakehouse.errors import AlreadyExists, Conflict, IntegrityError, NotFound, PermissionDenied
from lakehouse.evals import ledger_mutations
from lakehouse.ledger import anchors, keys, rows, tree, verifier
from lakehouse.ledger.rows import GENESIS
from lakehouse.state.log import Log

VERIFIER = Path(verifier.__file__)


def anchored(folder):
    return lambda vkey: anchors.anchor(str(folder), vkey, lambda name, prefix: lambda key, data: None)


def test_chain_of_each_subject_is_its_own(book):
    one = book()
    one.write("w-1", "w-2", "w-1")
    one.write("w-1")
    lines = list(one.chains.lines("w-1"))
    assert [rows.read(line).seq for line in lines] == [1, 2, 3]
    assert rows.read(lines[0]).prev == GENESIS
    assert [rows.read(line).hmac for line in lines[:2]] == [rows.read(line).prev for line in lines[1:]]
    assert verifier.verify_chain(lines, one.ring.keys, "w-1").verified
    assert not verifier.verify_chain(lines, one.ring.keys, "w-2").verified
    assert list(one.chains.lines("w")) == []


def test_ledger_goes_on_after_a_restart(book):
    one = book()
    one.write("w-1", "w-2")
    one.sign()
    one.write("w-1")
    one.close()
    again = book()
    again.write("w-1")
    assert again.sign() is not None
    assert again.sign() is None
    report = verifier.verify(again.folder)
    assert (report.good, report.rows, report.signed_rows, report.checkpoints) == (True, 4, 4, 2)


def test_ledger_goes_on_from_its_snapshot(book, monkeypatch):
    monkeypatch.setattr("lakehouse.ledger.chains._ROWS_BETWEEN_SNAPSHOTS", 1)
    one = book()
    one.write("w-1", "w-2")
    one.sign()
    one.chains.snapshot()
    one.write("w-3")
    one.close()
    again = book()
    again.write("w-1", "w-3")
    again.sign()
    again.close()
    assert verifier.verify(one.folder).good
    data = bytearray((one.folder / "heads.bin").read_bytes())
    data[-1] ^= 1
    (one.folder / "heads.bin").write_bytes(data)
    third = book()
    third.write("w-1")
    third.sign()
    assert verifier.verify(one.folder).good


def test_torn_tail_is_reported_then_repaired(book):
    one = book()
    one.write("w-1")
    one.close()
    with (one.folder / "rows.jsonl").open("ab") as file:
        file.write(b'{"accessor":')
    report = verifier.verify(one.folder)
    assert (report.torn_bytes, report.rows, report.integrity.ok) == (12, 1, True)
    again = book()
    again.write("w-1")
    assert verifier.verify(one.folder).torn_bytes == 0


def test_leaves_without_a_signature_are_cut_off(book):
    one = book()
    one.write("w-1")
    one.sign()
    one.close()
    with (one.folder / "tree.jsonl").open("ab") as file:
        file.write(b'{"count":2,"head":"00","subject":"w-1"}\n')
    again = book()
    again.write("w-1")
    again.sign()
    assert verifier.verify(one.folder).good


@pytest.mark.parametrize("name", ["rows.jsonl", "tree.jsonl"])
def test_ledger_that_was_cut_off_does_not_open(book, name):
    one = book()
    one.write("w-1")
    one.sign()
    one.close()
    os.truncate(one.folder / name, 10)
    with pytest.raises(IntegrityError, match="cut off"):
        book()


def test_rotated_key_verifies_and_the_new_one_writes(book):
    one = book()
    one.write("w-1")
    one.chains.use(keys.rotate(one.ring))
    one.write("w-1")
    assert [rows.read(line).key_id for line in one.chains.lines("w-1")] == ["k1", "k2"]
    one.sign()
    assert verifier.verify(one.folder).good


def test_keys_open_to_others_or_short_or_gone_are_refused(book, tmp_path):
    one = book()
    one.write("w-1")
    one.close()
    key = one.folder / "keys" / "k1.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.chmod(0o640)
    with pytest.raises(PermissionDenied, match="chmod 600"):
        book()
    key.chmod(0o600)
    key.write_bytes(b"short")
    with pytest.raises(IntegrityError, match="at least 32"):
        book()
    key.unlink()
    with pytest.raises(NotFound, match="no keys"):
        book()


def test_anchor_finds_a_ledger_that_was_set_back(book, tmp_path):
    folder = tmp_path / "elsewhere"
    one = book()
    one.checkpoints._anchor = anchored(folder)(one.ring.vkey)
    one.write("w-1")
    one.sign()
    old = {path.name: path.read_bytes() for path in one.folder.glob("*.jsonl")}
    one.write("w-2")
    one.sign()
    one.close()
    report = verifier.verify(one.folder, anchors=[folder])
    assert (report.good, report.freshness.ok) == (True, True)
    for name, data in old.items():
        (one.folder / name).write_bytes(data)
    assert verifier.verify(one.folder).good
    report = verifier.verify(one.folder, anchors=[folder])
    assert report.freshness.ok is False
    assert "set back" in report.freshness.error
    again = book()
    again.write("w-3")
    again.write("w-4")
    again.sign()
    assert "forked" in verifier.verify(one.folder, anchors=[folder]).freshness.error


def test_anchor_in_git_is_a_commit_a_checkpoint(book, tmp_path):
    folder = tmp_path / "repository"
    environment = {
        "GIT_AUTHOR_NAME": "x",
        "GIT_AUTHOR_EMAIL": "x@y",
        "GIT_COMMITTER_NAME": "x",
        "GIT_COMMITTER_EMAIL": "x@y",
    }
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    for name, value in environment.items():
        os.environ[name] = value
    one = book()
    one.checkpoints._anchor = anchored(f"git:{folder}")(one.ring.vkey)
    try:
        for subject in ("w-1", "w-2"):
            one.write(subject)
            one.sign()
    finally:
        for name in environment:
            del os.environ[name]
    log = subprocess.run(["git", "-C", str(folder), "log", "--oneline"], capture_output=True, text=True, check=True)
    assert len(log.stdout.splitlines()) == 2
    assert verifier.verify(one.folder, anchors=[folder]).freshness.ok


class Bucket:
    """Objects that can be created and not replaced."""

    def __init__(self):
        self.objects = {}

    def put_if(self, key, data, *, etag):
        assert etag is None
        if key in self.objects:
            raise AlreadyExists("there is one")
        self.objects[key] = data

    def get(self, key):
        return self.objects[key]


def test_anchor_in_a_bucket_creates_only_and_meets_a_fork():
    opened = {}
    write = anchors.anchor(
        "s3://bucket/deep/prefix", "key", lambda name, prefix: opened.setdefault((name, prefix), Bucket())
    )
    write(7, "note")
    write(7, "note")
    assert opened["bucket", "deep/prefix"].objects == {"public.vkey": b"key\n", f"{7:020d}.checkpoint": b"note"}
    with pytest.raises(Conflict, match="forked or set back"):
        write(7, "another note")
    assert opened["bucket", "deep/prefix"].objects[f"{7:020d}.checkpoint"] == b"note"


def test_proof_of_a_subject_leads_to_the_checkpoint(book):
    one = book()
    for number in range(5):
        one.write(*(f"w-{at}" for at in range(number + 1)))
        one.sign()
    proof = one.checkpoints.prove("w-0")
    size, root = verifier.open_note(proof.checkpoint, one.ring.vkey)
    path = [base64.b64decode(step) for step in proof.path]
    assert verifier.root_of_inclusion(proof.index, size, verifier.leaf_hash(proof.leaf.encode()), path) == root
    with pytest.raises(NotFound):
        one.checkpoints.prove("w-9")


def test_checkpoints_are_consistent_with_each_other(book):
    one = book()
    seen = []
    for number in range(6):
        one.write(f"w-{number}", "w-0")
        seen.append(verifier.open_note(one.sign().note, one.ring.vkey))
    size, root = seen[-1]
    for first, old in seen[:-1]:
        assert tree.is_consistent(first, size, old, root, one.checkpoints.consistency(first))


def test_verifier_without_hmac_keys_uses_the_tree_alone(book, tmp_path):
    one = book()
    one.write("w-1", "w-2")
    one.sign()
    one.close()
    report = verifier.verify(one.folder, keys=tmp_path, public=one.ring.vkey)
    assert (report.good, report.hmac_checked) == (True, False)
    path = one.folder / "rows.jsonl"
    path.write_bytes(path.read_bytes().replace(b"shown", b"SHOWN", 1))
    assert "row 1 " in verifier.verify(one.folder, keys=tmp_path, public=one.ring.vkey).integrity.error
    assert "no public key" in verifier.verify(one.folder, keys=tmp_path).integrity.error


def test_verifier_stands_alone(book, tmp_path):
    one = book()
    one.write("w-1", "w-2")
    one.sign()
    one.close()
    alone = shutil.copy(VERIFIER, tmp_path / "verifier.py")
    done = subprocess.run(
        [sys.executable, "-I", alone, str(one.folder)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"integrity +good\ncompleteness +good\nfreshness +unknown", done.stdout)
    os.truncate(one.folder / "rows.jsonl", 0)
    done = subprocess.run(
        [sys.executable, "-I", alone, "--json", str(one.folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "2 rows were signed, 0 are there" in done.stdout


def test_mutations_are_all_found_and_clean_ledgers_are_good():
    outcome = ledger_mutations.run(300, seed=random.randrange(10**6), specimens=6)
    assert outcome.missed == []
    assert outcome.false_alarms == []
    assert outcome.made.total() == 300


def test_writers_at_once_make_whole_chains(book):
    one = book()
    threads = [threading.Thread(target=lambda: [one.write("w-1", "w-2", "w-3") for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        one.sign()
    for thread in threads:
        thread.join()
    one.sign()
    report = verifier.verify(one.folder)
    assert (report.good, report.rows, report.subjects) == (True, 600, 3)


WRITER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from lakehouse.ledger import keys, rows
from lakehouse.ledger.chains import Chains
from lakehouse.ledger.checkpoints import Checkpoints
folder = Path(sys.argv[1])
ring = keys.open_keys(folder / "keys", make=not (folder / "rows.jsonl").exists())
checkpoints = Checkpoints(folder)
chains = Chains(folder, ring, checkpoints.signed)
for number in range(10**6):
    one = {"action": "search", "purpose": "p", "fields": (), "result": "shown"}
    events = [rows.Event(subject=f"w-{(number + at) % 7}", **one) for at in range(5)]
    chains.commit(chains.append(events, rows.Accessor("local", "x", ""), datetime.now(UTC)))
    print(chains.rows, flush=True)
    if number % 5 == 0:
        checkpoints.add(chains, ring)
"""


def crash_once(folder, chance):
    """Kill a writing process at a random moment; returns how many rows it had acknowledged."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True) as writing:
        wanted = chance.randint(1, 40)
        acknowledged = 0
        for number, line in enumerate(writing.stdout, 1):
            acknowledged = int(line)
            if number >= wanted:
                break
        threading.Event().wait(chance.random() / 200)
        writing.send_signal(signal.SIGKILL)
        for line in writing.stdout:
            if line.endswith("\n"):
                acknowledged = int(line)
    return acknowledged


def test_crash_loses_no_acknowledged_row(book, tmp_path):
    chance = random.Random()
    folder = tmp_path / "ledger"
    folder.mkdir()
    for _ in range(int(os.environ.get("LEDGER_CRASHES", "4"))):
        acknowledged = crash_once(folder, chance)
        report = verifier.verify(folder)
        assert report.good, report
        assert report.rows >= acknowledged
    again = book()
    again.write("w-1")
    again.sign()
    report = verifier.verify(folder)
    assert (report.good, report.signed_rows) == (True, report.rows)


def test_ledger_goes_on_over_sealed_files(book, monkeypatch):
    monkeypatch.setattr("lakehouse.ledger.chains.Log", functools.partial(Log, max_bytes=2_000))
    one = book()
    for _ in range(6):
        one.write("w-1", "w-2", "w-3")
        one.sign()
    one.close()
    assert len(list(one.folder.glob("rows-*.jsonl"))) >= 2
    again = book()
    again.write("w-1")
    again.sign()
    assert [rows.read(line).seq for line in again.chains.lines("w-1")] == [*range(1, 8)]
    report = verifier.verify(one.folder)
    assert (report.good, report.rows, report.signed_rows) == (True, 19, 19)
