"""Text from outside made fit for one line of a log or a terminal."""

from __future__ import annotations

import re

LONGEST = 256

# Everything that some reader takes for the end of a line, and what a terminal would obey: control characters,
# line and paragraph separators, and the marks that turn the direction of writing.
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]+")

# JSON leaves these three as they are, and some readers end a line at them.
_ESCAPES = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))


def json_line(encoded: bytes) -> bytes:
    """Return JSON in UTF-8 without anything that a reader could take for the end of a line."""
    for character, escape in _ESCAPES:
        encoded = encoded.replace(character, escape)
    return encoded


def one_line(text: str, longest: int = LONGEST) -> str:
    r"""Return text as one line of at most `longest` characters.

    Runs of line breaks, control characters and direction marks become one space; what is cut ends in an ellipsis.

    >>> one_line("Need 3 welders\r\nX-Injected: yes")
    'Need 3 welders X-Injected: yes'
    """
    # Cut first: a text of megabytes is not worth going through.
    cleaned = _BREAKS.sub(" ", text[: 4 * longest]).strip()
    if len(cleaned) <= longest and len(text) <= 4 * longest:
        return cleaned
    return cleaned if len(cleaned) < longest else cleaned[: longest - 1] + "\u2026"
