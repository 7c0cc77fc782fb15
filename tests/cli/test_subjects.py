"""`subject`, `audit` and `key` from the command line."""

import json
import re
import subprocess
import sys

import pytest

from lakehouse.cli import main
from serving import stack_of

FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift"


@pytest.fixture
def folder(make_lake, people):
    lake = make_lake(people)
    lake.vectors.get("workers", "w-1")
    lake.vectors.get("workers", "w-1")
    lake.close()
    return lake.rooms.settings.data


def told(capsys, *words, code=0):
    assert main([*words]) == code
    return capsys.readouterr().out


def test_subject_shows_manifest_audit_and_verdict(folder, capsys):
    lake = ("--lake", folder)
    put = told(capsys, *lake, "subject", "put", "w-1", "--purpose", "staffing", "--consent", "given", "--json")
    assert json.loads(put)["consent"] == "given"
    assert "1 of people (id 1)" in told(capsys, *lake, "subject", "show", "w-1")
    assert told(capsys, *lake, "subject", "audit", "w-1").count(" view ") == 2
    assert told(capsys, *lake, "subject", "verify", "w-1") == "3 rows, good\n"
    lines = told(capsys, *lake, "subject", "audit", "w-1", "--lines").splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3]


def test_subject_erase_asks_for_a_yes(folder, capsys):
    assert main(["--lake", folder, "subject", "erase", "w-2"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert "none found" in told(capsys, "--lake", folder, "subject", "erase", "w-2", "--yes")


def test_audit_verify_names_the_first_bad_row(folder, capsys, tmp_path):
    assert re.search("integrity +good", told(capsys, "audit", "verify", folder))
    told(capsys, "--lake", folder, "audit", "rotate-key")
    assert json.loads(told(capsys, "audit", "verify", folder, "--json"))["rows"] == 3
    rows = tmp_path.glob("lake*/ledger/rows.jsonl")
    path = next(rows)
    path.write_bytes(path.read_bytes().replace(b'"view"', b'"VIEW"', 1))
    assert "BAD: row 1 has an HMAC that does not fit" in told(capsys, "audit", "verify", folder, code=1)


def test_audit_verify_calls_nothing_good_that_it_was_not_shown(folder, run, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for place in (empty, tmp_path / "gone"):
        code, out, err = run("audit", "verify", place)
        assert (code, out, err) == (3, "", f"error: {place} holds no ledger; name a folder that does\n")
    code, out, err = run("audit", "verify", folder, "--keys", empty)
    assert (code, out) == (3, "")
    assert f"{empty} holds no keys" in err
    # A place for anchors that is not there, or is not the place.
    for place in (empty, tmp_path / "gone"):
        code, out, _ = run("audit", "verify", folder, "--anchor", place)
        assert code == 1
        assert f"BAD: anchor {place} holds no checkpoint" in out
    code, out, _ = run("audit", "verify", folder)
    assert code == 0
    assert re.search("freshness +unknown: no anchor given", out)
    code, out, _ = run("audit", "verify", folder, "--json")
    assert json.loads(out)["freshness"] == {"ok": None, "error": "no anchor given"}


def test_audit_verify_of_an_empty_ledger_does_not_say_that_all_is_there(run, tmp_path):
    (tmp_path / "new").mkdir()
    assert run("--lake", tmp_path / "new", "datasets")[0] == 0
    code, out, _ = run("audit", "verify", tmp_path / "new")
    assert code == 0
    assert re.search("completeness +unknown: nothing is written here: it is new, or all of it is gone", out)
    assert "signed by" not in out


def test_audit_bundle_proves_itself(folder, capsys, tmp_path):
    bundle = tmp_path / "bundle"
    told(capsys, "--lake", folder, "audit", "bundle", "w-1", "--output", str(bundle))
    assert "2 rows" in told(capsys, "audit", "verify", str(bundle))
    assert "<td>view</td>" in (bundle / "timeline.html").read_text()
    alone = subprocess.run([sys.executable, "-I", "verifier.py", "."], cwd=bundle, capture_output=True, check=False)
    assert alone.returncode == 0, alone.stderr
    chain = bundle / "chain.jsonl"
    chain.write_bytes(chain.read_bytes().replace(b"shown", b"SHOWN"))
    assert "not as it was signed" in told(capsys, "audit", "verify", str(bundle), code=1)
    chain.write_bytes(chain.read_bytes().splitlines(keepends=True)[0])
    assert main(["audit", "verify", str(bundle)]) == 1


def test_audit_checkpoint_is_printed_once(folder, capsys):
    assert "nothing has changed" in told(capsys, "--lake", folder, "audit", "checkpoint")


def test_key_is_made_listed_and_revoked(folder, capsys):
    lake = ("--lake", folder)
    made = told(capsys, *lake, "key", "add", "anna", "--role", "coordinator", "--namespace", "anna")
    assert made.startswith("lh_")
    assert "anna" in told(capsys, *lake, "key", "list")
    assert json.loads(told(capsys, *lake, "key", "revoke", "anna", "--json")) == {"revoked": "anna"}
    assert json.loads(told(capsys, *lake, "key", "list", "--json")) == {"keys": []}


def test_first_key_that_is_no_operators_warns_that_it_locks_everybody_out(folder, run):
    lake = ("--lake", folder)
    assert "no operator has any" in run(*lake, "key", "add", "anna", "--role", "coordinator")[2]
    assert run(*lake, "key", "add", "ben", "--role", "coordinator")[2] == ""
    run(*lake, "key", "revoke", "anna")
    run(*lake, "key", "revoke", "ben")
    assert run(*lake, "key", "add", "mia", "--role", "operator")[2] == ""


@pytest.mark.parametrize("words", [("checkpoint",), ("rotate-key",), ("bundle", "w-1", "--output", "w-1-audit")])
def test_audit_that_needs_the_folder_says_so_of_a_running_stack(make_lake, people, run, words, monkeypatch):
    with make_lake(people) as lake, stack_of(lake) as stack:
        code, out, err = run("audit", *words, "--lake", stack.url)
        monkeypatch.setenv("LAKEHOUSE_URL", stack.url)
        assert run("audit", *words) == (code, out, err)
    assert (code, out) == (2, "")
    assert "is a running stack, and this command needs the lake's folder; stop the stack" in err
