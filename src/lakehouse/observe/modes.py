"""Modes: what a node of a workflow can do, each a function with typed inputs."""

from __future__ import annotations

import inspect
import logging
import time
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

import msgspec

from lakehouse.decoding import ready
from lakehouse.errors import InvalidInput
from lakehouse.observe import drift, scoring
from lakehouse.observe.drift import Drift, Verdict
from lakehouse.observe.scoring import Record, Scored

ENTRY_POINTS = "lakehouse.modes"

_log = logging.getLogger(__name__)


class Mode(msgspec.Struct, frozen=True):
    """Something a node can do.

    Attributes:
        name: `matrix.search`.
        inputs: Type of all inputs together; unknown ones are refused.
        run: Gets the inputs by name, checked and converted; returns what JSON can say.
        summary: What it does, one line.

    >>> def shout(text: str, times: int = 1) -> str:
    ...     "Say it louder."
    ...     return (text.upper() + "!") * times
    >>> mode = Mode.of("example.shout", shout)
    >>> mode.run(**mode.checked({"text": "now", "times": 2}))
    'NOW!NOW!'
    """

    name: str
    inputs: type[msgspec.Struct]
    run: Callable[..., Any]
    summary: str = ""

    @classmethod
    def of(cls, name: str, function: Callable[..., Any]) -> Mode:
        """Make a mode of a function: its annotations are the types, its docstring's first line the summary.

        Raises:
            InvalidInput: An argument has no annotation.
        """
        hints = typing.get_type_hints(function, include_extras=True)
        fields: list[Any] = []
        for parameter in inspect.signature(function).parameters.values():
            if parameter.name not in hints:
                raise InvalidInput(f"argument {parameter.name!r} of the mode {name!r} has no annotation", mode=name)
            kind = hints[parameter.name]
            plain = parameter.default is inspect.Parameter.empty
            fields.append((parameter.name, kind) if plain else (parameter.name, kind, parameter.default))
        inputs = msgspec.defstruct(
            name.replace(".", "_"), fields, kw_only=True, frozen=True, forbid_unknown_fields=True
        )
        return cls(name, ready(inputs), function, (inspect.getdoc(function) or "").partition("\n")[0])

    def checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs by name, converted, with defaults.

        Raises:
            msgspec.ValidationError: One is missing, unknown or of the wrong type.
        """
        request = msgspec.convert(dict(values), self.inputs)
        return {name: getattr(request, name) for name in self.inputs.__struct_fields__}


class Input(msgspec.Struct, frozen=True):
    """An input of a mode: its type in words, and whether it must be given."""

    name: str
    type: str
    required: bool


class ModeInfo(msgspec.Struct, frozen=True):
    """A mode as it is listed."""

    name: str
    summary: str
    inputs: list[Input]


class ModeList(msgspec.Struct, frozen=True):
    """All modes, by name."""

    modes: list[ModeInfo]


def info(mode: Mode) -> ModeInfo:
    """Describe a mode."""
    found = [
        Input(field.encode_name, _words(field.type), field.required) for field in msgspec.structs.fields(mode.inputs)
    ]
    return ModeInfo(mode.name, mode.summary, found)


def built_in() -> list[Mode]:
    """Return the modes that need nothing but their inputs."""
    functions: dict[str, Callable[..., Any]] = {
        "fixture.echo": _echo,
        "fixture.upper": _upper,
        "fixture.wait": _wait,
        "distillation.score": _score,
        "drift.scorer": _drift,
    }
    return [Mode.of(name, function) for name, function in functions.items()]


def installed() -> list[Mode]:
    """Return the modes that installed packages add by entry points of the group `lakehouse.modes`.

    One that cannot be loaded is left out with a warning: it must not take the others with it.
    """
    from importlib import metadata

    found = []
    for point in metadata.entry_points(group=ENTRY_POINTS):
        try:
            loaded = point.load()
            found.append(loaded if isinstance(loaded, Mode) else Mode.of(point.name, loaded))
        except Exception as error:  # noqa: BLE001 - it is somebody else's code
            _log.warning("the mode %s of %s cannot be loaded: %s", point.name, point.value, error)
    return found


def by_name(modes: Iterable[Mode]) -> dict[str, Mode]:
    """Return modes by their names; of two with the same name the first counts."""
    found: dict[str, Mode] = {}
    for mode in modes:
        found.setdefault(mode.name, mode)
    return found


def _echo(value: Any) -> Any:
    """Return what it is given."""
    return value


def _upper(text: str) -> str:
    """Return a text in capitals."""
    return text.upper()


def _wait(ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)]) -> int:
    """Return after so many milliseconds."""
    time.sleep(ms / 1000)
    return ms


def _score(record: Record) -> Scored:
    """Tell whether a record of work may teach: accepted, partially accepted, rejected, or for a human."""
    return scoring.scored(record)


def _drift(
    verdicts: list[Verdict] = [],  # noqa: B006 - never changed; the input type needs a value
    old_scores: list[float] = [],  # noqa: B006
    new_scores: list[float] = [],  # noqa: B006
) -> Drift:
    """Compare old and new verdicts of the same inputs, and the spread of old and new scores."""
    return drift.compared(verdicts, old_scores, new_scores)


def _words(kind: Any) -> str:
    text = kind.__name__ if isinstance(kind, type) else str(kind)
    return text.replace("typing.", "").replace("lakehouse.", "")[:120]
