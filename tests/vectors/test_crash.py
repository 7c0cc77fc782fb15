"""Real processes killed with SIGKILL while they write; what was acknowledged must be there afterwards."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import lakehouse
from lakehouse.errors import LakehouseError
from lakehouse.vectors.base import Item
from lakehouse.vectors.service import Vectors

Open = Callable[..., Vectors]

WRITER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import numpy as np
    from lakehouse import settings
    from lakehouse.vectors.base import Item
    from lakehouse.vectors.service import Vectors

    folder, turn, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    config = settings.Vectors(fresh_limit=limit, exact_below=20)
    vectors = Vectors(config, folder, embed=lambda texts: np.ones((len(texts), 2)), embed_model="m", embed_dimension=2)
    for number in range(10**9):
        name = f"{turn}-{number}"
        items = [Item(id=f"{name}-{part}", vector=[1.0, number], metadata={"of": name}) for part in range(3)]
        vectors.add("people", items)
        print(f"added {name}", flush=True)
        if number % 3 == 2:
            vectors.delete_items("people", [f"{turn}-{number - 1}-{part}" for part in range(3)])
            print(f"deleted {turn}-{number - 1}", flush=True)
    """
)


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(lakehouse.__file__).parent.parent)}


@pytest.mark.parametrize("fresh_limit", [1_000_000, 60], ids=["adding", "adding and building"])
def test_killed_while_adding_nothing_acknowledged_is_lost(open_vectors: Open, tmp_path: Path, fresh_limit: int) -> None:
    rng = random.Random(7)
    vectors = open_vectors()
    vectors.create("people", 2)
    vectors.close()
    added: set[str] = set()
    deleted: set[str] = set()
    for turn in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(turn), str(fresh_limit)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(rng.uniform(0.0, 0.3 if fresh_limit > 60 else 1.0))
        process.kill()
        lines += process.stdout.read().splitlines()
        process.wait()
        process.stdout.close()
        for line in lines:
            kind, _, name = line.strip().partition(" ")
            (added if kind == "added" else deleted).add(name)
        again = open_vectors()
        by_name: dict[str, int] = {}
        for stored in again.scan("people"):
            name = stored.metadata["of"]
            by_name[name] = by_name.get(name, 0) + 1
        assert set(by_name.values()) <= {3}, "an add came through in part"
        # The last call of each turn may or may not have come through.
        lost = {
            name
            for name in added - deleted - set(by_name)
            if f"{int(name.split('-')[1]) + 1}" not in unsure(added, name)
        }
        assert not lost
        assert not deleted & set(by_name)
        assert len(again.nearest("people", again_query(), 10_000)) == min(10_000, again.stats("people").items)
        again.close()
    assert len(added) > 10


def unsure(added: set[str], name: str) -> set[str]:
    """Numbers whose add was the last one acknowledged, so that the deletion of the one before may have come through."""
    turn = name.split("-", maxsplit=1)[0]
    last = max(int(other.split("-")[1]) for other in added if other.split("-")[0] == turn)
    return {str(last)}


def again_query() -> object:
    import numpy as np

    return np.array([1.0, 2.0], dtype=np.float32)


