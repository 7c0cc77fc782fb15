"""Where settings come from: a TOML file, the environment, and one laid over the other."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lakehouse.errors import InvalidInput

_PREFIX = "LAKEHOUSE_"
_LISTS = frozenset(
    {("models", "weak_models"), ("chat", "personal_providers"), ("learn", "evaluation_sets"), ("vectors", "laid_by")}
)
_TABLES = frozenset({("chat", "fallbacks"), ("chat", "providers"), ("chat", "budgets")})
_NOT_SETTINGS = frozenset({"LAKEHOUSE_CONFIG", "LAKEHOUSE_TOKEN", "LAKEHOUSE_IMAP_PASSWORD", "LAKEHOUSE_OTLP_HEADERS"})


def from_file(path: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the name of a TOML file and what it says; nothing when no file is named and none is at hand.

    Raises:
        InvalidInput: A named file is missing, or a file is not TOML.
    """
    named = path or environ.get("LAKEHOUSE_CONFIG")
    file = Path(named or "lakehouse.toml")
    if not file.is_file():
        if named:
            raise InvalidInput(f"configuration file {file} does not exist", path=str(file))
        return "lakehouse.toml", {}
    try:
        return str(file), tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} is not valid TOML: {error}", path=str(file)) from None


def from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what `LAKEHOUSE_SECTION__KEY` and `LAKEHOUSE_DATA` say; lists are parted by commas, tables are JSON.

    Raises:
        InvalidInput: A table is not JSON.
    """
    values: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
            continue
        section, _, key = name[len(_PREFIX) :].lower().partition("__")
        if key:
            values.setdefault(section, {})[key] = _value(name, text, (section, key))
        elif section == "data":
            values["data"] = text
    return values


def _value(name: str, text: str, key: tuple[str, str]) -> Any:
    if key in _LISTS:
        return text.split(",")
    if key not in _TABLES:
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"{name} is not JSON: {error}", source="the environment") from None


def with_embedding_model(layer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what one source says, with the model of `models.embed` as that of `embed.model` unless it names one."""
    models, embed = layer.get("models"), layer.get("embed", {})
    if not (isinstance(models, Mapping) and isinstance(embed, Mapping)) or "embed" not in models or "model" in embed:
        return layer
    return {**layer, "embed": {**embed, "model": models["embed"]}}


def merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, key by key; where both say something, what `high` says."""
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = merge(below, value)
        else:
            merged[key] = value
    return merged
