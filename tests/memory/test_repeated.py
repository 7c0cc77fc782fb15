"""A call that is sent again because its answer was lost counts once."""

import asyncio
import http.server
import threading

import httpx
import pytest

import lakehouse
from lakehouse import idempotency
from lakehouse.errors import Unavailable
from lakehouse.serve.gateway import Gateway
from serving import stack_of

ASK = "Need 2 Forklift Operators in Cleveland OH for Beacon Freight"
ENTRY = {"query_text": ASK, "answer_id": "w-1", "corpus": "workers", "score": 1.0, "outcome": "accepted"}
RECORD = "/v1/matrix/playbooks/record"


@pytest.fixture
def losing(lake):
    """Serve a lake behind something that passes requests on and loses as many answers as it is told to."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name: value.encode("latin-1") for name, value in self.headers.items() if name != "Host"}
            answer = httpx.request(self.command, stack.url + self.path, headers=headers, content=body)
            server.keys.append(self.headers.get(idempotency.HEADER))
            if server.lost:
                server.lost -= 1
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST  # noqa: N815 - the name that the base class looks for

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.keys, server.lost = [], 0
    server.url = f"http://127.0.0.1:{server.server_port}"
    running = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    with stack_of(lake) as stack:
        running.start()
        yield server
        server.shutdown()
        running.join()
        server.server_close()


@pytest.fixture
def client(losing):
    with lakehouse.connect(losing.url) as client:
        client.playbooks.list()
        losing.keys.clear()
        yield client


def history(lake, id: str) -> list[str]:
    return [each.outcome for each in lake.playbooks.get(id).outcomes]


def test_record_sent_again_counts_once_and_answers_the_same(losing, client, lake):
    losing.lost = 2
    made = client.playbooks.record(**ENTRY)
    assert made.created
    assert len(losing.keys) == 3
    assert len({*losing.keys}) == 1
    assert losing.keys[0]
    assert history(lake, made.playbook_id) == ["accepted"]
    assert lake.playbooks.get(made.playbook_id).entry.good == 0.5


def test_record_called_again_is_another_outcome(losing, client, lake):
    made = [client.playbooks.record(**ENTRY) for _ in range(2)]
    assert [each.created for each in made] == [True, False]
    assert len({*losing.keys}) == 2
    assert history(lake, made[0].playbook_id) == ["accepted"] * 2


def test_bulk_sent_again_counts_once_and_answers_the_same(losing, client, lake):
    known = lake.playbooks.record(**ENTRY)
    losing.lost = 1
    done = client.playbooks.bulk([ENTRY, {**ENTRY, "answer_id": "w-2"}])
    assert len(losing.keys) == 2
    assert (done.recorded, done.updated) == (1, 1)
    assert history(lake, known.playbook_id) == ["accepted"] * 2


@pytest.mark.parametrize("clear", [False, True])
def test_merge_sent_again_counts_once_and_answers_the_same(losing, client, lake, clear):
    for answer, namespace in (("w-1", "anna"), ("w-2", "anna"), ("w-1", "ben")):
        lake.playbooks.record(**{**ENTRY, "answer_id": answer, "namespace": namespace})
    losing.lost = 1
    done = client.playbooks.merge("anna", "ben", clear_source=clear)
    assert len(losing.keys) == 2
    assert (done.merged, done.joined, done.cleared) == (1, 1, 2 if clear else 0)
    found = {entry.answer_id: entry for entry in lake.playbooks.list("ben").entries}
    assert {answer: len(history(lake, entry.id)) for answer, entry in found.items()} == {"w-1": 2, "w-2": 1}
    assert (found["w-1"].good, found["w-2"].good) == (1.0, 0.5)


def test_gateway_sends_again_under_one_key_also_what_came_without(losing, lake):
    async def post(headers: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(app=Gateway(losing.url))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as bare:
            return await bare.post(RECORD, json=ENTRY, headers=headers)

    losing.lost = 1
    made = asyncio.run(post({})).json()
    losing.lost = 1
    again = asyncio.run(post({idempotency.HEADER: "mine"})).json()
    assert (made["created"], again["created"]) == (True, False)
    assert losing.keys[0] == losing.keys[1]
    assert losing.keys[2:] == ["mine", "mine"]
    assert history(lake, made["playbook_id"]) == ["accepted"] * 2


def test_key_stands_for_one_call_of_one_caller_and_outlives_a_restart(lake, reopen):
    with idempotency.keyed("k-1"):
        made = lake.playbooks.record(**ENTRY)
        other = lake.playbooks.record(**{**ENTRY, "outcome": "completed"})
    again = reopen(lake)
    with idempotency.keyed("k-1"):
        assert again.playbooks.record(**ENTRY) == made
    assert (made.created, other.created) == (True, False)
    assert history(again, made.playbook_id) == ["accepted", "completed"]


def test_key_of_another_form_is_refused(losing):
    for key in ("a b", "\u00e9", "x" * 256):
        answer = httpx.post(losing.url + RECORD, json=ENTRY, headers={idempotency.HEADER: key.encode("latin-1")})
        assert answer.status_code == 400
        assert idempotency.HEADER in answer.json()["error"]["message"]


def test_record_sent_again_puts_into_the_index_what_a_failure_kept_out(lake, monkeypatch):
    def full(*_words, **_values):
        raise Unavailable("no room left")

    with idempotency.keyed("k-1"):
        with monkeypatch.context() as failing:
            failing.setattr(lake.rooms.vectors, "put", full)
            with pytest.raises(Unavailable, match="no room"):
                lake.playbooks.record(**ENTRY)
        made = lake.playbooks.record(**ENTRY)
    assert made.created
    assert lake.vectors.ids("playbook_default").ids == [made.playbook_id]
    assert history(lake, made.playbook_id) == ["accepted"]
