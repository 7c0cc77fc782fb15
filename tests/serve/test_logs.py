import contextlib
import io
import json
import logging

import pytest

from lakehouse import tracing
from lakehouse.errors import InvalidInput, LakehouseError
from lakehouse.serve import logs
from lakehouse.settings import Logging


def test_logs_line_is_one_json_object_with_facts_and_trace():
    stream = io.StringIO()
    with logs.configured(Logging(level="info"), stream), tracing.trace("t1"):
        logging.getLogger("lakehouse.x").info("said %s", "a\nb", extra={"facts": {"n": 1}})
    (line,) = stream.getvalue().splitlines()
    told = json.loads(line)
    assert told.pop("time").endswith("+00:00")
    assert told == {"level": "info", "logger": "lakehouse.x", "message": "said a\nb", "trace_id": "t1", "n": 1}


def test_logs_traceback_stays_on_the_line():
    stream = io.StringIO()
    with logs.configured(Logging(level="warning"), stream):
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("lakehouse.x").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: broken" in json.loads(line)["traceback"]


def test_logs_level_hides_what_is_below():
    stream = io.StringIO()
    with logs.configured(Logging(level="error"), stream):
        logging.getLogger("lakehouse.access").info("request")
    assert stream.getvalue() == ""


def test_logs_unknown_level_is_refused():
    with pytest.raises(InvalidInput, match="debug, info, warning, error"), logs.configured(Logging(level="loud")):
        pass


def test_logs_are_what_they_were_when_the_block_ends():
    logger = logging.getLogger("lakehouse")
    before = (logger.handlers, logger.level, logger.propagate)
    stream = io.StringIO()
    with contextlib.suppress(ValueError), logs.configured(Logging(level="debug"), stream):
        assert not logger.propagate
        raise ValueError("broken")
    assert (logger.handlers, logger.level, logger.propagate) == before
    logging.getLogger("lakehouse.x").error("after")
    assert stream.getvalue() == ""


def test_logs_file_is_put_aside_when_full(tmp_path):
    file = tmp_path / "stack.log"
    with logs.configured(Logging(file=str(file), max_bytes=400, keep_files=1)):
        for number in range(20):
            logging.getLogger("lakehouse.x").info("line %d", number)
    kept = [
        json.loads(line)["message"] for log in (tmp_path / "stack.log.1", file) for line in log.read_text().splitlines()
    ]
    assert kept == [f"line {number}" for number in range(20 - len(kept), 20)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stack.log", "stack.log.1"]


def test_logs_file_that_cannot_be_written_is_named(tmp_path):
    config = Logging(file=str(tmp_path / "nowhere" / "stack.log"))
    with pytest.raises(LakehouseError, match="nowhere"), logs.configured(config):
        pass


def test_logs_record_that_says_there_are_more_goes_out_with_the_next():
    stream = io.StringIO()
    with logs.configured(Logging(level="info"), stream):
        logger = logging.getLogger("lakehouse.x")
        logger.info("first", extra={"more": True})
        assert stream.getvalue() == ""
        logger.info("second")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["first", "second"]
