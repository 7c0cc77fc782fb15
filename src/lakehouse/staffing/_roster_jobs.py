"""What people of one occupation are called, use and do: real titles, tools and tasks, cut to what a roster holds."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise

import msgspec

from lakehouse.staffing import _roster_tables as tables
from lakehouse.staffing._role_files import titles
from lakehouse.staffing.certifications import Certifications
from lakehouse.staffing.roles import Roles
from lakehouse.staffing.shipped import shipped
from lakehouse.staffing.titles import singular

# Work, not somebody who does it.
_NOBODY = frozenset({"maintenance", "housekeeping", "laundry", "sales"})
# How often a title is chosen: an employer's as often as demands had it, within bounds.
_STAFFING_WEIGHT, _MOST_WEIGHT = 12, 30
_MOST_REPORTED = 14
_TITLE = re.compile(r"[A-Z][A-Za-z]*(?:[ -][A-Za-z]+){0,3}")
# Claims that a row must then hold, grades, and words that leave the work open.
_UNFIT = frozenset(
    "certified licensed registered apprentice journeyman master senior junior lead bilingual assigned trainee man men"
    " lady woman maid supervisor manager director chief owner person student".split()
)
_OPEN = frozenset(
    "worker operator technician tech driver specialist associate attendant clerk inspector helper".split()
)
_COMMONPLACE = re.compile(
    r"comput|telephone|photocop|printer|copier|facsimile|fax|internet|operating system|e-?mail|first aid|@",
    re.IGNORECASE,
)
# A capital inside a name: a product, which keeps its letters.
_BRAND = re.compile(r"[A-Z0-9/()]")
_OFFICE = ("11-", "13-", "15-", "17-", "19-", "23-", "27-", "43-")
_CLAUSE = re.compile(
    r"[,;:.(]|\s(?:to|using|such|for|by|according|so|that|which|when|if|as|following|including|while|with|in|on|from"
    r"|before|after|through|until)\s"
)
# What follows a clause that is only the head of a list: "Administer local, inhalation, or other anesthetics".
_LISTED = re.compile(r",\s+(?:\w+,|(?:\w+\s+)?(?:or|and)\b)")
_VAGUE = frozenset({"Use", "Move"})
_DANGLING = frozenset("and or of the a an from at into under over around other their all any".split())
_ACRONYMS = frozenset("cnc cdl cna lpn rn hvac mig tig hha".split())
_SMALL = frozenset("and of the for in".split())
_LONGEST_TITLE, _LONGEST_TOOL, _LONGEST_DUTY = 30, 28, 7
# An occupation with this many tools of two words needs no longer ones.
_ENOUGH_TOOLS = 15


class Job(msgspec.Struct, frozen=True):
    """One occupation as a roster has it. `title_weights` add up along `titles`."""

    code: str
    titles: tuple[str, ...]
    title_weights: tuple[float, ...]
    tools: tuple[str, ...]
    duties: tuple[str, ...]
    certs: tuple[tuple[str, float], ...]
    said: Mapping[str, tuple[str, ...]]
    sites: tuple[str, ...]
    pay: tuple[float, float]
    shifts: tuple[float, ...]


class Jobs:
    """Occupations by code, each put together when first asked for.

    Args:
        roles: Every title is one that these resolve to its occupation.
        certifications: Finds the licences that a title names ("CNA").
        employers: Code, title as an employer wrote it, and how many demands had it.
    """

    def __init__(self, roles: Roles, certifications: Certifications, employers: Iterable[tuple[str, str, int]]) -> None:
        self._roles = roles
        self._certifications = certifications
        self._titles: dict[str, dict[str, float]] = defaultdict(dict)
        for title, code in _everyday():
            self._titles[code][title] = _STAFFING_WEIGHT
        for code, title, demands in employers:
            name = _title_case(singular(title))
            known = self._titles[code]
            known[name] = min(_MOST_WEIGHT, known.get(name, 0) + demands)
        for code, title in _reported():
            self._titles[code].setdefault(title, 1)
        self._jobs: dict[str, Job | None] = {}

    def job(self, code: str) -> Job | None:
        """Return an occupation, null when it has no title that resolves to it or too few tools."""
        if code not in self._jobs:
            self._jobs[code] = self._make(code)
        return self._jobs[code]

    def _make(self, code: str) -> Job | None:
        names = {title: weight for title, weight in self._titles.get(code, {}).items() if self._fits(title, code)}
        like = tables.LIKE.get(code, code)
        tools = _tools(self._roles.tools(like), code)
        if not names or len(tools) < 4:
            return None
        prefixes = sorted(filter(code.startswith, tables.CERTIFICATIONS), key=len, reverse=True)
        held: dict[str, float] = {}
        for prefix in prefixes:
            for name, share in tables.CERTIFICATIONS[prefix]:
                held.setdefault(name, share)
        return Job(
            code,
            titles=tuple(names),
            title_weights=tuple(accumulate(names.values())),
            tools=tuple(tools),
            duties=tuple(dict.fromkeys(filter(None, map(_duty, self._roles.tasks(like))))),
            certs=tuple(held.items()),
            said={title: tuple(match.name for match in self._certifications.find(title)) for title in names},
            sites=tables.longest_prefix(tables.SITES, code),
            pay=tables.longest_prefix(tables.PAY, code),
            shifts=tables.longest_prefix(tables.SHIFT_SHARES, code),
        )

    def _fits(self, title: str, code: str) -> bool:
        """Tell whether somebody can be called this, and whoever asks for it by this title gets this occupation."""
        words = title.lower().replace("-", " ").split()
        if (
            not _TITLE.fullmatch(title)
            or len(title) > _LONGEST_TITLE
            or set(words) & _UNFIT
            or (len(words) == 1 and words[0] in _OPEN)
        ):
            return False
        if singular(title) != title or words[-1] in _NOBODY or not self._roles.is_head(words[-1]):
            return False
        match = self._roles.resolve(title)
        return match is not None and match.code == code


def in_sentence(title: str) -> str:
    """Return a title as it stands inside a sentence: small letters, but for what is written in capitals."""
    return " ".join(word if word.isupper() else word.lower() for word in title.split())


def _everyday() -> list[tuple[str, str]]:
    with shipped("staffing_titles.csv").open(encoding="utf-8", newline="") as file:
        return [(row["title"], row["code"]) for row in csv.DictReader(file)]


def _reported() -> list[tuple[str, str]]:
    """Return codes and titles that workers themselves gave, in the order of the file."""
    found: dict[str, int] = defaultdict(int)
    pairs = []
    for title in titles():
        for code in title.reported.split():
            if _TITLE.fullmatch(title.text) and found[code] < _MOST_REPORTED and len(title.text) > 4:
                found[code] += 1
                pairs.append((code, title.text))
    return pairs


def _title_case(title: str) -> str:
    return " ".join(
        word.upper() if word.lower() in _ACRONYMS else word.lower() if word.lower() in _SMALL else word.capitalize()
        for word in title.split()
    )


def _tools(listed: Sequence[str], code: str) -> list[str]:
    """Return short tools as they stand inside a sentence; software, which is listed behind them, for offices only."""
    software = next((at for at, (a, b) in enumerate(pairwise(listed), 1) if b.casefold() < a.casefold()), len(listed))
    found = [tool if _BRAND.search(tool[1:]) else tool[:1].lower() + tool[1:] for tool in listed[:software]]
    if code.startswith(_OFFICE):
        found += listed[software:]
    else:
        found = [tool for tool in found if not _BRAND.search(tool)]
    fit = [tool for tool in dict.fromkeys(found) if len(tool) <= _LONGEST_TOOL and not _COMMONPLACE.search(tool)]
    short = [tool for tool in fit if len(tool.split()) < 3]
    return short if len(short) >= _ENOUGH_TOOLS else [tool for tool in fit if len(tool.split()) < 4]


def _duty(task: str) -> str:
    """Return the first clause of a task statement as said inside a sentence, empty when it does not stand alone."""
    clause = _CLAUSE.split(task, maxsplit=1)[0].strip()
    if _LISTED.match(task[len(clause) :]):
        return ""
    words = clause.split()
    if not 2 <= len(words) <= _LONGEST_DUTY or words[-1].lower() in _DANGLING or not clause.isascii():
        return ""
    verbs_alone = len(words) == 3 and words[1] in {"and", "or"}
    if verbs_alone or words[0] in _VAGUE or words[-1].endswith("ed") or _COMMONPLACE.search(clause):
        return ""
    return clause[0].lower() + clause[1:]
