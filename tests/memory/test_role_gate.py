import pytest

from lakehouse.memory.role_gate import RoleGate, level, narrower
from lakehouse.staffing.roles import Roles


@pytest.fixture(scope="module")
def verdict():
    roles = Roles.shipped()
    gate = RoleGate(roles)

    def of(asked: str, entry: str) -> str:
        codes = [match.code if (match := roles.resolve(title)) else "" for title in (asked, entry)]
        return gate.verdict(asked, codes[0], entry, codes[1])

    return of


@pytest.mark.parametrize(
    ("asked", "entry"),
    [
        ("forklift operators", "Lift Truck Driver"),
        ("Housekeeper", "HOUSEKEEPERS"),
        ("Waiters", "waiter"),
        ("certified welders", "Welder"),
        ("licensed nurse", "experienced nurses"),
        ("qualified widget polisher", "certified widget polishers"),
    ],
)
def test_same_occupation_or_same_title_is_the_same_role(verdict, asked, entry):
    assert verdict(asked, entry) == verdict(entry, asked) == "same"


@pytest.mark.parametrize(
    ("asked", "entry"),
    [
        ("CNC Operator", "Forklift Operator"),
        ("Tree Trimmer", "Tree Trimmer - Supervisor"),
        ("Drywall Installer", "Drywall Helper"),
        ("Picker", "Forklift Operator"),
        ("Certified Medication Aide", "Medication Aide"),
    ],
)
def test_another_occupation_or_level_is_another_role(verdict, asked, entry):
    assert verdict(asked, entry) == verdict(entry, asked) == "other"


def test_a_missing_role_is_unknown(verdict):
    assert verdict("", "Cook") == verdict("Cook", "") == "unknown"


def test_narrower_certified_title_is_no_kind_of_the_title():
    assert not narrower("certified welders", "Welder")
    assert narrower("certified pipe welder", "Welder")


def test_level_reads_words_not_parts_of_them():
    assert [level(title) for title in ("Line Leads", "Lead Cook", "Leadworker", "Mason's helper")] == [
        "over",
        "over",
        "",
        "under",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("RN", "Registered Nurses"),
        ("CNA", "Certified Nursing Assistant"),
        ("HVAC Tech", "HVAC Technician"),
        ("Maintenance Tech", "Maintenance Technician"),
        ("Warehouse Operative", "Warehouse Worker"),
        ("Compliance Officers", "compliance officer"),
        ("Full-Time Seasonal Cook", "Cooks"),
        ("Journeyman Electrician", "Electrician"),
    ],
)
def test_verdict_everyday_names_and_terms_are_the_same_role(verdict, one, other):
    assert verdict(one, other) == verdict(other, one) == "same"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Line Cook", "Line Worker"),
        ("Dock Worker", "Dock Builder"),
        ("Truck Driver", "Truck Mechanic"),
        ("Nurse", "Nursery Worker"),
        ("Tree Trimmer", "Meat Trimmer"),
        ("Landscape Laborer", "Construction Laborer"),
        ("Welder", "Welding Inspector"),
        ("Order Picker", "Fruit Picker"),
        ("Mower", "Mover"),
        ("Lift Operator", "Forklift Operator"),
        ("General Manager", "Manager in Training"),
        ("Seasonal Cook", "Seasonal Dishwasher"),
    ],
)
def test_verdict_titles_that_share_words_are_other_roles(verdict, one, other):
    assert verdict(one, other) == verdict(other, one) == "other"
