from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from lakehouse.learn import sft
from lakehouse.learn.base import EvidenceRecord
from lakehouse.learn.firewall import SFT_NEVER, Firewall, People
from lakehouse.learn.outputs import Outputs, day_of
from lakehouse.learn.score import score, scored_row
from learn.made import FILL, PROMPT, record, tree

NAMES = [("name", "Maria Lopez"), ("name", "Ann Mason"), ("phone", "216-555-0101"), ("email", "ann@example.com")]
TAKEN = ["Need 4 Line Cooks in Detroit MI", " ".join(f"word{nth}" for nth in range(40))]
HELD_OUT = "Need 9 Riggers in Toledo OH"


def wall(**more: Any) -> Firewall:
    given = {
        "held_out": lambda text: HELD_OUT in text,
        "evaluation": TAKEN,
        "erased": ["w-13"],
        "people": People(NAMES),
    }
    return Firewall(**(given | more))


def exported(folder, records: list[EvidenceRecord], **more: Any) -> sft.SftExport:
    evidence = Outputs(folder / "evidence", "v")
    for each in records:
        evidence.add(f"{day_of(each.time)}/sessions.{each.kind}.jsonl", msgspec.json.encode(each))
    evidence.commit()
    score(folder / "evidence", folder / "scored")
    places = {"evidence": folder / "evidence", "scored": folder / "scored", "lake": folder}
    return sft.export(folder / "sft", **places, **({"firewall": wall()} | more))


def asked(nth: int, **more: Any) -> EvidenceRecord:
    """A record with a demand, people and words of its own."""
    drawn = random.Random(nth)
    words = " ".join("".join(drawn.choices("abcdefghijklmnop", k=6)) for _ in range(12))
    output = {"demand": {"role": words, "count": 1}, "workers": [{"id": f"w-{nth + 100}"}]}
    given = {"input": f"Need 1 {words}. From: w-{nth + 100}, w-{nth + 5000}", "output": json.dumps(output)}
    return record(nth, **({**given, "subjects": (f"w-{nth + 100}",)} | more))


def test_set_of_what_may_never_be_exported_is_pinned():
    assert {
        "held_out",
        "evaluation_set",
        "rejected",
        "needs_human",
        "judge_only",
        "erased_subject",
        "personal_data",
    } == SFT_NEVER


POISON: dict[str, dict[str, Any]] = {
    "rejected": {"status": "rejected"},
    "needs_human": {"status": ""},
    "judge_only": {"labels": ("judge",)},
    "erased_subject": {"subjects": ("w-13",)},
    "held_out": {"input": f"For the client:\n{HELD_OUT}"},
    "evaluation_set": {"input": f"please: {TAKEN[1]}"},
    "personal_data": {"input": "Call Maria Lopez first, then w-2"},
}
MORE_POISON = [
    ("rejected", {"grounded_in_roster": False}),
    ("rejected", {"status": "max_iter_exhausted"}),
    ("judge_only", {"labels": (), "rating": 5}),
    ("evaluation_set", {"input": f"urgent! {TAKEN[0].upper()}, please"}),
    ("evaluation_set", {"output": " ".join(f"word{nth}" for nth in range(9, 24))}),
    ("personal_data", {"output": '{"to": "x", "body": "LOPEZ, Maria"}'}),
    ("personal_data", {"output": '{"to": "ann@example.com"}'}),
    ("personal_data", {"output": '{"to": "other.person@example.org"}'}),
    ("personal_data", {"input": "ring (216) 555-0199"}),
    ("personal_data", {"input": "SSN 219-09-9999"}),
    ("personal_data", {"input": "write to [email]"}),
    ("personal_data", {"task": "iterate.sms", "output": '{"body": "Hi Maria, come at six"}'}),
]


@pytest.mark.parametrize(("category", "more"), [*POISON.items(), *MORE_POISON])
def test_firewall_names_why_a_record_may_never_be_exported(category, more):
    poisoned = record(**more)
    row = scored_row(poisoned)
    texts = (poisoned.input, poisoned.output)
    assert wall().category(poisoned, row.outcome if row else None, texts) == category


def test_firewall_lets_a_good_record_pass():
    assert set(POISON) == SFT_NEVER
    good = record()
    assert wall().category(good, "accepted", (good.input, good.output)) is None
    mason = record(input="Need 2 Masons in Cleveland OH, from w-2 and w-3")
    assert wall().category(mason, "accepted", (mason.input, mason.output)) is None


