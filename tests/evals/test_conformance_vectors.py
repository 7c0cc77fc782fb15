"""Embeddings by cosine and demand lines field by field, held to the vectors of docs/conformance."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from lakehouse.evals import conformance

FOLDER = Path(__file__).parents[2] / "docs" / "conformance"


@pytest.mark.parametrize(("kind", "cases"), [("embed", 8), ("demand", 40)])
def test_vectors_are_met(kind, cases):
    vectors = conformance.read([FOLDER / f"{kind}.json"])
    outcomes = conformance.measure(vectors)
    assert len(outcomes) == cases
    assert [outcome for outcome in outcomes if not outcome.holds] == []


def test_embed_vectors_tell_texts_apart():
    (vectors,) = conformance.read([FOLDER / "embed.json"])
    first, second = vectors.cases[:2]
    (outcome,) = conformance.run(
        msgspec.structs.replace(vectors, cases=[first]), lambda _kind, _input, _setup: second.expect
    )
    assert not outcome.holds


def test_embed_vectors_may_differ_within_the_cosine():
    (vectors,) = conformance.read([FOLDER / "embed.json"])
    body = vectors.cases[0].expect["body"]
    vector = [2 * number for number in body["vectors"][0]]
    for nudge, holds in ((0.001, True), (0.02, False), (-9.0, False)):
        moved = {"status": 200, "body": {**body, "vectors": [[vector[0] + nudge, *vector[1:]]]}}
        one = msgspec.structs.replace(vectors, cases=vectors.cases[:1])
        (outcome,) = conformance.run(one, lambda _kind, _input, _setup, moved=moved: moved)
        assert outcome.holds is holds


def test_demand_lines_come_in_four_styles():
    (vectors,) = conformance.read([FOLDER / "demand.json"])
    styles = Counter(case.name.split()[0] for case in vectors.cases)
    assert styles == {"need": 10, "client_first": 10, "looking": 10, "shorthand": 10}
