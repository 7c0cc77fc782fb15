import shutil

import pytest
from sqlalchemy import text

import lakehouse
from lakehouse import settings
from lakehouse.errors import InvalidInput, NotFound
from lakehouse.vectors.base import Item

ASK = "Need 2 Forklift Operators in Cleveland OH for Beacon Freight"


def record(lake, answer="w-1", **changes):
    return lake.playbooks.record(
        **{"query_text": ASK, "answer_id": answer, "corpus": "workers", "score": 1.0, **changes}
    )


def answers(lake, namespace="default") -> set[str]:
    return {entry.answer_id for entry in lake.playbooks.list(namespace).entries}


def test_record_keeps_what_the_query_says(lake):
    made = record(lake)
    (entry,) = lake.playbooks.list().entries
    assert made.created
    assert entry.id == made.playbook_id
    assert (entry.role, entry.role_code, entry.city, entry.state) == (
        "Forklift Operator",
        "53-7051.00",
        "Cleveland",
        "OH",
    )
    assert (entry.namespace, entry.outcome, entry.score) == ("default", "worked", 1.0)
    assert entry.created_at == entry.updated_at


def test_record_again_updates_the_one_entry(lake):
    first = record(lake)
    second = record(lake, query_text=ASK.upper() + "  ", role="Forklift Operator", score=0.4)
    assert not second.created
    assert second.playbook_id == first.playbook_id
    (entry,) = lake.playbooks.list().entries
    assert entry.score == 0.4


def test_record_own_role_wins_over_the_parsed_one(lake):
    record(lake, role="Warehouse Lead")
    assert lake.playbooks.list().entries[0].role == "Warehouse Lead"


@pytest.mark.parametrize("changes", [{"score": 1.5}, {"score": -0.1}, {"namespace": "a b"}, {"outcome": "great"}])
def test_record_field_out_of_range_is_refused_and_nothing_kept(lake, changes):
    with pytest.raises(InvalidInput, match=next(iter(changes))):
        record(lake, **changes)
    assert lake.playbooks.list().entries == []


def test_record_empty_query_is_refused(lake):
    with pytest.raises(InvalidInput, match="empty"):
        record(lake, query_text=" \n")


def test_bulk_one_bad_entry_refuses_all_and_names_it(lake):
    good = {"query_text": ASK, "answer_id": "w-1", "corpus": "workers", "score": 1}
    with pytest.raises(NotFound, match=r"entries\[1\].*w-777"):
        lake.playbooks.bulk([good, {**good, "answer_id": "w-777"}])
    assert lake.playbooks.list().entries == []


def test_bulk_counts_new_and_updated(lake):
    record(lake, "w-1")
    entries = [
        {"query_text": ASK, "answer_id": f"w-{number}", "corpus": "workers", "score": 0.5} for number in (1, 2, 3, 3)
    ]
    done = lake.playbooks.bulk(entries)
    assert (done.recorded, done.updated) == (2, 1)
    assert answers(lake) == {"w-1", "w-2", "w-3"}


def test_delete_forgets_for_good(lake):
    made = record(lake)
    lake.playbooks.delete(made.playbook_id)
    assert lake.playbooks.list().entries == []
    assert lake.vectors.stats("playbook_default").items == 0
    with pytest.raises(NotFound, match=made.playbook_id):
        lake.playbooks.delete(made.playbook_id)


def test_handover_copy_leaves_both_with_their_own(lake):
    record(lake, namespace="alice")
    assert lake.playbooks.handover("alice", "bob", "copy").entries == 1
    assert lake.playbooks.handover("alice", "bob", "copy").entries == 0
    assert answers(lake, "alice") == answers(lake, "bob") == {"w-1"}


def test_handover_move_empties_the_giver(lake):
    record(lake, namespace="alice")
    lake.playbooks.handover("alice", "bob", "move")
    assert answers(lake, "alice") == set()
    assert answers(lake, "bob") == {"w-1"}
    assert lake.vectors.stats("playbook_alice").items == 0


