import hashlib
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.staffing import _role_files as files
from lakehouse.staffing._gazetteer import read_cities
from lakehouse.staffing._role_text import Spelling, stem, telling, words
from lakehouse.staffing.roles import Roles
from lakehouse.staffing.shipped import shipped

# What these titles are is plain to anyone in staffing; several codes where the title leaves it open.
EVERYDAY = """
Forklift Operator|53-7051
forklift drivers|53-7051
Reach Truck Operator|53-7051
Warehouse Associates|53-7062 53-7065
Order Picker|53-7065
Picker/Packer|53-7064 53-7065
Material Handler|53-7062
CDL-A Truck Driver|53-3032
Delivery Driver|53-3033
WELDER|51-4121
TIG Welders|51-4121
CNC Operator|51-9161
Machinist|51-4041
Assembler|51-2092
Maintenance Mechanic|49-9041
Journeyman Electrician|47-2111
Electrician Helper|47-3013
Pipefitter|47-2152
Construction Laborer|47-2061
Concrete Finisher|47-2051
Heavy Equipment Operator|47-2073
Housekeepers|37-2012
Janitor|37-2011
Line Cooks|35-2014
Dishwasher|35-9021
Waitresses|35-3031
Front Desk Agent|43-4081
Customer Service Rep|43-4051
CNAs|31-1131
Registered Nurse|29-1141
Home Health Aide|31-1121
Security Guard|33-9032
Landscape Laborer|37-3011
Tree Climber|37-3013
Stable Attendant|39-2021
Ride Operator|39-3091
Crab Picker|51-3022
Diesel Technician|49-3031
Software Developer|15-1252
Millwright|49-9044
""".strip().splitlines()

NO_ROLE = """
asdf
urgent please
in Cleveland
Monday morning
starting at 06:00
day shift
OSHA-30
thanks
people
some people
someone
$18 per hour
12345
for Beacon Freight
the weather is nice
""".strip().splitlines()


@pytest.fixture(scope="module")
def roles():
    return Roles.shipped()


@pytest.mark.parametrize("line", EVERYDAY)
def test_resolve_everyday_title_is_its_occupation(roles, line):
    title, expected = line.split("|")
    match = roles.resolve(title)
    assert match is not None
    assert match.code[:7] in expected.split(), match


@pytest.mark.parametrize("text", [*NO_ROLE, "", " ", "\n", "II", "2026"])
def test_resolve_text_without_a_role_is_none(roles, text):
    assert roles.resolve(text) is None


def test_resolve_large_cities_name_no_role(roles):
    cities = [city.name for city in read_cities(shipped("us_cities.csv.gz"))][:1_000]
    named = [city for city in cities if roles.resolve(f"in {city}")]
    assert len(named) < 15, named


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("landsacape laborer", "Landscape Laborer"),
        ("housekeepr", "Housekeeper"),
        ("WAREHOUSE WORKERS", "warehouse worker"),
        ("Warehouse-Worker", "warehouse worker"),
        ("Cooks &amp; Bakers", "cooks and bakers"),
        ("truckdriver", "truck driver"),
    ],
)
def test_resolve_spellings_of_one_title_agree(roles, written, meant):
    assert roles.resolve(written).code == roles.resolve(meant).code


def test_resolve_answers_as_its_edition_did():
    """When this fails on purpose, raise `Roles.edition` with it: codes that are stored are then worked out again."""
    roles = Roles.shipped()
    titles = sorted(title.text for title in files.titles())[::150] + sorted(files.staffing_titles())[::10]
    asked = [form.format(title) for title in titles for form in ("{}", "certified {}s")]
    found = [(title, match.code if match else "") for title in asked for match in [roles.resolve(title)]]
    assert (Roles.edition, len(found), hashlib.sha256(repr(found).encode()).hexdigest()[:16]) == (
        3,
        620,
        "2225164229982215",
    )


@pytest.mark.parametrize("word", ["certified", "Licensed", "experienced", "qualified", "certified and experienced"])
@pytest.mark.parametrize("title", ["forklift operators", "welder", "Plumbers", "nurse", "CNC operator", "line cooks"])
def test_resolve_word_for_a_good_worker_changes_no_title(roles, word, title):
    assert roles.resolve(f"{word} {title}").code == roles.resolve(title).code
    assert roles.resolve(f"{word} {title}") == roles.rank(f"{word} {title}")[0]
    assert roles.known(f"{word} {title}")


@pytest.mark.parametrize(
    ("title", "code"),
    [
        ("Certified Nursing Assistants", "31-1131.00"),
        ("Licensed Practical Nurse", "29-2061.00"),
        ("experienced certified medication aide", "31-1131.00"),
        ("Licensed Marine Engineer", "53-5031.00"),
    ],
)
def test_resolve_onet_title_with_such_a_word_keeps_its_own_code(roles, title, code):
    assert roles.resolve(title).code == code


def test_corrected_word_too_long_for_a_title_stays(roles):
    assert roles.index.corrected(["forkliftoperator"]) == ["forklift", "operator"]
    longest = sorted({word for title in files.titles() for word in title.key.split() if word.isalpha()}, key=len)[-2:]
    assert len("".join(longest)) > 40
    assert roles.index.corrected(["".join(longest)]) == ["".join(longest)]


def test_resolve_is_the_first_of_rank(roles):
    for line in EVERYDAY:
        title = line.split("|")[0]
        assert roles.resolve(title) == roles.rank(title, 3)[0]


