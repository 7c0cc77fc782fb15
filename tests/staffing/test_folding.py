import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.staffing.folding import client_key, folded_words

NAMES = st.text("aAbsS .,-&'31\u2019\u2013\u00e9e\u0301\u00df\u0130\u01f0", max_size=12)


@pytest.mark.parametrize(
    "spellings",
    [
        ["O'Brien Ltd.", "OBrien Ltd", "O\u2019Brien  Ltd", "o`brien ltd"],
        ["U.S. Steel", "US Steel", "U. S. Steel", "u.s.steel"],
        ["J.Crew", "J. Crew", "J Crew"],
        ["Coca-Cola", "Coca Cola", "COCA\u2013COLA"],
        ["Smith & Sons, Inc.", "Smith and Sons Inc", "Smith&Sons Inc"],
        ["Caf\u00e9 R\u00edo", "Cafe\u0301 Ri\u0301o"],
        ["St. Mary's", "St.Marys"],
    ],
)
def test_client_key_spellings_of_one_client_are_one(spellings):
    assert len({*map(client_key, spellings)}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Beacon Freight", "Beacon Freight Lines"),
        ("Acme Inc", "Acme LLC"),
        ("3.1 Logistics", "31 Logistics"),
        ("Coca-Cola", "CocaCola"),
        ("Caf\u00e9 Rio", "Cafe Rio"),
        ("Plan B Foods", "PlanB Foods"),
        ("24/7 Staffing", "247 Staffing"),
    ],
)
def test_client_key_other_clients_stay_apart(one, other):
    assert client_key(one) != client_key(other)


@given(NAMES)
def test_client_key_of_what_was_stored_is_that_of_the_name(name):
    stored = " ".join(name.casefold().replace(",", " ").split()).rstrip(".")
    by_demands = " ".join(name.split()).casefold()
    assert client_key(client_key(name)) == client_key(stored) == client_key(by_demands) == client_key(name)


@given(NAMES)
def test_folded_words_of_any_normal_form_are_the_same(text):
    forms = {folded_words(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")} | {folded_words(text)}
    assert len(forms) == 1
