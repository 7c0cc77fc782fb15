"""Roles: from what a client calls a job to its O*NET-SOC code, and what is known of that code."""

from __future__ import annotations

import functools
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.staffing import _role_files as files
from lakehouse.staffing._role_text import telling, words
from lakehouse.staffing._role_weights import WORDS, WORDS_AND_MEANINGS
from lakehouse.staffing.titles import less_qualified, unqualified

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.staffing._role_index import RoleIndex
    from lakehouse.staffing._role_meaning import RoleMeaning

# The support a title needs to name a role: with a job word in it, with a long one that is misspelt, with none.
_ENOUGH, _ENOUGH_MISSPELT, _ENOUGH_WITHOUT_JOB = 0.4, 0.7, 0.9
_MISSPELT_LETTERS = 8
_HEAD_TITLES = 3
_LONGEST_TITLE = 12
_REMEMBERED = 20_000
# Alone, these say that somebody is wanted but not for what.
_ANYBODY = frozenset(
    "person people man men woman women guy staff body team crew employee client talent somebody some".split()
)
_QUALIFIED = frozenset("cleq")  # what "certified" and the like begin with, as 45,000 titles are looked through
_JOINS = re.compile(r"/|&|\+|and|or", re.IGNORECASE)
_PIECES = re.compile(r"[/&+]")


class RoleMatch(msgspec.Struct, frozen=True):
    """An occupation for a title. `score` is its estimated probability, 0 to 1."""

    code: str
    title: str
    score: float