def test_resolve_from_many_threads_agrees_with_one(roles):
    titles = [line.split("|")[0] for line in EVERYDAY]
    expected = [roles.resolve(title) for title in titles]
    fresh = Roles.shipped()
    found: list[object] = []
    threads = [
        threading.Thread(target=lambda: found.append([fresh.resolve(title) for title in titles])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_rank_scores_fall_and_are_chances(roles):
    matches = roles.rank("maintenance worker", 20)
    scores = [match.score for match in matches]
    assert len(matches) == 20
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert len({match.code for match in matches}) == 20


def test_rank_nothing_near_is_empty(roles):
    assert roles.rank("zzqx vvkj") == []


def test_rank_k_below_one_is_refused(roles):
    with pytest.raises(InvalidInput, match="k must be at least 1"):
        roles.rank("cook", 0)


def test_rank_with_meanings_finds_what_no_word_says():
    seen: list[str] = []

    def embed(texts):
        """Stand in for a model that knows one thing: what a governess does."""
        seen.extend(texts)
        near = [[1.0, 0.0] if "governess" in text or "Nann" in text else [0.0, 1.0] for text in texts]
        return np.array(near, dtype=np.float32)

    by_words, by_meaning = Roles.shipped(), Roles.shipped(embed)
    assert by_words.rank("governess") == []
    assert by_meaning.rank("governess", 1)[0].code == "39-9011.01"
    assert "governess" in seen


@pytest.mark.parametrize(
    "phrase", ["Forklift Operator", "forklift operators", "FORKLIFT-OPERATOR", "Cooks, Restaurant"]
)
def test_known_title_in_any_form(roles, phrase):
    assert roles.known(phrase)


@pytest.mark.parametrize("phrase", ["Cleveland", "Forklift Operator Cleveland", "", "asdf"])
def test_known_other_text_is_not(roles, phrase):
    assert not roles.known(phrase)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Forklift Operators Cleveland OH", 2),
        ("Packers/Packagers, Detroit", 1),
        ("Cooks and Servers Boston", 3),
        ("Electricians & Plumbers Ohio", 3),
        ("Cooks, Restaurant Reno", 2),
        ("Line Cook Mason OH", 2),
        ("Amusement and Recreation Attendants Gibsonton FL", 4),
        ("Cook and foo", 1),
        ("foo bar", 0),
        ("", 0),
    ],
)
def test_longest_prefix_ends_where_the_title_does(roles, text, expected):
    assert roles.longest_prefix(text.split()) == expected


@given(
    st.lists(st.sampled_from("cook and / line Forklift operators Detroit , & Servers, helper MI".split()), max_size=8)
)
def test_longest_prefix_is_a_title_or_several(said):
    length = _ROLES.longest_prefix(said)
    assert 0 <= length <= len(said)
    if length:
        assert words(said[length - 1])
        assert _ROLES.longest_prefix(said[:length]) == length


_ROLES = Roles.shipped()
_ROLES.rank("cook")


def test_is_head_words_that_titles_end_in(roles):
    assert all(map(roles.is_head, "worker operators Laborer attendant technician nannies foreman".split()))
    assert not any(map(roles.is_head, "Cleveland OH and day the 3 forklift".split()))


def test_title_unknown_code_names_it(roles):
    assert roles.title("53-7051.00") == "Industrial Truck and Tractor Operators"
    with pytest.raises(NotFound, match=r"99-9999\.00"):
        roles.title("99-9999.00")


def test_related_is_symmetric_and_near_only(roles):
    assert roles.related("37-3011.00", "37-3013.00")
    assert roles.related("53-7051.00", "53-7062.00")
    assert not roles.related("37-3011.00", "15-1252.00")
    assert roles.related("no code", "no code")
    assert not roles.related("", "53-7051.00")
    codes = [occupation.code for occupation in files.occupations()]
    for a, b in zip(codes, codes[7:], strict=False):
        assert roles.related(a, b) == roles.related(b, a)


def test_tasks_and_tools_are_the_occupations_own(roles):
    assert any("forklift" in task for task in roles.tasks("53-7051.00"))
    assert "Forklifts" in roles.tools("53-7051.00")
    with pytest.raises(NotFound):
        roles.tasks("")


def test_titles_shipped_keys_are_what_the_code_makes_of_them():
    # The keys are made once, by data/make_onet.py; a change of the rules needs the files made again.
    assert [title.text for title in files.titles() if title.key != " ".join(words(title.text))] == []


def test_terms_shipped_stems_are_what_the_code_makes():
    stems = {term for terms in files.terms().values() for term, _ in terms}
    titles = {stem(word) for occupation in files.occupations() for word in telling(words(occupation.title))}
    assert len(titles - stems) < 0.2 * len(titles)


@given(st.text(max_size=40))
def test_words_are_plain_and_stable(text):
    found = words(text)
    assert all(word.isascii() and word.isalnum() and word == word.lower() for word in found)
    assert words(" ".join(found)) == words(" ".join(words(" ".join(found))))


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz ", max_size=40))
def test_rank_any_text_gives_an_answer_or_none(text):
    matches = _ROLES.rank(text, 5)
    assert len(matches) in {0, 5}


def test_spelling_corrects_one_letter_and_leaves_the_rest():
    spelling = Spelling({"landscape": 5, "housekeeper": 9, "truck": 3, "driver": 4, "coordinator": 1})
    assert spelling.correct("landsape") == ["landscape"]
    assert spelling.correct("hosuekeeper") == ["housekeeper"]
    assert spelling.correct("truckdriver") == ["truck", "driver"]
    assert spelling.correct("coordinato") == ["coordinator"]
    assert spelling.correct("cleveland") == ["cleveland"]
    assert spelling.correct("tru") == ["tru"]
