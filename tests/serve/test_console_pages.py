"""The console as a browser without scripts sees it: whole pages, plain forms, headers, refusals."""

import asyncio
import html
import re
from html.parser import HTMLParser

import httpx
import pytest
from starlette.routing import Router

import lakehouse
from lakehouse.serve import ports
from lakehouse.serve.console import pages
from lakehouse.serve.console.form import Person
from serve_rooms import Browser, token_of

ASK = "Need 3 Forklift Operators in Cleveland OH, day shift, OSHA-30"
HOSTILE_NAME = "<img src=x onerror=alert(1)>"
NOBODY = "Need 2 marine radar technicians in Bozeman MT"


class Page(HTMLParser):
    """What a browser would send from a page, and what stands in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.fields: list[tuple[str, str]] = []
        self.buttons: list[tuple[str, str]] = []
        self.tags: list[tuple[str, dict]] = []
        self._select: str = ""
        self._area: str = ""
        self._option: list | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "input":
            ticked = found.get("type") != "checkbox" or "checked" in found
            if ticked:
                self.fields.append((found["name"], found.get("value", "")))
        elif tag == "button" and "name" in found:
            self.buttons.append((found["name"], found["value"]))
        elif tag == "select":
            self._select = found["name"]
            self.fields.append((self._select, ""))
        elif tag == "option" and "selected" in found:
            self._option = [self._select, ""]
        elif tag == "textarea":
            self._area = found["name"]
            self.fields.append((self._area, ""))

    def handle_endtag(self, tag):
        if tag == "option" and self._option:
            self.fields = [pair for pair in self.fields if pair[0] != self._option[0]] + [tuple(self._option)]
            self._option = None
        elif tag == "textarea":
            # The line feed right after the tag is not part of the text.
            self.fields = [
                (name, value.removeprefix("\n") if name == self._area else value) for name, value in self.fields
            ]
            self._area = ""

    def handle_data(self, data):
        if self._option:
            self._option[1] += data
        elif self._area:
            self.fields = [(name, value + data if name == self._area else value) for name, value in self.fields]

    def filled(self, *, press: str = "", of: str = "", **changes) -> dict[str, list[str]]:
        """Return what is sent when fields are changed and a button is pressed."""
        sent: dict[str, list[str]] = {}
        for name, value in self.fields:
            sent.setdefault(name, []).append(value)
        sent |= {name: value if isinstance(value, list) else [value] for name, value in changes.items()}
        if press:
            sent[press] = [next(value for name, value in self.buttons if name == press and of in value)]
        return sent

    @property
    def ids(self) -> list[str]:
        return [attrs["data-id"] for _, attrs in self.tags if "data-id" in attrs]

    def chip(self, name: str) -> str:
        return dict(self.fields)[name]

    def has(self, id: str) -> bool:
        return any(attrs.get("id") == id for _, attrs in self.tags)


class Visitor:
    """A browser without scripts: keeps cookies, posts forms, checks what holds of every answer."""

    def __init__(self, url: str, coordinator: str) -> None:
        self.client = Browser(base_url=url, timeout=30, headers={"Origin": url})
        self.coordinator = coordinator

    def open(self, path: str = "/", status: int = 200) -> Page:
        answer = self.client.get(path, headers={"Origin": ""})
        return self._page(answer, status)

    def send(self, form: dict, status: int = 200, **headers) -> Page:
        return self._page(self.client.post("/", data=form, headers=headers), status)

    def ask(self, text: str = ASK, status: int = 200, **changes) -> Page:
        return self.send(self.open().filled(**{"text": text, "coordinator": self.coordinator, **changes}), status)

    def _page(self, answer: httpx.Response, status: int) -> Page:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        return Page(answer.text)


@pytest.fixture
def visitor(console_url, coordinator):
    visitor = Visitor(console_url, coordinator)
    with visitor.client:
        yield visitor


def said(page: Page) -> str:
    """Return the text of a page without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def remembered(lake, coordinator) -> list:
    return lake.playbooks.list(coordinator).entries


def test_first_page_has_one_box_and_everybody_to_search(visitor):
    page = visitor.open()
    assert page.chip("text") == ""
    assert page.chip("corpora") == "workers"
    assert page.chip("memory") == "on"
    assert "240 people" in said(page)


