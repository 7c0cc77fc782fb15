"""The JSON object in what a model wrote: fenced, in prose, in an array, with something before and behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

# How many objects that are balanced and still not JSON are passed over before a text is given up.
MOST_TRIES: Final = 1_000
MOST_BLOCKS: Final = 64

_FENCE: Final = "```"
_LABEL = re.compile(r"[ \t]*([\w+-]{0,32})[ \t\r]*(?:\n|(?=[\[{]))")
_JSON = frozenset({"json", "jsonc", "json5"})
# Nothing else can begin a JSON object.
_BEGIN = re.compile(r'\{[ \t\r\n]*+["}]')
_SIGN = re.compile(r'"(?:[^"\\]++|\\.)*+"|["{}]', re.DOTALL)


def extract_json(text: str) -> dict[str, Any] | None:
    """Return the first JSON object of a text, null when there is none; never raises, in time linear in the text.

    A block fenced as JSON is looked at first, then any other fenced block, then the whole text. Of several objects
    the first one counts, of an array the first object in it. An object that is balanced but not JSON is passed over
    as a whole, so that a part of a broken artifact is never taken for an artifact. An object that does not end is
    not JSON either. Strict: no NaN, no lone surrogates, no numbers past what a float holds.
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
    at, last = 0, text.rfind("}") + 1
    for _ in range(MOST_TRIES):
        begin = _BEGIN.search(text, at, last)
        end = _end_of(text, begin.start(), last) if begin else None
        if begin is None or end is None:
            return None
        try:
            value = msgspec.json.decode(text[begin.start() : end])
        except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
            value = None
        if isinstance(value, dict):
            return value
        at = end
    return None


def _end_of(text: str, start: int, last: int) -> int | None:
    """Return where the object that begins at `start` is closed, null when it is not; braces in strings do not count."""
    depth = 0
    for sign in _SIGN.finditer(text, start, last):
        written = sign[0]
        if written == "{":
            depth += 1
        elif written == "}":
            depth -= 1
            if depth == 0:
                return sign.end()
        elif written == '"':
            # A string without an end: everything behind it is inside it.
            return None
    return None
