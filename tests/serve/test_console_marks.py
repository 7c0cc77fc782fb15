"""The original text, cut at what was read from it."""

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.serve.console.marks import Segment, segments

TEXT = "3 welders in Parma OH"
spans = st.dictionaries(
    st.sampled_from(["role", "count", "location", "certs", "shift"]),
    st.tuples(st.integers(-5, 40), st.integers(-5, 40)),
)


def test_segments_marks_each_span_with_its_field():
    found = segments(TEXT, {"location": (13, 21), "count": (0, 1), "role": (2, 9)})
    assert found == [
        Segment("3", "count"),
        Segment(" "),
        Segment("welders", "role"),
        Segment(" in "),
        Segment("Parma OH", "location"),
    ]


def test_segments_overlap_goes_to_the_span_that_starts_first():
    found = segments(TEXT, {"role": (2, 15), "location": (13, 21)})
    assert [piece for piece in found if piece.field] == [
        Segment("welders in Pa", "role"),
        Segment("rma OH", "location"),
    ]


def test_segments_span_inside_another_is_not_shown():
    assert segments("abc", {"role": (0, 3), "count": (1, 2)}) == [Segment("abc", "role")]


def test_segments_without_spans_is_the_text():
    assert segments(TEXT, {}) == [Segment(TEXT)]
    assert segments("", {"role": (0, 4)}) == []


@given(st.text(max_size=30), spans)
def test_segments_joined_are_the_text_whatever_the_spans(text, found):
    pieces = segments(text, found)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)


@given(st.text(max_size=30), spans)
def test_segments_no_field_stands_in_two_places(text, found):
    fields = [piece.field for piece in segments(text, found) if piece.field]
    assert len(fields) == len(set(fields))
    assert set(fields) <= set(found)
