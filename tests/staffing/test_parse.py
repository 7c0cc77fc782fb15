import gzip
import json
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput, TooLarge
from lakehouse.staffing.parse import MAX_TEXT_BYTES, Parser, searchable_text
from lakehouse.staffing.titles import role_equal

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PARSER = Parser.shipped()


def fields(text):
    demand = PARSER.parse(text)
    place = demand.location
    return (
        demand.style,
        demand.count,
        demand.role,
        place and (place.city, place.state),
        demand.start,
        demand.client,
    )


DETROIT = ("Detroit", "MI")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Need 3 Forklift Operators in Detroit MI starting at 06:00 for Beacon Freight",
            ("need", 3, "Forklift Operator", DETROIT, "06:00", "Beacon Freight"),
        ),
        (
            "Beacon Freight needs 3 Forklift Operators in Detroit MI starting at 06:00",
            ("client_first", 3, "Forklift Operator", DETROIT, "06:00", "Beacon Freight"),
        ),
        (
            "Looking for 3 Forklift Operators at Beacon Freight in Detroit MI",
            ("looking", 3, "Forklift Operator", DETROIT, None, "Beacon Freight"),
        ),
        ("Looking for 3 Forklift Operators at Detroit MI", ("looking", 3, "Forklift Operator", DETROIT, None, None)),
        (
            "3 Forklift Operator Detroit MI 06:00 Beacon Freight",
            ("shorthand", 3, "Forklift Operator", DETROIT, "06:00", "Beacon Freight"),
        ),
        (
            "need 3 forklift operators in detroit mi starting at 06:00 for beacon freight",
            ("need", 3, "forklift operator", DETROIT, "06:00", "beacon freight"),
        ),
        (
            "50 forklift operators in Cleveland OH, Monday day shift, OSHA-30",
            ("shorthand", 50, "forklift operator", ("Cleveland", "OH"), "Monday", None),
        ),
        ("Need a dozen line cooks in Reading PA", ("need", 12, "line cook", ("Reading", "PA"), None, None)),
        ("Forklift Operators x3, Detroit MI, 6am", ("shorthand", 3, "Forklift Operator", DETROIT, "06:00", None)),
        ("3 Cook Cook MN 06:00", ("shorthand", 3, "Cook", ("Cook", "MN"), "06:00", None)),
        ("3 Line Cook Nowhereville MN", ("shorthand", 3, "Line Cook", ("Nowhereville", "MN"), None, None)),
        (
            "Special Needs Care LLC needs 3 nurses in Toledo OH",
            ("client_first", 3, "nurse", ("Toledo", "OH"), None, "Special Needs Care LLC"),
        ),
        (
            "Looking for 2 Cooks at Inn on Mackinac, Inc. in Mackinac Island MI",
            ("looking", 2, "Cook", ("Mackinac Island", "MI"), None, "Inn on Mackinac, Inc."),
        ),
        (
            "Need marine radar technician in Bozeman MT",
            ("need", 1, "marine radar technician", ("Bozeman", "MT"), None, None),
        ),
        ("3 welders needed in Detroit MI by Monday", ("need", 3, "welder", DETROIT, "Monday", None)),
        (
            "5 Amusement and Recreation Attendants - Traveling Ca Kansas City MO 08:00",
            (
                "shorthand",
                5,
                "Amusement and Recreation Attendants - Traveling Ca",
                ("Kansas City", "MO"),
                "08:00",
                None,
            ),
        ),
    ],
)
def test_parse_line_gives_its_fields(text, expected):
    assert fields(text) == expected


def test_parse_certifications_skills_and_shift_of_a_line():
    demand = PARSER.parse(
        "Need 3 welders with TIG welding experience in Detroit MI, OSHA-10 and forklift cert, 2nd shift"
    )
    assert (demand.certs, demand.skills, demand.shift) == (["OSHA-10", "Forklift"], ["TIG welding"], "evening")


def test_parse_letter_takes_the_first_demand_and_no_signature():
    demand = PARSER.parse(
        "Hi Team,\n\nWe need 3 welders (night shift) in Detroit, MI 48201 for Beacon Freight, Inc. Must have OSHA-30.\n"
        "Start 7 a.m. Monday.\nWe also need 2 cooks in Toledo OH with ServSafe.\n\nThanks,\nPaul Painter\n313-555-1234"
    )
    assert (demand.role, demand.count, demand.client, demand.start) == (
        "welder",
        3,
        "Beacon Freight, Inc.",
        "Monday 07:00",
    )
    assert (demand.certs, demand.shift, demand.location.city) == (["OSHA-30"], "night", "Detroit")


