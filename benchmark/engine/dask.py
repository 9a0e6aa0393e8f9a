"""Tasks on the workers of a Dask cluster: the only module that imports Dask.

The driver is that of local processes, so results are the same bytes: it assigns tasks, one at a
time per worker, and collects their results. A worker needs this package in the same versions and
nothing else: no shared disk, recordings or tables. It runs nothing before its versions have been
compared, and caches the tables that it receives.
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
from benchmark.engine.processes import Task, Workers, loss_of, prepare_libraries
from benchmark.engine.retry import cause_of
from benchmark.errors import BenchmarkError
from benchmark.hints import install

CONFIGURED = "config"
"""The address that stands for the scheduler of Dask's own configuration."""

CACHED_TABLES = 4  # per worker: one for each split of a study with four protocols

CONNECT_S = 10.0
FIRST_WORKER_S = 60.0
WITHOUT_WORKERS_S = 600.0
POLL_S = 1.0
INSPECT_S = 30.0  # longest answer of a worker about its versions; imports on a slow disk included
RESTART_S = 30.0
LEAVE_S = 3.0
LISTED = 5  # workers named in one line


class UninspectedError(Exception):
    """A task reached a process whose versions are not known: the worker was restarted."""


class TableMissingError(Exception):
    """A task reached a worker that does not cache its table any more."""


# Code that runs on a worker.


@dataclass(frozen=True)
class _Cached:
    """Reference to a cached table in the arguments of a task."""

    identity: str


