"""Finding pieces of people in bytes, and writing over them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.ledger.pieces import Blotter, Finder, Person, number_of, owners_of

WORDS = st.text(st.sampled_from("abcé \"'\n\\xY"), min_size=3, max_size=8).filter(lambda word: word.strip() == word)


def found(pieces, data):
    finder = Finder(dict.fromkeys(pieces, ("w-1",)))
    return [data[hit.start : hit.end] for hit in finder.hits(data)]


@pytest.mark.parametrize(
    "written",
    ["216-555-0101", "(216) 555-0101", "+1 216.555.0101", "1-216-555-0101", "2165550101", "216\u00a0555\u00a00101",
     "216\u2011555\u20110101", '{"phone":12165550101}', "216 / 555 0101"],
)  # fmt: skip
def test_number_is_found_however_it_is_written(written):
    assert len(found(["+1 (216) 555-0101"], f"call {written} now".encode())) == 1
    assert found(["216-555-0102"], f"call {written} now".encode()) == []


@pytest.mark.parametrize(
    "written",
    ["José Núñez", "JOSÉ NÚÑEZ", "josé núñez", "Núñez, José", "Jose\u0301 Nu\u0301n\u0303ez", json.dumps("José Núñez"),
     json.dumps("JOSÉ NÚÑEZ"), "xJosé Núñezx"],
)  # fmt: skip
def test_name_is_found_however_it_is_written(written):
    assert len(found(["José Núñez"], written.encode())) == 1


def test_date_and_place_are_no_numbers():
    assert [number_of(text) for text in ("12 Elm St", "44114", "Robert 2165550101 Ellis Esquire")] == ["", "", ""]
    assert number_of("+49 (0)30 901820") == "9030901820"


@given(st.lists(WORDS, min_size=1, max_size=30), st.lists(WORDS, max_size=40))
def test_all_pieces_are_found_as_by_looking_for_each(pieces, texts):
    data = "|".join([*texts, pieces[0]]).encode()
    folded = data.decode().lower()
    hits = {piece for piece in pieces if piece.lower() in folded}
    finders = {piece for piece in pieces if Finder({piece: ("w-1",)}).hits(data)}
    assert hits <= finders
    assert found(pieces, data)


@given(st.lists(WORDS, min_size=1, max_size=10), st.lists(WORDS, max_size=20))
def test_what_is_written_over_is_as_long_as_before_and_holds_no_piece(pieces, texts):
    blotter = Blotter([Person(subject="w-1", pieces=pieces)])
    text = "|".join([*texts, *pieces])
    (changed,), counts = blotter.blot([text])
    assert len(changed) == len(text)
    assert counts["w-1"] >= 1
    over, _ = blotter.over(text.encode())
    assert len(over) == len(text.encode())
    assert not any(piece in changed for piece in pieces if set(piece) - set("xX"))


def test_written_over_json_is_json_still():
    person = Person(subject="w-1", pieces=['Robert "Bob" Ellis', "216-555-0101"])
    (changed,), _ = Blotter([person]).blot([json.dumps({"name": 'Robert "Bob" Ellis', "n": 2165550101, "t": "Zoë"})])
    assert json.loads(changed) == {
        "name": "x" * len(json.dumps('Robert "Bob" Ellis')[1:-1]),
        "n": 9999999999,
        "t": "Zoë",
    }


def test_what_two_have_is_somebodys_only_beside_a_piece_of_theirs():
    blotter = Blotter([Person(subject="w-1", pieces=["bob@example.net"], common=["Robert Ellis"])])
    assert blotter.blot(["Robert Ellis", "of Cleveland"]) == (["Robert Ellis", "of Cleveland"], {})
    assert blotter.blot(["Robert Ellis", "BOB@example.net"]) == (["x" * 12, "x" * 15], {"w-1": 2})
    changed, _ = blotter.over(b"Robert Ellis\nRobert Ellis, bob@example.net\n")
    assert changed == b"Robert Ellis\nxxxxxxxxxxxx, xxxxxxxxxxxxxxx\n"


def test_a_piece_that_two_have_is_both_of_theirs():
    people = [Person(subject="w-1", pieces=["216-555-0101"]), Person(subject="w-2", pieces=["(216) 555-0101"])]
    (hit,) = Finder(owners_of(people)).hits(b"2165550101")
    assert set(hit.subjects) == {"w-1", "w-2"}


def test_nobody_is_found_without_pieces():
    assert Finder({}).hits(b"anything") == []
    assert Blotter([]).idle
