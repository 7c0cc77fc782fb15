"""The pages beside the demand in a real browser: axe-core, hostile text, widths, keyboard, live progress, pictures.

`LAKEHOUSE_PICTURES=docs/images` keeps a picture of each page there.
"""

import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from lakehouse.validate.session import Attempt, Session, SessionLog
from serve_rooms import EMAIL, NAUGHTY, faults, launched, visiting

PAGES = {
    "queue": "/queue",
    "demand": "/?example=1",
    "memory": "/memory?namespace=shown",
    "lake": "/lake?dataset=people",
    "operations": "/operations",
    "audit": "/audit?who=w-17",
}
PICTURES = os.environ.get("LAKEHOUSE_PICTURES", "")


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(rooms_url, rooms_lake):
    rooms_lake.inbox.receive(
        type="email", body=EMAIL, sender="Pat <pat@example.com>", subject="Welders", priority="urgent"
    )
    rooms_lake.inbox.receive(type="sms", body="Need 2 line cooks in Parma OH", sender="+1 216 555 0101")
    for id, outcome, why in (("w-121", "completed", "knows the yard"), ("w-125", "no_show", "")):
        rooms_lake.playbooks.record(
            query_text=EMAIL,
            answer_id=id,
            corpus="workers",
            score=1,
            namespace="shown",
            outcome=outcome,
            by="shown",
            why=why,
        )
    return rooms_url


@pytest.fixture
def open_page(browser, url):
    with visiting(browser, url) as open:
        yield open


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(open_page, scheme):
    page = open_page("/", color_scheme=scheme, viewport={"width": 1280, "height": 860})
    found = {}
    for name, path in PAGES.items():
        page.goto(re.match(r"https?://[^/]+", page.url)[0] + path)
        found[name] = faults(page)
        if PICTURES and (scheme == "light" or name == "demand"):
            ending = "" if scheme == "light" else "-dark"
            page.screenshot(path=Path(PICTURES) / f"console-{name}{ending}.png")
    page.goto(page.url.replace("?who=w-17", ""))
    found["audit empty"] = faults(page)
    assert found == {name: [] for name in found}


def test_axe_finds_nothing_on_the_picture_of_a_run(browser, fresh_console):
    lake, url = fresh_console
    inputs = {"query_text": "Need 1 Welder", "corpora": ["none"], "k": 1}
    run = lake.workflow.run(nodes=[{"id": "found", "mode": "matrix.search", "inputs": inputs}])
    with visiting(browser, url) as open:
        page = open(f"/operations?run={run.run_id}", viewport={"width": 320, "height": 800})
        expect(page.locator("svg.run")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert faults(page) == []


def test_memory_of_one_role_moves_nobody_for_another(open_page, rooms_lake):
    for text, id in (("Need 2 Welders in Toledo OH", "w-142"), ("Need 2 Forklift Operators in Toledo OH", "w-62")):
        rooms_lake.playbooks.record(text, id, "workers", 1.0, namespace="bleeding")
    page = open_page("/memory?namespace=bleeding", viewport={"width": 320, "height": 800})
    page.get_by_role("button", name="Ask what is remembered for other roles").press("Enter")
    expect(page.locator("#bleed .verdict")).to_contain_text("Nobody was moved")
    rows = [row.locator("td").all_text_contents() for row in page.locator("#bleed tbody tr").all()]
    assert len(rows) == 4
    assert sum(int(helped) for _, helped, _ in rows) > 0
    assert {moved.strip() for *_, moved in rows} == {"0"}
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert faults(page) == []


def logged(lake, id: str, *, grounded: bool) -> None:
    """Write a session as an iterate does."""
    log = SessionLog(lake.rooms.iterate._log.path)
    attempt = Attempt(n=1, verdict="accepted", latency_ms=120)
    assert log.append(
        Session(
            session_id=id,
            time="2026-01-02T03:04:05Z",
            kind="fill",
            model="small",
            status="accepted",
            attempts=[attempt],
            grounded_in_roster=grounded,
        )
    )
    log.close()


def test_sessions_stand_with_the_alarm(browser, fresh_console):
    lake, url = fresh_console
    logged(lake, "session-good", grounded=True)
    with visiting(browser, url) as open:
        page = open("/operations", viewport={"width": 320, "height": 800})
        expect(page.locator("#phantoms")).to_contain_text("No alarm")
        expect(page.locator("#sessions tbody tr")).to_have_count(1)
        expect(page.locator("#health")).to_contain_text("All 11 answer")
        logged(lake, "session-phantom", grounded=False)
        page.reload()
        expect(page.locator("#phantoms")).to_contain_text("1 accepted fill names somebody who is not in the roster")
        expect(page.get_by_role("list", name="Alarms")).to_contain_text("session-phantom")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert faults(page) == []


@pytest.mark.parametrize("role", ["coordinator", "auditor"])
def test_page_of_a_role_is_reached_by_its_key(browser, fresh_console, role):
    lake, url = fresh_console
    if role == "auditor":
        lake.subjects.put(id="w-17")
    key = lake.keys.add("anna", [role]).key
    with visiting(browser, url) as open:
        page = open("/login")
        page.get_by_label("Key").fill(key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Log out anna")).to_be_visible()
        names = {"coordinator": ["Work queue", "Demand", "Memory"], "auditor": ["Demand", "Memory", "Audit"]}[role]
        links = page.get_by_role("navigation", name="Pages").get_by_role("link")
        assert links.all_text_contents() == names
        assert faults(page) == []
        if role == "coordinator":
            page.get_by_role("link", name="Work queue").press("Enter")
            page.get_by_label("Message", exact=True).fill("Quill Yards needs 2 welders in Toledo, OH.")
            page.get_by_label("Message", exact=True).press("Control+Enter")
            expect(page.locator("#open .entry")).to_have_count(1)
            expect(page.locator("#message")).to_contain_text("Quill Yards needs 2 welders")
        else:
            page.get_by_role("link", name="Audit").press("Enter")
            page.get_by_label("Person, by id").fill("w-17")
            page.keyboard.press("Enter")
            expect(page.locator("#verification")).to_contain_text("The record holds")
            expect(page.get_by_role("heading", name="Erase this person")).to_have_count(0)
            assert faults(page) == []


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_no_page_runs_over_the_edge(open_page, width):
    page = open_page("/", viewport={"width": width, "height": 800})
    home = page.url.rstrip("/")
    for path in PAGES.values():
        page.goto(home + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_upload_shows_live_progress_and_ends_with_the_rows(open_page):
    page = open_page("/lake")
    rows = "id,text\n" + "".join(f"{at},{'word ' * 20}\n" for at in range(20_000))
    page.set_input_files("#file", {"name": "many.csv", "mimeType": "text/csv", "buffer": rows.encode()})
    page.get_by_role("button", name="Take it in").click()
    expect(page.locator("#job-result")).to_have_text("20,000 rows are in many.")


def test_sql_by_keyboard_alone_draws_a_chart(open_page):
    page = open_page("/lake")
    page.get_by_role("textbox", name="Ask in SQL").focus()
    page.keyboard.insert_text("SELECT city, count(*) AS people FROM people GROUP BY city")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".chart .bar")).to_have_count(4)
    expect(page.locator("#result tbody tr")).to_have_count(4)
    assert faults(page) == []


def test_keyboard_reaches_every_page_from_the_first(open_page):
    page = open_page("/audit")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Tab")
    for name in ("Work queue", "Demand", "Memory", "Lake", "Operations", "Audit"):
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=name, exact=True)).to_be_focused()


