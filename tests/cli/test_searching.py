from __future__ import annotations

import json

import pytest

import lakehouse

DEMAND = "Need 3 Forklift Operators in Cleveland OH"


def test_search_prints_distance_and_rating_side_by_side(run, folder) -> None:
    code, out, err = run("search", DEMAND, "-k", "3")
    assert (code, err) == (0, "")
    titles, first, *_, verdict = out.splitlines()
    assert titles.split() == "# id name role city certs distance rating why memory".split()
    assert first.split()[:2] == ["1", "w-1"] or "Forklift Operator" in first
    assert "Cleveland, OH" in first
    assert verdict == "3 shown."


def test_search_as_json_is_the_answer_of_the_object(run, folder) -> None:
    printed = json.loads(run("search", DEMAND, "--json", "-k", "5", "--exclude", "w-2")[1])
    with lakehouse.connect(folder) as lake:
        answer = lake.matrix.search(DEMAND, ["workers"], k=5, exclude_ids=["w-2"])
    assert [match["id"] for match in printed["results"]] == [match.id for match in answer.results]
    assert "w-2" not in {match["id"] for match in printed["results"]}
    assert printed["excluded"] == 1


def test_search_takes_filter_text_and_ids_from_files(run, folder, tmp_path) -> None:
    (tmp_path / "mail.txt").write_text(DEMAND, encoding="utf-8")
    (tmp_path / "placed.txt").write_text("w-1\nw-2\nw-3\n", encoding="utf-8")
    (tmp_path / "only.json").write_text('{"must":[{"key":"city","match":"Parma"}]}', encoding="utf-8")
    code, out, _ = run(
        "search", "@mail.txt", "--exclude", "@placed.txt", "--filter", "@only.json", "--json", "-k", "50"
    )
    answer = json.loads(out)
    assert code == 0
    assert answer["excluded"] == 3
    assert {match["metadata"]["city"] for match in answer["results"]} == {"Parma"}


def test_search_for_what_nobody_is_says_so(run, folder) -> None:
    out = run("search", "Need 2 Registered Nurses in Bozeman MT", "-k", "2")[1]
    assert "We have nobody good for this" in out.splitlines()[-1]


def test_memory_column_tells_what_memory_did(run, folder) -> None:
    before = json.loads(run("search", DEMAND, "--json")[1])
    last = before["results"][3]["id"]
    assert run("playbook", "record", DEMAND, "--answer", last, "--corpus", "workers", "--namespace", "anna")[0] == 0
    table = run("search", DEMAND, "--namespace", "anna", "-k", "5")[1].splitlines()
    assert table[1].split()[:2] == ["1", last]
    assert f"boost, was {before['results'][3]['distance']:.3f}" in table[1]
    assert table[-1] == "5 shown, 1 moved closer by memory."
    assert "boost" not in run("search", DEMAND, "--memory")[1]


def test_memory_column_tells_who_was_moved_away_and_from_where(run, folder) -> None:
    before = json.loads(run("search", DEMAND, "--json")[1])
    ids = {match["id"]: match["distance"] for match in before["results"]}
    lowered, barred = list(ids)[:2]
    for answer, *outcomes in ((lowered, "worked", "worked", "no_show", "rejected"), (barred, "no_show", "no_show")):
        for outcome in outcomes:
            words = ("playbook", "record", DEMAND, "--answer", answer, "--corpus", "workers", "--outcome", outcome)
            assert run(*words)[0] == 0
    rows = run("search", DEMAND, "--memory", "-k", "36")[1].splitlines()
    assert next(row for row in rows if f" {lowered} " in row).endswith(f"lowered, was {ids[lowered]:.3f}")
    behind = [row for row in rows if row.endswith(f"behind everybody, was {ids[barred]:.3f}")]
    assert [row.split()[:2] for row in behind] == [["36", barred]]
    assert "known, not moved" not in "\n".join(rows)


def test_search_tells_which_gate_stopped_what_memory_knows(run, folder) -> None:
    recorded = run("playbook", "record", DEMAND, "--answer", "w-1", "--corpus", "workers")[1]
    id = recorded.partition(":")[0]
    *_, stopped, verdict = run("search", DEMAND, "--memory", "--exclude", "w-1")[1].splitlines()
    assert stopped == f"memory stopped at excluded: w-1 (workers), entry {id}: left out by the caller"
    assert verdict == "10 shown, 1 left out as asked."
    assert "memory stopped" not in run("search", DEMAND, "--memory", "--exclude", "w-1", "--json")[1]


def test_search_tells_of_ten_stopped_entries_and_counts_the_others(run, folder) -> None:
    excluded = []
    for number in range(1, 13):
        run("playbook", "record", DEMAND, "--answer", f"w-{number}", "--corpus", "workers")
        excluded += ["--exclude", f"w-{number}"]
    *_, last, more, _ = out = run("search", DEMAND, "--memory", *excluded)[1].splitlines()
    assert sum(line.startswith("memory stopped at excluded: ") for line in out) == 10
    assert last.startswith("memory stopped at excluded: ")
    assert more == "and 2 more; --json lists them"


