"""The pool hands back every task, and survives the death of a worker."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from benchmark.engine import processes as workers_module
from benchmark.engine.processes import THREAD_LIMITS, LimitError, WorkerLostError, Workers
from tests.support.platforms import linux, posix
from tests.support.waiting import wait_until
from tests.support.workers import importers_of, workers_of

ROOT = Path(__file__).parents[2]

PROCESSOR: list[str] = []
with contextlib.suppress(OSError):  # another system than Linux
    PROCESSOR = Path("/proc/cpuinfo").read_text(errors="replace").split()


def double(number: int) -> int:
    return 2 * number


def refuse(number: int) -> int:
    raise ValueError(f"no {number}")


def die_once(mark: str) -> str:
    """Kill the worker the first time, answer the second."""
    path = Path(mark)
    first = not path.exists()
    path.touch()
    os.kill(os.getpid(), signal.SIGKILL if first else 0)
    return "survived"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def thread_limits() -> list[str]:
    return [os.environ[name] for name in THREAD_LIMITS]


@pytest.mark.parametrize("count", [1, 2])
def test_every_task_comes_back_with_its_result(count: int) -> None:
    with Workers(count) as workers:
        done = list(workers.map(double, ((number,) for number in range(20))))
    assert sorted((task.label, task.result) for task in done) == [(n, 2 * n) for n in range(20)]


def test_no_process_starts_before_the_first_task() -> None:
    with Workers(2) as workers:
        assert workers.next_done() is None
        assert multiprocessing.active_children() == []


def test_an_error_comes_back_with_its_task_and_stops_no_other() -> None:
    with Workers(1) as workers:
        workers.submit(refuse, 1)
        workers.submit(double, 2)
        first, second = workers.next_done(), workers.next_done()
    assert first is not None
    assert second is not None
    assert (str(first.error), second.result) == ("no 1", 4)


def test_a_worker_has_one_thread_for_each_library() -> None:
    with Workers(1) as workers:
        workers.submit(thread_limits)
        task = workers.next_done()
    assert task is not None
    assert set(task.result) == {"1"}


@pytest.mark.skipif("avx2" not in PROCESSOR, reason="this processor has no AVX2")
@pytest.mark.parametrize(("own", "used"), [("", "haswell"), ("Sandybridge", "sandybridge")])
def test_openblas_computes_with_the_same_kernels_unless_the_user_names_others(
    own: str, used: str
) -> None:
    code = (
        "from benchmark.engine.processes import prepare_libraries; prepare_libraries(); "
        "from benchmark.engine.environment import kernels; print(kernels())"
    )
    environment = {name: value for name, value in os.environ.items() if "OPENBLAS" not in name}
    environment |= {"OPENBLAS_CORETYPE": own} if own else {}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().lower() == used


@pytest.mark.skipif("avx2" not in PROCESSOR, reason="this processor has no AVX2")
def test_numpy_computes_with_the_kernels_that_all_common_processors_have() -> None:
    code = (
        "from benchmark.engine.processes import prepare_libraries; prepare_libraries(); "
        "from numpy.lib.introspect import opt_func_info; "
        "found = opt_func_info(func_name='exp', signature='float64'); "
        "print({one['current'] for kinds in found.values() for one in kinds.values()})"
    )
    environment = {name: value for name, value in os.environ.items() if "NPY" not in name}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "AVX512" not in done.stdout
    assert "V4" not in done.stdout


@posix
def test_tasks_beside_a_killed_worker_run_again(tmp_path: Path) -> None:
    with Workers(2) as workers:
        workers.submit(die_once, str(tmp_path / "mark"))
        for number in range(6):
            workers.submit(double, number)
        results = []
        while workers.pending:
            task = workers.next_done()
            results.append(task.result if task else None)
    assert sorted(map(str, results)) == sorted(["survived", *map(str, range(0, 12, 2))])


@posix
def test_a_task_alone_has_a_second_try_too(tmp_path: Path) -> None:
    with Workers(2) as workers:
        workers.submit(die_once, str(tmp_path / "mark"))
        task = workers.next_done()
    assert task is not None
    assert task.result == "survived"


@posix
def test_a_task_that_kills_its_worker_every_time_is_handed_back_as_lost() -> None:
    with Workers(2) as workers:
        workers.submit(die, label="culprit")
        workers.submit(double, 1, label="bystander")
        workers.submit(double, 2, label="bystander")
        done = []
        while workers.pending:
            done.append(workers.next_done())
    lost = [task for task in done if task is not None and task.error is not None]
    assert [(task.label, type(task.error)) for task in lost] == [("culprit", WorkerLostError)]
    assert len(done) == 3


def test_a_task_over_its_limit_is_stopped_and_no_other() -> None:
    with Workers(2) as workers:
        workers.submit(time.sleep, 60, label="slow", limit_s=1.5)
        for number in range(4):
            workers.submit(double, number, label=number, limit_s=30)
        done = {task.label: task for task in workers.drain()}
    assert {label: task.result for label, task in done.items() if task.error is None} == {
        number: 2 * number for number in range(4)
    }
    assert isinstance(done["slow"].error, LimitError)
    assert "1.5 s" in str(done["slow"].error)


def test_the_lowest_priority_begins_first_and_equals_in_order() -> None:
    with Workers(1) as workers:
        workers.submit(time.sleep, 0.2, label="running")
        for label, priority in (("c", (1.0, 5.0)), ("a", (0.0,)), ("d", (1.0, 6.0)), ("b", (0.0,))):
            workers.submit(double, 1, label=label, priority=priority)
        order = [task.label for task in workers.drain()]
    assert order == ["running", "a", "b", "c", "d"]


def test_a_withdrawn_task_never_comes_back() -> None:
    with Workers(1) as workers:
        workers.submit(time.sleep, 0.2, label="running")
        for number in range(4):
            workers.submit(double, number, label=number)
        workers.withdraw(lambda label: label in (1, 2))
        assert [task.label for task in workers.drain()] == ["running", 0, 3]


def test_a_withdrawn_task_that_runs_for_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "SPARE_S", 0.5)
    with Workers(2) as workers:
        workers.submit(time.sleep, 60, label="hopeless")
        workers.submit(time.sleep, 4, label="wanted")
        workers.withdraw(lambda label: label == "hopeless")
        errors = {task.label: type(task.error) for task in workers.drain()}
    assert errors == {"hopeless": LimitError, "wanted": type(None)}


@posix
def test_a_withdrawn_task_whose_worker_dies_is_not_run_again(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with Workers(1) as workers:
        workers.submit(die_once, str(mark), label="hopeless")
        wait_until(mark.exists)
        workers.withdraw(lambda label: label == "hopeless")
        (task,) = workers.drain()
    assert isinstance(task.error, WorkerLostError)


@linux
def test_workers_start_again_after_all_are_killed_with_the_process_that_they_copy() -> None:
    with Workers(2) as workers:
        list(workers.map(double, [(1,), (2,)]))
        for process in (*workers_of(os.getpid()), *importers_of(os.getpid())):
            with contextlib.suppress(ProcessLookupError):  # a worker of an earlier test, just gone
                os.kill(process, signal.SIGKILL)
        done = list(workers.map(double, [(3,), (4,), (5,)]))
    assert sorted((task.result, task.error) for task in done) == [(6, None), (8, None), (10, None)]


SCRIPT = """
import operator
import os

