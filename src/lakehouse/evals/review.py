"""One question about one text to several models of different lineage; what they agree on counts by lineage.

    lakehouse review change.diff --model ollama/qwen3 --model openrouter/moonshotai/kimi-k2 --model opencode/claude-opus

Each model sees the text once and answers in findings, each with a weight (BLOCK, WARN or INFO), a place that stands in
the text, and a sentence. A place that several name is an agreement only when they are of different lineages: three
sizes of one family say the same thing three times. Places that are not in the text are set apart.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import msgspec

from lakehouse.errors import InvalidInput, LakehouseError, TooLarge

WARN_BYTES = 60_000
MOST_BYTES = 100_000
INSTRUCTIONS = """You review a text. Begin with your findings, no preamble. Each finding is three lines:
BLOCK, WARN or INFO, a colon, and what is wrong in one sentence.
WHERE: the place, copied letter by letter from the text (a file path, or a heading).
WHY: one sentence.
Put an empty line between findings. When there is nothing to find, answer with the one word NONE."""
# A word in a model's name and whose work it is; the first that fits decides.
LINEAGES = {
    "claude": "Anthropic",
    "gpt": "OpenAI",
    "o3": "OpenAI",
    "o4": "OpenAI",
    "gemini": "Google",
    "gemma": "Google",
    "llama": "Meta",
    "qwen": "Alibaba",
    "qwq": "Alibaba",
    "kimi": "Moonshot",
    "moonshot": "Moonshot",
    "deepseek": "DeepSeek",
    "mistral": "Mistral",
    "mixtral": "Mistral",
    "codestral": "Mistral",
    "grok": "xAI",
    "glm": "Zhipu",
    "phi": "Microsoft",
    "command": "Cohere",
    "nova": "Amazon",
    "granite": "IBM",
    "nemotron": "NVIDIA",
    "smollm": "Hugging Face",
}

Weight = Literal["BLOCK", "WARN", "INFO"]
# Asks a model (name, instructions, text) and returns what it said.
Ask = Callable[[str, str, str], str]

_WEIGHTS: tuple[Weight, ...] = ("BLOCK", "WARN", "INFO")
_HEAD = re.compile(r"^\W*(BLOCK|WARN|INFO)\b\W*[:\u2013-]\s*(.*)$", re.IGNORECASE)
_WHERE = re.compile(r"^\W*WHERE\W*:\s*(.*)$", re.IGNORECASE)
_WHY = re.compile(r"^\W*WHY\W*:\s*(.*)$", re.IGNORECASE)
_NONE = re.compile(r"^\W*none\W*$", re.IGNORECASE)
_QUOTES = "`'\"* "


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a model found; `in_text` is whether its place stands in the text."""

    weight: Weight
    where: str
    what: str
    why: str = ""
    in_text: bool = True


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one model said.

    Attributes:
        failure: Why there is no answer, empty when there is one.
        said: The answer as it came.
    """

    model: str
    lineage: str
    findings: list[Finding] = []
    failure: str = ""
    said: str = ""
    took_ms: float = 0.0


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """A place that was named, the heaviest weight given to it, and by whom; most lineages first."""

    where: str
    weight: Weight
    lineages: list[str]
    models: list[str]


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """All verdicts, and what they come to.

    Attributes:
        answered: Lineages that gave an answer.
        agreed: Places that two lineages or more named.
        single: Places that one lineage named.
        nowhere: Findings whose place is not in the text.
        warning: Said about the input, empty for nothing.
    """

    question: str
    bytes: int
    warning: str
    verdicts: list[Verdict]
    answered: list[str]
    agreed: list[Agreement]
    single: list[Agreement]
    nowhere: int


def lineage_of(model: str, named: dict[str, str] | None = None) -> str:
    """Return whose work a model is; a model nobody knows is its own lineage.

    Args:
        model: Its name, with or without a provider before it.
        named: Lineages said by hand, by the model's whole name.

    >>> lineage_of("openrouter/qwen/qwen3-coder"), lineage_of("ollama/llama3.2:1b"), lineage_of("ours")
    ('Alibaba', 'Meta', 'ours')
    """
    if named and model in named:
        return named[model]
    name = model.rpartition("/")[2].lower()
    return next((whose for word, whose in LINEAGES.items() if name.startswith(word) or f"-{word}" in name), name)


def check_size(text: str, *, force: bool = False) -> str:
    """Return the warning that a text of this size deserves, empty for none.

    Raises:
        InvalidInput: There is no text.
        TooLarge: It is over 100,000 bytes and not forced; models answer long ones with next to nothing.
    """
    size = len(text.encode())
    if not text.strip():
        raise InvalidInput("there is nothing to review; give a file, or - for standard input", field="text")
    if size > MOST_BYTES and not force:
        raise TooLarge(
            f"the text has {size:,} bytes, the limit is {MOST_BYTES:,}; divide it, or insist with --force",
            field="text",
            limit_bytes=MOST_BYTES,
        )
    if size > WARN_BYTES:
        return f"the text has {size:,} bytes; over {WARN_BYTES:,} models tend to find little, divide it"
    return ""


def run(
    ask: Ask,
    text: str,
    models: Sequence[str],
    *,
    question: str = "",
    lineages: dict[str, str] | None = None,
    force: bool = False,
) -> Review:
    """Ask every model at once and tally what they answer; a model that fails is one that has not answered.

    Args:
        ask: How a model is asked.
        text: What is reviewed.
        models: Names, each once.
        question: What to look for, beside the instructions.
        lineages: By hand, by model.
        force: Take a text over the limit.

    Raises:
        InvalidInput, TooLarge: As `check_size`; no model is named, or one twice.
    """
    warning = check_size(text, force=force)
    if not models or len(set(models)) != len(models):
        raise InvalidInput("name one model or more, each once, with --model", field="model")
    instructions = f"{INSTRUCTIONS}\n\nThe question: {question}" if question else INSTRUCTIONS

    def one(model: str) -> Verdict:
        began = time.perf_counter()
        lineage = lineage_of(model, lineages)
        try:
            said = ask(model, instructions, text)
        except LakehouseError as error:
            return Verdict(model=model, lineage=lineage, failure=error.message)
        found = findings(said, text)
        took_ms = round((time.perf_counter() - began) * 1000, 1)
        failure = "" if found or any(_NONE.match(line) for line in said.splitlines()) else "no finding could be read"
        return Verdict(model=model, lineage=lineage, findings=found, failure=failure, said=said, took_ms=took_ms)

    with ThreadPoolExecutor(len(models)) as pool:
        verdicts = list(pool.map(one, models))
    places = tally(verdicts)
    return Review(
        question=question,
        bytes=len(text.encode()),
        warning=warning,
        verdicts=verdicts,
        answered=sorted({verdict.lineage for verdict in verdicts if not verdict.failure}),
        agreed=[place for place in places if len(place.lineages) > 1],
        single=[place for place in places if len(place.lineages) == 1],
        nowhere=sum(not found.in_text for verdict in verdicts for found in verdict.findings),
    )


def findings(said: str, text: str) -> list[Finding]:
    """Read the findings of an answer, each (weight, place) once."""
    found: dict[tuple[str, str], Finding] = {}
    current: dict[str, Any] = {}

    def keep() -> None:
        if current.get("where"):
            finding = Finding(**current, in_text=current["where"] in text)
            found.setdefault((finding.weight, finding.where), finding)
        current.clear()

    for line in said.splitlines():
        if head := _HEAD.match(line):
            keep()
            current |= {"weight": head[1].upper(), "what": head[2].strip(), "where": ""}
        elif current and (where := _WHERE.match(line)):
            current["where"] = where[1].strip(_QUOTES)
        elif current and (why := _WHY.match(line)):
            current["why"] = why[1].strip()
    keep()
    return list(found.values())


def tally(verdicts: Sequence[Verdict]) -> list[Agreement]:
    """Return every place that stands in the text, those of most lineages first, then by weight and place."""
    by_place: dict[str, list[tuple[Verdict, Finding]]] = {}
    for verdict in verdicts:
        for finding in verdict.findings:
            if finding.in_text:
                by_place.setdefault(finding.where, []).append((verdict, finding))
    places = [
        Agreement(
            where=where,
            weight=min((finding.weight for _, finding in named), key=_WEIGHTS.index),
            lineages=sorted({verdict.lineage for verdict, _ in named}),
            models=list(dict.fromkeys(verdict.model for verdict, _ in named)),
        )
        for where, named in by_place.items()
    ]
    return sorted(places, key=lambda place: (-len(place.lineages), _WEIGHTS.index(place.weight), place.where))
