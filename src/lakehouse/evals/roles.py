"""How well titles are resolved to O*NET-SOC codes: nDCG@10 and hit@1 on titles that employers wrote.

    python -m lakehouse.evals.roles --set ../shared/data/eval/h2b_title_to_onet_dev [--meanings FOLDER]
    python -m lakehouse.evals.roles --set ... --meanings FOLDER --fit

A set is a folder with `corpus.jsonl.gz` (`_id`, `text`), `queries.jsonl.gz` (`_id`, `text`) and `qrels.tsv.gz`
(`query-id`, `corpus-id`, `score`). The first form measures the product as it is. Titles of the set that occur in the
shipped H-2B sample, in whatever spelling that leaves the same word stems, were seen with their answer; the figures
that count are those of the others ("unseen").

`--fit` fits the weights anew on the unseen titles, measures by cross-validation what each kind of knowledge adds, and
prints the weights for `staffing/_role_weights.py`. `--meanings` takes a folder for the embedding model's files.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from lakehouse import settings
from lakehouse.evals import _logit
from lakehouse.staffing import _role_files as files
from lakehouse.staffing._role_index import FEATURES
from lakehouse.staffing._role_meaning import MEANINGS
from lakehouse.staffing._role_text import stem, telling, words
from lakehouse.staffing.roles import Roles

_DEPTH = 10
_FOLDS = 5
# Always decides and is nothing to fit.
_BY_HAND = "staffing"
_EXACT_RAISED_BY = 2.0


class Case(msgspec.Struct, frozen=True):
    """A title and the codes that are right for it."""

    title: str
    codes: frozenset[str]


class Figures(msgspec.Struct, frozen=True):
    """Means over the titles of a set: nDCG@10 with binary gains, and the share whose first code is right."""

    titles: int
    ndcg: float
    hit: float

    def __str__(self) -> str:
        return f"{self.titles:5} titles  nDCG@10 {self.ndcg:.4f}  hit@1 {self.hit:.4f}"


def read(folder: Path) -> list[Case]:
    """Read a set, in the order of its queries; titles without a right code are left out."""
    right: dict[str, set[str]] = defaultdict(set)
    with gzip.open(folder / "qrels.tsv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if int(row["score"]) > 0:
                right[row["query-id"]].add(row["corpus-id"])
    with gzip.open(folder / "queries.jsonl.gz", "rt", encoding="utf-8") as file:
        queries = [msgspec.json.decode(line) for line in file]
    return [Case(query["text"], frozenset(right[query["_id"]])) for query in queries if right[query["_id"]]]


def measure(cases: Iterable[Case], rank: Callable[[str], Sequence[str]]) -> Figures:
    """Measure a ranking of codes, best first."""
    gains, hits = [], []
    for case in cases:
        found = [code in case.codes for code in rank(case.title)[:_DEPTH]]
        gain = sum(1 / np.log2(place + 2) for place, right in enumerate(found) if right)
        best = sum(1 / np.log2(place + 2) for place in range(min(len(case.codes), _DEPTH)))
        gains.append(gain / best)
        hits.append(bool(found) and found[0])
    return Figures(len(gains), float(np.mean(gains)), float(np.mean(hits)))


def unseen(cases: Iterable[Case]) -> list[Case]:
    """Return the cases whose title is none of the shipped sample's, compared by the stems of its telling words."""
    seen = {_key(title.text) for title in files.employer_titles()}
    return [case for case in cases if _key(case.title) not in seen]


def _key(title: str) -> frozenset[str]:
    return frozenset(stem(word) for word in telling(words(title)))