def test_search_tells_that_memory_was_held_out(run, folder, monkeypatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_MATRIX__HOLDOUT", "1")
    assert run("search", DEMAND, "--memory", "-k", "3")[1].splitlines()[-2] == "memory was held out from this demand"
    assert "held out" not in run("search", DEMAND, "-k", "3")[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["search", " "], 2, "the demand is empty"),
        (["search", "cook", "-k", "0"], 2, "'k' of matrix.search"),
        (["search", "cook", "-k", "10001"], 2, "'k' of matrix.search"),
        (["search", "cook", "--corpus", "wrkers"], 3, "there are: workers"),
        (["search", "cook", "--filter", "{"], 2, "--filter is not valid JSON"),
        (["search", "cook", "--filter", '{"must":[{"kye":"a"}]}'], 2, "kye"),
        (["search", "@none.txt"], 3, "there is no file none.txt"),
        (["corpus", "build", "other", "--text", "role"], 2, "corpus 'other' is new: give --prefix"),
        (["corpus", "build", "other", "--prefix", "o-"], 2, "corpus 'other' is new: give --text COLUMN"),
        (
            ["corpus", "build", "other", "--dataset", "people", "--prefix", "", "--text", "role"],
            2,
            "id_prefix is empty",
        ),
        (["corpus", "build", "other", "--dataset", "people", "--prefix", "o-", "--text", "name"], 2, "personal data"),
        (["corpus", "build", "other", "--dataset", "none", "--prefix", "o-", "--text", "role"], 3, "none"),
        (["embed", ""], 2, "texts[0]"),
    ],
)
def test_wrong_input_is_one_line_with_the_fix(run, folder, words, code, said) -> None:
    got, out, err = run(*words)
    assert (got, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_search_in_a_lake_without_corpora_says_how_to_make_one(run, tmp_path) -> None:
    (tmp_path / "a.csv").write_text("id,x\n1,2\n", encoding="utf-8")
    run("ingest", "a.csv", "--name", "a")
    code, _, err = run("search", "cook")
    assert (code, err) == (3, "error: this lake has no corpus to search; make one with `lakehouse corpus build`\n")


def test_corpus_delete_takes_it_out_of_every_list_and_leaves_the_dataset(run, folder) -> None:
    assert run("corpus", "delete", "workers") == (0, "workers: deleted\n", "")
    assert json.loads(run("corpus", "list", "--json")[1]) == {"corpora": []}
    assert json.loads(run("vectors", "list", "--json")[1]) == {"indexes": []}
    assert run("search", DEMAND)[2].startswith("error: this lake has no corpus to search")
    assert run("corpus", "delete", "workers") == (
        3,
        "",
        "error: corpus 'workers' does not exist; there are: none yet\n",
    )
    assert run("datasets", "people")[0] == 0
    run("corpus", "build", "workers", "--dataset", "people", "--prefix", "w-", "--text", "role")
    assert json.loads(run("corpus", "delete", "workers", "--json")[1]) == {"deleted": "workers"}


def test_parse_shows_each_field_with_its_text_and_needs_no_lake(run, tmp_path) -> None:
    code, out, err = run("parse", "Beacon Freight needs 12 Forklift Operators in Detroit MI, OSHA-30")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert "Detroit, MI" in rows["location"]
    assert rows["count"].split() == ["count", "12", "12"]
    assert "53-7051.00" in rows["role"]
    assert rows["shift"] == "shift"
    assert rows["still"].startswith("still to ask: ")
    assert list(tmp_path.iterdir()) == []


def test_parse_as_json_is_the_shape_on_the_wire(run) -> None:
    demand = json.loads(run("parse", "Need 3 Welders in Tulsa OK", "--json")[1])
    assert (demand["count"], demand["location"]["city"], demand["shift"]) == (3, "Tulsa", None)
    assert demand["spans"]["count"] == [5, 6]


def test_corpus_build_keeps_every_other_column_and_refreshes_by_name_alone(run, folder, tmp_path) -> None:
    words = ("corpus", "build", "again", "--dataset", "people", "--prefix", "a-", "--text", "role", "--text", "resume")
    assert run(*words) == (0, "again: 36 items, 36 embedded, 0 reused\n", "")
    kept = json.loads(run("corpus", "list", "--json")[1])["corpora"][0]
    assert kept["name"] == "again"
    assert kept["text_columns"] == ["role", "resume"]
    assert len(kept["metadata_columns"]) == 14
    assert run("corpus", "build", "again")[1] == "again: 36 items, 0 embedded, 36 reused\n"
    listed = run("corpus", "list")[1].splitlines()
    assert [line.split()[0] for line in listed] == ["corpus", "again", "workers"]
    assert "up to date" in listed[1]


def test_embed_prints_one_array_a_line(run, folder, stdin) -> None:
    lines = run("embed", "welder", "line cook")[1].splitlines()
    first = json.loads(lines[0])
    assert len(lines) == 2
    assert len(first) == 384
    assert sum(number * number for number in first) == pytest.approx(1.0, abs=1e-5)
    stdin(b"welder\nline cook\n")
    assert run("embed", "-")[1].splitlines() == lines
    document = json.loads(run("embed", "welder", "--json")[1])
    assert document["dimension"] == 384
    assert document["vectors"][0] == pytest.approx(first, abs=1e-6)