import numpy
from threadpoolctl import threadpool_info

from benchmark.engine.processes import Workers


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info()}


if __name__ == "__main__":
    before = dict(os.environ)
    with Workers(1) as workers:
        print([task.result for task in workers.map(operator.neg, [(5,)])])
        print([task.result for task in workers.map(threads, [()])])
    print(dict(os.environ) == before)
"""


@linux
@pytest.mark.parametrize("length", [1, 90], ids=["a short path", "too long for a socket"])
def test_a_users_own_program_gets_workers_with_one_thread_and_keeps_its_environment(
    tmp_path: Path, length: int
) -> None:
    script, here = tmp_path / "script.py", tmp_path / "here"
    script.write_text(SCRIPT)
    here.mkdir()
    (here / "pandas.py").write_text("raise SystemExit('a file of the current folder')")
    variables = {name: value for name, value in os.environ.items() if name not in THREAD_LIMITS}
    with tempfile.TemporaryDirectory(prefix="x" * length, dir="/tmp") as temporary:
        ended = subprocess.run(
            [sys.executable, str(script)],
            cwd=here,
            env=variables | {"TMPDIR": temporary, "OMP_NUM_THREADS": "3", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
    assert ended.stdout.splitlines() == ["[-5]", "[{1}]", "True"], ended.stderr


def test_variables_that_are_set_while_a_process_starts_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SER_TEST", "before")
    with workers_module._starting_process():
        monkeypatch.setenv("SER_TEST", "by another thread")
        monkeypatch.setenv("SER_NEW", "by another thread")
    assert os.environ["SER_TEST"] == os.environ["SER_NEW"] == "by another thread"


@posix
@pytest.mark.parametrize("after_s", [0.5, 1.0])
def test_the_process_that_imports_for_workers_is_deaf_to_ctrl_c(after_s: float) -> None:
    program = (
        "import time\n"
        "from benchmark.engine.processes import import_beside\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        import_beside()\n"
        "        print('ready', flush=True)\n"
        "        time.sleep(60)\n"
        "    except KeyboardInterrupt:\n"
        "        print('stopped')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    said, errors = process.communicate(timeout=60)
    assert said == "stopped\n"
    assert errors == ""


def test_a_worker_has_the_environment_of_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("first", "second"):
        monkeypatch.setenv("SER_TEST", value)
        with Workers(1) as workers:
            (task,) = workers.map(os.getenv, [("SER_TEST",)])
        assert task.result == value


def nothing() -> None:
    """Be called at the start of a worker whose imports are done."""


def slow_import() -> None:
    time.sleep(2)


def test_the_start_of_a_process_is_no_part_of_a_tasks_time() -> None:
    with Workers(1) as workers:
        workers.warm_up(slow_import)
        workers.submit(time.sleep, 60, label="hangs", limit_s=1)
        for number in range(3):
            workers.submit(double, number, label=number, limit_s=1)
        done = {task.label: task.error for task in workers.drain()}
    assert isinstance(done.pop("hangs"), LimitError)
    assert done == {0: None, 1: None, 2: None}


def test_a_deadline_holds_while_tasks_keep_coming_in() -> None:
    with Workers(2) as workers:
        list(workers.map(nothing, [()] * 4))  # both processes have started
        until = time.monotonic() + 1
        workers.submit(nothing)
        workers.submit(nothing)
        handed_back = 0
        while workers.next_done(until) is not None:
            handed_back += 1
            workers.submit(nothing)
            time.sleep(0.005)
        assert time.monotonic() - until < 5
        assert handed_back > 1


def test_workers_that_are_stopped_as_they_start_are_started_again() -> None:
    with Workers(6) as workers:
        for _ in range(6):
            workers.submit(time.sleep, 60)
        workers.abandon()
        workers.submit(double, 4)
        assert [task.result for task in workers.drain()] == [8]


def test_abandoned_tasks_are_gone_and_the_workers_ready_for_others() -> None:
    with Workers(2) as workers:
        for _ in range(4):
            workers.submit(time.sleep, 60)
        assert workers.next_done(until=time.monotonic() + 1) is None
        workers.abandon()
        assert not workers.pending
        workers.submit(double, 4)
        assert [task.result for task in workers.drain()] == [8]


@posix
def test_a_worker_killed_while_idle_costs_nothing() -> None:
    with Workers(1) as workers:
        workers.submit(os.getpid)
        first = workers.next_done()
        assert first is not None
        os.kill(first.result, signal.SIGKILL)
        time.sleep(0.3)
        workers.submit(double, 4)
        second = workers.next_done()
    assert second is not None
    assert second.result == 8


def test_processes_that_end_as_they_start_are_not_started_for_ever(tmp_path: Path) -> None:
    script = (  # without the guard each worker runs the script, and may start none
        "from benchmark.engine.processes import Workers\n"
        "workers = Workers(2)\n"
        "for _ in range(100): workers.submit(print)\n"
        "for task in workers.drain(): pass\n"
    )
    (tmp_path / "main.py").write_text(script)
    command = [sys.executable, str(tmp_path / "main.py")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode
    assert "worker processes in a row ended as they started" in ended.stderr


@linux
def test_workers_end_with_a_main_process_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from benchmark.engine.processes import Workers\n"
        "if __name__ == '__main__':\n"
        "    workers = Workers(1)\n"
        "    import os\n"
        "    workers.submit(os.getpid)\n"
        "    print(workers.next_done().result, flush=True)\n"
        "    workers.submit(time.sleep, 60)\n"
        "    time.sleep(60)\n"
    )
    path = tmp_path / "main.py"
    path.write_text(script)
    process = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