def test_first_page_without_anybody_says_what_to_type(empty_console_url):
    with Browser(base_url=empty_console_url, timeout=60) as client:
        answer = client.get("/")
        assert answer.status_code == 200
        text = said(Page(answer.text))
        assert "nobody to search yet" in text
        assert "lakehouse demo" in text
        assert f"export LAKEHOUSE_URL={empty_console_url}" in text
        asked = client.post("/", data={"text": ASK})
    assert asked.status_code == 404
    page = Page(asked.text)
    assert page.has("nobody-yet")
    assert page.chip("role") == "Forklift Operator"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_first_page_example_is_searched_for(visitor, number):
    page = visitor.open(f"/?example={number}")
    assert page.chip("text")
    assert page.ids


@pytest.mark.parametrize("number", ["3", "-1", "x", "9" * 5000, ""])
def test_first_page_example_that_does_not_exist_is_the_empty_page(visitor, number):
    assert visitor.open(f"/?example={number}").ids == []


def test_demand_is_read_into_fields_and_searched_for(visitor):
    page = visitor.ask()
    shown = {name: page.chip(name) for name in ("count", "role", "city", "state", "certs", "shift", "start", "client")}
    assert shown == {
        "count": "3",
        "role": "Forklift Operator",
        "city": "Cleveland",
        "state": "OH",
        "certs": "OSHA-30",
        "shift": "day",
        "start": "",
        "client": "",
    }
    assert len(page.ids) == 10
    assert not page.has("no-good-match")
    assert page.chip("text") == ASK


def test_demand_keeps_every_character_of_its_text(visitor):
    text = "\n\n  Need 3 <b>Forklift</b> Operators &amp; more in Cleveland OH\n\ttomorrow “é” \U0001f477 \n"
    page = visitor.ask(text)
    assert page.chip("text") == text
    original = re.search(r'<p class="original".*?>(.*?)</p>', page.text, re.DOTALL)[1]
    assert html.unescape(re.sub(r"<[^>]*>", "", original)) == text


def test_demand_with_nobody_good_says_so(visitor):
    page = visitor.ask(NOBODY)
    assert page.has("no-good-match")
    assert "We have nobody good for this." in said(page)


def test_edited_field_is_searched_for_and_the_text_kept(visitor):
    first = visitor.ask()
    page = visitor.send(first.filled(role="line cooks", city="Detroit", state="MI"))
    assert (page.chip("role"), page.chip("city"), page.chip("state")) == ("line cook", "Detroit", "MI")
    assert page.chip("text") == ASK
    assert page.has("line")
    assert "was “Forklift Operator”" in page.text
    assert re.search(r'<mark class="of-role off"', page.text)
    assert not re.search(r'<mark class="of-shift off"', page.text)
    assert all("Line Cook · Detroit, MI" in card for card in cards(page)[:5])


def cards(page: Page) -> list[str]:
    return [said(Page(text)) for text in page.text.split('<li class="card"')[1:]]


def test_edited_field_that_is_not_understood_says_so_and_keeps_what_was_typed(visitor):
    page = visitor.send(visitor.ask().filled(certs="OSHA-30, Zzyzx-7", count="lots"))
    assert page.chip("certs") == "OSHA-30, Zzyzx-7"
    assert page.chip("count") == "lots"
    assert page.text.count("not understood, not searched for") == 2


def test_edited_fields_go_back_to_the_text_as_written(visitor):
    edited = visitor.send(visitor.ask().filled(role="Welder"))
    page = visitor.send(edited.filled(press="as_written"))
    assert page.chip("role") == "Forklift Operator"
    assert not page.has("line")


def test_edited_fields_of_another_text_are_forgotten(visitor):
    edited = visitor.send(visitor.ask().filled(role="Welder"))
    page = visitor.send(edited.filled(text=NOBODY))
    assert page.chip("city") == "Bozeman"
    assert not page.has("line")


