"""Patterns that are tried only where a word allows it find all that they find everywhere."""

from __future__ import annotations

import functools
import importlib
import json
import pkgutil
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import staffing
from lakehouse.evals._wordings import WORDINGS
from lakehouse.evals.demand_lines import contracts, lines
from lakehouse.staffing import _role_spans
from lakehouse.staffing._reading import read
from lakehouse.staffing._scan import Begun, Needing, Said
from lakehouse.staffing._tokens import tokens
from lakehouse.staffing.certifications import Certifications, _pieces
from lakehouse.staffing.parse import Parser

MODULES = [
    importlib.import_module(f"lakehouse.staffing.{found.name}") for found in pkgutil.iter_modules(staffing.__path__)
]


def _named(kind: type) -> dict[str, Needing | Begun]:
    found = {}
    for module in MODULES:
        for name, value in vars(module).items():
            for number, one in enumerate(value if isinstance(value, tuple) else (value,)):
                if isinstance(one, kind):
                    found[f"{module.__name__.rpartition('.')[2]}.{name}.{number}"] = one
    return found


SCANS = _named(Needing) | _named(Begun)
BLNS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "blns" / "blns.json"
SEPARATORS = [" ", " ", " ", "  ", "\n", ", ", ". ", "-", "/", ":", "'", "", "_", " '", "`", "\u2013", "("]
ODD = [
    "3",
    "12",
    "555",
    "2017",
    "06:00",
    "$",
    "@",
    "x",
    "'d",
    "\u017f",
    "\u212a",
    "\u0131",
    "\u00e9",
    "d'",
    "O'",
    "U.S.",
]


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser.shipped()


def _found(scan: Needing | Begun, text: str) -> list[tuple[int, int]]:
    said = Said(text)
    matches = scan.found(text, said) if isinstance(scan, Needing) else scan.found(text, said, tokens(text))
    return [match.span() for match in matches]


def _everywhere(scan: Needing | Begun, text: str) -> list[tuple[int, int]]:
    return [match.span() for match in scan.pattern.finditer(text)]


SKILLED = [
    "Need 3 Welders experienced in MIG welding, able to read blueprints, with 2 years forklift experience, in Reno NV",
    "Looking for 2 Cooks, must know how to use a grill, skills: knife work and pastry; QuickBooks, ability to lift",
]


@functools.cache
def _texts() -> list[str]:
    asked = contracts(None, ["2015", "2016"])
    made = [line.text for wording in WORDINGS for line in lines(asked, number=200, seed=5, wording=wording)]
    draw = random.Random(5)
    changed = [
        draw.choice([str.upper, str.lower, str.title, lambda t: t.replace(" ", "'")])(text) for text in made[::3]
    ]
    return SKILLED + made + changed + ["\n".join(made[at : at + 4]) for at in range(0, 200, 9)]


def test_all_scans_of_the_parser_are_tested() -> None:
    assert len(_named(Needing)) >= 10
    assert len(_named(Begun)) == 2


@pytest.mark.parametrize("name", SCANS)
def test_scan_finds_what_the_pattern_finds_in_demands(name) -> None:
    scan = SCANS[name]
    found = 0
    for text in _texts():
        here = _found(scan, text)
        assert here == _everywhere(scan, text), text
        found += len(here)
    assert found


@pytest.mark.parametrize("name", SCANS)
@given(data=st.data())
def test_scan_finds_what_the_pattern_finds_in_its_own_words(name, data) -> None:
    scan = SCANS[name]
    words = sorted({*re.findall(r"[a-z]+", scan.pattern.pattern), *ODD})
    parts = data.draw(st.lists(st.tuples(st.sampled_from(words), st.sampled_from(SEPARATORS)), max_size=12))
    text = "".join(word + separator for word, separator in parts)
    for written in (text, text.title(), text.upper()):
        assert _found(scan, written) == _everywhere(scan, written)


@pytest.mark.parametrize("name", SCANS)
def test_scan_of_a_part_keeps_to_it(name) -> None:
    scan = SCANS[name]
    text = "Need 3 Cooks in Reno NV, 8 hours at $20/hour from Monday. Seeking 2 Welders, night shift: OSHA-10, 3/4/2017"
    said = Said(text)
    for start, end in ((0, 20), (5, 60), (24, len(text)), (59, 80)):
        if isinstance(scan, Needing):
            here = [match.span() for match in scan.found(text, said, start, end)]
        else:
            here = [match.span() for match in scan.found(text, said, tokens(text), start, end)]
        assert here == [match.span() for match in scan.pattern.finditer(text, start, end)]


def test_what_leads_to_a_place_is_found_as_from_far_back(parser) -> None:
    seen = 0
    for text in _texts():
        reading = read(text, parser.places, parser.certifications)
        for place in reading.places:
            for start in (0, max(0, place.start - 25)):
                led = _role_spans._lead_in(reading, start, place.start)
                plain = _role_spans._PREPOSITION.search(
                    text, max(start, place.start - _role_spans._LOOK_BACK), place.start
                )
                assert led, text
                assert plain, text
                assert led.span() == plain.span(), text
                seen += led.start() < place.start
    assert seen > 300


def test_certifications_are_missed_in_no_text() -> None:
    known = Certifications.shipped()
    aliases = (alias for entry in known._entries.values() for alias in (*entry.aliases, *entry.cued, *entry.upper))
    listed = [*known.names, *aliases]
    draw = random.Random(3)
    found = 0
    for spelling in listed:
        for said in (f"3 Cooks in Reno, {spelling} required", f"{spelling}s certified", spelling.replace(" ", "-")):
            text = f"{said.upper() if draw.random() < 0.3 else said} {draw.choice(listed)} card"
            if known._mentions(_pieces(text)):
                assert known._may_be_in(Said(text)), text
                found += 1
    assert found > len(listed)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("Need 3 Cooks in Reno NV, n\u0131ght \u017fhift", "shift", "night"),
        ("Need \u017fix Cooks in Reno NV", "count", 6),
        ("Need 3 Cooks in Reno NV starting \u017feptember 4", "start", "\u017feptember 4"),
        ("Need 3 Cooks in Reno NV starting Tue\u017fday", "start", "Tuesday"),
        ("Need 3 Cooks in Reno NV starting A\u017fAP", "start", "ASAP"),
    ],
)
def test_letters_that_count_as_others_are_read_as_these(parser, text, field, value) -> None:
    assert getattr(parser.parse(text), field) == value


def test_strings_that_break_programs_are_read(parser) -> None:
    if not BLNS.is_file():
        pytest.skip("shared/data/blns is not beside the project")
    for text in json.loads(BLNS.read_text(encoding="utf-8")):
        if text.strip():
            for scan in SCANS.values():
                assert _found(scan, text) == _everywhere(scan, text)
            parser.parse(text)
