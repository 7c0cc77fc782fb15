"""The export of training data: accepted evidence, past the firewall, without near duplicates, split by lineage."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from lakehouse.learn import near, reading
from lakehouse.learn.base import EvidenceRecord, Provenance
from lakehouse.learn.firewall import SFT_NEVER, Firewall
from lakehouse.learn.near import Duplicates
from lakehouse.learn.synthesis import Example, example
from lakehouse.state.folder import atomic_write, fsync_dir

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")
LINEAGE = "lineage.jsonl"
CARD = "card.json"


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where a training row comes from; `row` counts from 0 in the files of its split.

    Attributes:
        group: Rows that share a person, a trace or an ask have the same; a group is never on both sides.
    """

    split: Split
    row: int
    evidence_id: str
    subjects: tuple[str, ...]
    trace_id: str
    group: str
    provenance: Provenance


class SftExport(msgspec.Struct, frozen=True, kw_only=True):
    """The data card of an export.

    Attributes:
        export_id: Follows from the rows and their lineage: the same rows are the same export.
        folder: Relative to the lake.
        considered: Evidence records that were looked at.
        rows: Of these, those exported.
        splits: Rows of each side, and how many groups of lineage it has.
        dropped: Records that were not exported, by reason. The reasons of `never` are the firewall's.
        never: The closed set of what may never be exported.
        tasks: Rows by task.
    """

    export_id: str
    folder: str
    considered: int
    rows: int
    splits: dict[str, dict[str, int]]
    dropped: dict[str, int]
    never: list[str]
    tasks: dict[str, int]
    rules_version: str


class _Kept(msgspec.Struct, frozen=True):
    record: EvidenceRecord
    row: Example