def test_parse_form_gives_its_fields_and_no_style():
    demand = PARSER.parse(
        "Position: Welder | Qty: 4 | Location: Houston, TX | Client: Beacon | Start: 3/1/2018 | Certs: TWIC"
    )
    assert (demand.style, demand.role, demand.count, demand.location.state) == (None, "Welder", 4, "TX")
    assert (demand.client, demand.start, demand.certs) == ("Beacon", "2018-03-01", ["TWIC"])


def test_parse_nothing_said_is_null_and_listed_as_missing():
    demand = PARSER.parse("Need cooks in Tampa FL")
    assert (demand.count, demand.shift, demand.start, demand.client, demand.certs, demand.skills) == (
        1,
        None,
        None,
        None,
        [],
        [],
    )
    assert demand.missing == ["count", "start", "shift", "client"]


def test_parse_role_has_its_code():
    assert PARSER.parse("Need 3 Forklift Operators in Detroit MI").role_code == "53-7051.00"


@pytest.mark.parametrize(
    ("said", "role", "code", "certs"),
    [
        ("certified forklift operators", "certified forklift operator", "53-7051.00", ["Forklift"]),
        ("licensed forklift drivers", "licensed forklift driver", "53-7051.00", ["Forklift"]),
        ("Certified Forklift Operators", "Certified Forklift Operator", "53-7051.00", ["Forklift"]),
        ("experienced certified security guards", "certified security guard", "33-9032.00", ["Guard Card"]),
        ("certified and experienced welders", "certified and experienced welder", "51-4121.00", []),
        ("qualified welders", "welder", "51-4121.00", []),
    ],
)
def test_parse_word_for_a_good_worker_leaves_the_role(said, role, code, certs):
    for text in (f"Need 2 {said} in Detroit MI", f"Looking for 2 {said} in Detroit MI", f"2 {said}, Detroit MI"):
        demand = PARSER.parse(text)
        assert (demand.role, demand.role_code, demand.certs) == (role, code, certs)
        assert (demand.count, demand.location.city) == (2, "Detroit")


@pytest.mark.parametrize(
    "text", ["Need 2 {} operators in Detroit MI", "Position: {} operator\nCount: 2\nLocation: Detroit MI"]
)
def test_parse_title_of_more_than_200_letters_is_no_role(text):
    demand = PARSER.parse(text.format("z" * 200))
    assert (demand.role, demand.role_code) == (None, None)
    assert PARSER.parse(text.format("z" * 150)).role == "z" * 150 + " operator"


@pytest.mark.parametrize(
    "said", [*"people persons workers temps staff hands bodies".split(), "good people", "certified workers"]
)
def test_parse_words_for_anybody_state_no_role(said):
    demand = PARSER.parse(f"Need 2 {said} in Detroit MI")
    assert (demand.role, demand.role_code, demand.count, demand.location.city) == (None, None, 2, "Detroit")
    assert demand.missing == ["role", "start", "shift", "client"]


def test_parse_laborers_state_a_role():
    assert PARSER.parse("Need 2 laborers in Detroit MI").role_code == "53-7062.00"


def test_parse_word_for_a_good_worker_alone_is_no_role():
    demand = PARSER.parse("Need 2 certified forklifts in Detroit MI")
    assert (demand.role, demand.role_code, demand.count) == (None, None, 2)


@pytest.mark.parametrize(
    ("text", "role", "city"),
    [
        ("Looking for crane operator Chicago, NCCCO certified", "crane operator", "Chicago"),
        ("Looking for 2 welders Toledo", "welder", "Toledo"),
        ("2 welders San Antonio", "welder", "San Antonio"),
        ("need crane operator, Chicago, nights", "crane operator", "Chicago"),
        ("need bilingual safety coordinator in Indianapolis asap", "bilingual safety coordinator", "Indianapolis"),
        ("need 3 welders mobile", None, None),
        ("Need a cook, Jackson said", "cook", None),
        ("Need 2 forklift operators Beacon Freight", None, None),
    ],
)
def test_parse_message_with_a_large_city_and_neither_in_nor_state(text, role, city):
    demand = PARSER.parse(text)
    assert (demand.role, demand.location and demand.location.city) == (role, city)
    assert demand.location is None or (demand.location.state is None and demand.location.lat is not None)


