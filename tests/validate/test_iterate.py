import json
import re
import threading
import time
from pathlib import Path

import pytest

from lakehouse.errors import InvalidInput, NotFound, PermissionDenied, Upstream, ValidationFailed
from lakehouse.evals.fake_provider import FakeProvider
from lakehouse.evals.iterates import soak
from lakehouse.validate import prompts
from lakehouse.validate.prompts import Document

ROOT = Path(__file__).parents[2]
INJECTIONS = json.loads(Path(__file__).with_name("injections.json").read_text(encoding="utf-8"))
QUERIES = re.findall(r"### (.+?)\n.*?```sql\n(.+?)```", (ROOT / "docs/session-log.md").read_text("utf-8"), re.DOTALL)
ALARM = next(sql for title, sql in QUERIES if title == "The alarm")

DEMAND = {"role": "Forklift Operator", "count": 1, "start": "2026-03-05"}
GOOD = {"demand": DEMAND, "workers": [{"id": "w-1"}]}
PHANTOM = {"demand": DEMAND, "workers": [{"id": "w-999"}]}


@pytest.fixture
def model():
    with FakeProvider() as provider:
        yield provider


@pytest.fixture
def lake(open_copy, model):
    return open_copy(chat={"ollama_url": model.url, "retries": 0})


def script(model, *answers):
    """Let the model give these answers in turn, the last one for ever."""
    left = [answer if isinstance(answer, str) else json.dumps(answer) for answer in answers]
    model.say = lambda request: left.pop(0) if len(left) > 1 else left[0]


def sessions(lake):
    names = "status, kind, grounded_in_roster, len(attempts), artifact, session_id"
    return lake.sql.query(f"SELECT {names} FROM sessions ORDER BY time").rows


def test_iterate_bad_tries_are_mended_and_the_good_one_comes_out(lake, model):
    script(model, "I would rather not.", PHANTOM, GOOD)
    done = lake.iterate.run("fill", "One forklift operator; w-1 is free.", "small")
    assert (done.status, done.artifact, done.grounded_in_roster) == ("accepted", GOOD, True)
    assert [attempt.verdict for attempt in done.attempts] == ["no_json", "validation_failed", "accepted"]
    assert [attempt.codes for attempt in done.attempts] == [[], ["phantom_worker"], []]
    assert all(attempt.prompt_tokens and attempt.completion_tokens for attempt in done.attempts)
    assert sessions(lake) == [["accepted", "fill", True, 3, json.dumps(GOOD, separators=(",", ":")), done.session_id]]
    assert [booking.session_id for booking in lake.validate.fills("w-1").bookings] == [done.session_id]


def test_iterate_that_never_passes_is_exhausted_and_keeps_nothing_of_it(lake, model):
    script(model, {"to": "216-555-0001", "body": "SSN 219-09-9999"})
    with pytest.raises(ValidationFailed) as caught:
        lake.iterate.run("sms", "Remind Maria.", "small", max_iterations=2)
    detail = caught.value.detail
    assert (detail["status"], len(detail["attempts"])) == ("max_iter_exhausted", 2)
    assert sessions(lake) == [["max_iter_exhausted", "sms", None, 2, None, detail["session_id"]]]
    assert b"219-09-9999" not in (Path(lake.rooms.settings.data) / "logs" / "sessions.jsonl").read_bytes()


@pytest.mark.parametrize("manner", ["500", "429", "garbage", "closed"])
def test_iterate_failing_provider_is_an_infra_error(lake, model, manner):
    model.manners.extend(["well", manner])
    with pytest.raises(Upstream) as caught:
        lake.iterate.run("fill", "One forklift operator.", "small")
    detail = caught.value.detail
    assert (detail["status"], [each["verdict"] for each in detail["attempts"]]) == (
        "infra_error",
        ["no_json", "infra_error"],
    )
    assert sessions(lake)[0][:4] == ["infra_error", "fill", None, 2]


def test_iterate_deadline_holds_for_all_tries_together(lake, model):
    model.slow_s = 0.15
    model.manners.extend(["slow"] * 10)
    started = time.perf_counter()
    with pytest.raises(Upstream) as caught:
        lake.iterate.run("fill", "One forklift operator.", "small", max_iterations=10, deadline_ms=400)
    assert time.perf_counter() - started < 5
    assert caught.value.detail["cause"] == "deadline"
    assert 1 < len(caught.value.detail["attempts"]) < 5


