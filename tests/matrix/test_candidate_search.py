"""The one pass over a corpus finds exactly whom searching step by step finds."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as checked
from hypothesis import strategies as st

from lakehouse import settings
from lakehouse.errors import InvalidInput, NotFound
from lakehouse.matrix._candidate_search import CandidateSearch
from lakehouse.matrix.requirements import ANYONE, Requirements
from lakehouse.staffing.demand import Location
from lakehouse.vectors.base import Condition, Filter, Item
from lakehouse.vectors.filters import undecided
from lakehouse.vectors.service import Vectors

DIMENSION = 8
CODES = {"Forklift Operator": "53-7051.00", "Line Cook": "35-2014.00", "Welder": "51-4121.00"}
TOWNS = {
    "Cleveland": Location("Cleveland", "OH", 41.4995, -81.6954),
    "Parma": Location("Parma", "OH", 41.4048, -81.7229),
    "Columbus": Location("Columbus", "OH", 39.9612, -82.9988),
    "Detroit": Location("Detroit", "MI", 42.3314, -83.0457),
}


def person(chance: random.Random) -> dict:
    """Somebody of whom any fact may be unknown."""
    role, town = chance.choice(list(CODES)), chance.choice(list(TOWNS.values()))
    certs = chance.sample(["OSHA-10", "OSHA-30", "CDL-A"], chance.randrange(3))
    facts = {
        "role": role,
        "role_code": CODES[role],
        "certs": certs,
        "cert_expiry": [chance.choice(["2026-01-01", "2027-01-01"]) for _ in certs],
        "shifts": chance.sample(["day", "night"], chance.randrange(1, 3)),
        "available_from": chance.choice(["2026-01-01", "2026-09-01"]),
        "city": town.city,
        "state": town.state,
        "location": {"lat": town.lat, "lon": town.lon},
        "years": chance.randrange(5),
        "note": "x" * chance.randrange(3),
    }
    return {key: value for key, value in facts.items() if chance.random() > 0.1}


def vectors_of(count: int, seed: int) -> np.ndarray:
    # Few different ones, so that distances tie.
    rows = np.random.default_rng(seed).integers(-2, 3, (count, DIMENSION)).astype(np.float32)
    rows[:, 0] = np.where(np.abs(rows).sum(axis=1) == 0, 1, rows[:, 0])
    return rows


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Three indexes: with a graph and scored exactly, each with deleted and with fresh items; and one only fresh."""
    folder: Path = tmp_path_factory.mktemp("candidates")
    config = settings.Vectors(exact_below=500, fresh_limit=100_000)
    vectors = Vectors(config, folder, embed=lambda texts: np.empty((0, 0)), embed_model="none", embed_dimension=0)
    for seed, (name, built) in enumerate({"graph": 1_500, "exact": 300, "fresh": 0}.items()):
        chance = random.Random(seed)
        if built:
            rows = vectors_of(built, seed)
            table = pa.table(
                {
                    "id": [f"{name}-{n}" for n in range(built)],
                    "vector": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), DIMENSION),
                    "metadata": [msgspec.json.encode(person(chance)).decode() for _ in range(built)],
                }
            )
            with pa.ipc.new_file(str(folder / "rows.arrow"), table.schema) as writer:
                writer.write_table(table)
            vectors.replace(name, folder / "rows.arrow", dimension=DIMENSION)
        else:
            vectors.create(name, DIMENSION)
        fresh = vectors_of(60, seed + 10)
        vectors.add(
            name,
            [
                # Half of them are new versions of people of the built part.
                Item(id=f"{name}-{n if n % 2 else 9_000 + n}", vector=fresh[n].tolist(), metadata=person(chance))
                for n in range(60)
            ],
        )
        vectors.delete_items(name, [f"{name}-{n}" for n in range(0, built, 7)] + [f"{name}-9002"])
    yield vectors
    vectors.close()


requirements = st.builds(
    Requirements,
    role=st.sampled_from(["", "Forklift Operator", "Line Cooks", "Unheard Of"]),
    role_code=st.sampled_from(["", "53-7051.00", "35-2014.00"]),
    certs=st.sampled_from([(), (("OSHA-30",),), (("OSHA-10", "OSHA-30"), ("CDL-A",))]),
    shift=st.sampled_from(["", "day", "night"]),
    place=st.sampled_from(
        [None, *TOWNS.values(), Location(None, "OH"), Location("Cleveland", None, 41.4995, -81.6954)]
    ),
    near_km=st.just(40.0),
    on=st.sampled_from([None, date(2026, 6, 1)]),
)
filters = st.sampled_from(
    [
        None,
        Filter(),
        Filter(must=[Condition(key="years", gte=2)]),
        Filter(must=[Condition(key="state", match="OH")], must_not=[Condition(key="years", match=3)]),
        Filter(should=[Condition(key="city", match="Parma"), Condition(key="shifts", any=["night"])]),
        Filter(must=[Condition(key="nobody", match="has")]),
    ]
)


