import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.validate.extract import extract_json

SUITE = Path(__file__).parents[3] / "shared" / "data" / "jsontestsuite" / "test_parsing"
MB = 1_000_000
# Numbers that every reader of JSON agrees on.
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```JSON {"a": 1} ```', {"a": 1}),
        ('first ```\n{"a": 1}\n``` then ```json\n{"b": 2}\n```', {"b": 2}),
        ('```\n{"a": 1}\n```', {"a": 1}),
        ('{"x": 0} and ```json\nnothing\n```', {"x": 0}),
        ('Sure! {"a": {"b": [1, {"c": "}"}]}} Hope it helps {"d": 2}', {"a": {"b": [1, {"c": "}"}]}}),
        ('{"a": "\\"}{\\\\"}', {"a": '"}{\\'}),
        ('[{"a": 1}, {"b": 2}]', {"a": 1}),
        ("{}", {}),
        ("nothing {here} to see", None),
        ('set {x} to {"a": 1}', {"a": 1}),
        ('{"a": {"b": 1}, oops}', None),
        ('{"a": {"b": 1}, oops} {"c": 3}', {"c": 3}),
        ('{"workers": [{"id": "w-1"}, {"id"', None),
        ('{"a": NaN}', None),
        ('{"a": 1e999}', None),
        ('{"a": "\\ud800"}', None),
        ('{"a": 1}}}} trailing', {"a": 1}),
        ('{workers: [{"id": "w-1"}]}', None),
        ('{workers: [{"id": "w-1"}, {"id": "w-2}]}', None),
        ('{workers: [{"id": "w-1"}, {"id"}', None),
        ('{\'workers\': [{"id": "w-1"}, {', None),
        ('{workers: [{"id": "w-1"}]} {"c": 3}', {"c": 3}),
        ('{see {"a": 1}}', None),
        ('{see "}" and {"a": 1}} {"c": 3}', {"c": 3}),
        ('```json\n{workers: [{"id": "w-1"}]}\n```', None),
        ('use {name} then {"a": 1}', {"a": 1}),
        ('an open { in prose, then {"a": 1}', {"a": 1}),
        ('three { open { braces { and {"a": {"b": 1}} {"c": 3}', {"a": {"b": 1}}),
        ('a quote in {one" brace, then {"a": 1}', {"a": 1}),
        ('an open { before "{"a": 1}"', {"a": 1}),
        ('["{}"]', None),
        ('[["{}", 1], [{"a": "{}"}], {"b": 2}]', {"a": "{}"}),
        ('"{}"', None),
        ("", None),
        ("```", None),
        ('{"caf\u00e9": "\u2b50 \u4f60\u597d"}', {"caf\u00e9": "\u2b50 \u4f60\u597d"}),
    ],
)
def test_extract_json_text_gives_the_first_object(text, found):
    assert extract_json(text) == found


@given(OBJECTS, st.text(st.characters(blacklist_characters='{}"`')), st.text())
def test_extract_json_object_in_prose_comes_back_equal(value, before, after):
    assert extract_json(before + json.dumps(value) + after) == value


@given(OBJECTS)
def test_extract_json_fenced_object_comes_back_equal(value):
    assert extract_json(f"Here:\n```json\n{json.dumps(value, indent=1)}\n```\nDone.") == value


@given(st.text(st.sampled_from('{}[]":,\\`json \n01a\ud800'), max_size=200) | st.text())
def test_extract_json_any_text_never_raises(text):
    found = extract_json(text)
    assert found is None or isinstance(found, dict)


@pytest.mark.parametrize(
    "unit",
    [
        *("{", '{"a":', '{"', "[{", '{"a":{', '{"":}', "```", "```json\n", '\\"', "{ ", '{"a":"\\'),
        *("{x:", '["', '{ "', '{x\\"', '{x} {y "'),
    ],
)
@pytest.mark.parametrize("ending", ["", "}"])
def test_extract_json_megabyte_of_nonsense_is_linear(unit, ending):
    def best(size):
        text = unit * (size // len(unit)) + ending
        times = []
        for _ in range(2):
            started = time.thread_time()
            extract_json(text)
            times.append(time.thread_time() - started)
        return min(times)

    # Ten times the text may take ten times as long; a hundred times would be quadratic. Small times are noise.
    assert best(MB) < 40 * max(best(MB // 10), 0.002)


def test_extract_json_megabyte_of_braces_is_quick():
    times = []
    for _ in range(5):
        started = time.thread_time()
        assert extract_json("{" * MB) is None
        times.append(time.thread_time() - started)
    assert min(times) < 0.1


@pytest.mark.skipif(not SUITE.is_dir(), reason="the JSON test suite is not beside the project")
def test_extract_json_valid_documents_of_the_suite_come_back_equal():
    objects = 0
    for path in sorted(SUITE.glob("y_*.json")):
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
        if isinstance(value, dict):
            objects += 1
            assert extract_json(text) == value, path.name
    assert objects >= 5


@pytest.mark.skipif(not SUITE.is_dir(), reason="the JSON test suite is not beside the project")
def test_extract_json_every_document_of_the_suite_ends_without_error():
    for path in sorted(SUITE.glob("*.json")):
        extract_json(path.read_bytes().decode("utf-8", "surrogateescape"))
