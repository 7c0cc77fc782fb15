"""The shapes of the full audit: what a phase looks at, what it says, how it is compared with before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from lakehouse.embed.service import Embeddings
    from lakehouse.lake.catalog import Catalog
    from lakehouse.lake.query import Query
    from lakehouse.lake.store import Store
    from lakehouse.learn.firewall import Firewall
    from lakehouse.ledger.ledger import Ledger
    from lakehouse.ledger.subjects import Subjects
    from lakehouse.matrix.corpora import Corpora
    from lakehouse.matrix.search import Matrix
    from lakehouse.memory.playbooks import Playbooks
    from lakehouse.observe.ops import Ops
    from lakehouse.staffing.parse import Parser
    from lakehouse.staffing.roles import Roles
    from lakehouse.validate.service import Validators
    from lakehouse.vectors.service import Vectors

PhaseVerdict = Literal["ok", "warn", "fail", "skipped"]
# From best to worst.
ORDER: tuple[PhaseVerdict, ...] = ("skipped", "ok", "warn", "fail")


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """What one phase found.

    Attributes:
        number: 1 to 12.
        metrics: By name, `p6_rejected`.
        findings: What is wrong or worth knowing, worst first.
        mend: How to mend it, empty when nothing has to be.
    """

    number: int
    name: str
    verdict: PhaseVerdict
    metrics: dict[str, float]
    findings: list[str]
    mend: str
    elapsed_ms: float


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A metric now and in a baseline; `change` in percent, null where one side has none or the baseline is 0."""

    metric: str
    against: Literal["first", "last"]
    baseline: float | None
    now: float | None
    change: float | None
    verdict: Literal["ok", "warn", "new", "gone"]


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """A full audit.

    Attributes:
        verdict: The worst of all phases.
        changes: Against the first and the last baseline; empty when there is none.
        baselines: Rows of the file of baselines, with the one that this audit appended.
    """

    time: str
    verdict: PhaseVerdict
    phases: list[Phase]
    changes: list[Change]
    baselines: int
    elapsed_ms: float


class Found(msgspec.Struct, kw_only=True):
    """What a phase gathers while it looks."""

    metrics: dict[str, float]
    wrong: list[str] = []
    doubtful: list[str] = []
    skipped: str = ""

    @property
    def verdict(self) -> PhaseVerdict:
        """The verdict that follows."""
        if self.wrong:
            return "fail"
        if self.doubtful:
            return "warn"
        return "skipped" if self.skipped else "ok"


class Learning(Protocol):
    """What is used of the room of learning: where its parts are, and how to bring them up to date."""

    evidence: Path
    scored: Path
    sft: Path
    logs: Mapping[str, Path]

    def materialize(self) -> object:
        """Read what is new."""

    def score(self) -> object:
        """Score what is new."""

    def firewall(self) -> Firewall:
        """Return the firewall as of now."""


class Rooms(Protocol):
    """The rooms that are looked at, as the one object has them."""

    storage: Store
    catalog: Catalog
    sql: Query
    embed: Embeddings
    vectors: Vectors
    corpora: Corpora
    matrix: Matrix
    playbooks: Playbooks
    demand: Parser
    roles: Roles
    observer: Ops
    subjects: Subjects
    ledger: Ledger
    validate: Validators


@dataclass(frozen=True, kw_only=True)
class Lake:
    """What phases look at: the rooms, the folder they are in, and what was learnt from them."""

    folder: Path
    rooms: Rooms
    learning: Learning


Look = Callable[[Lake], Found]


def sampled(ids: Sequence[str], most: int) -> list[str]:
    """Return at most so many of sorted ids, evenly spread: the same ones in every audit of the same lake."""
    if len(ids) <= most:
        return list(ids)
    return [ids[at * len(ids) // most] for at in range(most)]
