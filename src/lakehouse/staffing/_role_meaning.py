"""What a title means, by embeddings, beside what its words are.

    said         mean cosine to the three nearest titles that workers of the code reported
    described    cosine to the occupation's title and description
    by_employer  highest cosine to an employer's title of the H-2B sample, times the share of its demands
                 that had the code

These join the measures of `_role_index`; the weights of both were fitted together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lakehouse.staffing._role_files import EmployerTitle, Occupation, Title
from lakehouse.staffing._role_text import plain

MEANINGS = ("said", "described", "by_employer")
_NEAREST = 3


class RoleMeaning:
    """Vectors of 9,400 reported titles, 1,016 descriptions and 1,000 employers' titles, embedded at once on creation.

    That takes ten seconds or so when no text is in a cache. Reading only afterwards.

    Args:
        occupations: By code.
        titles: Their titles; those that workers reported are compared.
        employer_titles: Labelled titles of employers.
        embed: Texts to unit-norm vectors `(n, d)`.
    """

    def __init__(
        self,
        occupations: Sequence[Occupation],
        titles: Sequence[Title],
        employer_titles: Sequence[EmployerTitle],
        embed: Callable[[Sequence[str]], np.ndarray],
    ) -> None:
        self._embed = embed
        self._said, self._said_at = _reported(occupations, titles, embed)
        self._described = embed([f"{occupation.title}. {occupation.description}" for occupation in occupations])
        texts, self._employer_text, self._employer_row, self._employer_share = _labelled(occupations, employer_titles)
        self._employers = embed(texts) if texts else np.zeros((0, self._described.shape[1]), np.float32)

    def features(self, title: str) -> np.ndarray:
        """Return the measures of a title, `(len(MEANINGS), codes)`."""
        vector = self._embed([plain(title)])[0]
        out = np.zeros((len(MEANINGS), len(self._described)))
        said = np.sort((self._said @ vector)[self._said_at], axis=1)
        out[0] = said[:, -_NEAREST:].mean(axis=1)
        out[1] = self._described @ vector
        near = (self._employers @ vector)[self._employer_text] * self._employer_share
        np.maximum.at(out[2], self._employer_row, near)
        return out


def _reported(
    occupations: Sequence[Occupation], titles: Sequence[Title], embed: Callable[[Sequence[str]], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of all reported titles, and for each code which of them are its own, `(codes, most)`.

    A code with fewer titles than the most has its own again, so that each row is full.
    """
    own: dict[str, list[str]] = defaultdict(list)
    for title in titles:
        for code in title.reported.split():
            own[code].append(title.text)
    per_code = [sorted({occupation.title, *own[occupation.code]}) for occupation in occupations]
    texts = sorted({text for said in per_code for text in said})
    at = {text: number for number, text in enumerate(texts)}
    most = max(_NEAREST, *map(len, per_code))
    rows = [[at[said[number % len(said)]] for number in range(most)] for said in per_code]
    return embed(texts), np.array(rows)


def _labelled(
    occupations: Sequence[Occupation], titles: Sequence[EmployerTitle]
) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Return the employers' titles, and of each pair of a title and a code: title, code's row, share."""
    rows: Mapping[str, list[int]] = defaultdict(list)
    for row, occupation in enumerate(occupations):
        rows[occupation.code[:7]].append(row)
    known = [title for title in titles if title.soc in rows]
    total: Counter[str] = Counter()
    for title in known:
        total[title.text] += title.demands
    texts = sorted(total)
    at = {text: number for number, text in enumerate(texts)}
    pairs = [(at[title.text], row, title.demands / total[title.text]) for title in known for row in rows[title.soc]]
    return (
        texts,
        np.array([text for text, _, _ in pairs], np.int64),
        np.array([row for _, row, _ in pairs], np.int64),
        np.array([share for _, _, share in pairs], np.float64),
    )
