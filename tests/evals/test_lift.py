"""The proof of memory at a small size: the same code as `lakehouse eval lift`."""

import json

import pytest

from lakehouse.evals import _lift_report, _lift_shapes, lift
from lakehouse.evals._lift_demands import clusters, part_of
from lakehouse.evals.demand_lines import contracts

OPTIONS = lift.Options(years=("2018",), demands=12, clusters=4, people=40, each=4, poison=25)


def model(prompt: str) -> str:
    """Say a request again with a greeting, and rate everybody 4."""
    return "4" if "Answer with one digit" in prompt else "Hello, " + prompt.rpartition("\n\n")[2]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    return lift.measure(OPTIONS, tmp_path_factory.mktemp("lift"), model=model, model_name="unit")


def test_lift_finds_what_was_recorded_and_makes_nothing_worse(report):
    assert report.demands >= 12
    assert report.recorded > 0
    assert report.verbatim_all.hits == report.verbatim_all.total == report.recorded
    assert report.handover_verbatim.hits == report.handover_verbatim.total
    assert set(report.paraphrase) >= {"reordered", "model"}
    assert (report.regressed, report.worst) == (0, 0)


def test_lift_leaks_nothing_and_is_the_same_each_time(report):
    assert [each for each in report.bleeds if each.same_cluster] == []
    assert report.isolation_hits == 0
    assert {name: share.hits for name, share in report.deterministic.items()} == {
        name: share.total for name, share in report.deterministic.items()
    }
    assert report.poison.phantoms_refused == 5
    assert report.poison.changed == []


def test_lift_report_has_tables_plots_and_every_regressed_query(report, tmp_path):
    written = lift.write(report, tmp_path)
    assert {path.name for path in written} == {"report.md", "report.json", "lift.png", "lift.svg"}
    text = (tmp_path / "report.md").read_text()
    for part in ("rules and unit, weighted kappa", "## Queries with a worse rating than before", "lift.png"):
        assert part in text
    assert json.loads((tmp_path / "report.json").read_text())["agreement"]["model"] == "unit"


def test_report_shows_each_changed_query_with_the_entries_and_their_gates():
    moved = _lift_shapes.Moved(answer="w-1", before=None, after=2, rating=4, effect="inject", gates=["role", "judge"],
                               entry="Need a cook", role="Cook", score=1.0, by="mallory")  # fmt: skip
    changes = [
        _lift_shapes.Changed(query="Need 2 cooks", honest=True, moved=[moved]),
        _lift_shapes.Changed(query="Need a welder", honest=False, moved=[]),
    ]
    poison = _lift_shapes.Poison(tried=5, phantoms_refused=1, kept=4, queries=9, changes=changes)
    assert (poison.changed, poison.changed_honestly) == (["Need a welder"], 1)
    said = "\n".join(_lift_report.changed(poison))
    wrong, honest = said.split("## Clean queries changed by entries that passed every gate")
    assert "Need a welder" in wrong
    assert "Need 2 cooks" in honest
    assert "w-1 put in to place 2, rated 4, inject, gates role, judge; entry of mallory for Cook" in honest


def test_halves_share_no_client():
    halves = {
        part: {cluster.client for cluster in clusters(contracts(), 2026, part=part)} for part in ("tune", "held", "all")
    }
    assert halves["tune"] | halves["held"] == halves["all"]
    assert not halves["tune"] & halves["held"]
    assert part_of("Beacon Freight, Inc.") == part_of("BEACON FREIGHT INC")
