"""What goes into a model's prompt: retrieved chunks that are about the question, and how much context a model gets.

A chunk's score is the mean of two measures, both 0 to 1: the cosine of the embedded texts, and the share of the
question's telling words that the chunk has. Nearness alone keeps what merely stands next to the topic: two chunks about
one code base lie close together whatever they are about.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.staffing.titles import singular_word

if TYPE_CHECKING:
    import numpy as np

MAX_CHUNKS = 1_000
# Midway of what separates every other line of tests/matrix/relevance.jsonl; the rest of them is for reporting.
THRESHOLD = 0.45

ChunkId = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Mode = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
FULL, ISOLATED = "lakehouse", "isolation"

_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_COMMON = frozenset(
    "a an and are as at be but by can could did do does for from had has have how i if in into is it its me my no not"
    " of on or our out so such than that the their them then there these they this to up us was we were what when where"
    " which who why will with would you your need needs use used using get gets about any all one two".split()
)
_ENDINGS = ("ations", "ation", "ings", "ing", "ers", "er", "ed", "es", "e")
_SHORTEST_STEM = 4


class Chunk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A retrieved text."""

    id: ChunkId
    text: Annotated[str, msgspec.Meta(max_length=32_000)]


class ScoredChunk(msgspec.Struct, frozen=True):
    """How much a chunk is about the question, 0 to 1."""

    id: str
    score: float


class Relevance(msgspec.Struct, frozen=True):
    """Chunks about the question and those that are not, each best first, ties by id."""

    kept: list[ScoredChunk]
    dropped: list[ScoredChunk]


class Downgrade(msgspec.Struct, frozen=True):
    """The mode to use, and why."""

    mode: str
    reason: str


Chunks = Annotated[list[Chunk], msgspec.Meta(max_length=MAX_CHUNKS)]
Threshold = Annotated[float, msgspec.Meta(ge=0, le=1)]


def relevance(
    query: str, chunks: Sequence[Chunk], threshold: float, embed: Callable[[Sequence[str]], np.ndarray]
) -> Relevance:
    """Separate chunks about a question from those that stand next to its topic.

    Args:
        query: The question.
        chunks: Ids may repeat; blank texts score 0.
        threshold: Least score that is kept.
        embed: `(n,)` texts to `(n, d)` float32, unit length.

    Raises:
        InvalidInput: The question is blank.
    """
    if not query.strip():
        raise InvalidInput("field 'query' is empty; write the question the chunks were retrieved for", field="query")
    told = [chunk for chunk in chunks if chunk.text.strip()]
    nearness = _cosines(query, told, embed) if told else []
    shares = _shares(query, [chunk.text for chunk in told])
    scored = [
        ScoredChunk(chunk.id, round((max(0.0, near) + share) / 2, 6))
        for chunk, near, share in zip(told, nearness, shares, strict=True)
    ]
    scored += [ScoredChunk(chunk.id, 0.0) for chunk in chunks if not chunk.text.strip()]
    scored.sort(key=lambda each: (-each.score, each.id))
    return Relevance(
        [each for each in scored if each.score >= threshold], [each for each in scored if each.score < threshold]
    )


def downgrade(mode: str, model: str, weak_models: Collection[str]) -> Downgrade:
    """Give strong models the isolated prompt and weak ones the full context.

    A strong model reads a question better without what was retrieved for it; a weak one needs it. A mode other than
    `lakehouse`, or one that ends in `_lakehouse`, is left as it is.

    >>> downgrade("lakehouse", "grok-4.1-fast", ["qwen3.5:latest"]).mode
    'isolation'
    >>> downgrade("lakehouse", "ollama/qwen3.5:latest", ["qwen3.5:latest"]).mode
    'lakehouse'
    """
    if mode != FULL and not mode.endswith(f"_{FULL}"):
        return Downgrade(mode, f"mode {mode} has no full context to leave out")
    if model in weak_models or model.partition("/")[2] in weak_models:
        return Downgrade(mode, f"{model} is in models.weak_models and gets the full context")
    return Downgrade(
        mode.removesuffix(FULL) + ISOLATED, f"{model} is not in models.weak_models and does without context"
    )


def _cosines(query: str, chunks: Sequence[Chunk], embed: Callable[[Sequence[str]], np.ndarray]) -> list[float]:
    vectors = embed([query, *(chunk.text for chunk in chunks)])
    found: list[float] = (vectors[1:] @ vectors[0]).tolist()
    return found


def _shares(query: str, texts: Sequence[str]) -> list[float]:
    """Return, for each text, how much of the question's words it has; words that few texts have weigh more."""
    held = [frozenset(_stems(text)) for text in texts]
    asked = dict.fromkeys(_stems(query))
    seen = Counter(word for words in held for word in words & asked.keys())
    weights = {word: math.log(1 + (1 + len(texts)) / (1 + seen[word])) for word in asked}
    total = sum(weights.values())
    return [sum(weights[word] for word in asked if word in words) / total if total else 0.0 for words in held]


def _stems(text: str) -> list[str]:
    """Return the telling words of a text without their endings; names of code fall into their parts."""
    words = (singular_word(part.lower()) for part in _PART.findall(text))
    return [_stem(word) for word in words if word not in _COMMON and len(word) > 1]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word[: -len(ending)]
    return word
