"""What a client asked for, as fields with the text they came from."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Style = Literal["need", "client_first", "looking", "shorthand"]

# Longer titles name no role, and it takes long to say so.
LONGEST_ROLE = 200
Role = Annotated[str, msgspec.Meta(max_length=LONGEST_ROLE)]


class Location(msgspec.Struct, frozen=True):
    """A US place. `lat` and `lon` are degrees (WGS 84), null when only the state is known."""

    city: str | None
    state: str | None
    lat: float | None = None
    lon: float | None = None


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed demand. A field that is not in the text is null (or empty), never guessed.

    Attributes:
        role: The role in the singular, as written otherwise ("Forklift Operator"); null when none was found.
        role_code: O*NET-SOC code of the role ("53-7051.00"); null when the role resolves to none.
        count: People asked for; 1 when the text does not say.
        location: Place of work, or null.
        certs: Canonical certification names, in order of appearance, no duplicates.
        skills: Skills asked for, as written.
        shift: One of `day`, `night`, `evening`, `weekend`, `swing`, `rotating`; null when unsaid.
        start: Start as written, normalised only where it is certain ("06:00", "Monday", "2026-03-01").
        client: The client's name as written.
        style: Which of the four demand styles matched; null when none did.
        spans: Field name to `(start, end)` character offsets into the text, half-open.
        missing: Names of the fields a coordinator would still ask for (`role`, `location`, ...).
        source: `rules`, or `model` when a chat model filled the role in.
    """

    role: str | None = None
    role_code: str | None = None
    count: int = 1
    location: Location | None = None
    certs: list[str] = msgspec.field(default_factory=list)
    skills: list[str] = msgspec.field(default_factory=list)
    shift: str | None = None
    start: str | None = None
    client: str | None = None
    style: Style | None = None
    spans: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    missing: list[str] = msgspec.field(default_factory=list)
    source: Literal["rules", "model"] = "rules"
