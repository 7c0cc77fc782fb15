"""How long a text message is on the network: GSM 03.38 septets, or UCS-2 units when one sign is not in it."""

from __future__ import annotations

from typing import Literal

import msgspec

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")


class Length(msgspec.Struct, frozen=True):
    """Length of a message.

    Attributes:
        encoding: `GSM-7`, or `UCS-2` when a sign is outside of it.
        units: Septets or 16-bit units; a sign of the extension table, or outside the basic plane, is two.
        segments: Messages the network sends: of 160 septets or 70 units alone, of 153 or 67 when joined.
        outside: The first sign that is not in GSM-7, empty when there is none.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    segments: int
    outside: str


def measure(text: str) -> Length:
    """Return how long a text is on the network.

    >>> measure("Shift at 6 \u20ac")
    Length(encoding='GSM-7', units=13, segments=1, outside='')
    """
    outside = next((sign for sign in text if sign not in _BASIC and sign not in _EXTENDED), "")
    if outside:
        units = len(text.encode("utf-16-le", "surrogatepass")) // 2
        return Length("UCS-2", units, _segments(units, 70, 67), outside)
    units = len(text) + sum(sign in _EXTENDED for sign in text)
    return Length("GSM-7", units, _segments(units, 160, 153), "")


def _segments(units: int, alone: int, joined: int) -> int:
    return 1 if units <= alone else -(-units // joined)
