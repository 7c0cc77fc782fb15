"""Stress and load on one small lake: the same code that is run at full size by hand, see docs/evaluations.md."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

import lakehouse
from lakehouse.cli import main
from lakehouse.errors import InvalidInput, NotFound, Unavailable
from lakehouse.evals import _stress_tables, load, stress
from lakehouse.serve.processes import Usage

SMALL = stress.Options(workers=150, others=150, fresh=6, branch=10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The lake of a small run, closed."""
    folder = tmp_path_factory.mktemp("proving")
    with stress.own_lake(SMALL, folder):
        pass
    return folder / "lake"


@pytest.fixture(scope="module")
def ran(folder, tmp_path_factory):
    """The small run, in process and over HTTP, each on its own copy of the lake."""
    found = []
    for name in ("process", "http"):
        place = tmp_path_factory.mktemp(name)
        shutil.copytree(folder, place / "lake")
        with lakehouse.connect(place / "lake") as lake:
            before = len(lake.vectors.ids("workers").ids)
            if name == "process":
                found.append(stress.run(lake, SMALL, place / "run"))
            else:
                with stress.served(lake) as remote:
                    found.append(stress.run(remote, SMALL, place / "run"))
            assert len(lake.vectors.ids("workers").ids) == before
            assert not [
                entry
                for index in lake.vectors.list().indexes
                if "stress" in index.name
                for entry in [index.items]
                if entry
            ]
    return found


