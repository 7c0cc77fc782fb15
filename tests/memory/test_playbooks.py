import shutil
import time
import unicodedata
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sqlalchemy import text

import lakehouse
from conftest import CORPUS
from lakehouse import idempotency, settings
from lakehouse.errors import InvalidInput, NotFound, TooLarge, Unavailable
from lakehouse.memory._index import RecallIndex
from lakehouse.memory.base import NewPlaybook

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


def test_record_a_text_in_another_unicode_normal_form_is_the_same_entry(lake):
    asked = [unicodedata.normalize(form, f"{ASK} at Café Río") for form in ("NFC", "NFD")]
    first, second = (record(lake, query_text=each, role="Maître d'") for each in asked)
    assert (first.playbook_id, second.created) == (second.playbook_id, False)
    (entry,) = lake.playbooks.list().entries
    # Quoted as it was asked last.
    assert entry.query_text == asked[1]
    assert entry.good == 2.0


def test_record_own_role_wins_over_the_parsed_one(lake):
    record(lake, role="Warehouse Lead")
    assert lake.playbooks.list().entries[0].role == "Warehouse Lead"


@pytest.mark.parametrize(
    "changes", [{"score": 1.5}, {"score": -0.1}, {"namespace": "a b"}, {"outcome": "great"}, {"role": "r" * 201}]
)
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


def test_what_was_shared_is_listed_and_can_be_taken_back(lake):
    record(lake, "w-1", namespace="alice")
    lake.playbooks.handover("alice", "bob", "share")
    lake.playbooks.handover("alice", "carol", "share")
    lake.playbooks.handover("dave", "bob", "share")
    record(lake, "w-2", namespace="bob")
    assert (lake.playbooks.shares("bob").uses, lake.playbooks.shares("bob").used_by) == (["alice", "dave"], [])
    assert lake.playbooks.shares("alice").used_by == ["bob", "carol"]
    lake.playbooks.withdraw("alice", "bob")
    assert answers(lake, "bob") == {"w-2"}
    assert answers(lake, "carol") == answers(lake, "alice") == {"w-1"}
    assert (lake.playbooks.shares("bob").uses, lake.playbooks.shares("alice").used_by) == (["dave"], ["carol"])
    with pytest.raises(NotFound, match="not shared with 'bob'"):
        lake.playbooks.withdraw("alice", "bob")
    assert lake.playbooks.handover("alice", "bob", "share").entries == 1


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
    again = lake.playbooks.handover("alice", "bob", mode, "Beacon Freight")
    assert (again.entries, again.held) == (0, len(meant) if mode == "copy" else 0)
    # Of names like it those that the giver remembers, and nobody else does.
    lake.playbooks.record("Need 2 Welders in Toledo OH for Beacon Barge", "w-1", "workers", 1.0, namespace="dora")
    nothing = lake.playbooks.handover("alice", "bob", mode, "Beakon Freight Lines")
    assert (nothing.entries, nothing.held, nothing.clients_like[0]) == (0, 0, "beacon freight lines")
    assert lake.playbooks.handover("alice", "bob", mode, "Nobody Ltd").clients_like == []
    assert "beacon barge" not in lake.playbooks.handover("alice", "bob", mode, "Beacon Barges").clients_like
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


def test_import_of_an_older_export_keeps_what_was_recorded_since(lake):
    made = record(lake)
    exported = lake.playbooks.export().entries
    for _ in range(3):
        record(lake, score=0.0, outcome="no_show")
    before = lake.playbooks.get(made.playbook_id)
    assert lake.playbooks.import_(exported).replaced == 1
    assert lake.playbooks.get(made.playbook_id) == before
    # A file that was put together of several exports.
    newer = lake.playbooks.export().entries
    lake.playbooks.import_([*exported, *newer, *exported], namespace="other")
    (copied,) = lake.playbooks.list("other").entries
    assert (copied.good, copied.bad) == (before.entry.good, before.entry.bad)
    assert lake.playbooks.get(copied.id).outcomes == before.outcomes


