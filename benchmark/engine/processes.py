"""Worker processes, and a queue of tasks over several of them.

A worker runs pure functions of their arguments. So results do not depend on the number of workers,
and a killed worker loses only the task that it ran.
"""

from __future__ import annotations

import contextlib
import heapq
import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, Protocol, TypeVar

from benchmark.errors import BenchmarkError

T = TypeVar("T")

THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""One BLAS thread per process: two made logistic regression 14 to 31 times slower. The variables
are read when numpy is first imported, so they are set before it, and workers inherit them."""

MAX_FAILED_STARTS = 5
"""Number of processes in a row that may end before they run anything; then no more are started."""

POLL_S = 1.0

SPARE_S = 5.0
"""Time that a withdrawn task may still run: to restart its worker takes as long."""

PRELOADED = (
    "pandas",
    "scipy.signal",
    "scipy.stats",
    "sklearn.discriminant_analysis",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.neural_network",
    "sklearn.svm",
)
"""What most tasks need, imported once for all workers on Linux."""

LONGEST_SOCKET = 107
"""Bytes of the path of a Unix socket on Linux; Python's own folder and name take some 35."""

GONE_S = 0.2
"""Time that a killed process may take to be gone, before which none takes its place."""

RESTARTS = 2
"""Attempts to start a call on a process that dies while it is idle."""


KERNELS = OPENBLAS_KERNELS, NUMPY_KERNELS = "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES"
SAFE_PATH = "PYTHONSAFEPATH"

AVX512 = "X86_V4 AVX512_ICL AVX512_SPR"
"""Names that numpy gives its kernels for processors with AVX-512."""


def prepare_libraries() -> None:
    """Let numerical libraries use one thread, and compute alike on common processors.

    Call it before numpy is imported. The kernels of OpenBLAS and numpy for AVX-512 round in another
    way than those for AVX2, so that last digits, and with them a search, would depend on the
    machine. A variable that names the kernels is kept.
    """
    for name in THREAD_LIMITS:
        os.environ[name] = "1"
    try:
        processor = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return  # another system than Linux: OpenBLAS selects its kernels
    features = set(processor.split())
    if {"avx2", "fma"} <= features:
        os.environ.setdefault(OPENBLAS_KERNELS, "Haswell")
    if "avx512f" in features:
        os.environ.setdefault(NUMPY_KERNELS, AVX512)


def available_cores() -> int:
    """Return the number of cores that this process may use, within the limits of a container."""
    from joblib import cpu_count

    return int(cpu_count())


