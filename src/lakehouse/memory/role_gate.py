"""Whether a remembered demand and a new one are for the same role."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Literal

from lakehouse.staffing.titles import of_work, role_equal, role_key

if TYPE_CHECKING:
    from lakehouse.staffing.roles import Roles

Verdict = Literal["same", "other", "unknown"]

# Two titles are one role when it is more likely than not that both name the same occupation. In demands that agree in
# all else, less is enough.
_SURE = 0.5
_LIKELY = 0.2
_LEVELS = {
    "over": "supervisor foreman forewoman foreperson manager inspector chief superintendent leader lead",
    "under": "helper apprentice trainee",
}
_LEVEL_OF = {word: level for level, words in _LEVELS.items() for word in words.split()}
_WORD = re.compile(r"[a-z]+")
_REMEMBERED = 50_000


class RoleGate:
    """Compares roles by occupation and by text.

    Two titles are the same role when they are equal without case and plural, or when both more likely than not name
    the same O*NET-SOC occupation, at the same level: a foreman's entry says nothing about who should be his helper.
    Certified welders are welders, where O*NET has no occupation of its own for those who are certified.

    Args:
        roles: Occupations of titles.

    >>> from lakehouse.staffing.roles import Roles
    >>> gate = RoleGate(Roles.shipped())
    >>> gate.verdict("forklift operators", "53-7051.00", "Lift Truck Driver", "53-7051.00")
    'same'
    >>> gate.verdict("CNC Operator", "51-9161.00", "Lift Truck Driver", "53-7051.00")
    'other'
    """

    def __init__(self, roles: Roles) -> None:
        self._roles = roles
        self._chances = functools.lru_cache(_REMEMBERED)(self._chance_of_both)

    def verdict(
        self, asked: str, asked_code: str, entry: str, entry_code: str, *, otherwise_same: bool = False
    ) -> Verdict:
        """Compare the role of a demand with that of an entry, each a title and its O*NET-SOC code, empty when unknown.

        Args:
            asked, asked_code: Of the demand.
            entry, entry_code: Of the entry.
            otherwise_same: Both demands agree in all else that they say, so that they are likely one.
        """
        if not asked or not entry:
            return "unknown"
        chance = self._chances(asked, asked_code, entry, entry_code)
        return "same" if chance >= (_LIKELY if otherwise_same else _SURE) else "other"

    def _chance_of_both(self, asked: str, asked_code: str, entry: str, entry_code: str) -> float:
        """Return how likely both titles name one role."""
        if same_title(asked, asked_code, entry, entry_code):
            return 1.0
        if not asked_code or asked_code != entry_code:
            return 0.0
        # The occupation may itself be that of managers or of helpers, whatever a title of it says.
        usual = level(self._roles.title(asked_code))
        if (level(asked) or usual) != (level(entry) or usual):
            return 0.0
        return self._chance(asked) * self._chance(entry)

    def _chance(self, title: str) -> float:
        match = self._roles.resolve(title)
        if match is None:
            return 0.0
        # What O*NET itself calls the occupation is its name, however many others have a title like it.
        return 1.0 if role_equal(title, self._roles.title(match.code)) else match.score


def same_title(asked: str, asked_code: str, entry: str, entry_code: str) -> bool:
    """Tell whether two titles are equal, or are but for "certified", "seasonal" and the like where both have one code.

    >>> same_title("certified welders", "51-4121.00", "Seasonal Welder", "51-4121.00")
    True
    """
    if role_equal(asked, entry):
        return True
    return asked_code == entry_code and role_equal(of_work(asked), of_work(entry))


@functools.lru_cache(_REMEMBERED)
def narrower(one: str, other: str) -> bool:
    """Tell whether one title is the other with more or fewer words: a kind of it rather than another word for it.

    >>> narrower("Line Cook", "Cooks"), narrower("Room Attendant", "Housekeeper")
    (True, False)
    """
    said, others = (set(_WORD.findall(role_key(of_work(title)))) for title in (one, other))
    return said != others and (said <= others or others <= said)


def level(title: str) -> str:
    """Return whether a title stands over a trade ("over"), under it ("under"), or is the trade itself ("").

    >>> level("Tree Trimmer - Supervisor"), level("Drywall Helpers"), level("Drywall Installer")
    ('over', 'under', '')
    """
    said = _WORD.findall(role_key(title))
    levels = {_LEVEL_OF[word] for word in said if word in _LEVEL_OF}
    # "Assistant Chef" is under a chef, "Laundry Assistant" is the job itself.
    if "over" in levels:
        return "over"
    return "under" if levels or said[:1] == ["assistant"] else ""
