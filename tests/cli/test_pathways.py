"""`lakehouse pathway`: all nine operations of the table from the command line."""

from __future__ import annotations

import json

TASK = "Fill a night shift at short notice"


def _json(run, *words):
    code, out, err = run("pathway", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_add_revise_update_and_retire_keep_every_version(run):
    made = _json(run, "add", TASK, "--step", "ask who is free", "--step", "call in that order", "--tag", "night")
    uid = made["uid"]
    assert (made["version"], made["steps"]) == (1, ["ask who is free", "call in that order"])
    assert _json(run, "revise", uid, "--step", "text all at once")["version"] == 2
    assert _json(run, "update", uid, "--outcome", "filled")["version"] == 2
    assert run("pathway", "retire", uid) == (0, f"{uid}: version 2, retired\n", "")
    history = _json(run, "history", uid)["history"]
    assert [(each["version"], each["outcome"], each["retired"]) for each in history] == [
        (1, "", False),
        (2, "", False),
        (2, "filled", False),
        (2, "filled", True),
    ]
    assert "text all at once" in run("pathway", "show", uid)[1]
    assert "ask who is free" in run("pathway", "history", uid)[1]
    assert run("pathway", "revise", uid, "--outcome", "x")[0] == 4


def test_add_once_and_steps_from_standard_input(run, stdin):
    steps = [{"call": "search", "k": 5}, "write to them"]
    stdin(json.dumps(steps).encode())
    first = _json(run, "add", TASK, "--steps", "-", "--once")
    stdin(json.dumps(steps).encode())
    again = _json(run, "add", TASK, "--steps", "-", "--once")
    assert (first["created"], again["created"], again["uid"]) == (True, False, first["uid"])
    assert first["steps"] == steps


def test_search_and_stats_leave_out_what_is_retired(run):
    kept = _json(run, "add", TASK, "--tag", "night", "--outcome", "filled")["uid"]
    gone = _json(run, "add", "Write to a client about a late invoice")["uid"]
    run("pathway", "retire", gone)
    found = _json(run, "search", "nobody for tonight's shift")["results"]
    assert [each["uid"] for each in found] == [kept]
    assert kept in run("pathway", "search", "night shift", "--tag", "night")[1]
    stats = _json(run, "stats")
    assert (stats["pathways"], stats["active"], stats["tags"]) == (2, 1, {"night": 1})
    assert run("pathway", "stats")[1].startswith("2 pathways, 1 of them retired; 2 versions\n")


def test_unknown_pathway_and_nothing_to_change_are_told_apart(run):
    uid = _json(run, "add", TASK)["uid"]
    assert run("pathway", "show", "pw-none")[0] == 3
    code, _, err = run("pathway", "update", uid)
    assert code == 2
    assert "at least one" in err
