"""Keys on the wire, the console's login, and what a server refuses to be."""

import re
import subprocess
import threading
from contextlib import contextmanager

import httpx
import pytest

import lakehouse
from lakehouse import settings
from lakehouse.errors import InvalidInput, LimitExceeded, PermissionDenied, Unauthenticated
from lakehouse.serve import console, ports, run
from lakehouse.serve.run import Stack
from serve_rooms import Browser


@contextmanager
def serving(lake, **server):
    import msgspec

    config = lake.rooms.settings
    config = msgspec.structs.replace(config, server=msgspec.structs.replace(config.server, **server))
    stack = Stack(lake, config, ports.bind("127.0.0.1", 0), pages=console.pages(lake))
    ready = threading.Event()
    running = threading.Thread(target=stack.run, kwargs={"ready": ready.set})
    running.start()
    try:
        assert ready.wait(30)
        yield stack
    finally:
        stack.stop()
        running.join()
        stack.drain()


def test_stack_asks_for_keys_once_there_are_some(lake):
    with serving(lake) as stack:
        with lakehouse.connect(stack.url) as anybody:
            assert anybody.vectors.get("workers", "w-1").id == "w-1"
            made = anybody.keys.add("anna", ["coordinator"])
            with pytest.raises(Unauthenticated):
                anybody.keys.list()
        with lakehouse.connect(stack.url, token=made.key) as anna:
            assert anna.vectors.get("workers", "w-1").metadata["name"]
            with pytest.raises(PermissionDenied, match="operator"):
                anna.keys.list()
        assert httpx.get(f"{stack.url}/health").is_success
        lake.keys.revoke("anna")
        with lakehouse.connect(stack.url) as anybody:
            assert anybody.keys.list().keys == []
    accessors = [row.accessor["id"] for row in lake.subjects.audit("w-1").rows]
    assert accessors == ["operator", "anna"]


def test_stack_that_others_reach_stays_closed_when_its_last_key_is_revoked(lake):
    made = lake.keys.add("anna", ["operator"])
    with serving(lake, behind_tls_proxy=True) as stack:
        with lakehouse.connect(stack.url, token=made.key) as anna:
            anna.keys.revoke("anna")
            with pytest.raises(Unauthenticated, match="not known"):
                anna.keys.list()
        with lakehouse.connect(stack.url) as anybody:
            for ask in (anybody.keys.list, lambda: anybody.sql.query("SELECT 1 AS one")):
                with pytest.raises(Unauthenticated, match="the last key of this stack was revoked"):
                    ask()
        with Browser(base_url=stack.url, headers={"Accept": "text/html"}, timeout=60) as browser:
            assert browser.get("/queue").headers["location"] == "/login"
        # Made in this process, as another stack that shares the state would.
        again = lake.keys.add("ben", ["operator"])
        with lakehouse.connect(stack.url, token=again.key) as ben:
            assert [key.name for key in ben.keys.list().keys] == ["ben"]


def test_stack_that_others_reach_closes_with_its_first_key_for_good(lake):
    with serving(lake, behind_tls_proxy=True) as stack, lakehouse.connect(stack.url) as anybody:
        key = anybody.keys.add("anna", ["operator"]).key
        with lakehouse.connect(stack.url, token=key) as anna:
            anna.keys.revoke("anna")
        with pytest.raises(Unauthenticated):
            anybody.keys.list()


def test_rate_of_a_key_is_kept_on_the_wire(lake):
    made = lake.keys.add("anna", ["coordinator"], rate_per_s=1)
    with (
        serving(lake) as stack,
        lakehouse.connect(stack.url, token=made.key) as anna,
        pytest.raises(LimitExceeded, match="1 calls a second"),
    ):
        [anna.demand.parse("Need 3 Welders in Detroit MI") for _ in range(20)]


def test_search_over_the_wire_is_written_down_before_it_is_answered(lake):
    with serving(lake) as stack:
        answer = httpx.post(
            f"{stack.url}/v1/matrix/search",
            json={"query_text": "Need 2 Forklift Operators in Cleveland OH", "corpora": ["workers"]},
            headers={"X-Lakehouse-Purpose": "order 17", "X-Lakehouse-Trace-Id": "t-1"},
            timeout=60,
        ).json()
        row = lake.subjects.audit(answer["results"][0]["id"]).rows[-1]
        assert (row.purpose, row.accessor["trace_id"], row.action) == ("order 17", "t-1", "search")
        refused = httpx.get(f"{stack.url}/v1/vectors/index", headers={"X-Lakehouse-Purpose": "x" * 65})
        assert refused.status_code == 400


def test_answer_is_not_sent_when_its_rows_cannot_be_written(lake, monkeypatch):
    body = {"query_text": "Need 2 Forklift Operators in Cleveland OH", "corpora": ["workers"]}
    with serving(lake) as stack:
        assert httpx.post(f"{stack.url}/v1/matrix/search", json=body, timeout=60).status_code == 200

        def full(position):
            raise lakehouse.errors.Unavailable("no room left")

        monkeypatch.setattr(lake.rooms.ledger, "commit", full)
        refused = httpx.post(f"{stack.url}/v1/matrix/search", json=body, timeout=60)
        assert refused.status_code == 503
        assert "results" not in refused.json()


