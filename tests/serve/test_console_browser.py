"""The console in a real browser: headless Chromium on a real lake."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from serve_rooms import chromium

ASK = "Need 3 Forklift Operators in Cleveland OH, day shift, OSHA-30"
REWORDED = "Looking for 3 lift truck drivers with OSHA 30 for the day shift in Cleveland, Ohio"
NOBODY = "Need 2 marine radar technicians in Bozeman MT"
EMAIL = """Hi Dana,

hope you had a good weekend. Beacon Freight needs 4 welders in Toledo, OH starting at 06:00, night shift.
They should hold OSHA-30.

Thanks
Pat
"""
NAUGHTY = Path(__file__).parents[2].parent / "shared" / "data" / "blns" / "blns.json"
AUDIT = Path(__file__).parent / "console_audit.js"
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
).split()
# A refused form is an answer with its own status, which the browser notes; everything else it notes is a defect.
REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


@pytest.fixture(scope="module")
def browser():
    executable = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


class Witness:
    """Notes what must not happen on a page."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.seen: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("dialog", lambda dialog: (self.seen.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("pageerror", lambda error: self.seen.append(f"error: {error}"))
        page.on("console", self._console)
        page.on("request", self._request)

    def _console(self, message) -> None:
        if message.type in {"error", "warning"} and not REFUSED.match(message.text):
            self.seen.append(f"{message.type}: {message.text}")

    def _request(self, request) -> None:
        if not request.url.startswith(self.origin + "/"):
            self.seen.append(f"request: {request.url}")


@pytest.fixture
def open_page(browser, console_url):
    """Open the console in a browser of its own; nothing may have gone wrong on it by the end of the test."""
    contexts, witnesses = [], []

    def open(url: str = console_url, **options) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(10_000)
        contexts.append(context)
        witnesses.append(Witness(url))
        page = context.new_page()
        witnesses[-1].watch(page)
        page.goto(url)
        return page

    yield open
    for context in contexts:
        context.close()
    assert [note for witness in witnesses for note in witness.seen] == []


@pytest.fixture
def page(open_page, coordinator) -> Page:
    page = open_page(viewport={"width": 1280, "height": 900})
    page.get_by_label("Coordinator").fill(coordinator)
    return page


def answered(page: Page, act) -> None:
    """Do something and wait until the answer to it stands in the page."""
    with page.expect_response(lambda response: response.request.method == "POST") as info:
        act()
    info.value.finished()
    # Not wait_for_function: what it looks at again is evaluated by the page, which the console's policy forbids.
    expect(page.locator(".htmx-request")).to_have_count(0, timeout=10_000)


def ask(page: Page, text: str) -> None:
    """Type a demand as a coordinator does and search with the keyboard."""
    page.get_by_label("Demand or email").fill(text)
    answered(page, lambda: page.keyboard.press("Control+Enter"))


def marks(page: Page) -> dict[str, str]:
    return {mark.get_attribute("data-field"): mark.text_content() for mark in page.locator("#original mark").all()}


def ids(page: Page) -> list[str]:
    return [card.get_attribute("data-id") for card in page.locator(".card").all()]


def card(page: Page, id: str):
    return page.locator(f'.card[data-id="{id}"]')


def test_demand_becomes_fields_with_the_text_they_came_from(page):
    ask(page, ASK)
    expected = {"count": "3", "role": "Forklift Operator", "city": "Cleveland", "state": "OH", "certs": "OSHA-30"}
    for name, value in {**expected, "shift": "day", "start": "", "client": ""}.items():
        expect(page.locator(f"#field-{name}")).to_have_value(value)
    assert marks(page) == {
        "count": "3",
        "role": "Forklift Operators",
        "location": "Cleveland OH",
        "shift": "day shift",
        "certs": "OSHA-30",
    }
    assert page.locator("#original").text_content() == ASK


def test_field_that_the_demand_does_not_say_is_an_empty_chip(page):
    ask(page, "Need 3 Forklift Operators")
    expect(page.get_by_label("place?")).to_have_value("")
    expect(page.locator("#chip-city")).to_have_class(re.compile("missing"))
    expect(page.locator("#chip-city")).to_contain_text("ask the client")


