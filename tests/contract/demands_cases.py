"""Open demands: what a client can do with them, and whom they never hold."""

from __future__ import annotations

from typing import Any

from contract import cases
from contract.cases import Arguments, Case
from lakehouse.errors import Conflict, InvalidInput, NotFound

TWO = "Need 2 Forklift Operators in Cleveland OH, day shift, OSHA-30, and 3 Welders in Detroit MI"
CSV = b"role,count,city,state,urgency,ref\nForklift Operator,2,Cleveland,OH,urgent,%s\nWelder,many,Detroit,MI,,\n"


def opened(text: str = cases.FORKLIFT, **more: Any) -> tuple[str, Arguments]:
    return "demands.open", {"text": text, **more}


def then(name: str, **arguments: Any) -> tuple[str, Arguments]:
    """A call about the demand that the first step opened."""
    return name, lambda seen: {"id": seen[0].created[0], **arguments}


def who(*ids: str) -> list[dict[str, str]]:
    return [{"corpus": "workers", "id": id} for id in ids]


def placed(stage: str, *ids: str, **more: Any) -> tuple[str, Arguments]:
    return then("demands.place", people=who(*ids), stage=stage, **more)


def deleted_with_somebody_placed(corpus: str) -> list[tuple[str, Arguments]]:
    somebody = [{"corpus": corpus, "id": f"{corpus}-1"}]
    return [
        *cases.corpus(corpus),
        then("demands.place", people=somebody, stage="proposed"),
        ("corpora.delete", {"name": corpus}),
    ]


def stages(demand: Any) -> dict[str, str]:
    return {each.id: each.stage for each in demand.people}


TAKEN_IN = [
    Case("demand-open", [opened(owner="mia")], lambda done: len(done.created) == 1 and not done.known, varies=True),
    Case("demand-open-two", [opened(TWO)], lambda done: len(done.created) == 2, varies=True),
    Case("demand-open-nobody", [opened("good morning")], raises=InvalidInput, says="nobody is asked for"),
    Case("demand-open-nothing", [("demands.open", {})], raises=InvalidInput, says="either"),
    Case("demand-open-urgency", [opened(urgency="now")], raises=InvalidInput, says="urgency"),
    Case(
        "demand-open-message-once",
        [("inbox.receive", {"type": "email", "body": TWO, "message_id": "<dm1>", "priority": "urgent"}),
         ("demands.open", lambda seen: {"message": seen[0].id}),
         ("demands.open", lambda seen: {"message": seen[0].id})],
        lambda done: not done.created and len(done.known) == 2,
        varies=True,
    ),
    Case("demand-open-message-absent", [("demands.open", {"message": "in-none"})], raises=NotFound, says="in-none"),
    Case(
        "demand-file",
        [("demands.file", {"source": CSV % b"f1", "namespace": "dm-file"})],
        lambda done: len(done.created) == 1 and [(line.line, "count" in line.reason) for line in done.refused] == [
            (3, True)
        ],
        varies=True,
    ),
    Case(
        "demand-file-again",
        [("demands.file", {"source": CSV % b"f2", "namespace": "dm-file"}),
         ("demands.file", {"source": CSV % b"f2", "namespace": "dm-file"})],
        lambda done: not done.created and len(done.known) == 1,
        varies=True,
    ),
    Case("demand-file-heading", [("demands.file", {"source": b"rol,count\ncook,1\n"})], raises=InvalidInput,
         says="did you mean 'role'"),
    Case("demand-file-empty", [("demands.file", {"source": b""})], raises=InvalidInput, says="heading"),
    Case(
        "demand-list",
        [opened(namespace="dm-list"), opened(namespace="dm-list", urgency="high"),
         ("demands.list", {"namespace": "dm-list"})],
        lambda listed: [one.urgency for one in listed.demands] == ["high", "medium"],
        varies=True,
    ),
    Case("demand-list-limit", [("demands.list", {"limit": 0})], raises=InvalidInput, says="limit"),
    Case("demand-get", [opened(owner="mia"), then("demands.get")],
         lambda one: (one.owner, one.demand.count, one.status) == ("mia", 2, "open"), varies=True),
    Case("demand-get-absent", [("demands.get", {"id": "d-none"})], raises=NotFound, says="d-none"),
    Case(
        "demand-edit",
        [opened(), then("demands.edit", fields={"role": "Welder", "count": "4", "city": "Parma", "state": "OH"},
                        urgency="urgent", status="closed")],
        lambda one: (one.demand.role, one.demand.count, one.urgency, one.status) == ("Welder", 4, "urgent", "closed"),
        varies=True,
    ),
    Case("demand-edit-not-understood", [opened(), then("demands.edit", fields={"role": "Welder", "shift": "blue"})],
         raises=InvalidInput, says="blue"),
    Case("demand-edit-absent", [("demands.edit", {"id": "d-none", "owner": "mia"})], raises=NotFound),
    Case("demand-note", [opened(), then("demands.note", text="gate B", by="mia")],
         lambda one: [(note.text, note.by) for note in one.notes] == [("gate B", "mia")], varies=True),
    Case("demand-note-empty", [opened(), then("demands.note", text="")], raises=InvalidInput, says="text"),
]  # fmt: skip