def test_killed_while_replacing_the_old_index_is_whole(open_vectors: Open, tmp_path: Path) -> None:
    import numpy as np

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    vectors = open_vectors()
    vectors.create("people", 16)
    vectors.add("people", [Item(id=f"old-{n}", vector=[1.0] * 16) for n in range(50)])
    vectors.close()
    rows = tmp_path / "rows.arrow"
    program = textwrap.dedent(
        """
        import sys
        import time
        from pathlib import Path
        import numpy as np
        import pyarrow as pa
        from lakehouse import settings
        from lakehouse.vectors.service import Vectors

        folder, rows = Path(sys.argv[1]), sys.argv[2]
        count = 20_000
        values = np.random.default_rng(1).normal(size=count * 16).astype(np.float32)
        table = pa.table({
            "id": [f"new-{n}" for n in range(count)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(values), 16),
            "metadata": ["{}"] * count,
        })
        with pa.ipc.new_file(rows, table.schema) as writer:
            writer.write_table(table)
        config = settings.Vectors(scratch=str(folder / "scratch"))
        vectors = Vectors(config, folder, embed=None, embed_model="m", embed_dimension=2)

        def progress(done, total):
            print(done, flush=True)
            if done >= 3_000:
                # Stay in the middle until the kill comes.
                time.sleep(600)

        vectors.replace("people", Path(rows), dimension=16, progress=progress)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), str(rows)], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) < 3_000:
        pass
    folder = tmp_path / "vectors" / "people"
    half_built = list(folder.glob("built-*"))
    assert half_built
    process.kill()
    process.wait()
    process.stdout.close()
    assert list(scratch.iterdir())
    again = open_vectors(scratch=str(scratch))
    assert again.stats("people").items == 50
    assert not list(scratch.iterdir())
    assert {hit.id[:3] for hit in again.nearest("people", np.ones(16, dtype=np.float32), 60)} == {"old"}
    assert not list(folder.glob("built-*"))
    # The builder is gone too, so it cannot come back and write.
    deadline = time.monotonic() + 20
    while running_in(half_built[0]):
        assert time.monotonic() < deadline, "the build outlived its parent"
        time.sleep(0.05)
    again.add("people", [Item(id="later", vector=[1.0] * 16)])
    assert again.stats("people").items == 51


def running_in(folder: Path) -> list[int]:
    """Process ids of builds that have a file below `folder` open or mapped."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if b"lakehouse.vectors._build" in command and str(folder).encode() in (process / "maps").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_full_disk_refuses_an_add_and_goes_on(small_disk: Path) -> None:
    import numpy as np

    from lakehouse import settings

    def open_() -> Vectors:
        return Vectors(
            settings.Vectors(),
            small_disk,
            embed=lambda texts: np.ones((len(texts), 2)),
            embed_model="m",
            embed_dimension=2,
        )

    vectors = open_()
    vectors.create("people", 2)
    stored: list[str] = []

    def fill() -> None:
        for number in range(10_000):
            vectors.add("people", [Item(id=f"i{number}", vector=[1, 2], metadata={"text": "x" * 20_000})])
            stored.append(f"i{number}")

    with pytest.raises(LakehouseError, match="no room left"):
        fill()
    assert len(stored) > 20
    assert vectors.ids("people").ids == sorted(stored)
    vectors.add("people", [Item(id="small", vector=[1, 2])])
    vectors.close()
    again = open_()
    assert again.ids("people").ids == sorted([*stored, "small"])
    again.close()


def test_full_disk_during_a_build_keeps_the_index(small_disk: Path, tmp_path: Path) -> None:
    import numpy as np
    import pyarrow as pa

    from lakehouse import settings

    count = 1_500
    table = pa.table(
        {
            "id": [f"new-{n}" for n in range(count)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(np.ones(count * 2, dtype=np.float32)), 2),
            "metadata": ['{"text": "' + "x" * 3_000 + '"}'] * count,
        }
    )
    with pa.ipc.new_file(str(tmp_path / "rows"), table.schema) as writer:
        writer.write_table(table)
    vectors = Vectors(
        settings.Vectors(), small_disk, embed=lambda texts: np.ones((len(texts), 2)), embed_model="m", embed_dimension=2
    )
    vectors.create("people", 2)
    vectors.add("people", [Item(id="a", vector=[1, 2])])
    with pytest.raises(LakehouseError, match=r"(?i)no room left|no space left"):
        vectors.replace("people", tmp_path / "rows", dimension=2)
    assert vectors.ids("people").ids == ["a"]
    assert not list((small_disk / "vectors" / "people").glob("built-*"))
    vectors.close()