def test_worked_out_is_recorded_for_the_coordinator_and_shown(visitor, console_lake, coordinator):
    first = visitor.ask()
    chosen = first.ids[-1]
    page = visitor.send(first.filled(press="worked", of=f'"{chosen}"'))
    (entry,) = remembered(console_lake, coordinator)
    assert (entry.answer_id, entry.corpus, entry.score, entry.outcome) == (chosen, "workers", 1.0, "worked")
    assert (entry.query_text, entry.role) == (ASK, "Forklift Operator")
    assert page.has("notice")
    card = cards(page)[page.ids.index(chosen)]
    assert "boosted: worked out for a like demand on" in card
    assert f"recorded by {coordinator} (today)" in card


def test_worked_out_for_an_edited_demand_is_recorded_for_what_was_searched(visitor, console_lake, coordinator):
    edited = visitor.send(visitor.ask().filled(role="Welder", city="Toledo"))
    visitor.send(edited.filled(press="worked"))
    (entry,) = remembered(console_lake, coordinator)
    assert (entry.role, entry.city) == ("Welder", "Toledo")
    assert console_lake.demand.parse(entry.query_text).role == "Welder"


def test_not_them_is_recorded_and_the_person_goes(visitor, console_lake, coordinator):
    first = visitor.ask()
    chosen = first.ids[0]
    page = visitor.send(first.filled(press="rejected", of=f'"{chosen}"'))
    (entry,) = remembered(console_lake, coordinator)
    assert (entry.answer_id, entry.score, entry.outcome) == (chosen, 0.0, "rejected")
    assert chosen not in page.ids
    assert page.has("left-out")


def test_recorded_by_mistake_is_taken_back(visitor, console_lake, coordinator):
    recorded = visitor.send(visitor.ask().filled(press="worked"))
    page = visitor.send(recorded.filled(press="forget"))
    assert remembered(console_lake, coordinator) == []
    assert "no longer remembered" in said(page)


def test_recorded_again_says_that_it_changed_and_offers_no_undo(visitor):
    first = visitor.ask()
    visitor.send(first.filled(press="worked", of=f'"{first.ids[0]}"'))
    page = visitor.send(first.filled(press="rejected", of=f'"{first.ids[0]}"'))
    assert "in place of what was recorded before" in said(page)
    assert "forget" not in dict(page.buttons)


@pytest.mark.parametrize("change", [{"text": NOBODY}, {"role": "Welder"}, {"city": "Toledo"}])
def test_record_after_the_demand_was_changed_is_refused(visitor, console_lake, coordinator, change):
    page = visitor.send(visitor.ask().filled(press="worked", **change), 409)
    assert "Nothing was recorded" in said(page)
    assert remembered(console_lake, coordinator) == []
    assert page.ids


def test_record_of_somebody_who_is_not_on_the_roster_is_refused(visitor, console_lake, coordinator):
    form = visitor.ask().filled()
    page = visitor.send({**form, "worked": Person("workers", "w-99999", "Nobody").value}, 404)
    assert page.has("trouble")
    assert page.ids
    assert remembered(console_lake, coordinator) == []


def test_replaced_person_goes_and_nothing_is_recorded(visitor, console_lake, coordinator):
    first = visitor.ask()
    page = visitor.send(first.filled(press="replace", of=f'"{first.ids[0]}"'))
    again = visitor.send(page.filled(press="replace", of=f'"{page.ids[0]}"'))
    assert not {first.ids[0], page.ids[0]} & set(again.ids)
    assert len(again.ids) == 10
    back = visitor.send(again.filled(press="put_back", of=f'"{first.ids[0]}"'))
    assert first.ids[0] in back.ids
    assert page.ids[0] not in back.ids
    assert remembered(console_lake, coordinator) == []


def test_left_out_people_are_let_in_again_for_another_demand(visitor):
    first = visitor.ask()
    replaced = visitor.send(first.filled(press="replace", of=f'"{first.ids[0]}"'))
    page = visitor.send(replaced.filled(text=ASK + " please"))
    assert first.ids[0] in page.ids
    assert not page.has("left-out")


def test_memory_switched_off_does_nothing(visitor):
    first = visitor.ask()
    recorded = visitor.send(first.filled(press="worked", of=f'"{first.ids[-1]}"'))
    form = recorded.filled()
    del form["memory"]
    page = visitor.send(form)
    assert page.ids == first.ids
    assert "Memory was off" in said(page)


