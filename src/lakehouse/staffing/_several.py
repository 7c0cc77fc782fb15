"""Several demands in one text: where each begins, and what it shares with its neighbour."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from lakehouse.staffing._frames import Draft
from lakehouse.staffing._letters import Segment
from lakehouse.staffing._numbers import number_at
from lakehouse.staffing._reading import Reading
from lakehouse.staffing.demand import Demand

_NEXT = re.compile(
    r"(?:\s*[,;]\s*(?:and\s+|plus\s+|also\s+)*|\s+(?:and|plus|as\s+well\s+as)\s+(?:also\s+)?)(?=\w)", re.IGNORECASE
)
_ROLE_KEY = re.compile(
    r"^[ \t*\u2022-]*(?:role|position|job\s+title|title|job|classification|occupation|trade)[ \t]*[:=]",
    re.IGNORECASE | re.MULTILINE,
)
_MOST = 50


def drafts_in(reading: Reading, draft_of: Callable[[Reading, Segment], Draft | None]) -> list[tuple[Segment, Draft]]:
    """Return every demand's frame with the part of a sentence it stands in, in order, at most 50."""
    found: list[tuple[Segment, Draft]] = []
    for segment in reading.segments:
        whole = draft_of(reading, segment)
        if whole is not None:
            found.extend(_parted(reading, segment, draft_of) or [(segment, whole)])
        if len(found) >= _MOST:
            break
    return found[:_MOST]


def _parted(
    reading: Reading, segment: Segment, draft_of: Callable[[Reading, Segment], Draft | None]
) -> list[tuple[Segment, Draft]]:
    """Return the demands of one sentence, empty unless it can be parted so that each part asks for a number."""
    gaps = []
    for gap in _NEXT.finditer(reading.text, segment.start, segment.end):
        number = number_at(reading.text, gap.end())
        if number is not None and number.end < segment.end and reading.at(gap.end()) is None:
            gaps.append(gap.span())
    if not gaps or len(gaps) > _MOST:
        return []
    starts, ends = [segment.start, *(end for _, end in gaps)], [*(start for start, _ in gaps), segment.end]
    parts = [Segment(start, end) for start, end in zip(starts, ends, strict=True)]
    found = [(part, draft) for part in parts if (draft := draft_of(reading, part)) is not None and draft.count]
    return found if len(found) == len(parts) else []


def scopes(reading: Reading, found: Sequence[tuple[Segment, Draft]]) -> list[tuple[int, int]]:
    """Return the span that may say more about each demand: up to the next one, the first from the beginning."""
    first, last = reading.segments[0].start, reading.segments[-1].end
    starts = [first, *(segment.start for segment, _ in found[1:])]
    return list(zip(starts, [*starts[1:], last], strict=True))


def with_shared_place(demands: Sequence[Demand], found: Sequence[tuple[Segment, Draft]], text: str) -> list[Demand]:
    """Give a demand without a place that of the next one of the same sentence: "3 welders and 2 cooks in Akron"."""
    shared = list(demands)
    for nth in range(len(shared) - 2, -1, -1):
        between = text[found[nth][0].end : found[nth + 1][0].start]
        after = shared[nth + 1]
        joined = _NEXT.match(between + "x") is not None and "\n" not in between
        if shared[nth].location is None and after.location is not None and joined:
            spans = {**shared[nth].spans, "location": after.spans["location"]}
            shared[nth] = msgspec.structs.replace(shared[nth], location=after.location, spans=spans)
    return shared


def forms(text: str) -> list[tuple[int, int]]:
    """Return the spans of the forms in a text that holds several, empty when it holds one or none."""
    starts = [key.start() for key in _ROLE_KEY.finditer(text)][:_MOST]
    if len(starts) < 2:
        return []
    starts[0] = 0
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def shifted(demand: Demand, by: int) -> Demand:
    """Return a demand whose spans count from `by` characters earlier."""
    return msgspec.structs.replace(
        demand, spans={field: (start + by, end + by) for field, (start, end) in demand.spans.items()}
    )