def test_ten_thousand_poisoned_records_none_is_exported(tmp_path):
    poisons = list(POISON.values())
    poisoned = [asked(nth, **poisons[nth % len(poisons)]) for nth in range(10_000)]
    good = [asked(nth) for nth in range(10_000, 10_020)]
    card = exported(tmp_path, [*poisoned, *good])
    assert card.rows == 20
    assert sum(card.dropped.values()) == 10_000
    assert set(card.dropped) == SFT_NEVER
    ids = {row.evidence_id for row in sft.lineage_of(tmp_path / card.folder)}
    assert ids == {each.evidence_id for each in good}


def test_rows_have_instruction_input_response_and_people_by_number(tmp_path):
    card = exported(tmp_path, [record()])
    folder = tmp_path / card.folder
    (split,) = (name for name, side in card.splits.items() if side["rows"])
    (row,) = sft.rows_of(folder, split)
    assert row.input == PROMPT.replace("w-1", "worker-1").replace("w-2", "worker-2")
    assert msgspec.json.decode(row.response)["workers"] == [{"id": "worker-2"}]
    (message,) = (json.loads(line) for line in (folder / f"{split}.messages.jsonl").read_text().splitlines())
    assert [turn["role"] for turn in message["messages"]] == ["system", "user", "assistant"]
    assert message["messages"][2]["content"] == row.response
    for form in ("instruction", "messages"):
        lines = [json.loads(line) for line in (folder / f"{split}.{form}.jsonl").read_text().splitlines()]
        assert pq.read_table(folder / f"{split}.{form}.parquet").to_pylist() == lines
    (line,) = sft.lineage_of(folder)
    assert (line.evidence_id, line.subjects, line.provenance.line_offset) == ("ev-0", ("w-2",), 0)
    assert FILL["workers"] == [{"id": "w-2"}]


def test_same_evidence_gives_the_same_export(tmp_path):
    records = [asked(nth) for nth in range(30)]
    card = exported(tmp_path / "a", records)
    before = tree(tmp_path / "a" / "sft")
    assert exported(tmp_path / "b", records) == card
    assert tree(tmp_path / "b" / "sft") == before
    assert len(sft.exports(tmp_path / "a" / "sft")) == 1


def test_near_duplicates_are_dropped(tmp_path):
    one = asked(1)
    again = [asked(1, evidence_id=f"ev-x{nth}", input=one.input.replace("Need 1", f"Need {nth}")) for nth in (2, 3)]
    card = exported(tmp_path, [one, *again, asked(2)])
    assert (card.rows, card.dropped) == (2, {"near_duplicate": 2})


def test_split_is_by_lineage(tmp_path):
    people = [(f"w-{nth % 40}",) for nth in range(200)]
    records = [asked(nth, subjects=people[nth], trace_id=f"t{nth % 100}") for nth in range(200)]
    card = exported(tmp_path, records, validation_share=0.3)
    lineage = sft.lineage_of(tmp_path / card.folder)
    sides = {split: [row for row in lineage if row.split == split] for split in sft.SPLITS}
    assert all(sides.values())
    for of in (lambda row: row.subjects[0], lambda row: row.trace_id, lambda row: row.group):
        assert not {of(row) for row in sides["train"]} & {of(row) for row in sides["validation"]}
    assert [row.row for row in sides["train"]] == list(range(card.splits["train"]["rows"]))


def test_card_counts_what_was_dropped_by_reason(tmp_path):
    records = [asked(1), asked(2, attempts=3), asked(3, task="validate.check"), asked(4, status="rejected")]
    card = exported(tmp_path, records)
    assert card.dropped == {"no_lesson": 1, "partially_accepted": 1, "rejected": 1}
    page = (tmp_path / card.folder / "README.md").read_text()
    assert "| rejected | 1 | never exported |" in page
    assert card.considered == 4


def test_export_about_an_erased_person_is_removed(tmp_path):
    card = exported(tmp_path, [asked(1), asked(2)])
    assert sft.forget(tmp_path / "sft", ["w-999"]) == {}
    assert sft.forget(tmp_path / "sft", ["w-101"]) == {"w-101": 1}
    assert not (tmp_path / card.folder).exists()


def test_export_of_nothing_is_an_empty_one(tmp_path):
    card = exported(tmp_path, [])
    assert card.rows == 0
    assert pq.read_table(tmp_path / card.folder / "train.messages.parquet").num_rows == 0
