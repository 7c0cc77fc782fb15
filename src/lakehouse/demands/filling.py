"""Filling: people of a demand booked through the validators, what came of it, and what memory learned."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lakehouse.demands.base import OUT, Filled, Learned, OpenDemand, Owner, Placed, RefusedPerson, Stage, Text, Word
from lakehouse.demands.desk import Desk, on, session_of
from lakehouse.errors import InvalidInput, NotFound, ValidationFailed, WrongState
from lakehouse.memory.evidence import WEIGHTS, Outcome
from lakehouse.validate.base import Context, Finding

if TYPE_CHECKING:
    from lakehouse.memory.playbooks import Playbooks

Ids = Annotated[list[Word], msgspec.Meta(max_length=1_000)]


class Filling:
    """Books people of demands and tells memory what came of it.

    Args:
        desk: The rows and what stands around them.
        playbooks: Memory.
    """

    def __init__(self, desk: Desk, playbooks: Playbooks) -> None:
        self._desk = desk
        self._playbooks = playbooks
        # One process has the lake, so this keeps two coordinators from filling the last place twice.
        self._one_at_a_time = threading.Lock()

    def fill(self, id: str, worker_ids: Ids = [], by: Owner = "") -> Filled:  # noqa: B006 - never changed
        """Book people of a demand, each as an accepted fill of its own, after the validators have looked at them.

        Whoever does not pass is refused with the reasons and stays where they were; the others are booked. Nobody is
        booked beyond the count.

        Args:
            id: Of the demand.
            worker_ids: People on it; all who are proposed when empty, in their order.
            by: Who says so.

        Raises:
            NotFound: There is no such demand, or somebody is not on it.
            InvalidInput: The demand names no role.
            WrongState: The demand is closed, somebody was excluded, or more people are named than are still looked for.
        """
        with self._one_at_a_time:
            return self._fill(id, worker_ids, by)

    def _fill(self, id: str, worker_ids: list[str], by: str) -> Filled:
        found = self._desk.get(id)
        chosen = [on(found, each) for each in dict.fromkeys(worker_ids)]
        if not worker_ids:
            chosen = [each for each in found.people if each.stage == "proposed"][: found.remaining]
        self._refuse(found, chosen)
        booked: list[Placed] = []
        refused: list[RefusedPerson] = []
        warnings: list[str] = []
        for each in chosen:
            findings = self._book(found, each)
            errors = [finding.reason for finding in findings if finding.severity == "error"]
            if errors:
                refused.append(RefusedPerson(each.id, errors))
                continue
            booked.append(each)
            warnings += [finding.reason for finding in findings if finding.reason not in warnings]
        if booked:
            self._note(found, booked, "filled", by)
        return Filled(
            filled=[each.id for each in booked], refused=refused, warnings=warnings, demand=self._desk.get(id)
        )

    def _refuse(self, found: OpenDemand, chosen: list[Placed]) -> None:
        if not found.demand.role:
            raise InvalidInput("the demand names no role; say who is needed before filling it", field="role")
        if found.status != "open":
            raise WrongState(f"the demand {found.id!r} is closed; open it again to fill it", id=found.id)
        for each in chosen:
            if each.stage in {*OUT, "filled"}:
                said = "is filled already" if each.stage == "filled" else "was excluded"
                raise WrongState(f"{each.id!r} {said}", id=each.id)
        if len(chosen) > found.remaining:
            raise WrongState(
                f"{found.filled} of {found.demand.count} are filled; {len(chosen)} more are too many", id=found.id
            )

    def _book(self, found: OpenDemand, each: Placed) -> list[Finding]:
        validators = self._desk.validators
        context = Context(
            roster=each.corpus,
            allow_partial=True,
            do_not_return=found.barred,
            exclude_ids=[other.id for other in found.people if other.stage in OUT],
        )
        checked = validators.examine("fill", _payload(found, each.id), context)
        if checked.ok:
            try:
                validators.book(checked, context, session_id=session_of(found.id))
            except ValidationFailed as late:
                # Somebody else was quicker.
                return [*checked.findings, *late_findings(late)]
        return checked.findings

    def _note(self, found: OpenDemand, people: list[Placed], stage: Stage, by: str) -> None:
        desk = self._desk
        with desk.state.write() as connection:
            now = desk.now()
            placed = [msgspec.structs.replace(each, stage=stage, by=by or each.by, at=now) for each in people]
            desk.rows.place(connection, found.id, placed)
            desk.touch(connection, desk.within(connection, found.id))

    def release(self, id: str, worker_id: Word, by: Owner = "") -> OpenDemand:
        """Free somebody who is filled; they are proposed again.

        Raises:
            NotFound: There is no such demand, or they are not on it.
            WrongState: They are not filled.
        """
        found = self._desk.get(id)
        each = on(found, worker_id)
        if each.stage != "filled":
            raise WrongState(f"{worker_id!r} is not filled", id=worker_id)
        self._desk.validators.release(each.fill_id)
        self._note(found, [each], "proposed", by)
        return self._desk.get(id)

    def outcome(self, id: str, worker_id: Word, outcome: Outcome, by: Owner = "", why: Text = "") -> Learned:
        """Tell memory what came of somebody on a demand, as `playbooks.record` does; the demand keeps it in view.

        Args:
            id: Of the demand.
            worker_id: Somebody on it.
            outcome: What came of it.
            by, why: Who says so, and the reason; shown wherever memory acts on it.

        Raises:
            NotFound: There is no such demand, they are not on it, or they left the roster.
        """
        desk = self._desk
        found = desk.get(id)
        each = on(found, worker_id)
        good, _bad = WEIGHTS[outcome]
        recorded = self._playbooks.record(
            query_text=found.line,
            answer_id=each.id,
            corpus=each.corpus,
            score=1.0 if good else 0.0,
            role=found.demand.role,
            namespace=found.namespace,
            outcome=outcome,
            by=by,
            why=why[:1_000],
        )
        placed = msgspec.structs.replace(each, outcome=outcome, entry=recorded.playbook_id, made=recorded.created)
        with desk.state.write() as connection:
            desk.rows.place(connection, id, [placed])
            desk.touch(connection, desk.within(connection, id))
        entry = self._playbooks.get(recorded.playbook_id).entry
        return Learned(
            entry=recorded.playbook_id, created=recorded.created, posterior=entry.posterior, demand=desk.get(id)
        )

    def undo(self, id: str, worker_id: Word) -> OpenDemand:
        """Take back the outcome that was recorded last for somebody, with the memory it made.

        Raises:
            NotFound: There is no such demand, they are not on it, or there is no outcome.
            WrongState: The outcome was added to a memory that was there before, which would go with it.
        """
        desk = self._desk
        each = on(desk.get(id), worker_id)
        if not each.entry:
            raise NotFound(f"no outcome was recorded for {worker_id!r}", id=worker_id)
        if not each.made:
            raise WrongState(
                f"the outcome for {worker_id!r} was added to what was remembered before; record what is right, or"
                f" retire the entry {each.entry!r}",
                entry=each.entry,
            )
        # Retired elsewhere meanwhile: it is gone, as was asked.
        with contextlib.suppress(NotFound):
            self._playbooks.delete(each.entry)
        with desk.state.write() as connection:
            placed = msgspec.structs.replace(each, outcome="", entry="", made=False)
            desk.rows.place(connection, id, [placed])
            desk.touch(connection, desk.within(connection, id))
        return desk.get(id)

    def purge(self, id: str) -> int:
        """Take somebody off every demand, for good; returns off how many."""
        with self._desk.state.write() as connection:
            gone: int = self._desk.rows.forget(connection, id)
        return gone


def late_findings(error: ValidationFailed) -> list[Finding]:
    """Return what a refusal says as a finding."""
    return [Finding(code="refused", variant="Consistency", field="workers", reason=error.message)]


def _payload(found: OpenDemand, worker_id: str) -> dict[str, Any]:
    asked: dict[str, Any] = msgspec.to_builtins(found.demand)
    names = ("role", "count", "client", "role_code", "location", "certs", "shift", "start")
    demand = {name: asked[name] for name in names}
    # "Monday" is the one after the day on which it was said.
    demand["start"] = found.starts or asked["start"]
    return {"demand": demand, "workers": [{"id": worker_id}]}
