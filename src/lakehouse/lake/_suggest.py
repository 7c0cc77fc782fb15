"""A mapping suggested: which column of a file is which of a dataset, by name and by the values they share."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping, Sequence

import msgspec

from lakehouse.lake._mapping import ColumnMap, alternatives
from lakehouse.lake.columns import Column

# Below this a pair is chance: SOC_NAME and SWA_NAME score less by name alone.
LEAST = 0.52
# Columns of fewer distinct values (Y and N) share them with anything.
TELLING = 5
_WORDS = re.compile(r"[^a-z0-9]+")


class Pair(msgspec.Struct, frozen=True):
    """A column of the file taken for a column of the dataset; 1 is the same name."""

    target: str
    source: str
    score: float


class Side(msgspec.Struct, frozen=True):
    """One side of a comparison: columns, and a sample of the values of each as text."""

    columns: list[Column]
    values: Mapping[str, Collection[str]]


def pairs(file: Side, dataset: Side) -> list[Pair]:
    """Match columns, each at most once, best first; ties go to the earlier column of the file."""
    scored = [
        Pair(target.name, source.name, _score(source, target, file.values, dataset.values))
        for source in file.columns
        for target in dataset.columns
    ]
    found: dict[str, Pair] = {}
    taken: set[str] = set()
    for pair in sorted(scored, key=lambda pair: -pair.score):
        if pair.score >= LEAST and pair.target not in found and pair.source not in taken:
            found[pair.target] = pair
            taken.add(pair.source)
    return [found[column.name] for column in dataset.columns if column.name in found]


def snake(name: str) -> str:
    """Return a name as a dataset would spell it: `NPC Submitted-Date` as `npc_submitted_date`."""
    return _WORDS.sub("_", name.casefold()).strip("_") or name


def written(mapping: ColumnMap, remarks: Mapping[str, str], heading: Sequence[str]) -> str:
    """Return a mapping as TOML, with a remark after each column that has one."""
    lines = [*(f"# {line}" for line in heading), f"others = {_quoted(mapping.others)}"]
    if mapping.optional:
        lines.append(f"optional = [{', '.join(map(_quoted, mapping.optional))}]")
    lines += ["", "[columns]"]
    for target, names in mapping.columns.items():
        several = alternatives(names)
        value = _quoted(several[0]) if len(several) == 1 else f"[{', '.join(map(_quoted, several))}]"
        lines.append(f"{_key(target)} = {value}" + (f"  # {remarks[target]}" if target in remarks else ""))
    if mapping.types:
        lines += ["", "[types]", *(f"{_key(target)} = {_quoted(kind)}" for target, kind in mapping.types.items())]
    return "\n".join(lines) + "\n"


def _score(
    source: Column, target: Column, values: Mapping[str, Collection[str]], others: Mapping[str, Collection[str]]
) -> float:
    left, right = snake(source.name), snake(target.name)
    if left == right:
        return 1.0
    name = 0.5 * _alike(left.split("_"), right.split("_")) + 0.5 * difflib.SequenceMatcher(None, left, right).ratio()
    mine, theirs = set(values.get(source.name, ())), set(others.get(target.name, ()))
    # Names alone count less: two columns of other years' dates or ids share no value and may be the same.
    best = 0.8 * name
    if min(len(mine), len(theirs)) >= TELLING or (mine == theirs and any(len(value) > 1 for value in mine)):
        best = max(best, 0.5 * name + 0.5 * len(mine & theirs) / min(len(mine), len(theirs)))
    return min(best, 0.99)


def _alike(left: Sequence[str], right: Sequence[str]) -> float:
    """Return the share of words that two names have in common; `edu` and `education` are one word."""
    rest = list(right)
    shared = 0
    for word in left:
        same = next((other for other in rest if _same(word, other)), None)
        if same is not None:
            rest.remove(same)
            shared += 1
    return shared / (len(left) + len(right) - shared)


def _same(left: str, right: str) -> bool:
    short, long = sorted((left, right), key=len)
    if short == long:
        return True
    # Short for it: the same start, and every letter in order (`reqd`, `required`).
    letters = iter(long)
    return len(short) >= 3 and long.startswith(short[:3]) and all(letter in letters for letter in short)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
