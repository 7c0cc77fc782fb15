import json

import pytest

from lakehouse.cli import main
from lakehouse.evals.fake_provider import FakeProvider

SMS = {"to": "216-555-0101", "body": "Shift on Monday 06:00."}


@pytest.fixture
def at(tmp_path):
    return ["--lake", str(tmp_path / "lake")]


def test_validate_passing_message_says_so(at, capsys):
    assert main(["validate", "sms", json.dumps(SMS), *at]) == 0
    assert "passes" in capsys.readouterr().out


def test_validate_refused_message_ends_with_1_and_prints_the_variant(at, capsys):
    bad = json.dumps({**SMS, "body": "SSN 219-09-9999"})
    assert main(["validate", "sms", bad, "--json", *at]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "Policy": {"reason": "the body holds a social security number; leave it out"}
    }
    assert main(["validate", "sms", bad, *at]) == 1
    assert "secret_ssn" in capsys.readouterr().out


def test_validate_payload_that_is_no_json_ends_with_2(at, capsys):
    assert main(["validate", "sms", "{", *at]) == 2
    assert main(["validate", "letter", "{}", *at]) == 2
    assert main(["validate", "sms", json.dumps(SMS), "--context", '{"x": 1}', *at]) == 2
    assert capsys.readouterr().err.count("error:") == 3


@pytest.fixture
def model(monkeypatch):
    with FakeProvider() as provider:
        monkeypatch.setenv("LAKEHOUSE_CHAT__OLLAMA_URL", provider.url)
        yield provider


def test_iterate_prints_what_passed(at, capsys, model, tmp_path):
    model.say = lambda request: json.dumps(SMS)
    resume = tmp_path / "resume.txt"
    resume.write_text("ten years of reach trucks")
    words = ["iterate", "sms", "Remind", "them", "--model", "small", "--document", str(resume)]
    assert main([*words, *at]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == SMS
    assert "not checked" in printed.err
    assert "reach trucks" in model.requests[0][2]["messages"][2]["content"]
    assert main([*words, "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "accepted"


def test_iterate_that_never_passes_ends_with_1(at, capsys, model):
    words = ["iterate", "sms", "Remind them", "--model", "small", "--tries", "2", *at]
    assert main(words) == 1
    assert "no try of 2 passed" in capsys.readouterr().err
    assert main([*words, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["detail"]["status"] == "max_iter_exhausted"


def test_chat_prints_the_answer(at, capsys, model):
    assert main(["chat", "good", "morning", "--model", "small", "--system", "Be brief.", *at]) == 0
    assert capsys.readouterr().out == "good morning\n"
    assert main(["chat", "x", "--model", "small", "--format", '{"type": "object"}', "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out)["provider"] == "ollama"
    assert model.requests[-1][2]["format"] == {"type": "object"}


def test_chat_lists_providers(at, capsys, model):
    assert main(["chat", "--providers", *at]) == 0
    printed = capsys.readouterr()
    assert model.url in printed.out
    assert "openrouter: no key" in printed.err


def test_chat_without_model_ends_with_2(at):
    assert main(["chat", "x", *at]) == 2


def test_fill_is_accepted_listed_and_released(tmp_path, capsys):
    at = ["--lake", str(tmp_path / "lake")]
    roster = tmp_path / "people.csv"
    roster.write_text("id,role,role_code\n1,Forklift Operator,53-7051.00\n")
    assert main(["ingest", str(roster), "--name", "people", *at]) == 0
    assert main(["corpus", "build", "people", "--prefix", "w-", "--text", "role", *at]) == 0
    demand = {"role": "Forklift Operator", "count": 1, "start": "2031-03-03"}
    payload = json.dumps({"demand": demand, "workers": [{"id": "w-1"}]})
    capsys.readouterr()
    assert main(["fill", "accept", payload, "--json", *at]) == 0
    fill = json.loads(capsys.readouterr().out)["fill_id"]
    assert main(["fill", "accept", payload, *at]) == 1
    assert "double_booked" in capsys.readouterr().out
    assert main(["fill", "list", "--worker", "w-1", *at]) == 0
    assert fill in capsys.readouterr().out
    assert main(["fill", "release", fill, "--json", *at]) == 0
    assert json.loads(capsys.readouterr().out) == {"released": fill}
    assert main(["fill", "release", fill, *at]) == 3
    assert f"no accepted fill has the id {fill!r}; see `lakehouse fill list`" in capsys.readouterr().err
