"""Erase people from a lake and look for them in every byte of it.

    python -m lakehouse.evals.ledger_erasure --workers 500 --people 100

A synthetic roster is ingested and made searchable. Its people are searched, also in a workflow whose outputs are kept,
and recorded in playbooks by name in the demand's text. Messages, operations, spans, pathways, sessions, a service's log
and logs put aside name them, with telephone numbers written in other ways than in the roster; a copy of the roster lies
among the objects, and another is a dataset of its own. Then some are erased, ten at a time, each with a receipt.

All files of the folder are read by this script with a search of its own, while the lake is open (with what SQLite keeps
in its write-ahead log and in free pages) and after it was closed, also what lies compressed in them, for the names,
phones, emails and the sentences of resumes that nobody else has. A number counts as somebody else's when its last ten
digits are. At the end the roster is ingested once more, which must bring nobody back.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import re
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec

import lakehouse
from lakehouse import settings
from lakehouse.ledger import contents
from lakehouse.ledger.base import Receipt
from lakehouse.observe.runs import Node
from lakehouse.staffing import roster

_SENTENCE = re.compile(r"(?<=[.!?;])\s+")
_FORKLIFT = "Need 2 Forklift Operators in Cleveland OH, day shift"


_BETWEEN_DIGITS = b" ().-+/\t\xc2\xa0"
_TOLD_DIGITS = 10
_LOGS = ("logs/sessions.jsonl", "logs/sessions-000001.jsonl", "exports/sft.jsonl", "service.log", "service.log.1")
_WAYS = ("{0}{1}{2}", "+1 ({0}) {1}-{2}", "{0}.{1}.{2}", "1-{0}-{1}-{2}", "{0} {1} {2}")


def run(workers: int, people: int, seed: int) -> tuple[int, list[str]]:
    """Do all of it; returns how many pieces were looked for, and what was found or not as it should be, in words."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "lake"
        buffer = io.BytesIO()
        roster.write(buffer, workers, seed, "csv")
        data = buffer.getvalue()
        rows = {row["id"]: row for row in csv.DictReader(io.StringIO(data.decode()))}
        chosen = random.Random(seed).sample(sorted(rows), people)
        pieces = _own(rows, chosen)
        changes = {"data": str(folder), "traces": {"log": True}, "logging": {"file": str(folder / "service.log")}}
        with lakehouse.connect(config=settings.load(environ={}, overrides=changes)) as lake:
            _fill(lake, data, [*next(iter(rows.values()))])
            _use(lake, folder, [rows[id] for id in chosen])
            if not _looked(folder, pieces):
                return len(pieces), ["nobody could be found before anybody was erased: the search is broken"]
            wrong = _erased(lake, chosen)
            wrong += [f"open: {fault}" for fault in _looked(folder, pieces)]
            wrong += _again(lake, data, workers - people, people)
        wrong += _looked(folder, pieces)
        return len(pieces), wrong


def _fill(lake: lakehouse.Lakehouse, data: bytes, names: list[str]) -> None:
    lake.ingest.file(data, "people", "text/csv")
    lake.ingest.file(data, "people_2025", "text/csv")
    lake.storage.put("rosters/people.csv", data)
    lake.corpora.build(
        name="workers",
        dataset="people",
        id_column="id",
        id_prefix="w-",
        text_columns=["role", "resume"],
        metadata_columns=[name for name in names if name not in {"id", "resume"}],
    )