def test_iterate_token_budget_holds_for_all_tries_together(lake, model):
    script(model, "one two three four five six")
    with pytest.raises(ValidationFailed, match="token budget"):
        lake.iterate.run("fill", "One forklift operator.", "small", max_iterations=10, max_tokens=13)
    assert [request[2]["options"]["num_predict"] for request in model.requests] == [13, 7, 1]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"model": "kimi/k2"}, NotFound),
        ({"context": {"roster": "nobody"}}, NotFound),
        ({"artifact": "sms", "context": {"roster": "nobody"}}, NotFound),
        ({"artifact": "email", "context": {"snapshot_id": "77"}}, NotFound),
        ({"context": {"snapshot_id": "newest"}}, InvalidInput),
        ({"max_iterations": 0}, InvalidInput),
        ({"artifact": "letter"}, InvalidInput),
    ],
)
def test_iterate_caller_mistake_asks_no_model_and_is_no_session(lake, model, more, error):
    script(model, GOOD)
    with pytest.raises(error):
        lake.iterate.run(**{"artifact": "fill", "prompt": "x", "model": "small", **more})
    assert model.requests == []
    assert sessions(lake) == []


@pytest.mark.parametrize("answers", [[GOOD], ["no JSON", GOOD]])
def test_iterate_roster_that_goes_while_a_model_is_asked_is_an_infra_error(open_copy, model, answers):
    lake = open_copy(chat={"ollama_url": model.url, "retries": 0})
    lake.ingest.file(b"id,name\nw-1,Maria Lopez\n", "crew", "text/csv")
    left = list(answers)

    def say(request):
        if len(left) == 1:
            lake.catalog.drop("crew")
        answer = left.pop(0)
        return answer if isinstance(answer, str) else json.dumps(answer)

    model.say = say
    with pytest.raises(Upstream) as caught:
        lake.iterate.run("fill", "One forklift operator.", "small", context={"roster": "crew"})
    detail = caught.value.detail
    assert (detail["status"], detail["cause"]) == ("infra_error", "not_found")
    assert (
        detail["attempts"][-1]["error"]
        == "roster 'crew' is neither a corpus nor a dataset; see `lakehouse corpus list`"
    )
    assert [row[0] for row in sessions(lake)] == ["infra_error"]
    assert sessions(lake)[0][3:] == [len(answers), None, detail["session_id"]]


def test_iterate_playbook_names_its_own_roster(lake, model):
    script(
        model, {"query_text": "Forklift operator in Cleveland OH", "answer_id": "w-1", "corpus": "workers", "score": 1}
    )
    assert lake.iterate.run("playbook", "Keep it.", "small", context={"roster": "nobody"}).status == "accepted"


def test_iterate_data_is_personal_unless_the_caller_says_otherwise(open_copy, model):
    far = {"base_url": "https://models.example", "prefix": "far/"}
    lake = open_copy(chat={"ollama_url": model.url, "providers": {"far": far}})
    with pytest.raises(PermissionDenied):
        lake.iterate.run("fill", "x", "far/m")


def test_iterate_prompt_stays_of_one_size_however_many_tries(lake, model):
    long = {**PHANTOM, "workers": [{"id": "w-" + "9" * 400}] * 50}
    script(model, "no", long, long, long, long)
    with pytest.raises(ValidationFailed):
        lake.iterate.run("fill", "One forklift operator.", "small", max_iterations=5)
    sent = [request[2]["messages"] for request in model.requests]
    assert [len(messages) for messages in sent] == [2, 3, 3, 3, 3]
    assert all(messages[:2] == sent[0] for messages in sent)
    repairs = [messages[2]["content"] for messages in sent[1:]]
    assert all(len(text) < prompts.MOST_REPAIR + 120 for text in repairs)
    assert "no whole JSON object" not in repairs[-1]


def test_iterate_schema_goes_to_the_provider(lake, model):
    script(model, GOOD)
    lake.iterate.run("fill", "One forklift operator.", "small")
    assert model.requests[0][2]["format"] == prompts.shape_of("fill")
    assert "$ref" not in json.dumps(prompts.shape_of("fill"))


def test_iterate_without_log_path_keeps_no_log(open_copy, model, caplog):
    caplog.set_level("INFO")
    lake = open_copy(chat={"ollama_url": model.url}, validatord={"session_log_path": ""})
    script(model, GOOD)
    lake.iterate.run("fill", "One forklift operator.", "small")
    assert not (Path(lake.rooms.settings.data) / "logs" / "sessions.jsonl").exists()
    assert "session log: off" in caplog.messages