def rows(result, kind):
    lines = (Path(result.folder) / "run.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def test_stress_holds_the_claims_that_do_not_need_many_people(ran):
    summary = ran[0].summary
    assert summary.determinism == 1.0
    assert summary.identical[0] == summary.identical[1] == 36
    assert (summary.swap, summary.before_handover, summary.split_shared) == (0.0, 0, 0)
    assert summary.fresh_by_demand == (6, 6)
    assert summary.boosted > 0


def test_stress_writes_every_event_and_phase(ran):
    events, phases = rows(ran[0], "event"), rows(ran[0], "phase")
    assert [phase["hour"] for phase in phases] == [0, 6, 9, 12, 18, 24, 30, 36, 42, 48]
    assert sum(phase["events"] for phase in phases) == len(events) == ran[0].summary.events
    assert {event["trace_id"] for event in events} == {ran[0].trace_id}
    assert all(event["hits"] and {"id", "distance", "rating", "effect"} <= set(event["hits"][0]) for event in events)
    assert [row["options"]["seed"] for row in rows(ran[0], "run")] == [1]
    report = json.loads((Path(ran[0].folder) / "report.json").read_text())
    assert report["summary"]["events"] == len(events)
    assert (Path(ran[0].folder) / "report.md").read_text().startswith("# Three coordinators, 48 hours")


def test_stress_draws_its_phases_and_its_demands(ran):
    folder = Path(ran[0].folder)
    assert (folder / "stress.png").read_bytes().startswith(b"\x89PNG")
    drawn = "".join(ET.fromstring((folder / "stress.svg").read_text(encoding="utf-8")).itertext())
    for phase in rows(ran[0], "phase"):
        assert f"{phase['hour']:02} {phase['name']}" in drawn
    for event in rows(ran[0], "event"):
        assert event["phase"] != "baseline" or f"{event['contract']}: {event['role']}" in drawn


def test_stress_says_the_same_over_http(ran):
    def lasting(result):
        return [
            {name: value for name, value in event.items() if name not in {"took_ms", "trace_id", "playbook"}}
            for event in rows(result, "event")
        ]

    assert lasting(ran[0]) == lasting(ran[1])


def test_stress_refuses_what_it_cannot_do(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with lakehouse.connect(tmp_path / "lake") as lake:
        with pytest.raises(InvalidInput, match="at most 75"):
            stress.run(lake, stress.Options(fresh=76), tmp_path / "run")
        with pytest.raises(NotFound, match="corpus 'workers' is missing"):
            stress.run(lake, SMALL, tmp_path / "run")


def test_summary_names_the_claims_that_do_not_hold(ran):
    worse = msgspec.structs.replace(ran[0].summary, swap=0.1, verbatim=(3, 4), determinism=0.9)
    assert {"swap Jaccard 0.000", "verbatim handover", "determinism 1.000"} <= set(worse.unmet())


@pytest.mark.parametrize(
    ("one", "two", "share"), [("ab", "ab", 1.0), ("ab", "bc", 1 / 3), ("a", "b", 0.0), ("", "", 1.0)]
)
def test_jaccard(one, two, share):
    assert _stress_tables.jaccard(list(one), list(two)) == share


@pytest.fixture(scope="module")
def url(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("load") / "lake"
    shutil.copytree(folder, place)
    with load.stack_of(place) as url:
        with lakehouse.connect(url) as lake:
            # The first search loads the model.
            lake.matrix.search("Need 2 cooks in Austin TX", ["workers"])
        yield url


@pytest.mark.parametrize("mix", ["rotating", "unique", "multitier"])
def test_load_in_a_closed_loop_has_no_failure(url, mix):
    report = load.run(url, load.Options(mix=mix, connections=4, seconds=1.5, warm_up=0.2))
    assert report.overall.failed == 0, report.kinds
    assert set(report.statuses) == {200}
    assert report.overall.count >= 4
    assert report.overall.p50 <= report.overall.p99 <= report.overall.longest
    assert (report.processes, report.peak_mb > 50) == (1, True)


def test_load_at_a_constant_rate_counts_waiting(url):
    few = load.run(url, load.Options(connections=2, seconds=1.5, warm_up=0, rate=10))
    assert 14 <= few.overall.count <= 16
    assert few.late == 0
    # More than any stack answers over one connection: what is due late is measured from when it was due.
    many = load.run(url, load.Options(connections=1, seconds=0.5, warm_up=0, rate=20_000))
    assert many.overall.longest > 400
    assert 9_000 < many.overall.count + many.late <= 10_000


def test_load_counts_what_fails(url):
    report = load.run(url, load.Options(mix="rotating", connections=1, seconds=0.3, warm_up=0))
    assert report.overall.failed == 0
    with pytest.raises(Unavailable, match="nothing answers"):
        load.run("http://127.0.0.1:9", load.Options(seconds=0.1))
    with pytest.raises(InvalidInput, match="https"):
        load.run("https://127.0.0.1:9", load.Options(seconds=0.1))


def sample(at_s, mb):
    usage = Usage(memory_mb=mb, private_mb=mb, cpu_s=0, threads=1, files=1)
    return load.Sample(at_s, 0, usage)


def test_flatness_is_the_slope_after_the_first_quarter():
    steady = [sample(at * 60, 900.0 if at < 10 else 1_000.0 + at) for at in range(40)]
    found = load.flatness(steady)
    assert found.slope_mb_per_h == pytest.approx(60)
    assert found.slope_share_per_h == pytest.approx(60 / 1_010, rel=0.01)
    with pytest.raises(InvalidInput, match="eight samples"):
        load.flatness(steady[:7])


def test_stress_and_load_commands_print_tables_and_fail_by_exit_code(url, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    load_it = ["eval", "load", "--lake", url, "--seconds", "0.5", "--warm-up", "0.2", "--connections", "2", "--json"]
    assert main(load_it) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["statuses"].keys() == {"200"}
    assert report["options"]["warm_up"] == 0.2
    code = main(["eval", "stress", "--lake", url, "--fresh", "2", "--output", "run"])
    out = capsys.readouterr().out
    assert "| hour 0 and hour 48, mean Jaccard | 1.000 | 1.000 |" in out
    assert code == ("**All claims hold.**" not in out)
    assert main(["eval", "stress", "--fresh", "0"]) == 2


def test_soak_command_runs_at_half_the_peak_and_judges_the_slope(url, capsys):
    code = main(
        ["eval", "soak", "--lake", url, "--minutes", "0.16", "--warm-up", "0.01", "--connections", "1", "--json"]
    )
    found = json.loads(capsys.readouterr().out)
    options, flat = found["report"]["options"], found["flatness"]
    assert (options["seconds"], options["warm_up"]) == (9.6, 0.6)
    assert options["rate"] == pytest.approx(max(1.0, found["peak_per_s"] / 2))
    assert flat["start_mb"] > 0
    failed = found["report"]["statuses"].keys() != {"200"} or found["report"]["late"]
    assert code == int(failed or flat["slope_share_per_h"] > 0.01)
