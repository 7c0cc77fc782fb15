from __future__ import annotations

import json
import re
import threading

import lakehouse


def test_backup_of_a_serving_stack_is_restored_and_checked(run, folder, start, tmp_path) -> None:
    stack = start("up", "--data", folder, "--port", "0")
    url = next(found[1] for line in stack.stderr if (found := re.search(r"ready on (\S+)", line)))
    stop, written = threading.Event(), []

    def write() -> None:
        with lakehouse.connect(url) as lake:
            while not stop.is_set():
                lake.storage.put(f"n/{len(written):05d}", b"x" * 100)
                written.append(1)

    writing = threading.Thread(target=write)
    writing.start()
    while not written:
        stop.wait(0.01)
    try:
        before = len(written)
        code, out, err = run("backup", tmp_path / "copy", "--lake", folder, "--json")
        after = len(written)
    finally:
        stop.set()
        writing.join()
    assert (code, err) == (0, "")
    assert json.loads(out)["quiet"] is True
    stack.terminate()
    stack.communicate(timeout=60)
    code, out, err = run("restore", tmp_path / "copy", "--lake", tmp_path / "again", "--verify", "--json")
    assert (code, err) == (0, "")
    assert "1 datasets with 36 rows" in json.loads(out)["checked"]
    with lakehouse.connect(tmp_path / "again") as lake:
        assert before <= len(lake.storage.list("n/").objects) <= after + 1


def test_restore_dry_run_leaves_nothing(run, folder, tmp_path) -> None:
    assert run("backup", tmp_path / "copy", "--lake", folder)[0] == 0
    code, out, _ = run("restore", tmp_path / "copy", "--verify", "--dry-run")
    assert code == 0
    assert "datasets with 36 rows" in out
    assert not (tmp_path / "lake" / "again").exists()


def test_backup_and_restore_say_what_is_wrong(run, folder, tmp_path) -> None:
    assert run("backup", tmp_path / "copy", "--lake", tmp_path / "none")[0] == 3
    assert run("restore", tmp_path, "--lake", tmp_path / "again")[0] == 3
    run("backup", tmp_path / "copy", "--lake", folder)
    code, _, err = run("restore", tmp_path / "copy", "--lake", folder)
    assert (code, "is not empty" in err) == (2, True)


def test_restored_ledger_has_its_keys_and_goes_on(run, folder, tmp_path) -> None:
    with lakehouse.connect(folder) as lake:
        lake.vectors.get("workers", "w-1")
    assert run("backup", tmp_path / "copy", "--lake", folder)[0] == 0
    assert run("restore", tmp_path / "copy", "--lake", tmp_path / "again")[0] == 0
    with lakehouse.connect(tmp_path / "again") as lake:
        lake.vectors.get("workers", "w-1")
        assert lake.subjects.verify("w-1").rows == 2
    assert run("audit", "verify", tmp_path / "again")[0] == 0
