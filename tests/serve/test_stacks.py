"""Stacks by name: what is their own, and what two of them may not share."""

from __future__ import annotations

import os

import msgspec
import pytest

from lakehouse import settings
from lakehouse.errors import Conflict, InvalidInput, NotFound
from lakehouse.serve.stacks import Stacks


@pytest.fixture
def known(tmp_path):
    return Stacks(str(tmp_path / "stacks"))


def config(**sections):
    return settings.load(environ={}, overrides=sections)


def test_prepare_gives_each_stack_ports_data_and_bucket_of_its_own(known):
    s3 = config(storage={"backend": "s3", "bucket": "lake"})
    made = {name: known.prepare(name, s3) for name in ("persistent", "trial", "another")}
    assert [made[name][0].port for name in made] == [4110, 5110, 6110]
    assert [made[name][1].server.port for name in made] == [4110, 5110, 6110]
    assert {made[name][1].storage.bucket for name in made} == {"lake-persistent", "lake-trial", "lake-another"}
    assert len({made[name][1].data for name in made}) == 3


def test_prepare_again_brings_back_what_was_recorded(known, tmp_path):
    first, _ = known.prepare("trial", config(), port=7_110, data=str(tmp_path / "mine"), host="127.0.0.2")
    again, own = known.prepare("trial", config())
    assert again == first
    assert (own.data, own.server.port, own.server.host) == (str(tmp_path / "mine"), 7_110, "127.0.0.2")
    assert known.prepare("trial", config(), port=8_110)[0] == msgspec.structs.replace(first, offset=5_000, port=8_110)


@pytest.mark.parametrize(
    ("mine", "what"),
    [({"port": 7_110}, "port"), ({"data": "shared"}, "data folder"), ({"data": "shared/inner"}, "data folder")],
)
def test_prepare_refuses_what_another_stack_has(known, tmp_path, mine, what):
    known.prepare("one", config(), port=7_110, data=str(tmp_path / "shared"))
    if "data" in mine:
        mine = {"data": str(tmp_path / mine["data"])}
    with pytest.raises(Conflict, match=f"'one' would have the same {what}"):
        known.prepare("two", config(), **mine)
    with pytest.raises(NotFound):
        known.get("two")


@pytest.mark.parametrize(
    ("sections", "what"),
    [
        ({"storage": {"backend": "s3", "bucket": "lake", "endpoint": "http://127.0.0.1:1"}}, "bucket"),
        ({"storage": {"logs": "s3://lake-logs/all"}}, "storage.logs"),
        ({"catalog": {"uri": "postgresql+psycopg://db/lake"}}, "catalog.uri"),
        ({"catalog": {"warehouse": "/srv/warehouse"}}, "catalog.warehouse"),
    ],
)
def test_prepare_refuses_a_store_that_two_settings_files_name(known, tmp_path, sections, what):
    toml = tmp_path / "shared.toml"
    lines = [
        line
        for section, keys in sections.items()
        for line in (f"[{section}]", *(f'{key} = "{value}"' for key, value in keys.items()))
    ]
    toml.write_text("\n".join(lines))
    shared = settings.load(toml, environ={})
    bucket = "same" if what == "bucket" else None
    known.prepare("one", shared, config_file=str(toml), bucket=bucket)
    with pytest.raises(Conflict, match=f"the same {what}"):
        known.prepare("two", shared, config_file=str(toml), bucket=bucket)


@pytest.mark.parametrize("name", ["", "../up", "Big", "a b", "-x", "x" * 41])
def test_prepare_refuses_names_that_are_no_folder_names(known, name):
    with pytest.raises(InvalidInput, match="stack"):
        known.prepare(name, config())


def test_get_unknown_stack_lists_those_there_are(known):
    known.prepare("one", config())
    with pytest.raises(NotFound, match="there are: one"):
        known.get("two")


def test_status_follows_the_process(known):
    known.prepare("one", config())
    assert known.status("one").state == "stopped"
    with known.held("one"):
        assert (known.status("one").state, known.status("one").pid) == ("starting", os.getpid())
        known.say_ready("one", "http://127.0.0.1:9")
        assert (known.status("one").state, known.status("one").url) == ("running", "http://127.0.0.1:9")
        with pytest.raises(Conflict, match="runs already"), known.held("one"):
            pass
        with pytest.raises(Conflict, match="stop it first"):
            known.forget("one")
    assert [status.state for status in known.all()] == ["stopped"]
    known.forget("one")
    assert known.all() == []


def test_running_ignores_what_a_process_before_wrote(known):
    known.prepare("one", config())
    (known.path("one") / "running.json").write_text('{"pid": 1, "url": "http://old", "ready_at": "then"}')
    with known.held("one"):
        assert known.status("one").state == "starting"


def test_forget_keeps_data(known):
    record, _ = known.prepare("one", config())
    (known.path("one") / "lake").mkdir()
    with pytest.raises(Conflict, match=record.data):
        known.forget("one")
