"""The vectors of docs/conformance that this product is held to: embeddings by cosine, demand lines field by field."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lakehouse import settings
from lakehouse.embed.service import Embeddings
from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.parse import Parser
from lakehouse.staffing.places import Places
from lakehouse.staffing.roles import Roles

FOLDER = Path(__file__).parents[2] / "docs" / "conformance"


def read(kind):
    vectors = json.loads((FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    assert vectors["kind"] == kind
    return vectors


def test_embed_vectors_are_met_by_cosine(tmp_path):
    vectors = read("embed")
    assert len(vectors["cases"]) == 8
    embeddings = Embeddings(settings.Embed(), tmp_path)
    found = np.array(embeddings.texts([case["input"]["text"] for case in vectors["cases"]]).vectors)
    embeddings.close()
    expected = np.array([case["expected"]["vector"] for case in vectors["cases"]])
    cosines = (found * expected).sum(axis=1) / np.linalg.norm(expected, axis=1)
    assert (cosines >= vectors["least_cosine"]).all(), cosines
    # They tell texts apart: no vector meets another text's.
    assert (found @ expected.T - np.eye(8) < 0.999).all()


@pytest.fixture(scope="module")
def parser():
    return Parser(Places.shipped(), Roles.shipped(), Certifications.shipped())


@pytest.mark.parametrize("case", read("demand")["cases"], ids=lambda case: case["name"])
def test_demand_line_is_read_field_by_field(parser, case):
    found = parser.parse(case["input"]["text"])
    expected = case["expected"]
    place = found.location
    # Neither the case of a city nor the plural of a role is told apart, as in docs/evaluations.md.
    assert (found.count, place and (place.city or "").casefold(), place and place.state) == (
        expected["count"], expected["city"].casefold(), expected["state"]
    )  # fmt: skip
    assert (found.role or "").casefold().removesuffix("s") == expected["role"].casefold().removesuffix("s")


def test_demand_lines_come_in_four_styles():
    styles = Counter(case["name"].split()[0] for case in read("demand")["cases"])
    assert styles == {"need": 10, "client_first": 10, "looking": 10, "shorthand": 10}
