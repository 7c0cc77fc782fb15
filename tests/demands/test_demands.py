"""Open demands on a real lake: nobody on them who does not exist, and one truth about who is booked."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from lakehouse import caller
from lakehouse.caller import Caller
from lakehouse.demands.base import Candidate
from lakehouse.errors import Conflict, NotFound, PermissionDenied
from lakehouse.staffing.need import Fields

ASK = "Need 3 Forklift Operators in Cleveland OH for Beacon Freight starting 2031-05-05"


def opened(lake, text=ASK, **more):
    return lake.demands.open(text, **more).created[0]


def who(*ids):
    return [Candidate("workers", id) for id in ids]


def stages(demand):
    return {each.id: each.stage for each in demand.people}


def test_demand_lives_over_a_restart(make_lake, people, reopen):
    lake = make_lake(people)
    id = opened(lake, owner="mia", urgency="urgent")
    lake.demands.place(id, who("w-1", "w-2"), "proposed", by="mia")
    lake.demands.note(id, "gate B", by="mia")
    before = lake.demands.get(id)
    assert reopen(lake).demands.get(id) == before


def test_filled_is_told_by_the_accepted_fills_alone(lake):
    id = opened(lake)
    lake.demands.place(id, who("w-1", "w-2"), "proposed")
    done = lake.demands.fill(id, ["w-1"], by="mia")
    assert (done.filled, done.demand.filled, done.demand.remaining) == (["w-1"], 1, 2)
    booking = lake.validate.fills("w-1").bookings[0]
    assert (booking.session_id, booking.starts[:10]) == (f"demand:{id}", "2031-05-05")
    assert done.demand.people[0].fill_id == booking.fill_id
    lake.validate.release(booking.fill_id)
    assert stages(lake.demands.get(id)) == {"w-1": "proposed", "w-2": "proposed"}


def test_fill_whose_demand_was_not_told_is_taken_for_filled(lake):
    # As after a crash between the booking and the row of the demand.
    id = opened(lake)
    lake.demands.place(id, who("w-1"), "proposed")
    payload = {"demand": {"role": "Forklift Operator", "count": 3}, "workers": [{"id": "w-1"}]}
    validators = lake.rooms.validate
    from lakehouse.validate.base import Context

    context = Context(allow_partial=True)
    validators.book(validators.examine("fill", payload, context), context, session_id=f"demand:{id}")
    assert stages(lake.demands.get(id)) == {"w-1": "filled"}


def test_fill_refuses_one_and_books_the_others(make_lake, crowd):
    lake = make_lake(crowd)
    id = opened(lake)
    found = lake.demands.candidates(id, k=2)
    other = next(row["id"] for row in crowd if row["role"] != "Forklift Operator")
    lake.demands.place(id, who(*(match.id for match in found.results), f"w-{other}"), "proposed")
    done = lake.demands.fill(id)
    assert len(done.filled) == 2
    assert [(one.id, "asked for" in one.reasons[0]) for one in done.refused] == [(f"w-{other}", True)]
    more = [match.id for match in lake.demands.candidates(id, k=5).results][:2]
    lake.demands.place(id, who(*more), "proposed")
    with pytest.raises(Conflict, match="too many"):
        lake.demands.fill(id, more)


def test_last_place_is_filled_once_by_two_at_the_same_time(lake):
    id = opened(lake, "Need 1 Forklift Operator in Cleveland OH starting 2031-05-06")
    lake.demands.place(id, who("w-1", "w-2"), "proposed")

    def fill(person: str) -> int:
        try:
            return len(lake.demands.fill(id, [person]).filled)
        except Conflict:
            return 0

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(fill, ("w-1", "w-2"))) == 1
    assert lake.demands.get(id).filled == 1


def test_client_who_does_not_want_somebody_back_is_heard_by_every_demand(lake):
    first, second, other = opened(lake), opened(lake), opened(lake, ASK.replace("Beacon Freight", "Acme Foods"))
    lake.demands.place(second, who("w-1"), "proposed")
    lake.demands.place(first, who("w-1"), "do_not_return", why="asked by the yard")
    assert lake.demands.get(second).barred == ["w-1"]
    done = lake.demands.fill(second)
    assert "must not return" in done.refused[0].reasons[0]
    assert "w-1" not in [match.id for match in lake.demands.candidates(second, k=20).results]
    with pytest.raises(Conflict, match="does not want"):
        lake.demands.place(second, who("w-1"), "shortlisted")
    assert stages(lake.demands.place(other, who("w-1"), "shortlisted")) == {"w-1": "shortlisted"}


def test_nobody_is_put_on_a_demand_who_does_not_exist(lake):
    id = opened(lake)
    with pytest.raises(NotFound, match="w-9999"):
        lake.demands.place(id, who("w-1", "w-9999"), "proposed")
    assert lake.demands.get(id).people == []


def test_outcome_teaches_memory_and_undo_takes_it_back(lake):
    id = opened(lake, namespace="mia")
    lake.demands.place(id, who("w-1"), "proposed")
    learned = lake.demands.outcome(id, "w-1", "asked_back", by="mia", why="they asked for her")
    assert learned.posterior.mean > 0.5
    entry = lake.playbooks.list("mia").entries[0]
    assert (entry.id, entry.outcome, entry.why) == (learned.entry, "asked_back", "they asked for her")
    assert lake.demands.undo(id, "w-1").people[0].outcome == ""
    assert lake.playbooks.list("mia").entries == []
    for outcome in ("accepted", "no_show"):
        learned = lake.demands.outcome(id, "w-1", outcome)
    assert not learned.created
    with pytest.raises(Conflict, match="added to what was remembered"):
        lake.demands.undo(id, "w-1")


def test_edit_goes_back_to_the_text_when_the_fields_say_the_same(lake):
    id = opened(lake)
    changed = lake.demands.edit(id, Fields(count="2", role="Welder", city="Parma", state="OH", start="2031-06-01"))
    assert (changed.line, changed.starts) == ("Need 2 Welders in Parma OH, starting 2031-06-01", "2031-06-01")
    fields = Fields(
        count="3", role="Forklift Operator", city="Cleveland", state="OH", start="2031-05-05", client="Beacon Freight"
    )
    assert lake.demands.edit(id, fields).line == ASK


def test_edit_refuses_a_count_below_those_filled(lake):
    id = opened(lake)
    lake.demands.place(id, who("w-1", "w-2"), "proposed")
    assert lake.demands.fill(id).demand.filled == 2
    with pytest.raises(Conflict, match="2 people are filled"):
        lake.demands.edit(id, Fields(count="1", role="Forklift Operator", city="Cleveland", state="OH"))


def test_relaxed_demand_counts_whom_the_demand_itself_does_not_find(lake):
    id = opened(lake, "Need 5 Forklift Operators in Cleveland OH, night shift, OSHA-30")
    told = {one.what: one.more for one in lake.demands.relax(id).relaxations}
    assert set(told) == {"within 80 km", "within 160 km", "on any shift", "without OSHA-30"}
    by_hand = lake.matrix.search("Need 5 Forklift Operators in Cleveland OH, OSHA-30", ["workers"], k=100).results
    base = lake.matrix.search("Need 5 Forklift Operators in Cleveland OH, night shift, OSHA-30", ["workers"], k=100)
    known = {match.id for match in base.results if (match.rating or 0) >= 4}
    assert told["on any shift"] == sum((m.rating or 0) >= 4 and m.id not in known for m in by_hand)


def test_what_is_done_with_people_is_in_their_record(lake):
    id = opened(lake)
    lake.demands.place(id, who("w-1"), "shortlisted")
    lake.demands.people(id)
    lake.demands.place(id, who("w-1"), "proposed")
    lake.demands.fill(id)
    lake.demands.outcome(id, "w-1", "completed")
    rows = lake.subjects.audit("w-1").rows
    seen = [(row.action, row.result) for row in rows if row.action != "search"]
    assert seen == [
        ("demand", "shortlisted"),
        ("view", "shown"),
        ("demand", "proposed"),
        ("fill", "shown"),
        ("remember", "completed"),
    ]
    assert {"demands.place", "demands.fill"} <= {op.kind for op in lake.observer.ops().ops}


def test_erased_person_is_on_no_demand(lake):
    id = opened(lake)
    lake.demands.place(id, who("w-1", "w-2"), "proposed")
    lake.subjects.erase("w-1", reason="asked")
    assert stages(lake.demands.get(id)) == {"w-2": "proposed"}


def test_key_for_one_memory_sees_demands_of_no_other(lake):
    mine, other = opened(lake, namespace="mia"), opened(lake, namespace="noor")
    key = Caller(kind="key", id="k", roles=frozenset({"coordinator"}), namespaces=frozenset({"mia"}))
    with caller.calling(key):
        assert [one.id for one in lake.demands.list().demands] == [mine]
        assert lake.demands.get(mine).id == mine
        # In the words for one that there is not.
        with pytest.raises(NotFound) as none:
            lake.demands.get("d-none")
        for refused in (
            lambda: lake.demands.get(other),
            lambda: lake.demands.outcome(other, "w-1", "completed"),
            lambda: lake.demands.undo(other, "w-1"),
            lambda: lake.demands.place(other, who("w-1"), "proposed"),
            lambda: lake.demands.edit(other, owner="mia"),
            lambda: lake.demands.note(other, "x"),
            lambda: lake.demands.people(other),
            lambda: lake.demands.relax(other),
        ):
            with pytest.raises(NotFound) as caught:
                refused()
            assert caught.value.message == none.value.message.replace("d-none", other)
            assert caught.value.detail.keys() == none.value.detail.keys()
        for refused in (
            lambda: lake.demands.edit(mine, namespace="noor"),
            lambda: lake.demands.open(ASK, namespace="noor"),
        ):
            with pytest.raises(PermissionDenied, match="noor"):
                refused()
    auditor = Caller(kind="key", id="a", roles=frozenset({"auditor"}))
    with caller.calling(auditor), pytest.raises(PermissionDenied):
        lake.demands.list()


def test_key_for_one_memory_opens_its_own_of_what_another_has_opened(lake):
    source = b"demand,ref\n2 cooks in Akron OH,f-key\n"
    message = lake.inbox.receive(type="email", body=ASK, sender="p@example.com", message_id="<key>").id
    ways = (
        lambda memory: lake.demands.file(source, namespace=memory),
        lambda memory: lake.demands.open(message=message, namespace=memory),
    )
    for way in ways:
        seen = set()
        for memory in ("mia", "noor", "omar"):
            key = Caller(kind="key", id=memory, roles=frozenset({"coordinator"}), namespaces=frozenset({memory}))
            with caller.calling(key):
                first, again = way(memory), way(memory)
            assert (len(first.created), first.known) == (1, [])
            assert (again.created, again.known) == ([], first.created)
            assert lake.demands.get(first.created[0]).namespace == memory
            seen.update(first.created)
        assert len(seen) == 3
        # Who may use every memory finds it opened.
        assert way("default").created == []


def test_key_for_one_memory_is_not_told_by_bookings_of_the_demands_of_another(lake):
    other = opened(lake, namespace="noor")
    lake.demands.place(other, who("w-1"), "proposed")
    assert lake.demands.fill(other).filled == ["w-1"]
    assert [one.session_id for one in lake.validate.fills("w-1").bookings] == [f"demand:{other}"]
    key = Caller(kind="key", id="k", roles=frozenset({"coordinator"}), namespaces=frozenset({"mia"}))
    with caller.calling(key):
        for bookings in (lake.validate.fills("w-1").bookings, lake.validate.fills().bookings):
            assert [(one.worker_id, one.session_id) for one in bookings] == [("w-1", "")]


def test_demand_of_a_cancelled_message_is_not_opened(lake):
    sent = lake.inbox.receive(type="email", body=ASK, sender="p@example.com", message_id="<1>")
    lake.inbox.receive(
        type="email", body="Please cancel our order.", sender="p@example.com", message_id="<2>", in_reply_to="<1>"
    )
    with pytest.raises(Conflict, match="cancelled"):
        lake.demands.open(message=sent.id)


def test_texts_that_no_database_keeps_are_kept_as_they_can_be(lake):
    id = opened(lake, owner="a\x00b")
    lake.demands.note(id, "half \ud83d of a letter", by="\x00")
    lake.demands.place(id, who("w-1"), "proposed", why="\udc00")
    one = lake.demands.get(id)
    assert (one.owner, one.notes[0].text, one.people[0].why) == ("a\ufffdb", "half ? of a letter", "?")
