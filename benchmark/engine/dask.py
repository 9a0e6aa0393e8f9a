"""Where tasks run on many machines: the only door to Dask.

The driver is the one of local processes, so that results are the same bytes: it decides which
worker runs which task, one at a time in each, and hears of their ends. A worker needs this package
in the same versions and nothing else: no shared disk, no recordings, no tables. It runs nothing
before it has been looked at, and keeps the tables that it was brought.
"""

from __future__ import annotations

import asyncio
import contextlib
import operator
import pickle
import platform
import threading
import time
import uuid
import warnings
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.engine.arrays import StoredArrays, TrainingArrays, load_arrays
from benchmark.engine.environment import ABSENT, kernels, surroundings
from benchmark.engine.processes import Task, WorkerLostError, Workers, limit_threads, loss_of
from benchmark.errors import BenchmarkError

CONFIGURED = "config"
"""The address that stands for the scheduler of Dask's own configuration."""

LOSSES = 3
"""So many lost workers a task outlives, as with Dask's own `allowed-failures`: where machines come
and go, a lost one says little about the task."""

GIVEN = 2
"""A worker runs one task, and has the next at hand, since the way to it and back takes as long as a
quick fit."""

KEPT_TABLES = 4  # of a worker: one for each split of a study with four protocols

CONNECT_S = 10.0
FIRST_WORKER_S = 60.0
WITHOUT_WORKERS_S = 600.0
LOOK_EVERY_S = 1.0
LOOK_S = 30.0  # how long a worker may take to say what it is: imports on a slow disk are part of it
RESTART_S = 30.0
LEAVE_S = 3.0
NAMED = 5  # of many workers in one line


class UnknownProcessError(Exception):
    """A task has come to a process that nobody has looked at: the worker was started again."""


class TableMissingError(Exception):
    """A task has come to a worker that does not keep its table any more."""


# What runs on a worker.


@dataclass(frozen=True)
class _Kept:
    """Stands for a table in a task's arguments."""

    identity: str


@dataclass(frozen=True)
class _Call:
    """A call that is made where it is unpickled.

    Dask's scheduler opens what it is given, and would need this package for it. Bytes it hands on
    as they are, so a task is `pickle.loads` of these.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return answer, (self.function, self.arguments)


@dataclass(frozen=True)
class _Table:
    """A table as it travels from the driver to a worker and on to its peers."""

    identity: str
    arrays: TrainingArrays

    def keep(self) -> None:
        """Keep the table in this process: Dask itself lets go of what no waiting task needs."""
        _tables[self.identity] = self.arrays
        while len(_tables) > KEPT_TABLES:
            _tables.popitem(last=False)


_tables: OrderedDict[str, TrainingArrays] = OrderedDict()
_process = threading.local()
_looked_at = threading.Event()


def look(wanted: Mapping[str, str], dask_worker: Any = None) -> dict[str, Any]:
    """Return what this process computes with, and let it run tasks if that is what is wanted."""
    limit_threads()
    here = surroundings()
    if here == wanted:
        _looked_at.set()
    return {
        "versions": here,
        "kernels": kernels(),
        "host": platform.node(),
        "threads": dask_worker.state.nthreads,
        "nanny": dask_worker.nanny is not None,
    }


def answer(
    function: Callable[..., Any], arguments: Sequence[Any]
) -> tuple[Any, BaseException | None]:
    """Return what a function returns, with the tables that this process keeps; or its error.

    An error is an answer like others: whatever Dask itself raises is about the way or a machine,
    and must never pass for a failed fit.
    """
    try:
        if not _looked_at.is_set():
            raise UnknownProcessError
        if not hasattr(_process, "limits"):
            from threadpoolctl import threadpool_limits

            # OpenMP has a limit for each thread; what is loaded later reads the environment.
            _process.limits = threadpool_limits(1)
        return function(*map(_found, arguments)), None
    except Exception as error:
        return None, _portable(error)


def _portable(error: Exception) -> Exception:
    """Return an error, or one of its words, that can be taken to another machine."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _found(argument: Any) -> Any:
    if not isinstance(argument, _Kept):
        return argument
    if argument.identity not in _tables:
        raise TableMissingError
    _tables.move_to_end(argument.identity)
    return _tables[argument.identity]


def forget(identities: Sequence[str]) -> None:
    """Let go of tables."""
    for identity in identities:
        _tables.pop(identity, None)


# What runs on the driver.


