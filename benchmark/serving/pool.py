"""Worker processes that hold the predictor, bounded in time and memory.

Each worker is a pool of one process of its own: one that is killed takes no other with it, and no
pipe is shared that it could leave half written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from benchmark.engine.processes import prepare_worker, processes_of
from benchmark.errors import BenchmarkError
from benchmark.features.audio import UnusableError
from benchmark.serving.example_clip import example_wav
from benchmark.serving.limits import Limits
from benchmark.serving.predictor import Predictor
from benchmark.tracking.cards import read_card

P = ParamSpec("P")
T = TypeVar("T")

START_S = 120.0  # a network's libraries take seconds to load, and more from a slow disk
PAUSE_S = 5.0  # before a worker that could not be started is tried again
WORN = 0.5  # of the bound of memory, kept by an idle worker: it is replaced before it hits it

log = logging.getLogger(__name__)


class SlowError(Exception):
    """It took longer than the limits allow."""


class LostError(Exception):
    """The process that worked on it ended: over its bound of memory, or crashed."""


class Pool:
    """Worker processes, each holding the predictor, bounded in time and memory.

    Parameters
    ----------
    card : Path
        Of the model.
    limits : Limits
        Of them `request_s` and `memory_bytes` are kept here; how many may ask, by `RequestLimits`.
    workers : int
        How many processes.

    Attributes
    ----------
    card : Card
    replaced : int
        How many workers were replaced until now.
    """

    def __init__(self, card: Path, limits: Limits, workers: int = 1) -> None:
        self.card = read_card(card)
        self.replaced = 0
        self._path = card
        self._limits = limits
        self._count = workers
        self._lock = threading.Lock()
        self._workers: set[_Worker] = set()
        self._idle: deque[_Worker] = deque()
        self._waiting: deque[Future[_Worker]] = deque()
        self._closed = threading.Event()

    @property
    def ready(self) -> int:
        """How many workers have their model loaded."""
        return len(self._workers)

    def start(self) -> None:
        """Start the workers; returns when each has loaded its model.

        Raises
        ------
        BenchmarkError
            If the model can't be loaded.
        """
        fresh = [_Worker() for _ in range(self._count)]
        try:
            for loaded in [worker.load(self._path, self._limits.memory_bytes) for worker in fresh]:
                loaded.result(START_S)
        except BaseException as error:
            for worker in fresh:
                worker.kill()
            if not isinstance(error, (BrokenProcessPool, MemoryError, TimeoutError)):
                raise
            raise BenchmarkError(
                f"{self._path}: a process that was to load {self.card.reference} ended, or took "
                f"more than {START_S:.0f} s. Is there memory for {self._count} of it?"
            ) from error
        for worker in fresh:
            self._enter(worker)

    def close(self) -> None:
        """End every worker at once; what they were doing is lost."""
        self._closed.set()
        with self._lock:
            workers, self._workers = self._workers, set()
            self._idle.clear()
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait()

    async def ask(
        self,
        function: Callable[Concatenate[Predictor, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Return what a function of the predictor and some arguments returns in a worker.

        A worker whose asker goes away finishes what it does, for as long as a request may take.

        Parameters
        ----------
        function : callable
            At the top of a module.
        *arguments, **named
            That can be pickled.

        Raises
        ------
        SlowError
            If it took longer than `request_s`, waiting included; its worker was replaced.
        LostError
            If the worker ran out of memory, or crashed; it was replaced.
        Exception
            What the function raised, for example `UnusableError`.
        """
        until = time.monotonic() + self._limits.request_s
        try:
            return await self._answer(until, partial(_call, function, arguments, named))
        except TimeoutError as error:
            raise SlowError from error
        except (BrokenProcessPool, MemoryError) as error:
            raise LostError from error

    async def _answer(self, until: float, call: Callable[[Predictor], T]) -> T:
        worker, answer = await self._begin(until, call)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await asyncio.wrap_future(answer)
        except TimeoutError:
            if not answer.done():
                worker.kill()
            raise
        except asyncio.CancelledError:
            worker.kill_later(answer, until - time.monotonic())
            raise
        finally:
            # An error holds this frame, and with it what was uploaded; the frame must not hold the
            # error as well, or both would stay until they are found to be garbage.
            del answer

    async def _begin(
        self, until: float, call: Callable[[Predictor], T]
    ) -> tuple[_Worker, Future[T]]:
        while True:
            worker = await self._next_idle(until)
            try:
                answer = worker.submit(self._path, call)
            except BrokenProcessPool:  # it died while it had nothing to do: nobody's fault
                self._replace(worker)
                continue
            answer.add_done_callback(partial(self._finished, worker))
            return worker, answer

    async def _next_idle(self, until: float) -> _Worker:
        """Return the next worker that has nothing to do; first come, first served."""
        with self._lock:
            if self._idle:
                return self._idle.popleft()
            waiting: Future[_Worker] = Future()
            self._waiting.append(waiting)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return await asyncio.wrap_future(waiting)
        except (TimeoutError, asyncio.CancelledError):
            # It may have been handed over in the very moment in which the waiting ended.
            if not waiting.cancel():
                self._release(waiting.result())
            raise

    def _finished(self, worker: _Worker, answer: Future[Any]) -> None:
        """Let a worker go on with the next thing asked, or replace it."""
        error = None if answer.cancelled() else answer.exception()
        if isinstance(error, (BrokenProcessPool, MemoryError)):
            self._replace(worker)
            return
        if worker.kept_bytes > WORN * self._limits.memory_bytes and not worker.worn:
            worker.worn = True
            threading.Thread(target=self._renew, args=(worker,), daemon=True).start()
        self._release(worker)

    def _enter(self, worker: _Worker) -> None:
        """Take a worker that has loaded its model among the others, if it is wanted still."""
        with self._lock:
            wanted = self._count + sum(other.worn for other in self._workers)
            welcome = len(self._workers) < wanted and not self._closed.is_set()
            if welcome:
                self._workers.add(worker)
        if welcome:
            self._release(worker)
        else:
            worker.kill()

    def _release(self, worker: _Worker) -> None:
        """Hand a worker to whoever has waited longest; let it go where a fresh one is there."""
        with self._lock:
            if worker not in self._workers:
                return
            if worker.worn and len(self._workers) > self._count:
                self._workers.remove(worker)
                self.replaced += 1
                worker.kill()
                return
            while self._waiting:
                waiting = self._waiting.popleft()
                if waiting.set_running_or_notify_cancel():
                    waiting.set_result(worker)
                    return
            self._idle.append(worker)

    def _replace(self, worker: _Worker) -> None:
        """End a worker, and begin to start another."""
        worker.kill()
        with self._lock:
            if worker not in self._workers:
                return
            self._workers.remove(worker)
            self.replaced += 1
        threading.Thread(target=self._refill, daemon=True).start()

    def _renew(self, worker: _Worker) -> None:
        """Start another worker, and only then let go of one that keeps too much memory."""
        self._refill()
        with self._lock:
            idle = worker in self._idle
            if idle:
                self._idle.remove(worker)
        if idle:
            self._release(worker)

    def _refill(self) -> None:
        """Start a worker, however many attempts it takes."""
        while not self._closed.is_set():
            fresh = _Worker()
            try:
                fresh.load(self._path, self._limits.memory_bytes).result(START_S)
            except Exception:
                fresh.kill()
                log.exception("A worker could not be started; it will be tried again.")
                self._closed.wait(PAUSE_S)
            else:
                self._enter(fresh)
                return