def test_handover_share_includes_what_comes_later(lake):
    record(lake, "w-1", namespace="alice")
    assert lake.playbooks.handover("alice", "bob", "share").entries == 1
    record(lake, "w-2", namespace="alice")
    assert answers(lake, "bob") == {"w-1", "w-2"}
    assert answers(lake, "carol") == set()


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_handover_of_one_client_takes_nothing_of_another(lake, mode):
    asks = {
        "Need 2 Welders in Toledo OH for Beacon Freight": "beacon freight",
        "Beacon Freight, needs 3 Forklift Operators in Cleveland OH": "beacon freight",
        "Need 2 Welders in Toledo OH for Beacon Freight Lines": "beacon freight lines",
        "Need 2 Welders in Toledo OH": "",
    }
    for ask in asks:
        lake.playbooks.record(ask, "w-1", "workers", 1.0, namespace="alice")
    lake.playbooks.record(next(iter(asks)), "w-2", "workers", 1.0, namespace="carol")
    # What another shares with the giver is not theirs to hand over.
    lake.playbooks.handover("carol", "alice", "share")
    of = {entry.query_text: entry.client for entry in lake.playbooks.list("alice").entries}
    meant = {ask for ask, client in of.items() if client == "beacon freight"}
    assert meant
    assert len(meant) < len(asks)

    def own(namespace):
        return {entry.query_text for entry in lake.playbooks.list(namespace).entries if entry.namespace == namespace}

    before = own("alice")
    assert lake.playbooks.handover("alice", "bob", mode, "BEACON  Freight.").entries == len(meant)
    assert own("bob") == meant
    assert own("alice") == (before if mode == "copy" else before - meant)
    assert own("carol") == {next(iter(asks))}
    assert lake.playbooks.handover("alice", "bob", mode, "Beacon Freight").entries == 0
    assert lake.playbooks.handover("alice", "bob", mode, "Nobody Ltd").entries == 0
    # A search with the receiver's memory is moved by that client's entries alone.
    other = "Need 2 Welders in Toledo OH for Beacon Freight Lines"
    found = lake.playbooks.export("bob").entries
    assert {entry.query_text for entry in found} == meant
    assert other not in {entry.query_text for entry in found}
    for refused in ("share", mode):
        with pytest.raises(InvalidInput, match="client" if refused == mode else "whole memory"):
            lake.playbooks.handover("alice", "bob", refused, "," if refused == mode else "Beacon Freight")


def test_handover_to_oneself_is_refused(lake):
    with pytest.raises(InvalidInput, match="itself"):
        lake.playbooks.handover("alice", "alice", "copy")


def test_start_lost_index_is_rebuilt_from_the_rows(lake, reopen):
    record(lake, "w-1")
    record(lake, "w-2")
    lake.vectors.delete("playbook_default")
    again = reopen(lake)
    assert again.vectors.stats("playbook_default").items == 2
    assert again.vectors.get("playbook_default", again.playbooks.list().entries[0].id)


def test_record_keeps_every_outcome_and_counts_who_helped(lake):
    made = record(lake, by="dana", why="knows the dock")
    record(lake, outcome="completed")
    record(lake, query_text="Beacon Freight is looking for 2 lift truck drivers in Cleveland, Ohio", outcome="rejected")
    found = lake.playbooks.get(made.playbook_id)
    assert [(each.outcome, each.by, each.why) for each in found.outcomes] == [
        ("worked", "dana", "knows the dock"),
        ("completed", "", ""),
    ]
    assert (found.entry.helped, found.entry.overridden) == (1, 1)
    assert (found.entry.good, found.entry.bad, found.entry.trust) == (2.0, 0.0, 1.0)


def test_merge_joins_the_outcomes_of_an_entry_both_have(lake):
    record(lake, namespace="alice")
    record(lake, namespace="bob", outcome="rejected")
    record(lake, "w-2", namespace="alice")
    done = lake.playbooks.merge("alice", "bob", clear_source=True)
    assert (done.merged, done.joined, done.cleared) == (1, 1, 2)
    joined = {entry.answer_id: entry for entry in lake.playbooks.list("bob").entries}
    assert (joined["w-1"].good, joined["w-1"].bad, joined["w-1"].trust) == (1.0, 1.0, 0.0)
    assert answers(lake, "alice") == set()
    history = lake.playbooks.get(joined["w-1"].id).outcomes
    assert sorted(each.outcome for each in history) == ["rejected", "worked"]


