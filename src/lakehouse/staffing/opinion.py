"""A second opinion on a rating, by a chat model, and how far two raters agree.

A model's rating never takes the place of the one by rules: it is shown beside it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_SHOWN = ("role", "certs", "cert_expiry", "years", "city", "state", "shifts", "available_from", "skills")
_LONGEST = 2_000
_PROMPT = (
    "You rate how well a worker fits a staffing request.\n"
    "5: meets everything. 4: meets everything, something small is unknown or only near. 3: right role and "
    "certifications, but place, shift or availability is off. 2: a certification is missing, far away, or a related "
    "role. 1: wrong role.\n\nRequest:\n{ask}\n\nWorker:\n{worker}\n\nAnswer with one digit from 1 to 5."
)
_DIGIT = re.compile(r"(?<![\d.])[1-5](?![\d.]*\d)")


def opinion(chat: Callable[[str], str]) -> Callable[[str, Mapping[str, Any]], int | None]:
    """Return a rater that asks a chat model.

    Args:
        chat: Prompt to the model's text; its errors come through.

    Returns:
        Text of the demand and metadata of a person to a rating of 1 to 5, None when the answer holds none. Names and
        contact data are not sent.

    >>> opinion(lambda prompt: "Rating: 4, close enough")("Need a cook", {"role": "Cook"})
    4
    """

    def ask(demand: str, person: Mapping[str, Any]) -> int | None:
        shown = "\n".join(f"{key}: {person[key]}" for key in _SHOWN if person.get(key))
        answer = chat(_PROMPT.format(ask=demand[:_LONGEST], worker=shown[:_LONGEST]))
        found = _DIGIT.search(answer)
        return int(found[0]) if found else None

    return ask


def weighted_kappa(pairs: Sequence[tuple[int, int]]) -> float | None:
    """Return Cohen's kappa of two raters, with weights of squared difference.

    1 is full agreement, 0 what chance gives; None when there are no pairs, or both always said the same one thing.

    >>> weighted_kappa([(1, 1), (5, 5), (3, 3)])
    1.0
    >>> weighted_kappa([(1, 5), (5, 1)])
    -1.0
    """
    if not pairs:
        return None
    count = len(pairs)
    ones, others = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    seen = sum((one - other) ** 2 for one, other in pairs) / count
    chance = sum((a - b) ** 2 * ones[a] * others[b] for a in ones for b in others) / count**2
    return round(1 - seen / chance, 6) if chance else None