PEOPLE = [
    Case("demand-place", [opened(), placed("shortlisted", "w-1", "w-2", by="mia", why="near")],
         lambda one: stages(one) == {"w-1": "shortlisted", "w-2": "shortlisted"}, varies=True),
    Case("demand-place-none", [opened(), placed("proposed", "w-1"), placed("none", "w-1")],
         lambda one: not one.people, varies=True),
    Case("demand-place-phantom", [opened(), placed("proposed", "w-1", "w-9999")], raises=NotFound, says="w-9999"),
    Case("demand-place-corpus", [opened(), then("demands.place", people=[{"corpus": "none", "id": "w-1"}],
                                               stage="proposed")], raises=NotFound, says="none"),
    Case("demand-place-stage", [opened(), placed("filled", "w-1")], raises=InvalidInput, says="stage"),
    Case(
        "demand-place-barred",
        [opened(cases.FORKLIFT + " for Barred Yards"), placed("do_not_return", "w-1"),
         opened(cases.FORKLIFT + " for Barred Yards"),
         ("demands.place", lambda seen: {"id": seen[2].created[0], "people": who("w-1"), "stage": "proposed"})],
        raises=Conflict,
        says="does not want",
    ),
    Case("demand-replace", [opened(), placed("proposed", "w-1"),
                            then("demands.replace", out="w-1", by_whom=who("w-2")[0])],
         lambda one: stages(one) == {"w-1": "excluded", "w-2": "proposed"}, varies=True),
    Case("demand-replace-absent", [opened(), then("demands.replace", out="w-1", by_whom=who("w-2")[0])],
         raises=NotFound, says="w-1"),
    Case("demand-replace-phantom", [opened(), placed("proposed", "w-1"),
                                    then("demands.replace", out="w-1", by_whom=who("w-9999")[0])],
         raises=NotFound, says="w-9999"),
    Case("demand-people", [opened(), placed("proposed", "w-2"), then("demands.people")],
         lambda people: [(one.id, bool(one.metadata["role"])) for one in people.items] == [("w-2", True)]),
    Case("demand-people-one", [opened(), placed("proposed", "w-2"), then("demands.people", person="w-3")],
         lambda answer: answer.items == []),
    Case("demand-people-of-a-deleted-corpus",
         [opened(), *deleted_with_somebody_placed("dmgone1"), then("demands.people")],
         lambda people: [(one.corpus, one.id, one.metadata) for one in people.items] == [("dmgone1", "dmgone1-1", {})]),
    Case("demand-candidates-of-a-deleted-corpus",
         [opened(), *deleted_with_somebody_placed("dmgone2"), then("demands.candidates", corpora=["dmgone2"])],
         raises=NotFound, says="'dmgone2' does not exist"),
    Case("demand-place-of-a-deleted-corpus",
         [opened(), *deleted_with_somebody_placed("dmgone3"),
          then("demands.place", people=[{"corpus": "dmgone3", "id": "dmgone3-2"}], stage="proposed")],
         raises=NotFound, says="nobody in 'dmgone3'"),
    Case("demand-close-with-people-of-a-deleted-corpus",
         [opened(), *deleted_with_somebody_placed("dmgone4"),
          then("demands.edit", status="closed")],
         lambda demand: demand.status == "closed", varies=True),
    Case("demand-people-absent", [("demands.people", {"id": "d-none"})], raises=NotFound),
    Case("demand-candidates", [opened(), placed("excluded", "w-1"), then("demands.candidates", k=3)],
         lambda found: len(found.results) == 3 and "w-1" not in [match.id for match in found.results], varies=True),
    Case("demand-candidates-k", [opened(), then("demands.candidates", k=0)], raises=InvalidInput, says="k"),
    Case("demand-relax", [opened(), then("demands.relax")],
         lambda found: "on any shift" in [one.what for one in found.relaxations]),
    Case("demand-relax-absent", [("demands.relax", {"id": "d-none"})], raises=NotFound),
]  # fmt: skip