def test_memory_of_another_coordinator_is_not_used(visitor):
    first = visitor.ask()
    visitor.send(first.filled(press="worked", of=f'"{first.ids[-1]}"'))
    assert "recorded by" not in said(visitor.ask(coordinator="somebody-else"))


def test_coordinator_is_remembered_by_the_browser(visitor, coordinator):
    visitor.ask()
    assert visitor.open().chip("coordinator") == coordinator
    visitor.send(visitor.open().filled(text=ASK, coordinator=""))
    assert visitor.open().chip("coordinator") == ""


def test_coordinator_cookie_is_out_of_reach_of_scripts(visitor):
    form = visitor.open().filled(text=ASK, coordinator="alice")
    cookie = visitor.client.post("/", data=form).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({"text": ""}, 400, "text"),
        ({"text": " \n\t "}, 400, "text"),
        ({"text": "welder " * 9_400}, 413, "text"),
        ({"k": "0"}, 400, "k"),
        ({"k": "101"}, 400, "k"),
        ({"k": "many"}, 400, "k"),
        ({"coordinator": "two words"}, 400, "coordinator"),
        ({"corpora": []}, 400, "corpora"),
        ({"corpora": "nobodies"}, 404, ""),
    ],
)
def test_bad_input_is_refused_in_the_page_and_names_its_field(visitor, changes, status, field):
    form = visitor.open().filled(**{"text": ASK, **changes})
    page = visitor.send(form, status)
    (trouble,) = [attrs for _, attrs in page.tags if attrs.get("id") == "trouble"]
    assert (trouble["role"], trouble["data-field"]) == ("alert", field)
    assert page.chip("text") == form["text"][0].replace("\r\n", "\n")
    assert page.ids == []


def test_form_larger_than_any_demand_is_refused(visitor):
    assert "256 KiB" in said(visitor.send({"text": "x" * 300_000}, 413))


def test_button_of_another_make_is_refused(visitor):
    assert "names nobody" in said(visitor.send({"text": ASK, "worked": "w-1"}, 400))


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_form_posted_by_another_site_is_refused(visitor, console_lake, coordinator, site):
    form = visitor.ask().filled(press="worked")
    page = visitor.send(form, 403, **{"Sec-Fetch-Site": site})
    assert "another site" in said(page)
    assert remembered(console_lake, coordinator) == []


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_form_posted_from_another_origin_is_refused(visitor, console_lake, coordinator, origin):
    form = visitor.ask().filled(press="worked")
    answer = visitor.client.post("/", data=form, headers={"Origin": origin})
    assert answer.status_code == 403
    assert remembered(console_lake, coordinator) == []


def test_part_of_the_page_is_what_the_whole_one_holds(visitor):
    form = visitor.open().filled(text=ASK)
    part = visitor.send(form, **{"HX-Request": "true"})
    whole = visitor.send(form)
    assert part.ids == whole.ids
    assert "<html" not in part.text
    assert not part.has("text")
    assert 'hx-swap-oob="innerHTML"' in part.text


def test_part_of_the_page_carries_the_status_of_its_trouble(visitor):
    part = visitor.send({"text": ""}, 400, **{"HX-Request": "true"})
    assert part.has("trouble")
    assert "<html" not in part.text


def test_page_runs_nothing_inline_and_reaches_nowhere_else(visitor):
    page = visitor.ask()
    for tag, attrs in page.tags:
        assert tag not in {"style", "base", "iframe", "object", "embed"}
        assert tag != "script" or attrs["src"].startswith("/console/static/")
        assert not any(name.startswith("on") or name in {"style", "hx-on"} for name in attrs)
        for name in ("src", "href", "action", "hx-post"):
            assert re.match(r"/|#|tel:[+0-9]|mailto:", attrs.get(name, "/"))


def test_page_forbids_what_it_does_not_need(visitor):
    for answer in (visitor.client.get("/"), visitor.client.post("/", data={"text": ""})):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"


def test_page_answers_to_the_verbs_of_a_page_only(visitor):
    assert visitor.client.head("/").status_code == 200
    refused = visitor.client.put("/", content=b"")
    assert refused.status_code == 405
    assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_page_stays_small(visitor):
    assert len(visitor.ask().text.encode()) < 60_000


