from datetime import UTC, datetime

import pytest

from lakehouse.ledger import keys
from lakehouse.ledger.chains import Chains
from lakehouse.ledger.checkpoints import Checkpoints
from lakehouse.ledger.rows import Accessor, Event

NOW = datetime(2026, 11, 26, 9, 30, 17, 461439, tzinfo=UTC)
WHO = Accessor("key", "anna", "")


def event(subject="w-1", action="search", *, fields=("name", "phone"), result="shown"):
    return Event(subject=subject, action=action, purpose="staffing", fields=fields, result=result)


class Book:
    """A small ledger on disk, opened as the product does."""

    def __init__(self, folder, anchor=None):
        self.folder = folder
        self.ring = keys.open_keys(folder / "keys", make=not (folder / "rows.jsonl").exists())
        self.checkpoints = Checkpoints(folder, anchor)
        self.chains = Chains(folder, self.ring, self.checkpoints.signed)

    def write(self, *subjects, now=NOW, who=WHO):
        self.chains.commit(self.chains.append([event(subject) for subject in subjects], who, now))

    def sign(self):
        return self.checkpoints.add(self.chains, self.chains.ring)

    def close(self):
        self.checkpoints.close()
        self.chains.close()


@pytest.fixture
def book(tmp_path):
    opened = []

    def open_(name="ledger", anchor=None):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        opened.append(Book(folder, anchor))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()
