"""Charts drawn from results."""

from hypothesis import given
from hypothesis import strategies as st

from lakehouse.serve.console.plot import MOST_BARS, WIDTH, chart


def test_labelled_numbers_become_bars():
    drawn = chart(["role", "people"], [["Welder", 40], ["Line Cook", 20], [None, -10]])
    assert drawn.kind == "bars"
    assert [(bar.label, bar.value) for bar in drawn.bars] == [("Welder", "40"), ("Line Cook", "20"), ("none", "-10")]
    assert drawn.bars[0].width == 2 * drawn.bars[1].width
    assert drawn.bars[2].x < drawn.bars[0].x


def test_days_in_order_become_a_line():
    drawn = chart(["day", "people"], [["2026-03-01", 1], ["2026-03-02", 5], ["2026-03-09", 2]])
    assert drawn.kind == "line"
    xs = [float(point.split(",")[0]) for point in drawn.points.split()]
    assert xs[2] - xs[1] > 6 * (xs[1] - xs[0])


def test_result_without_the_shape_of_a_chart_is_none():
    assert chart(["n"], [[1], [2]]) is None
    assert chart(["a", "b"], [["x", "y"], ["z", "w"]]) is None
    assert chart(["a", "b"], [["x", 1]]) is None
    assert chart(["a", "b"], [["x", None], ["y", None]]) is None


def test_bars_beyond_the_room_are_counted():
    drawn = chart(["a", "n"], [[f"a{at}", at] for at in range(MOST_BARS + 7)])
    assert (len(drawn.bars), drawn.left_out) == (MOST_BARS, 7)


NUMBERS = st.one_of(st.integers(-(10**18), 10**18), st.floats(allow_nan=False, allow_infinity=False, width=32))


@given(
    st.lists(st.tuples(st.one_of(st.text(), st.none(), NUMBERS, st.dates().map(str)), NUMBERS), min_size=2, max_size=60)
)
def test_every_chart_stays_inside_its_frame(rows):
    drawn = chart(["a", "b"], rows)
    for bar in drawn.bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= WIDTH
    for point in drawn.points.split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= drawn.width
        assert 0 <= y <= drawn.height
