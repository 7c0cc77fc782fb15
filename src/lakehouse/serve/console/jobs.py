"""Long work of the console: runs in a thread, tells how far it is, and is looked at from any page."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent import futures

import msgspec

from lakehouse import progress
from lakehouse.errors import LakehouseError, NotFound, Unavailable
from lakehouse.serve.console.site import defect

_KEPT = 50
_WAITING = 8
_LOOK_EVERY_S = 0.2

_log = logging.getLogger("lakehouse.console")


class Step(msgspec.Struct, frozen=True):
    """How far a job is: `done` of `total` units of `stage`; a total of 0 means that nobody knows."""

    stage: str
    done: int
    total: int


class Job(msgspec.Struct, kw_only=True):
    """One piece of work.

    Attributes:
        what: In words.
        step: How far it is.
        result: What it came to, when it went well.
        error: What went wrong.
        ended: Whether it is over.
    """

    id: str
    what: str
    step: Step = Step("waiting", 0, 0)
    result: str = ""
    error: LakehouseError | None = None
    ended: bool = False


class Jobs:
    """Runs jobs one after the other, and remembers the latest fifty."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._threads: futures.ThreadPoolExecutor | None = None

    def start(self, what: str, work: Callable[[], str], *, finally_: Callable[[], object] = lambda: None) -> Job:
        """Begin a job; `work` returns what it came to, `finally_` is called however it ends.

        Raises:
            Unavailable: Too many jobs wait already.
        """
        job = Job(id=secrets.token_urlsafe(9), what=what)
        with self._lock:
            if sum(not other.ended for other in self._jobs.values()) >= _WAITING:
                raise Unavailable("Too much is under way already; start this again when some of it is done.")
            if self._threads is None:
                self._threads = futures.ThreadPoolExecutor(1, thread_name_prefix="console-job")
            self._jobs[job.id] = job
            for old in [id for id, other in self._jobs.items() if other.ended][: max(0, len(self._jobs) - _KEPT)]:
                del self._jobs[old]
            # Whoever starts it is who does it: roles and audit go by the context.
            self._threads.submit(contextvars.copy_context().run, _run, job, work, finally_)
        return job

    def get(self, id: str) -> Job:
        """Return a job.

        Raises:
            NotFound: There is none of that id, or it is long over.
        """
        with self._lock:
            job = self._jobs.get(id)
        if job is None:
            raise NotFound("This work is not known here any more; the lists below show how things are.", id=id)
        return job

    def latest(self) -> list[Job]:
        """Return all jobs that are remembered, newest first."""
        with self._lock:
            return [*reversed(self._jobs.values())]


async def events(job: Job) -> AsyncIterator[bytes]:
    """Tell the steps of a job as server-sent events, `done` last."""
    seen: Step | None = None
    while not job.ended:
        step = job.step
        if step != seen:
            seen = step
            yield b"event: step\ndata: " + msgspec.json.encode(step) + b"\n\n"
        await asyncio.sleep(_LOOK_EVERY_S)
    yield b"event: done\ndata: {}\n\n"


def _run(job: Job, work: Callable[[], str], finally_: Callable[[], object]) -> None:
    def heard(stage: str, done: int, total: int) -> None:
        job.step = Step(stage, done, total)

    try:
        with progress.listening(heard):
            job.result = work()
    except LakehouseError as error:
        job.error = error
    except Exception:  # noqa: BLE001 - the page must say so too; the log has the traceback
        _log.exception("a job of the console failed")
        job.error = defect()
    finally:
        finally_()
        job.ended = True