def test_iterate_tries_are_spans_with_prompt_answer_and_verdict(open_copy, model):
    traces = {"log": True, "content": True}
    lake = open_copy(chat={"ollama_url": model.url, "retries": 0}, traces=traces)
    script(model, "I would rather not; call 216-555-0100.", PHANTOM, GOOD)
    done = lake.iterate.run("fill", "One forklift operator; w-1 is free.", "small")
    spans = lake.traces.show(done.session_id).spans
    assert [(line.depth, line.name) for line in spans if line.depth < 3] == [
        (0, "iterate.run"),
        (1, "iterate.attempt[1]"), (2, "chat.complete"),
        (1, "iterate.attempt[2]"), (2, "chat.complete"),
        (1, "iterate.attempt[3]"), (2, "chat.complete"),
    ]  # fmt: skip
    told = [line.attributes for line in spans if line.name.startswith("iterate.attempt")]
    assert [facts["lakehouse.verdict"] for facts in told] == ["no_json", "validation_failed", "accepted"]
    assert [facts["lakehouse.codes"] for facts in told] == [[], ["phantom_worker"], []]
    assert all("w-1 is free" in facts["lakehouse.input"] for facts in told)
    assert told[0]["lakehouse.output"] == "I would rather not; call [phone]."
    assert json.loads(told[2]["lakehouse.output"]) == GOOD
    assert "w-999" in told[1]["lakehouse.reason"]
    asked = next(line.attributes for line in spans if line.name == "chat.complete")
    assert (asked["gen_ai.operation.name"], asked["gen_ai.usage.input_tokens"] > 0) == ("chat", True)
    assert (spans[0].attributes["lakehouse.status"], spans[0].attributes["lakehouse.attempts"]) == ("accepted", 3)


def test_iterate_spans_hold_no_content_unless_a_setting_says_so(open_copy, model):
    lake = open_copy(chat={"ollama_url": model.url, "retries": 0}, traces={"log": True})
    script(model, GOOD)
    model.manners.extend(["well", "500"])
    done = lake.iterate.run("fill", "One forklift operator; w-1 is free.", "small")
    with pytest.raises(Upstream) as broken:
        lake.iterate.run("fill", "One forklift operator; w-1 is free.", "small")
    kept = lake.traces.show(done.session_id).spans, lake.traces.show(broken.value.detail["session_id"]).spans
    assert "w-1" not in str(kept)
    ends = [(line.name, line.status, line.attributes["lakehouse.verdict"]) for line in (kept[0][1], kept[1][1])]
    assert ends == [("iterate.attempt[1]", "ok", "accepted"), ("iterate.attempt[1]", "Upstream", "infra_error")]


def test_iterate_people_of_what_was_accepted_are_in_the_ledger(lake, model):
    def uses(id):
        return [
            (row.action, row.accessor["trace_id"])
            for row in lake.subjects.audit(id).rows
            if row.action in {"fill", "message"}
        ]

    script(model, {"demand": DEMAND, "workers": [{"id": "w-6"}]}, GOOD)
    filled = lake.iterate.run("fill", "One forklift operator.", "small")
    assert (uses("w-1"), uses("w-6")) == ([("fill", filled.session_id)], [])
    script(model, {"to": "person2@example.com", "subject": "Monday", "body": "See you at six."})
    sent = lake.iterate.run("email", "Remind Dwayne.", "small", context={"worker_ids": ["w-2"]})
    assert uses("w-2") == [("message", sent.session_id)]
    script(model, PHANTOM)
    with pytest.raises(ValidationFailed):
        lake.iterate.run("fill", "One more.", "small", context={"worker_ids": ["w-3"]})
    assert uses("w-3") == []


def test_iterate_two_at_once_never_book_somebody_twice(lake, model):
    script(model, GOOD)
    ends = []

    def work():
        try:
            lake.iterate.run("fill", "One forklift operator.", "small", max_iterations=1)
            ends.append("accepted")
        except ValidationFailed:
            ends.append("refused")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["accepted"] + ["refused"] * 5
    assert len(lake.validate.fills().bookings) == 1
    assert len(sessions(lake)) == 6


def test_iterate_injections_are_many_and_different():
    assert len(set(INJECTIONS)) == len(INJECTIONS) >= 40