class _Worker:
    """A process that holds the predictor."""

    def __init__(self) -> None:
        self.worn = False
        self._loaded: Future[int] = Future()
        self._executor = ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn"), initializer=prepare_worker
        )

    @property
    def kept_bytes(self) -> int:
        """What it takes while idle beyond what it took when it had loaded its model."""
        taken = sum(_data_bytes(process.pid or 0) for process in processes_of(self._executor))
        return max(0, taken - self._loaded.result())

    def load(self, card: Path, memory_bytes: int) -> Future[int]:
        """Start the process and let it load its model."""
        with _keeping_ctrl_c():
            self._loaded = self._executor.submit(_load, card, memory_bytes)
        return self._loaded

    def submit(self, card: Path, call: Callable[[Predictor], T]) -> Future[T]:
        """Begin to call a function of the predictor."""
        return self._executor.submit(_run, card, call)

    def kill(self) -> None:
        """End the process at once; what it was doing fails with BrokenProcessPool."""
        for process in processes_of(self._executor):
            process.kill()
        self._executor.shutdown(wait=False, cancel_futures=True)

    def wait(self) -> None:
        """Wait until the killed process is gone, and the thread that waits for its answers."""
        self._executor.shutdown(wait=True)

    def kill_later(self, answer: Future[Any], seconds: float) -> None:
        """End the process after some time, unless it has answered by then."""
        timer = threading.Timer(max(0.0, seconds), self.kill)
        timer.daemon = True
        timer.start()
        answer.add_done_callback(lambda _: timer.cancel())


@contextlib.contextmanager
def _keeping_ctrl_c() -> Iterator[None]:
    """Let a process that starts in the block never see Ctrl-C, not even while it imports."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@cache
def _predictor(card: Path) -> Predictor:
    return Predictor.load(card)


def _load(card: Path, memory_bytes: int) -> int:
    """Load the model in a worker, bound its memory, and return what it takes now."""
    predictor = _predictor(card)
    with contextlib.suppress(UnusableError):
        predictor.predict(example_wav())  # the first answer takes seven times as long as the next
    taken = _data_bytes("self")
    if taken:
        import resource

        bound = taken + memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    # Decoders write to it of every broken frame; what goes wrong in Python comes as an error.
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    with contextlib.suppress(OSError):  # where memory ends, a worker ends rather than the service
        Path("/proc/self/oom_score_adj").write_text("500")
    return taken


def _run(card: Path, call: Callable[[Predictor], T]) -> T:
    """Call a function of the predictor in a worker."""
    try:
        return call(_predictor(card))
    except MemoryError:
        raise MemoryError from None  # its traceback would keep what has filled the memory


def _call(
    function: Callable[..., T],
    arguments: tuple[Any, ...],
    named: dict[str, Any],
    predictor: Predictor,
) -> T:
    return function(predictor, *arguments, **named)


def _data_bytes(process: int | str) -> int:
    """Return what the memory bound of a process counts, in bytes; 0 where no system tells."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[5])
    except (OSError, ValueError, IndexError):
        return 0
    import resource

    return pages * resource.getpagesize()
