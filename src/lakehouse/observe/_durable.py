"""Runs that outlive the process, by DBOS. The only module that knows its package.

DBOS is one per process, with one database; a process may have several lakes open. So the engine belongs to one lake at
a time: it is started by the first run, and handed over when another lake needs it and nothing runs. Every importing of
this module costs a second, so it is imported by the first run only.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID

from lakehouse.errors import Conflict, InternalError
from lakehouse.observe.runs import Retry

# Runs of one version are taken up by the same one only; it changes when the way a run is worked off does.
_VERSION = "1"
_NAME = "lakehouse"
_UNDER_WAY = frozenset({"PENDING", "ENQUEUED", "DELAYED"})

# The engine's packages log what is our business to say.
logging.getLogger("dbos").setLevel(logging.ERROR)


class _Plain(Serializer):
    """JSON instead of pickles: what lies in a database must not be able to run."""

    def serialize(self, data: Any) -> str:
        if isinstance(data, BaseException):
            data = {"$error": f"{type(data).__name__}: {data}"}
        return json.dumps(data)

    def deserialize(self, serialized_data: str) -> Any:
        data = json.loads(serialized_data)
        return InternalError(data["$error"]) if isinstance(data, dict) and "$error" in data else data

    def name(self) -> str:
        return "lakehouse_json"


class _Process:
    """What there is one of in a process: the engine, and the lake it works for."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.owner: Durable | None = None

    def execute(self, run_id: str) -> None:
        """Work off a run, for the engine, which knows functions and not objects."""
        owner = self.owner
        if owner is None:
            raise InternalError("a run began while no lake was open")
        owner.execute(run_id)


_process = _Process()


@DBOS.workflow(name="lakehouse.run", max_recovery_attempts=1_000)
def _run(run_id: str) -> None:
    _process.execute(run_id)


class Durable:
    """The engine as one lake uses it.

    Args:
        path: Its database.
        execute: Works off the run of an id from whatever point it has reached, each node by `step`.
    """

    def __init__(self, path: Path, execute: Callable[[str], None]) -> None:
        self._path = path
        self.execute = execute

    def start(self, run_id: str) -> None:
        """Begin a run in a thread of the engine; one that has begun goes on.

        Raises:
            Conflict: Another lake of this process has runs under way.
        """
        self._own()
        with SetWorkflowID(run_id):
            DBOS.start_workflow(_run, run_id)

    def knows(self, run_id: str) -> bool:
        """Tell whether the engine has seen this run; it takes up those it has by itself."""
        self._own()
        return DBOS.get_workflow_status(run_id) is not None

    def cancel(self, run_id: str) -> None:
        """Let no further node of a run begin."""
        self._own()
        DBOS.cancel_workflow(run_id)

    def close(self) -> None:
        """Give the engine up; runs under way are taken up at the next start. Idempotent."""
        with _process.lock:
            if _process.owner is self:
                _process.owner = None
                DBOS.destroy()

    def _own(self) -> None:
        with _process.lock:
            if _process.owner is self:
                return
            if _process.owner is not None:
                if any(True for _ in _under_way()):
                    raise Conflict("another lake of this process has workflow runs under way; wait for them")
                _process.owner.close()
            config: DBOSConfig = {
                "name": _NAME,
                "system_database_url": f"sqlite:///{self._path.absolute()}",
                "application_version": _VERSION,
                "executor_id": "local",
                "log_level": "ERROR",
                "serializer": _Plain(),
            }
            DBOS(config=config)
            _process.owner = self
            try:
                DBOS.launch()
            except BaseException:
                self.close()
                raise


def step(name: str, work: Callable[[], None], retry: Retry, retryable: Callable[[BaseException], bool]) -> None:
    """Do one node's work inside a run, at most once if it succeeds.

    Raises:
        Exception: Of the last attempt, or the engine's own when there were several.
    """
    DBOS.run_step(
        {
            "name": name,
            "retries_allowed": retry.attempts > 1,
            "max_attempts": retry.attempts,
            "interval_seconds": retry.wait_ms / 1000,
            "backoff_rate": retry.backoff,
            "should_retry": retryable,
        },
        work,
    )


def _under_way() -> Iterator[str]:
    for status in DBOS.list_workflows(status=list(_UNDER_WAY)):
        yield status.workflow_id