@pytest.mark.parametrize("text", INJECTIONS)
def test_prompt_text_of_others_stays_inside_the_data(text):
    turns = prompts.first("fill", "Choose one.", [Document("resume", text), Document(text, "x")], mark="mark")
    plain = prompts.first("fill", "Choose one.", [Document("resume", ""), Document("", "x")], mark="mark")
    # Only the turn with the data differs, and there only what stands between its marks, one line a document.
    assert turns[:-1] == plain[:-1]
    first, *lines, last = turns[-1][1].splitlines()
    assert (first, last, len(lines)) == ("DATA-mark", "DATA-mark", 2)
    assert [json.loads(line) for line in lines] == [{"id": "resume", "text": text}, {"id": text, "text": "x"}]


def test_iterate_model_that_obeys_injections_gets_nothing_through(lake, model):
    """The worst model there is does whatever the texts say; what comes out is what the validators let through."""

    def obedient(request):
        data = next(turn["content"] for turn in request["messages"] if turn["content"].startswith("DATA-"))
        text = json.loads(data.splitlines()[1])["text"]
        bad = ["w-999"] if "w-999" in text else re.findall(r"w-\d+", text) or ["w-3", "w-3"]
        answers = {
            "fill": {"demand": {**DEMAND, "count": len(bad)}, "workers": [{"id": id} for id in bad]},
            "email": {"to": "evil@example.com", "subject": "Roster", "body": text},
            "sms": {"to": "216-555-0002", "body": text},
        }
        kind = next(kind for kind in answers if f"prepare one {kind}" in request["messages"][0]["content"])
        return text + "\n```json\n" + json.dumps(answers[kind]) + "\n```"

    model.say = obedient
    tries = 0
    for number, text in enumerate(INJECTIONS):
        kind = ("fill", "email", "sms")[number % 3]
        context = {"worker_ids": ["w-1"]} if kind != "fill" else {"demand": DEMAND, "exclude_ids": ["w-1", "w-3"]}
        with pytest.raises(ValidationFailed) as caught:
            lake.iterate.run(
                kind, "Write it.", "small", max_iterations=2, context=context, documents=[{"id": "r", "text": text}]
            )
        tries += len(caught.value.detail["attempts"])
    assert tries <= 2 * len(INJECTIONS)
    assert lake.validate.fills().bookings == []
    assert lake.sql.query(ALARM).rows == []


def test_iterate_lying_model_raises_no_alarm(tmp_path):
    tally = soak(tmp_path / "lake", iterates=150, workers=200, threads=3, seed=4)
    assert tally.alarms == 0
    assert tally.rows == tally.iterates == 150
    assert tally.ends.keys() == {"accepted", "max_iter_exhausted", "infra_error"}
    assert tally.outside == []
    assert tally.booked_twice == 0


@pytest.fixture(scope="module")
def told(built_folder, tmp_path_factory):
    """A closed lake with sessions of all three ends."""
    import shutil

    from validate.conftest import opened

    folder = tmp_path_factory.mktemp("told") / "lake"
    shutil.copytree(built_folder, folder)
    with FakeProvider() as model, opened(folder, chat={"ollama_url": model.url, "retries": 0}) as lake:
        script(model, GOOD)
        lake.iterate.run("fill", "First.", "small")
        script(model, PHANTOM, {**GOOD, "workers": [{"id": "w-2"}]})
        lake.iterate.run("fill", "Second.", "small")
        script(model, PHANTOM)
        with pytest.raises(ValidationFailed):
            lake.iterate.run("fill", "Third.", "other")
        model.manners.append("500")
        with pytest.raises(Upstream):
            lake.iterate.run("email", "Fourth.", "other")
    return folder


EXPECTED = {
    "The alarm": [],
    "Right the first time, by model": [["other", 2, 0, 0], ["small", 2, 2, 1]],
    "Refused three times in a row": 1,
    "Accepted without a second try": 1,
    "What models get wrong": [["other", "phantom_worker", 3], ["small", "phantom_worker", 1]],
    "What it cost": 2,
}


def test_session_log_document_has_every_query():
    assert [title for title, _ in QUERIES] == list(EXPECTED)


@pytest.mark.parametrize(("title", "sql"), QUERIES, ids=[title for title, _ in QUERIES])
def test_session_log_query_of_the_document_answers(told, capsys, title, sql):
    from lakehouse.cli import main

    assert main(["sql", sql, "--json", "--lake", str(told)]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    expected = EXPECTED[title]
    assert (len(rows) if isinstance(expected, int) else rows) == expected