@pytest.mark.parametrize("told", [True, False], ids=["", "of an edition that carried no outcomes"])
def test_merge_of_what_was_imported_counts_each_outcome_once(lake, told):
    record(lake, namespace="one")
    record(lake, namespace="one", outcome="rejected")
    exported = lake.playbooks.export("one").entries
    if not told:
        exported = [msgspec.structs.replace(entry, outcomes=[]) for entry in exported]
    lake.playbooks.import_(exported, namespace="two")
    lake.playbooks.merge("two", "one")
    lake.playbooks.merge("one", "two")
    for name in ("one", "two"):
        (entry,) = lake.playbooks.list(name).entries
        assert (entry.good, entry.bad) == (1.0, 1.0)
        assert len(lake.playbooks.get(entry.id).outcomes) == 2


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("evidence_on", "2026-99-99", "is no day"),
        ("evidence_on", "2999-01-01", "lies in the future"),
        ("created_at", "garbage", "is no time"),
        ("updated_at", "", "is no time"),
        ("updated_at", "2999-01-01T00:00:00Z", "lies in the future"),
    ],
)
def test_import_refuses_times_that_are_none(lake, field, value, why):
    record(lake)
    entry = msgspec.structs.replace(lake.playbooks.export().entries[0], **{field: value})
    with pytest.raises(InvalidInput, match=rf"entries\[0\]: field '{field}'.* {why}") as refused:
        lake.playbooks.import_([entry], namespace="other")
    assert refused.value.detail["field"] == f"entries[0].{field}"
    assert answers(lake, "other") == set()


@pytest.mark.parametrize(
    ("field", "value"), [("score", 7), ("namespace", "../x"), ("outcome", "xx"), ("by", "x" * 5_000)]
)
def test_structs_made_in_this_process_are_checked_like_json(lake, field, value):
    entry = {"query_text": ASK, "answer_id": "w-1", "corpus": "workers", "score": 1.0, field: value}
    with pytest.raises(InvalidInput, match=field):
        lake.playbooks.bulk([NewPlaybook(**entry)])
    assert not lake.rooms.playbooks.everything()


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"query_text": " "}, InvalidInput, "query_text is empty"),
        ({"query_text": "x" * 40_000}, TooLarge, "query_text has 40000 bytes"),
        ({"query_text": "a cook \ud800"}, InvalidInput, "query_text is not valid Unicode at character 7"),
        ({"answer_id": "w-nobody"}, NotFound, "no item 'w-nobody'"),
        ({"corpus": "wrokers"}, NotFound, "'wrokers' does not exist; there are: workers$"),
        ({"corpus": "playbook_anna"}, NotFound, "'playbook_anna' does not exist; there are: workers$"),
    ],
)
def test_what_cannot_be_recorded_is_named_by_its_place(lake, wrong, error, says):
    record(lake, namespace="anna")
    good = NewPlaybook(query_text=ASK, answer_id="w-1", corpus="workers", score=1.0)
    with pytest.raises(error, match=says):
        record(lake, **wrong)
    with pytest.raises(error, match=rf"entries\[1\]: .*{says}") as refused:
        lake.playbooks.bulk([good, msgspec.structs.replace(good, **wrong)])
    assert refused.value.detail["entry"] == 1
    copies = lake.playbooks.export("anna").entries
    with pytest.raises(error, match=rf"entries\[1\]: .*{says}"):
        lake.playbooks.import_([*copies, msgspec.structs.replace(copies[0], **wrong)])
    assert answers(lake) == set()


def test_what_is_shared_and_copied_counts_once(lake):
    record(lake, namespace="anna", outcome="rejected")
    record(lake, namespace="anna", query_text="Need 2 Forklift Operators in Cleveland OH")
    lake.playbooks.handover("anna", "bob", "share")

    def found():
        answer = lake.matrix.search(ASK, ["workers"], k=30, use_playbook=True, playbook="bob")
        return [(hit.id, hit.distance) for hit in answer.results]

    shared = found()
    lake.playbooks.handover("anna", "bob", "copy")
    assert found() == shared
    record(lake, namespace="bob", outcome="rejected")
    lowered = found()
    assert lowered != shared
    lake.playbooks.withdraw("anna", "bob")
    assert found() == lowered


