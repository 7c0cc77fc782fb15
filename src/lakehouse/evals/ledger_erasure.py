"""Erase people from a lake and look for them in every byte of it.

    python -m lakehouse.evals.ledger_erasure --workers 1000 --people 100

A synthetic roster is ingested and made searchable; its people are searched, recorded in playbooks by name in the
demand's text, and named in an inbox. Then some are erased, ten at a time, each with a receipt, and all files of the
folder are read by this script, not by the product, for their names, phones, emails and the sentences of their resumes
that nobody else has.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import lakehouse
from lakehouse import settings
from lakehouse.ledger.base import Receipt
from lakehouse.staffing import roster

_SENTENCE = re.compile(r"(?<=[.!?;])\s+")
_FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift"


def run(workers: int, people: int, seed: int) -> tuple[int, list[str]]:
    """Do all of it; returns how many pieces were looked for, and what was found or not as it should be, in words."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "lake"
        buffer = io.BytesIO()
        roster.write(buffer, workers, seed, "csv")
        rows = {row["id"]: row for row in csv.DictReader(io.StringIO(buffer.getvalue().decode()))}
        config = settings.load(environ={}, overrides={"data": str(folder)})
        with lakehouse.connect(config=config) as lake:
            lake.ingest.file(buffer.getvalue(), "people", "text/csv")
            lake.corpora.build(
                name="workers",
                dataset="people",
                id_column="id",
                id_prefix="w-",
                text_columns=["role", "resume"],
                metadata_columns=[name for name in next(iter(rows.values())) if name not in {"id", "resume"}],
            )
            chosen = random.Random(seed).sample(sorted(rows), people)
            _use(lake, folder, [rows[id] for id in chosen])
            wrong = _erased(lake, chosen)
        pieces = _own(rows, chosen)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                wrong += [f"{path.relative_to(folder)} holds {piece!r}" for piece in pieces if piece.encode() in data]
        return len(pieces), wrong


def _use(lake: lakehouse.Lakehouse, folder: Path, chosen: list[dict[str, str]]) -> None:
    lake.matrix.search(_FORKLIFT, ["workers"], k=100)
    for row in chosen:
        lake.playbooks.record(f"{_FORKLIFT}, like {row['name']}", f"w-{row['id']}", "workers", 1.0)
    lines = [json.dumps({"body": f"Send {row['name']}, {row['phone']}, {row['email']}"}) for row in chosen]
    (folder / "inbox.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _erased(lake: lakehouse.Lakehouse, chosen: list[str]) -> list[str]:
    wrong = []
    for receipt in (each for at in range(0, len(chosen), 10) for each in _receipts(lake, chosen[at : at + 10])):
        subject = receipt.subject
        places = {purged.place.partition(" ")[0] for purged in receipt.purged}
        wrong += [f"{subject}: {path} still holds something" for path in receipt.found]
        if not {"datasets", "indexes", "embedding", "playbooks", "logs"} <= places:
            wrong.append(f"{subject}: the receipt names {sorted(places)} only")
        if not lake.subjects.verify(subject).verified:
            wrong.append(f"{subject}: the chain is broken")
    return wrong


def _receipts(lake: lakehouse.Lakehouse, ids: list[str]) -> list[Receipt]:
    return lake.rooms.subjects.erase_all([f"w-{id}" for id in ids], "asked for")


def _own(rows: dict[str, dict[str, str]], chosen: list[str]) -> list[str]:
    """Return what the chosen have and nobody who stays does."""
    counts = Counter(piece for row in rows.values() for piece in set(_pieces(row)))
    gone = Counter(piece for id in chosen for piece in set(_pieces(rows[id])))
    return sorted(piece for piece, count in gone.items() if counts[piece] == count)


def _pieces(row: dict[str, str]) -> list[str]:
    sentences = [sentence for sentence in _SENTENCE.split(row["resume"]) if len(sentence) >= 25]
    return [row["name"], row["phone"], row["email"], *sentences]


def main(words: list[str] | None = None) -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(words)
    begin = time.perf_counter()
    looked, wrong = run(given.workers, given.people, given.seed)
    print(
        f"{given.people} of {given.workers} people erased in {time.perf_counter() - begin:.0f} s; {looked} pieces",
        end=" ",
    )
    print(f"looked for in every file, {len(wrong)} faults")
    print("\n".join(wrong[:20]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
