from __future__ import annotations

import pytest

from lakehouse.cli import portions
from lakehouse.errors import InvalidInput, NotFound, Unavailable


def _sent(call, read, most=2):
    return list(portions.sent("a.jsonl", read, call, most=most, field="entries", earlier="were sent"))


def test_sent_gives_the_answers_of_all_portions_in_order() -> None:
    assert _sent(sum, [(1, 10), (3, 20), (4, 30)]) == [30, 30]
    assert _sent(sum, []) == []


def test_sent_names_the_line_in_message_and_detail() -> None:
    def call(entries):
        if 30 in entries:
            raise NotFound("entries[0]: no 'w-9'", entry=0, field="entries[0].answer_id", id="w-9")

    with pytest.raises(NotFound) as caught:
        _sent(call, [(1, 10), (3, 20), (7, 30)])
    assert caught.value.message == "a.jsonl, line 7: no 'w-9'; the first 2 entries were sent"
    assert caught.value.detail == {"field": "answer_id of line 7", "id": "w-9", "line": 7}


@pytest.mark.parametrize(
    ("message", "placed"),
    [
        ("Expected `str` - at `$.entries[1].why`", "a.jsonl, Expected `str` - at `why of line 5`"),
        ("entries[9] is none of these", "entries[9] is none of these"),
        ("the body is too long", "the body is too long"),
    ],
)
def test_sent_places_what_names_a_position_and_leaves_the_rest(message: str, placed: str) -> None:
    def call(_):
        raise InvalidInput(message, limit=1)

    with pytest.raises(InvalidInput) as caught:
        _sent(call, [(2, 10), (5, 20)])
    assert caught.value.message == placed
    assert caught.value.detail["limit"] == 1


def test_sent_tells_what_was_sent_before_the_lake_went_away() -> None:
    def call(entries):
        if 30 in entries:
            raise Unavailable("shutting down")

    with pytest.raises(Unavailable, match="shutting down; the first 2 entries were sent"):
        _sent(call, [(1, 10), (2, 20), (3, 30)])
