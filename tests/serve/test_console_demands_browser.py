"""Open demands in a real browser, each flow from start to end, with and without scripts.

`LAKEHOUSE_PICTURES=docs/images` keeps a picture of each page there.
"""

import json
import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import expect

from serve_rooms import NAUGHTY, faults, launched, text_of, visiting

ASK = "Need 3 Welders in Toledo, OH starting %s for Harbor Row"
PICTURES = os.environ.get("LAKEHOUSE_PICTURES", "")


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture
def open_page(browser, rooms_url):
    with visiting(browser, rooms_url, "iris") as open:
        yield open


def opened(lake, start: str, **more) -> str:
    return lake.demands.open(ASK % start, owner="iris", namespace="iris", **more).created[0]


def proposed(lake, id: str, count: int = 2) -> list[str]:
    people = [match.id for match in lake.demands.candidates(id, k=count).results]
    lake.demands.place(id, [{"corpus": "workers", "id": person} for person in people], "proposed", by="iris")
    return people


def pages_of(lake, start: str) -> dict[str, str]:
    """Make a demand with people at every stage, and return the pages that show it."""
    id = opened(lake, start, urgency="urgent")
    first, second = proposed(lake, id)
    lake.demands.fill(id, [first])
    third = lake.demands.candidates(id, k=3).results[-1].id
    lake.demands.place(id, [{"corpus": "workers", "id": third}], "do_not_return", by="iris", why="asked by the yard")
    lake.demands.outcome(id, first, "accepted", by="iris")
    lake.demands.note(id, "Promised to call back by noon.", by="iris")
    person = f"corpus=workers&to={second}"
    return {
        "queue-open": "/queue",
        "open-demand": f"/queue/demands/{id}?relax=on&why=w-1",
        "outreach": f"/queue/demands/{id}/outreach?{person}&kind=email",
        "outreach-sms": f"/queue/demands/{id}/outreach?{person}&kind=sms",
        "handover": "/handover?from=iris",
        "packet": f"/handover/packet?demand={id}",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page_of_a_demand(open_page, rooms_lake, rooms_url, scheme):
    paths = pages_of(rooms_lake, "2091-01-03" if scheme == "light" else "2091-01-04")
    page = open_page("/queue", color_scheme=scheme, viewport={"width": 1280, "height": 860})
    found = {}
    for name, path in paths.items():
        page.goto(rooms_url + path)
        found[name] = faults(page)
        if PICTURES and scheme == "light" and name != "outreach-sms":
            page.screenshot(path=Path(PICTURES) / f"console-{name}.png")
    assert found == {name: [] for name in found}


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_no_page_of_a_demand_runs_over_the_edge(open_page, rooms_lake, rooms_url, width):
    paths = pages_of(rooms_lake, f"2091-02-{width % 27 + 1:02d}")
    page = open_page("/queue", viewport={"width": width, "height": 800})
    for path in paths.values():
        page.goto(rooms_url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.parametrize("scripts", [True, False])
def test_from_a_pasted_email_to_people_at_work(open_page, rooms_lake, scripts):
    start = "2091-03-03" if scripts else "2091-03-04"
    page = open_page("/queue", java_script_enabled=scripts)
    page.get_by_label("Message", exact=True).fill(f"Quill Yards needs 2 welders in Toledo, OH starting {start}.")
    page.get_by_label("Subject").fill("Welders for Quill")
    page.locator("form[action='/queue'] button").click()
    expect(page.locator("#notice")).to_contain_text("A demand is open")
    page.locator("#open .entry", has_text=f"starts {start}").get_by_role("link").click()
    expect(page.locator("#tally")).to_contain_text("0 of 2 filled")
    page.get_by_role("button", name="Propose the first 2 who fit").click()
    expect(page.locator("#proposed .entry")).to_have_count(2)
    page.get_by_role("button", name=re.compile("^Fill")).click()
    expect(page.locator("#tally")).to_contain_text("2 of 2 filled")
    expect(page.locator("#filled .entry")).to_have_count(2)
    first = page.locator("#filled .entry").first
    first.locator("summary").click()
    first.get_by_label("What came of it").select_option("completed")
    first.get_by_role("button", name=re.compile("^Record")).click()
    expect(page.locator("#notice")).to_contain_text("Memory now gives")
    first = page.locator("#filled .entry").first
    expect(first.locator(".tag")).to_have_text("completed")
    first.locator("summary").click()
    first.get_by_role("button", name=re.compile("^Undo")).click()
    expect(page.locator("#notice")).to_contain_text("Taken back")
    page.locator("#filled .entry").first.locator("summary").click()
    page.locator("#filled .entry").first.get_by_role("button", name=re.compile("^Release")).click()
    expect(page.locator("#tally")).to_contain_text("1 of 2 filled")


def test_people_are_ticked_compared_replaced_and_barred_by_keyboard(open_page, rooms_lake):
    id = opened(rooms_lake, "2091-04-02")
    page = open_page(f"/queue/demands/{id}")
    boxes = page.locator("#calls tbody input")
    for nth in (0, 1):
        boxes.nth(nth).focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Compare two").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#compared thead th")).to_have_count(3)
    assert faults(page) == []
    page.locator("#calls tbody input").nth(0).check()
    page.get_by_role("button", name="Propose", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#proposed .entry")).to_have_count(1)
    out = page.locator("#proposed .entry").get_attribute("data-id")
    page.locator("#proposed summary").click()
    page.locator("#proposed").get_by_role("button", name=re.compile("^Replace")).click()
    expect(page.locator("#proposed .entry")).to_have_count(1)
    expect(page.locator(f"#excluded [data-id='{out}']")).to_have_count(1)
    page.locator("#excluded input").check()
    page.get_by_label("Reason").fill("asked by the yard")
    page.get_by_role("button", name="Do not return").click()
    expect(page.locator(f"#do_not_return [data-id='{out}']")).to_contain_text("asked by the yard")


def test_draft_is_judged_as_it_is_typed_and_loses_its_links_when_it_fails(open_page, rooms_lake):
    id = opened(rooms_lake, "2091-05-02")
    person = proposed(rooms_lake, id, 1)[0]
    page = open_page(f"/queue/demands/{id}/outreach?corpus=workers&to={person}&kind=email")
    expect(page.locator("#passes")).to_have_text("It may go.")
    link = page.locator("#send a")
    assert "subject=" in link.get_attribute("href")
    page.get_by_role("textbox", name="Message").press_sequentially(" Bring [YOUR NAME].")
    expect(page.locator("#passes")).to_have_text("It may not go like this.")
    expect(page.locator("#send")).to_have_count(0)
    expect(page.locator(".findings")).to_contain_text("placeholder")
    page.get_by_role("textbox", name="Message").fill("Are you free on Monday?")
    expect(page.locator("#send")).to_be_visible()
    assert "Are you free on Monday?" in unquote(link.get_attribute("href"))
    expect(page.get_by_role("button", name="Copy the text")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as a file").click()
    assert b"Are you free on Monday?" in Path(saved.value.path()).read_bytes()
    assert faults(page) == []


def test_draft_is_judged_without_scripts(open_page, rooms_lake):
    id = opened(rooms_lake, "2091-05-03")
    person = proposed(rooms_lake, id, 1)[0]
    page = open_page(f"/queue/demands/{id}/outreach?corpus=workers&to={person}&kind=sms", java_script_enabled=False)
    expect(page.locator("#send a")).to_have_attribute("href", re.compile("^sms:"))
    page.get_by_role("textbox", name="Message").fill("x" * 400)
    page.get_by_role("button", name="Check").click()
    expect(page.locator("#passes")).to_have_text("It may not go like this.")
    expect(page.locator("#send")).to_have_count(0)


def test_draft_is_written_down_when_it_leaves_and_not_while_it_is_typed(open_page, rooms_lake):
    id = opened(rooms_lake, "2091-05-04")
    person = proposed(rooms_lake, id, 1)[0]
    page = open_page(f"/queue/demands/{id}/outreach?corpus=workers&to={person}&kind=email")

    def messages() -> int:
        return sum(row.action == "message" for row in rooms_lake.subjects.audit(person, limit=1_000).rows)

    before = messages()
    with page.expect_response(re.compile("/outreach$")):
        page.get_by_role("textbox", name="Message").fill("Are you free on Tuesday?")
    expect(page.locator("#send a")).to_have_attribute("href", re.compile("Tuesday"))
    assert messages() == before
    with page.expect_response(re.compile("/outreach$")):
        page.get_by_role("button", name="Copy the text").press("Enter")
    assert messages() == before + 1


@pytest.mark.parametrize("scripts", [True, False])
def test_first_page_keeps_what_was_pasted_open(open_page, scripts):
    page = open_page("/", java_script_enabled=scripts)
    start = "2091-05-05" if scripts else "2091-05-06"
    page.get_by_label("Demand or email").fill(ASK % start)
    if scripts:
        page.keyboard.press("Control+Shift+Enter")
    else:
        page.get_by_role("button", name="Keep open").press("Enter")
    expect(page.locator("#tally")).to_contain_text("0 of 3 filled")
    assert "/queue/demands/" in page.url


def test_file_dropped_on_the_first_page_opens_its_demands(open_page):
    page = open_page("/")
    data = "role,count,city,state,start,client\nWelder,2,Toledo,OH,2091-06-02,First Page Works\n"
    dropped = page.evaluate_handle(
        """(text) => {
            const held = new DataTransfer();
            held.items.add(new File([text], "list.csv", { type: "text/csv" }));
            return held;
        }""",
        data,
    )
    for kind in ("dragover", "drop"):
        page.dispatch_event("#text", kind, {"dataTransfer": dropped})
    expect(page.locator("#notice")).to_contain_text("1 demand opened")
    expect(page.locator("#open")).to_contain_text("First Page Works")


def test_list_dropped_on_the_queue_opens_its_demands(open_page):
    page = open_page("/queue")
    data = "role,count,city,state,start,client\nWelder,2,Toledo,OH,2091-06-01,Drop Works\nWelder,no,Toledo,OH,,\n"
    page.set_input_files("#file", {"name": "list.csv", "mimeType": "text/csv", "buffer": data.encode()})
    page.locator("form[action='/queue/files'] button").click()
    expect(page.locator("#lines")).to_contain_text("Line 3: count 'no'")
    expect(page.locator("#open")).to_contain_text("Drop Works")
    assert faults(page) == []


def test_work_is_handed_over_and_the_packet_prints_it(open_page, rooms_lake):
    id = rooms_lake.demands.open(ASK % "2091-07-01", owner="zed", namespace="zed").created[0]
    person = proposed(rooms_lake, id, 1)[0]
    page = open_page("/queue?owner=zed")
    page.get_by_role("link", name="Hand over what zed has").click()
    page.get_by_label("Receiver").fill("yan")
    page.get_by_label("What was promised").fill("Lunch is on us.")
    page.get_by_role("button", name="Hand over").click()
    expect(page.locator("#handed .lines li")).to_have_count(1)
    assert faults(page) == []
    page.get_by_role("link", name="Packet to print").click()
    page.emulate_media(media="print")
    expect(page.locator(".top")).to_be_hidden()
    expect(page.locator("main")).to_contain_text("Lunch is on us.")
    expect(page.locator("main")).to_contain_text(person)


def test_one_clients_contract_is_handed_over_by_keyboard(open_page, rooms_lake):
    for name in ("Oak", "Yew"):
        text = f"Need 2 Welders in Toledo OH for {name} Works"
        rooms_lake.demands.open(text, owner="pia", namespace="pia")
        rooms_lake.playbooks.record(text, "w-101", "workers", 1.0, namespace="pia")
    page = open_page("/handover?from=pia")
    page.get_by_role("link", name="Oak Works").press("Enter")
    assert page.get_by_label("Memory", exact=True).locator("option").all_text_contents() == ["copy", "move"]
    page.get_by_label("Memory", exact=True).select_option("move")
    page.get_by_label("Receiver").fill("quo")
    page.get_by_label("Receiver").press("Enter")
    expect(page.locator("#notice")).to_contain_text("1 entry of memory of Oak Works")
    assert faults(page) == []
    page.goto(re.match(r"https?://[^/]+", page.url)[0] + "/memory?namespace=pia")
    expect(page.locator(".entry .quote")).to_have_count(1)
    expect(page.locator(".entry .quote")).to_contain_text("Yew Works")
    assert faults(page) == []


def test_hostile_texts_stay_texts(open_page, rooms_lake, rooms_url):
    if not NAUGHTY.exists():
        pytest.skip(f"the list of naughty strings is not at {NAUGHTY}")
    texts = [text for text in json.loads(NAUGHTY.read_text()) if text.strip()]
    id = opened(rooms_lake, "2091-08-01")
    person = proposed(rooms_lake, id, 1)[0]
    for at in range(0, len(texts), 25):
        rooms_lake.demands.note(id, text="\n".join(texts[at : at + 25])[:8_000], by=texts[at][:64])
    rooms_lake.demands.edit(id, owner=texts[0][:64])
    rooms_lake.demands.place(id, [{"corpus": "workers", "id": person}], "proposed", by="", why="\n".join(texts)[:8_000])
    page = open_page(f"/queue/demands/{id}", viewport={"width": 320, "height": 800})
    for path in (f"/queue/demands/{id}", f"/handover/packet?demand={id}"):
        page.goto(rooms_url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
        assert page.locator("main script, main iframe, main object").count() == 0
    assert "alert" in text_of(page.content())