def test_console_asks_for_a_key_and_remembers_who_gave_it(lake):
    made = lake.keys.add("anna", ["coordinator"])
    with (
        serving(lake) as stack,
        Browser(base_url=stack.url, headers={"Accept": "text/html"}, timeout=60) as browser,
    ):
        sent = browser.get("/")
        assert (sent.status_code, sent.headers["location"]) == (303, "/login")
        page = browser.get("/login")
        assert page.status_code == 200
        assert browser.get(re.search(r'href="([^"]+\.css[^"]*)"', page.text)[1]).is_success
        wrong = browser.post("/login", data={"key": "lh_nobody_x"})
        assert wrong.status_code == 401
        assert "not known" in wrong.text
        entered = browser.post("/login", data={"key": made.key})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "Log out anna" in browser.get("/").text
        # The cookie opens pages, never the wire.
        assert browser.get("/v1/vectors/index").status_code == 401
        form = {"text": "Need 2 Forklift Operators in Cleveland OH", "corpora": "workers", "press": "search"}
        assert browser.post("/", data=form).status_code == 200
        lake.keys.revoke("anna")
        lake.keys.add("ben", ["operator"])
        assert browser.get("/").status_code == 303
        # A bookmark, and a form that was open meanwhile; what scripts and programs ask for is refused as ever.
        for sent in (browser.get("/queue?owner=anna"), browser.get("/memory"), browser.post("/queue", data=form)):
            assert (sent.status_code, sent.headers["location"]) == (303, "/login")
        part = browser.post("/search", data=form, headers={"HX-Request": "true"})
        for refused in (part, browser.get("/v1/vectors/index"), browser.get("/metrics")):
            assert refused.status_code == 401
            assert "asks for a key" in refused.json()["error"]["message"]
    assert {row.accessor["id"] for number in range(1, 37) for row in lake.subjects.audit(f"w-{number}").rows} <= {
        "anna"
    }


def test_session_opens_every_page_for_what_its_key_may_and_the_wire_for_nothing(lake):
    keys = {role: lake.keys.add(role, [role]).key for role in ("operator", "auditor")}
    with serving(lake) as stack:
        for role, key in keys.items():
            with Browser(base_url=stack.url, headers={"Accept": "text/html"}, timeout=60) as browser:
                browser.post("/login", data={"key": key})
                opened = {page: browser.get(page).status_code for page in ("/", "/queue", "/memory", "/lake", "/audit")}
                assert opened["/"] == opened["/audit"] == 200, (role, opened)
                assert not {401, 303} & set(opened.values()), (role, opened)
                for wire in ("/v1/keys", "/metrics", "/openapi.json"):
                    assert browser.get(wire).status_code == 401
                told = browser.post("/lake", data={"sql": "SELECT 7 AS seven, name FROM people WHERE id = 1"})
                assert ("Person Number1" in told.text) == (role == "operator")


ROOMS = ("Work queue", "Demand", "Memory", "Lake", "Operations", "Audit")
PAGES = {"Work queue": "/queue", "Memory": "/memory", "Operations": "/operations", "Audit": "/audit?who=w-1"}


@pytest.mark.parametrize(
    ("role", "named"),
    [
        ("coordinator", ("Work queue", "Demand", "Memory")),
        ("auditor", ("Demand", "Memory", "Audit")),
        ("operator", ROOMS),
    ],
)
def test_pages_of_a_role_open_without_trouble_and_the_others_show_nothing(lake, role, named):
    lake.playbooks.record("Need 1 Welder in Toledo OH", "w-1", "workers", 1.0, why="asked for Jo")
    lake.inbox.receive(type="email", body="Quill Yards needs 2 welders in Toledo, OH.", subject="Welders for Quill")
    lake.subjects.put("w-1", legal_hold="case 17")
    made = lake.keys.add("anna", [role])
    with (
        serving(lake) as stack,
        Browser(base_url=stack.url, headers={"Accept": "text/html"}, timeout=60) as browser,
    ):
        browser.post("/login", data={"key": made.key})
        menu = re.search(r"<nav aria-label=.Pages.>.*?</nav>", browser.get("/").text, re.DOTALL)[0]
        assert re.findall(r">([^<]+)</a>", menu) == [*named]
        opened = {room: browser.get(path) for room, path in PAGES.items()}
        assert {room: page.status_code for room, page in opened.items()} == {
            room: 200 if room in named else 403 for room in PAGES
        }
        assert ("Welders for Quill" in opened["Work queue"].text) == ("Work queue" in named)
        assert ("asked for Jo" in opened["Memory"].text) == (role != "auditor")
        assert ('name="correct"' in opened["Memory"].text) == (role != "auditor")
        assert ("The record holds" in opened["Audit"].text) == ("Audit" in named)
        for press in ("erase", "manifest"):
            assert (f'name="{press}"' in opened["Audit"].text) == (role == "operator")
        assert ("case 17" in opened["Audit"].text) == ("Audit" in named)
        lifted = browser.post("/audit", data={"id": "w-1", "manifest": "on", "consent": "given", "legal_hold": ""})
        assert lifted.status_code == (200 if role == "operator" else 403)
    assert lake.subjects.get("w-1").legal_hold == ("" if role == "operator" else "case 17")


