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
    assert run("playbook", "delete", id)[0] == 3


def test_bulk_takes_json_lines_all_or_none(run, folder, stdin) -> None:
    good = {"query_text": DEMAND, "answer_id": "w-1", "corpus": "workers", "score": 1}
    stdin(json.dumps(good).encode() + b"\n" + json.dumps({**good, "answer_id": "w-9999"}).encode())
    code, _, err = run("playbook", "bulk", "-")
    assert code == 3
    assert "entries[1]" in err
    assert _entries(run) == []
    stdin(json.dumps(good).encode() + b"\n" + json.dumps({**good, "answer_id": "w-2"}).encode())
    assert run("playbook", "bulk", "-")[1] == "2 remembered, 0 known before and brought up to date\n"
    assert {entry["answer_id"] for entry in _entries(run)} == {"w-1", "w-2"}


def test_bulk_with_an_unknown_field_names_the_line(run, folder, stdin) -> None:
    stdin(b'{"query": "x"}\n')
    code, _, err = run("playbook", "bulk", "-")
    assert code == 2
    assert "standard input, line 1: Object contains unknown field `query`" in err


def test_handover_copies_or_moves(run, folder) -> None:
    run("playbook", "record", DEMAND, "--answer", "w-1", "--corpus", "workers", "--namespace", "anna")
    assert run("playbook", "handover", "anna", "ben", "--mode", "copy")[1] == "ben can use 1 more entries\n"
    assert [entry["answer_id"] for entry in _entries(run, "ben")] == ["w-1"]
    assert json.loads(run("playbook", "handover", "anna", "carl", "--mode", "move", "--json")[1]) == {"entries": 1}
    assert _entries(run, "anna") == []
    of_one = ("playbook", "handover", "carl", "dora", "--mode", "copy", "--client", "Beacon Freight")
    assert run(*of_one)[1] == "dora can use 0 more entries\n"
    assert run("playbook", "handover", "anna", "anna", "--mode", "move")[0] == 2


def test_shares_are_listed_and_withdrawn(run, folder) -> None:
    run("playbook", "record", DEMAND, "--answer", "w-1", "--corpus", "workers", "--namespace", "eve")
    run("playbook", "handover", "eve", "finn", "--mode", "share")
    assert json.loads(run("playbook", "shares", "--namespace", "finn", "--json")[1]) == {"uses": ["eve"], "used_by": []}
    assert "is used by" in run("playbook", "shares", "--namespace", "eve")[1]
    assert run("playbook", "withdraw", "eve", "finn")[1] == "finn uses nothing of eve any more; copies stay\n"
    assert _entries(run, "finn") == []
    assert run("playbook", "withdraw", "eve", "finn")[0] == 3


def test_record_of_somebody_not_on_the_roster_is_refused(run, folder) -> None:
    code, _, err = run("playbook", "record", DEMAND, "--answer", "w-9999", "--corpus", "workers")
    assert code == 3
    assert "w-9999" in err
