"""Where tasks run: local processes that survive the death of one of them.

The main process asks, tells and logs; a worker runs pure functions of its arguments. So results do
not depend on how many workers there are, and a killed worker costs only the task it held.
"""

from __future__ import annotations

import contextlib
import heapq
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError

THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""One BLAS thread a process: two made logistic regression 14 to 31 times slower. They are read when
numpy is first imported, so they are set before it, and workers inherit them."""

STILLBORN = 5
"""So many processes in a row may end before they could do anything; then no more are started."""

LOOK_S = 1.0

SPARE_S = 5.0
"""So long a task that is no longer wanted may run on; to start its worker again takes as long."""

TRIES = 2
"""A task that loses its worker so often is handed back as lost: it may be the cause."""


def limit_threads() -> None:
    """Let every numerical library use one thread; to be called before numpy is imported."""
    for name in THREAD_LIMITS:
        os.environ[name] = "1"


def available_cores() -> int:
    """Return the number of cores that this process may use, containers' limits included."""
    from joblib import cpu_count

    return int(cpu_count())


@dataclass(eq=False)
class Task:
    """One call of a function in a worker: what was asked, then its result or its error.

    Attributes
    ----------
    function, arguments
        What is called.
    label : object
        The caller's own.
    limit_s : float or None
        After so many seconds it is given up.
    result, error
        One of them, once it is handed back.
    losses : int
        How many workers have died with it.
    until : float
        By the monotonic clock: when it will be given up.
    stopped : bool
        Whether it was.
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

    def begin(self) -> None:
        """Let its time run from now on."""
        if self.limit_s is not None and not self.stopped:
            self.until = min(self.until, time.monotonic() + self.limit_s)

    def failure(self, what: str, advice: str = "") -> BenchmarkError:
        """Return in one line that `what` could not be done, why, and what to do."""
        text = (str(self.error).strip().splitlines() or [""])[0]
        if isinstance(self.error, MemoryError | WorkerLostError):
            return BenchmarkError(
                f"{what}: {text or 'out of memory'}. What is finished is safe: run the same "
                "command again with fewer --workers or more memory."
            )
        kind = type(self.error).__name__.removesuffix("Error")
        return BenchmarkError(f"{what}: {kind}: {text}. {advice}".strip())


class WorkerLostError(Exception):
    """The process that ran a task ended without an answer: killed, or out of memory."""


class LimitError(Exception):
    """A task took longer than it was given, and was stopped."""


class Workers:
    """Processes that run tasks, each a pool of its own, so that one that dies takes no other along.

    A task is a function at the top of a module with arguments that can be pickled. `submit` never
    blocks; `next_done` hands back finished tasks in the order in which they finish.

    Parameters
    ----------
    count : int
        How many processes; they start with the first task.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._lock = threading.RLock()
        self._waiting: list[tuple[tuple[float, ...], int, Task]] = []  # a heap: priority, order
        self._order = 0
        self._running: list[Task] = []
        self._finished: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._idle = [_Process() for _ in range(count)]
        self._busy: dict[int, _Process] = {}  # by the identity of the task it runs
        self._stillborn = 0

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def busy(self) -> bool:
        """Whether any task is still to be handed back."""
        return self.pending > 0

    @property
    def pending(self) -> int:
        """How many tasks are still to be handed back."""
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

        Parameters
        ----------
        function : callable
        *arguments
        label : object
            The caller's own, to know the task by.
        limit_s : float, optional
            Seconds after which it is stopped and handed back with a `LimitError`.
        priority : tuple of float
            Among waiting tasks the one with the lowest begins first, of equals the earliest.
        """
        task = Task(function, arguments, label, limit_s)
        with self._lock:
            self._wait(task, priority)
            self._fill()
        return task

    def withdraw(self, wanted: Callable[[Any], bool]) -> None:
        """Forget the waiting tasks whose labels are `wanted`.

        One that runs is handed back at its end, or after `SPARE_S` with a `LimitError`.
        """
        with self._lock:
            self._waiting = [entry for entry in self._waiting if not wanted(entry[2].label)]
            heapq.heapify(self._waiting)
            for task in self._running:
                if wanted(task.label) and not task.stopped:
                    task.until = min(task.until, time.monotonic() + SPARE_S)

    def next_done(self, until: float = float("inf")) -> Task | None:
        """Return the next finished task, as soon as there is one.

        None if nothing is to be done, or it is later than `until` by the monotonic clock.

        Raises
        ------
        BenchmarkError
            If processes can't be started.
        """
        while self.busy:
            if self._stillborn >= STILLBORN:
                raise BenchmarkError(
                    f"{self._stillborn} worker processes in a row ended as they started. Is there "
                    "memory for them? What is finished is safe; run the same command again, with "
                    "fewer --workers."
                )
            if time.monotonic() >= until:
                return None
            with self._lock:
                first = min((task.until for task in self._running), default=float("inf"))
            seconds = max(0.0, min(first, until) - time.monotonic())
            try:
                # Looked at again now and then: a limit begins when a new process is ready.
                task = self._finished.get(timeout=min(LOOK_S, seconds))
            except queue.Empty:
                self._stop_overdue()
                continue
            with self._lock:
                self._running.remove(task)
                if isinstance(task.error, WorkerLostError) and task.losses < TRIES:
                    task.error = None
                    self._wait(task, ())  # before all others
                    self._fill()
                    continue
            return task
        return None

    def drain(self) -> Iterator[Task]:
        """Yield finished tasks until none is left."""
        while (task := self.next_done()) is not None:
            yield task

    def abandon(self) -> None:
        """Forget what waits and stop what runs; the workers are ready for other tasks then."""
        with self._lock:
            self._waiting.clear()
            for task in self._running:
                task.stopped = True
                self._stop(task)
        for _ in self.drain():
            pass

    def map(
        self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
    ) -> Iterator[Task]:
        """Yield the finished tasks of one function over many arguments, in order of finishing.

        `label` of each task is its position in `arguments`, which are drawn as the work goes on.
        """
        todo = enumerate(arguments)
        exhausted = False
        while True:
            while not exhausted and self.pending < 2 * self.count + 1:
                position, values = next(todo, (-1, ()))
                if position < 0:
                    exhausted = True
                else:
                    self.submit(function, *values, label=position)
            done = self.next_done()
            if done is None:
                return
            yield done

    def warm_up(self, function: Callable[[], None]) -> None:
        """Start the processes now and let each run a function first, so that it has its imports."""
        with self._lock:
            for process in self._idle:
                process.warm_up(function)

    def close(self) -> None:
        """End every worker at once; what they were doing is lost."""
        with self._lock:
            self._waiting.clear()
            self._running.clear()
            processes = [*self._idle, *self._busy.values()]
            self._idle, self._busy = [], {}
        for process in processes:
            process.end()

    def _wait(self, task: Task, priority: tuple[float, ...]) -> None:
        self._order += 1
        heapq.heappush(self._waiting, (priority, self._order, task))

    def _fill(self) -> None:
        """Begin waiting tasks while there are free places; the lock is held."""
        while self._waiting and self._free():
            _, _, task = heapq.heappop(self._waiting)
            task.until = float("inf")
            self._running.append(task)
            self._begin(task)

    def _free(self) -> bool:
        """Whether another task can begin."""
        return bool(self._idle)

    def _begin(self, task: Task) -> None:
        """Start a task on a free place; `_end` is called, from any thread, once it is finished."""
        process = self._idle.pop(0)
        self._busy[id(task)] = process
        answer = process.submit(task)
        process.when_ready(task.begin)
        answer.add_done_callback(partial(self._answered, process, task))

    def _answered(self, process: _Process, task: Task, answer: Future[Any]) -> None:
        """Take what a process answers, and give it the next task before anyone looks at that."""
        with self._lock:
            if self._busy.pop(id(task), None) is None:
                return  # the workers are closed
            self._idle.append(process)
            error = answer.exception()
            if isinstance(error, BrokenProcessPool):
                self._stillborn += not (process.born or task.stopped)
                process.forget()
                error = loss_of(task)
            else:
                self._stillborn = 0
            task.error = error
            task.result = None if error else answer.result()
            self._end(task)

    def _end(self, task: Task) -> None:
        """Hand back a task whose result or error is set, and begin the next."""
        with self._lock:
            self._finished.put(task)
            self._fill()

    def _stop_overdue(self) -> None:
        """Stop the tasks that have had their time; each is handed back as its worker ends."""
        with self._lock:
            now = time.monotonic()
            for task in [task for task in self._running if task.until <= now]:
                task.until, task.stopped = float("inf"), True
                self._stop(task)

    def _stop(self, task: Task) -> None:
        """End a running task, which is then handed back with a `LimitError`."""
        process = self._busy.get(id(task))
        if process is not None:
            process.kill()


def loss_of(task: Task) -> Exception:
    """Return why a task has no answer when its worker is gone."""
    if task.stopped:
        return LimitError("stopped" if task.limit_s is None else f"longer than {task.limit_s:g} s")
    task.losses += 1
    return WorkerLostError("its worker process died: killed, or out of memory")


class _Process:
    """A process that is started when first needed, and again when it has died."""

    def __init__(self) -> None:
        self._pool: ProcessPoolExecutor | None = None
        self._first: Future[int] | None = None
        self._warming: Callable[[], None] | None = None
        self._ready: Future[Any] | None = None

    @property
    def born(self) -> bool:
        """Whether it has ever done anything."""
        first = self._first
        return first is not None and first.done() and first.exception() is None

    def submit(self, task: Task) -> Future[Any]:
        """Return what will hold the answer to a task."""
        for _ in range(TRIES):
            try:
                return self._started().submit(task.function, *task.arguments)
            except BrokenProcessPool:
                # It died while it had nothing to do: a fresh one has lost nothing.
                self.forget()
        lost: Future[Any] = Future()
        lost.set_exception(BrokenProcessPool())
        return lost

    def warm_up(self, function: Callable[[], None]) -> None:
        """Start now, and let this process and those in its place run a function first."""
        self._warming = function
        with contextlib.suppress(BrokenProcessPool):  # one that dies now is replaced when needed
            self._started()

    def when_ready(self, call: Callable[[], None]) -> None:
        """Call once the process has its imports; they are no part of any task's time."""
        if self._ready is None:
            call()
        else:
            self._ready.add_done_callback(lambda _: call())

    def kill(self) -> None:
        if self._pool is not None:
            for process in processes_of(self._pool):
                process.kill()

    def forget(self) -> None:
        """Let go of a pool whose process has died."""
        pool, self._pool = self._pool, None
        if pool is not None:
            with contextlib.suppress(OSError):
                pool.shutdown(wait=False, cancel_futures=True)

    def end(self) -> None:
        """Kill the process, and wait until it is gone."""
        self.kill()
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=prepare_worker)
            self._first = self._pool.submit(os.getpid)
            self._ready = self._pool.submit(self._warming) if self._warming else self._first
        return self._pool


def processes_of(pool: ProcessPoolExecutor) -> list[multiprocessing.process.BaseProcess]:
    """Return the processes of a pool that are started."""
    # Python 3.14 has kill_workers(); until then this is how to reach them.
    return list((pool._processes or {}).values())


def prepare_worker() -> None:
    """Make a worker leave Ctrl-C to the main process, and end when that is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_threads()
    # Where memory runs out, Linux ends a worker, whose task can be done again, and not the study.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    parent = multiprocessing.parent_process()
    if parent is None:  # pragma: no cover - only when called outside a worker
        raise BenchmarkError("A worker was prepared outside a pool.")

    def end_with_parent() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
