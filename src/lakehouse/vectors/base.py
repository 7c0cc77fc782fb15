"""The shapes of a named vector index, shared by every engine."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

Distance = Literal["cosine", "dot", "euclid"]

# The engine whose items lie in files of the lake's folder.
LOCAL = "local"


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A point on earth in degrees."""

    lat: float
    lon: float


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One test on one metadata key. Exactly one kind of test per condition; a range may have several bounds.

    Attributes:
        key: Metadata key. A list value passes when any of its elements does.
        match: Equal to this value.
        any: Equal to one of these values.
        gte, gt, lte, lt: Numeric range.
        within_km: Great-circle distance from `of` to the key's `{"lat", "lon"}` value.
    """

    key: str
    match: str | int | bool | None = None
    any: list[str | int] | None = None
    gte: float | None = None
    gt: float | None = None
    lte: float | None = None
    lt: float | None = None
    within_km: float | None = None
    of: Place | None = None


class Filter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of `must`, none of `must_not` and, when there are any, at least one of `should`.

    An item that lacks a condition's key does not pass that condition.
    """

    must: list[Condition] = msgspec.field(default_factory=list)
    must_not: list[Condition] = msgspec.field(default_factory=list)
    should: list[Condition] = msgspec.field(default_factory=list)


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is added: an id with either its vector or a text to embed."""

    id: str
    vector: list[float] | None = None
    text: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class StoredItem(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept under an id."""

    id: str
    vector: list[float]
    metadata: dict[str, Any]


class Hit(msgspec.Struct, frozen=True):
    """One search result. `distance` is 1 - cosine for `cosine` (0 to 2), smaller is nearer."""

    id: str
    distance: float
    metadata: dict[str, Any]


class IndexStats(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one index.

    `indexed` counts items in the built graph; the rest are searched exactly. `findability` is the share of
    sampled items that are their own nearest neighbour, null before it was measured.
    """

    name: str
    dimension: int
    distance: Distance
    items: int
    indexed: int
    model: str | None = None
    findability: float | None = None


class IndexList(msgspec.Struct, frozen=True):
    """All indexes, by name."""

    indexes: list[IndexStats]


class IdList(msgspec.Struct, frozen=True):
    """All ids of one index, sorted."""

    ids: list[str]


class Added(msgspec.Struct, frozen=True):
    """How many ids were new and how many replaced an earlier item."""

    added: int
    updated: int


class SearchResults(msgspec.Struct, frozen=True):
    """Nearest first, ties by id."""

    results: list[Hit]


class Merged(msgspec.Struct, frozen=True):
    """`skipped` ids were already in the destination; `cleared` items left the source."""

    merged: int
    skipped: int
    cleared: int


# Distance, id, and where an item lies for the look-up that found it.
Found = tuple[float, str, int]


class Collected(NamedTuple):
    """Whom several steps found.

    Attributes:
        found: Each item once, in no order.
        ended: Which step was the last that was asked for whoever passes it.
    """

    found: list[Found]
    ended: int


class Finder(Protocol):
    """The nearest items of an index to one vector, under any filters, on whatever engine; see `Lookup`."""

    def nearest(self, k: int, filter: Filter | None) -> list[Found]:
        """Return at most `k` places of items that pass a well-formed filter, nearest first, ties by id."""

    def among(self, steps: Sequence[Filter | None], enough: int, k: int) -> Collected:
        """Collect the nearest by several well-formed filters, each less strict than those before it.

        One step after the other is asked until there are enough. Of the `k` nearest by the last step then only those
        are added that the steps cannot decide, see `filters.undecided`.

        Args:
            steps: Strictest first. The last is asked like all others, but for `k`.
            enough: How many are taken of each step but the last, and how many end the steps.
            k: How many are taken of the last; at most `enough`.
        """

    def encoded(self, place: int) -> Any:
        """Return the metadata at a place as its JSON text, bytes or a view of them."""

    def notes(self, about: Hashable) -> dict[int, Any]:
        """Return what was worked out about places for one purpose, to be added to."""