@pytest.mark.parametrize(
    "text",
    [
        "Roses are red, violets are blue, I need you and you need me too",
        "SELECT * FROM workers WHERE role = 'cook' AND city = 'Detroit';",
        "1;DROP TABLE users",
        "Two nurses were talking about how far they are getting.",
        "Enjoy 2 new videosounds and 16+only Help? call 09701213186",
        "\u202e\u0000 \ufffd",
    ],
)
def test_parse_text_that_asks_for_nobody_invents_nothing(text):
    demand = PARSER.parse(text)
    assert (demand.role, demand.role_code, demand.count, demand.client, demand.style) == (None, None, 1, None, None)
    assert (demand.location, demand.certs, demand.skills, demand.start) == (None, [], [], None)


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data folder is not beside the project")
def test_parse_naughty_strings_and_real_messages_name_no_role():
    texts = json.loads((DATA / "blns" / "blns.json").read_text())
    with gzip.open(DATA / "sms_spam" / "sms_spam.tsv.gz", "rt") as file:
        texts += [line.rstrip("\n").split("\t", 1)[-1] for line in file][::3]
    named = [text for text in texts if text.strip() and PARSER.parse(text).role is not None]
    assert named == []


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_parse_blank_text_is_refused(text):
    with pytest.raises(InvalidInput) as refused:
        PARSER.parse(text)
    assert refused.value.detail["field"] == "text"


