"""When a serving process looks for garbage: often among what is new, and in all of it while nobody waits.

Nearly all of what a search makes goes at once, and most of what it leaves (answers, what memory says) pushes out
something of the same size. Python counts what came less what went, so that it lets tens of thousands of new objects
come together before it looks, and then stops all requests for up to 64 ms. Here new objects are gone through ten times
a second, a millisecond each time, and older ones in a quiet second; under requests without a break once in ten minutes.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

# New objects are also gone through when so many more came than went between two ticks; older ones by `tick` alone.
THRESHOLDS = (5_000, 1_000_000, 1_000_000)
# A full collection takes a tenth of a second in a process that is full of answers.
_QUIET_S = 1.0
_EVERY_S = 60.0
_AT_LAST_S = 600.0


class Garbage:
    """Looks for garbage between requests. For the thread that answers them.

    Args:
        clock: Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked = 0
        self._asked_at = self._full_at = clock()
        self._full_asked = 0

    def tick(self, asked: int) -> None:
        """Go through new objects, or through all; to be called several times a second.

        Args:
            asked: How many requests there have been.
        """
        now, new = self._clock(), asked != self._asked
        if new:
            self._asked, self._asked_at = asked, now
        since = now - self._full_at
        quiet = now - self._asked_at >= _QUIET_S
        if asked != self._full_asked and since >= (_EVERY_S if quiet else _AT_LAST_S):
            gc.collect()
            self._full_at, self._full_asked = now, asked
        elif new:
            gc.collect(0)
