from __future__ import annotations

import json

DEMAND = "Need 3 Forklift Operators in Cleveland OH"


def _entries(run, namespace: str = "default") -> list[dict]:
    return json.loads(run("playbook", "list", "--namespace", namespace, "--json")[1])["entries"]


def test_record_list_and_delete_an_entry(run, folder) -> None:
    code, out, err = run("playbook", "record", DEMAND, "--answer", "w-2", "--corpus", "workers", "--score", "0.5")
    id = out.partition(":")[0]
    assert (code, err) == (0, "")
    assert out.endswith(": remembered\n")
    again = run("playbook", "record", DEMAND, "--answer", "w-2", "--corpus", "workers", "--rejected")[1]
    assert again == f"{id}: known before, brought up to date\n"
    entry = _entries(run)[0]
    assert (entry["id"], entry["answer_id"], entry["score"], entry["outcome"]) == (id, "w-2", 1.0, "rejected")
    assert id in run("playbook", "list")[1]
    assert run("playbook", "delete", id) == (0, f"{id}: forgotten\n", "")
    assert _entries(run) == []
    code, _, err = run("playbook", "delete", id)
    assert (code, err) == (3, f"error: no playbook entry has the id {id!r}; see `lakehouse playbook list`\n")
    run("playbook", "record", DEMAND, "--answer", "w-2", "--corpus", "workers")
    assert json.loads(run("playbook", "delete", id, "--json")[1]) == {"deleted": id}


def test_bulk_takes_json_lines_all_or_none(run, folder, stdin) -> None:
    good = {"query_text": DEMAND, "answer_id": "w-1", "corpus": "workers", "score": 1}
    stdin(json.dumps(good).encode() + b"\n" + json.dumps({**good, "answer_id": "w-9999"}).encode())
    code, _, err = run("playbook", "bulk", "-")
    assert code == 3
    assert err.startswith("error: standard input, line 2: ")
    assert _entries(run) == []
    stdin(json.dumps(good).encode() + b"\n" + json.dumps({**good, "answer_id": "w-2"}).encode())
    assert run("playbook", "bulk", "-")[1] == "2 remembered, 0 known before and brought up to date\n"
    assert {entry["answer_id"] for entry in _entries(run)} == {"w-1", "w-2"}


def test_bulk_with_an_unknown_field_names_the_line(run, folder, stdin) -> None:
    stdin(b'{"query": "x"}\n')
    code, _, err = run("playbook", "bulk", "-")
    assert code == 2
    assert "standard input, line 1: Object contains unknown field `query`" in err


def test_bulk_with_an_unknown_person_below_blank_lines_names_the_line_of_the_file(run, folder, tmp_path) -> None:
    good = {"query_text": DEMAND, "answer_id": "w-1", "corpus": "workers", "score": 1}
    bad = json.dumps({**good, "answer_id": "w-9999"})
    (tmp_path / "many.jsonl").write_text(f"{json.dumps(good)}\n\n \n{bad}\n", encoding="utf-8")
    code, _, err = run("playbook", "bulk", "many.jsonl")
    assert code == 3
    assert err.startswith("error: many.jsonl, line 4: ")
    assert "entries[" not in err


def test_bulk_of_more_than_fit_names_the_limit_and_the_fix(run, folder, stdin) -> None:
    good = json.dumps({"query_text": DEMAND, "answer_id": "w-1", "corpus": "workers", "score": 1})
    stdin(f"{good}\n".encode() * 10_001)
    code, out, err = run("playbook", "bulk", "-")
    assert (code, out) == (2, "")
    assert "standard input has 10,001 entries, and at most 10,000 are remembered at once" in err
    assert "split -l 10000" in err
    assert _entries(run) == []


def test_bulk_of_a_file_without_entries_is_refused(run, folder, stdin) -> None:
    stdin(b"\n \n")
    assert run("playbook", "bulk", "-")[::2] == (
        2,
        "error: standard input has no entries; write one JSON object a line\n",
    )