def test_export_and_import_carry_evidence_and_change_nothing_twice(lake):
    record(lake, by="dana", outcome="asked_back")
    exported = lake.playbooks.export()
    assert lake.playbooks.import_(exported.entries, namespace="other").imported == 1
    assert lake.playbooks.import_(exported.entries, namespace="other").replaced == 1
    (entry,) = lake.playbooks.list("other").entries
    assert (entry.by, entry.good, entry.role_code) == ("dana", 2.0, "53-7051.00")


def test_holdout_keeps_memory_from_a_share_and_lift_compares_both(tmp_path, built, people):
    folder = tmp_path / "lake"
    shutil.copytree(built(people), folder)
    config = settings.load(environ={}, overrides={"data": str(folder), "matrix": {"holdout": 0.5}})
    with lakehouse.connect(config=config) as lake:
        texts = [f"Need {number} Forklift Operators in Cleveland OH" for number in range(2, 14)]
        for asked in texts:
            lake.playbooks.record(asked, "w-1", "workers", 1.0)
        found = [lake.matrix.search(asked, ["workers"], use_playbook=True) for asked in texts]
        held = [answer for answer in found if answer.held_out]
        assert 0 < len(held) < len(texts)
        assert all(not answer.boosted + answer.injected for answer in held)
        assert all(answer.boosted + answer.injected for answer in found if not answer.held_out)
        lift = lake.playbooks.lift()
        assert (lift.served.outcomes, lift.held_out.outcomes) == (len(texts) - len(held), len(held))


def test_lake_of_layout_1_opens_with_what_it_remembered(lake, reopen):
    record(lake, "w-1")
    record(lake, "w-2", outcome="rejected")
    with lake.rooms.state.write() as connection:
        connection.execute(text("DROP TABLE playbook_outcomes"))
        connection.execute(text("DROP INDEX playbooks_use"))
        for name in ("client", "by", "why", "good", "bad", "evidence_on", "helped", "overridden"):
            connection.execute(text(f'ALTER TABLE playbooks DROP COLUMN "{name}"'))
        connection.execute(text("UPDATE schema_version SET version = 1 WHERE room = 'memory'"))
    again = reopen(lake)
    found = {entry.answer_id: entry for entry in again.playbooks.list().entries}
    assert (found["w-1"].trust, found["w-2"].trust) == (1.0, -1.0)
    assert [each.outcome for each in again.playbooks.get(found["w-2"].id).outcomes] == ["rejected"]
    assert again.matrix.search(ASK, ["workers"], use_playbook=True).boosted == 1


def test_lake_of_layout_2_opens_with_its_entries_filed_anew(lake, reopen):
    record(lake, "w-3")
    with lake.rooms.state.write() as connection:
        connection.execute(text("DROP INDEX playbooks_use"))
        connection.execute(text("CREATE INDEX playbooks_answer ON playbooks (corpus, answer_id)"))
        connection.execute(text("UPDATE schema_version SET version = 2 WHERE room = 'memory'"))
    # As layout 2 left it: the entry's fields side by side, without the words of today.
    (entry,) = lake.playbooks.list().entries
    lake.vectors.add("playbook_default", [Item(id=entry.id, text="forklift", metadata={"answer_id": "w-3"})])
    again = reopen(lake)
    assert again.matrix.search(ASK, ["workers"], k=4, use_playbook=True).results[0].id == "w-3"


def test_bulk_counts_use_of_each_answer_for_its_own_demand(lake):
    record(lake, "w-1")
    record(lake, "w-2")
    again = [{"query_text": f"{ASK} on {day}", "answer_id": "w-1", "corpus": "workers", "score": 1}
             for day in ("Monday", "Friday")]  # fmt: skip
    turned_down = {**again[0], "answer_id": "w-2", "outcome": "rejected"}
    elsewhere = {**again[0], "query_text": "Need 2 Forklift Operators in Detroit MI", "answer_id": "w-2"}
    lake.playbooks.bulk([*again, turned_down, elsewhere])
    first = {entry.answer_id: entry for entry in lake.playbooks.list().entries if entry.query_text == ASK}
    assert (first["w-1"].helped, first["w-1"].overridden) == (2, 0)
    assert (first["w-2"].helped, first["w-2"].overridden) == (0, 1)
