"""Demands as people say them to each other, rather than as a form would have them."""

import pytest

from lakehouse.staffing.parse import Parser
from lakehouse.staffing.places import place_key
from lakehouse.staffing.titles import role_equal

PARSER = Parser.shipped()

SPOKEN = """
roofer | 2 | Duluth | - | we're short two roofers up in Duluth starting June
roofer | 2 | Duluth | MN | Could you send us a couple of roofers for a job in Duluth, Minn.? Start is June 1.
roofer | 2 | Duluth | - | Duluth job site is down two roofers, can you help?
roofer | 2 | Duluth | MN | Any chance you have 2 roofers available near Duluth, MN?
roofer | 1 | Duluth | MN | Need several more roofers in Duluth MN
roofer | 1 | Duluth | MN | We could use a few roofers over in Duluth MN
housekeeper | 12 | St. Louis | MO | We need a dozen housekeepers for our hotel in Saint Louis, MO
line cook | 12 | Aspen | CO | dozen line cooks Aspen CO
line cook | 6 | Aspen | CO | Need half dozen line cooks in Aspen, CO
line cook | 3 | New York | - | Looking for 3 line cooks in NYC, evenings
line cook | 3 | New York | - | NYC restaurant needs three line cooks for second shift
line cook | 3 | New York | - | need line cooks x3, New York City, pm shift
line cook | 3 | Detroit | - | need line cooks (3), Detroit, pm shift
welder | 4 | Fort Worth | - | We require 4 welders at our Ft Worth plant, graveyard
welder | 4 | Fort Worth | - | Can u get me 4 welders in ft worth by monday?
welder | 3 | Tulsa | OK | If you've got three welders free in Tulsa OK let me know
welder | 2 | Toledo | OH | Need a pair of welders in Toledo OH
welder | 3 | Detroit | - | The Detroit site needs 3 welders
welder | 3 | Detroit | - | Detroit needs 3 welders
welder | 3 | Detroit | MI | Detroit, MI needs 3 welders
forklift driver | 3 | Detroit | - | got room for three more forklift drivers, Detroit, days
lift truck operator | 3 | Detroit | MI | we could do with three lift truck operators in Detroit, MI
forklift operator | 3 | Detroit | MI | please supply 3 forklift operators to our Detroit, MI warehouse
CNC machinist | 1 | Grand Rapids | MI | We're after a CNC machinist in Grand Rapids, Michigan
construction laborer | 5 | Denver | CO | half a dozen? no, make it five construction laborers in Denver CO
cook | 2 | Reno | NV | We are 2 cooks down in Reno NV
truck driver | 2 | Memphis | TN | pair of truck drivers (CDL A) for Memphis, Tenn.
RN | 3 | Denver | - | Need 3 RNs in denver tonight
dishwasher | 10 | Mackinac Island | MI | 10 dishwashers on Mackinac Island, MI
cook | 4 | Aspen | - | Aspen ski lodge short 4 cooks, start Dec 1
painter | 3 | Kansas City | MO | 3 painters KC MO
bricklayer | 2 | Philadelphia | - | 2 bricklayers Philly
janitor | 4 | Minneapolis | - | four janitors, third shift, Mpls
cook | 2 | Bar Harbor | ME | Pls send 2 cooks to Bar Harbor Maine asap
housekeeper | 8 | Park City | UT | Housekeepers - 8 - Park City UT - Dec thru April
housekeeper | 8 | Park City | UT | Park City UT / 8 housekeepers / start 12-1
dishwasher | 4 | Nantucket | - | Nantucket restaurant, 4 dishwashers, May - Oct
welder | 5 | Houston | - | Houston shipyard wants five welders ASAP
forklift operator | 6 | Joliet | IL | Our Joliet, IL DC is short six forklift operators on second shift
roofer | 10 | Miami | - | Miami - 10 roofers - start Monday
electrician | 2 | Austin | TX | A couple electricians would be great in Austin TX
electrician | 2 | Austin | TX | We are seeking the services of two electricians in Austin, Texas.
welder | 5 | Houston | - | Any welders around Houston? We need 5
welder | 5 | Houston | TX | Any welders in Houston TX? We need 5 by Monday.
janitor | 2 | Toledo | OH | Janitors needed: 2 in Toledo OH, nights
roofer | 8 | Toledo | OH | 8 roofers for us in Toledo OH
carpenter | 7 | Nashville | TN | Nashville TN project needs 7 carpenters w/ own tools
"""


@pytest.mark.parametrize("said", SPOKEN.strip().splitlines(), ids=lambda said: said.rpartition(" | ")[2])
def test_parse_spoken_demand_says_who_how_many_and_where(said):
    role, count, city, state, text = said.split(" | ")
    demand = PARSER.parse(text)
    assert role_equal(demand.role or "", role)
    assert (demand.count, place_key(demand.location.city or "")) == (int(count), place_key(city))
    assert demand.location.state == (None if state == "-" else state)
    assert demand.client is None


