"""How well each occupation fits a title: a few measures a code, joined by learned weights.

    title        highest cosine to a title of the code, over stems weighted by how few codes use them
    main         the same to the occupation's own title
    titles       BM25 over all titles of the code taken as one text
    description  BM25 over its description and tasks (the 50 most telling stems)
    exact        1 where the title is, word for word, one of the code's
    staffing     1 where a list of everyday staffing titles means this code by it; always decides
    lead         1 where title and occupation are both supervisors or managers
    other_grade  1 where the occupation is a supervisor, manager or helper and the title is not
    detail       1 for detailed codes ("53-7062.04")
    demand       logarithm of how many H-2B demands the SOC code had from 2015 to 2018, times the larger of
                 `title` and `employer`: what is asked for often is meant often, but only where the words fit
    employer     highest cosine to an employer's title of the shipped H-2B sample, times the share of its
                 demands that had the code

How much each counts is in `_role_weights`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lakehouse.staffing._role_files import EmployerTitle, Occupation, Title
from lakehouse.staffing._role_text import Spelling, stem, telling, words
from lakehouse.staffing._role_weights import WORDS

FEATURES = tuple(WORDS)

# Codes of one SOC code stand together: each takes most of its score from the best of them.
_FAMILY_SHARE = 0.9
_TITLES_SATURATION, _TITLES_LENGTH = 1.5, 0.75
_HELPER, _LEAD = 1, 2
_NEVER_SEEN = 0.5  # demands counted for a code that had none
_HELPERS = frozenset("helper assistant aide apprentice".split())
_LEADS = frozenset("supervisor supervisory foreman superintendent lead leader manager management director".split())
_AT = {name: at for at, name in enumerate(FEATURES)}
# Longer words are no misspelt ones of a title, and what could be meant by one takes the square of its letters.
_LONGEST_WORD = 40
_SCALE = 0.1  # brings BM25 sums and logarithms to the size of the cosines


class _Postings(NamedTuple):
    """A sparse matrix by stem: `columns[starts[s]:starts[s + 1]]` have `values` there."""

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    @classmethod
    def build(cls, stems: np.ndarray, columns: np.ndarray, values: np.ndarray, count: int) -> _Postings:
        order = np.argsort(stems, kind="stable")
        starts = np.zeros(count + 1, np.int64)
        np.cumsum(np.bincount(stems, minlength=count), out=starts[1:])
        return cls(starts, columns[order].astype(np.int32), values[order].astype(np.float64))

    def total(self, stems: Iterable[int], width: int) -> np.ndarray:
        """Return the sum of the rows of `stems`, `(width,)`."""
        parts = [slice(self.starts[one], self.starts[one + 1]) for one in stems if one < len(self.starts) - 1]
        if not parts:
            return np.zeros(width)
        columns = np.concatenate([self.columns[part] for part in parts])
        return np.bincount(columns, np.concatenate([self.values[part] for part in parts]), width)


class RoleIndex:
    """Measures of all occupations for a title. Thread-safe: nothing changes but for what is derived once.

    Args:
        occupations: By code; codes of one SOC code stand side by side.
        titles: Titles of these occupations.
        employer_titles: Labelled titles of employers; those of unknown SOC codes are left out.
        terms: Code to stems and weights of its description.
        staffing: Everyday titles, normalised, with the one code each means.
    """

    def __init__(
        self,
        occupations: Sequence[Occupation],
        titles: Sequence[Title],
        employer_titles: Sequence[EmployerTitle],
        terms: Mapping[str, Sequence[tuple[str, float]]],
        staffing: Mapping[str, str],
    ) -> None:
        self.codes = [occupation.code for occupation in occupations]
        self._row = {code: row for row, code in enumerate(self.codes)}
        self._exact = {title.key: title.codes for title in titles}
        self._staffing = dict(staffing)
        self._stems: dict[str, int] = {}
        self._spelling: Spelling | None = None
        families = [code[:7] for code in self.codes]
        self._family_starts = np.array(
            [row for row, one in enumerate(families) if row == 0 or families[row - 1] != one]
        )
        sizes = np.diff(np.append(self._family_starts, len(families)))
        self._family = np.repeat(np.arange(len(sizes)), sizes)
        self._family_rows = {
            families[first]: range(first, first + size) for first, size in zip(self._family_starts, sizes, strict=True)
        }
        demands = np.array([occupation.demands for occupation in occupations])
        self._demand = _SCALE * (np.log(demands + _NEVER_SEEN) - np.log(_NEVER_SEEN))
        self._detail = np.array([not code.endswith(".00") for code in self.codes])
        self._grades = np.array([_occupation_grade(occupation) for occupation in occupations])
        self._index_titles(titles)
        self._index_main(occupations)
        self._index_descriptions(terms)
        self._index_employers(employer_titles)

    def joined(self, values: np.ndarray) -> np.ndarray:
        """Return scores `(codes,)` with the codes of one SOC code standing together."""
        best = np.maximum.reduceat(values, self._family_starts)[self._family]
        return _FAMILY_SHARE * best + (1 - _FAMILY_SHARE) * values

    def features(self, title: str) -> tuple[np.ndarray, float]:
        """Return the measures of a title, `(len(FEATURES), codes)`, and its support.

        The support is how near the nearest known title is, 0 to 1.
        """
        found = words(title)
        said = telling(found)
        corrected = self.corrected(said)
        stems = {stem(word) for word in corrected}
        known = [self._stems[one] for one in stems if one in self._stems]
        unknown = len(stems) - len(known)
        out = np.zeros((len(FEATURES), len(self.codes)))
        out[_AT["title"]] = self._title_cosine(known, unknown)
        out[_AT["main"]] = self._main.total(known, len(self.codes)) / self._norm(self._idf, known, unknown)
        out[_AT["titles"]] = self._bag.total(known, len(self.codes))
        out[_AT["description"]] = self._descriptions.total(known, len(self.codes))
        for key in {" ".join(found), " ".join(corrected)}:
            meant = self._staffing.get(key)
            for code in (meant or self._exact.get(key, "")).split():
                out[_AT["exact"], self._row[code]] = 1.0
            if meant:
                out[_AT["staffing"], self._row[meant]] = 1.0
        grade = _grade(corrected)
        out[_AT["lead"]] = (self._grades == _LEAD) & (grade == _LEAD)
        out[_AT["other_grade"]] = (self._grades != 0) & (self._grades != grade)
        out[_AT["detail"]] = self._detail
        out[_AT["employer"]], near = self._employer_cosine(known, unknown)
        out[_AT["demand"]] = self._demand * np.maximum(out[_AT["title"]], out[_AT["employer"]])
        exact = bool(out[_AT["exact"]].any())
        return out, 1.0 if exact else float(max(out[_AT["title"]].max(), near))

    def corrected(self, said: Iterable[str]) -> list[str]:
        """Return the words with those misspelt put right."""
        return [known for word in said for known in self._known(word)]

    def _known(self, word: str) -> list[str]:
        if len(word) > _LONGEST_WORD or stem(word) in self._stems:
            return [word]
        if self._spelling is None:
            self._spelling = Spelling(Counter(word for key in self._exact for word in key.split()))
        return self._spelling.correct(word)

    def _norm(self, idf: np.ndarray, known: Sequence[int], unknown: int) -> float:
        """Return the length of a title's vector; a word that no title has weighs as much as the rarest."""
        return float(np.sqrt((idf[known] ** 2).sum() + unknown * idf.max() ** 2)) or 1.0

    def _title_cosine(self, known: Sequence[int], unknown: int) -> np.ndarray:
        near = self._titles.total(known, self._pairs)
        return np.maximum.reduceat(near, self._pair_starts) / self._norm(self._idf, known, unknown)

    def _employer_cosine(self, known: Sequence[int], unknown: int) -> tuple[np.ndarray, float]:
        out = np.zeros(len(self.codes))
        if not len(self._employer_share):
            return out, 0.0
        near = self._employers.total(known, len(self._employer_share)) / self._norm(self._employer_idf, known, unknown)
        np.maximum.at(out, self._employer_code, near * self._employer_share)
        return out, float(near.max())

    def _add_stem(self, text: str) -> int:
        return self._stems.setdefault(text, len(self._stems))

    def _index_titles(self, titles: Sequence[Title]) -> None:
        # One pass over all words of all titles at once; a title of empty words has no telling word.
        ends = "\n"
        text = f" {ends} ".join(title.key for title in titles).split(" ")
        ids = {
            word: self._add_stem(stem(word)) if telling([word]) else -1 for word in dict.fromkeys(text) if word != ends
        }
        ids[ends] = -2
        numbers = np.array([ids[word] for word in text])
        title_of = np.cumsum(numbers == -2)
        kept = numbers >= 0
        count = len(self._stems)
        unique = np.unique(title_of[kept].astype(np.int64) * count + numbers[kept])
        title_of, stems = unique // count, unique % count

        codes = [title.codes.split(" ") for title in titles]
        pair_title = np.repeat(np.arange(len(titles)), [len(one) for one in codes])
        pair_code = np.array([self._row[code] for one in codes for code in one])
        order = np.argsort(pair_code, kind="stable")
        pair_title, pair_code = pair_title[order], pair_code[order]
        self._pairs = len(pair_code)
        self._pair_starts = np.searchsorted(pair_code, np.arange(len(self.codes)))

        first = np.searchsorted(title_of, pair_title)
        size = np.searchsorted(title_of, pair_title, side="right") - first
        pair = np.repeat(np.arange(self._pairs), size)
        stems = stems[np.arange(len(pair)) - np.repeat(np.cumsum(size) - size, size) + np.repeat(first, size)]

        in_code, frequency = np.unique(stems * len(self.codes) + pair_code[pair], return_counts=True)
        bag_stem, bag_code = in_code // len(self.codes), in_code % len(self.codes)
        self._idf = _rarity(np.bincount(bag_stem, minlength=count), len(self.codes))
        self._titles = self._cosine_postings(stems, pair, self._pairs, self._idf)
        per_code = np.bincount(pair_code, minlength=len(self.codes))
        damping = _TITLES_SATURATION * (1 - _TITLES_LENGTH + _TITLES_LENGTH * per_code / per_code.mean())
        weight = frequency * (_TITLES_SATURATION + 1) / (frequency + damping[bag_code])
        self._bag = _Postings.build(bag_stem, bag_code, _SCALE * weight * self._idf[bag_stem], count)

    def _cosine_postings(self, stems: np.ndarray, rows: np.ndarray, count: int, idf: np.ndarray) -> _Postings:
        norm = np.sqrt(np.bincount(rows, idf[stems] ** 2, count))
        return _Postings.build(stems, rows, idf[stems] ** 2 / norm[rows], len(self._stems))

    def _index_main(self, occupations: Sequence[Occupation]) -> None:
        sets = [{self._stems[stem(word)] for word in telling(words(occupation.title))} for occupation in occupations]
        stems = np.array([one for row in sets for one in row])
        rows = np.repeat(np.arange(len(sets)), [len(row) for row in sets])
        self._main = self._cosine_postings(stems, rows, len(sets), self._idf)

    def _index_descriptions(self, terms: Mapping[str, Sequence[tuple[str, float]]]) -> None:
        entries = [
            (self._add_stem(text), self._row[code], weight) for code, one in terms.items() for text, weight in one
        ]
        stems, rows, weights = (np.array(column) for column in zip(*entries, strict=True))
        self._descriptions = _Postings.build(stems, rows, _SCALE * weights, len(self._stems))
        self._idf = self._widened(self._idf, len(self.codes))

    def _index_employers(self, titles: Sequence[EmployerTitle]) -> None:
        count: Counter[tuple[frozenset[int], str]] = Counter()
        total: Counter[frozenset[int]] = Counter()
        for title in titles:
            said = frozenset(self._add_stem(stem(word)) for word in telling(words(title.text)))
            if said and title.soc in self._family_rows:
                count[said, title.soc] += title.demands
                total[said] += title.demands
        rows = [(said, row, count[said, soc] / total[said]) for said, soc in count for row in self._family_rows[soc]]
        self._employer_code = np.array([row for _, row, _ in rows], dtype=np.int64)
        self._employer_share = np.array([share for _, _, share in rows])
        frequency = np.bincount([one for said in total for one in said] or [0], minlength=len(self._stems))
        self._employer_idf = _rarity(frequency, max(1, len(total)))
        stems = np.array([one for said, _, _ in rows for one in said], dtype=np.int64)
        at = np.repeat(np.arange(len(rows)), [len(said) for said, _, _ in rows])
        self._employers = self._cosine_postings(stems, at, len(rows), self._employer_idf)
        self._idf = self._widened(self._idf, len(self.codes))

    def _widened(self, idf: np.ndarray, codes: int) -> np.ndarray:
        """Give stems that no title has the weight of the rarest."""
        return np.append(idf, np.full(len(self._stems) - len(idf), _rarity(np.zeros(1), codes)[0]))


def _rarity(frequency: np.ndarray, of: int) -> np.ndarray:
    return np.log(1 + of / (frequency + 0.5))


def _grade(said: Iterable[str]) -> int:
    found = set(said)
    if found & _LEADS:
        return _LEAD
    return _HELPER if found & _HELPERS else 0


def _occupation_grade(occupation: Occupation) -> int:
    if occupation.title.startswith("Helpers"):
        return _HELPER
    return _LEAD if occupation.title.startswith("First-Line") or occupation.code.startswith("11-") else 0
