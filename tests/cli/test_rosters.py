from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path

import pytest


def test_generate_writes_the_same_bytes_to_a_file_and_to_a_pipe(run, start, tmp_path) -> None:
    assert run("roster", "generate", "--workers", "20", "--seed", "7", "--output", "w.csv") == (0, "", "")
    piped = start("roster", "generate", "--workers", "20", "--seed", "7", text=False, stdout=subprocess.PIPE)
    data = piped.communicate(timeout=60)[0]
    assert data == (tmp_path / "w.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert len(rows) == 20
    assert rows[0]["role_code"]


def test_generate_takes_the_format_from_the_name_and_ingests(run) -> None:
    assert run("roster", "generate", "--workers", "20", "--seed", "7", "--output", "w.parquet")[0] == 0
    assert run("ingest", "w.parquet", "--name", "workers")[1].startswith("workers: 20 rows, snapshot ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "0", "--seed", "1"), "workers must be a whole number from 1"),
        (("--workers", "5", "--seed", "-1"), "seed must be a whole number from 0"),
        (("--workers", "5", "--seed", "1", "--output", "no/such/w.csv"), "does not exist; make it first"),
        (("--workers", "5", "--seed", "1", "--reference", "May"), "--reference"),
    ],
)
def test_generate_of_the_impossible_says_why(run, words, said) -> None:
    code, out, err = run("roster", "generate", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_eval_parsing_prints_a_line_per_style(run) -> None:
    code, out, err = run("eval", "parsing", "--lines", "40")
    assert (code, err) == (0, "")
    for style in ("need", "client_first", "looking", "shorthand"):
        assert f"\n{style}" in out
    assert run("eval", "parsing", "--lines", "0")[0] == 2
    for words in (("chaos",), ("load", "--seconds", "1"), ("soak", "--minutes", "0.1")):
        code, _, err = run("eval", *words, "--data", "nowhere")
        assert (code, err) == (
            3,
            "error: there is no lake at nowhere; make one with `lakehouse demo --data nowhere`\n",
        )
    assert not Path("nowhere").exists()
    assert run("eval", "roles", "nowhere") == (3, "", "error: there is no folder nowhere\n")