def step_by_step(vectors, corpus, vector, wanted, *, k, filter, excluded):
    """The plain way: one search a step, everybody decoded."""
    enough = min(2 * k, 10_000) if wanted.stated else k
    filters, standings = wanted.steps(filter)
    while True:
        found, ended = {}, len(filters) - 1
        for position, step in enumerate(filters[:-1]):
            for hit in vectors.nearest(corpus, vector, enough, filter=step, exclude=excluded):
                found.setdefault(hit.id, hit)
            if len(found) >= enough:
                ended = position
                break
        whole = ended == len(filters) - 1
        for hit in vectors.nearest(corpus, vector, k, filter=filters[-1], exclude=excluded):
            if whole or wanted.by_title or undecided(filters, hit.metadata):
                found.setdefault(hit.id, hit)
        order = sorted((wanted.standing(hit.metadata), hit.distance, hit.id, hit.metadata) for hit in found.values())
        if whole or enough >= 10_000 or sum(standing <= standings[ended] for standing, *_ in order) >= k:
            return order
        enough *= 4


@checked(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    corpus=st.sampled_from(["graph", "exact", "fresh"]),
    wanted=requirements,
    seed=st.integers(0, 50),
    k=st.sampled_from([1, 2, 10, 40, 300, 3_000]),
    filter=filters,
    excluded=st.sampled_from([0, 3, 600]),
)
def test_among_finds_whom_searching_step_by_step_finds(corpora, corpus, wanted, seed, k, filter, excluded):
    vector = vectors_of(1, 100 + seed)[0]
    out = (
        frozenset(hit.id for hit in corpora.nearest(corpus, vector, excluded, exact=True)) if excluded else frozenset()
    )
    expected = step_by_step(corpora, corpus, vector, wanted, k=k, filter=filter, excluded=out)
    # Twice, so that what is noted of a first search is used by a second.
    for _ in range(2):
        search = CandidateSearch(corpora, vector, wanted, k=k, filter=filter, excluded=out, rated=("rating", "any"))
        found = search.among(corpus)
        assert [(each.corpus, each.memory, each.rating) for each in found] == [(corpus, None, None)] * len(found)
        got = sorted((each.standing, each.distance, each.id, each.metadata) for each in found)
        assert msgspec.json.encode(got) == msgspec.json.encode(expected)


@checked(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    corpus=st.sampled_from(["graph", "exact", "fresh"]),
    wanted=requirements,
    seed=st.integers(0, 50),
    k=st.sampled_from([1, 2, 10, 40]),
    filter=filters,
)
def test_among_nobody_better_is_missing(corpora, corpus, wanted, seed, k, filter):
    """By the order of all people; of some facts are unknown, and those count who are among the nearest."""
    vector = vectors_of(1, 100 + seed)[0]
    everybody = corpora.nearest(corpus, vector, 10_000, filter=filter, exact=True)
    steps = wanted.steps(filter).filters
    if len(steps) == 1:
        # Nothing that a filter could ask, so nearness alone finds them.
        everybody = everybody[:k]
    near = {hit.id for hit in everybody[:k]}
    # No step finds those of the very title where no code stands for it.
    meant = [
        hit
        for hit in everybody
        if hit.id in near
        or not (undecided(steps, hit.metadata) or (wanted.by_title and wanted.standing(hit.metadata) < ANYONE))
    ]
    best = sorted((wanted.standing(hit.metadata), hit.distance, hit.id) for hit in meant)
    search = CandidateSearch(corpora, vector, wanted, k=k, filter=filter, excluded=frozenset(), rated=("rating", "any"))
    got = sorted((each.standing, each.distance, each.id) for each in search.among(corpus))[:k]
    assert len(got) == min(k, len(everybody))
    assert [each for each in best if each < got[-1] and each not in got] == [] if got else True


def test_among_reads_a_filter_as_its_definition_does(corpora):
    from lakehouse.vectors.filters import passes

    wanted = Requirements(role="", role_code="", certs=(), shift="", place=None, near_km=40.0)
    filter = Filter(must=[Condition(key="years", gte=2), Condition(key="state", match="OH")])
    for corpus in ("graph", "exact", "fresh"):
        search = CandidateSearch(
            corpora, vectors_of(1, 7)[0], wanted, k=10_000, filter=filter, excluded=frozenset(), rated=()
        )
        everybody = {item.id for item in corpora.scan(corpus) if passes(filter, item.metadata)}
        assert {each.id for each in search.among(corpus)} == everybody


def test_among_bad_filter_or_corpus_is_refused_by_name(corpora):
    wanted = Requirements(role="", role_code="", certs=(), shift="", place=None, near_km=40.0)
    bad = Filter(must=[Condition(key="years")])
    search = CandidateSearch(corpora, vectors_of(1, 7)[0], wanted, k=3, filter=bad, excluded=frozenset(), rated=())
    with pytest.raises(InvalidInput, match=r"filter.must\[0\] tests nothing"):
        search.among("graph")
    with pytest.raises(NotFound, match="there are: exact, fresh, graph"):
        search.among("nobody")
