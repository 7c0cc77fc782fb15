from __future__ import annotations

import json

ASK = "Need 2 Forklift Operators in Cleveland OH starting 2031-05-05"


def test_demand_is_opened_given_people_filled_and_closed(run, folder) -> None:
    code, out, err = run("demand", "open", ASK, "--owner", "mia", "--urgency", "high", "--json")
    assert (code, err) == (0, "")
    id = json.loads(out)["created"][0]
    assert "0 of 2" in run("demand", "list")[1]
    found = json.loads(run("demand", "candidates", id, "-k", "2", "--json")[1])["results"]
    people = [match["id"] for match in found]
    assert people[0] in run("demand", "candidates", id)[1]
    shown = run("demand", "put", id, "proposed", *people, "--corpus", "workers", "--by", "mia")[1]
    assert people[1] in shown
    assert run("demand", "put", id, "proposed", "w-9999", "--corpus", "workers")[0] == 3
    assert "2 booked, 0 refused\n2 of 2 are filled" in run("demand", "fill", id)[1]
    assert "gate B" in run("demand", "note", id, "gate B", "--by", "mia")[1]
    assert "closed, high, 2 of 2 filled" in run("demand", "close", id)[1]
    assert id not in run("demand", "list")[1]
    assert id in run("demand", "list", "--status", "all")[1]
    assert json.loads(run("demand", "show", id, "--json")[1])["status"] == "closed"


def test_fill_that_refuses_somebody_fails(run, folder) -> None:
    id = json.loads(run("demand", "open", ASK, "--json")[1])["created"][0]
    people = [match["id"] for match in json.loads(run("demand", "candidates", id, "-k", "1", "--json")[1])["results"]]
    run("demand", "put", id, "proposed", *people, "w-36", "--corpus", "workers")
    code, out, _ = run("demand", "fill", id)
    assert (code, out.splitlines()[0]) == (1, "1 booked, 1 refused")
    assert "w-36: worker 'w-36' is 'Line Cook'" in out
    code, out, _ = run("demand", "fill", id, "--json")
    assert (code, json.loads(out)["refused"][0]["id"]) == (1, "w-36")


def test_file_of_demands_names_the_lines_it_refuses(run, folder, stdin) -> None:
    stdin(b"role,count\nWelder,2\nLine Cook,many\n")
    code, out, _ = run("demand", "file", "-")
    assert code == 1
    assert out.startswith("1 opened, 0 known before, 1 refused")
    assert "line 3: count 'many' is not a whole number" in out