def test_import_that_fails_later_names_the_line_and_what_was_imported(run, folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("lakehouse.cli.playbooks._AT_ONCE", 2)
    for id in ("w-1", "w-2", "w-3"):
        run("playbook", "record", DEMAND, "--answer", id, "--corpus", "workers")
    first, second, third = run("playbook", "export")[1].splitlines()
    gone = third.replace('"w-3"', '"w-9999"')
    file = tmp_path / "carried.jsonl"
    file.write_text(f"{first}\n\n{second}\n{third}\n\n{gone}\n", encoding="utf-8-sig")
    code, out, err = run("playbook", "import", file, "--namespace", "eve")
    assert (code, out) == (3, "")
    assert err.startswith(f"error: {file}, line 6: ")
    assert "the first 2 entries were imported; mend this and import the whole file again" in err
    assert len(_entries(run, "eve")) == 2
    file.write_text(f"{first}\n\n{second}\n{third}\n", encoding="utf-8-sig")
    again = run("playbook", "import", file, "--namespace", "eve")
    assert again == (0, "1 imported, 2 replaced, 0 not on the roster\n", "")


def test_handover_copies_or_moves(run, folder) -> None:
    run("playbook", "record", DEMAND, "--answer", "w-1", "--corpus", "workers", "--namespace", "anna")
    assert run("playbook", "handover", "anna", "ben", "--mode", "copy")[1] == "ben can use 1 more entries\n"
    assert [entry["answer_id"] for entry in _entries(run, "ben")] == ["w-1"]
    assert json.loads(run("playbook", "handover", "anna", "carl", "--mode", "move", "--json")[1]) == {
        "entries": 1, "held": 1, "clients_like": []}  # fmt: skip
    assert _entries(run, "anna") == []
    of_one = ("playbook", "handover", "carl", "dora", "--mode", "copy", "--client", "Beacon Freight")
    nothing = "warning: nothing of the client Beacon Freight is in the memory of carl\n"
    assert run(*of_one) == (0, "dora can use 0 more entries\n", nothing)
    run(
        "playbook",
        "record",
        f"{DEMAND} for Beacon Freight",
        "--answer",
        "w-1",
        "--corpus",
        "workers",
        "--namespace",
        "carl",
    )
    assert run(*of_one) == (0, "dora can use 1 more entries\n", "")
    assert run(*of_one) == (0, "dora can use 0 more entries; 1 were there\n", "")
    slip = run(*of_one[:-1], "Becon Freight", "--json")
    assert json.loads(slip[1]) == {"entries": 0, "held": 0, "clients_like": ["beacon freight"]}
    assert slip[2].endswith("Becon Freight is in the memory of carl; of a name like it there are: beacon freight\n")
    assert run("playbook", "handover", "anna", "anna", "--mode", "move")[0] == 2


def test_handover_that_shares_tells_how_much_there_is_and_whether_it_is_new(run, folder) -> None:
    for id in ("w-1", "w-2"):
        run("playbook", "record", DEMAND, "--answer", id, "--corpus", "workers", "--namespace", "eve")
    share = ("playbook", "handover", "eve", "finn", "--mode", "share")
    said = "what eve remembers: 2 entries now, and all that come\n"
    assert run(*share) == (0, f"finn uses from now on {said}", "")
    assert run(*share) == (0, f"finn used before and uses still {said}", "")
    # What is shared with the giver is not shared on, and does not count as theirs.
    told = run("playbook", "handover", "finn", "gus", "--mode", "share")
    assert told[:2] == (0, "gus uses from now on what finn remembers: 0 entries now, and all that come\n")
    assert told[2] == "warning: the memory of finn has no entries of its own\n"


def test_transfer_of_an_empty_memory_warns_and_names_those_like_it(run, folder) -> None:
    run("playbook", "record", DEMAND, "--answer", "w-1", "--corpus", "workers", "--namespace", "anna")
    run("playbook", "record", DEMAND, "--answer", "w-1", "--corpus", "workers", "--namespace", "zoe")
    warning = "warning: the memory of ana has no entries of its own; of a name like it there are: anna\n"
    for mode in ("copy", "move", "share"):
        assert run("playbook", "handover", "ana", "bob", "--mode", mode)[::2] == (0, warning)
        assert run("playbook", "handover", "ana", "bob", "--mode", mode, "--json")[::2] == (0, warning)
    for words in (("export", "--namespace", "ana"), ("merge", "ana", "bob"), ("lift", "--namespace", "ana")):
        assert run("playbook", *words)[::2] == (0, warning)
    for words in (("export", "--namespace", "anna"), ("merge", "anna", "bob"), ("lift", "--namespace", "anna")):
        assert run("playbook", *words)[::2] == (0, "")
    # All of it is there before, which is not the same as that there is nothing.
    for mode in ("copy", "move"):
        assert run("playbook", "handover", "anna", "bob", "--mode", mode) == (
            0, "bob can use 0 more entries; 1 were there\n", "")  # fmt: skip


def test_shares_are_listed_and_withdrawn(run, folder) -> None:
    run("playbook", "record", DEMAND, "--answer", "w-1", "--corpus", "workers", "--namespace", "eve")
    run("playbook", "handover", "eve", "finn", "--mode", "share")
    assert json.loads(run("playbook", "shares", "--namespace", "finn", "--json")[1]) == {"uses": ["eve"], "used_by": []}
    assert "is used by" in run("playbook", "shares", "--namespace", "eve")[1]
    assert run("playbook", "withdraw", "eve", "finn")[1] == "finn uses nothing of eve any more; copies stay\n"
    assert _entries(run, "finn") == []
    assert run("playbook", "withdraw", "eve", "finn")[0] == 3
    run("playbook", "handover", "eve", "finn", "--mode", "share")
    done = json.loads(run("playbook", "withdraw", "eve", "finn", "--json")[1])
    assert done == {"withdrawn": {"from": "eve", "to": "finn"}}


def test_record_of_somebody_not_on_the_roster_is_refused(run, folder) -> None:
    code, _, err = run("playbook", "record", DEMAND, "--answer", "w-9999", "--corpus", "workers")
    assert code == 3
    assert "w-9999" in err
