"""The phases of the stress, hour by hour; every search is an event with all that it answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse import operations, progress, tracing
from lakehouse.evals._stress_scenario import CONTRACTS, INBOX, PER_ROLE, Contract, Fresh
from lakehouse.memory.base import DEFAULT_NAMESPACE
from lakehouse.vectors.base import Item

if TYPE_CHECKING:
    from lakehouse.app import Lakehouse
    from lakehouse.matrix.base import SearchAnswer

SWAPPED = 200
_INBOX_OPERATION = "inbox"


class Hit(msgspec.Struct, frozen=True):
    """One person of an answer; `effect` is what memory did."""

    id: str
    corpus: str
    distance: float
    rating: int | None
    effect: str


class Event(msgspec.Struct, frozen=True, kw_only=True, tag="event", tag_field="kind"):
    """One search, and what came of it; `about` is what the phase wants to know of it."""

    number: int
    hour: int
    phase: str
    coordinator: str
    contract: str
    role: str
    query: str
    playbook: str
    k: int
    excluded: int
    hits: list[Hit]
    per_corpus: dict[str, int]
    boosted: int
    injected: int
    no_good_match: bool
    took_ms: float
    trace_id: str
    about: dict[str, Any] = {}

    @property
    def ids(self) -> list[str]:
        """Who was found, nearest first."""
        return [hit.id for hit in self.hits]


class Phase(msgspec.Struct, frozen=True, kw_only=True, tag="phase", tag_field="kind"):
    """One phase: when it began after the start of the run, and how long it took."""

    name: str
    hour: int
    events: int
    began_s: float
    took_s: float


class Recorder:
    """Carries out searches and keeps them as events.

    Args:
        lake: Where.
        corpora: Names of those to search.
        write: Called with every event and phase as it ends.
    """

    def __init__(self, lake: Lakehouse, corpora: Sequence[str], write: Callable[[Event | Phase], None]) -> None:
        self.lake = lake
        self.corpora = list(corpora)
        self.events: list[Event] = []
        self.phases: list[Phase] = []
        self._write = write
        self._began = time.perf_counter()
        self._phase = ("", 0)

    @contextmanager
    def phase(self, name: str, hour: int) -> Iterator[None]:
        """Do a phase in a block."""
        began, first = time.perf_counter(), len(self.events)
        self._phase = (name, hour)
        progress.report("phases", len(self.phases), _PHASES)
        with self.lake.phase(f"stress.{name}", hour=hour):
            yield
        done = Phase(
            name=name,
            hour=hour,
            events=len(self.events) - first,
            began_s=round(began - self._began, 3),
            took_s=round(time.perf_counter() - began, 3),
        )
        self.phases.append(done)
        self._write(done)
        progress.report("phases", len(self.phases), _PHASES)

    def search(  # noqa: PLR0913 - what an event is made of, one argument each
        self,
        contract: Contract | None,
        role: str,
        query: str,
        *,
        by: str = "",
        playbook: str = "",
        k: int = PER_ROLE,
        exclude: Sequence[str] = (),
        about: dict[str, Any] | None = None,
    ) -> Event:
        """Search for a coordinator, with the memory of `playbook` when one is named."""
        began = time.perf_counter()
        answer = self.lake.matrix.search(
            query,
            self.corpora,
            k,
            use_playbook=bool(playbook),
            playbook=playbook or DEFAULT_NAMESPACE,
            exclude_ids=list(exclude),
        )
        took_ms = (time.perf_counter() - began) * 1000
        event = self._event(contract, role, query, answer, took_ms, about or {})
        event = msgspec.structs.replace(
            event,
            coordinator=by or (contract.coordinator if contract else ""),
            playbook=playbook,
            k=k,
            excluded=len(exclude),
        )
        self.events.append(event)
        self._write(event)
        return event

    def of(self, phase: str) -> list[Event]:
        """Return the events of a phase, in order."""
        return [event for event in self.events if event.phase == phase]

    def _event(
        self,
        contract: Contract | None,
        role: str,
        query: str,
        answer: SearchAnswer,
        took_ms: float,
        about: dict[str, Any],
    ) -> Event:
        phase, hour = self._phase
        return Event(
            number=len(self.events) + 1,
            hour=hour,
            phase=phase,
            coordinator="",
            contract=contract.name if contract else "",
            role=role,
            query=query,
            playbook="",
            k=0,
            excluded=0,
            hits=[
                Hit(
                    match.id,
                    match.corpus,
                    match.distance,
                    match.rating,
                    match.memory.effect if match.memory else "none",
                )
                for match in answer.results
            ],
            per_corpus={name: counts.returned for name, counts in answer.per_corpus.items()},
            boosted=answer.boosted,
            injected=answer.injected,
            no_good_match=answer.no_good_match,
            took_ms=round(took_ms, 3),
            trace_id=tracing.current(),
            about=about,
        )


class Scenario:
    """The 48 hours.

    Args:
        recorder: Carries out the searches.
        run: Prefix of the namespaces, so that nobody else's memory is used or changed.
        fresh: Specialists who come in.
        fresh_corpus: Index they are added to.
    """

    def __init__(self, recorder: Recorder, run: str, fresh: Sequence[Fresh], fresh_corpus: str) -> None:
        self._do = recorder
        self._lake = recorder.lake
        self._run = run
        self._fresh = list(fresh)
        self._fresh_corpus = fresh_corpus
        self._placed: dict[tuple[str, str], str] = {}

    def run(self) -> None:
        """Do every phase once, in order."""
        for name, hour, phase in (
            ("baseline", 0, self._baseline),
            ("fresh", 6, self._fresh_workers),
            ("inbox", 9, self._inbox),
            ("surge", 12, self._surge),
            ("swap", 18, self._swap),
            ("merge", 24, self._merge),
            ("handover", 30, self._handover),
            ("paraphrase", 36, self._paraphrase),
            ("split", 42, self._split),
            ("reissue", 48, self._reissue),
        ):
            with self._do.phase(name, hour):
                phase()

    def clean(self) -> None:
        """Remove the fresh workers and every entry that the run recorded."""
        present = set(self._lake.vectors.ids(self._fresh_corpus).ids)
        for worker in self._fresh:
            if worker.id in present:
                self._lake.vectors.delete_item(self._fresh_corpus, worker.id)
        for who in (*(contract.coordinator for contract in CONTRACTS), "merged", "isolated"):
            own = self._namespace(who)
            for entry in self._lake.playbooks.list(own).entries:
                if entry.namespace == own:
                    self._lake.playbooks.delete(entry.id)

    def _namespace(self, who: str) -> str:
        return f"{self._run}-{who}"

    def _baseline(self) -> None:
        """Everybody asks for their own contract and records whom they placed: the last of those rated as the first."""
        for contract in CONTRACTS:
            for role in contract.roles:
                event = self._do.search(contract, role, contract.ask(role))
                best = event.hits[0].rating
                placed = [hit for hit in event.hits if hit.rating == best][-1]
                self._placed[contract.name, role] = placed.id
                self._lake.playbooks.record(
                    contract.ask(role),
                    placed.id,
                    placed.corpus,
                    1.0,
                    role=role,
                    namespace=self._namespace(contract.coordinator),
                )

    def _fresh_workers(self) -> None:
        """Each specialist is added, and looked for on the very next calls: by their resume, then by a demand."""
        for worker in self._fresh:
            self._lake.vectors.add(
                self._fresh_corpus, [Item(id=worker.id, text=worker.text, metadata=dict(worker.metadata))]
            )
            for by, query in (("resume", worker.resume), ("demand", worker.query)):
                self._do.search(None, worker.metadata["role"], query, by=by, about={"wanted": worker.id})

    def _inbox(self) -> None:
        """Messages come in, most urgent first; each is recorded, read and searched for with its own words."""
        recording = _operation_of(_INBOX_OPERATION)
        for message in INBOX:
            if recording is not None:
                fields = {
                    name: getattr(message, name) for name in ("type", "sender", "subject", "body", "priority", "tag")
                }
                self._lake.call(recording, fields)
            demand = self._lake.demand.parse(message.body)
            self._do.search(
                None,
                demand.role or "",
                message.body,
                by=message.type,
                about={
                    "priority": message.priority,
                    "tag": message.tag,
                    "fillable": message.fillable,
                    "recorded": recording is not None,
                    "parsed": msgspec.to_builtins(demand),
                },
            )

    def _surge(self) -> None:
        """Twice as many people are wanted; those already placed stay where they are."""
        for contract in CONTRACTS:
            for role in contract.roles:
                self._do.search(
                    contract,
                    role,
                    contract.ask(role, 2 * PER_ROLE),
                    playbook=self._namespace(contract.coordinator),
                    k=2 * PER_ROLE,
                    exclude=[self._placed[contract.name, role]],
                )

    def _swap(self) -> None:
        """Ask for the first 200, then for others instead of them, whom memory would bring back."""
        contract, role = CONTRACTS[0], CONTRACTS[0].roles[0]
        playbook = self._namespace(contract.coordinator)
        ask = contract.ask(role, SWAPPED)
        first = self._do.search(contract, role, ask, playbook=playbook, k=SWAPPED)
        self._do.search(contract, role, ask, playbook=playbook, k=SWAPPED, exclude=first.ids)

    def _merge(self) -> None:
        """Fill two contracts together, with what both coordinators remember; the fresh ones are placed by now."""
        strangers = [worker.id for worker in self._fresh]
        together = self._namespace("merged")
        for contract in CONTRACTS[:2]:
            self._lake.playbooks.handover(self._namespace(contract.coordinator), together, "copy")
        for contract in CONTRACTS[:2]:
            for role in contract.roles:
                ask, about = contract.ask(role), self._wanted(contract, role)
                self._do.search(contract, role, ask, playbook=together, exclude=strangers, about=about)

    def _handover(self) -> None:
        """Bob asks Alice's words with his own memory, then with hers."""
        alice, bob = CONTRACTS[0], CONTRACTS[1].coordinator
        mine = {id for (contract, _), id in self._placed.items() if contract == CONTRACTS[1].name}
        for role in alice.roles:
            # Where both placed the same person, Bob's own memory may move them.
            about = {**self._wanted(alice, role), "step": "before", "own": self._placed[alice.name, role] in mine}
            self._do.search(alice, role, alice.ask(role), by=bob, playbook=self._namespace(bob), about=about)
        self._lake.playbooks.handover(self._namespace(alice.coordinator), self._namespace(bob), "share")
        for role in alice.roles:
            about = {**self._wanted(alice, role), "step": "after"}
            self._do.search(alice, role, alice.ask(role), by=bob, playbook=self._namespace(bob), about=about)

    def _paraphrase(self) -> None:
        """Bob asks for Alice's contract in words of his own."""
        alice, bob = CONTRACTS[0], CONTRACTS[1].coordinator
        for role in alice.roles:
            about = self._wanted(alice, role)
            self._do.search(alice, role, alice.ask_otherwise(role), by=bob, playbook=self._namespace(bob), about=about)

    def _split(self) -> None:
        """Alice's contract is divided between Bob and Carol; neither proposes whom the other has."""
        alice = CONTRACTS[0]
        taken: list[str] = []
        for at, role in enumerate(alice.roles):
            by = CONTRACTS[1 + at % 2].coordinator
            event = self._do.search(
                alice, role, alice.ask(role), by=by, playbook=self._namespace(by), exclude=sorted(taken)
            )
            taken += event.ids

    def _reissue(self) -> None:
        """Ask the questions of hour 0 again, of the same people: without memory twice, then with it twice."""
        strangers = [worker.id for worker in self._fresh]
        for turn in (1, 2):
            for contract in CONTRACTS:
                for role in contract.roles:
                    ask = contract.ask(role)
                    self._do.search(contract, role, ask, exclude=strangers, about={"turn": turn})
        for turn in (3, 4):
            for contract in CONTRACTS:
                playbook = self._namespace(contract.coordinator)
                for role in contract.roles:
                    self._do.search(contract, role, contract.ask(role), playbook=playbook, about={"turn": turn})

    def _wanted(self, contract: Contract, role: str) -> dict[str, Any]:
        return {"wanted": self._placed[contract.name, role]}


_PHASES = 10


def _operation_of(method: str) -> operations.Operation | None:
    """Return the operation by which a message is recorded, None in a version that has none."""
    posted = (each for each in operations.OPERATIONS if each.verb == "POST")
    return next((each for each in posted if each.path.endswith(f"/{method}")), None)
