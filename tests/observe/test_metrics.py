"""Counters as Prometheus reads them."""

import threading

import httpx
import pytest

import lakehouse
from lakehouse.errors import NotFound
from lakehouse.serve import ports
from lakehouse.serve.run import Stack


@pytest.fixture
def served(opened):
    lake = opened()
    stack = Stack(lake, lake.rooms.settings, ports.bind("127.0.0.1", 0), token="secret", only=frozenset({"observerd"}))
    ready = threading.Event()
    running = threading.Thread(target=stack.run, kwargs={"ready": ready.set})
    running.start()
    assert ready.wait(30)
    yield lake, stack.url
    stack.stop()
    running.join()
    assert stack.drain()


def test_metrics_count_what_was_done(served):
    from prometheus_client.parser import text_string_to_metric_families

    lake, url = served
    lake.observer.event("scenario", 'odd "kind"\\', elapsed_ms=3)
    lake.catalog.datasets()
    with pytest.raises(NotFound):
        lake.catalog.dataset("nothing")
    assert lake.rooms.observer.flush()
    answer = httpx.get(f"{url}/metrics", headers={"Authorization": "Bearer secret"})
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    ended = {key[1][1]: value for key, value in samples.items() if key[0] == "lakehouse_ops_total"}
    assert ended == {'odd "kind"\\': 1, "catalog.datasets": 1, "catalog.dataset": 1}
    assert samples["lakehouse_op_duration_seconds_bucket", ("kind", 'odd "kind"\\'), ("le", "0.005")] == 1
    assert samples["lakehouse_op_duration_seconds_bucket", ("kind", 'odd "kind"\\'), ("le", "0.0025")] == 0
    assert samples["lakehouse_dropped_total", ("what", "ops")] == 0


def test_metrics_ask_for_the_token(served):
    assert httpx.get(f"{served[1]}/metrics").status_code == 401


def test_service_alone_answers_without_prefix(served):
    with lakehouse.connect(served[1], token="secret") as remote:
        assert remote.workflow.modes().modes
    headers = {"Authorization": "Bearer secret"}
    assert httpx.get(f"{served[1]}/observer/stats", headers=headers).json()["dropped"] == 0
    assert httpx.get(f"{served[1]}/health").json()["service"] == "observerd"
