import pytest

from lakehouse.errors import InvalidInput, NotFound

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
