from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import httpx
import pytest

from lakehouse import __version__, errors
from lakehouse.cli.command import exit_code
from serving import stack_of

HEAVY = (
    "numpy pyarrow duckdb pyiceberg onnx onnxruntime tokenizers sqlalchemy qdrant_edge rich httpx obstore starlette"
    " uvicorn jinja2 lakehouse.app lakehouse.operations"
).split()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("x"), 2),
        (errors.MethodNotAllowed("x"), 2),
        (errors.TooLarge("x"), 2),
        (errors.NotFound("x"), 3),
        (errors.AlreadyExists("x"), 4),
        (errors.Conflict("x"), 4),
        (errors.PermissionDenied("x"), 5),
        (errors.Unauthenticated("x"), 5),
        (errors.Unavailable("x"), 1),
        (errors.IntegrityError("x"), 1),
        (FileNotFoundError(errno.ENOENT, "x"), 3),
        (PermissionError(errno.EACCES, "x"), 5),
        (OSError(errno.EROFS, "x"), 5),
        (OSError(errno.ENOSPC, "x"), 1),
        (KeyError("x"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_exit_code_of_each_error_is_the_documented_one(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_version_is_said_by_option_and_command(run) -> None:
    assert run("--version") == (0, f"lakehouse {__version__}\n", "")
    assert run("version") == (0, f"lakehouse {__version__}\n", "")
    assert run("version", "--json") == (0, f'{{\n  "version": "{__version__}"\n}}\n', "")


def test_no_command_prints_the_help_and_fails(run) -> None:
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err.startswith("usage: lakehouse COMMAND ... [options]")


def test_wrong_option_is_one_line_with_the_fix(run) -> None:
    assert run("search", "x", "--lmit", "3") == (
        2,
        "",
        "error: unrecognized arguments: --lmit 3; see `lakehouse search --help`\n",
    )


def test_option_data_in_the_wrong_place_says_how_the_lake_is_named(run) -> None:
    for words in (("--data", "demo", "search", "x"), ("--data=demo", "search", "x"), ("search", "--data", "demo", "x")):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert "--data" in err
        assert "every command takes the lake as --lake WHERE" in err
        assert "unknown command" not in err


def test_error_of_a_stack_that_asks_for_a_key_names_the_variable(run, make_lake, people, monkeypatch) -> None:
    with make_lake(people) as lake:
        lake.keys.add("anna", ["operator"])
        with stack_of(lake) as stack:
            code, out, err = run("corpus", "list", "--lake", stack.url)
    assert (code, out) == (5, "")
    assert err.endswith("a command sends what $LAKEHOUSE_TOKEN holds\n")


def test_reading_command_without_a_lake_makes_none_and_says_what_to_do(run, tmp_path) -> None:
    code, out, err = run("datasets")
    assert (code, out) == (3, "")
    assert err.startswith("error: there is no lake at lake; start one with `lakehouse ingest FILE`")
    assert list(tmp_path.iterdir()) == []


def test_settings_file_that_is_missing_or_wrong_is_refused(run, tmp_path) -> None:
    assert run("datasets", "--config", "no.toml") == (2, "", "error: configuration file no.toml does not exist\n")
    (tmp_path / "bad.toml").write_text("[server]\nprot = 1\n", encoding="utf-8")
    code, _, err = run("datasets", "--config", "bad.toml")
    assert code == 2
    assert err.startswith("error: setting refused, from bad.toml:")
    assert "prot" in err


def test_debug_shows_where_an_error_came_from(run) -> None:
    plain, traced = run("datasets")[2], run("datasets", "--debug")[2]
    assert "Traceback" not in plain
    assert "Traceback" in traced
    assert traced.endswith(plain)


def test_stack_that_does_not_answer_is_an_error_of_one_line(run, free_port) -> None:
    code, out, err = run("datasets", "--lake", f"http://127.0.0.1:{free_port}")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert str(free_port) in err


def test_closed_pipe_is_silent(start) -> None:
    read, write = os.pipe()
    os.close(read)
    process = start("version", stdout=write)
    os.close(write)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 141


def test_interrupt_ends_at_once_and_silently(start, tmp_path) -> None:
    os.mkfifo(tmp_path / "waiting.sql")
    process = start("sql", "@waiting.sql")
    # Opening waits until the command has opened its end, so it is reading when the signal comes.
    with (tmp_path / "waiting.sql").open("wb"):
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 130


def test_load_that_is_ended_leaves_no_stack(start, folder, tmp_path) -> None:
    process = start("eval", "load", "--data", folder, "--seconds", 60, env={**os.environ, "TMPDIR": str(tmp_path)})
    until = time.monotonic() + 60
    while not (running := list(tmp_path.glob("lakehouse-load-*/load/running.json"))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    url = json.loads(running[0].read_text())["url"]
    process.terminate()
    assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == 143
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")
    assert not list(tmp_path.glob("lakehouse-load-*"))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from lakehouse.cli import main; main(['--help']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == "[]\n"
