"""Help texts as they are printed, in `help.txt` beside this file.

After a wanted change: `LAKEHOUSE_WRITE_HELP=1 pytest tests/cli/test_help.py`, and read the difference.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.cli.command import build
from lakehouse.cli.tree import Tree

SNAPSHOT = Path(__file__).with_name("help.txt")
WRITE = bool(os.environ.get("LAKEHOUSE_WRITE_HELP"))
PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def _trees(tree: Tree) -> Iterator[Tree]:
    """Yield a command and all below it, in order."""
    yield tree
    for action in tree._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _trees(below)


def _commands() -> list[Tree]:
    """Every command that does something by itself."""
    return [
        tree
        for tree in _trees(build())
        if not any(isinstance(action, argparse._SubParsersAction) for action in tree._actions)
    ]


def test_help_of_every_command_is_as_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    text = "\n".join(f"$ {tree.prog} --help\n{tree.format_help()}" for tree in _trees(build()))
    if WRITE:
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


def test_help_fits_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert [line for tree in _trees(build()) for line in tree.format_help().splitlines() if len(line) > 100] == []


def test_every_option_says_what_it_is_for() -> None:
    silent = [
        (tree.prog, action.dest)
        for tree in _commands()
        for action in tree._actions
        if not action.help or action.help == argparse.SUPPRESS
    ]
    assert silent == []


@pytest.mark.parametrize("command", [tree.prog for tree in _commands()])
def test_command_line_page_has_every_command(command: str) -> None:
    assert f"| `{command}` |" in PAGE.read_text(encoding="utf-8")


def test_command_line_page_has_no_command_that_does_not_exist() -> None:
    named = set(re.findall(r"^\| `(lakehouse [^`]*)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert named == {tree.prog for tree in _commands()}


def test_every_command_with_an_answer_has_json() -> None:
    without = [tree.prog for tree in _commands() if "--json" not in tree._option_string_actions]
    assert set(without) == {
        # They tell a story, serve, or print one table after the other as it is measured.
        "lakehouse demo",
        "lakehouse serve",
        "lakehouse eval parsing",
        "lakehouse eval roles",
        "lakehouse eval search",
        # Their answers are lines of JSON, files, and a report with report.json.
        "lakehouse logs",
        "lakehouse playbook export",
        "lakehouse roster generate",
        "lakehouse eval lift",
    }