def test_parse_text_over_the_limit_is_too_large():
    PARSER.parse("x" * MAX_TEXT_BYTES)
    with pytest.raises(TooLarge) as refused:
        PARSER.parse("é" * (MAX_TEXT_BYTES // 2 + 1))
    assert refused.value.detail["field"] == "text"


@pytest.mark.parametrize(
    "piece", ["need 3 ", "3 cooks for A, B & C, ", "for for A ", "A", "$1 ", "Detroit MI ", "in ", "a\n", "@ "]
)
def test_parse_text_made_to_take_long_stays_short(piece):
    text = ("3 cooks in Detroit MI for " + piece * MAX_TEXT_BYTES)[:MAX_TEXT_BYTES]
    began = time.process_time()
    searchable_text(text, PARSER.parse(text))
    assert time.process_time() - began < 5


def test_parse_same_text_from_many_threads_gives_the_same():
    text = "Need 3 Forklift Operators in Detroit MI, OSHA-30, nights"
    expected, found = PARSER.parse(text), []
    threads = [threading.Thread(target=lambda: found.extend(PARSER.parse(text) for _ in range(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 80


WORDS = st.sampled_from(
    (
        "need needs 3 twelve forklift operators cooks in at for Detroit MI OH , . ; - ( ) starting 06:00 Monday Beacon "
        "Freight Inc. OSHA-30 cert night shift and must have experience x3 $14/hr \n Thanks, John a the with looking "
        "2018-04-01"
    ).split(" ")
)


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=25).map(" ".join))
def test_parse_spans_point_at_the_text_the_fields_came_from(text):
    if not text.strip():
        return
    demand = PARSER.parse(text)
    said = {field: text[start:end] for field, (start, end) in demand.spans.items()}
    assert all(0 <= start < end <= len(text) for start, end in demand.spans.values())
    assert set(said) <= {"role", "count", "location", "certs", "skills", "shift", "start", "client"}
    assert (demand.role is None) == ("role" not in said)
    assert demand.role is None or role_equal(said["role"], demand.role)
    assert demand.client is None or " ".join(said["client"].split()) == demand.client
    assert (demand.shift is None, demand.start is None) == ("shift" not in said, "start" not in said)
    assert bool(demand.certs) == ("certs" in said)
    assert all(" ".join(skill.split()) in " ".join(text.split()) for skill in demand.skills)
    searchable_text(text, demand)


def test_parse_model_is_asked_only_when_wanted_and_once():
    asked = []

    def model(text):
        asked.append(text)
        return "widget whisperer"

    parser = Parser(PARSER.places, PARSER.roles, PARSER.certifications, role_model=model)
    text = "our widget whisperer left, same again please"
    assert parser.parse(text).role is None
    first, second = parser.parse(text, use_model=True), parser.parse(text, use_model=True)
    assert (first.role, first.source, first == second) == ("widget whisperer", "model", True)
    assert parser.parse("Need 3 cooks in Tampa FL", use_model=True).source == "rules"
    assert asked == [text]


def test_parse_model_that_invents_is_not_believed():
    parser = Parser(PARSER.places, PARSER.roles, PARSER.certifications, role_model=lambda text: "Astronaut")
    assert parser.parse("same again please", use_model=True).role is None


TITLES = ("CNC Operator", "Forklift Operator", "Welder", "Line Cook", "Landscape Laborer")
TOLD = (
    "Pin gauges; micrometers; surface plates.",
    "Six years of setting up lathes and mills for a parts maker.",
    "Keeps OSHA-10 current.",
    "Praised for how I preheat workpieces; known as dependable by every crew I was on.",
    "Worked near Detroit MI for a foundry, nights as well as days when asked.",
    "Has also filled in as a shipping clerk for a furniture depot.",
)


@given(st.sampled_from(TITLES), st.permutations(TOLD), st.integers(3, len(TOLD)))
def test_parse_title_heading_a_description_asks_for_nobody(title, told, number):
    demand = PARSER.parse(f"{title}. {' '.join(told[:number])}")
    assert (demand.role, demand.style, demand.count, demand.client) == (None, None, 1, None)


@given(
    st.sampled_from(TITLES),
    st.permutations(("Detroit MI.", "Day shift.", "Starting Monday.", "Must have 3 years of experience and boots.")),
)
def test_parse_title_heading_a_demand_is_shorthand(title, said):
    demand = PARSER.parse(f"{title}. {' '.join(said)}")
    assert (demand.role, demand.style, demand.location.city, demand.shift) == (title, "shorthand", "Detroit", "day")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Need 4 PM Tech in Naples, FL", ("PM Tech", 4, None, None)),
        ("Need 3 cooks at 4 PM in Naples, FL", ("cook", 3, "16:00", None)),
        (
            "60 Brush Clearer for Utility Rights of Way Ringgold GA 16:00",
            ("Brush Clearer for Utility Rights of Way", 60, "16:00", None),
        ),
        ("1 Groom for Jan Pearce Training in Petaluma CA", ("Groom", 1, None, "Jan Pearce Training")),
        ("4 grooms in Phoenix AZ 85023, client: Dayson Lavanway", ("groom", 4, None, "Dayson Lavanway")),
        ("16 HOUSEKEEPER SOUTH LAKE TAHOE, CA, CALIFORNIA 16:00", ("HOUSEKEEPER", 16, "16:00", None)),
        ("April 1, 2017: 5 Truck Driver Dickinson ND", ("Truck Driver", 5, "2017-04-01", None)),
        ("Cooks (five), Nowhereville - CO, 11:00", ("Cook", 5, "11:00", None)),
        ("3 Cooks; Moab UT; Moab Lodging Inc.", ("Cook", 3, None, "Moab Lodging Inc.")),
        ("Trying to find 2 Cooks in Moab UT", ("Cook", 2, None, None)),
        ("Moab Lodging Inc. called and needs 2 Cooks in Moab UT", ("Cook", 2, None, "Moab Lodging Inc.")),
        ("Moab Grill would like 2 Cooks in Moab UT", ("Cook", 2, None, "Moab Grill")),
        ("Do you have 2 Cooks available in Moab UT", ("Cook", 2, None, None)),
    ],
)
def test_parse_words_that_look_like_another_field_are_not_taken_for_it(text, expected):
    demand = PARSER.parse(text)
    assert (demand.role, demand.count, demand.start, demand.client) == expected
    assert demand.shift is None


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Need 3 Forklift Operators in Detroit MI starting at 06:00 for Beacon Freight", "Forklift Operators"),
        ("Beacon Freight needs 3 Forklift Operators in Detroit MI, $14/hr", "Forklift Operators"),
        ("3 Cook Detroit MI 06:00 Beacon Grill, night shift, ServSafe", "Cook, night shift, ServSafe"),
        ("Need 2 cooks in Tampa FL 33601 with grill experience", "cooks, with grill experience"),
        ("call me at 313-555-1234 or a@b.com", "call me at or"),
    ],
)
def test_searchable_text_keeps_the_work_and_drops_the_rest(text, kept):
    assert searchable_text(text, PARSER.parse(text)) == kept


def test_searchable_text_of_a_letter_has_no_name():
    text = "Hi Priya,\nNeed 3 welders in Detroit MI for Beacon Freight.\nThanks, John Smith\njohn@beacon.com"
    kept = searchable_text(text, PARSER.parse(text)).lower()
    assert "welders" in kept
    assert not [name for name in ("priya", "john", "smith", "beacon", "detroit") if name in kept]
