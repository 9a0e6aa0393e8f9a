"""Where tasks run: a pool of local processes that survives the death of one of them.

The main process asks, tells and logs; a worker runs pure functions of its arguments. So results do
not depend on how many workers there are, and a killed worker costs only the tasks it held.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for
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

PREFETCH = (
    1  # tasks that lie ready beside the running ones, so that no worker waits for the main process
)


def limit_threads() -> None:
    """Let every numerical library use one thread; to be called before numpy is imported."""
    for name in THREAD_LIMITS:
        os.environ[name] = "1"


def available_cores() -> int:
    """Return the number of cores that this process may use, containers' limits included."""
    from joblib import cpu_count

    return int(cpu_count())


@dataclass
class Task:
    """One call of a function in a worker: what was asked, then its result or its error."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    label: Any = None
    result: Any = None
    error: BaseException | None = None
    future: Future[Any] | None = field(default=None, repr=False)
    suspect: bool = False  # it ran alone, or beside others, when a worker died


class WorkerLostError(Exception):
    """The process that ran a task ended without an answer: killed, or out of memory."""


class Workers:
    """A pool of processes.

    A task is a function at the top of a module with arguments that can be pickled. `submit` never
    blocks; `next_done` hands back finished tasks in the order in which they finish.

    Parameters
    ----------
    count : int
        How many processes; they start with the first task.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: deque[Task] = deque()
        self._running: dict[Future[Any], Task] = {}
        self._suspects: deque[Task] = deque()  # ran when a worker died: once more, one by one

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
        return len(self._waiting) + len(self._running) + len(self._suspects)

    def submit(self, function: Callable[..., Any], *arguments: Any, label: Any = None) -> Task:
        """Queue one call and return its task."""
        task = Task(function, arguments, label)
        self._waiting.append(task)
        self._fill()
        return task

    def next_done(self) -> Task | None:
        """Return the next finished task, as soon as there is one; None if nothing is to be done."""
        self._fill()
        if not self._running:
            return None
        finished, _ = wait(self._running, return_when=FIRST_COMPLETED)
        future = next(future for future in self._running if future in finished)
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            return self._recover()
        task = self._running.pop(future)
        task.future = None
        task.error = error
        task.result = None if error else future.result()
        self._fill()
        return task

    def warm_up(self, function: Callable[[], None]) -> None:
        """Start the processes now and let each run a function first, so that it has its imports."""
        with contextlib.suppress(BrokenProcessPool):  # one that dies now is replaced when needed
            for _ in range(self.count):
                self._started().submit(function)

    def drain(self) -> Iterator[Task]:
        """Yield finished tasks until none is left."""
        while (task := self.next_done()) is not None:
            yield task

    def map(
        self, function: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
    ) -> Iterator[Task]:
        """Yield the finished tasks of one function over many arguments, in order of finishing.

        `label` of each task is its position in `arguments`, which are drawn as the work goes on.
        """
        todo = enumerate(arguments)
        exhausted = False
        while True:
            while not exhausted and len(self._waiting) + len(self._running) < 2 * self.count + 1:
                position, values = next(todo, (-1, ()))
                if position < 0:
                    exhausted = True
                else:
                    self.submit(function, *values, label=position)
            done = self.next_done()
            if done is None:
                return
            yield done

    def close(self) -> None:
        """End every worker at once; what they were doing is lost."""
        self._waiting.clear()
        self._suspects.clear()
        self._running.clear()
        if self._pool is not None:
            pool, self._pool = self._pool, None
            # Python 3.14 has kill_workers(); until then this is how to reach them.
            for process in list(pool._processes.values()):
                process.kill()
            pool.shutdown(wait=True, cancel_futures=True)

    def _fill(self) -> None:
        """Hand tasks to the pool: a few more than it has processes, or one suspect alone."""
        if self._suspects:
            if not self._running:
                self._start(self._suspects.popleft())
            return
        while self._waiting and len(self._running) < self.count + PREFETCH:
            self._start(self._waiting.popleft())

    def _start(self, task: Task) -> None:
        try:
            task.future = self._started().submit(task.function, *task.arguments)
        except BrokenProcessPool:
            # It broke between two calls: a fresh pool has lost nothing.
            self._discard_pool()
            self._start(task)
            return
        self._running[task.future] = task

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.count,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=prepare_worker,
            )
        return self._pool

    def _recover(self) -> Task | None:
        """Go on with a fresh pool after a worker's death.

        Everything in flight failed with it. One of those tasks may be the cause, so they run again
        one at a time; the one that takes its worker with it when alone is handed back as lost.
        """
        in_flight = list(self._running.values())
        self._running.clear()
        self._discard_pool()
        if len(in_flight) == 1 and in_flight[0].suspect:
            lost = in_flight[0]
            lost.future = None
            lost.error = WorkerLostError("its worker process died: killed, or out of memory")
            return lost
        for task in in_flight:
            task.suspect = True
        self._suspects.extend(in_flight)
        return self.next_done()

    def _discard_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            with contextlib.suppress(OSError):
                pool.shutdown(wait=False, cancel_futures=True)


def prepare_worker() -> None:
    """Make a worker leave Ctrl-C to the main process, and end when that is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_threads()
    parent = multiprocessing.parent_process()
    if parent is None:  # pragma: no cover - only when called outside a worker
        raise BenchmarkError("A worker was prepared outside a pool.")

    def end_with_parent() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
