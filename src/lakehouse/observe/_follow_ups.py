"""What a message does to earlier ones: amends or cancels them, and which one it means.

Nothing is guessed: words must say that something changes, and one earlier message must fit better than all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from lakehouse.observe.messages import Change, Kind, Tie
from lakehouse.staffing.demand import Demand
from lakehouse.staffing.titles import role_key

_CANCEL = re.compile(
    r"""\b(?:cancel(?:l?ed|l?ing|s)?(?!\s+(?:policy|policies|fee|fees|clause))\b|call(?:ed|ing)?\s+off\b
        |no\s+longer\s+(?:need|require|want|looking|seeking)\w*|(?:do\s+not|don['\u2019]?t|won['\u2019]?t)\s+need\b(?!\s+to\b)
        |scratch\s+(?:that|the|our)\b|(?:please\s+)?disregard\b|withdraw(?:n|ing)?\b|never\s?mind\b|stand\s+down\b
        |positions?\s+(?:is|are|was|were|ha(?:s|ve)\s+been)\s+(?:now\s+)?filled\b|kill\s+the\s+order\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_NOT = re.compile(
    r"(?:\bnot|n['\u2019]t|\bnever|\bno\s+need\s+to|\bif\b[^.!?\n]{0,40}|\bunless\b[^.!?\n]{0,40})\s*$", re.IGNORECASE
)
_AMEND = re.compile(
    r"""\b(?:make\s+(?:that|it)\b|instead\s+of\b|rather\s+than\b|chang(?:e|ed|es|ing)\b|updat(?:e|ed|ing)\b|correct(?:ion|ed)\b
        |amend(?:ed|ment|ing)?\b|revis(?:e|ed|ion|ing)\b|increas(?:e|ed|ing)\b|decreas(?:e|ed|ing)\b|reduc(?:e|ed|ing)\b
        |bump(?:ed|ing)?\b|\d+\s+(?:more|fewer|less|additional)\b|mov(?:e|ed|ing)\s+(?:to|the|it|start)\b
        |push(?:ed|ing)?\s+(?:back|to|it|the)\b|now\s+(?:need|starts?|starting)\b|we\s+are\s+at\s+\d+\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_NUMBER = r"(?P<count>\d{1,5})(?![\d:/.%]|\s*(?:am|pm|a\.m|p\.m|hours?|hrs?|days?|weeks?|th|st|nd|rd)\b)"
_COUNT = re.compile(
    rf"""\bmake\s+(?:that|it)\s+{_NUMBER}|(?:\bfrom\s+\d{{1,5}}\s+)?\bto\s+{_NUMBER.replace("count", "to")}
        (?=\s*(?:people|workers|instead|$|[.,;!\n]|[a-z]))|\b{_NUMBER.replace("count", "instead")}
        (?=[^.!?\n\d]{{0,40}}\binstead\s+of\b)|\bnow\s+need\s+{_NUMBER.replace("count", "now")}""",
    re.IGNORECASE | re.VERBOSE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n|$")
_SENTENCE_START = re.compile(r"[.!?]\s|\n")
_REPLY = re.compile(r"^\s*(?:(?:re|fwd?|fw|aw)\s*:\s*)+", re.IGNORECASE)


class Earlier(msgspec.Struct, frozen=True):
    """An earlier message of the same sender that is not cancelled."""

    id: str
    message_id: str
    thread: str
    demands: list[Demand]


class Reading(msgspec.Struct, frozen=True):
    """What a message does, before it is known to what."""

    kind: Kind
    demands: list[Demand]
    change: Change | None = None


def thread_of(subject: str) -> str:
    """Return what the subjects of one exchange have in common, empty when there is none."""
    return " ".join(_REPLY.sub("", subject).casefold().split())[:200]


def address_of(sender: str) -> str:
    """Return the sender as one who writes again can be known by: address or number, without the name."""
    import email.utils

    address = email.utils.parseaddr(sender)[1] if "@" in sender else ""
    if address:
        return address.casefold()
    digits = "".join(letter for letter in sender if letter.isdigit())
    if len(digits) >= 7 and not any(letter.isalpha() for letter in sender):
        # A country code may be there or not.
        return digits[-10:]
    return " ".join(sender.casefold().split())


def read(subject: str, body: str, demands: Sequence[Demand]) -> Reading:
    """Tell what a message does by its words.

    Args:
        subject, body: As they came.
        demands: Those parsed from the body; what a sentence calls off is not one.
    """
    off = _called_off(body)
    left = [demand for demand in demands if not any(_inside(demand, part) for part in off)]
    cancels = bool(off) or bool(_called_off(subject))
    amends = _AMEND.search(body) is not None or _AMEND.search(subject) is not None
    if cancels and not left and not (amends and _count_of(body)):
        return Reading("cancel", [])
    if cancels or amends:
        return Reading("amend", left, None if left else _count_of(body))
    return Reading("demand" if left else "other", left)


def tie(text: str, demands: Sequence[Demand], *, in_reply_to: str, thread: str, earlier: Iterable[Earlier]) -> Tie:
    """Find the earlier message that a later one means.

    Args:
        text: Subject and body of the later one.
        demands: In it.
        in_reply_to: Message id that it answers, may be empty.
        thread: Of its subject, see `thread_of`.
        earlier: Messages of the same sender that are not cancelled, newest first.
    """
    known = [message for message in earlier if message.demands]
    for message in known:
        if in_reply_to and message.message_id == in_reply_to:
            return Tie(message=message.id, demand=_meant(text, message), by="reply")
    words = set(role_key(text).split())
    scored = [(_fit(words, text, demands, thread=thread, message=message), message) for message in known]
    fitting = [(score, message) for score, message in scored if score >= 0]
    if not fitting:
        return Tie(message=None)
    best = max(score for score, _ in fitting)
    first = [message for score, message in fitting if score == best]
    if len(first) > 1:
        return Tie(message=None, candidates=[message.id for message in first])
    by: Literal["thread", "words", "only"] = "only"
    if best:
        by = "thread" if thread and first[0].thread == thread else "words"
    elif demands:
        return Tie(message=None)
    return Tie(message=first[0].id, demand=_meant(text, first[0]), by=by)


def _called_off(text: str) -> list[tuple[int, int]]:
    """Return the sentences that call something off."""
    found = []
    for match in _CANCEL.finditer(text):
        if _NOT.search(text, max(0, match.start() - 60), match.start()):
            continue
        before = [end.end() for end in _SENTENCE_START.finditer(text, 0, match.start())]
        after = _SENTENCE_END.search(text, match.end())
        found.append((before[-1] if before else 0, after.start() if after else len(text)))
    return found


def _inside(demand: Demand, part: tuple[int, int]) -> bool:
    span = demand.spans.get("role") or demand.spans.get("count")
    return span is not None and part[0] <= span[0] < part[1]


def _count_of(body: str) -> Change | None:
    for found in _COUNT.finditer(body):
        name = found.lastgroup
        if name and int(found[name]):
            return Change(int(found[name]), found.span(name))
    return None


def _fit(words: set[str], text: str, demands: Sequence[Demand], *, thread: str, message: Earlier) -> int:
    """Score how well an earlier message fits, below 0 when it cannot be meant."""
    roles = [role for demand in message.demands if (role := _role(demand))]
    same_role = any(role <= words for role in roles)
    if demands and not same_role and not any(_role(new) in roles for new in demands):
        return -1
    lowered = text.casefold()
    cities = [place.city.casefold() for one in message.demands if (place := one.location) and place.city]
    named = [place.city.casefold() for one in demands if (place := one.location) and place.city]
    same_place = any(city in lowered for city in cities)
    if named and cities and not same_place:
        return -1
    same_thread = bool(thread) and message.thread == thread
    return 4 * same_thread + 3 * same_role + 2 * same_place


def _role(demand: Demand) -> set[str]:
    return set(role_key(demand.role).split()) if demand.role else set()


def _meant(text: str, message: Earlier) -> int | None:
    if len(message.demands) < 2:
        return None
    words = set(role_key(text).split())
    named = [nth for nth, demand in enumerate(message.demands) if _role(demand) and _role(demand) <= words]
    return named[0] if len(named) == 1 else None
