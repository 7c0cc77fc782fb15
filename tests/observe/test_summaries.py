"""The running count equals a count from the beginning, whatever comes and goes."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import settings
from lakehouse.observe._summaries import Tally, percentile
from lakehouse.observe.ops import Ops

START = datetime(2026, 3, 1, 10, 59, 58, tzinfo=UTC)
OPS = st.lists(
    st.tuples(
        st.sampled_from(["call", "scenario"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["ok", "not_found"]),
        st.none() | st.sampled_from([0.5, 1.0, 1.0001, 7.25]),
    ),
    max_size=40,
)


def check(stats, held):
    """Compare with a plain count of ops as (moment, source, kind, status, milliseconds)."""
    assert stats.total == len(held)
    assert stats.errors == sum(status != "ok" for *_, status, _ in held)
    assert stats.by_source == Counter(source for _, source, *_ in held)
    assert stats.by_hour == Counter(moment.isoformat()[:13] for moment, *_ in held)
    counts = Counter(kind for _, _, kind, *_ in held)
    assert list(stats.by_kind) == sorted(counts, key=lambda kind: (-counts[kind], kind))
    for kind, found in stats.by_kind.items():
        took = sorted(ms for _, _, name, _, ms in held if name == kind and ms is not None)
        assert (found.count, found.max_ms) == (counts[kind], took[-1] if took else None)
        assert (found.p50_ms, found.p95_ms) == (percentile(took, 0.5), percentile(took, 0.95))
        assert found.errors == sum(name == kind and status != "ok" for _, _, name, status, _ in held)


@hypothesis.settings(max_examples=25)
@given(st.lists(OPS, max_size=6), st.integers(1, 25))
def test_running_count_is_that_of_the_ring_however_often_it_is_asked(tmp_path_factory, parts, ring):
    now = [START]
    folder = tmp_path_factory.mktemp("ops")
    before = []
    for process in ("first", "second"):
        config = settings.Observer(ring=ring)
        ops = Ops(config, folder / "ops.jsonl", clock=lambda: now[0], start=process)
        held = [*before]
        for part in parts:
            for source, kind, status, ms in part:
                now[0] += timedelta(seconds=1)
                ops.record(source, kind, status=status, elapsed_ms=ms)
                held.append((now[0], source, kind, status, ms))
            check(ops.stats(), held[-ring:])
        ops.rewrite(lambda texts: ["", texts[1]])
        check(ops.stats(), held[-ring:])
        ops.close()
        before = held


def test_count_begins_anew_where_the_ops_do_not_follow_those_counted():
    def row(number, kind):
        return (number, START, "call", kind, "ok", 1.0, "", "", {})

    tally = Tally()
    for rows in (
        [row(1, "a"), row(2, "b")],
        [row(2, "b")],
        [row(2, "b"), row(5, "c")],
        [row(5, "c")],
        [row(9, "a")],
        [],
    ):
        tally.bring([], rows)
        stats = tally.stats(oldest="", newest="", recorded=0, dropped=0, spans_dropped=0)
        assert list(stats.by_kind) == [each[3] for each in rows]
    tally.bring([], [row(1, "a"), row(2, "b")])
    tally.bring([], [row(1, "a"), row(3, "c")])
    assert tally.stats(oldest="", newest="", recorded=0, dropped=0, spans_dropped=0).total == 2
