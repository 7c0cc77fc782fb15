"""Which lake a command works on."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from lakehouse.app import Lakehouse
    from lakehouse.settings import Settings

URL_VARIABLE = "LAKEHOUSE_URL"
_URL = ("http://", "https://")
_STACK = "stack:"


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Read the settings that the command line, the environment and the settings file give."""
    from lakehouse import settings

    return settings.load(arguments.config)


def where(arguments: argparse.Namespace) -> str | None:
    """Return the folder or URL named by `--lake` or `$LAKEHOUSE_URL`; None means the setting `data`.

    `stack:NAME` is the URL of the stack of that name.

    Raises:
        NotFound: No stack has that name.
    """
    named = arguments.lake or os.environ.get(URL_VARIABLE) or None
    if named and named.startswith(_STACK):
        from lakehouse.serve.stacks import Stacks

        return Stacks(settings_of(arguments).stacks.folder).status(named.removeprefix(_STACK)).url
    return named


def is_remote(arguments: argparse.Namespace) -> bool:
    """Tell whether the command goes to a running stack."""
    return (where(arguments) or "").startswith(_URL)


def folder_of(arguments: argparse.Namespace, data: str | None = None) -> str:
    """Return the folder of a command that works on files, not on a running stack; `stack:NAME` is that of its data.

    Raises:
        InvalidInput: A URL was named.
        NotFound: No stack has that name.
    """
    named = data or arguments.lake or settings_of(arguments).data
    if named.startswith(_STACK):
        from lakehouse.serve.stacks import Stacks

        return Stacks(settings_of(arguments).stacks.folder).get(named.removeprefix(_STACK)).data
    if named.startswith(_URL):
        raise InvalidInput(
            f"{named} is a running stack; this command needs the folder of a lake, --lake FOLDER or stack:NAME",
            field="lake",
        )
    return named


def open_folder(arguments: argparse.Namespace) -> Lakehouse:
    """Open the lake of a command that no running stack offers; otherwise as `open_lake`.

    Raises:
        InvalidInput: `--lake` or `$LAKEHOUSE_URL` names a running stack.
    """
    if is_remote(arguments):
        raise InvalidInput(
            f"{where(arguments)} is a running stack, and this command needs the lake's folder; stop the stack and name"
            " the folder with --lake",
            field="lake",
        )
    return open_lake(arguments)


def open_lake(arguments: argparse.Namespace, *, make: bool = False) -> Lakehouse:
    """Open the lake of a command; close it, or use it as a context manager.

    Args:
        arguments: With `lake` and `config`.
        make: Whether a folder that does not exist is made.

    Raises:
        NotFound: The folder does not exist.
        LakehouseError: As `lakehouse.connect`.
    """
    from lakehouse.app import connect

    config = settings_of(arguments)
    named = where(arguments)
    if is_remote(arguments):
        return connect(named, token=os.environ.get(config.server.token_env) or None, config=config)
    folder = Path(named or config.data)
    if not make and not folder.exists():
        raise NotFound(
            f"there is no lake at {folder}; start one with `lakehouse ingest FILE`, look at `lakehouse demo`, or name"
            " another with --lake",
            path=str(folder),
        )
    return connect(folder, config=config)