def _use(lake: lakehouse.Lakehouse, folder: Path, chosen: list[dict[str, str]]) -> None:
    lake.matrix.search(_FORKLIFT, ["workers"], k=100)
    search = {
        "id": "found",
        "mode": "matrix.search",
        "inputs": {"query_text": _FORKLIFT, "corpora": ["workers"], "k": 100},
    }
    lake.workflow.run([msgspec.convert(search, Node)])
    rng = random.Random(len(chosen))
    lines = []
    for row in chosen:
        digits = re.sub(r"\D", "", row["phone"])[-_TOLD_DIGITS:]
        phone = rng.choice(_WAYS).format(digits[:3], digits[3:6], digits[6:])
        told = f"Send {row['name'].upper()}, {phone}, {row['email'].title()}"
        lake.playbooks.record(f"{_FORKLIFT}, like {row['name']}", f"w-{row['id']}", "workers", 1.0)
        lake.inbox.receive("email", f"{told}. {row['resume']}", sender=f"{row['name']} <{row['email']}>")
        lake.observer.event("scenario", "eval.told", summary=told, detail={"phone": int(digits), "name": row["name"]})
        lake.pathways.add(task=f"call {row['name']} back", steps=[{"tool": "phone", "input": phone}])
        lines.append(json.dumps({"body": told, "artifact": {"workers": [{"id": f"w-{row['id']}", **row}]}}))
    for name in (
        "logs/sessions.jsonl",
        "logs/sessions-000001.jsonl",
        "exports/sft.jsonl",
        "service.log",
        "service.log.1",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        with (folder / name).open("a", encoding="utf-8") as log:
            log.write("\n".join(lines) + "\n")


def _again(lake: lakehouse.Lakehouse, data: bytes, stay: int, gone: int) -> list[str]:
    """Ingest the old roster once more, under its old name and under another."""
    wrong = []
    for name in ("people", "people_2026"):
        report = lake.ingest.file(data, name, "text/csv")
        if (report.rows, report.erased) != (stay, gone):
            wrong.append(f"{name}: {report.rows} rows came in, {report.erased} were left out")
    return wrong


def _looked(folder: Path, pieces: list[str]) -> list[str]:
    """Look through every file with nothing but `in`."""
    wrong = []
    numbers = {piece: _digits(piece).encode() for piece in pieces if _digits(piece)}
    texts = {piece: piece.lower().encode() for piece in pieces if piece not in numbers}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        held: set[str] = set()
        for block in _blocks(path):
            lower, bare = block.lower(), block.translate(None, _BETWEEN_DIGITS)
            held.update(piece for piece, text in texts.items() if text in lower)
            held.update(piece for piece, number in numbers.items() if number in bare)
        wrong += [f"{path.relative_to(folder)} holds {piece!r}" for piece in sorted(held)]
    return wrong


def _blocks(path: Path) -> Iterator[bytes]:
    yield from contents.blocks(path, 4_096)
    if path.suffix == ".db":
        # Where a long text goes on, on another page, its bytes do not lie together.
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                for row in database.execute(f'SELECT * FROM "{name}"'):  # noqa: S608 - names of its own tables
                    yield "\n".join(cell for cell in row if isinstance(cell, str)).encode()


def _erased(lake: lakehouse.Lakehouse, chosen: list[str]) -> list[str]:
    wrong = []
    for receipt in (each for at in range(0, len(chosen), 10) for each in _receipts(lake, chosen[at : at + 10])):
        subject = receipt.subject
        places = {purged.place.partition(" ")[0] for purged in receipt.purged}
        wrong += [f"{subject}: {path} still holds something" for path in receipt.found]
        if not {"datasets", "indexes", "embedding", "playbooks", "messages", "logs", "objects"} <= places:
            wrong.append(f"{subject}: the receipt names {sorted(places)} only")
        if not lake.subjects.verify(subject).verified:
            wrong.append(f"{subject}: the chain is broken")
    return wrong


def _receipts(lake: lakehouse.Lakehouse, ids: list[str]) -> list[Receipt]:
    return lake.rooms.subjects.erase_all([f"w-{id}" for id in ids], "asked for")


def _own(rows: dict[str, dict[str, str]], chosen: list[str]) -> list[str]:
    """Return what the chosen have and nobody who stays does, telephone numbers by their digits."""
    others = [row for id, row in rows.items() if id not in set(chosen)]
    words = "\n".join(" ".join(row.values()).lower() for row in others)
    numbers = Counter(_digits(row["phone"]) for row in others)
    found = {piece for id in chosen for piece in _pieces(rows[id])}
    return sorted(
        piece for piece in found if not (_digits(piece) in numbers if _digits(piece) else piece.lower() in words)
    )


def _pieces(row: dict[str, str]) -> Iterable[str]:
    sentences = [sentence for sentence in _SENTENCE.split(row["resume"]) if len(sentence) >= 25]
    return [row["name"], row["phone"], row["email"], *sentences]


def _digits(piece: str) -> str:
    digits = re.sub(r"\D", "", piece)
    return digits[-_TOLD_DIGITS:] if len(digits) >= _TOLD_DIGITS and len(digits) * 2 > len(piece) else ""


def main(words: list[str] | None = None) -> int:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=500)
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