def test_what_is_shared_and_copied_is_listed_once_and_each_outcome_counts_once(lake):
    for namespace in ("anna", "zoe"):
        record(lake, namespace=namespace)
    record(lake, "w-2", namespace="anna")
    lake.playbooks.handover("anna", "bob", "share")
    lake.playbooks.handover("anna", "bob", "copy")
    lake.playbooks.handover("zoe", "bob", "share")
    record(lake, namespace="anna", outcome="rejected")
    record(lake, "w-3", namespace="anna")
    found = [(entry.answer_id, entry.namespace) for entry in lake.playbooks.list("bob").entries]
    assert found[0] == ("w-3", "anna")
    assert sorted(found[1:]) == [("w-1", "bob"), ("w-2", "bob")]
    for limit in (1, 2, 3, 4):
        pages = [lake.playbooks.list("bob", limit=limit, offset=at).entries for at in range(0, 4, limit)]
        assert [(entry.answer_id, entry.namespace) for page in pages for entry in page] == found
    # anna's of w-1, w-2 and w-3, her second of w-1, and zoe's of w-1.
    lift = lake.playbooks.lift("bob").served
    assert (lift.outcomes, lift.good) == (5, 4)
    lake.playbooks.handover("zoe", "anna", "copy")
    assert lake.playbooks.lift("bob").served == lift


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
    vectors = np.ones((1, lake.rooms.embed.dimension), dtype=np.float32)
    lake.rooms.vectors.put("playbook_default", [entry.id], vectors, [b'{"answer_id":"w-3"}'])
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


def test_lake_of_layout_4_opens_and_notes_calls_with_a_key(lake, reopen):
    with lake.rooms.state.write() as connection:
        connection.execute(text("DROP TABLE playbook_receipts"))
        connection.execute(text("UPDATE schema_version SET version = 4 WHERE room = 'memory'"))
    again = reopen(lake)
    with idempotency.keyed("k-1"):
        assert record(again) == record(again)


def history(lake, answer, namespace) -> list[str]:
    (entry,) = [each for each in lake.playbooks.list(namespace).entries if each.answer_id == answer]
    return [each.outcome for each in lake.playbooks.get(entry.id).outcomes]


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_handover_joins_the_outcomes_of_an_entry_both_have(lake, mode):
    record(lake, namespace="ben", outcome="no_show", by="ben")
    record(lake, namespace="anna", by="anna", why="fast")
    for _ in range(2):
        assert lake.playbooks.handover("anna", "ben", mode).entries == 0
    (entry,) = lake.playbooks.list("ben").entries
    assert (entry.good, entry.bad, entry.outcome, entry.by) == (1.0, 2.0, "worked", "anna")
    assert history(lake, "w-1", "ben") == ["no_show", "worked"]
    assert answers(lake, "anna") == (set() if mode == "move" else {"w-1"})


def test_outcomes_that_a_copy_brought_stand_at_their_times(lake):
    for namespace, by in (("anna", "first"), ("ben", "second"), ("anna", "third")):
        record(lake, namespace=namespace, by=by)
        # Times have milliseconds.
        time.sleep(0.002)
    lake.playbooks.handover("anna", "ben", "copy")
    (entry,) = lake.playbooks.list("ben").entries
    told = lake.playbooks.get(entry.id).outcomes
    assert [each.by for each in told] == ["first", "second", "third"]
    assert [each.by for each in lake.playbooks.export("ben").entries[0].outcomes] == ["first", "second", "third"]


def test_handover_copy_again_brings_only_what_is_new(lake):
    record(lake, namespace="anna")
    lake.playbooks.handover("anna", "ben", "copy")
    record(lake, namespace="ben", outcome="accepted")
    record(lake, namespace="anna", outcome="rejected")
    for _ in range(2):
        lake.playbooks.handover("anna", "ben", "copy")
        lake.playbooks.merge("anna", "ben")
    (entry,) = lake.playbooks.list("ben").entries
    assert (entry.good, entry.bad) == (1.5, 1.0)
    assert history(lake, "w-1", "ben") == ["worked", "accepted", "rejected"]


def test_import_role_of_more_than_200_letters_is_refused(lake):
    record(lake)
    (entry,) = lake.playbooks.export().entries
    with pytest.raises(InvalidInput, match="role"):
        lake.playbooks.import_([{**msgspec.to_builtins(entry), "role": "r" * 201}], namespace="other")


def test_handover_of_what_was_imported_takes_its_evidence_along_once(lake):
    record(lake, namespace="there", outcome="asked_back")
    lake.playbooks.import_(lake.playbooks.export("there").entries, namespace="anna")
    record(lake, namespace="ben", outcome="rejected")
    for _ in range(2):
        lake.playbooks.handover("anna", "ben", "copy")
    (entry,) = lake.playbooks.list("ben").entries
    assert (entry.good, entry.bad) == (2.0, 1.0)


