"""The JSON object in what a model wrote: fenced, in prose, in an array, with something before and behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

# How many braces that lead to nothing are passed over before a text is given up, and for how many of them the text may
# be read to its end.
MOST_TRIES: Final = 1_000
MOST_SCANS: Final = 8
MOST_BLOCKS: Final = 64

_FENCE: Final = "```"
_LABEL = re.compile(r"[ \t]*([\w+-]{0,32})[ \t\r]*(?:\n|(?=[\[{]))")
_JSON = frozenset({"json", "jsonc", "json5"})
# What is meant for an object, JSON or not, and no brace in prose.
_OBJECT = re.compile(r"""\{\s*+(?:["']|[\w$-]++\s*+:)""")
_SIGN = re.compile(r'"(?:[^"\\]++|\\.)*+"|["{}]', re.DOTALL)


def extract_json(text: str) -> dict[str, Any] | None:
    """Return the first JSON object of a text, null when there is none; never raises, in time linear in the text.

    A block fenced as JSON is looked at first, then any other fenced block, then the whole text. Of several objects
    the first one counts, of an array the first object in it. What stands in braces and is not JSON is passed over as a
    whole, so that a part of a broken artifact is never taken for an artifact. An object that does not end is not JSON
    either, but a brace in prose that is never closed is prose. Strict: no NaN, no lone surrogates, no numbers past what
    a float holds.
    """
    blocks = list(_blocks(text))
    for labelled in (True, False):
        for label, start, end in blocks:
            if (label in _JSON) is labelled:
                found = _first_object(text[start:end])
                if found is not None:
                    return found
    return _first_object(text)


def _blocks(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield label, start and end of the fenced blocks."""
    at = 0
    for _ in range(MOST_BLOCKS):
        begin = text.find(_FENCE, at)
        end = text.find(_FENCE, begin + len(_FENCE)) if begin >= 0 else -1
        if end < 0:
            return
        label = _LABEL.match(text, begin + len(_FENCE), end)
        yield (label[1].lower() if label else ""), (label.end() if label else begin + len(_FENCE)), end
        at = end + len(_FENCE)


def _first_object(text: str) -> dict[str, Any] | None:
    # Where the whole is JSON, a brace in a string is no object.
    whole = _decoded(text) if text.lstrip()[:1] in {"[", '"'} else None
    return _first_in_prose(text) if whole is None else _first_in(whole)


def _first_in_prose(text: str) -> dict[str, Any] | None:
    at, last, scans = 0, text.rfind("}") + 1, 0
    ends: dict[int, int] = {}
    for _ in range(MOST_TRIES):
        begin = text.find("{", at, last)
        if begin < 0:
            return None
        if begin not in ends:
            if scans == MOST_SCANS:
                return None
            ends |= _paired(text, begin, last)
            scans += not ends[begin]
        end = ends[begin]
        if end:
            value = _decoded(text[begin:end])
            if isinstance(value, dict):
                return value
        elif _OBJECT.match(text, begin):
            return None
        at = end or begin + 1
    return None


def _paired(text: str, start: int, last: int) -> dict[int, int]:
    """Return where the braces from `start` up to its end are closed, 0 where not; those in strings do not count."""
    open_: list[int] = []
    ends: dict[int, int] = {}
    for sign in _SIGN.finditer(text, start, last):
        written = sign[0]
        if written == "{":
            open_.append(sign.start())
        elif written == "}":
            ends[open_.pop()] = sign.end()
            if not open_:
                break
        elif written == '"':
            # A string without an end: everything behind it is inside it.
            break
    return ends | dict.fromkeys(open_, 0)


def _decoded(text: str) -> Any:
    """Return what a text is as JSON, null when it is not."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return None


def _first_in(value: Any) -> dict[str, Any] | None:
    """Return the first object in arrays, as it is written."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            return each
        if isinstance(each, list):
            left += reversed(each)
    return None
