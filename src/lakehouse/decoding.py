"""Make it safe that several threads decode a shape for the first time at once.

msgspec works out how a Struct class is decoded when that is first asked for, and gives what is not finished yet to any
other thread that asks meanwhile; decoding with it ends the process (seen with 0.22). So it is asked for before there
are other threads: for every class that is loaded when rooms or a client are opened, and with `ready` where a class is
defined, if its module is loaded later.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeVar

import msgspec

_Shape = TypeVar("_Shape")
# Two shapes may refer to a third one.
_one_at_a_time = threading.Lock()


def ready(shape: _Shape) -> _Shape:
    """Work out how a type, and whatever it refers to, is decoded; returns the type, to be a decorator.

    Raises:
        NameError: An annotation cannot be resolved, because it is imported for type checkers only.
        TypeError: msgspec does not know such a type.
    """
    with _one_at_a_time:
        msgspec.json.Decoder(shape)
    return shape


def ready_loaded() -> None:
    """Do so for every Struct class of this package in a loaded module; those that cannot be decoded are left."""
    for shape in loaded():
        # What is never decoded may name what only type checkers import, or what msgspec does not know.
        with suppress(NameError, TypeError):
            ready(shape)


def loaded() -> Iterator[type[msgspec.Struct]]:
    """Yield the Struct classes at the top of the modules of this package that are loaded."""
    package = __name__.partition(".")[0]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != package:
            continue
        for value in list(vars(module).values()):
            if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == name:
                yield value
