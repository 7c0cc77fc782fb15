import json
from pathlib import Path

import pytest

from lakehouse.matrix.context import downgrade

LABELLED = [json.loads(line) for line in Path(__file__).with_name("relevance.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def verdicts(shared_lake):
    """For each labelled line: whether each chunk was told right."""
    found = []
    for row in LABELLED:
        chunks = [{"id": f"keep{at}", "text": text} for at, text in enumerate(row["keep"])]
        chunks += [{"id": f"drop{at}", "text": text} for at, text in enumerate(row["drop"])]
        answer = shared_lake.matrix.relevance(row["query"], chunks)
        right = [each.id.startswith("keep") for each in answer.kept]
        found.append(right + [each.id.startswith("drop") for each in answer.dropped])
    return found


def test_relevance_is_right_on_the_lines_it_was_set_by(verdicts):
    assert all(all(right) for right in verdicts[::2])


def test_relevance_is_mostly_right_on_the_other_lines(verdicts):
    right = [each for line in verdicts[1::2] for each in line]
    assert sum(right) / len(right) >= 0.9


def test_relevance_blank_chunks_score_nothing_and_order_is_by_score_then_id(shared_lake):
    chunks = [{"id": "b", "text": " "}, {"id": "a", "text": ""}, {"id": "c", "text": "cooks in Reno"}]
    answer = shared_lake.matrix.relevance("cooks in Reno", chunks)
    assert [(each.id, each.score) for each in answer.kept] == [("c", 1.0)]
    assert [(each.id, each.score) for each in answer.dropped] == [("a", 0.0), ("b", 0.0)]


@pytest.mark.parametrize(
    ("mode", "model", "expected"),
    [
        ("lakehouse", "grok-4.1-fast", "isolation"),
        ("lakehouse", "qwen3.5:latest", "lakehouse"),
        ("lakehouse", "ollama/qwen3.5:latest", "lakehouse"),
        ("review_lakehouse", "grok-4.1-fast", "review_isolation"),
        ("isolation", "qwen3.5:latest", "isolation"),
        ("other", "grok-4.1-fast", "other"),
    ],
)
def test_downgrade_takes_context_from_strong_models_only(mode, model, expected):
    assert downgrade(mode, model, ["qwen3.5:latest"]).mode == expected
