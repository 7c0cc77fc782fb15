"""Two implementations of one document agree: this product's, and one in JavaScript."""

import json
import random
import shutil
from pathlib import Path

import pytest

from lakehouse.evals import ledger_chains

HERE = Path(__file__).resolve().parent
VECTORS = HERE.parents[1] / "docs" / "conformance" / "subject-audit.json"


@pytest.fixture(scope="module")
def node():
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed")
    return [found, str(HERE / "verify_chain.js")]


def test_vectors_are_what_the_product_says():
    told = json.loads(VECTORS.read_text(encoding="utf-8"))
    assert told == ledger_chains.vectors()
    assert len(told["cases"]) == 6
    assert [case["expected"]["verified"] for case in told["cases"]] == [True] * 5 + [False]


def test_vectors_are_what_the_second_verifier_says(node):
    cases = json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]
    assert ledger_chains.disagreements([case["input"] for case in cases], node) == []


def test_random_chains_get_the_same_verdict_from_both(node):
    chance = random.Random(7)
    assert ledger_chains.disagreements([ledger_chains.chain(chance) for _ in range(1_000)], node) == []
