"""What coordinators send: six rotating demands, demands nobody sent before, six weighted scenarios of several calls.

A piece of work gets a connection and a number, and returns why it failed, None when it did not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from lakehouse import operations
from lakehouse.evals._load_client import Answer, Connection

CORPORA = ["workers", "ethereal_workers"]
SIX = (
    ("Forklift Operators", "Cleveland OH"),
    ("CNC Operators", "Detroit MI"),
    ("Warehouse Workers", "Chicago IL"),
    ("Order Pickers", "Indianapolis IN"),
    ("Freight Loaders", "Milwaukee WI"),
    ("Shipping Clerks", "Columbus OH"),
)
_VALIDATE = "/v1/validate"
_K = 10
_GOOD = 4

Work = Callable[["Client", int], Awaitable[str | None]]


class _Match(msgspec.Struct, frozen=True):
    id: str
    corpus: str
    rating: int | None = None
    memory: dict[str, Any] | None = None


class _Found(msgspec.Struct, frozen=True):
    results: list[_Match]


_decode = msgspec.json.Decoder(_Found).decode


class Failure(Exception):
    """A call did not answer as it must."""


class Client:
    """A connection that counts statuses and turns wrong answers into `Failure`."""

    def __init__(self, connection: Connection, statuses: Counter[int]) -> None:
        self._connection = connection
        self._statuses = statuses

    async def call(self, name: str, values: dict[str, Any], *, expect: int = 200) -> Answer:
        """Call an operation."""
        return self._seen(await self._connection.call(name, values), name, expect)

    async def search(self, text: str, **more: Any) -> list[_Match]:
        """Search both corpora."""
        values = {"query_text": text, "corpora": CORPORA, "k": _K, "rate": False, **more}
        return _decode((await self.call("matrix.search", values)).body).results

    async def validate(self, artifact: str, payload: dict[str, Any]) -> None:
        """Have an artifact validated; nothing where this version has no validators."""
        if VALIDATES:
            data = msgspec.json.encode({"artifact": artifact, "payload": payload})
            self._seen(await self._connection.send("POST", _VALIDATE, data), f"validate {artifact}", 200)

    def _seen(self, answer: Answer, what: str, expect: int) -> Answer:
        self._statuses[answer.status] += 1
        if answer.status != expect:
            raise Failure(f"{what}: {answer.status or 'connection broke'}")
        return answer


VALIDATES = any(operation.path == _VALIDATE for operation in operations.OPERATIONS)


def demand(number: int, count: int | None = None) -> str:
    """Return one of the six demands."""
    role, place = SIX[number % 6]
    return f"Need {count or 5} {role} in {place}"


def new_demand(number: int) -> str:
    """Return a demand that no other number has, in words too."""
    role, place = SIX[number % 6]
    return f"Need {number % 90 + 2} {role} in {place} for the {number} Street dock, badge {number * 7919 % 99_991}"


async def rotating(client: Client, number: int) -> str | None:
    """Search for one of six demands, with memory."""
    await client.search(demand(number), use_playbook=True)
    return None


async def unique(client: Client, number: int) -> str | None:
    """Search for a demand not seen before."""
    await client.search(new_demand(number), use_playbook=True)
    return None


async def cold_search_email(client: Client, number: int) -> str | None:
    """Search for a demand not seen before, and write to whom it found."""
    found = await client.search(new_demand(number))
    if not found:
        return "nobody found"
    body = f"Shift {number} is open for you. Call (800) 555-0{number % 900 + 100} if you can come."
    await client.validate("email", {"to": "worker@example.com", "subject": "Work for you", "body": body})
    return None


async def surge_fill_validate(client: Client, number: int) -> str | None:
    """Search, propose whom it found as a fill, have it validated, record what worked."""
    role, text = SIX[number % 6][0], demand(number, 8)
    found = await client.search(text, k=8, rate=True)
    if len(found) != 8:
        return f"{len(found)} of 8 found"
    # Nobody proposes people who do not fit, and the validator would refuse them.
    good = [{"id": match.id} for match in found if (match.rating or 0) >= _GOOD]
    if good:
        await client.validate("fill", {"demand": {"role": role, "count": len(good)}, "workers": good})
    chosen = found[number % 8]
    entry = {"query_text": text, "answer_id": chosen.id, "corpus": chosen.corpus, "score": 0.8, "namespace": "load"}
    await client.call("playbooks.record", entry)
    return None


async def profile_swap(client: Client, number: int) -> str | None:
    """Ask for replacements; nobody already placed may come back."""
    first = {match.id for match in await client.search(demand(number), use_playbook=True, playbook="load")}
    others = await client.search(demand(number), use_playbook=True, playbook="load", exclude_ids=sorted(first))
    if not others:
        return "no replacements"
    return "a placed person came back" if first & {match.id for match in others} else None


async def repeat_cache(client: Client, number: int) -> str | None:
    """Ask the same five times; the answer must not change."""
    answers = [[match.id for match in await client.search(demand(number))] for _ in range(5)]
    return None if all(answer == answers[0] for answer in answers) else "the answer changed"


async def sms_validate(client: Client, number: int) -> str | None:
    """Write a short message whose phone number must not be taken for a social security number."""
    body = f"Shift {number % 1000} open tomorrow 6:00. Call 800-555-{number % 9000 + 1000} or reply YES."
    await client.validate("sms", {"to": "+12165550100", "body": body})
    if not VALIDATES:
        await client.call("demand.parse", {"text": body})
    return None


async def playbook_record_replay(client: Client, number: int) -> str | None:
    """Search, record somebody from further down who fits, search again with memory: it must have acted."""
    text, namespace = demand(number), f"load-{number % 50}"
    cold = await client.search(text, rate=True)
    if not cold:
        return "nobody found"
    # Memory rightly leaves alone whom the demand itself refuses. Where nobody fits, nobody worked out.
    good = [match for match in cold if (match.rating or 0) >= _GOOD]
    if not good:
        return None
    chosen = good[-1]
    entry = {"query_text": text, "answer_id": chosen.id, "corpus": chosen.corpus, "score": 1.0, "namespace": namespace}
    await client.call("playbooks.record", entry)
    warm = await client.search(text, use_playbook=True, playbook=namespace)
    return None if any(match.id == chosen.id and match.memory for match in warm) else "memory did not act"


MIXES: dict[str, list[tuple[Work, float]]] = {
    "rotating": [(rotating, 1)],
    "unique": [(unique, 1)],
    "multitier": [
        (cold_search_email, 0.35),
        (surge_fill_validate, 0.15),
        (profile_swap, 0.15),
        (repeat_cache, 0.15),
        (sms_validate, 0.10),
        (playbook_record_replay, 0.10),
    ],
}