def export(
    folder: Path,
    *,
    evidence: Path,
    scored: Path,
    lake: Path,
    firewall: Firewall,
    near_duplicate: float = 0.85,
    validation_share: float = 0.1,
) -> SftExport:
    """Write an export below a folder, or find that it is there already.

    Args:
        folder: Of all exports; each has a folder of its own, which appears whole or not at all.
        evidence, scored: Folders.
        lake: What the answer's folder is relative to.
        firewall: What may not pass.
        near_duplicate: Share of five-letter runs from which a row repeats an earlier one.
        validation_share: Of the groups of lineage.

    Raises:
        IntegrityError: A row of the evidence cannot be read.
        PermissionDenied, Unavailable: The disk refused; no export appeared.
    """
    dropped: Counter[str] = Counter()
    kept = list(_kept(evidence, scored, firewall, Duplicates(near_duplicate), dropped))
    rows, lineage = _split(kept, validation_share)
    card = _card(rows, lineage, dropped, [each.record.task for each in kept])
    target = folder / card.export_id
    card = msgspec.structs.replace(card, folder=str(target.relative_to(lake)))
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".export-*"):
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
        try:
            _write(scratch, rows, lineage, card)
            scratch.rename(target)
            fsync_dir(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    elif msgspec.json.decode((target / CARD).read_bytes(), type=SftExport) != card:
        # The same rows, of more evidence.
        _write_card(target, card)
    return card


def exports(folder: Path) -> list[Path]:
    """Return the folders of all exports, oldest first."""
    return sorted((path.parent for path in folder.glob(f"*/{CARD}")), key=lambda path: (path.stat().st_mtime, path))


def lineage_of(export: Path) -> list[Lineage]:
    """Return where the rows of an export come from, train first, then in the order of the rows."""
    decode = msgspec.json.Decoder(Lineage).decode
    return [decode(line) for line in (export / LINEAGE).read_bytes().splitlines()]


def rows_of(export: Path, split: Split) -> list[Example]:
    """Return the rows of one side of an export, in order."""
    decode = msgspec.json.Decoder(Example).decode
    return [decode(line) for line in (export / f"{split}.instruction.jsonl").read_bytes().splitlines()]


def forget(folder: Path, subjects: Sequence[str]) -> dict[str, int]:
    """Remove every export that has a row about one of these people; returns how many such rows there were of each."""
    found: Counter[str] = Counter()
    for each in exports(folder):
        about = [subject for row in lineage_of(each) for subject in row.subjects if subject in subjects]
        if about:
            found.update(about)
            shutil.rmtree(each)
    return dict(found)


def _kept(evidence: Path, scored: Path, firewall: Firewall, seen: Duplicates, dropped: Counter[str]) -> Iterator[_Kept]:
    verdicts = reading.verdicts(scored)
    for record in reading.evidence(evidence):
        verdict = verdicts.get(record.evidence_id)
        row = example(record)
        reason = _reason(record, verdict.outcome if verdict else None, row, firewall, seen)
        if reason or row is None:
            dropped[reason or "no_lesson"] += 1
        else:
            yield _Kept(record, row)


def _reason(record: EvidenceRecord, outcome: Any, row: Example | None, firewall: Firewall, seen: Duplicates) -> str:
    """Return why a record is not exported, empty when it is. The firewall has the first word."""
    never = firewall.category(record, outcome, row.texts if row else (record.input, record.output))
    if never:
        return never
    if outcome is None:
        return "unscored"
    if outcome != "accepted":
        return str(outcome)
    if row is None:
        return "no_lesson"
    return "near_duplicate" if seen.add(record.evidence_id, "\n".join(row.texts)) else ""


def _split(kept: Sequence[_Kept], share: float) -> tuple[dict[Split, list[Example]], list[Lineage]]:
    groups = {each.record.evidence_id: _keys(each) for each in kept}
    root = dict(near.joined(groups.values()))
    rows: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    lineage: list[Lineage] = []
    for each in kept:
        group = hashlib.sha256(root[groups[each.record.evidence_id][0]].encode()).hexdigest()
        split: Split = "validation" if int(group[:16], 16) < share * 2**64 else "train"
        lineage.append(
            Lineage(
                split=split,
                row=len(rows[split]),
                evidence_id=each.record.evidence_id,
                subjects=each.record.subjects,
                trace_id=each.record.trace_id,
                group=group[:16],
                provenance=each.record.provenance,
            )
        )
        rows[split].append(each.row)
    return rows, sorted(lineage, key=lambda row: (SPLITS.index(row.split), row.row))


def _keys(each: _Kept) -> list[str]:
    record = each.record
    asked = hashlib.sha256(" ".join(near.words(each.row.input)).encode()).hexdigest()
    return [
        f"ask:{asked}",
        *([f"trace:{record.trace_id}"] if record.trace_id else []),
        *(f"person:{subject}" for subject in record.subjects),
    ]


def _card(
    rows: Mapping[Split, list[Example]], lineage: Sequence[Lineage], dropped: Counter[str], tasks: Sequence[str]
) -> SftExport:
    from lakehouse.observe import scoring

    total = sum(map(len, rows.values()))
    facts = msgspec.json.encode([rows, lineage, scoring.VERSION])
    return SftExport(
        export_id=f"sft-{hashlib.sha256(facts).hexdigest()[:16]}",
        folder="",
        considered=total + sum(dropped.values()),
        rows=total,
        splits={
            split: {"rows": len(rows[split]), "groups": len({row.group for row in lineage if row.split == split})}
            for split in SPLITS
        },
        dropped=dict(sorted(dropped.items())),
        never=sorted(SFT_NEVER),
        tasks=dict(sorted(Counter(tasks).items())),
        rules_version=scoring.VERSION,
    )


def _write(folder: Path, rows: Mapping[Split, list[Example]], lineage: Sequence[Lineage], card: SftExport) -> None:
    for split in SPLITS:
        plain = [msgspec.to_builtins(row) for row in rows[split]]
        _write_form(folder / f"{split}.instruction", plain, ("instruction", "input", "response"))
        _write_form(folder / f"{split}.messages", [{"messages": _messages(row)} for row in rows[split]], ("messages",))
    atomic_write(folder / LINEAGE, _lines(lineage))
    _write_card(folder, card)


def _write_card(folder: Path, card: SftExport) -> None:
    atomic_write(folder / "README.md", _readme(card).encode())
    atomic_write(folder / CARD, msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")


def _write_form(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    message = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    schema = pa.schema([(name, message if name == "messages" else pa.string()) for name in columns])
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), sink)
    atomic_write(path.with_name(f"{path.name}.parquet"), sink.getvalue())
    atomic_write(path.with_name(f"{path.name}.jsonl"), _lines(rows))


def _messages(row: Example) -> list[dict[str, str]]:
    texts = {"system": row.instruction, "user": row.input, "assistant": row.response}
    return [{"role": role, "content": text} for role, text in texts.items()]


def _lines(rows: Sequence[Any]) -> bytes:
    return b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def _readme(card: SftExport) -> str:
    listed = [f"| {reason} | {count:,} |{' never exported |' if reason in SFT_NEVER else ' |'}"
              for reason, count in card.dropped.items()]  # fmt: skip
    sides = [f"| {split} | {each['rows']:,} | {each['groups']:,} |" for split, each in card.splits.items()]
    return "\n".join(
        [
            f"# {card.export_id}",
            "",
            f"{card.rows:,} rows of {card.considered:,} evidence records, scored by {card.rules_version}. Each row",
            "comes from evidence that a validator accepted; people are numbered, and `lineage.jsonl` says where a row",
            "is from. Rows that share a person, a trace or an ask are on one side of the split.",
            "",
            "| split | rows | groups |",
            "| --- | ---: | ---: |",
            *sides,
            "",
            "| dropped because | records | |",
            "| --- | ---: | --- |",
            *listed,
            "",
            f"Never exported, whatever else is said of it: {', '.join(card.never)}.",
            "",
        ]
    )