class Table:
    """The measures of all cases, to fit weights on.

    Args:
        cases: Whose titles.
        roles: Measures by words, and by meanings when they can embed.
    """

    def __init__(self, cases: Sequence[Case], roles: Roles) -> None:
        self.cases = cases
        self.index = roles.index
        self.names = [*FEATURES, *(MEANINGS if roles.embed else ())]
        self.measures = np.stack([self._of(case.title, roles) for case in cases]).astype(np.float32)
        self.right = np.array([[code in case.codes for code in self.index.codes] for case in cases])
        self.folds = _logit.folds([_key(case.title) for case in cases], _FOLDS)

    @staticmethod
    def _of(title: str, roles: Roles) -> np.ndarray:
        by_words, _ = roles.index.features(title)
        return np.vstack([by_words, roles.meaning.features(title)]) if roles.embed else by_words

    def fit(self, names: Sequence[str], cases: np.ndarray | None = None) -> dict[str, float]:
        """Return fitted weights of the named measures; `cases` chooses which to fit on, all by default."""
        columns = [self.names.index(name) for name in names]
        chosen = slice(None) if cases is None else cases
        weights = _logit.fit(self.measures[chosen][:, columns], self.right[chosen])
        return dict(zip(names, map(float, weights), strict=True))

    def cross_validated(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Rank every title with weights fitted on the folds it is not in."""
        ranked: dict[str, list[str]] = {}
        for fold in range(_FOLDS):
            weights = finished(self.fit(names, self.folds != fold))
            for number, case in enumerate(self.cases):
                if self.folds[number] == fold:
                    ranked[case.title] = self._ranked(number, weights)
        return ranked

    def _ranked(self, number: int, weights: Mapping[str, float]) -> list[str]:
        values = np.array([weights.get(name, 0.0) for name in self.names]) @ self.measures[number]
        order = np.argsort(-self.index.joined(values), kind="stable")[:_DEPTH]
        return [self.index.codes[row] for row in order]


def finished(weights: Mapping[str, float]) -> dict[str, float]:
    """Return fitted weights with what is set by hand."""
    return {**weights, "exact": weights["exact"] + _EXACT_RAISED_BY, _BY_HAND: 20.0}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the evaluation and print its figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--set", type=Path, required=True, help="folder of corpus, queries and qrels")
    options.add_argument("--meanings", type=Path, help="compare meanings too; a folder for the model's files")
    options.add_argument("--fit", action="store_true", help="fit the weights anew and cross-validate them")
    chosen = options.parse_args(argv)
    cases = read(chosen.set)
    if chosen.meanings is None:
        _run(cases, Roles.shipped(), fit=chosen.fit)
        return
    from lakehouse.embed.service import Embeddings

    chosen.meanings.mkdir(parents=True, exist_ok=True)
    embeddings = Embeddings(settings.Embed(), chosen.meanings)
    try:
        _run(cases, Roles.shipped(embeddings.array), fit=chosen.fit)
    finally:
        embeddings.close()


def _run(cases: Sequence[Case], roles: Roles, *, fit: bool) -> None:
    new = unseen(cases)
    began = time.perf_counter()
    print(f"all     {measure(cases, lambda title: _codes(roles, title))}")
    took = (time.perf_counter() - began) / len(cases)
    print(f"unseen  {measure(new, lambda title: _codes(roles, title))}")
    print(f"{took * 1e6:.0f} us a title, {'words and meanings' if roles.embed else 'words'}")
    if fit:
        _fit(cases, new, roles)


def _fit(cases: Sequence[Case], new: Sequence[Case], roles: Roles) -> None:
    """Print what each kind of knowledge adds, cross-validated, and the weights."""
    print(f"cross-validated, {_FOLDS} folds:")
    bare = Roles(files.occupations(), files.titles(), (), files.staffing_titles(), embed=roles.embed)
    table = Table(cases, bare)
    onet = [name for name in table.names if name not in {_BY_HAND, "demand", "employer", "by_employer"}]
    for text, names in {"O*NET only": onet, "and how often H-2B asks": [*onet, "demand"]}.items():
        for label, use in _with_and_without_meanings(text, names):
            ranked = table.cross_validated(use)
            print(f"  {label:42} all     {measure(cases, ranked.__getitem__)}")
            print(f"  {'':42} unseen  {measure(new, ranked.__getitem__)}")
    table = Table(new, roles)
    learned = [name for name in table.names if name != _BY_HAND]
    for label, use in _with_and_without_meanings("and titles of the H-2B sample", learned):
        print(f"  {label:42} unseen  {measure(new, table.cross_validated(use).__getitem__)}")
        print("  weights: " + ", ".join(f'"{name}": {value:.2f}' for name, value in finished(table.fit(use)).items()))


def _with_and_without_meanings(text: str, names: Sequence[str]) -> list[tuple[str, list[str]]]:
    by_words = [name for name in names if name not in MEANINGS]
    return [(text, by_words), (f"{text}, meanings", list(names))][: 1 + (len(by_words) < len(names))]


def _codes(roles: Roles, title: str) -> list[str]:
    return [match.code for match in roles.rank(title, _DEPTH)]


if __name__ == "__main__":
    main()
