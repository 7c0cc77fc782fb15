"""Drafts by a model, in a real browser and by plain forms, against a provider that says what it is told to."""

import json

import httpx
import pytest
from playwright.sync_api import expect

from serve_rooms import Browser, faults, launched, text_of, visiting

ASK = "Need 2 Welders in Toledo, OH starting 2093-02-03 for Marigold Works"
EMAIL = (
    "Subject: Welding in Toledo\n\n"
    "Hello [First Name],\n\n[client] needs a Welder in Toledo from 2093-02-03.\n\n[sender]"
)
SMS = "Hi [first name], Welder in Toledo\nfrom 2093-02-03. Free? Reply YES or NO. [sender]"


@pytest.fixture
def provider(writing_console):
    provider = writing_console[2]
    provider.requests.clear()
    return provider


@pytest.fixture
def open_page(writing_console):
    with launched() as browser, visiting(browser, writing_console[1], "iris") as open:
        yield open


@pytest.fixture(scope="module")
def written_to(writing_console):
    """Address of the page where somebody is written to but for its kind, and their row."""
    lake = writing_console[0]
    id = lake.demands.open(ASK, owner="iris", namespace="iris").created[0]
    person = lake.demands.candidates(id, k=1).results[0].id
    lake.demands.place(id, [{"corpus": "workers", "id": person}], "proposed")
    return f"/queue/demands/{id}/outreach?corpus=workers&to={person}&kind=", lake.vectors.get(
        "workers", person
    ).metadata


@pytest.mark.parametrize("scripts", [True, False])
def test_model_writes_and_its_text_is_judged_like_any_other(open_page, provider, written_to, scripts):
    path, row = written_to
    provider.say = lambda _: EMAIL
    page = open_page(path + "email", java_script_enabled=scripts)
    page.get_by_role("button", name="Draft by model").click()
    first = row["name"].split()[0]
    expect(page.get_by_label("Subject")).to_have_value("Welding in Toledo")
    expect(page.get_by_role("textbox", name="Message")).to_have_value(
        f"Hello {first},\n\nMarigold Works needs a Welder in Toledo from 2093-02-03.\n\niris\n"
    )
    expect(page.locator("#passes")).to_have_text("It may go.")
    assert not scripts or faults(page) == []
    provider.say = lambda _: "Subject: Work\n\nHello [first name], send us your SSN, 123-45-6789, to [manager]."
    page.get_by_role("button", name="Draft by model").click()
    expect(page.locator("#passes")).to_have_text("It may not go like this.")
    expect(page.locator("#send")).to_have_count(0)
    page.get_by_role("button", name="Draft from the template").click()
    expect(page.locator("#passes")).to_have_text("It may go.")
    assert len(provider.requests) == 2
    sent = json.dumps([body for _, _, body in provider.requests])
    hidden = (*row["name"].split(), row["phone"], row["email"], row["resume"], "Marigold", "iris")
    assert [word for word in hidden if word in sent] == []


def test_text_message_by_a_model_is_one_line_without_a_subject(open_page, provider, written_to):
    path, row = written_to
    provider.say = lambda _: SMS
    page = open_page(path + "sms")
    page.get_by_role("button", name="Draft by model").click()
    expect(page.get_by_role("textbox", name="Message")).to_have_value(
        f"Hi {row['name'].split()[0]}, Welder in Toledo from 2093-02-03. Free? Reply YES or NO. iris"
    )
    expect(page.locator("#passes")).to_have_text("It may go.")


def test_model_that_is_busy_leaves_the_draft_and_says_so(open_page, provider, written_to):
    page = open_page(written_to[0] + "email")
    before = page.get_by_role("textbox", name="Message").input_value()
    provider.manners.append("429")
    page.get_by_role("button", name="Draft by model").click()
    said = page.get_by_role("alert").filter(has_text="The model wrote no draft; the one above stays as it was.")
    expect(said).to_contain_text("too many requests")
    assert page.get_by_role("textbox", name="Message").input_value().strip() == before.strip()
    expect(page.locator("#passes")).to_have_text("It may go.")


@pytest.mark.parametrize(
    ("manner", "finish", "says"),
    [
        ("500", "stop", "out of memory"),
        ("garbage", "stop", "JSON"),
        ("well", "stop", "writer wrote nothing"),
        ("well", "length", "writer did not come to an end"),
    ],
)
def test_text_that_no_model_wrote_to_its_end_is_not_taken(writing_console, provider, written_to, manner, finish, says):
    _, url, _ = writing_console
    path, row = written_to
    provider.say = lambda _: " " if finish == "stop" else EMAIL
    provider.finish_reason = finish
    provider.manners.append(manner)
    said = {"corpus": "workers", "to_id": path.split("to=")[1].split("&")[0], "kind": "email", "write": "model"}
    said |= {"address": row["email"], "subject": "Work", "body": "Are you free, as typed?"}
    try:
        with Browser(base_url=url) as browser:
            answer = browser.post(path + "email", data=said)
    finally:
        provider.finish_reason = "stop"
    assert answer.status_code == 502
    assert says in text_of(answer.text)
    assert "Are you free, as typed?" in text_of(answer.text)


def test_model_is_not_offered_where_none_is_named(rooms_url, rooms_lake):
    id = rooms_lake.demands.open(ASK.replace("2093-02-03", "2093-04-05")).created[0]
    rooms_lake.demands.place(id, [{"corpus": "workers", "id": "w-100"}], "shortlisted")
    path = f"{rooms_url}/queue/demands/{id}/outreach"
    assert "Draft by model" not in httpx.get(path, params={"corpus": "workers", "to": "w-100"}).text
    said = {"corpus": "workers", "to_id": "w-100", "kind": "email", "write": "model", "body": "Are you free?"}
    with Browser(base_url=rooms_url) as browser:
        refused = browser.post(path, data=said)
    assert refused.status_code == 409
    assert "chat.draft_model" in text_of(refused.text)
