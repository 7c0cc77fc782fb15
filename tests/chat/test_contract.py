"""What every provider must do, against one that says what it is told and against a real model."""

import json

import pytest

from lakehouse import settings
from lakehouse.chat.base import Message, SchemaFormat
from lakehouse.errors import DeadlineExceeded

SCHEMA = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 1, "maximum": 99},
        "city": {"type": "string", "maxLength": 12},
    },
    "required": ["count", "city"],
    "additionalProperties": False,
}


def scripted(request):
    """Say what a model would: JSON where it is asked for, no more words than are allowed."""
    if "response_format" in request or "format" in request:
        return '{"count": 3, "city": "Austin"}'
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    return " ".join(words[: request.get("max_tokens") or request.get("options", {}).get("num_predict") or 8])


@pytest.fixture(params=["fake/small", "ollama/small", "real/small"])
def model(request, fake, make_chat):
    """A chat and the name of a model in it."""
    if request.param.startswith("real/"):
        url = request.getfixturevalue("real_model")
        # Fewer than the streams of the last test, so that one that is not let go holds up the next.
        provider = settings.ChatProvider(url, thinking="template", at_once=2)
        return make_chat(url, providers={"real": provider}), request.param
    fake.say = scripted
    return make_chat(fake.url), request.param


def said(text):
    return [Message("user", text)]


def test_chat_answer_has_text_counts_and_reason(model, fake):
    chat, name = model
    fake.finish_reason = "length"
    answer = chat.complete(name, said("Count from one to eight."), max_tokens=4, temperature=0.0)
    assert answer.content.strip()
    assert answer.finish_reason == "length"
    assert answer.prompt_tokens > 0
    assert 0 < answer.completion_tokens <= 4
    assert answer.latency_ms > 0
    assert answer.model == "small"
    assert answer.provider == name.partition("/")[0]


def test_chat_stream_gives_the_same_as_the_whole(model):
    chat, name = model
    whole = chat.complete(name, said("Count from one to eight."), max_tokens=6, temperature=0.0)
    events = list(chat.stream(name, said("Count from one to eight."), max_tokens=6, temperature=0.0))
    done = events[-1].done
    assert "".join(event.content for event in events) == done.content == whole.content
    assert len(events) > 2
    assert (done.finish_reason, done.completion_tokens) == (whole.finish_reason, whole.completion_tokens)
    assert all(event.done is None for event in events[:-1])


def test_chat_schema_is_kept_to(model):
    chat, name = model
    answer = chat.complete(name, said("3 cooks in Austin"), max_tokens=64, temperature=0.0, format=SchemaFormat(SCHEMA))
    found = json.loads(answer.content)
    assert isinstance(found["count"], int)
    assert set(found) == {"count", "city"}


def test_chat_json_is_json(model):
    chat, name = model
    answer = chat.complete(name, said("Say ok."), max_tokens=16, temperature=0.0, format="json")
    # A cut answer is not whole, and says so.
    if answer.finish_reason != "length":
        assert isinstance(json.loads(answer.content), dict)


def test_chat_deadline_is_kept(model, fake):
    chat, name = model
    fake.manners.append("slow")
    with pytest.raises(DeadlineExceeded):
        chat.complete(name, said("Write a very long story about the sea."), max_tokens=2_000, timeout_ms=60)


def test_chat_dropped_stream_lets_the_provider_go(model):
    chat, name = model
    for _ in range(3):
        events = chat.stream(name, said("Count from one to eight."), max_tokens=16)
        next(events)
        events.close()
    assert chat.complete(name, said("Say ok."), max_tokens=4).content
