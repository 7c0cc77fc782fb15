"""Training rows from evidence: the instruction of its task, what was asked, what was accepted; people by number."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from lakehouse.learn.base import EvidenceRecord

# By task. What is in no line of this table is no lesson: a call that returned, a row of the ledger, a rating.
INSTRUCTIONS: Mapping[str, str] = {
    "iterate.fill": "Propose workers for the demand. Choose only from the people given, and answer with one JSON object"
    " that has the demand and the ids of the workers.",
    "iterate.email": "Write the email that is asked for, as one JSON object with to, subject and body.",
    "iterate.sms": "Write the text message that is asked for, at most 160 characters, as one JSON object with to and"
    " body.",
    "iterate.playbook": "Write the playbook that is asked for, as one JSON object.",
}


_DIGITS = re.compile(r"\d")


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One training row."""

    instruction: str
    input: str
    response: str

    @property
    def texts(self) -> tuple[str, str]:
        """All that is not the same in every row of its task."""
        return self.input, self.response


def example(record: EvidenceRecord) -> Example | None:
    """Return the training row of a record, null when it teaches nothing.

    Ids of people are replaced by `worker-1`, `worker-2`, in the order in which they stand in the row.
    """
    instruction = INSTRUCTIONS.get(record.task)
    if instruction is None or not record.input.strip() or not record.output.strip():
        return None
    asked, said = _numbered((record.input, record.output), record.subjects)
    return Example(instruction=instruction, input=asked, response=said)


def _numbered(texts: Sequence[str], subjects: Sequence[str]) -> list[str]:
    if not subjects:
        return list(texts)
    prefixes = {_DIGITS.split(subject, maxsplit=1)[0] for subject in subjects}
    # Whoever else was there to choose from has an id of the same make.
    others = [re.escape(prefix) + r"\d+" for prefix in sorted(prefixes) if prefix]
    known = [re.escape(subject) for subject in sorted(subjects, key=len, reverse=True)]
    ids = re.compile(rf"(?<![\w-])(?:{'|'.join([*known, *others])})(?![\w-])")
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"worker-{len(names) + 1}")

    return [ids.sub(name, text) for text in texts]