def test_files_are_kept_by_browsers_until_they_change(visitor):
    page = visitor.open()
    named = {attrs.get("src") or attrs.get("href") for tag, attrs in page.tags if tag in {"script", "link", "img"}}
    assert len(named) == 4
    for address in named:
        answer = visitor.client.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        tag = answer.headers["etag"]
        again = visitor.client.get(address, headers={"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        unversioned = visitor.client.get(address.partition("?")[0])
        assert unversioned.headers["cache-control"] == "no-cache"
        assert unversioned.content == answer.content


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fpages.py", "%2e%2e/pages.py", "htmx.LICENSE/"])
def test_files_that_are_not_there_are_not_served(visitor, name):
    assert visitor.client.get(f"/console/static/{name}").status_code == 404


def test_files_include_the_licence_of_what_others_wrote(visitor):
    assert "Zero-Clause BSD" in visitor.client.get("/console/static/htmx.LICENSE").text


def asked(router: Router, *forms: dict | None) -> list[httpx.Response]:
    """Ask a console in this process; None opens the page, a dict is posted."""

    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(router), base_url="http://console") as client:
            token = {"X-CSRF-Token": token_of(await client.get("/"))}
            return [
                await (client.get("/") if form is None else client.post("/", data=form, headers=token))
                for form in forms
            ]

    return asyncio.run(run())


FORM = {"text": ASK, "corpora": "workers", "memory": "on"}


def test_templates_made_ready_are_not_compiled_while_answering(console_lake, monkeypatch):
    console = pages(console_lake)
    console.warm()
    router = Router(routes=console.routes)

    def refuse(*args, **options):
        raise AssertionError("compiled while answering")

    # Of this console alone: stacks of other tests may be compiling theirs.
    monkeypatch.setattr(console.warm.__self__.templates, "compile", refuse)
    assert [answer.status_code for answer in asked(router, None, FORM)] == [200, 200]


def test_console_over_a_stack_shows_the_same_as_over_its_lake(console_lake, console_url):
    with lakehouse.connect(console_url) as remote:
        there = asked(Router(routes=pages(remote).routes), None, FORM)
    here = asked(Router(routes=pages(console_lake).routes), None, FORM)
    assert [answer.status_code for answer in there] == [200, 200]
    own = f"Trace [0-9a-f]{{32}}|{re.escape(token_of(here[0]))}|{re.escape(token_of(there[0]))}"
    for one, other in zip(here, there, strict=True):
        assert re.sub(own, "", one.text) == re.sub(own, "", other.text)


def test_console_over_a_stack_that_is_gone_says_so():
    with ports.bind("127.0.0.1", 0) as held:
        gone = f"http://127.0.0.1:{held.getsockname()[1]}"
    with lakehouse.connect(gone) as remote:
        answers = asked(Router(routes=pages(remote).routes), None, FORM)
    for answer in answers:
        assert answer.status_code == 503
        page = Page(answer.text)
        assert page.has("trouble")
        assert page.has("text")
    assert Page(answers[1].text).chip("text") == ASK


def test_console_names_are_shown_as_they_are_and_run_nothing(console_lake):
    (page,) = asked(Router(routes=pages(console_lake).routes), {**FORM, "text": "Welder in Toledo OH", "k": "100"})
    assert HOSTILE_NAME not in page.text
    assert html.escape(HOSTILE_NAME) in page.text


def test_why_not_says_what_speaks_against_somebody(visitor):
    page = visitor.ask()
    # A welder of Toledo, who is no match for forklift operators of Cleveland.
    told = said(visitor.send(page.filled(why="w-141")))
    assert "of 5 against this demand" in told
    assert "the last one shown" in told
    shown = page.ids[0]
    assert "is match 1" in said(visitor.send(page.filled(why=shown)))
    assert "Several may be meant" in said(visitor.send(page.filled(why="maria")))
    left_out = visitor.send(page.filled(press="replace", of=f'"{shown}"'))
    assert "was left out by you" in said(visitor.send(left_out.filled(why=shown)))


def test_why_not_of_nobody_keeps_the_matches(visitor):
    page = visitor.send(visitor.ask().filled(why="Zzyzx Nobody"), 404)
    assert len(page.ids) == 10
    assert "Nobody on the roster" in said(page)
