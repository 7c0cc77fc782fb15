from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakehouse.vectors import _scratch


def test_clear_removes_what_is_left_of_one_index_alone(tmp_path: Path) -> None:
    people, others, chosen = tmp_path / "people", tmp_path / "others", tmp_path / "scratch"
    chosen.mkdir()
    with _scratch.scratch(people, 1, str(chosen)) as left, _scratch.scratch(others, 1, str(chosen)) as anothers:
        assert left is not None
        assert anothers is not None
        (left / "vectors.npy").write_bytes(b"x")
        _scratch.clear(people, str(chosen))
        assert not left.exists()
        assert anothers.exists()
    assert not list(chosen.iterdir())


def test_memory_is_taken_only_where_there_is_plenty(tmp_path: Path) -> None:
    free = _scratch.free_memory()
    if not free:
        pytest.skip("no file system in memory here")
    with _scratch.scratch(tmp_path, free, "") as folder:
        assert folder is None
    with _scratch.scratch(tmp_path, free // 100, "") as folder:
        assert folder is not None
        assert folder.parent == _scratch.MEMORY
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder.stat().st_uid == os.geteuid()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("0::/a/b", {"memory.max": "3000", "memory.current": "1500", "memory.stat": "anon 1\ninactive_file 400\n"}),
        (
            "4:memory:/a/b",
            {
                "memory.limit_in_bytes": "3000",
                "memory.usage_in_bytes": "1500",
                "memory.stat": "total_cache 1\ntotal_inactive_file 400\n",
            },
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_limit_of_a_group_around_the_process_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, files: dict[str, str]
) -> None:
    own = tmp_path / "cgroup"
    own.write_text(f"9:name=systemd:/\n{line}\n")
    root = tmp_path / "fs"
    group = root / "a" / "b"
    group.mkdir(parents=True)
    # The group itself has no limit of its own, the one around it has.
    for name, text in files.items():
        (group.parent / name).write_text(text)
        (group / name).write_text("max" if "max" in name else text)
    version = line.split(":")[1]
    monkeypatch.setattr(_scratch, "_CGROUP", own)
    monkeypatch.setattr(_scratch, "_VERSIONS", {version: _scratch._VERSIONS[version]._replace(root=root)})
    if _scratch.free_memory() == 0:
        pytest.skip("no file system in memory here")
    assert _scratch.free_memory() == 1900
