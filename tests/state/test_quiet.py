from __future__ import annotations

import threading
import time

from lakehouse.state.quiet import Gate, quiet


def test_changes_wait_while_the_gate_is_closed(tmp_path):
    gate, passed = Gate(tmp_path), threading.Event()

    def change():
        with gate.passing():
            passed.set()

    with quiet(tmp_path, within_s=1) as nobody_under_way:
        assert nobody_under_way
        changing = threading.Thread(target=change)
        changing.start()
        assert not passed.wait(0.1)
    changing.join(10)
    assert passed.is_set()


def test_quiet_comes_although_changes_never_pause(tmp_path):
    gate, stop = Gate(tmp_path), threading.Event()

    def change():
        while not stop.is_set():
            with gate.passing():
                time.sleep(0.001)

    changing = [threading.Thread(target=change) for _ in range(4)]
    for thread in changing:
        thread.start()
    try:
        for _ in range(5):
            with quiet(tmp_path, within_s=20) as nobody_under_way:
                assert nobody_under_way
    finally:
        stop.set()
        for thread in changing:
            thread.join()


def test_quiet_goes_on_without_one_that_takes_too_long(tmp_path):
    with Gate(tmp_path).passing(), quiet(tmp_path, within_s=0.05) as nobody_under_way:
        assert not nobody_under_way
