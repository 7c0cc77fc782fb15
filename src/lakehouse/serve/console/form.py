"""What a page sends: the text, the fields typed over it, the options, and which button was pressed."""

from __future__ import annotations

import hashlib
import re
from typing import Literal
from urllib.parse import parse_qs

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.memory.base import DEFAULT_NAMESPACE
from lakehouse.memory.evidence import Outcome
from lakehouse.staffing.need import NAMES, Fields, whole_number

Press = Literal[
    "search",
    "worked",
    "rejected",
    "accepted",
    "showed_up",
    "completed",
    "asked_back",
    "no_show",
    "replace",
    "put_back",
    "as_written",
    "forget",
]

DEFAULT_K = 10
MOST_K = 100
_NAMESPACE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# Buttons that record what came of a person, in the order in which it comes.
RECORDS: tuple[Outcome, ...] = ("accepted", "showed_up", "completed", "asked_back", "worked", "rejected", "no_show")
_OF_A_PERSON: tuple[Press, ...] = (*RECORDS, "replace", "put_back")
_PRESSES: tuple[Press, ...] = (*_OF_A_PERSON, "as_written", "forget")


class Person(msgspec.Struct, frozen=True, array_like=True):
    """A person as a button names them."""

    corpus: str
    id: str
    name: str

    @property
    def value(self) -> str:
        """The person as the value of a form field."""
        return msgspec.json.encode(self).decode()


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """A page's form as sent, unchecked; `limit` and `namespace` check.

    Attributes:
        text: The demand, lines ended by a line feed.
        read: Fingerprint of the text that `fields` were read from.
        shown: Fingerprint of the line that the matches on the page were found for.
        k, coordinator: As typed.
        excluded: People left out, in the order they were.
        press: The button.
        person: Whose button it was.
        entry: The playbook entry to forget.
        why: Name or id of somebody of whom to say why they are not among the matches.
    """

    text: str = ""
    read: str = ""
    shown: str = ""
    fields: Fields = Fields()
    coordinator: str = ""
    corpora: list[str] = msgspec.field(default_factory=list)
    k: str = str(DEFAULT_K)
    memory: bool = True
    excluded: list[Person] = msgspec.field(default_factory=list)
    press: Press = "search"
    person: Person | None = None
    entry: str = ""
    why: str = ""

    @property
    def fields_are_of_text(self) -> bool:
        """Whether the chips were read from this very text, and not from one that stood there before."""
        return self.read == fingerprint(self.text)

    def limit(self) -> int:
        """Return how many matches to show.

        Raises:
            InvalidInput: Not a whole number from 1 to 100.
        """
        text = self.k.strip()
        number = whole_number(text)
        if number is not None and 1 <= number <= MOST_K:
            return number
        raise InvalidInput(f"How many: “{text[:20]}” is not a whole number from 1 to {MOST_K}.", field="k")

    def namespace(self) -> str:
        """Return whose memory is used, `default` when nobody is named.

        Raises:
            InvalidInput: Not the name of a namespace.
        """
        name = self.coordinator.strip()
        if not name:
            return DEFAULT_NAMESPACE
        if _NAMESPACE.fullmatch(name):
            return name
        raise InvalidInput(
            f"Coordinator: “{name[:64]}” cannot name a memory; use up to 64 letters, digits, dots, dashes and"
            " underscores, such as “alice”.",
            field="coordinator",
        )


def fingerprint(text: str) -> str:
    """Return a short name for a text, equal for equal texts."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def decode(body: bytes) -> Form:
    """Read a form as browsers post it (`application/x-www-form-urlencoded`, UTF-8).

    Fields that no page of ours sends are ignored; the last of several values counts.

    Raises:
        InvalidInput: A button's or an excluded person's value was not made by a page of ours.
    """
    sent = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)

    def last(name: str) -> str:
        return sent.get(name, [""])[-1]

    press: Press = next((press for press in _PRESSES if press in sent), "search")
    names_person = press in _OF_A_PERSON
    return Form(
        text=last("text").replace("\r\n", "\n"),
        read=last("read"),
        shown=last("shown"),
        fields=Fields(**{name: last(name) for name in NAMES}),
        coordinator=last("coordinator"),
        corpora=sent.get("corpora", []),
        k=last("k") if "k" in sent else str(DEFAULT_K),
        memory="memory" in sent,
        excluded=[_person(value) for value in sent.get("excluded", [])],
        press=press,
        person=_person(last(press)) if names_person else None,
        entry=last("forget"),
        why=last("why"),
    )


def _person(value: str) -> Person:
    try:
        return msgspec.json.decode(value, type=Person)
    except msgspec.MsgspecError:
        raise InvalidInput("This button names nobody; search again and use the buttons of that page.") from None