def test_matches_show_rating_and_distance_side_by_side(page):
    ask(page, ASK)
    assert len(ids(page)) == 10
    for one in page.locator(".card").all():
        expect(one.locator(".rating")).to_contain_text(re.compile(r"[1-5] .*[a-z]"))
        expect(one.locator(".distance b")).to_have_text(re.compile(r"^[01]\.\d{3}$"))
        rating, distance = one.locator(".rating").bounding_box(), one.locator(".distance").bounding_box()
        assert abs(rating["y"] - distance["y"]) < 2
        assert rating["x"] + rating["width"] <= distance["x"]
    first = page.locator(".card").first
    expect(first.locator(".rating")).to_contain_text("fits all")
    expect(first).to_contain_text("Forklift Operator · Cleveland, OH in town")
    expect(first.locator(".certificates li").first).to_contain_text("OSHA-30 to 2199-01-01")
    expect(first.locator(".certificates .expired")).to_contain_text("CPR expired 2020-01-01")
    assert first.locator(".reasons li").count()
    expect(page.locator("#no-good-match")).to_have_count(0)
    expect(page.locator("#status")).to_contain_text("10 matches. First:")


def test_nobody_good_is_a_visible_answer(page):
    ask(page, NOBODY)
    expect(page.locator("#no-good-match")).to_be_visible()
    expect(page.locator("#no-good-match")).to_contain_text("We have nobody good for this.")
    expect(page.locator("#status")).to_contain_text("We have nobody good for this.")
    expect(page.locator(".card .rating").first).not_to_contain_text("fits all")


def test_edited_field_searches_again_and_keeps_the_place_of_the_keyboard(page):
    ask(page, ASK)
    page.locator("#field-role").fill("line cook")
    answered(page, lambda: page.keyboard.press("Tab"))
    expect(page.locator("#field-city")).to_be_focused()
    expect(page.locator("#chip-role")).to_contain_text("edited, was “Forklift Operator”")
    expect(page.locator(".card").first).to_contain_text("Line Cook · Cleveland, OH")
    expect(page.locator("mark.off")).to_have_text("Forklift Operators")
    expect(page.locator("#line")).to_contain_text("Cleveland")
    assert page.locator("#original").text_content() == ASK
    answered(page, page.get_by_role("button", name="Back to the text as written").click)
    expect(page.locator("#field-role")).to_have_value("Forklift Operator")
    expect(page.locator(".card").first).to_contain_text("Forklift Operator")


def test_edited_shift_searches_again(page):
    ask(page, ASK)
    answered(page, lambda: page.get_by_label("shift").select_option("night"))
    expect(page.locator("#chip-shift")).to_contain_text("edited, was “day”")
    shifts = page.locator(".card").first.locator(".facts div").filter(has_text="Shifts")
    expect(shifts.locator("dd")).to_have_text("night")
    ask(page, ASK + " please")
    expect(page.get_by_label("shift")).to_have_value("day")


def test_what_is_typed_while_an_answer_is_on_its_way_is_kept(page):
    ask(page, ASK)
    page.locator("#field-role").fill("Welder")
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.keyboard.press("Tab")
        page.keyboard.insert_text("Toledo")
    expect(page.locator("#chip-role")).to_contain_text("edited")
    expect(page.locator("#field-city")).to_have_value("Toledo")
    answered(page, lambda: page.keyboard.press("Tab"))
    expect(page.locator(".card").first).to_contain_text("Welder · Toledo, OH")


def test_worked_out_helps_the_next_search_in_other_words(page, coordinator):
    ask(page, ASK)
    # The last of those who live in the town itself: memory moves people among their like.
    chosen = page.locator(".card").filter(has_text="Cleveland, OH").last.get_attribute("data-id")
    assert ids(page).index(chosen) > 2
    answered(page, card(page, chosen).get_by_role("button", name="Worked out").click)
    expect(page.locator("#notice")).to_contain_text("worked out")
    ask(page, REWORDED)
    expect(card(page, chosen).locator(".memory")).to_contain_text("worked out for a like demand on")
    expect(card(page, chosen).locator(".memory")).to_contain_text(f"recorded by {coordinator} (today)")
    assert ids(page)[0] == chosen


def test_worked_out_does_not_reach_another_role(page):
    ask(page, ASK)
    answered(page, page.get_by_role("button", name="Worked out").last.click)
    ask(page, "Need 3 Line Cooks in Cleveland OH, day shift, OSHA-30")
    expect(page.locator(".card .memory")).to_have_count(0)


def test_not_them_goes_now_and_in_other_words(page):
    ask(page, ASK)
    chosen = ids(page)[0]
    answered(page, card(page, chosen).get_by_role("button", name="Not them").click)
    expect(card(page, chosen)).to_have_count(0)
    expect(page.locator("#left-out")).to_be_visible()
    ask(page, REWORDED)
    expect(page.locator("#left-out")).to_have_count(0)
    assert chosen not in ids(page)


