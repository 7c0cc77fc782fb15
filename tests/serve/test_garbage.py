"""A serving process goes through new objects at every tick with requests, and through all of them when it is quiet."""

import gc
import weakref

import pytest

from lakehouse.serve._garbage import THRESHOLDS, Garbage


class Link:
    def __init__(self):
        self.me = self


@pytest.fixture
def thresholds():
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(*THRESHOLDS)
    yield
    gc.set_threshold(*before)


@pytest.fixture
def clock():
    return Clock()


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


def garbage():
    return weakref.ref(Link())


def test_new_garbage_goes_at_the_next_tick_with_requests(thresholds, clock):
    sweep, new = Garbage(clock), garbage()
    sweep.tick(0)
    assert new() is not None
    sweep.tick(1)
    assert new() is None


def test_kept_objects_that_push_others_out_are_not_left_to_come_together(thresholds, clock):
    sweep, kept = Garbage(clock), [[] for _ in range(60_000)]
    gc.collect()
    most = 0
    for number in range(60_000):
        kept[number] = [kept]
        if number % 500 == 0:
            clock.now += 0.1
            sweep.tick(number + 1)
            most = max(most, len(gc.get_objects(generation=0)))
    assert most < 2_000
    # By itself Python looks only at what came less what went, which is nothing here.
    for number in range(60_000):
        kept[number] = [kept]
    assert len(gc.get_objects(generation=0)) > 50_000


def test_old_garbage_goes_in_a_quiet_second_and_under_requests_without_a_break_after_ten_minutes(thresholds, clock):
    for quiet, after in ((True, 62), (False, 600)):
        sweep, asked = Garbage(clock), 1
        old = Link()
        kept = weakref.ref(old)
        sweep.tick(asked)
        del old
        gone_after = None
        for tick in range(10 * 700):
            clock.now += 0.1
            asked += 0 if quiet else 1
            sweep.tick(asked)
            if kept() is None:
                gone_after = (tick + 1) / 10
                break
        assert gone_after == pytest.approx(after, abs=2.5)


def test_nothing_is_gone_through_when_nobody_asked_since(thresholds, clock):
    sweep = Garbage(clock)
    sweep.tick(5)
    clock.now += 100
    sweep.tick(5)
    new = garbage()
    for _ in range(10_000):
        clock.now += 0.1
        sweep.tick(5)
    assert new() is not None
    gc.collect()
