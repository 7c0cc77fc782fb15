"""Every form that changes something carries a token of its browser and session, and nothing is done without it."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect
from starlette.routing import Route

import lakehouse.serve.console as package
from lakehouse.serve import console
from serve_rooms import launched, text_of, token_of, visiting

TEMPLATES = Path(package.__file__).parent / "templates"
REFUSED = "Nothing was done: this was not sent from a page that the console gave to this browser"
FORM = re.compile(r'<form\b[^>]*method="post"[^>]*>(.{0,10})', re.DOTALL)
FORMS = {
    "/": {"text": "Need 2 Welders in Toledo OH"},
    "/queue": {"body": "Need 2 Welders in Toledo OH"},
    "/lake": {"sql": "SELECT 1 AS one"},
    "/memory": {"retire": "none"},
}


@pytest.fixture
def client(rooms_url):
    with httpx.Client(base_url=rooms_url, timeout=60) as client:
        yield client


def test_every_form_of_every_template_carries_it():
    found = {file.name: FORM.findall(file.read_text("utf-8")) for file in TEMPLATES.glob("*.html")}
    assert sum(map(len, found.values())) > 20
    assert {name: starts for name, starts in found.items() if set(starts) - {"{{ csrf }}"} and starts} == {}


def test_every_address_that_takes_a_form_refuses_one_without_it(rooms_lake, client):
    routes = console.pages(rooms_lake).routes
    posts = [each.path for each in routes if isinstance(each, Route) and "POST" in (each.methods or ())]
    assert len(posts) > 10
    client.get("/")
    for path in [*posts, "/login", "/logout"]:
        where = path.replace("{id}", "d-none")
        for sent in ({"data": {"x": "1"}}, {"data": {"csrf": "0" * 64}}, {"headers": {"X-CSRF-Token": "é".encode()}}):
            answer = client.post(where, **sent)
            assert answer.status_code == 403, path
            assert REFUSED in text_of(answer.text), path


def test_form_does_its_work_with_the_token_in_its_field_or_in_a_header(client):
    page = client.get("/queue")
    assert "lakehouse_forms" in client.cookies
    for path, form in FORMS.items():
        for sent in (
            {"data": {**form, "csrf": token_of(page)}},
            {"data": form, "headers": {"X-CSRF-Token": token_of(page)}},
        ):
            assert REFUSED not in text_of(client.post(path, **sent).text), path
    files = {"file": ("d.csv", b"role,count,city\nWelder,2,Toledo\n", "text/csv")}
    assert client.post("/queue/files", files=files).status_code == 403
    assert client.post("/queue/files", files=files, data={"csrf": token_of(page)}).status_code == 200


def test_token_is_the_same_on_every_page_and_of_no_use_to_another_browser(client, rooms_url):
    first = token_of(client.get("/"))
    assert [token_of(client.get(path)) for path in ("/queue", "/memory", "/lake")] == [first] * 3
    with httpx.Client(base_url=rooms_url, timeout=60) as other:
        assert token_of(other.get("/")) != first
        assert other.post("/queue", data={"body": "x", "csrf": first}).status_code == 403
    bare = httpx.post(f"{rooms_url}/queue", data={"body": "x", "csrf": first}, timeout=60)
    short = httpx.post(f"{rooms_url}/queue", data={"csrf": first}, cookies={"lakehouse_forms": "a"}, timeout=60)
    assert (bare.status_code, short.status_code) == (403, 403)


def test_cookie_is_for_the_server_alone_and_set_once(client):
    cookie = client.get("/").headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "set-cookie" not in client.get("/queue").headers


def test_token_of_one_session_is_refused_in_another(fresh_console):
    lake, url = fresh_console
    keys = [lake.keys.add(name, ["operator"]).key for name in ("anna", "ben")]
    with httpx.Client(base_url=url, timeout=60, headers={"Accept": "text/html"}) as browser:
        before = token_of(browser.get("/login"))
        assert browser.post("/login", data={"key": keys[0], "csrf": before}).status_code == 303
        anna = token_of(browser.get("/queue"))
        assert browser.post("/lake", data={"sql": "SELECT 1 AS one", "csrf": before}).status_code == 403
        assert browser.post("/lake", data={"sql": "SELECT 1 AS one", "csrf": anna}).status_code == 200
        # Somebody who logs in may still have the cookie of a session.
        again = token_of(browser.get("/login"))
        assert browser.post("/login", data={"key": keys[1], "csrf": again}).status_code == 303
        assert browser.post("/lake", data={"sql": "SELECT 1 AS one", "csrf": anna}).status_code == 403
        assert browser.post("/logout", data={"csrf": anna}).status_code == 403
        assert browser.post("/logout", data={"csrf": token_of(browser.get("/queue"))}).status_code == 303
        assert browser.get("/queue").headers["location"] == "/login"


@pytest.mark.parametrize("scripts", [True, False])
def test_page_from_before_the_cookie_was_lost_says_to_load_it_again(rooms_url, scripts):
    with launched() as browser, visiting(browser, rooms_url, "iris") as open:
        page = open("/", java_script_enabled=scripts)
        page.context.clear_cookies(name="lakehouse_forms")
        page.get_by_label("Demand or email").fill("Need 2 Welders in Toledo OH")
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.locator("#trouble")).to_contain_text(REFUSED)
        page.goto(f"{rooms_url}/")
        page.get_by_label("Demand or email").fill("Need 2 Welders in Toledo OH")
        page.get_by_role("button", name="Search", exact=True).click()
        expect(page.locator("#matches-title, .card").first).to_be_visible()
