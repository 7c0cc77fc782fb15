"""The pages beside the demand, as a browser without scripts sees them: plain forms on a lake of their own."""

import re
import time

import httpx
import pytest

from lakehouse.serve.console.lake_pages import as_csv, dataset_name
from lakehouse.serve.console.operations_pages import health
from lakehouse.serve.services import SERVICES
from serve_rooms import EMAIL, HOSTILE_CSV, Browser, text_of

PAGES = ("/", "/queue", "/memory", "/lake", "/operations", "/audit")


@pytest.fixture(scope="module")
def client(rooms_url):
    with Browser(base_url=rooms_url, timeout=60, headers={"Origin": rooms_url}) as client:
        yield client


def shown(answer: httpx.Response, status: int = 200) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return text_of(answer.text)


def ended(client, answer: httpx.Response) -> str:
    """Follow a job until it has ended."""
    assert answer.status_code == 303
    for _ in range(200):
        page = client.get(answer.headers["location"])
        if "data-events" not in page.text:
            return text_of(page.text)
        time.sleep(0.1)
    raise AssertionError(page.text)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_names_itself_in_the_navigation(client, path):
    answer = client.get(path)
    shown(answer)
    assert re.findall(r'<a href="([^"]*)" aria-current="page">', answer.text) == [path]
    assert len(answer.content) < 150_000


