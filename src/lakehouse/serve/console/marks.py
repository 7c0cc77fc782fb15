"""A text cut into the pieces that fields were read from and the pieces between them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Segment(msgspec.Struct, frozen=True):
    """A piece of a text. `field` names what was read from it, empty when nothing was."""

    text: str
    field: str = ""


def segments(text: str, spans: Mapping[str, tuple[int, int]]) -> list[Segment]:
    """Cut `text` at `spans`.

    Args:
        text: The whole text.
        spans: Field name to `(start, end)` character offsets, half-open. Where two overlap, the one that
            starts first keeps what they share, the longer of two that start together; what lies outside of
            the text is ignored.

    Returns:
        Non-empty pieces in order; joined, they are `text`.
    """
    pieces: list[Segment] = []
    at = 0
    for field, (first, last) in sorted(spans.items(), key=lambda item: (item[1][0], -item[1][1], item[0])):
        start, end = max(first, at), min(last, len(text))
        if start >= end:
            continue
        if start > at:
            pieces.append(Segment(text[at:start]))
        pieces.append(Segment(text[start:end], field))
        at = end
    if at < len(text):
        pieces.append(Segment(text[at:]))
    return pieces
