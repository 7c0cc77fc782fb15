from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput, TooLarge, Upstream
from lakehouse.evals import review

TEXT = "diff a/store.py\n+ open(path)\ndiff a/run.py\n+ sleep(1)\n"
SAID = {
    "ollama/qwen3": "BLOCK: it is never closed\nWHERE: a/store.py\nWHY: handles run out\n\nINFO: slow\nWHERE: a/run.py",
    "x/qwen2.5-coder": "**WARN** - not closed\n**WHERE**: `a/store.py`\n",
    "kimi/kimi-k2": "Here is what I found.\nWARN: leaks\nWHERE: a/store.py\n\nBLOCK: gone\nWHERE: a/other.py",
    "claude-opus": "NONE",
    "mumbling": "It looks good to me, mostly.",
}


def ask(model, instructions, text):
    assert "WHERE" in instructions
    assert text == TEXT
    if model == "down":
        raise Upstream("the provider is down")
    return SAID[model]


def test_review_counts_agreement_by_lineage():
    found = review.run(ask, TEXT, ["ollama/qwen3", "x/qwen2.5-coder", "kimi/kimi-k2", "claude-opus"])
    assert [(place.where, place.weight, place.lineages) for place in found.agreed] == [
        ("a/store.py", "BLOCK", ["Alibaba", "Moonshot"])
    ]
    assert [(place.where, place.lineages) for place in found.single] == [("a/run.py", ["Alibaba"])]
    assert found.nowhere == 1
    assert found.answered == ["Alibaba", "Anthropic", "Moonshot"]


def test_review_one_family_never_agrees_with_itself():
    found = review.run(ask, TEXT, ["ollama/qwen3", "x/qwen2.5-coder"])
    assert found.agreed == []
    named = review.run(ask, TEXT, ["ollama/qwen3", "x/qwen2.5-coder"], lineages={"x/qwen2.5-coder": "a fork"})
    assert [place.where for place in named.agreed] == ["a/store.py"]


def test_review_a_model_that_fails_or_mumbles_has_not_answered():
    found = review.run(ask, TEXT, ["down", "mumbling", "claude-opus"])
    assert [verdict.failure for verdict in found.verdicts] == ["the provider is down", "no finding could be read", ""]
    assert found.answered == ["Anthropic"]


def test_review_bounds_the_text():
    assert review.check_size("x" * 60_000) == ""
    assert "divide it" in review.check_size("x" * 60_001)
    with pytest.raises(TooLarge, match="--force"):
        review.check_size("x" * 100_001)
    assert review.check_size("x" * 100_001, force=True)
    with pytest.raises(TooLarge):
        review.check_size("\u00e9" * 50_001)
    with pytest.raises(InvalidInput, match="nothing to review"):
        review.check_size(" \n")
    for models in ([], ["a", "a"]):
        with pytest.raises(InvalidInput, match="each once"):
            review.run(ask, TEXT, models)


@given(st.text())
def test_findings_of_any_answer_are_read_without_error(said):
    assert all(found.where for found in review.findings(said, TEXT))
