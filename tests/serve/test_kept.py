"""A search that was answered before is answered from memory, and never after something it was made from has changed."""

import asyncio
import itertools
import json
import shutil
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

import lakehouse
from lakehouse import settings, tracing
from lakehouse.evals.fake_provider import FakeProvider
from lakehouse.serve.api import Api
from lakehouse.serve.kept import KeptAnswers

TEXTS = ["Need 2 Forklift Operators in Cleveland OH, OSHA-30", "Need 3 Line Cooks in Detroit MI", "reach truck"]
NAMESPACES = ["ann", "bob"]


class Day:
    """A clock that goes on when told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


class Face:
    """The search path of the HTTP face, asked in this thread."""

    def __init__(self, lake) -> None:
        self.lake = lake
        self.api = Api(lake, lake.rooms.settings)

    def ask(self, body: bytes, trace_id: str = "trace-1"):
        """Send a search, return its answer."""
        sent = []

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            sent.append(message)

        headers = [(b"host", b"localhost"), (tracing.HEADER.lower().encode(), trace_id.encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/matrix/search", "query_string": b"", "headers": headers}
        asyncio.run(self.api({**scope, "raw_path": b"/v1/matrix/search"}, receive, send))
        assert sent[0]["status"] == 200, sent[1]["body"]
        assert int(dict(sent[0]["headers"])[b"content-length"]) == len(sent[1]["body"])
        return json.loads(sent[1]["body"])

    def now(self, body: bytes) -> dict:
        """Work the answer out, whatever is kept."""
        answer = self.lake.rooms.matrix.search(**json.loads(body))
        return json.loads(msgspec.json.encode(msgspec.structs.replace(answer, trace_id="trace-1")))


@pytest.fixture(scope="module")
def day():
    return Day()


@pytest.fixture(scope="module")
def face(built, people, tmp_path_factory, day):
    folder = tmp_path_factory.mktemp("kept") / "lake"
    shutil.copytree(built(people), folder)
    config = settings.load(environ={}, overrides={"data": str(folder), "vectors": {"fresh_limit": 40}})
    with lakehouse.connect(config=config, clock=day) as lake:
        face = Face(lake)
        yield face
        assert face.api.runtime.close(within_ms=5_000)


@pytest.fixture
def seen(face):
    """What stands around calls sees, one entry a search."""
    calls = []

    def watch(operation, values, work):
        answer = work()
        if operation.name == "matrix.search":
            calls.append((values["query_text"], answer.trace_id, [match.id for match in answer.results]))
        return answer

    face.lake.rooms.around.append(watch)
    yield calls
    face.lake.rooms.around.remove(watch)


def request(text=TEXTS[0], **options) -> bytes:
    return json.dumps({"query_text": text, "corpora": ["workers"], "k": 5, **options}).encode()


def test_again_is_the_same_answer_under_its_own_trace_and_is_watched(face, seen, monkeypatch):
    first = face.ask(request(k=4), "one")
    monkeypatch.setattr(face.lake.rooms.matrix, "search", None)
    again = face.ask(request(k=4), 't"wo\\')
    assert again.pop("trace_id") == 't"wo\\'
    assert first.pop("trace_id") == "one"
    assert again == first
    ids = [match["id"] for match in first["results"]]
    assert seen == [(TEXTS[0], "one", ids), (TEXTS[0], 't"wo\\', ids)]


def test_again_what_stands_around_may_change_the_answer(face):
    body = request(k=3)

    def fewer(operation, values, work):
        answer = work()
        return msgspec.structs.replace(answer, results=answer.results[1:])

    whole = face.ask(body)["results"]
    face.lake.rooms.around.append(fewer)
    try:
        assert face.ask(body)["results"] == whole[1:]
        assert face.ask(body)["results"] == whole[1:]
    finally:
        face.lake.rooms.around.remove(fewer)
    assert face.ask(body)["results"] == whole


def test_again_after_a_build_or_a_call_of_which_nothing_is_known(face, monkeypatch):
    body = request(k=2)
    before = face.ask(body)
    face.lake.storage.put("some/object", b"x")
    calls = itertools.count()
    search = face.lake.rooms.matrix.search
    monkeypatch.setattr(face.lake.rooms.matrix, "search", lambda **values: (next(calls), search(**values))[1])
    assert face.ask(body) == before
    assert next(calls) == 1


def test_again_other_writes_leave_an_answer_kept(face, monkeypatch):
    body = request(k=7, use_playbook=True, playbook="ann")
    before = face.ask(body)
    # Other tests of the face delete people, in any order.
    someone = before["results"][0]["id"]
    face.lake.playbooks.record(TEXTS[0], someone, "workers", 0.5, namespace="somebody-else")
    monkeypatch.setattr(face.lake.rooms.matrix, "search", None)
    assert face.ask(body) == before


def test_put_keeps_the_latest_and_no_large_ones(face):
    answer = face.lake.matrix.search(TEXTS[0], ["workers"])
    kept = KeptAnswers(lambda values: 1, 2)
    for name in (b"a", b"b", b"c"):
        kept.put(name, {}, 1, answer)
    assert [kept.get(name) is not None for name in (b"a", b"b", b"c")] == [False, True, True]
    kept.put(b"d" * 5_000, {}, 1, answer)
    assert kept.get(b"d" * 5_000) is None
    large = msgspec.structs.replace(answer, results=answer.results * 100)
    kept.put(b"e", {}, 1, large)
    assert kept.get(b"e") is None
    stale = KeptAnswers(lambda values: 2, 2)
    stale.put(b"a", {}, 1, answer)
    assert stale.get(b"a") is None


changes = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 60), st.sampled_from(["Forklift Operator", "Line Cook"])),
    st.tuples(st.just("delete"), st.integers(1, 60), st.none()),
    st.tuples(st.just("record"), st.integers(1, 36), st.sampled_from(NAMESPACES)),
    st.tuples(st.just("turn down"), st.integers(1, 36), st.sampled_from(NAMESPACES)),
    st.tuples(st.just("forget"), st.none(), st.sampled_from(NAMESPACES)),
    st.tuples(st.just("hand over"), st.sampled_from(["share", "copy", "take back"]), st.none()),
    st.tuples(st.just("next day"), st.none(), st.none()),
    st.tuples(st.just("nothing"), st.none(), st.none()),
)


def hand_over(lake, mode):
    if mode != "take back":
        lake.playbooks.handover("ann", "bob", mode)
    elif lake.playbooks.shares("ann").used_by:
        lake.playbooks.withdraw("ann", "bob")


def change(face, day, kind, what, which):
    lake = face.lake
    if kind == "add":
        metadata = {"role": which, "city": "Cleveland", "state": "OH", "certs": ["OSHA-30"], "n": what}
        lake.vectors.add("workers", [{"id": f"w-{what}", "text": f"{which} {what}", "metadata": metadata}])
    elif kind == "delete":
        if f"w-{what}" in lake.vectors.ids("workers").ids:
            lake.vectors.delete_item("workers", f"w-{what}")
    elif kind in ("record", "turn down"):
        if f"w-{what}" in lake.vectors.ids("workers").ids:
            outcome = "worked" if kind == "record" else "rejected"
            lake.playbooks.record(TEXTS[0], f"w-{what}", "workers", 1.0, namespace=which, outcome=outcome)
    elif kind == "forget":
        for entry in lake.playbooks.list(which).entries[:1]:
            lake.playbooks.delete(entry.id)
    elif kind == "hand over":
        hand_over(lake, what)
    elif kind == "next day":
        day.now += timedelta(days=40)


@checked(max_examples=25)
@given(steps=st.lists(changes, max_size=8))
def test_again_is_always_what_a_search_would_say_now(face, day, steps):
    bodies = [
        request(text, use_playbook=namespace is not None, playbook=namespace or "ann")
        for text in TEXTS
        for namespace in (None, *NAMESPACES)
    ]
    for kind, what, which in [("nothing", None, None), *steps]:
        change(face, day, kind, what, which)
        for body in bodies:
            assert face.ask(body) == face.now(body), (kind, body)


def test_search_with_opinions_asks_the_model_each_time(tmp_path, built, people):
    folder = tmp_path / "lake"
    shutil.copytree(built(people), folder)
    with FakeProvider(lambda _: "4") as fake:
        chat = {"providers": {"judge": {"base_url": fake.url}}}
        overrides = {"data": str(folder), "models": {"local_judge": "judge/small"}, "chat": chat}
        with lakehouse.connect(config=settings.load(environ={}, overrides=overrides)) as lake:
            face = Face(lake)
            body = json.dumps({"query_text": TEXTS[0], "corpora": ["workers"], "k": 3, "opinions": 2}).encode()
            for asked in (2, 4):
                answer = face.ask(body)
                assert [each["opinion"] for each in answer["results"]] == [4, 4, None]
                assert (answer["opinions"]["model"], len(fake.requests)) == ("judge/small", asked)