@dataclass(eq=False)
class Task:
    """One call of a function in a worker, with its result or its error.

    Attributes
    ----------
    label : object
        For the caller's use.
    result, error
        One of them is set when the task is returned.
    losses : int
        Number of workers that died while they ran it.
    until : float
        Time by the monotonic clock at which it is stopped.
    began, ended : float
        Times by the monotonic clock; infinity before.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    label: Any = None
    limit_s: float | None = None
    result: Any = None
    error: BaseException | None = None
    losses: int = 0
    until: float = field(default=float("inf"), repr=False)
    stopped: bool = False
    began: float = field(default=float("inf"), repr=False)
    ended: float = field(default=float("inf"), repr=False)

    @property
    def seconds(self) -> float:
        """Its duration so far, without the start of its process; 0 before it began."""
        return max(0.0, min(self.ended, time.monotonic()) - self.began)

    def begin(self) -> None:
        """Start its time limit now."""
        self.began = time.monotonic()
        if self.limit_s is not None and not self.stopped:
            self.until = min(self.until, self.began + self.limit_s)

    def failure(self, what: str, advice: str = "") -> BenchmarkError:
        """Return a one-line error: what failed, why, and what to do."""
        text = (str(self.error).strip().splitlines() or [""])[0]
        if isinstance(self.error, MemoryError | WorkerLostError):
            return BenchmarkError(
                f"{what}: {text or 'out of memory'}. What is finished is safe: run the same "
                "command again with fewer --workers or more memory."
            )
        kind = type(self.error).__name__.removesuffix("Error")
        return BenchmarkError(f"{what}: {kind}: {text}. {advice}".strip())


class WorkerLostError(Exception):
    """The process that ran a task ended without a result: killed, or out of memory."""


class LimitError(Exception):
    """A task exceeded its time limit and was stopped."""


class TaskQueue(Protocol):
    """What a search needs of workers; see `Workers`."""

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        label: Any = None,
        limit_s: float | None = None,
        priority: tuple[float, ...] = (0.0,),
    ) -> object:
        """Queue one call."""

    def withdraw(self, unwanted: Callable[[Any], bool]) -> None:
        """Remove the waiting tasks whose labels are `unwanted`."""

    def next_done(self, until: float = float("inf")) -> Task | None:
        """Wait for the next finished task and return it."""

    def abandon(self) -> None:
        """Remove all waiting tasks and stop the running ones."""


class Workers:
    """Worker processes with a priority queue of tasks.

    A task is a function at the top of a module with arguments that can be pickled. `submit` never
    blocks; `next_done` returns finished tasks in the order in which they finish.

    Parameters
    ----------
    count : int
        Number of processes. They start with the first task.
    """

    attempts = 2
    """A task that loses this many workers is returned as lost: it may be the cause."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._lock = threading.RLock()
        self._waiting: list[tuple[tuple[float, ...], int, Task]] = []  # a heap: priority, order
        self._order = 0
        self._running: list[Task] = []
        self._finished: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._idle = [Worker() for _ in range(count)]
        self._busy: dict[int, Worker] = {}  # by the identity of the task it runs
        self._failed_starts = 0
        self._failure: BenchmarkError | None = None  # why no task can run any more

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pending(self) -> int:
        """Number of tasks that are not yet returned."""
        with self._lock:
            return len(self._waiting) + len(self._running)

    def submit(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        label: Any = None,
        limit_s: float | None = None,
        priority: tuple[float, ...] = (0.0,),
    ) -> Task:
        """Queue one call and return its task.

        A task is stopped after `limit_s` and returned with a `LimitError`. The waiting task with
        the lowest priority starts first; of equals, the earliest.
        """
        task = Task(function, arguments, label, limit_s)
        with self._lock:
            self._enqueue(task, priority)
            self._fill()
        return task

    def withdraw(self, unwanted: Callable[[Any], bool]) -> None:
        """Remove the waiting tasks whose labels are `unwanted`.

        A running one is returned at its end, or after `SPARE_S` with a `LimitError`. If its worker
        dies, it is returned with a `WorkerLostError` and not run again.
        """
        with self._lock:
            self._waiting = [entry for entry in self._waiting if not unwanted(entry[2].label)]
            heapq.heapify(self._waiting)
            for task in self._running:
                if unwanted(task.label) and not task.stopped:
                    task.until = min(task.until, time.monotonic() + SPARE_S)
                    task.losses = self.attempts  # if its worker dies, it is not run again

    def next_done(self, until: float = float("inf")) -> Task | None:
        """Wait for the next finished task and return it.

        None if no task is left, or at time `until` by the monotonic clock.

        Raises
        ------
        BenchmarkError
            If no task can run any more.
        """
        while self._failure is not None or self.pending:
            if self._failure is not None:
                raise self._failure
            if time.monotonic() >= until:
                return None
            with self._lock:
                first = min((task.until for task in self._running), default=float("inf"))
            seconds = max(0.0, min(first, until) - time.monotonic())
            try:
                # Polled, since a time limit starts only when a new process is ready.
                task = self._finished.get(timeout=min(POLL_S, seconds))
            except queue.Empty:
                self._stop_overdue()
                continue
            with self._lock:
                self._running.remove(task)
                if isinstance(task.error, WorkerLostError) and task.losses < self.attempts:
                    task.error = None
                    self._enqueue(task, ())  # before all others
                    self._fill()
                    continue
            return task
        return None

    def drain(self) -> Iterator[Task]:
        """Yield finished tasks until none is left."""
        while (task := self.next_done()) is not None:
            yield task

    def stop(self, unwanted: Callable[[Any], bool]) -> None:
        """Stop the running tasks whose labels are `unwanted`; each returns with a `LimitError`."""
        with self._lock:
            for task in self._running:
                if unwanted(task.label) and not task.stopped:
                    task.stopped = True
                    task.losses = self.attempts  # one whose worker has died is not run again
                    self._stop(task)

    def abandon(self) -> None:
        """Remove all waiting tasks and stop the running ones; the workers stay usable."""
        with self._lock:
            self._waiting.clear()
        self.stop(lambda _: True)
        for _ in self.drain():
            pass

    def map(
        self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
    ) -> Iterator[Task]:
        """Yield the finished tasks of one function over many arguments, in order of completion.

        The label of a task is its index in `arguments`, which are consumed as the work proceeds.
        """
        remaining = enumerate(arguments)
        while True:
            for index, values in islice(remaining, max(0, 2 * self.count + 1 - self.pending)):
                self.submit(function, *values, label=index)
            done = self.next_done()
            if done is None:
                return
            yield done

    def warm_up(self, function: Callable[[], None]) -> None:
        """Start the processes now; each first runs a function that imports what tasks need."""
        with self._lock:
            for worker in self._idle:
                worker.first = function
                with contextlib.suppress(BrokenProcessPool):  # a dead one is restarted when needed
                    worker.start()

    def close(self) -> None:
        """Kill every worker; running tasks are lost."""
        with self._lock:
            self._waiting.clear()
            self._running.clear()
            workers = [*self._idle, *self._busy.values()]
            self._idle, self._busy = [], {}
        for worker in workers:
            worker.close()

    def _enqueue(self, task: Task, priority: tuple[float, ...]) -> None:
        self._order += 1
        heapq.heappush(self._waiting, (priority, self._order, task))

    def _fill(self) -> None:
        """Start waiting tasks while a worker is free; the lock is held."""
        while self._waiting and self._free():
            _, _, task = heapq.heappop(self._waiting)
            task.until = float("inf")
            self._running.append(task)
            self._begin(task)

    def _free(self) -> bool:
        """Whether another task can start."""
        return bool(self._idle)

    def _begin(self, task: Task) -> None:
        """Start a task on a free worker; its end calls `_end` from any thread."""
        worker = self._idle.pop(0)
        self._busy[id(task)] = worker
        answer = worker.submit(task.function, *task.arguments)
        # Imports of a new process are not part of a task's time.
        worker.ready.add_done_callback(lambda _: task.begin())
        answer.add_done_callback(partial(self._answered, worker, task))

    def _answered(self, worker: Worker, task: Task, answer: Future[Any]) -> None:
        """Store a worker's answer in its task, and start the next task at once."""
        with self._lock:
            if self._busy.pop(id(task), None) is None:
                return  # the workers are closed
            self._idle.append(worker)
            error = answer.exception()
            if isinstance(error, BrokenProcessPool):
                self._failed_starts += not (worker.started or task.stopped)
                if self._failed_starts >= MAX_FAILED_STARTS:
                    self._failure = BenchmarkError(
                        f"{self._failed_starts} worker processes in a row ended as they started. "
                        "Is there memory for them? What is finished is safe; run the same command "
                        "again, with fewer --workers."
                    )
                worker.discard()
                error = loss_of(task)
            else:
                self._failed_starts = 0
            task.error = error
            task.result = None if error else answer.result()
            self._end(task)

    def _end(self, task: Task) -> None:
        """Return a task whose result or error is set, and start the next."""
        with self._lock:
            task.ended = time.monotonic()
            self._finished.put(task)
            self._fill()

    def _stop_overdue(self) -> None:
        """Stop the tasks whose time is over; each is returned when its worker has ended."""
        with self._lock:
            now = time.monotonic()
            for task in [task for task in self._running if task.until <= now]:
                task.until, task.stopped = float("inf"), True
                self._stop(task)

    def _stop(self, task: Task) -> None:
        """Kill the worker of a running task, which is then returned with a `LimitError`."""
        worker = self._busy.get(id(task))
        if worker is not None:
            worker.kill()


