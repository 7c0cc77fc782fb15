"""Cases of chat and iterate. The model repeats what it was told last."""

from __future__ import annotations

import msgspec

from contract.cases import Arguments, Case
from lakehouse.errors import InvalidInput, NotFound, ValidationFailed

PAYLOAD = {
    "demand": {"role": "Forklift Operator", "count": 1, "start": "2031-05-05"},
    "workers": [{"id": "w-2"}],
}


def said(text: str, **more: object) -> dict[str, object]:
    return {"model": "small", "messages": [{"role": "user", "content": text}], **more}


def iterated(artifact: str, payload: object, **more: object) -> tuple[str, Arguments]:
    prompt = payload if isinstance(payload, str) else msgspec.json.encode(payload).decode()
    return "iterate.run", {"artifact": artifact, "prompt": prompt, "model": "small", **more}


CASES = [
    Case(
        "chat",
        [("chat.complete", said("good morning"))],
        lambda answer: (answer.content, answer.provider, answer.finish_reason) == ("good morning", "ollama", "stop"),
    ),
    Case(
        "chat-counts",
        [("chat.complete", said("one two three", model="ollama/small"))],
        lambda answer: (answer.model, answer.prompt_tokens, answer.completion_tokens) == ("small", 3, 3),
    ),
    Case(
        "chat-stream",
        [("chat.stream", said("one two three \u2b50"))],
        lambda events: "".join(event.content for event in events) == events[-1].done.content == "one two three \u2b50",
    ),
    Case("chat-stream-absent-provider", [("chat.stream", said("x", model="kimi/k2"))], raises=NotFound, says="kimi"),
    Case("chat-absent-provider", [("chat.complete", said("x", model="kimi/k2"))], raises=NotFound, says="kimi"),
    Case("chat-cloud", [("chat.complete", said("x", model="big:cloud"))], raises=NotFound, says="ollama_cloud"),
    Case("chat-no-model", [("chat.complete", {"messages": [{"role": "user", "content": "x"}]})], raises=InvalidInput,
         says="'model'"),
    Case("chat-empty-model", [("chat.complete", said("x", model=""))], raises=InvalidInput, says="model"),
    Case("chat-no-messages", [("chat.complete", {"model": "small", "messages": []})], raises=InvalidInput,
         says="messages"),
    Case("chat-bad-role", [("chat.complete", {"model": "small", "messages": [{"role": "god", "content": "x"}]})],
         raises=InvalidInput, says="role"),
    Case("chat-unknown-field", [("chat.complete", said("x", maxtokens=3))], raises=InvalidInput, says="max_tokens"),
    Case("chat-bad-format", [("chat.complete", said("x", format="yaml"))], raises=InvalidInput, says="format"),
    Case(
        "providers",
        [("chat.providers", {})],
        lambda listed: [each.name for each in listed.providers] == ["ollama"] and len(listed.missing) == 4,
    ),
    Case(
        "iterate",
        [iterated("fill", PAYLOAD)],
        lambda done: done.grounded_in_roster and done.artifact == PAYLOAD and len(done.attempts) == 1,
    ),
    Case(
        "iterate-sms",
        [iterated("sms", {"to": "216-555-0101", "body": "At 06:00."})],
        lambda done: done.grounded_in_roster is None and done.fill_id == "",
    ),
    Case(
        "iterate-phantom",
        [iterated("fill", {**PAYLOAD, "workers": [{"id": "w-99"}]}, max_iterations=1)],
        raises=ValidationFailed,
        says="w-99",
    ),
    Case(
        "iterate-sessions",
        [iterated("sms", {"to": "216-555-0101", "body": "At 07:00."}), ("iterate.sessions", {"limit": 200})],
        lambda listed: listed.kept and listed.phantoms == 0 and listed.sessions[0].kind in {"sms", "fill", "email"},
    ),
    Case("iterate-sessions-none", [("iterate.sessions", {"limit": 0})], raises=InvalidInput, says="limit"),
    Case("iterate-no-json", [iterated("email", "hello", max_iterations=1)], raises=ValidationFailed, says="JSON"),
    Case("iterate-absent-provider", [iterated("fill", PAYLOAD, model="kimi/k2")], raises=NotFound, says="kimi"),
    Case("iterate-absent-roster", [iterated("fill", PAYLOAD, context={"roster": "nobody"})], raises=NotFound,
         says="nobody"),
    Case("iterate-too-often", [iterated("fill", PAYLOAD, max_iterations=11)], raises=InvalidInput,
         says="max_iterations"),
]  # fmt: skip
