"""The shipped files about roles, read as rows; `data/make_onet.py` says how they are made."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from lakehouse.staffing._role_text import words
from lakehouse.staffing.shipped import shipped


class Occupation(msgspec.Struct, frozen=True):
    """One O*NET-SOC occupation.

    `related` are codes of the primary tier, nearest first; `demands` counts the H-2B demands of its SOC
    code; `pay` is the 10th, 50th and 90th percentile of their hourly pay in US dollars, null without demands.
    """

    code: str
    title: str
    description: str
    related: tuple[str, ...]
    demands: int
    pay: tuple[float, float, float] | None


class Title(NamedTuple):
    """A title as people write it, its normalised form, and the codes it stands for.

    `codes` and `reported` (codes whose workers reported the title) are joined by spaces: there are 45,000
    titles, and few are ever asked for theirs.
    """

    text: str
    key: str
    codes: str
    reported: str


class EmployerTitle(msgspec.Struct, frozen=True):
    """A title of H-2B demands, the SOC code ("37-3011") the employer gave and how many demands had both."""

    text: str
    soc: str
    demands: int


def occupations() -> list[Occupation]:
    """Read all occupations, by code."""
    return [
        Occupation(
            code,
            title,
            description,
            tuple(related.split()),
            int(demands),
            (float(low), float(mid), float(high)) if mid else None,
        )
        for code, title, description, related, demands, low, mid, high in _rows("onet_occupations.csv.gz")
    ]


def titles() -> list[Title]:
    """Read all O*NET titles: occupations, reported and alternate titles, each normalised form once."""
    return [
        Title(text, key or text.lower(), codes, reported) for text, key, codes, reported in _rows("onet_titles.csv.gz")
    ]


def employer_titles() -> list[EmployerTitle]:
    """Read the titles of the shipped sample of H-2B demands."""
    return [EmployerTitle(text, soc, int(demands)) for text, soc, demands in _rows("h2b_titles.csv.gz")]


def staffing_titles() -> dict[str, str]:
    """Read everyday staffing titles, normalised, and the code each means: O*NET has them under several, or none."""
    with shipped("staffing_titles.csv").open(encoding="utf-8", newline="") as file:
        return {" ".join(words(row["title"])): row["code"] for row in csv.DictReader(file)}


def terms() -> dict[str, list[tuple[str, float]]]:
    """Read, for each code, the stems its description and tasks are told by, with their weights."""
    return {
        code: [(stem, int(weight) / 100) for stem, weight in zip(stems.split(), weights.split(), strict=True)]
        for code, stems, weights in _rows("onet_terms.csv.gz")
    }


def tasks() -> dict[str, list[str]]:
    """Read the task statements of each code, core tasks first."""
    return _grouped("onet_tasks.csv.gz")


def tools() -> dict[str, list[str]]:
    """Read the tools and software of each code."""
    return _grouped("onet_tools.csv.gz")


def _grouped(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for code, text in _rows(name):
        found[code].append(text)
    return dict(found)


def _rows(name: str) -> Iterator[list[str]]:
    with gzip.open(shipped(name), "rt", encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        yield from reader