def loss_of(task: Task) -> Exception:
    """Return the error of a task whose worker is gone."""
    if task.stopped:
        return LimitError("stopped" if task.limit_s is None else f"longer than {task.limit_s:g} s")
    task.losses += 1
    return WorkerLostError("its worker process died: killed, or out of memory")


@cache
def start_method() -> BaseContext:
    """Return how workers start.

    On Linux each is a copy of one process that has imported `PRELOADED` and nothing else, so that
    it starts at once and shares its memory. Elsewhere copies are not safe, and each imports anew;
    so it does where the folder of temporary files has too long a name for a socket.
    """
    if sys.platform != "linux" or len(os.fsencode(tempfile.gettempdir())) > LONGEST_SOCKET - 40:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


@cache
def import_beside() -> None:
    """Import `PRELOADED` for later workers in another process, while this one goes on."""

    def start() -> None:
        with _starting_process(), contextlib.suppress(OSError, EOFError):
            start_method().Process(target=int, daemon=True).start()  # type: ignore[attr-defined]

    if start_method().get_start_method() == "forkserver":
        threading.Thread(target=start, daemon=True).start()


class Worker:
    """A process that runs one call at a time.

    It starts with the first call, or with `start`, and again with the first call after its death.
    Each worker is a pool of its own: the death of one breaks no other, and no pipe is shared.

    Parameters
    ----------
    first : callable
        Function that each new process runs before any call.
    """

    def __init__(self, first: Callable[[], Any] = os.getpid) -> None:
        self.first = first
        self.ready: Future[Any] = Future()  # the result of `first`
        self._pool: ProcessPoolExecutor | None = None
        self._process: multiprocessing.process.BaseProcess | None = None

    @property
    def started(self) -> bool:
        """Whether its last process has run anything."""
        return self.ready.done() and not isinstance(self.ready.exception(), BrokenProcessPool)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.is_alive()

    @property
    def data_bytes(self) -> int:
        """Size of its data segments in bytes, see `data_bytes`."""
        return data_bytes(self._process.pid or 0) if self._process is not None else 0

    def start(self) -> Future[Any]:
        """Start the process if there is none, and return the future result of `first`."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                1,
                mp_context=start_method(),
                initializer=prepare_worker,
                initargs=(dict(os.environ),),
            )
            with _starting_process():
                others = set(multiprocessing.active_children())
                try:
                    self.ready = self._pool.submit(self.first)
                except (ConnectionError, EOFError) as error:  # the copied process was killed
                    time.sleep(GONE_S)
                    raise BrokenProcessPool from error
                new = set(multiprocessing.active_children()) - others
            self._process = next(iter(new), None)  # None if it has ended already
        return self.ready

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Start a call; its future fails with `BrokenProcessPool` if the process dies."""
        for _ in range(RESTARTS):
            try:
                self.start()
                assert self._pool is not None
                return self._pool.submit(function, *arguments)
            except BrokenProcessPool:  # it died while idle: no call is lost
                self.discard()
        lost: Future[T] = Future()
        lost.set_exception(BrokenProcessPool())
        return lost

    def kill(self) -> None:
        """Kill the process; its call fails with `BrokenProcessPool`."""
        if self._process is not None:
            self._process.kill()

    def discard(self, *, wait: bool = False) -> None:
        """Release the resources of a dead process; the next call starts another."""
        pool, self._pool = self._pool, None
        if pool is not None:
            with contextlib.suppress(OSError):
                pool.shutdown(wait=wait, cancel_futures=True)

    def close(self) -> None:
        """Kill the process and wait for its end."""
        self.kill()
        self.discard(wait=True)