def test_coordinators_key_reads_the_inbox_and_what_auditors_may_not(lake):
    keys = {role: lake.keys.add(role, [role]).key for role in ("coordinator", "auditor")}
    with serving(lake) as stack:
        with lakehouse.connect(stack.url, token=keys["coordinator"]) as anna:
            made = anna.inbox.receive(type="sms", body="Need 2 forklift operators in Cleveland OH")
            assert [one.id for one in anna.inbox.list().messages] == [made.id]
            assert anna.inbox.get(made.id).demands[0].count == 2
            assert anna.inbox.match(made.id, ["workers"]).matches[0].id
            assert anna.demands.open(message=made.id).created
        with lakehouse.connect(stack.url, token=keys["auditor"]) as audit:
            for refused in (audit.inbox.list, lambda: audit.inbox.get(made.id), audit.demands.list):
                with pytest.raises(PermissionDenied, match="coordinator"):
                    refused()


def test_key_of_one_memory_works_in_it_from_the_login_on(lake):
    made = lake.keys.add("anna", ["coordinator"], ["north"])
    with (
        serving(lake) as stack,
        Browser(base_url=stack.url, headers={"Accept": "text/html"}, timeout=60) as browser,
    ):
        browser.post("/login", data={"key": made.key})
        assert 'name="coordinator" value="north"' in browser.get("/").text
        assert browser.get("/memory").status_code == 200
        assert browser.get("/memory?namespace=south").status_code == 403


def test_pages_count_against_the_rate_of_the_key(lake):
    made = lake.keys.add("anna", ["coordinator"], rate_per_s=0.5)
    with (
        serving(lake) as stack,
        Browser(base_url=stack.url, headers={"Accept": "text/html"}, timeout=60) as browser,
    ):
        browser.post("/login", data={"key": made.key})
        found = [browser.get("/").status_code for _ in range(20)]
        assert 429 in found


def test_logout_ends_the_session(lake):
    made = lake.keys.add("anna", ["coordinator"])
    with (
        serving(lake) as stack,
        Browser(base_url=stack.url, headers={"Accept": "text/html"}, timeout=60) as browser,
    ):
        browser.post("/login", data={"key": made.key})
        kept = dict(browser.cookies)
        assert browser.post("/logout").headers["location"] == "/login"
        assert httpx.get(f"{stack.url}/", cookies=kept, headers={"Accept": "text/html"}).status_code == 303


def test_login_from_another_site_is_refused(lake):
    made = lake.keys.add("anna", ["coordinator"])
    with serving(lake) as stack, Browser(base_url=stack.url) as browser:
        foreign = {"Sec-Fetch-Site": "cross-site"}
        refused = browser.post("/login", data={"key": made.key}, headers=foreign)
        assert refused.status_code == 403
        assert "another site" in refused.text
        bare = httpx.post(f"{stack.url}/login", data={"key": made.key})
        assert (bare.status_code, "set-cookie" in bare.headers) == (403, True)
        assert "Nothing was done" in bare.text
        assert "lakehouse_session" not in bare.headers["set-cookie"]


def config(**server):
    return settings.load(environ={}, overrides={"server": server})


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ({"host": "0.0.0.0"}, "encryption"),
        ({"host": "10.0.0.1", "tls_cert": "c.pem"}, "belong together"),
        ({"tls_key": "k.pem"}, "belong together"),
    ],
)
def test_server_that_others_could_listen_in_on_is_refused(server, says):
    with pytest.raises(InvalidInput, match=says):
        run.require_encrypted(config(**server))


def test_server_that_others_reach_needs_keys_or_a_token():
    reached = config(host="0.0.0.0", behind_tls_proxy=True)
    run.require_encrypted(reached)
    with pytest.raises(InvalidInput, match="LAKEHOUSE_TOKEN"):
        run.require_safe(reached, "", keys=False)
    run.require_safe(reached, "", keys=True)
    run.require_safe(reached, "s3cret", keys=False)
    run.require_safe(config(), "", keys=False)
    # A proxy on this machine makes everybody come from this machine.
    proxied = config(host="127.0.0.1", behind_tls_proxy=True)
    with pytest.raises(InvalidInput, match=r"server\.behind_tls_proxy"):
        run.require_safe(proxied, "", keys=False)
    run.require_safe(proxied, "", keys=True)


def test_server_speaks_https(lake, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("openssl is not installed")
    with serving(lake, tls_cert=str(cert), tls_key=str(key)) as stack:
        assert stack.url.startswith("https://")
        import ssl

        trusting = ssl.create_default_context(cafile=str(cert))
        assert httpx.get(f"{stack.url}/health", verify=trusting).is_success
