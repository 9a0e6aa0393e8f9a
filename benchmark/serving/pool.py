"""Worker processes that hold the predictor, limited in time and memory."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from benchmark.engine.processes import Worker, data_bytes
from benchmark.errors import BenchmarkError
from benchmark.serving.limits import Limits
from benchmark.serving.predictor import Predictor
from benchmark.tracking.cards import read_card

P = ParamSpec("P")
T = TypeVar("T")

START_S = 120.0  # a network's libraries take seconds to load, and more from a slow disk
PAUSE_S = 5.0  # between two attempts to start a worker
WORN = 0.5  # a worker that still holds this fraction of its memory limit is replaced

log = logging.getLogger(__name__)


class SlowError(Exception):
    """A request exceeded its time limit."""


class LostError(Exception):
    """The worker of a request ended: it exceeded its memory limit, or crashed."""


class Pool:
    """Worker processes that each hold the predictor, limited in time and memory.

    Parameters
    ----------
    card : Path
        Card of the model.
    limits : Limits
        `request_s` and `memory_bytes` are enforced here, the others by `RequestLimits`.
    workers : int
        Number of processes.

    Attributes
    ----------
    replaced : int
        Number of workers that were replaced.
    """

    def __init__(self, card: Path, limits: Limits, workers: int = 1) -> None:
        self.card = read_card(card)
        self.replaced = 0
        self._path = card
        self._limits = limits
        self._count = workers
        self._lock = threading.Lock()
        self._workers: set[Worker] = set()
        self._idle: deque[Worker] = deque()
        self._waiting: deque[Future[Worker]] = deque()
        self._closed = threading.Event()

    @property
    def ready(self) -> int:
        """Number of workers that have loaded their model."""
        return len(self._workers)

    def start(self) -> None:
        """Start the workers and wait until each has loaded its model.

        Raises
        ------
        BenchmarkError
            If the model can't be loaded.
        """
        fresh = [self._worker() for _ in range(self._count)]
        try:
            for loaded in [worker.start() for worker in fresh]:
                loaded.result(START_S)
        except BaseException as error:
            for worker in fresh:
                worker.kill()
            if not isinstance(error, (BrokenProcessPool, MemoryError, TimeoutError)):
                raise
            loading = f"{self._path}: a process that was to load {self.card.reference}"
            if isinstance(error, TimeoutError):
                raise BenchmarkError(
                    f"{loading} was not ready after {START_S:.0f} s. Is this machine busy? Try "
                    "again, or with fewer --workers."
                ) from error
            raise BenchmarkError(
                f"{loading} ended. Is there memory for {self._count} of it?"
            ) from error
        for worker in fresh:
            self._enter(worker)

    def close(self) -> None:
        """Kill every worker; running calls are lost."""
        self._closed.set()
        with self._lock:
            workers, self._workers = self._workers, set()
            self._idle.clear()
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.close()

    async def ask(
        self,
        function: Callable[Concatenate[Predictor, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Return the result of a function of the predictor, called in a worker.

        The function is at the top of a module, and its arguments can be pickled. If the caller is
        cancelled, the worker finishes the call within the time limit.

        Raises
        ------
        SlowError
            If it took longer than `request_s`, waiting included; the worker is replaced.
        LostError
            If the worker exceeded its memory limit or crashed; it is replaced.
        Exception
            From the function, for example `UnusableError`.
        """
        until = time.monotonic() + self._limits.request_s
        try:
            return await self._answer(until, partial(_call, function, arguments, named))
        except TimeoutError as error:
            raise SlowError from error
        except (BrokenProcessPool, MemoryError) as error:
            raise LostError from error

    async def _answer(self, until: float, call: Callable[[Predictor], T]) -> T:
        while not (worker := await self._next_idle(until)).alive:
            self._replace(worker)  # it died while idle
        answer = worker.submit(_run, self._path, call)
        answer.add_done_callback(partial(self._finished, worker))
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            if not answer.done():
                worker.kill()
            raise
        except asyncio.CancelledError:
            timer = threading.Timer(max(0.0, until - time.monotonic()), worker.kill)
            timer.daemon = True
            timer.start()
            answer.add_done_callback(lambda _: timer.cancel())
            raise
        finally:
            # An error refers to this frame, and so to the upload. Without this, the frame would
            # refer to the error as well, and both would stay until garbage is collected.
            del answer

    async def _next_idle(self, until: float) -> Worker:
        """Return the next idle worker; first come, first served."""
        with self._lock:
            if self._idle:
                return self._idle.popleft()
            waiting: Future[Worker] = Future()
            self._waiting.append(waiting)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await asyncio.wrap_future(waiting)
        except (TimeoutError, asyncio.CancelledError):
            # The worker may have been assigned at the moment at which the wait ended.
            if not waiting.cancel():
                self._release(waiting.result())
            raise

    def _finished(self, worker: Worker, answer: Future[Any]) -> None:
        """Make a worker available for the next call, or replace it."""
        error = None if answer.cancelled() else answer.exception()
        if isinstance(error, (BrokenProcessPool, MemoryError)) or self._is_worn(worker):
            self._replace(worker)
        else:
            self._release(worker)

    def _is_worn(self, worker: Worker) -> bool:
        """Whether a worker still holds much more memory than its loaded model needs."""
        loaded_bytes: int = worker.ready.result()
        return worker.data_bytes - loaded_bytes > WORN * self._limits.memory_bytes

    def _worker(self) -> Worker:
        """Return a worker whose first call loads the predictor."""
        return Worker(partial(_load, self._path, self._limits.memory_bytes))

    def _enter(self, worker: Worker) -> None:
        """Add a worker that has loaded its model, unless the pool is closed."""
        with self._lock:
            if self._closed.is_set():
                worker.kill()
                return
            self._workers.add(worker)
        self._release(worker)

    def _release(self, worker: Worker) -> None:
        """Assign a worker to the longest waiting call."""
        with self._lock:
            if worker not in self._workers:
                return
            while self._waiting:
                waiting = self._waiting.popleft()
                if waiting.set_running_or_notify_cancel():
                    waiting.set_result(worker)
                    return
            self._idle.append(worker)

    def _replace(self, worker: Worker) -> None:
        """Kill a worker, and start another in a thread."""
        worker.kill()
        with self._lock:
            if worker not in self._workers:
                return
            self._workers.remove(worker)
            self.replaced += 1
        threading.Thread(target=self._refill, daemon=True).start()

    def _refill(self) -> None:
        """Start a worker, in as many attempts as it takes."""
        while not self._closed.is_set():
            fresh = self._worker()
            try:
                fresh.start().result(START_S)
            except Exception:
                fresh.kill()
                log.exception("A worker could not be started; the pool tries again.")
                self._closed.wait(PAUSE_S)
            else:
                self._enter(fresh)
                return


@cache
def _predictor(card: Path) -> Predictor:
    return Predictor.load(card)


def _load(card: Path, memory_bytes: int) -> int:
    """Load the model in a worker, limit its memory, and return its data segments in bytes."""
    predictor = _predictor(card)
    predictor.warm_up()
    held = data_bytes("self")
    if held:
        import resource

        bound = held + memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    # Decoders print every broken frame to it; Python's own faults are raised as errors.
    with Path(os.devnull).open("w") as devnull:
        os.dup2(devnull.fileno(), 2)
    return held


def _run(card: Path, call: Callable[[Predictor], T]) -> T:
    """Call a function of the predictor in a worker."""
    try:
        return call(_predictor(card))
    except MemoryError:
        raise MemoryError from None  # its traceback refers to whatever filled the memory


def _call(
    function: Callable[..., T],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    predictor: Predictor,
) -> T:
    return function(predictor, *arguments, **named)
