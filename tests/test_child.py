from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from lakehouse.child import Children
from lakehouse.errors import InternalError, NotFound, Unavailable

WORK = """
import os, sys, time
from lakehouse import child
from lakehouse.errors import NotFound

def main(request, progress):
    print("a library that prints")
    kind = request["kind"]
    if kind == "answer":
        progress(1, 2)
        progress(2, 2)
        return {"nice": os.nice(0), "got": request}
    if kind == "refuse":
        raise NotFound("no such thing 'x'", id="x")
    if kind == "disk":
        raise OSError(28, "No space left on device", "/some/file")
    if kind == "crash":
        raise RuntimeError("what it said last")
    if kind == "die":
        os._exit(7)
    progress(0, 1)
    time.sleep(600)

if __name__ == "__main__":
    child.serve(main)
"""


@pytest.fixture
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Children:
    (tmp_path / "work_of_a_test.py").write_text(WORK)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Children()


def test_run_gives_the_answer_and_the_steps(children: Children) -> None:
    steps: list[tuple[int, int]] = []
    request = {"kind": "answer", "text": "é ⭐", "none": None}
    answer = children.run("work_of_a_test", request, progress=lambda *step: steps.append(step))
    assert answer["got"] == request
    assert answer["nice"] >= 10
    assert steps == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("kind", "error", "named"),
    [
        ("refuse", NotFound, "no such thing 'x'"),
        ("disk", Unavailable, "No space left on device.*/some/file"),
        ("crash", InternalError, r"(?s)work_of_a_test ended with status 1 .*RuntimeError: what it said last"),
        ("die", InternalError, "status 7 and no answer: a library that prints"),
    ],
)
def test_run_failure_of_the_child_is_raised_here(
    children: Children, kind: str, error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        children.run("work_of_a_test", {"kind": kind})


def test_run_unknown_module_says_so(children: Children) -> None:
    with pytest.raises(InternalError, match="No module named no_such_module_at_all"):
        children.run("no_such_module_at_all", {})


def test_run_error_keeps_its_details(children: Children) -> None:
    with pytest.raises(NotFound) as caught:
        children.run("work_of_a_test", {"kind": "refuse"})
    assert caught.value.detail == {"id": "x"}


def test_close_ends_what_runs_and_refuses_more(children: Children) -> None:
    started = threading.Event()
    failures: list[Exception] = []

    def work() -> None:
        try:
            children.run("work_of_a_test", {"kind": "wait"}, progress=lambda *_: started.set())
        except Unavailable as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert started.wait(30)
    begin = time.monotonic()
    children.close()
    thread.join(10)
    assert time.monotonic() - begin < 10
    assert len(failures) == 1
    with pytest.raises(Unavailable, match="shutting down"):
        children.run("work_of_a_test", {"kind": "answer"})
