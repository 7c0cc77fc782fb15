from pathlib import Path

import numpy as np
import pytest

from lakehouse.evals import _logit
from lakehouse.evals.roles import Case, Table, finished, main, measure, read, unseen
from lakehouse.staffing import _role_files as files
from lakehouse.staffing.roles import Roles

SET = Path(__file__).parents[3] / "shared" / "data" / "eval" / "h2b_title_to_onet_dev"


def write_set(folder: Path, cases: dict[str, set[str]]) -> Path:
    import gzip
    import json

    with gzip.open(folder / "queries.jsonl.gz", "wt") as queries, gzip.open(folder / "qrels.tsv.gz", "wt") as qrels:
        qrels.write("query-id\tcorpus-id\tscore\n")
        for number, (title, codes) in enumerate(cases.items()):
            queries.write(json.dumps({"_id": str(number), "text": title}) + "\n")
            qrels.writelines(f"{number}\t{code}\t1\n" for code in sorted(codes))
    return folder


def test_measure_known_rankings():
    cases = [Case("a", frozenset({"1"})), Case("b", frozenset({"1", "2"})), Case("c", frozenset({"1"}))]
    rankings = {"a": ["1", "2"], "b": ["3", "1"], "c": []}
    figures = measure(cases, rankings.__getitem__)
    one_of_two_at_second = (1 / np.log2(3)) / (1 + 1 / np.log2(3))
    assert figures.titles == 3
    assert figures.hit == pytest.approx(1 / 3)
    assert figures.ndcg == pytest.approx((1 + one_of_two_at_second + 0) / 3)


def test_measure_looks_no_deeper_than_ten():
    cases = [Case("a", frozenset({"x"}))]
    assert measure(cases, lambda _: [*map(str, range(10)), "x"]).ndcg == 0


def test_unseen_leaves_out_titles_of_the_sample_in_any_spelling():
    sample = files.employer_titles()[0].text
    cases = [
        Case(sample, frozenset()),
        Case(sample.upper() + "s", frozenset()),
        Case("seasonal " + sample, frozenset()),
        Case("zebra whisperer", frozenset()),
    ]
    assert [case.title for case in unseen(cases)] == ["zebra whisperer"]


def test_read_joins_titles_with_their_codes(tmp_path):
    folder = write_set(tmp_path, {"cook": {"35-2014.00"}, "nanny": {"39-9011.00", "39-9011.01"}, "none": set()})
    assert read(folder) == [
        Case("cook", frozenset({"35-2014.00"})),
        Case("nanny", frozenset({"39-9011.00", "39-9011.01"})),
    ]


def test_fit_finds_the_measure_that_tells():
    draw = np.random.default_rng(1)
    right = np.zeros((200, 6), bool)
    right[np.arange(200), draw.integers(0, 6, 200)] = True
    telling = right + draw.normal(0, 0.5, right.shape)
    noise = draw.normal(0, 1, right.shape)
    weights = _logit.fit(np.stack([telling, noise], axis=1).astype(np.float32), right)
    assert weights[0] > 2
    assert abs(weights[1]) < 0.5


def test_fit_is_where_the_loss_is_flat():
    draw = np.random.default_rng(2)
    measures = draw.normal(0, 1, (60, 3, 5)).astype(np.float32)
    right = np.zeros((60, 5), bool)
    right[np.arange(60), draw.integers(0, 5, 60)] = True
    right[::7, 0] = True
    weights = _logit.fit(measures, right)
    gradient, _ = _logit._slope(measures, right, weights, 1e-4)
    assert np.abs(gradient).max() < 5e-3


def test_folds_keep_groups_together():
    found = _logit.folds(["a", "b", "a", "c", "b"], 2)
    assert found.tolist() == [0, 1, 0, 0, 1]


def test_cross_validated_never_fits_on_the_title_it_ranks(monkeypatch):
    titles = ["line cook", "forklift operator", "welder", "line cooks", "roofer", "janitor", "night janitor"]
    roles = Roles.shipped()
    cases = [Case(title, frozenset({roles.resolve(title).code})) for title in titles]
    table = Table(cases, roles)
    fitted_on: list[np.ndarray] = []
    original = table.fit
    monkeypatch.setattr(table, "fit", lambda names, chosen: fitted_on.append(chosen) or original(names, chosen))
    ranked = table.cross_validated(["title", "exact"])
    assert set(ranked) == set(titles)
    assert [bool(chosen[0] == chosen[3]) for chosen in fitted_on] == [True] * len(fitted_on)
    assert all((~chosen).sum() + chosen.sum() == len(titles) for chosen in fitted_on)
    assert sum((~chosen).sum() for chosen in fitted_on) == len(titles)


def test_finished_sets_by_hand_what_is_not_fitted():
    assert finished({"exact": 1.0, "title": 2.0}) == {"exact": 3.0, "title": 2.0, "staffing": 20.0}


def test_main_prints_figures_and_weights(tmp_path, capsys):
    main(["--set", str(write_set(tmp_path, {f"{word} zebra": {"35-2014.00"} for word in "abcdefgh"})), "--fit"])
    printed = capsys.readouterr().out
    assert "unseen      8 titles  nDCG@10" in printed
    assert '"demand": ' in printed


@pytest.mark.skipif(not SET.is_dir(), reason="the dev set is not beside this checkout")
def test_shipped_weights_on_unseen_dev_titles_reach_their_mark():
    roles = Roles.shipped()
    figures = measure(unseen(read(SET)), lambda title: [match.code for match in roles.rank(title)])
    assert figures.titles > 1_500
    assert figures.ndcg >= 0.75
    assert figures.hit >= 0.635