def test_recording_is_undone(page):
    ask(page, ASK)
    answered(page, page.get_by_role("button", name="Worked out").last.click)
    expect(page.locator(".card .memory")).to_have_count(1)
    answered(page, page.get_by_role("button", name="Undo").click)
    expect(page.locator(".card .memory")).to_have_count(0)


def test_replace_brings_somebody_else_and_can_be_taken_back(page):
    ask(page, ASK)
    before = ids(page)
    answered(page, card(page, before[0]).get_by_role("button", name="Replace").click)
    assert before[0] not in ids(page)
    assert len(ids(page)) == 10
    answered(page, page.get_by_role("button", name="put back").click)
    assert ids(page) == before


def test_pasted_email_is_read(page):
    box = page.get_by_label("Demand or email")
    box.focus()
    page.keyboard.insert_text(EMAIL)
    answered(page, page.get_by_role("button", name="Search", exact=True).click)
    for name, value in {"count": "4", "role": "welder", "city": "Toledo", "state": "OH", "start": "06:00"}.items():
        expect(page.locator(f"#field-{name}")).to_have_value(value)
    expect(page.locator("#field-client")).to_have_value("Beacon Freight")
    expect(page.locator(".card").first).to_contain_text("Welder · Toledo, OH")
    assert page.locator("#original").text_content() == EMAIL
    assert marks(page)["role"] == "welders"


def test_contact_data_is_shown_only_on_opening(page):
    ask(page, ASK)
    first = page.locator(".card").first
    phone = first.get_by_role("link", name="(216) 555-")
    expect(phone).to_be_hidden()
    first.get_by_text("Contact and resume").click()
    expect(phone).to_be_visible()
    assert phone.get_attribute("href").startswith("tel:216555")
    expect(first.get_by_role("link", name="@example.com")).to_be_visible()
    answered(page, first.get_by_role("button", name="Worked out").click)
    expect(phone).to_be_visible()


def test_memory_switch_searches_again(page):
    ask(page, ASK)
    answered(page, page.get_by_role("button", name="Worked out").last.click)
    expect(page.locator(".card .memory")).to_have_count(1)
    answered(page, page.get_by_role("switch", name="Use memory").uncheck)
    expect(page.locator(".card .memory")).to_have_count(0)


def test_empty_box_is_refused_in_the_page_and_gets_the_keyboard(page):
    answered(page, page.get_by_role("button", name="Search", exact=True).click)
    expect(page.get_by_role("alert").filter(has_text="The box is empty")).to_be_visible()
    expect(page.get_by_label("Demand or email")).to_be_focused()
    ask(page, ASK)
    expect(page.locator("#trouble")).to_have_count(0)
    assert page.get_by_label("Demand or email").get_attribute("aria-invalid") is None


def _cut_off(context, page) -> None:
    context.set_offline(True)


def _answered_by_somebody_else(context, page) -> None:
    page.route("**/*", lambda route: route.fulfill(status=502, content_type="application/json", body='{"error":{}}'))


@pytest.mark.parametrize("fault", [_cut_off, _answered_by_somebody_else])
def test_server_that_does_not_answer_is_said_and_nothing_is_lost(browser, console_url, fault):
    # Not through `open_page`: the browser rightly notes the request that failed.
    context = browser.new_context()
    page = context.new_page()
    page.goto(console_url)
    ask(page, ASK)
    fault(context, page)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator(".card")).to_have_count(10)
    expect(page.get_by_label("Demand or email")).to_have_value(ASK)
    context.set_offline(False)
    page.unroute_all()
    ask(page, NOBODY)
    expect(page.locator("#no-good-match")).to_be_visible()
    expect(page.locator("#lost")).to_be_hidden()
    context.close()


def test_everything_works_without_scripts(open_page, coordinator):
    page = open_page(java_script_enabled=False)
    page.get_by_label("Coordinator").fill(coordinator)
    page.get_by_label("Demand or email").fill(ASK)
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.locator(".card")).to_have_count(10)
    expect(page.get_by_label("Demand or email")).to_have_value(ASK)
    chosen = ids(page)[0]
    page.locator("#field-city").fill("Toledo")
    page.get_by_role("button", name="Search with these fields").click()
    expect(page.locator(".card").first).to_contain_text("Forklift Operator · Toledo, OH")
    page.get_by_role("button", name="Back to the text as written").click()
    card(page, chosen).get_by_role("button", name="Not them").click()
    expect(page.locator("#notice")).to_be_visible()
    expect(card(page, chosen)).to_have_count(0)


