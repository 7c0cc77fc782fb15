"""One behaviour on every face: same answers, same errors, same words."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest

import lakehouse
from contract.cases import CASES, Case
from lakehouse import operations
from lakehouse.errors import LakehouseError

FACES = ("process", "http", "separate")
BY_NAME = operations.BY_NAME

# What differs from one lake to the next, and from one moment to the next.
VOLATILE = frozenset(
    {
        *("op_id", "run_id", "time", "started", "started_at", "received_at", "mermaid"),
        *("total", "errors", "by_source", "by_kind", "by_hour", "oldest", "newest", "recorded"),
        "trace_id",
        "elapsed_ms",
        "modified",
        "etag",
        "created_at",
        "updated_at",
        "built_at",
        "recorded_at",
        "snapshot_id",
        "fill_id",
        "session_id",
        "latency_ms",
        "at",
        "time",
        "prev",
        "hmac",
    }
)


class Ending(msgspec.Struct, frozen=True):
    """How a case ended: at which step, with an answer or with an error."""

    step: int
    answer: Any = None
    error: LakehouseError | None = None

    @property
    def lasting(self) -> Any:
        """What must be the same on every face."""
        if self.error is not None:
            return self.step, type(self.error).__name__, self.error.code, self.error.message, lasting(self.error.detail)
        return self.step, lasting(msgspec.to_builtins(self.answer, builtin_types=(bytes,)))


def lasting(value: Any) -> Any:
    """Return plain values without what is volatile; of a dataset's files only how many there are."""
    if isinstance(value, dict):
        kept = {name: lasting(inner) for name, inner in value.items() if name not in VOLATILE}
        return {**kept, "objects": len(kept["objects"])} if "fingerprint" in kept and "objects" in kept else kept
    if isinstance(value, list | tuple):
        return [lasting(inner) for inner in value]
    return value


@pytest.fixture(scope="module")
def play(face):
    """Give the ending of a case on a face.

    All cases are played on a face at once and in the order of the table, so that what one leaves behind and
    another sees is the same everywhere, whichever test comes first.
    """
    played: dict[str, dict[str, Ending]] = {}

    def get(name: str, case: Case) -> Ending:
        if name not in played:
            played[name] = {each.name: _play(face(name), each) for each in CASES}
        return played[name][case.name]

    return get


def _play(lake: lakehouse.Lakehouse, case: Case) -> Ending:
    seen: list[Any] = []
    for position, (name, arguments) in enumerate(case.steps):
        values = arguments(seen) if callable(arguments) else arguments
        # A stream can be read once, so each face gets its own.
        values = {key: value(b"stream") if value is io.BytesIO else value for key, value in values.items()}
        try:
            answer = lake.call(BY_NAME[name], values)
            seen.append(list(answer) if BY_NAME[name].streams else answer)
        except LakehouseError as error:
            return Ending(position, error=error)
    return Ending(len(case.steps) - 1, answer=seen[-1])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("name", FACES)
def test_contract_case_ends_as_told(play, name, case):
    ending = play(name, case)
    assert ending.step == len(case.steps) - 1, ending
    if case.raises:
        assert isinstance(ending.error, case.raises), ending
        assert case.says in ending.error.message
    else:
        assert ending.error is None, ending.error
        assert case.holds(ending.answer), ending.answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("name", [name for name in FACES if name != "process"])
def test_contract_case_ends_as_in_process(play, name, case):
    if case.varies:
        return
    assert play(name, case).lasting == play("process", case).lasting


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda operation: operation.name)
def test_contract_covers_the_operation(operation):
    endings = [case for case in CASES if case.covers == operation.name]
    assert any(case.holds for case in endings), "no case shows it answering"


def test_contract_case_names_are_unique():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", FACES)
def test_contract_methods_take_arguments_by_position_too(face, name):
    lake = face(name)
    assert lake.demand.parse("Need 3 Welders in Detroit MI").count == 3
    assert lake.matrix.search("welder", ["workers"], 1).results
    with pytest.raises(LakehouseError, match="did you mean"):
        lake.matrix.search(querytext="welder", corpora=["workers"])