def test_record_of_somebody_in_an_index_of_memory_is_refused(lake):
    made = record(lake, namespace="anna")
    entry = {"query_text": ASK, "answer_id": made.playbook_id, "corpus": "playbook_anna", "score": 1}
    with pytest.raises(NotFound, match=r"'playbook_anna' does not exist; there are: workers"):
        lake.playbooks.record(**entry)
    with pytest.raises(NotFound, match=r"entries\[0\].*'playbook_anna'"):
        lake.playbooks.bulk([entry])
    assert answers(lake) == set()


def test_corpus_under_the_name_of_memory_is_refused(lake):
    with pytest.raises(InvalidInput, match="/v1/matrix/playbooks"):
        lake.corpora.build(name="playbook_anna", **{**CORPUS, "id_prefix": "x-"})


def served(lake) -> int:
    return lake.matrix.search(ASK, ["workers"], use_playbook=True, playbook="anna").boosted


def test_record_makes_an_index_that_was_deleted_of_all_rows(lake):
    for answer in ("w-1", "w-2"):
        record(lake, answer, namespace="anna")
    assert served(lake) == 2
    lake.vectors.delete("playbook_anna")
    assert served(lake) == 0
    record(lake, "w-3", namespace="anna")
    assert lake.vectors.stats("playbook_anna").items == 3
    assert served(lake) == 3


def test_memory_without_its_index_can_be_deleted_handed_over_and_made_again(lake, reopen):
    first, _ = record(lake, "w-1", namespace="anna"), record(lake, "w-2", namespace="anna")
    lake.vectors.delete("playbook_anna")
    lake.playbooks.delete(first.playbook_id)
    assert lake.playbooks.handover("anna", "ben", "copy").entries == 1
    assert lake.rooms.playbooks.purge(["w-2"]) == 2
    record(lake, "w-3", namespace="anna")
    lake.vectors.delete("playbook_anna")
    lake.playbooks.handover("anna", "ben", "move")
    assert lake.vectors.stats("playbook_ben").items == 1
    again = reopen(lake)
    assert (answers(again, "anna"), answers(again, "ben")) == (set(), {"w-3"})


@pytest.mark.parametrize("pending", [False, True], ids=["closed", "killed"])
@pytest.mark.parametrize("shape", [(3, "m"), (384, "another model")])
def test_start_and_record_make_an_index_that_does_not_fit_anew(lake, reopen, shape, pending):
    """As an older version let others make it, or as a change of the embedding model leaves it."""
    dimension, model = shape
    for answer in ("w-1", "w-2"):
        record(lake, answer, namespace="anna")
    vectors = lake.rooms.vectors
    for name in ("playbook_anna", "playbook_new"):
        if name == "playbook_anna":
            vectors.delete(name)
        vectors.create_unwalked(name, dimension, model=model)
        vectors.put(name, ["x"], np.ones((1, dimension), dtype=np.float32), [b"{}"])
    record(lake, namespace="new")
    assert lake.vectors.stats("playbook_new").dimension == lake.rooms.embed.dimension
    if pending:
        with lake.rooms.state.write() as connection:
            connection.execute(text("UPDATE playbooks SET pending = true WHERE answer_id = 'w-2'"))
        lake.rooms.playbooks._store._settled.clear()
    again = reopen(lake)
    assert served(again) == 2
    stats = again.vectors.stats("playbook_anna")
    assert (stats.items, stats.dimension, stats.model) == (2, again.rooms.embed.dimension, again.rooms.embed.model)


def test_start_goes_on_when_an_index_cannot_be_made(lake, reopen, monkeypatch, caplog):
    record(lake, "w-1", namespace="anna")
    lake.vectors.delete("playbook_anna")

    def away(*_words):
        raise Unavailable("the model is away")

    with monkeypatch.context() as without:
        without.setattr(RecallIndex, "filed", away)
        again = reopen(lake)
    assert "the model is away" in caplog.text
    assert answers(again, "anna") == {"w-1"}
    assert served(again) == 1
    record(again, "w-2", namespace="anna")
    assert served(again) == 2


def test_start_a_damaged_index_is_made_of_the_rows(lake, reopen):
    record(lake, namespace="anna")
    (Path(lake.rooms.settings.data) / "vectors" / "playbook_anna" / "index.json").write_bytes(b"?")
    again = reopen(lake)
    assert served(again) == 1