def test_outcome_is_recorded_and_taken_back(open_page, rooms_lake):
    page = open_page("/?example=1")
    page.get_by_label("Coordinator").fill("outcomes")
    page.locator(".outcomes summary").first.click()
    page.get_by_role("button", name=re.compile("^Asked back")).first.click()
    expect(page.locator("#notice")).to_contain_text("asked back")
    assert [entry.outcome for entry in rooms_lake.playbooks.list("outcomes").entries] == ["asked_back"]
    page.get_by_role("button", name="Undo").click()
    expect(page.locator("#notice")).to_contain_text("Taken back")
    assert rooms_lake.playbooks.list("outcomes").entries == []


def test_naughty_names_notes_subjects_and_bodies_run_nothing(open_page, rooms_lake):
    if not NAUGHTY.is_file():
        pytest.skip(f"the big list of naughty strings is not at {NAUGHTY}")
    texts = [text for text in json.loads(NAUGHTY.read_text(encoding="utf-8")) if text.strip()]
    lines = "\n".join(json.dumps({"id": at, "name": text}) for at, text in enumerate(texts))
    rooms_lake.ingest.file(lines.encode(), "naughty", "application/x-ndjson")
    rooms_lake.playbooks.bulk(
        [
            {
                "query_text": f"Need {at + 1} Welders in Toledo OH",
                "answer_id": "w-130",
                "corpus": "workers",
                "score": 1.0,
                "namespace": "naughty",
                "by": text[:200],
                "why": text[:1000],
            }
            for at, text in enumerate(texts)
        ]
    )
    for text in texts:
        rooms_lake.inbox.receive(type="email", body=text[:2000], sender=text[:300], subject=text[:300], tag=text[:100])
    page = open_page("/lake", viewport={"width": 320, "height": 800})
    home = page.url.removesuffix("/lake")
    for nth in range(3):
        page.goto(home + "/lake")
        page.get_by_role("textbox", name="Ask in SQL").fill(
            f"SELECT id, name FROM naughty ORDER BY id LIMIT 200 OFFSET {nth * 200}"
        )
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#result")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
    pages = [f"/memory?namespace=naughty&page={nth}" for nth in range(1, len(texts) // 50 + 2)]
    for path in (*pages, "/queue"):
        page.goto(home + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
    expect(page.locator("script")).to_have_count(1)
    expect(page.locator(".entry img, .entry iframe, .entry svg script")).to_have_count(0)
