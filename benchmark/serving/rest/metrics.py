"""Prometheus metrics of a service; no request data is recorded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric

from benchmark.serving.pool import Pool

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

OTHER = "other"
"""Label of every path that is not a route."""

BUCKETS_S = (0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Request counts and durations by route, and the state of the worker pool."""

    def __init__(self, pool: Pool, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "ser_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "ser_request_seconds",
            "Time from the request to the start of its response.",
            ("route",),
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._in_progress = Gauge(
            "ser_requests_in_progress", "Requests not yet answered.", registry=self._registry
        )
        workers = Gauge(
            "ser_workers", "Worker processes with their model loaded.", registry=self._registry
        )
        workers.set_function(lambda: pool.ready)
        card = pool.card
        model = Info("ser_model", "The model that is served.", registry=self._registry)
        model.info({"reference": card.reference, "study": card.study, "split": card.split})
        self._pool = pool
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield what the pool counts itself; called at each scrape."""
        yield CounterMetricFamily(
            "ser_workers_replaced", "Worker processes replaced.", value=self._pool.replaced
        )

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def counted(self, app: ASGIApp) -> ASGIApp:
        """Return an application whose requests are counted."""

        async def counted_app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            start = time.perf_counter()
            paths = (getattr(route, "path", "") for route in self._routes)
            route = scope["path"] if scope["path"] in paths else OTHER
            responded = False

            async def count_and_send(message: Message) -> None:
                nonlocal responded
                if message["type"] == "http.response.start" and not responded:
                    responded = True
                    self._in_progress.dec()
                    self._requests.labels(route, str(message["status"])).inc()
                    self._seconds.labels(route).observe(time.perf_counter() - start)
                await send(message)

            self._in_progress.inc()
            try:
                await app(scope, receive, count_and_send)
            finally:
                if not responded:
                    self._in_progress.dec()

        return counted_app