def test_form_from_another_site_is_refused_everywhere(client):
    for path in ("/queue", "/queue/files", "/memory", "/lake", "/lake/files", "/lake/corpora", "/audit", "/search"):
        answer = client.post(path, data={"x": "1"}, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403, path
        assert "page of another site" in text_of(answer.text)


def test_sql_shows_rows_and_a_chart(client):
    sql = "SELECT role, count(*) AS people FROM people GROUP BY role ORDER BY role"
    page = client.post("/lake", data={"sql": sql})
    assert "3 rows" in shown(page)
    assert "Forklift Operator 80" in text_of(page.text)
    assert page.text.count('class="bar"') == 3


def test_sql_that_fails_keeps_what_was_typed(client):
    page = shown(client.post("/lake", data={"sql": "SELECT nothing FROM people"}), 400)
    assert "SELECT nothing FROM people" in page


def test_result_as_csv_holds_no_formula(client):
    answer = client.post("/lake", data={"sql": "SELECT '=1+1' AS a, 2 AS b", "export": "on"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.splitlines() == ["a,b", "'=1+1,2"]
    assert as_csv(["x"], [[None], [["a"]]]).splitlines() == ["x", '""', '"[""a""]"']


def test_file_is_explained_then_taken_in_with_its_bad_rows_aside(client):
    files = {"file": ("My roster.csv", HOSTILE_CSV, "text/csv")}
    page = shown(client.post("/lake/files", files=files, data={"explain": "on"}))
    assert "What My roster.csv would become" in page
    assert "my_roster" not in shown(client.get("/lake"))
    done = ended(client, client.post("/lake/files", files=files, data={"name": "fresh"}))
    assert "2 rows are in fresh." in done
    assert "fresh 2" in shown(client.get("/lake"))
    again = ended(client, client.post("/lake/files", files=files, data={"name": "fresh"}))
    assert "already; nothing was written" in again


def test_file_with_a_bad_name_fails_in_words(client):
    files = {"file": ("x.csv", HOSTILE_CSV, "text/csv")}
    answer = client.post("/lake/files", files=files, data={"name": "No Such!"})
    page = client.get(answer.headers["location"])
    for _ in range(100):
        if page.status_code != 200:
            break
        time.sleep(0.1)
        page = client.get(answer.headers["location"])
    assert page.status_code == 400
    assert "It was not done" in text_of(page.text)


def test_upload_without_a_file_says_so(client):
    assert "Choose a file" in shown(client.post("/lake/files", files={"file": ("", b"")}), 400)


def test_unknown_job_is_not_found(client):
    assert "not known here" in shown(client.get("/lake/jobs/none"), 404)
    assert client.get("/lake/jobs/none/events").status_code == 404


def test_corpus_is_rebuilt(client):
    assert "people in workers; 0 texts were new" in ended(
        client, client.post("/lake/corpora", data={"corpus": "workers"})
    )


@pytest.mark.parametrize(
    ("file", "name"), [("a.csv", "a"), ("2026 Q1.csv.gz", "data_2026_q1"), ("ü.csv", "data"), ("..", "data")]
)
def test_dataset_is_named_after_its_file(file, name):
    assert dataset_name(file) == name


def test_memory_is_corrected_handed_over_and_retired(client, rooms_lake):
    made = rooms_lake.playbooks.record(
        query_text="Need 2 Welders in Toledo OH for Beacon Freight",
        answer_id="w-141",
        corpus="workers",
        score=1.0,
        namespace="mia",
        by="mia",
        why="they asked for her",
    )
    page = shown(client.get("/memory", params={"namespace": "mia"}))
    assert "Welder · Toledo, OH" in page
    assert "they asked for her" in page
    assert "by mia" in page
    assert "Nothing that mia remembers" in shown(client.get("/memory", params={"namespace": "mia", "role": "cook"}))
    said = {"namespace": "mia", "correct": made.playbook_id, "outcome": "no_show", "by": "noor", "why": "ill"}
    assert "no-show" in shown(client.post("/memory", data=said))
    history = shown(client.get("/memory", params={"namespace": "mia", "entry": made.playbook_id}))
    assert "worked out by mia" in history
    assert "no-show by noor : ill" in history or "no-show by noor: ill" in history
    handed = shown(client.post("/memory", data={"namespace": "mia", "to": "noor", "mode": "copy", "handover": "on"}))
    assert "noor has copies of the memory of mia: 1 entry" in handed
    lent = {"namespace": "mia", "to": "theo", "mode": "share", "handover": "on"}
    assert "Take back" in shown(client.post("/memory", data=lent))
    assert "theo also uses what mia remembers" in shown(client.get("/memory", params={"namespace": "theo"}))
    back = shown(client.post("/memory", data={"namespace": "mia", "withdraw": "theo"}))
    assert "theo uses nothing of the memory of mia" in back
    assert "Take back" not in back
    shown(client.post("/memory", data={"namespace": "mia", "retire": made.playbook_id}))
    assert rooms_lake.playbooks.list("mia").entries == []
    assert len(rooms_lake.playbooks.list("noor").entries) == 1
    assert "does not remember" in shown(client.post("/memory", data=said), 404)


def test_audit_tells_who_saw_somebody_and_notes_what_holds(client, rooms_lake):
    rooms_lake.matrix.search(query_text="Need 3 Line Cooks in Parma OH", corpora=["workers"], k=3)
    page = shown(client.get("/audit", params={"who": "w-181"}))
    assert "w-181" in page
    assert "The record holds" in page
    noted = {"id": "w-181", "manifest": "on", "consent": "given", "purposes": "staffing", "legal_hold": "case 9"}
    assert "is noted" in shown(client.post("/audit", data=noted))
    assert rooms_lake.subjects.get("w-181").legal_hold == "case 9"
    held = shown(client.post("/audit", data={"id": "w-181", "erase": "on", "confirm": "w-181"}), 403)
    assert "legal hold" in held
    log = client.get("/audit/log", params={"id": "w-181"})
    assert log.content == rooms_lake.subjects.audit_log("w-181")


def test_audit_of_a_name_that_several_have_asks_who_is_meant(client):
    page = shown(client.get("/audit", params={"who": "maria"}))
    assert "Who is meant?" in page
    assert "Maria Operator-1" in page
    assert shown(client.get("/audit", params={"who": "'; DROP TABLE people; --%_\\"}), 404)


def test_erasure_needs_the_id_typed_and_gives_a_receipt(client, rooms_lake):
    refused = shown(client.post("/audit", data={"id": "w-200", "erase": "on", "confirm": "yes"}), 400)
    assert "Nothing was erased" in refused
    page = shown(client.post("/audit", data={"id": "w-200", "erase": "on", "confirm": "w-200", "reason": "moved"}))
    assert "Receipt of the erasure of w-200" in page
    assert "moved" in page
    assert rooms_lake.subjects.get("w-200").erased_at


def test_operations_ask_every_service(client, rooms_lake):
    # One of its own, so that the page has one to tell of in whatever order tests come.
    rooms_lake.matrix.search("line cook", ["workers"], k=1)
    page = shown(client.get("/operations"))
    assert f"All {len(SERVICES)} answer" in page
    assert "matrix.search" in page
    assert health(rooms_lake, SERVICES[0]).well


def test_operations_tell_of_what_is_seldom_called_as_well(client, rooms_lake):
    ops = rooms_lake.rooms.observer
    for number in range(2 * 20):
        ops.record("scenario", f"often.{number % 20}")
    ops.record("scenario", "seldom")
    page = shown(client.get("/operations"))
    assert "seldom" in page.split("more that were called less often")[1]


def test_workflow_run_is_drawn_with_its_arrows(fresh_console):
    # On a lake of its own, closed at once: an engine that stays open draws from the global random numbers.
    lake, url = fresh_console
    search = {"query_text": "Need 1 Welder in Toledo OH", "corpora": ["none"], "k": 1}
    after = {"query_text": {"$from": "found.trace_id"}, "corpora": ["none"], "k": 1}
    nodes = [
        {"id": "found", "mode": "matrix.search", "inputs": search},
        {"id": "again", "mode": "matrix.search", "inputs": after},
    ]
    run = lake.workflow.run(nodes=nodes, name="two searches")
    page = httpx.get(f"{url}/operations", params={"run": run.run_id}, timeout=60)
    assert "matrix.search" in shown(page)
    assert page.text.count('class="arrow"') == 1
    assert f"found {run.nodes['found'].status}; again {run.nodes['again'].status} after found" in page.text
    assert shown(httpx.get(f"{url}/operations", params={"run": "none"}, timeout=60), 404)


def test_alarm_is_asked_for_and_says_when_there_is_nothing_to_compare(client):
    assert "evidence" in shown(client.get("/operations", params={"drift": "on"}), 404)


def test_pasted_message_waits_in_the_queue_and_leads_to_people(client):
    taken = shown(client.post("/queue", data={"body": EMAIL, "subject": "Welders", "sender": "pat@example.com"}))
    assert "Taken into the queue" in taken
    assert "Find people" in taken
    assert "Welders" in shown(client.get("/queue", params={"kind": "demand"}))
    assert "10 matches" in shown(client.post("/search", data={"text": EMAIL}))
    assert shown(client.post("/queue", data={"body": " "}), 400)


def test_mail_file_comes_only_once(client):
    mail = (
        b"From: a@example.com\r\nMessage-ID: <1@example.com>\r\nSubject: Cooks\r\n\r\nNeed 2 line cooks in Parma OH\r\n"
    )
    for said in ("1 new in the queue", "0 new in the queue, 1 was here already"):
        assert said in shown(client.post("/queue/files", files={"file": ("a.eml", mail)}))
    assert "Choose a mail file" in shown(client.post("/queue/files", files={"file": ("", b"")}), 400)
