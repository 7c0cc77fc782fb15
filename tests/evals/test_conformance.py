import json
import sys
from pathlib import Path

import pytest

from lakehouse.cli import main
from lakehouse.errors import InvalidInput, NotFound
from lakehouse.evals import conformance
from lakehouse.evals.conformance import Vector, Vectors, differences

FOLDER = Path(__file__).parents[2] / "docs" / "conformance"
US = f"{sys.executable} -m lakehouse eval conformance --answer"
ONE = {
    "kind": "extract_json",
    "version": 1,
    "about": "",
    "cases": [{"name": "n", "input": {"text": "{}"}, "expect": {}}],
}


def program(tmp_path, body):
    file = tmp_path / "program.py"
    file.write_text(f"import json, sys\ngiven = json.load(sys.stdin)\n{body}\n")
    return f"{sys.executable} {file}"


def vectors(expect, **more):
    return Vectors(kind="extract_json", version=1, about="", cases=[Vector("n", {"text": "{}"}, expect)], **more)


def test_conformance_this_product_meets_every_vector_of_its_own():
    outcomes = conformance.measure(conformance.read([FOLDER]))
    assert [outcome for outcome in outcomes if not outcome.holds] == []
    counts = {kind: sum(outcome.kind == kind for outcome in outcomes) for kind in {each.kind for each in outcomes}}
    assert {"validator": 6, "extract_json": 12, "session_log": 4}.items() <= counts.items()


def test_conformance_another_program_is_compared_by_command():
    files = [each for each in conformance.read([FOLDER]) if each.kind == "session_log"]
    assert all(outcome.holds for outcome in conformance.measure(files, command=US))


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ("sys.exit('no such thing')", "ended with 1: no such thing"),
        ("print('not json')", "malformed"),
        ("print('{}')", "not an object with something in it"),
        ("print('[1]')", "object"),
        ("", "truncated"),
    ],
)
def test_conformance_failing_program_never_matches(tmp_path, body, failure):
    (outcome,) = conformance.measure([vectors({"matched": False, "value": None})], command=program(tmp_path, body))
    assert failure in outcome.failure
    assert not outcome.holds


def test_conformance_difference_is_told_field_by_field(tmp_path):
    body = "print(json.dumps({'matched': True, 'value': {'a': [1, 2], 'c': True}}))"
    expect = {"matched": True, "value": {"a": [1, 3], "b": 0, "c": 1}}
    (outcome,) = conformance.measure([vectors(expect)], command=program(tmp_path, body))
    assert [(each.path, each.expected, each.found) for each in outcome.differences] == [
        ("value.a[1]", 3, 2),
        ("value.b", 0, "(absent)"),
        ("value.c", 1, True),
    ]


def test_conformance_ignored_paths_may_differ(tmp_path):
    command = program(tmp_path, "print(json.dumps({'matched': True, 'value': 2, 'time': 7}))")
    given = vectors({"matched": True, "value": 1, "time": 1}, ignore=["time"], texts=["val*"])
    assert not conformance.measure([given], command=command)[0].holds
    assert conformance.measure([given], command=command, ignore_texts=True)[0].holds


def test_conformance_file_that_expects_nothing_is_refused(tmp_path):
    file = tmp_path / "x.json"
    file.write_text(json.dumps(ONE))
    with pytest.raises(InvalidInput, match="must expect something: n"):
        conformance.read([file])
    with pytest.raises(NotFound):
        conformance.read([tmp_path / "none"])


def test_conformance_unknown_kind_fails():
    unknown = Vectors(kind="novelty", version=1, about="", cases=[Vector("n", {}, {"a": 1})])
    (outcome,) = conformance.measure([unknown])
    assert "nothing here answers vectors of the kind 'novelty'" in outcome.failure


def test_conformance_equal_values_have_no_differences():
    assert list(differences({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]})) == []


def test_conformance_command_ends_with_1_when_a_case_fails(tmp_path, capsys):
    file = tmp_path / "x.json"
    wrong = {**ONE, "cases": [{**ONE["cases"][0], "expect": {"matched": False}}]}
    file.write_text(json.dumps(wrong))
    assert main(["eval", "conformance", str(file)]) == 1
    out = capsys.readouterr().out
    assert "matched: expected False, found True" in out
    assert "0 of 1" in out
