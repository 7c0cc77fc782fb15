from __future__ import annotations

import json
import socket

import pytest

from lakehouse.ledger import keys, ledger


def _checks(run, *words) -> tuple[int, dict[str, tuple[str, str]]]:
    code, out, err = run("doctor", "--json", *words)
    assert err == ""
    report = json.loads(out)
    assert report["ok"] is (code == 0)
    return code, {check["name"]: (check["state"], check["found"]) for check in report["checks"]}


@pytest.fixture
def port(free_port, monkeypatch) -> int:
    """The gateway's port, a free one."""
    monkeypatch.setenv("LAKEHOUSE_SERVER__PORT", str(free_port))
    return free_port


def test_doctor_on_a_sound_machine_finds_everything_and_makes_no_lake(run, port, tmp_path) -> None:
    code, checks = _checks(run)
    assert code == 0, checks
    names = ["python", "packages", "settings", "model", "vocabularies", "sample data", "lake", "disk", "port"]
    assert list(checks) == names
    assert {name for name, (state, _) in checks.items() if state != "ok"} == {"lake"}
    assert "does not exist yet" in checks["lake"][1]
    assert "384" in checks["model"][1]
    assert list(tmp_path.iterdir()) == []


def test_doctor_prints_a_table_and_a_verdict(run, port) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    assert out.splitlines()[0].split() == ["check", "state", "found"]
    assert out.splitlines()[-1] == "Everything needed is there."


def test_doctor_says_that_a_lake_is_open_elsewhere(run, port, folder, lake_process) -> None:
    pid = lake_process(folder)
    code, checks = _checks(run)
    assert (code, checks["lake"][0]) == (0, "note")
    assert f"process {pid}" in checks["lake"][1]


def test_doctor_finds_a_lake_of_a_newer_version(run, port, folder) -> None:
    (folder / "LAKE.json").write_text('{"format":99,"created_by":"9.0"}', encoding="utf-8")
    code, checks = _checks(run)
    assert (code, checks["lake"][0]) == (1, "wrong")
    assert "install a newer lakehouse" in checks["lake"][1]


def test_doctor_finds_keys_of_the_ledger_that_the_lake_cannot_work_with(run, port, folder) -> None:
    keys.open_keys(folder / ledger.FOLDER / ledger.KEYS, make=True)
    code, checks = _checks(run)
    assert (code, checks["ledger keys"][0]) == (0, "ok")
    (key,) = (folder / ledger.FOLDER / ledger.KEYS).glob("k*.key")
    key.write_bytes(b"short")
    code, checks = _checks(run)
    assert (code, checks["ledger keys"][0]) == (1, "wrong")
    assert key.name in checks["ledger keys"][1]


def test_doctor_finds_a_port_that_somebody_else_holds(run, monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        monkeypatch.setenv("LAKEHOUSE_SERVER__PORT", str(held.getsockname()[1]))
        # It must not wait for an answer that never comes.
        held.listen(0)
        code, checks = _checks(run)
    assert (code, checks["port"][0]) == (1, "wrong")
    assert "is held by process" in checks["port"][1]


def test_doctor_finds_damaged_weights(run, port, tmp_path, monkeypatch) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"not these")
    (tmp_path / "weights" / "tokenizer.json").write_bytes(b"{}")
    monkeypatch.setenv("LAKEHOUSE_EMBED__MODEL_PATH", str(tmp_path / "weights"))
    code, checks = _checks(run)
    assert (code, checks["model"][0]) == (1, "wrong")
    assert "sha256" in checks["model"][1]


def test_doctor_with_wrong_settings_stops_there(run, tmp_path) -> None:
    (tmp_path / "lakehouse.toml").write_text("datta = 'x'\n", encoding="utf-8")
    code, checks = _checks(run)
    assert code == 1
    assert list(checks)[-1] == "settings"
    assert "datta" in checks["settings"][1]


def test_doctor_on_a_full_disk_and_a_read_only_one_says_so(run, port, small_disk, read_only_folder) -> None:
    checks = _checks(run, "--lake", small_disk / "lake")[1]
    assert checks["disk"][0] == "wrong"
    assert "free some" in checks["disk"][1]
    checks = _checks(run, "--lake", read_only_folder)[1]
    assert checks["lake"][0] == "wrong"
    assert "cannot write" in checks["lake"][1]
