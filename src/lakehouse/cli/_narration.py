"""The demo's voice: steps, sentences, and claims that are checked before they are made."""

from __future__ import annotations

import shutil
import textwrap

_WIDEST = 100


class Narrator:
    """Prints to standard output.

    Attributes:
        unmet: What was claimed and did not hold, in order.
    """

    def __init__(self) -> None:
        self.unmet: list[str] = []
        self._steps = 0

    def step(self, title: str, why: str) -> None:
        """Begin the next step: what is shown, and why it matters."""
        self._steps += 1
        print(f"\n{self._steps}. {title}")
        self.say(why)
        print()

    def say(self, text: str) -> None:
        """Print a paragraph."""
        width = min(shutil.get_terminal_size().columns, _WIDEST)
        print(textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False))

    def quote(self, text: str) -> None:
        """Print somebody's own words, uncut."""
        print(f"   {text}\n")

    def claim(self, holds: bool, text: str, otherwise: str) -> None:
        """Say `text` when it holds; else say `otherwise` and remember it."""
        if holds:
            self.say(text)
            return
        self.unmet.append(otherwise)
        self.say(f"NOT SO: {otherwise}")
