"""Answers of searches, kept until something that they were made from changes."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import msgspec

from lakehouse import tracing
from lakehouse.matrix.base import SearchAnswer

# Longer requests (thousands of excluded ids) hardly come twice, larger answers push out too many others.
_LONGEST_REQUEST = 4_096
_LARGEST_ANSWER = 64 * 1_024

_TRACE = b'"trace_id":""'
_encode = msgspec.json.Encoder().encode


class Kept(msgspec.Struct, frozen=True):
    """One answer.

    Attributes:
        values: Arguments of the search.
        version: Of all it was made from, taken before the search.
        answer: Without a trace id.
        head, tail: Its JSON before and behind the trace id.
    """

    values: Mapping[str, Any]
    version: Hashable
    answer: SearchAnswer
    head: bytes
    tail: bytes

    def again(self) -> SearchAnswer:
        """Return the answer under the trace at hand."""
        return msgspec.structs.replace(self.answer, trace_id=tracing.current())

    def encoded(self, trace_id: str) -> bytes:
        """Return the answer's JSON under a trace id."""
        return self.head + _encode(trace_id) + self.tail


class KeptAnswers:
    """The latest answers by the bytes of their request. Thread-safe.

    An answer counts as long as the version of what it was made from is the same. It is never sent without the caller
    having asked for the version now.

    Args:
        version: Returns the version for a search's arguments.
        most: How many are kept, least recently used out first; 0 keeps none.
    """

    def __init__(self, version: Callable[[Mapping[str, Any]], Hashable], most: int) -> None:
        self._version = version
        self._most = most
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()

    def get(self, request: bytes) -> Kept | None:
        """Return the answer to a request when it is still true."""
        kept = self._kept.get(request)
        if kept is None:
            return None
        if kept.version != self._version(kept.values):
            self._kept.pop(request, None)
            return None
        with contextlib.suppress(KeyError):
            self._kept.move_to_end(request)
        return kept

    def forget(self) -> None:
        """Drop every answer: what somebody asked to be erased must not stay in memory either."""
        self._kept.clear()

    def put(self, request: bytes, values: Mapping[str, Any], version: Hashable, answer: SearchAnswer) -> Kept | None:
        """Keep an answer that was made when the version was `version`, or later; None when it is not one to keep."""
        if not self._most or len(request) > _LONGEST_REQUEST:
            return None
        bare = msgspec.structs.replace(answer, trace_id="")
        data = _encode(bare)
        # Behind the trace id stand texts only, in which quotes are escaped: the last place is the right one.
        head, found, tail = data.rpartition(_TRACE)
        if not found or len(data) > _LARGEST_ANSWER:
            return None
        kept = self._kept[request] = Kept(values, version, bare, head + _TRACE[:-2], tail)
        with contextlib.suppress(KeyError):
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return kept