@dataclass(frozen=True)
class _Call:
    """A call that is made when it is unpickled.

    Dask's scheduler unpickles functions, for which it would need this package, but passes bytes on
    unchanged. So a task is `pickle.loads` of these.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __reduce__(self) -> tuple[Any, ...]:
        return run, (self.function, self.arguments)


@dataclass(frozen=True)
class _Table:
    """A table on its way from the driver to a worker and on to other workers."""

    identity: str
    arrays: TrainingArrays

    def cache(self) -> None:
        """Cache the table in this process: Dask releases what no pending task needs."""
        _tables[self.identity] = self.arrays
        while len(_tables) > CACHED_TABLES:
            _tables.popitem(last=False)


_tables: OrderedDict[str, TrainingArrays] = OrderedDict()
_thread = threading.local()
_inspected = threading.Event()


def inspect(expected: Mapping[str, str], dask_worker: Any = None) -> dict[str, Any]:
    """Return the versions of this process, and allow tasks if they are the expected ones."""
    prepare_libraries()
    versions = surroundings()
    if versions == expected:
        _inspected.set()
    return {
        "versions": versions,
        "kernels": kernels(),
        "host": platform.node(),
        "threads": dask_worker.state.nthreads,
        "nanny": dask_worker.nanny is not None,
    }


def run(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[Any, BaseException | None]:
    """Return the result of a function, with cached tables as arguments, and its error.

    An error is returned: errors that Dask raises concern the network or a machine, and must not be
    taken for a failed fit.
    """
    try:
        if not _inspected.is_set():
            raise UninspectedError
        if not hasattr(_thread, "limits"):
            from threadpoolctl import threadpool_limits

            # OpenMP has a limit per thread; libraries loaded later read the environment.
            _thread.limits = threadpool_limits(1)
        return function(*map(_resolved, arguments)), None
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # it can't be sent to another machine
            return None, RuntimeError(f"{type(error).__name__}: {error}")
        return None, error


def _resolved(argument: Any) -> Any:
    if not isinstance(argument, _Cached):
        return argument
    if argument.identity not in _tables:
        raise TableMissingError
    _tables.move_to_end(argument.identity)
    return _tables[argument.identity]


def release(identities: Sequence[str]) -> None:
    """Remove tables from the cache."""
    for identity in identities:
        _tables.pop(identity, None)


# Code that runs on the driver.


@dataclass(eq=False)
class _Remote:
    """A worker whose versions agree, and its task.

    Attributes
    ----------
    nanny : bool
        Whether a nanny can restart it.
    attending : asyncio task or None
        Waits for the result of `task`.
    tables : set of str
        Identities of the tables that it has received.
    """

    address: str
    host: str
    nanny: bool
    task: Task | None = None
    attending: asyncio.Task[None] | None = None
    tables: set[str] = field(default_factory=set)

    def detach(self) -> Task | None:
        """Stop waiting for its task, and return the task."""
        task, attending = self.task, self.attending
        self.task = self.attending = None
        if attending is not None:
            attending.cancel()
        return task


class Cluster(Workers):
    """The workers of a Dask cluster, one task at a time on each.

    Parameters
    ----------
    address : str
        ``tcp://host:port`` or ``tls://host:port`` of a scheduler, a scheduler file (.json), or
        ``config`` for the scheduler of Dask's own configuration, which also holds certificates.
    say : callable
        Receives a line about each worker that comes or goes.
    """

    attempts = 4  # a task survives three lost workers, as in Dask: machines come and go

    def __init__(self, address: str, say: Callable[[str], None]) -> None:
        super().__init__(0)
        self.address = address
        self._say = say
        self._loop = asyncio.new_event_loop()
        self._client: Any = None  # Dask's, which has no types
        self._remotes: dict[str, _Remote] = {}
        self._excluded: set[str] = set()  # addresses without tasks: refused, or not yet inspected
        self._sent: dict[str, Any] = {}  # futures of the tables that were sent, by identity
        self._sending = asyncio.Lock()
        self._first: Callable[[], None] | None = None
        self._said: set[str] = set()
        self._background: set[asyncio.Task[Any]] = set()

    def __enter__(self) -> Cluster:
        """Connect, and compare the versions of every worker.

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

    def warm_up(self, function: Callable[[], None]) -> None:
        """Run a function on each worker before its first task, also on workers that come later."""
        self._first = function
        for remote in list(self._remotes.values()):
            self._loop.call_soon_threadsafe(self._start, self._warm_up(remote))

    def close(self) -> None:
        """Leave the cluster; running tasks are lost."""
        super().close()
        if self._loop.is_running():
            self._wait_for(self._leave())
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _free(self) -> bool:
        return self._failure is None and any(r.task is None for r in self._remotes.values())

    def _begin(self, task: Task) -> None:
        remote = next(remote for remote in self._remotes.values() if remote.task is None)
        remote.task = task
        self._loop.call_soon_threadsafe(self._attend, remote, task)

    def _stop(self, task: Task) -> None:
        self._loop.call_soon_threadsafe(self._interrupt, task)

    def _wait_for(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop's thread, and return its result to another thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # All methods below run in the loop's thread.

    def _start(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(coroutine)
        self._background.add(task)  # the loop itself holds only a weak reference
        task.add_done_callback(self._background.discard)
        return task

    async def _open(self) -> None:
        self._client = await _connected(self.address)
        addresses = await self._first_workers()
        reasons = await asyncio.gather(*(self._inspect(address) for address in addresses))
        refused = [reason for reason in reasons if reason]
        if refused:
            named = "; ".join(refused[:LISTED])
            more = f"; and {len(refused) - LISTED} more" if len(refused) > LISTED else ""
            raise BenchmarkError(
                f"{self.address}: {len(refused)} of {len(addresses)} workers have another "
                f"environment than this machine: {named}{more}. Give all the same environment, "
                "for example one image, and run the same command again."
            )
        self._start(self._watch())

    async def _first_workers(self) -> list[str]:
        """Wait for at least one worker, and return the addresses of all."""
        until = time.monotonic() + FIRST_WORKER_S
        while not (addresses := await self._addresses()):
            self._say_once(f"{self.address}: waiting for the first worker")
            if time.monotonic() > until:
                raise BenchmarkError(
                    f"{self.address}: the cluster has no worker. Start some, for example with "
                    f"`dask worker {self.address} --nworkers 4 --nthreads 1`, and run the same "
                    "command again."
                )
            await asyncio.sleep(POLL_S)
        return addresses

    async def _addresses(self) -> list[str]:
        return list(await asyncio.wait_for(self._client.scheduler.ncores(), CONNECT_S))

    async def _inspect(self, address: str) -> str:
        """Accept a worker if its versions agree; return the reason of a refusal, else ""."""
        self._excluded.add(address)
        expected = surroundings()
        call = self._client.run(inspect, expected, workers=[address], on_error="return")
        try:
            answer = (await asyncio.wait_for(call, INSPECT_S)).get(address)
        except (OSError, TimeoutError) as error:
            answer = error
        if answer is None or isinstance(answer, OSError | TimeoutError):
            self._say_once(f"a worker does not answer: {address}")
            self._excluded.discard(address)  # it is inspected again while the scheduler lists it
            return ""
        if not isinstance(answer, dict):
            return f"{address} (this package, or this version of it, is not installed: {answer})"
        differing = _differences(expected, answer["versions"])
        if differing:
            return f"{answer['host']} {address} ({differing})"
        remote = _Remote(address, answer["host"], answer["nanny"])
        if answer["threads"] > 1:
            self._say_once(
                f"{remote.host}: a worker has {answer['threads']} threads, but runs one task at a "
                "time: start more workers, with --nthreads 1 each."
            )
        if answer["kernels"] != kernels():
            self._say_once(
                f"{remote.host} computes with the processor kernels {answer['kernels']}, this "
                f"machine with {kernels()}: last digits can differ. They are the same with the "
                "same OPENBLAS_CORETYPE in the environment of all machines."
            )
        self._excluded.discard(address)
        self._start(self._warm_up(remote))
        with self._lock:
            self._remotes[address] = remote
            self.count = len(self._remotes)
            self._fill()
        return ""

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)

    async def _warm_up(self, remote: _Remote) -> None:
        """Run the first function; a worker runs calls in the order in which they arrive."""
        if self._first is not None:
            with contextlib.suppress(Exception):  # the first task will fail with the reason
                await self._call(remote, self._first, ())

    async def _watch(self) -> None:
        """Follow the workers that come and go, and the connection to the scheduler."""
        last_seen = time.monotonic()
        while self._failure is None:
            await asyncio.sleep(POLL_S)
            if not self._is_connected():
                return
            try:
                addresses = set(await self._addresses())
            except (OSError, TimeoutError):
                continue  # the connection is lost or slow
            for address in set(self._remotes) - addresses:
                self._say(f"a worker is lost: {self._remotes[address].host} {address}")
                self._lose(self._remotes[address])
            self._excluded &= addresses
            for address in addresses - set(self._remotes) - self._excluded:
                self._start(self._welcome(address))
            last_seen = time.monotonic() if self._remotes else last_seen
            if time.monotonic() - last_seen > WITHOUT_WORKERS_S:
                self._give_up(f"the cluster has had no worker for {WITHOUT_WORKERS_S:.0f} s")

    def _is_connected(self) -> bool:
        """Whether the scheduler is there; if not, `next_done` raises the error.

        A new connection would not help: the scheduler forgets the tasks of a lost one.
        """
        if self._client.status != "running":
            self._give_up("the cluster's scheduler is gone")
        return self._failure is None

    async def _welcome(self, address: str) -> None:
        """Accept or refuse a worker that comes during the work, and say so."""
        reason = await self._inspect(address)
        if reason:
            self._say(f"a worker is given nothing: {reason}")
        elif address in self._remotes:
            self._say(f"a worker has come: {self._remotes[address].host} {address}")

    def _give_up(self, reason: str) -> None:
        """Make `next_done` raise an error."""
        self._failure = self._failure or BenchmarkError(
            f"{self.address}: {reason}. What is finished is safe; start the cluster and run the "
            "same command again."
        )

    def _lose(self, remote: _Remote) -> None:
        """Remove a worker that is gone, and run its task elsewhere unless it was stopped."""
        with self._lock:
            if self._remotes.pop(remote.address, None) is None:
                return
            self.count = max(1, len(self._remotes))
            task = remote.detach()
            if task is not None and task in self._running and task.error is None:
                task.error = loss_of(task)
                self._finished.put(task)
            self._fill()

    def _interrupt(self, task: Task) -> None:
        """Return a task that is to be stopped, and restart its worker."""
        remote = next((r for r in self._remotes.values() if r.task is task), None)
        if remote is None:
            return  # it has ended in the meantime
        if remote.nanny:
            self._excluded.add(remote.address)
            self._lose(remote)
            self._start(self._restart(remote))
            return
        self._say_once(
            f"{remote.host}: a task can't be stopped on a worker without a nanny; the worker "
            "finishes it before it gets another."
        )
        with self._lock:
            if task in self._running and task.error is None:
                task.error = loss_of(task)
                self._end(task)

    async def _restart(self, remote: _Remote) -> None:
        with contextlib.suppress(Exception):
            await self._client.restart_workers(
                [remote.address], timeout=RESTART_S, raise_for_error=False
            )
        self._excluded.discard(remote.address)

    def _attend(self, remote: _Remote, task: Task) -> None:
        if remote.task is task:
            remote.attending = self._loop.create_task(self._finish(remote, task))

    async def _finish(self, remote: _Remote, task: Task) -> None:
        """Run a task on a worker, and return it with its result or error."""
        try:
            result, error = await self._result(remote, task)
        except (Exception, asyncio.CancelledError):
            if remote.task is not task:
                return  # it was detached
            # If the scheduler is gone as well, Dask's client knows it by then.
            await asyncio.sleep(POLL_S)
            if self._is_connected():
                self._lose(remote)
            return
        with self._lock:
            remote.task = remote.attending = None
            if task.error is not None:
                self._fill()  # it was returned as stopped, though its worker had no nanny
            else:
                task.result, task.error = result, error
                self._end(task)

    async def _result(self, remote: _Remote, task: Task) -> tuple[Any, BaseException | None]:
        """Return a task's result and its error; its tables are sent before."""
        stored = [value for value in task.arguments if isinstance(value, StoredArrays)]
        arguments = tuple(
            _Cached(value.identity) if isinstance(value, StoredArrays) else value
            for value in task.arguments
        )
        while True:
            for table in stored:
                await self._send(remote, table)
            task.begin()
            result, error = await self._call(remote, task.function, arguments)
            if isinstance(error, UninspectedError):
                raise error
            if not isinstance(error, TableMissingError):
                return result, error
            remote.tables.clear()

    async def _call(
        self, remote: _Remote, function: Callable[..., Any], arguments: Sequence[Any]
    ) -> Any:
        call = pickle.dumps(_Call(function, tuple(arguments)))
        return await self._submit(remote, function, pickle.loads, call)

    async def _submit(self, remote: _Remote, named: Any, *call: Any) -> Any:
        """Return the result of a call on a worker; Dask's pages show it by a name."""
        name = getattr(named, "__name__", "task")
        return await self._client.submit(
            *call,
            key=f"{name}-{uuid.uuid4().hex}",
            workers=[remote.address],
            allow_other_workers=False,
        )

    async def _send(self, remote: _Remote, stored: StoredArrays) -> None:
        """Send a table to a worker: the first time from here, later from another worker."""
        if stored.identity in remote.tables:
            return
        async with self._sending:
            sent = self._sent.get(stored.identity)
            if sent is None or sent.status in ("cancelled", "lost"):
                try:
                    table = _Table(stored.identity, await asyncio.to_thread(_in_memory, stored))
                except (OSError, ValueError) as error:
                    self._give_up(f"{stored.folder} can't be read ({error})")
                    raise
                sent = await self._client.scatter(table, workers=[remote.address], hash=False)
                self._sent[stored.identity] = sent
        await self._submit(remote, _Table.cache, operator.methodcaller("cache"), sent)
        remote.tables.add(stored.identity)

    async def _leave(self) -> None:
        """Stop everything under way, and release the tables on the workers."""
        for remote in self._remotes.values():
            remote.detach()
        for task in list(self._background):
            task.cancel()
        if self._client is None:
            return
        if self._client.status == "running":  # a scheduler that is gone answers nothing
            with contextlib.suppress(Exception):
                call = self._client.run(
                    release, list(self._sent), workers=list(self._remotes), on_error="ignore"
                )
                await asyncio.wait_for(call, LEAVE_S)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.close(), LEAVE_S)


def _in_memory(stored: StoredArrays) -> TrainingArrays:
    """Return a table with its values in memory instead of a mapped file."""
    arrays = load_arrays(stored)
    return replace(arrays, values=np.asarray(arrays.values))


async def _connected(address: str) -> Any:
    """Return a client of a scheduler."""
    try:
        import dask

        # Losses are reported in our own words.
        quiet = {"distributed": "critical", "distributed.client": "critical"}
        dask.config.update_defaults({"logging": quiet})
        import distributed
        from distributed.versions import VersionMismatchWarning
    except ImportError as error:
        raise BenchmarkError(
            f"--cluster {address}: needs the extra `cluster`, which is not installed. Install it, "
            f"{install('cluster')}, or run without --cluster."
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
                f"{address}: no such scheduler file. `dask scheduler --scheduler-file "
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
            f"{address}: no scheduler of a Dask cluster answers ({cause_of(error)}). Start one "
            "with `dask scheduler`, or correct --cluster."
        ) from error


def _differences(expected: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """Return the versions in which a worker differs from this machine, as text."""
    names = [name for name in expected if theirs.get(name, ABSENT) != expected[name]]
    return ", ".join(f"{name} {theirs.get(name, ABSENT)}, here {expected[name]}" for name in names)