class Roles:
    """Role titles and the O*NET-SOC occupations they stand for. Thread-safe.

    Args:
        occupations: By code.
        titles: Their titles.
        employer_titles: Labelled titles of employers.
        staffing: Everyday titles, normalised, and the code each means; these always decide.
        embed: Texts to unit-norm float32 vectors `(n, d)`. With it `rank` also compares meanings.

    >>> roles = Roles.shipped()
    >>> roles.resolve("Forklift Operators").code
    '53-7051.00'
    >>> roles.longest_prefix("Forklift Operators Cleveland OH".split())
    2
    """

    # Raised with every change of what `resolve` answers, so that codes that were stored are worked out again.
    edition = 3

    def __init__(
        self,
        occupations: Sequence[files.Occupation],
        titles: Sequence[files.Title],
        employer_titles: Sequence[files.EmployerTitle],
        staffing: Mapping[str, str],
        *,
        embed: Callable[[Sequence[str]], np.ndarray] | None = None,
    ) -> None:
        self._occupations = {occupation.code: occupation for occupation in occupations}
        self._titles = titles
        self._employer_titles = employer_titles
        self._staffing = staffing
        self.embed = embed
        self._heads = _heads([title.key for title in titles], staffing)
        own = {title.key for title in titles} | set(staffing)
        self._known = own | self._employers_own()
        self._qualified = frozenset(key for key in own if key[:1] in _QUALIFIED and unqualified(key) != key)
        self._building = threading.Lock()
        self._index: RoleIndex | None = None
        self._meaning: RoleMeaning | None = None
        self._remembered = functools.lru_cache(_REMEMBERED)(self._resolve)

    @classmethod
    def shipped(cls, embed: Callable[[Sequence[str]], np.ndarray] | None = None) -> Roles:
        """Read the vocabulary that ships with the product, in about a tenth of a second.

        Raises:
            NotInstalled: A data file is missing.
        """
        return cls(files.occupations(), files.titles(), files.employer_titles(), files.staffing_titles(), embed=embed)

    def resolve(self, title: str) -> RoleMatch | None:
        """Return the occupation a title stands for by its words alone, null when it names no role.

        "Certified", "licensed", "experienced" or "qualified" before a title changes nothing, unless O*NET has the
        title with that word ("Licensed Practical Nurse").

        The same as the first of `rank` without meanings. Takes a quarter of a millisecond, a remembered title
        less than a microsecond; the first call builds the index (a third of a second).
        """
        return self._remembered(title)

    def rank(self, title: str, k: int = 10) -> list[RoleMatch]:
        """Return the k best occupations for a title, best first, ties by code; none when nothing is near it.

        Args:
            title: As the client wrote it.
            k: Most results, at least 1.

        Raises:
            InvalidInput: `k` is less than 1.
        """
        if k < 1:
            raise InvalidInput(f"k must be at least 1, not {k}", field="k")
        if self.embed is None:
            values, support = self._by_words(self._meant(title))
            return self._matches(values, k) if support else []
        return self._matches(self._by_meaning(self._meant(title)), k) if title.strip() else []

    def known(self, phrase: str) -> bool:
        """Tell whether a phrase is a title, in any case, number and punctuation; "certified" may stand before it."""
        if " ".join(words(phrase)) in self._known:
            return True
        bare = unqualified(phrase)
        return bare is not phrase and self.known(bare)

    def longest_prefix(self, words: Sequence[str]) -> int:
        """Return how many leading words form a title, or titles joined by a slash or "and"; 0 when none do.

        Args:
            words: As written, punctuation attached or apart ("Packers/Packagers," is one word).
        """
        first = self._longest_title(words)
        if not first or first >= len(words):
            return first
        rest = words[first:]
        if _JOINS.fullmatch(rest[0]):
            more = self.longest_prefix(rest[1:])
            return first + 1 + more if more else first
        return first + (self.longest_prefix(rest) if words[first - 1].endswith(("/", "&")) else 0)

    def is_head(self, word: str) -> bool:
        """Tell whether a word is one that titles end in ("worker", "attendants"), in any number."""
        found = words(word)
        return len(found) == 1 and found[0] in self._heads

    def title(self, code: str) -> str:
        """Return the occupation's title.

        Raises:
            NotFound: No such code.
        """
        return self._occupation(code).title

    def related(self, code_a: str, code_b: str) -> bool:
        """Tell whether two codes are near: the same broad occupation, or related in O*NET's primary tier.

        Unknown codes are related to nothing but themselves.
        """
        if code_a == code_b or (code_a[:6] == code_b[:6] and len(code_a) > 6):
            return True
        a, b = self._occupations.get(code_a), self._occupations.get(code_b)
        return (a is not None and code_b in a.related) or (b is not None and code_a in b.related)

    def tasks(self, code: str) -> list[str]:
        """Return the occupation's task statements, core tasks first; some occupations have none.

        Raises:
            NotFound: No such code.
        """
        return self._tasks.get(self._occupation(code).code, [])

    def tools(self, code: str) -> list[str]:
        """Return the tools and software of an occupation; some occupations have none.

        Raises:
            NotFound: No such code.
        """
        return self._tools.get(self._occupation(code).code, [])

    def _occupation(self, code: str) -> files.Occupation:
        try:
            return self._occupations[code]
        except KeyError:
            raise NotFound(f"O*NET-SOC code {code!r} is unknown; codes look like '53-7051.00'", code=code) from None

    @functools.cached_property
    def _tasks(self) -> dict[str, list[str]]:
        return files.tasks()

    @functools.cached_property
    def _tools(self) -> dict[str, list[str]]:
        return files.tools()

    @property
    def index(self) -> RoleIndex:
        """The measures by words, built on first use."""
        with self._building:
            if self._index is None:
                from lakehouse.staffing._role_index import RoleIndex

                occupations = list(self._occupations.values())
                self._index = RoleIndex(occupations, self._titles, self._employer_titles, files.terms(), self._staffing)
            return self._index

    @property
    def meaning(self) -> RoleMeaning:
        """The measures by meanings, embedded on first use.

        Raises:
            InvalidInput: These roles were made without `embed`.
        """
        if self.embed is None:
            raise InvalidInput("roles made without an embedding function know no meanings", field="embed")
        with self._building:
            if self._meaning is None:
                from lakehouse.staffing._role_meaning import RoleMeaning

                occupations = list(self._occupations.values())
                self._meaning = RoleMeaning(occupations, self._titles, self._employer_titles, self.embed)
            return self._meaning

    def _meant(self, title: str) -> str:
        """Return a title without what praises its worker, as far as O*NET does not have it with that."""
        forms = [*less_qualified(title)]
        return next((one for one in forms[:-1] if " ".join(words(one)) in self._qualified), forms[-1])

    def _resolve(self, title: str) -> RoleMatch | None:
        title = self._meant(title)
        said = telling(words(title))
        if not said or set(said) <= _ANYBODY:
            return None
        values, support = self._by_words(title)
        return self._matches(values, 1)[0] if self._names_role(title, said, support) else None

    def _by_words(self, title: str) -> tuple[np.ndarray, float]:
        import numpy as np

        features, support = self.index.features(title)
        return self.index.joined(np.array([*WORDS.values()]) @ features), support

    def _by_meaning(self, title: str) -> np.ndarray:
        import numpy as np

        features = np.vstack([self.index.features(title)[0], self.meaning.features(title)])
        return self.index.joined(np.array([*WORDS_AND_MEANINGS.values()]) @ features)

    def _employers_own(self) -> set[str]:
        """Return the titles of employers that end in a job word and hold nothing but words."""
        found = (words(title.text) for title in self._employer_titles)
        return {" ".join(said) for said in found if said and said[-1] in self._heads and " ".join(said).isascii()}

    def _names_role(self, title: str, said: Sequence[str], support: float) -> bool:
        if support >= _ENOUGH_WITHOUT_JOB and (len(said) > 1 or self.known(title)):
            return True
        if any(word in self._heads for word in said):
            return support >= _ENOUGH
        long = [word for word in said if len(word) >= _MISSPELT_LETTERS]
        return support >= _ENOUGH_MISSPELT and not self._heads.isdisjoint(self.index.corrected(long))

    def _matches(self, values: np.ndarray, k: int) -> list[RoleMatch]:
        import numpy as np

        order = np.argsort(-values, kind="stable")[:k]
        odds = np.exp(values - values[order[0]])
        chance = odds / odds.sum()
        codes = self.index.codes
        return [RoleMatch(codes[row], self._occupations[codes[row]].title, float(chance[row])) for row in order]

    def _longest_title(self, said: Sequence[str]) -> int:
        longest, phrase, written = 0, "", ""
        for count, word in enumerate(said[:_LONGEST_TITLE], 1):
            own = words(word)
            phrase = " ".join([phrase, *own]).strip()
            written = f"{written} {word}"
            if own and (self.known(phrase) or self._all_known(written)):
                longest = count
        return longest

    def _all_known(self, written: str) -> bool:
        """Tell whether "Packers/Packagers" is made of titles."""
        parts = _PIECES.split(written) if _PIECES.search(written) else []
        return len(parts) > 1 and all(part.strip() and self.known(part) for part in parts)


def _heads(keys: Iterable[str], staffing: Iterable[str]) -> frozenset[str]:
    """Return the words that end several titles, or are one."""
    last = Counter(key.rsplit(" ", 1)[-1] for key in keys)
    often = {word for word, count in last.items() if count >= _HEAD_TITLES}
    alone = {key for key in keys if " " not in key}
    ending = {key.rsplit(" ", 1)[-1] for key in staffing}
    return frozenset(word for word in often | alone | ending if len(word) > 2 and word.isalpha())