@pytest.mark.parametrize(
    ("text", "client", "city"),
    [
        ("Beacon Freight (Detroit, MI) wants 3 forklift operators", "Beacon Freight", "Detroit"),
        ("Beacon Freight in Detroit, MI wants 3 forklift operators", "Beacon Freight", "Detroit"),
        ("Beacon Freight, Detroit MI 48201, urgently needs 3 forklift operators", "Beacon Freight", "Detroit"),
        ("Beacon Freight in Detroit MI needs 3 cooks in Toledo OH", "Beacon Freight", "Toledo"),
        ("City of Detroit MI needs 3 cooks", "City of Detroit", "Detroit"),
        ("Lawns of North Florida in Jacksonville FL is looking for 3 cooks", "Lawns of North Florida", "Jacksonville"),
    ],
)
def test_parse_place_beside_the_client_is_no_part_of_its_name(text, client, city):
    demand = PARSER.parse(text)
    assert (demand.client, demand.location.city) == (client, city)
    assert demand.location.state


@pytest.mark.parametrize("text", ["Night janitors needed: 2", "Night janitors needed - 2"])
def test_parse_title_before_needed_and_a_number_is_the_role(text):
    demand = PARSER.parse(text)
    assert (demand.role, demand.count, demand.client) == ("Night janitor", 2, None)


@pytest.mark.parametrize(
    "text",
    ["Any welders around Houston? We need 5 more forklift operators", "Any welders around Houston? We need 5 vans"],
)
def test_parse_number_of_something_else_in_the_sentence_after_is_not_the_count(text):
    demand = PARSER.parse(text)
    assert (demand.role, demand.count) == ("welder", 1)


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("8 roofers in Toledo OH for US Steel", "US Steel"),
        ("8 roofers in Toledo OH for us", None),
        ("8 roofers in Toledo OH for US please", None),
        ("SEND 8 ROOFERS TO TOLEDO OH FOR US PLEASE", None),
    ],
)
def test_parse_us_before_a_name_is_the_country(text, client):
    demand = PARSER.parse(text)
    assert (demand.role.lower(), demand.count, demand.client) == ("roofer", 8, client)


@pytest.mark.parametrize(
    ("text", "count", "place"),
    [
        ("Role: forklift operator\nHeadcount: 3\nCity: Detroit\nState: MI", 3, ("Detroit", "MI")),
        ("Job Title: Welder\nPositions: 4\nCity: Fort Worth\nState: Texas\nZip: 76102", 4, ("Fort Worth", "TX")),
        ("Position: Welder\nNumber: 4\nLocation: Fort Worth, TX\nShift: nights", 4, ("Fort Worth", "TX")),
        ("Job title: Roofer\nWorkers requested: 12\nWorksite city: Duluth\nWorksite state: MN", 12, ("Duluth", "MN")),
        ("Role: Cook; City: Nowhereville; State: MD; Count: 3", 3, ("Nowhereville", "MD")),
        ("Role: Cook\nState: MD\nCount: 3", 3, (None, "MD")),
        ("Role: Cook\nCity: Portland OR\nState: ME", 1, ("Portland", "OR")),
    ],
)
def test_parse_form_with_city_and_state_apart_is_one_place(text, count, place):
    demand = PARSER.parse(text)
    assert (demand.count, (demand.location.city, demand.location.state)) == (count, place)


@pytest.mark.parametrize(
    "text",
    [
        "I worked with 3 cooks in Reno NV",
        "There were two welders in Detroit",
        "holla at me because I need an excuse to go creep on people in sarasota",
        "my couple of nurses in Boston left last week",
    ],
)
def test_parse_talk_of_people_asks_for_nobody(text):
    assert PARSER.parse(text).role is None


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("Need 4 welders in Detroit MI for US Steel", "US Steel"),
        ("Need 4 welders for US Steel in Detroit MI", "US Steel"),
        ("US Steel needs 4 welders in Detroit MI", "US Steel"),
        ("Looking for 4 welders in Detroit MI at US Steel", "US Steel"),
        ("Need 4 welders in Detroit MI for US", None),
        ("Need 4 drivers in Gary IN at US Highway 30", None),
        ("Need 4 welders in Detroit MI, US Citizens only", None),
    ],
)
def test_parse_a_client_that_begins_with_us_is_not_who_says_us(text, client):
    demand = PARSER.parse(text)
    assert (demand.client, demand.count, demand.location.state) == (
        client,
        4,
        text.split(" in ")[1].split()[1].strip(","),
    )
