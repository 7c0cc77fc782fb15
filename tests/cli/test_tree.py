from __future__ import annotations

import argparse

import pytest

from lakehouse.cli.tree import Commands, Tree
from lakehouse.errors import InvalidInput


@pytest.fixture
def tree() -> Tree:
    made = Tree(prog="kitchen", description="Cooks.")
    made.set_defaults(lake=None, config=None, debug=False)
    commands = Commands(made)
    boil = commands.command("boil", lambda arguments: arguments.minutes, "make it hot", more="With water.")
    boil.add_argument("what", nargs="+", metavar="WHAT", help="an egg")
    boil.add_argument("-m", "--minutes", type=int, required=True, metavar="N", help="how long")
    boil.add_argument("--lid", choices=("on", "off"), metavar="LID", help="on or off")
    store = commands.group("store", "keep it")
    store.command("freeze", lambda _arguments: 0, "keep it cold")
    return made


def test_usage_with_required_option_names_words_then_option(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tree.parse_args(["boil", "--help"])
    assert capsys.readouterr().out.splitlines()[0] == "usage: kitchen boil WHAT... --minutes N [options]"


def test_help_of_option_with_two_spellings_shows_its_value_once(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tree.parse_args(["boil", "--help"])
    out = capsys.readouterr().out
    assert "  -m, --minutes N  how long" in out
    assert "Make it hot.\n\nWith water.\n" in out


def test_unknown_option_before_the_command_is_not_taken_for_one(tree: Tree) -> None:
    with pytest.raises(InvalidInput, match="unknown option '--pot' before the command"):
        tree.parse_args(["--lake", "a", "--pot", "big", "boil", "egg", "-m", "3"])
    with pytest.raises(InvalidInput, match=r"unknown option '--pot' before the command; .*`kitchen store --help`"):
        tree.parse_args(["store", "--pot", "big", "freeze"])


def test_unknown_choice_of_an_argument_is_called_by_its_name(tree: Tree) -> None:
    tree.add_argument("stage", choices=("raw", "done"))
    with pytest.raises(InvalidInput, match="unknown STAGE 'dun'; there are: raw, done"):
        tree._check_value(tree._actions[-1], "dun")


def test_unknown_option_of_a_command_points_to_its_own_help(tree: Tree) -> None:
    with pytest.raises(InvalidInput, match="unrecognized arguments: --pot; see `kitchen store freeze --help`"):
        tree.parse_args(["store", "freeze", "--pot"])


def test_help_of_group_lists_its_commands_in_order(tree: Tree) -> None:
    assert "commands:\n  boil        make it hot\n  store       keep it\n" in tree.format_help()


@pytest.mark.parametrize(
    "words",
    [["--lake", "a", "boil", "egg", "-m", "3"], ["boil", "egg", "-m", "3", "--lake", "a"]],
    ids=["before", "after"],
)
def test_lake_option_is_taken_before_and_after_the_command(tree: Tree, words: list[str]) -> None:
    assert tree.parse_args(words).lake == "a"


def test_lake_option_after_the_command_wins(tree: Tree) -> None:
    assert tree.parse_args(["--lake", "a", "boil", "egg", "-m", "3", "--lake", "b"]).lake == "b"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bill"], "unknown command 'bill'; did you mean 'boil'?"),
        (["sing"], "unknown command 'sing'; there are: boil, store"),
        (["store", "frieze"], "unknown command 'frieze'; did you mean 'freeze'?"),
        (["boil", "egg"], "the following arguments are required: -m/--minutes; see `kitchen boil --help`"),
        (["boil", "egg", "-m", "x"], "-m/--minutes: invalid int value: 'x'; see `kitchen boil --help`"),
        (["boil", "egg", "-m", "3", "--lid", "of"], "unknown --lid 'of'; did you mean 'off'?"),
        (["boil", "egg", "-m", "3", "--min", "4"], "unrecognized arguments: --min 4; see `kitchen boil --help`"),
    ],
)
def test_parse_of_wrong_words_names_them_and_the_fix(tree: Tree, words: list[str], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        tree.parse_args(words)
    assert caught.value.message == message


def test_group_without_a_command_prints_its_help_and_fails(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = tree.parse_args(["store"])
    assert arguments.run(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "freeze      keep it cold" in shown.err


def test_command_runs_what_it_was_given(tree: Tree) -> None:
    arguments: argparse.Namespace = tree.parse_args(["boil", "egg", "potato", "-m", "7"])
    assert arguments.run(arguments) == 7
    assert arguments.what == ["egg", "potato"]