@dataclass(eq=False)
class _Place:
    """A worker that has been looked at, and what it does.

    Attributes
    ----------
    address : str
        As Dask has it.
    host : str
        As people know it.
    nanny : bool
        Whether what hangs in it can be ended.
    given : dict of Task to asyncio task
        What it runs, then what lies ready; and what waits for the answer.
    tables : set of str
        Those that it was brought.
    """

    address: str
    host: str
    nanny: bool
    given: dict[Task, asyncio.Task[None] | None] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)

    @property
    def runs(self) -> Task | None:
        """The task that runs there."""
        return next(iter(self.given), None)


class Cluster(Workers):
    """The workers of a Dask cluster, one task at a time in each.

    Parameters
    ----------
    address : str
        ``tcp://host:port`` or ``tls://host:port`` of a scheduler, a scheduler file (.json), or
        ``config`` for the scheduler of Dask's own configuration, which also holds certificates.
    say : callable
        Told, in a line, of workers that come and go.
    """

    def __init__(self, address: str, say: Callable[[str], None]) -> None:
        super().__init__(0)
        self.address = address
        self._say = say
        self._loop = asyncio.new_event_loop()
        self._client: Any = None  # Dask's, which has no types
        self._places: dict[str, _Place] = {}
        self._others: set[str] = set()  # addresses that are given nothing: refused, or not yet seen
        self._tables: dict[str, Any] = {}  # by identity: the future of one that was sent
        self._sending = asyncio.Lock()
        self._first: Callable[[], None] | None = None
        self._gone: BenchmarkError | None = None
        self._said: set[str] = set()
        self._beside: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> Cluster:
        """Connect, and look at every worker.

        Raises
        ------
        BenchmarkError
            If there is no scheduler or no worker, or if any worker has other versions.
        """
        threading.Thread(target=self._loop.run_forever, name="cluster", daemon=True).start()
        try:
            self._wait_for(self._open())
        except BaseException:
            self.close()
            raise
        return self

    def next_done(self, until: float = float("inf")) -> Task | None:
        """Return the next finished task, as soon as there is one; None if nothing is to be done.

        Raises
        ------
        BenchmarkError
            If the scheduler is gone, or there has been no worker for long.
        """
        task = None if self._gone else super().next_done(until)
        if self._gone is not None:
            raise self._gone
        return task

    def warm_up(self, function: Callable[[], None]) -> None:
        """Let each worker run a function first, those that come later too."""
        self._first = function
        for place in list(self._places.values()):
            self._loop.call_soon_threadsafe(self._start_warming, place)

    def close(self) -> None:
        """Let go of the cluster; what its workers are doing is lost."""
        with self._lock:
            self._waiting.clear()
            self._running.clear()
        if self._loop.is_running():
            self._wait_for(self._leave())
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _fill(self) -> None:
        """Begin waiting tasks; where none waits, an idle worker gets what lies ready at another."""
        super()._fill()
        idle = [place for place in self._places.values() if not place.given]
        laden = [place for place in self._places.values() if len(place.given) > 1]
        for _, place in zip(idle, laden, strict=False):
            self._loop.call_soon_threadsafe(self._take_back, place)

    def _free(self) -> bool:
        return self._gone is None and any(
            len(place.given) < GIVEN for place in self._places.values()
        )

    def _begin(self, task: Task) -> None:
        place = min(self._places.values(), key=lambda place: len(place.given))
        before = place.runs
        if before is not None:
            task.until = before.until + (task.limit_s or float("inf"))
        place.given[task] = None
        self._loop.call_soon_threadsafe(self._attend, place, task)

    def _stop(self, task: Task) -> None:
        self._loop.call_soon_threadsafe(self._interrupt, task)

    def _wait_for(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop's thread and return its result to another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # From here on all runs in the loop's thread.

    def _run_beside(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(coroutine)
        self._beside.add(task)  # the loop itself keeps no more than a weak reference
        task.add_done_callback(self._beside.discard)
        return task

    async def _open(self) -> None:
        self._client = await _connected(self.address)
        listed = await self._first_workers()
        looks = await asyncio.gather(*(self._look_at(address) for address in listed))
        refusals = [why for why in looks if why]
        if refusals:
            named = "; ".join(refusals[:NAMED])
            more = f"; and {len(refusals) - NAMED} more" if len(refusals) > NAMED else ""
            raise BenchmarkError(
                f"{self.address}: {len(refusals)} of {len(listed)} workers would compute with "
                f"something else than this machine: {named}{more}. Give all the same environment, "
                "for example one image, and run the same command again."
            )
        self._run_beside(self._watch())

    async def _first_workers(self) -> list[str]:
        """Return the addresses of all workers, once there is any."""
        until = time.monotonic() + FIRST_WORKER_S
        told = False
        while not (listed := await self._listed()):
            if not told:
                self._say(f"{self.address}: waiting for the first worker")
                told = True
            if time.monotonic() > until:
                raise BenchmarkError(
                    f"{self.address}: the cluster has no worker. Start some, for example with "
                    f"`dask worker {self.address} --nworkers 4 --nthreads 1`, and run the same "
                    "command again."
                )
            await asyncio.sleep(LOOK_EVERY_S)
        return listed

    async def _listed(self) -> list[str]:
        return list(await asyncio.wait_for(self._client.scheduler.ncores(), CONNECT_S))

    async def _look_at(self, address: str) -> str:
        """Make a worker a place for tasks; return why it can't be one, "" if it can or is gone."""
        self._others.add(address)
        wanted = surroundings()
        asked = self._client.run(look, wanted, workers=[address], on_error="return")
        try:
            told = (await asyncio.wait_for(asked, LOOK_S)).get(address)
        except (OSError, TimeoutError) as error:
            told = error
        if told is None or isinstance(told, OSError | TimeoutError):
            self._say_once(f"a worker does not answer: {address}")
            self._others.discard(address)  # it is asked again, for as long as it is listed
            return ""
        if not isinstance(told, dict):
            return f"{address} (this package, or this version of it, is not installed: {told})"
        differing = _differences(wanted, told["versions"])
        if differing:
            return f"{told['host']} {address} ({differing})"
        place = _Place(address, told["host"], told["nanny"])
        if told["threads"] > 1:
            self._say_once(
                f"{place.host}: a worker has {told['threads']} threads, and is given one task at a "
                "time all the same: start more workers, with --nthreads 1 each."
            )
        if told["kernels"] != kernels():
            self._say_once(
                f"{place.host} computes with the processor kernels {told['kernels']}, this machine "
                f"with {kernels()}: last digits can differ. With the same OPENBLAS_CORETYPE in the "
                "environment of all they are the same."
            )
        self._others.discard(address)
        if self._first is not None:
            self._start_warming(place)
        with self._lock:
            self._places[address] = place
            self.count = len(self._places)
            self._fill()
        return ""

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)

    def _start_warming(self, place: _Place) -> None:
        """Let a worker run the first function; it takes tasks in the order in which they come."""
        if self._first is not None:
            self._run_beside(self._warm(place, self._first))

    async def _warm(self, place: _Place, function: Callable[[], None]) -> None:
        with contextlib.suppress(Exception):  # a fit will say what is wrong
            await self._ask(place, function, ())

    async def _watch(self) -> None:
        """See workers come and go, and whether the scheduler is there."""
        seen = time.monotonic()
        while self._gone is None:
            await asyncio.sleep(LOOK_EVERY_S)
            if not self._is_connected():
                return
            try:
                listed = set(await self._listed())
            except (OSError, TimeoutError):
                continue  # the connection is gone, or is slow
            for address in set(self._places) - listed:
                self._say(f"a worker is lost: {self._places[address].host} {address}")
                self._lose(self._places[address])
            self._others &= listed
            for address in listed - set(self._places) - self._others:
                self._run_beside(self._welcome(address))
            seen = time.monotonic() if self._places else seen
            if time.monotonic() - seen > WITHOUT_WORKERS_S:
                self._give_up(f"the cluster has had no worker for {WITHOUT_WORKERS_S:.0f} s")

    def _is_connected(self) -> bool:
        """Whether there is a cluster; where its scheduler is gone, the main thread hears of it.

        A new connection would not help: the scheduler forgets the tasks of one that is lost.
        """
        if self._client.status != "running":
            self._give_up("the cluster's scheduler is gone")
        return self._gone is None

    async def _welcome(self, address: str) -> None:
        """Give tasks to a worker that has come while the work goes on, or say why not."""
        self._others.add(address)
        refusal = await self._look_at(address)
        if refusal:
            self._say(f"a worker is given nothing: {refusal}")
        elif address in self._places:
            self._say(f"a worker has come: {self._places[address].host} {address}")

    def _give_up(self, why: str) -> None:
        """Let the main thread hear that there is no cluster any more."""
        with self._lock:
            if self._gone is not None:
                return
            self._gone = BenchmarkError(
                f"{self.address}: {why}. What is finished is safe; start the cluster and run the "
                "same command again."
            )
            self._running.append(word := Task(print, ()))
            self._finished.put(word)

    def _lose(self, place: _Place) -> None:
        """Forget a worker that is gone; what it was given is done elsewhere."""
        with self._lock:
            if self._places.pop(place.address, None) is None:
                return
            self.count = max(1, len(self._places))
            runs = place.runs
            while place.given:
                task = self._pull(place)
                if task is runs or task.stopped:
                    self._retry(task)
                else:
                    self._again(task)
            self._fill()

    def _pull(self, place: _Place) -> Task:
        """Take the last of what a worker was given from it."""
        task, attending = place.given.popitem()
        if attending is not None:
            attending.cancel()
        return task

    def _take_back(self, place: _Place) -> None:
        """Put what lies ready at a worker first in the queue, where nothing else waits."""
        with self._lock:
            if len(place.given) > 1 and not self._waiting:
                self._again(self._pull(place))
                super()._fill()

    def _again(self, task: Task) -> None:
        if task in self._running:
            self._running.remove(task)
            self._enqueue(task, ())

    def _retry(self, task: Task) -> None:
        """Do a task again whose worker is gone, or hand it back."""
        if task not in self._running or task.error is not None:
            return
        error = loss_of(task)
        if isinstance(error, WorkerLostError) and task.losses <= LOSSES:
            self._again(task)
        else:
            task.error = error
            self._finished.put(task)

    def _interrupt(self, task: Task) -> None:
        """Hand back a task that is to be stopped, and end its worker, which then starts again."""
        place = next((place for place in self._places.values() if task in place.given), None)
        if place is None or place.runs is not task:
            with self._lock:
                if place is not None and (attending := place.given.pop(task)) is not None:
                    attending.cancel()
                self._hand_back_stopped(task)
        elif place.nanny:
            self._others.add(place.address)
            self._lose(place)
            self._run_beside(self._restart(place))
        else:
            self._say_once(
                f"{place.host}: what a worker does can't be ended without a nanny; it goes on with "
                "that before it is given more."
            )
            self._hand_back_stopped(task)

    def _hand_back_stopped(self, task: Task) -> None:
        with self._lock:
            if task in self._running and task.error is None:
                task.error = loss_of(task)
                self._end(task)

    async def _restart(self, place: _Place) -> None:
        with contextlib.suppress(Exception):
            await self._client.restart_workers(
                [place.address], timeout=RESTART_S, raise_for_error=False
            )
        self._others.discard(place.address)

    def _attend(self, place: _Place, task: Task) -> None:
        if task in place.given and place.given[task] is None:
            place.given[task] = self._loop.create_task(self._answer(place, task))

    async def _answer(self, place: _Place, task: Task) -> None:
        """Give a task to a worker, and hand it back with what comes of it."""
        try:
            answered = await self._result(place, task)
        except (Exception, asyncio.CancelledError):
            if task not in place.given:
                return  # it was taken from this worker
            # Where the scheduler is gone with it, Dask's client knows by then.
            await asyncio.sleep(LOOK_EVERY_S)
            if self._is_connected():
                self._lose(place)
            return
        with self._lock:
            del place.given[task]
            if place.runs is not None:
                self._begins(place.runs)
            if task.stopped:
                self._fill()  # it was handed back before, but could not be ended
            else:
                task.result, task.error = answered
                self._end(task)

    def _begins(self, task: Task) -> None:
        """Let the time of a task begin."""
        if task.limit_s is not None:
            task.until = time.monotonic() + task.limit_s

    async def _result(self, place: _Place, task: Task) -> tuple[Any, BaseException | None]:
        """Return a task's result or its error; its worker is brought what it lacks."""
        stored = [given for given in task.arguments if isinstance(given, StoredArrays)]
        arguments = tuple(
            _Kept(given.identity) if isinstance(given, StoredArrays) else given
            for given in task.arguments
        )
        while True:
            for table in stored:
                await self._bring(place, table)
            if place.runs is task:
                self._begins(task)
            result, error = await self._ask(place, task.function, arguments)
            if isinstance(error, UnknownProcessError):
                raise error
            if not isinstance(error, TableMissingError):
                return result, error
            place.tables.clear()

    async def _ask(
        self, place: _Place, function: Callable[..., Any], arguments: Sequence[Any]
    ) -> Any:
        call = pickle.dumps(_Call(function, tuple(arguments)))
        return await self._submit(place, function, pickle.loads, call)

    async def _submit(self, place: _Place, named: Any, *call: Any) -> Any:
        """Return the result of a call on a worker, under a name that Dask's pages show."""
        name = getattr(named, "__name__", "task")
        return await self._client.submit(
            *call,
            key=f"{name}-{uuid.uuid4().hex}",
            workers=[place.address],
            allow_other_workers=False,
        )

    async def _bring(self, place: _Place, stored: StoredArrays) -> None:
        """Have a worker keep a table, from a peer that has it or, the first time, from here."""
        if stored.identity in place.tables:
            return
        async with self._sending:
            sent = self._tables.get(stored.identity)
            if sent is None or sent.status in ("cancelled", "lost"):
                try:
                    table = _Table(stored.identity, await asyncio.to_thread(_in_memory, stored))
                except (OSError, ValueError) as error:
                    self._give_up(f"{stored.folder} can't be read for it ({error})")
                    raise
                sent = await self._client.scatter(table, workers=[place.address], hash=False)
                self._tables[stored.identity] = sent
        await self._submit(place, _Table.keep, operator.methodcaller("keep"), sent)
        place.tables.add(stored.identity)

    async def _leave(self) -> None:
        """Let go of all that is under way, and of what workers keep."""
        for place in self._places.values():
            while place.given:
                self._pull(place)
        for beside in list(self._beside):
            beside.cancel()
        if self._client is None:
            return
        if self._client.status == "running":  # of a scheduler that is gone nothing more is heard
            with contextlib.suppress(Exception):
                kept = list(self._tables)
                places = list(self._places)
                asked = self._client.run(forget, kept, workers=places, on_error="ignore")
                await asyncio.wait_for(asked, LEAVE_S)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.close(), LEAVE_S)


