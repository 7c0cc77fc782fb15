"""Counters in the format that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from lakehouse.observe._summaries import BOUNDS_MS, Counters, Histogram

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class Metrics:
    """Everything counted by this process, as one text.

    Args:
        counters: Of ops.
        lost: By what (`ops`, `spans`, ...), how many were dropped so far.
    """

    def __init__(self, counters: Counters, lost: Mapping[str, Callable[[], int]]) -> None:
        self._counters = counters
        self._lost = lost

    def text(self) -> tuple[bytes, str]:
        """Return the text and its media type."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4

    def collect(self) -> Iterator[Metric]:
        """Yield every family of counters, as the registry asks for them."""
        from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

        ops = CounterMetricFamily("lakehouse_ops", "Operations by how they ended", labels=("source", "kind", "status"))
        # Copies in one step each: the writer counts meanwhile.
        for labels, count in sorted(dict(self._counters.ops).items()):
            ops.add_metric(labels, count)
        yield ops
        took = HistogramMetricFamily("lakehouse_op_duration_seconds", "Time operations took", labels=("kind",))
        for kind, histogram in sorted(dict(self._counters.took).items()):
            took.add_metric((kind,), _buckets(histogram), histogram.sum_ms / 1000)
        yield took
        dropped = CounterMetricFamily("lakehouse_dropped", "Records that were not kept", labels=("what",))
        for what, count_of in sorted(self._lost.items()):
            dropped.add_metric((what,), count_of())
        yield dropped


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    bounds = [*(str(bound / 1000) for bound in BOUNDS_MS), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
