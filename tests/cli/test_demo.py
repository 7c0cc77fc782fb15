"""The demo on rosters small enough for a test: prepared once, told several times."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

import lakehouse
from lakehouse.cli import demo
from lakehouse.cli._narration import Narrator
from lakehouse.cli._story import CASES, NAMESPACE, Story, contract_lines
from lakehouse.staffing import roster as demo_roster

SIZES = {"workers": 250, "ethereal_workers": 500}
# The rosters are of this month; the story is told on these days of it.
DAYS = (1, 15, 30)
TODAY = datetime(2026, 11, 15, tzinfo=UTC).date()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "lake"
    with lakehouse.connect(folder) as lake:
        demo.prepare(lake, Narrator(), today=TODAY, sizes=SIZES)
    return folder


@contextmanager
def opened(folder, day):
    with lakehouse.connect(folder, clock=lambda: datetime(2026, 11, day, 12, tzinfo=UTC)) as lake:
        yield lake


@pytest.fixture
def demo_lake(prepared, tmp_path):
    with opened(shutil.copytree(prepared, tmp_path / "demo"), TODAY.day) as lake:
        yield lake


@pytest.mark.parametrize("day", DAYS)
def test_story_holds_on_any_day_of_the_month(prepared, tmp_path, day) -> None:
    narrator = Narrator()
    with opened(shutil.copytree(prepared, tmp_path / "demo"), day) as lake:
        Story(lake, narrator).tell()
    assert narrator.unmet == []


def test_story_holds_every_time_it_is_told(demo_lake, capsys) -> None:
    told = []
    for _ in range(2):
        narrator = Narrator()
        Story(demo_lake, narrator).tell()
        assert narrator.unmet == []
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    for number in range(1, 11):
        assert f"\n{number}. " in told[0]
    assert "NOT SO" not in told[0]
    assert len(demo_lake.playbooks.list(NAMESPACE).entries) == 1
    assert demo_lake.playbooks.list().entries == []


def test_story_without_a_memory_says_so(demo_lake, capsys) -> None:
    narrator = Narrator()
    story = Story(demo_lake, narrator)
    chosen = story.forklift().results[2]
    story.remembered(chosen)
    assert len(narrator.unmet) == 1
    assert f"NOT SO: memory did not bring {chosen.id} forward" in " ".join(capsys.readouterr().out.split())
    assert demo.end(narrator, "lake-demo", "http://127.0.0.1:3110/") == 1
    assert demo.end(Narrator(), "lake-demo", "http://127.0.0.1:3110/") == 0


def test_prepare_keeps_what_is_there(demo_lake, capsys) -> None:
    demo.prepare(demo_lake, Narrator(), today=TODAY, sizes=SIZES)
    assert capsys.readouterr().out == (
        "workers: 250 people, here already.\nethereal_workers: 500 people, here already.\n"
    )


def test_contract_lines_are_the_employers_own_words() -> None:
    lines = contract_lines(CASES)
    assert len({line.split(" in ")[1] for line in lines}) == 5
    assert lines[0] == "Need 100 WELDERS in HOUSTON TX for GALLO GROUP, INC."


def test_prepare_again_invents_nobody_unless_something_changed(demo_lake, monkeypatch, capsys) -> None:
    invented = []
    write = demo_roster.write
    monkeypatch.setattr(
        demo_roster, "write", lambda file, *args, **named: (invented.append(file), write(file, *args, **named))
    )
    demo.prepare(demo_lake, Narrator(), today=TODAY, sizes=SIZES)
    assert invented == []
    monkeypatch.setattr(demo_roster, "fingerprint", lambda: "another")
    demo.prepare(demo_lake, Narrator(), today=TODAY, sizes=SIZES)
    assert len(invented) == 2
    demo_lake.ingest.file(b"id,role\n1,cook\n", "workers", "text/csv")
    demo.prepare(demo_lake, Narrator(), today=TODAY, sizes=SIZES)
    assert len(invented) == 3
    assert demo_lake.vectors.stats("workers").items == SIZES["workers"]