MONDAY = "Need 1 Forklift Operator in Cleveland OH starting 2031-03-%02d"


def filled(day: int, id: str) -> list[tuple[str, Arguments]]:
    return [opened(MONDAY % day), placed("proposed", id), then("demands.fill", by="mia")]


FILLING = [
    Case("demand-fill", filled(3, "w-1"), lambda done: done.filled == ["w-1"] and done.demand.filled == 1, varies=True),
    Case(
        "demand-fill-twice-elsewhere",
        [*filled(4, "w-1"), opened(MONDAY % 4),
         ("demands.place", lambda seen: {"id": seen[3].created[0], "people": who("w-1"), "stage": "proposed"}),
         ("demands.fill", lambda seen: {"id": seen[3].created[0]})],
        lambda done: not done.filled and "booked" in done.refused[0].reasons[0],
        varies=True,
    ),
    Case("demand-fill-stranger", [opened(MONDAY % 5), then("demands.fill", worker_ids=["w-1"])], raises=NotFound,
         says="w-1"),
    Case("demand-fill-excluded", [opened(MONDAY % 6), placed("excluded", "w-1"),
                                  then("demands.fill", worker_ids=["w-1"])], raises=Conflict, says="excluded"),
    Case("demand-release", [*filled(7, "w-1"), then("demands.release", worker_id="w-1")],
         lambda one: stages(one) == {"w-1": "proposed"} and one.filled == 0, varies=True),
    Case("demand-release-not-filled", [opened(), placed("proposed", "w-1"), then("demands.release", worker_id="w-1")],
         raises=Conflict, says="not filled"),
    Case("demand-outcome", [opened(namespace="dm-out1"), placed("proposed", "w-1"),
                            then("demands.outcome", worker_id="w-1", outcome="completed", by="mia", why="on time")],
         lambda learned: learned.created and learned.demand.people[0].outcome == "completed", varies=True),
    Case("demand-outcome-stranger", [opened(), then("demands.outcome", worker_id="w-1", outcome="completed")],
         raises=NotFound, says="w-1"),
    Case("demand-outcome-unknown", [opened(), then("demands.outcome", worker_id="w-1", outcome="fine")],
         raises=InvalidInput, says="outcome"),
    Case("demand-undo", [opened(namespace="dm-out2"), placed("proposed", "w-1"),
                         then("demands.outcome", worker_id="w-1", outcome="no_show"),
                         then("demands.undo", worker_id="w-1")],
         lambda one: one.people[0].outcome == "", varies=True),
    Case("demand-undo-nothing", [opened(), placed("proposed", "w-1"), then("demands.undo", worker_id="w-1")],
         raises=NotFound, says="no outcome"),
]  # fmt: skip

CASES = [*TAKEN_IN, *PEOPLE, *FILLING]