def test_keyboard_alone_does_everything(page):
    page.get_by_label("Demand or email").focus()
    page.keyboard.insert_text(ASK)
    answered(page, lambda: page.keyboard.press("Control+Enter"))
    order = []
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
                const element = document.activeElement, style = getComputedStyle(element);
                return [element.name || element.id, style.outlineStyle, parseFloat(style.outlineWidth)];
            }"""
        )
        order.append(found[0])
        assert (found[1], found[2] >= 2) == ("solid", True), found
        if found[0] == "worked":
            break
    in_order = [name for name in order if name in {"search", "coordinator", "k", "memory", "corpora", "role", "worked"}]
    assert in_order == ["search", "coordinator", "k", "memory", "corpora", "role", "worked"]
    answered(page, lambda: page.keyboard.press("Enter"))
    expect(page.locator("#notice")).to_be_visible()
    assert page.evaluate("document.activeElement.name") == "worked"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_and_every_control_has_a_name(open_page, coordinator, scheme):
    page = open_page(color_scheme=scheme)
    texts = 0

    def check() -> None:
        nonlocal texts
        found = page.evaluate(AUDIT.read_text(encoding="utf-8"))
        texts += found.pop("texts")
        assert found == {"nameless": [], "twice": [], "dangling": [], "pale": []}

    check()
    page.get_by_label("Coordinator").fill(coordinator)
    ask(page, "")
    check()
    ask(page, "Need 3 Forklift Operators in Cleveland OH")
    page.get_by_text("Contact and resume").first.click()
    answered(page, page.get_by_role("button", name="Worked out").first.click)
    answered(page, page.get_by_role("button", name="Replace").nth(1).click)
    page.locator("#field-certs").fill("OSHA-30, Zzyzx-7")
    answered(page, lambda: page.keyboard.press("Tab"))
    check()
    ask(page, NOBODY)
    check()
    assert texts > 300
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 24, 27)"
    assert dark is (scheme == "dark")


@pytest.mark.parametrize("width", [1280, 400, 320])
def test_nothing_runs_over_the_edge(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    for text in (ASK, "W" * 300 + " " + EMAIL):
        ask(page, text)
        page.get_by_text("Contact and resume").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    expect(page.locator("#answer")).to_be_in_viewport()


def test_first_meeting_says_what_to_type(open_page, empty_console_url):
    page = open_page(empty_console_url, viewport={"width": 320, "height": 800})
    expect(page.locator("#nobody-yet")).to_contain_text("lakehouse corpus build workers")
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    ask(page, ASK)
    expect(page.locator("#nobody-yet")).to_be_visible()
    expect(page.locator("#field-role")).to_have_value("Forklift Operator")


@pytest.fixture(scope="module")
def naughty() -> list[str]:
    if not NAUGHTY.is_file():
        pytest.skip(f"the big list of naughty strings is not at {NAUGHTY}")
    return [text for text in json.loads(NAUGHTY.read_text(encoding="utf-8")) if text.strip()]


def test_naughty_demand_runs_nothing(page, naughty):
    for at in range(0, len(naughty), 12):
        text = "\n".join(naughty[at : at + 12])
        ask(page, text)
        # A text field's own value is what a browser makes of line ends; the page shows exactly that.
        assert page.locator("#original").text_content() == page.get_by_label("Demand or email").input_value()
    expect(page.locator("script")).to_have_count(2)


def test_naughty_field_runs_nothing(page, naughty):
    tags = [text for text in naughty if "<" in text and "\n" not in text]
    ask(page, ASK)
    for text in tags[::12]:
        page.locator("#field-client").fill(f"{text} {len(text)}")
        answered(page, lambda: page.keyboard.press("Tab"))
    assert tags
    expect(page.locator("script")).to_have_count(2)


def test_naughty_name_runs_nothing(page):
    ask(page, "Need 20 Welders in Toledo OH")
    page.get_by_label("How many").fill("40")
    answered(page, lambda: page.keyboard.press("Tab"))
    hostile = page.locator(".card").filter(has_text="<img src=x onerror=alert(1)>")
    expect(hostile).to_have_count(1)
    answered(page, hostile.get_by_role("button", name="Not them").click)
    expect(page.locator("#left-out")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#notice")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#answer img")).to_have_count(0)
