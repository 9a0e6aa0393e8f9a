"""Counts and times of a service, as Prometheus reads them; nothing of what was asked."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from benchmark.serving.pool import Pool

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OTHER = "other"
"""The route of whatever is no route of REST: the page and its files, or nothing."""

BUCKETS_S = (0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counts and times of a service.

    Parameters
    ----------
    pool : Pool
    routes : iterable of str
        Paths that are counted by name.
    """

    def __init__(self, pool: Pool, routes: Iterable[str]) -> None:
        self._pool = pool
        self._routes = frozenset(routes)
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "ser_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "ser_request_seconds",
            "From a request's first line to the first of its answer.",
            ("route",),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._asking = Gauge(
            "ser_requests_in_progress", "Requests not yet answered.", registry=self._registry
        )
        self._registry.register(_Workers(pool))

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self._registry)

    def watching(self, app: ASGIApp) -> ASGIApp:
        """Return an application that does the same and is counted."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began = time.perf_counter()
            route = scope["path"] if scope["path"] in self._routes else OTHER
            answered = False

            async def counted(message: Message) -> None:
                nonlocal answered
                if message["type"] == "http.response.start" and not answered:
                    answered = True
                    self._asking.dec()
                    self._requests.labels(route, str(message["status"])).inc()
                    self._seconds.labels(route).observe(time.perf_counter() - began)
                await send(message)

            self._asking.inc()
            try:
                await app(scope, receive, counted)
            finally:
                if not answered:
                    self._asking.dec()

        return watched


class _Workers:
    """What the pool tells of itself, asked when it is read."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def collect(self) -> Iterator[Metric]:
        """Yield the pool's figures."""
        yield GaugeMetricFamily(
            "ser_workers", "Worker processes with their model loaded.", value=self._pool.ready
        )
        yield CounterMetricFamily(
            "ser_workers_replaced", "Worker processes replaced.", value=self._pool.replaced
        )
        card = self._pool.card
        model = GaugeMetricFamily(
            "ser_model_info", "The model that answers.", labels=("reference", "study", "split")
        )
        model.add_metric((card.reference, card.study, card.split), 1)
        yield model
