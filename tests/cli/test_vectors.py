from __future__ import annotations

import json

ITEMS = b'{"id":"a","vector":[1,0],"metadata":{"city":"Reno"}}\n{"id":"b","vector":[0,1]}\n'


def test_index_from_making_to_deleting(run, stdin, tmp_path) -> None:
    assert run("vectors", "create", "tiny", "--dimension", "2") == (0, "tiny: made, dimension 2, cosine\n", "")
    assert run("vectors", "create", "tiny", "--dimension", "2")[0] == 4
    stdin(ITEMS)
    assert run("vectors", "add", "tiny", "-")[1] == "tiny: 2 added, 0 replaced\n"
    (tmp_path / "items.jsonl").write_bytes(ITEMS)
    assert json.loads(run("vectors", "add", "tiny", "items.jsonl", "--json")[1]) == {"added": 0, "updated": 2}
    assert run("vectors", "ids", "tiny")[1] == "a\nb\n"
    assert json.loads(run("vectors", "get", "tiny", "a")[1])["metadata"] == {"city": "Reno"}
    found = run("vectors", "search", "tiny", "--vector", "[0.9, 0.1]", "-k", "1")[1].splitlines()
    assert found[0].split() == ["id", "distance", "metadata"]
    assert found[1].split() == ["a", "0.0061", '{"city":"Reno"}']
    filter = '{"must_not":[{"key":"city","match":"Reno"}]}'
    hits = json.loads(run("vectors", "search", "tiny", "--vector", "[1,0]", "--filter", filter, "--json")[1])
    assert [hit["id"] for hit in hits["results"]] == ["b"]
    assert run("vectors", "search", "tiny", "--vector", "[1,0]", "--exclude", "a", "--exclude", "b")[1].count("\n") == 1
    assert run("vectors", "get", "tiny", "a", "--json") == run("vectors", "get", "tiny", "a")
    assert json.loads(run("vectors", "delete", "tiny", "a", "--json")[1]) == {"deleted": "a"}
    code, _, err = run("vectors", "get", "tiny", "a")
    assert (code, err) == (3, "error: index 'tiny' has no item 'a'; see `lakehouse vectors ids tiny`\n")
    assert json.loads(run("vectors", "stats", "tiny", "--json")[1])["items"] == 1
    assert run("vectors", "delete", "tiny")[1] == "tiny: deleted\n"
    assert json.loads(run("vectors", "list", "--json")[1]) == {"indexes": []}


def test_merge_says_what_it_did(run, stdin) -> None:
    for name in ("from", "into"):
        run("vectors", "create", name, "--dimension", "2")
    stdin(ITEMS)
    run("vectors", "add", "from", "-")
    stdin(ITEMS.splitlines()[0])
    run("vectors", "add", "into", "-")
    out = run("vectors", "merge", "from", "into", "--clear-source")[1]
    assert out == "1 items merged into into, 1 already there, 2 cleared from from\n"
    assert run("vectors", "merge", "into", "into")[0] == 2


def test_search_by_text_finds_the_person_of_the_resume(run, folder) -> None:
    out = run("vectors", "search", "workers", "worked the grill and kept the line clean", "-k", "1")[1]
    assert "Line Cook" in out.splitlines()[1]


def test_wrong_input_is_refused_with_the_reason(run, stdin) -> None:
    run("vectors", "create", "tiny", "--dimension", "2")
    stdin(b'{"id":"a","vector":[1,0]}\n{"id":"b","vector":[1,0,0]}\n')
    code, _, err = run("vectors", "add", "tiny", "-")
    assert code == 2
    assert "dimension" in err
    assert run("vectors", "ids", "tiny")[1] == ""
    assert run("vectors", "search", "tiny")[2] == "error: give either a TEXT or a --vector to search for\n"
    assert run("vectors", "stats", "none")[0] == 3
    assert run("vectors", "get", "tiny", "zz")[0] == 3


def test_add_with_a_wrong_item_names_its_line_and_what_was_added(run, stdin) -> None:
    run("vectors", "create", "tiny", "--dimension", "2")
    good = [f'{{"id":"i-{number}","vector":[1,{number}]}}' for number in range(203)]
    stdin("\n\n".join([*good, '{"id":"i-202","vector":[1,0]}']).encode())
    code, _, err = run("vectors", "add", "tiny", "-")
    assert code == 2
    assert err.startswith("error: standard input, line 407 has the id 'i-202' of line 405; give an id once per call; ")
    assert "the first 200 items were added; mend this and add the whole file again" in err
    stdin(b'\n{"id":"a","vector":[1,0,0]}\n')
    err = run("vectors", "add", "tiny", "-")[2]
    assert err.startswith("error: standard input, vector of line 2 has 3 numbers")
    assert "the first" not in err
    stdin(("\n".join(good) + "\n{").encode())
    err = run("vectors", "add", "tiny", "-")[2]
    assert err.startswith("error: standard input, line 204: Input data was truncated; the first 200 items were added")