def _in_memory(stored: StoredArrays) -> TrainingArrays:
    """Return a table with its values in memory, which is no file elsewhere."""
    arrays = load_arrays(stored)
    return replace(arrays, values=np.asarray(arrays.values))


async def _connected(address: str) -> Any:
    """Return a client of a scheduler."""
    try:
        import dask

        # What is lost is told in our own words.
        quiet = {"distributed": "critical", "distributed.client": "critical"}
        dask.config.update_defaults({"logging": quiet})
        import distributed
        from distributed.versions import VersionMismatchWarning
    except ImportError as error:
        raise BenchmarkError(
            f"--cluster {address}: needs the extra `cluster`, which is not installed. Install it, "
            'pip install -e ".[cluster]", or run without --cluster.'
        ) from error
    where: dict[str, Any] = {"address": address}
    if address == CONFIGURED:
        where = {"address": dask.config.get("scheduler-address", None)}
        if where["address"] is None:
            raise BenchmarkError(
                f"--cluster {CONFIGURED}: Dask's configuration names no scheduler. Set "
                "DASK_SCHEDULER_ADDRESS, or scheduler-address in ~/.config/dask/dask.yaml."
            )
    elif address.endswith(".json"):
        where = {"scheduler_file": address}
        if not Path(address).is_file():
            raise BenchmarkError(
                f"{address}: there is no such scheduler file. `dask scheduler --scheduler-file "
                f"{address}` writes it."
            )
    elif "://" not in address:
        raise BenchmarkError(
            f"--cluster {address}: allowed are tcp://HOST:8786, tls://HOST:8786, a scheduler file "
            f"(.json), and `{CONFIGURED}` for the scheduler of Dask's own configuration."
        )
    warnings.simplefilter("ignore", VersionMismatchWarning)
    untyped: Any = distributed.Client
    try:
        client = untyped(**where, asynchronous=True, set_as_default=False, timeout=CONNECT_S)
        try:
            return await client
        except BaseException:
            await client.close(timeout=LEAVE_S)
            raise
    except Exception as error:
        raise BenchmarkError(
            f"{address}: no scheduler of a Dask cluster answers ({_first_line(error)}). Start one "
            "with `dask scheduler`, or correct --cluster."
        ) from error


def _first_line(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _differences(wanted: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Return in words in what a worker differs from this machine."""
    names = [name for name in wanted if theirs.get(name, ABSENT) != wanted[name]]
    return ", ".join(f"{name} {theirs.get(name, ABSENT)}, here {wanted[name]}" for name in names)
