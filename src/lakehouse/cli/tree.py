"""Commands in a tree, with help that reads the same on every Python and errors of one line."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lakehouse.errors import InvalidInput

Run = Callable[[argparse.Namespace], int | None]


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """One form for an option that takes a value, `-k, --top N`, where argparse has had several."""

    def __init__(self, prog: str, **options: Any) -> None:
        options["max_help_position"] = 26
        super().__init__(prog, **options)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        text = ", ".join(action.option_strings)
        return text if action.nargs == 0 else f"{text} {self._format_args(action, (action.dest or '').upper())}"


class Tree(argparse.ArgumentParser):
    """A command, or a group of commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, **options)
        self._positionals.title = "arguments"
        shared = self.add_argument_group("of every command")
        # Without a default here, what stands before the command is not undone by what stands after it.
        shared.add_argument(
            "--lake",
            metavar="WHERE",
            default=argparse.SUPPRESS,
            help="folder of the lake, URL of a running stack, or stack:NAME",
        )
        shared.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="settings file")
        shared.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show where an error came from"
        )

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse a command line; a word that is left over is refused in the name of the command that was meant.

        Raises:
            InvalidInput: The command line is wrong as written.
        """
        found, left = self.parse_known_args(args, namespace)
        if left:
            prog = getattr(found, "prog", self.prog)
            raise InvalidInput(f"unrecognized arguments: {' '.join(left)}{_of_lake(left)}; see `{prog} --help`")
        return found

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse what is known, but refuse an unknown option before a command: its value would be taken for one.

        Raises:
            InvalidInput: The command line is wrong as written.
        """
        words = sys.argv[1:] if args is None else [*args]
        if any(isinstance(action, argparse._SubParsersAction) for action in self._actions):
            self._check_before_command(words)
        return super().parse_known_args(words, namespace)

    def _check_before_command(self, words: Sequence[str]) -> None:
        at = 0
        while at < len(words) and words[at].startswith("-") and words[at] != "--":
            name, stuck, _ = words[at].partition("=")
            action = self._option_string_actions.get(name)
            if action is None:
                raise InvalidInput(
                    f"unknown option {name!r} before the command; a command's own options stand after it"
                    f"{_of_lake([name])}; see `{self.prog} --help`"
                )
            at += 1 if stuck or action.nargs == 0 else 2

    def format_usage(self) -> str:
        """Return one line: the words in order, then what must be given."""
        return f"usage: {self._usage()}\n"

    def format_help(self) -> str:
        """Return the help text of this command."""
        self.usage = self._usage().replace("%", "%%")
        return super().format_help()

    def _usage(self) -> str:
        words = [self.prog]
        optional = False
        for action in self._actions:
            if action.option_strings and not action.required:
                optional = True
            elif action.option_strings:
                words.append(f"{action.option_strings[-1]} {action.metavar or action.dest.upper()}")
            elif isinstance(action, argparse._SubParsersAction):
                words.append("COMMAND ...")
            else:
                words.append(_positional(action))
        return " ".join([*words, "[options]"] if optional else words)

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            InvalidInput: Always.
        """
        raise InvalidInput(f"{message.removeprefix('argument ')}; see `{self.prog} --help`")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        near = difflib.get_close_matches(str(value), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
        what = (
            "command"
            if isinstance(action, argparse._SubParsersAction)
            else action.option_strings or action.metavar or action.dest.upper()
        )
        raise InvalidInput(f"unknown {_name(what)} {value!r}; {hint}")


class Commands:
    """Where commands are added.

    Args:
        tree: The command whose sub-commands these are.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._added = tree.add_subparsers(title=argparse.SUPPRESS, metavar="COMMAND", help=argparse.SUPPRESS)
        self._description = tree.description or ""
        self._lines: list[str] = []
        tree.set_defaults(run=self._without_command)

    def section(self, title: str) -> None:
        """Put what is added from here on under a title in the help."""
        self._lines += ["", f"{title}:"]

    def command(self, name: str, run: Run, summary: str, *, more: str = "") -> Tree:
        """Add a command.

        Args:
            name: The word.
            run: Called with the parsed arguments; returns the exit code, None for 0.
            summary: One line of help.
            more: Further lines of the command's own help.
        """
        tree = self._add(name, summary, more)
        tree.set_defaults(run=run, prog=tree.prog)
        return tree

    def group(self, name: str, summary: str) -> Commands:
        """Add a command that only holds others."""
        return Commands(self._add(name, summary, ""))

    def _add(self, name: str, summary: str, more: str) -> Tree:
        if not self._lines:
            self.section("commands")
        self._lines.append(f"  {name:<12}{summary}")
        self._tree.description = "\n".join([self._description, *self._lines])
        description = f"{summary[0].upper()}{summary[1:]}.\n\n{more}".rstrip()
        added: Tree = self._added.add_parser(name, prog=f"{self._tree.prog} {name}", description=description)
        return added

    def _without_command(self, _arguments: argparse.Namespace) -> int:
        self._tree.print_help(sys.stderr)
        return 2


def _of_lake(words: Sequence[str]) -> str:
    return "; every command takes the lake as --lake WHERE" if any(word.startswith("--data") for word in words) else ""


def _positional(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest.upper())
    if action.nargs == "?":
        return f"[{name}]"
    return f"{name}..." if action.nargs in {"+", "*"} else name


def _name(what: Any) -> str:
    return what if isinstance(what, str) else next(iter(what or ()), "value")
