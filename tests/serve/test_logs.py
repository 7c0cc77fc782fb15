import io
import json
import logging

import pytest

from lakehouse import tracing
from lakehouse.errors import InvalidInput, LakehouseError
from lakehouse.serve import logs
from lakehouse.settings import Logging


@pytest.fixture
def restored():
    """Put the loggers back as they were."""
    loggers = [logging.getLogger(name) for name in ("lakehouse", "uvicorn")]
    before = [(logger, logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def test_logs_line_is_one_json_object_with_facts_and_trace(restored):
    stream = io.StringIO()
    logs.configure(Logging(level="info"), stream)
    with tracing.trace("t1"):
        logging.getLogger("lakehouse.x").info("said %s", "a\nb", extra={"facts": {"n": 1}})
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {"level": "info", "logger": "lakehouse.x", "message": "said a\nb", "trace_id": "t1", "n": 1}


def test_logs_traceback_stays_on_the_line(restored):
    stream = io.StringIO()
    logs.configure(Logging(level="warning"), stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("lakehouse.x").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["traceback"]


def test_logs_level_hides_what_is_below(restored):
    stream = io.StringIO()
    logs.configure(Logging(level="error"), stream)
    logging.getLogger("lakehouse.access").info("request")
    assert stream.getvalue() == ""


def test_logs_unknown_level_is_refused():
    with pytest.raises(InvalidInput, match="debug, info, warning, error"):
        logs.configure(Logging(level="loud"))


def test_logs_file_is_put_aside_when_full(restored, tmp_path):
    file = tmp_path / "stack.log"
    logs.configure(Logging(file=str(file), max_bytes=400, keep_files=1))
    for number in range(20):
        logging.getLogger("lakehouse.x").info("line %d", number)
    kept = [
        json.loads(line)["message"] for log in (tmp_path / "stack.log.1", file) for line in log.read_text().splitlines()
    ]
    assert kept == [f"line {number}" for number in range(20 - len(kept), 20)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stack.log", "stack.log.1"]
    logging.getLogger("lakehouse").handlers[0].close()


def test_logs_file_that_cannot_be_written_is_named(restored, tmp_path):
    with pytest.raises(LakehouseError, match="nowhere"):
        logs.configure(Logging(file=str(tmp_path / "nowhere" / "stack.log")))