_starting = threading.Lock()
"""Held while a process starts, which is then the only new child."""


@contextlib.contextmanager
def _starting_process() -> Iterator[None]:
    """Start a process within the block: alone, deaf to Ctrl-C, and with a worker's environment.

    The process that workers copy imports numpy as it starts, also for a notebook, whose own numpy
    may use all threads. Modules of the current folder are not mistaken for what it imports.
    """
    with _starting, _interrupts_blocked():
        # Other threads may set variables of their own meanwhile: only these are set back.
        before = {name: os.environ.get(name) for name in (*THREAD_LIMITS, *KERNELS, SAFE_PATH)}
        prepare_libraries()
        os.environ[SAFE_PATH] = "1"
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block Ctrl-C in a process that starts within the block, even while it imports."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its own start would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def data_bytes(process: int | str) -> int:
    """Return the memory of a process that RLIMIT_DATA limits, in bytes; 0 without /proc."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[5])
    except (OSError, ValueError, IndexError):
        return 0
    import resource

    return pages * resource.getpagesize()


def prepare_worker(variables: dict[str, str]) -> None:
    """Make a worker ignore Ctrl-C, and end when the main process ends.

    It gets the environment `variables` of now, which the process that it copies may not have.
    """
    os.environ.clear()
    os.environ.update(variables)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prepare_libraries()
    # If memory runs out, Linux kills a worker, whose task can be repeated, and not the study.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    parent = multiprocessing.parent_process()
    if parent is None:  # pragma: no cover - only when called outside a worker
        raise BenchmarkError("A worker was prepared outside a pool.")

    def end_with_parent() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
