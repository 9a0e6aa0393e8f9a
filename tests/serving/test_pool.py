"""Workers of a service: bounded in time and memory, and replaced where they are lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.features.audio import UnusableError
from benchmark.serving.example_clip import example_wav
from benchmark.serving.limits import Limits
from benchmark.serving.pool import LostError, Pool, SlowError
from benchmark.serving.predictor import Predictor
from tests.support.platforms import linux, posix

LIMITS = Limits(concurrent=3, request_s=60.0, memory_bytes=2**28)
"""Time for a worker to be replaced within a request, also on a busy machine."""

SHORT_S = 2.0


@pytest.fixture(scope="module")
def started(small_card: Path) -> Iterator[Pool]:
    """A pool of one worker."""
    pool = Pool(small_card, LIMITS)
    pool.start()
    yield pool
    pool.close()


@pytest.fixture
def pool(started: Pool) -> Pool:
    """The pool, its worker ready, whatever another test did to it."""
    wait_until_ready(started)
    return started


def wait_until_ready(pool: Pool, replaced: int = 0) -> None:
    until = time.monotonic() + 60
    while (pool.ready < 1 or pool.replaced < replaced) and time.monotonic() < until:
        time.sleep(0.05)


def worker(_: Predictor) -> int:
    return os.getpid()


def hog(_: Predictor, size: int) -> float:
    return float(np.ones(size).sum())


def crash(_: Predictor) -> None:
    os._exit(3)


def dawdle(_: Predictor, seconds: float) -> None:
    time.sleep(seconds)


def refuse(_: Predictor) -> None:
    raise UnusableError("silent", "nothing to hear")


def test_a_worker_answers_as_the_predictor_does(pool: Pool, small_card: Path) -> None:
    content = example_wav()
    found = asyncio.run(pool.ask(Predictor.predict, content, longest_s=60.0))
    assert found == Predictor.load(small_card).predict(content)


def test_what_a_worker_refuses_comes_with_its_fault(pool: Pool) -> None:
    with pytest.raises(UnusableError, match="nothing to hear") as refused:
        asyncio.run(pool.ask(refuse))
    assert refused.value.fault == "silent"


@linux
def test_a_worker_has_a_bound_of_memory_and_is_replaced_when_it_hits_it(pool: Pool) -> None:
    before = asyncio.run(pool.ask(worker))
    with pytest.raises(LostError):
        asyncio.run(pool.ask(hog, LIMITS.memory_bytes // 4))
    assert asyncio.run(pool.ask(worker)) != before


def test_what_fits_into_the_bound_is_answered(pool: Pool) -> None:
    size = LIMITS.memory_bytes // 16
    assert asyncio.run(pool.ask(hog, size)) == size


def test_a_worker_that_crashes_is_replaced(pool: Pool) -> None:
    before = pool.replaced
    with pytest.raises(LostError):
        asyncio.run(pool.ask(crash))
    asyncio.run(pool.ask(worker))
    assert pool.replaced == before + 1


@posix
def test_a_worker_that_dies_with_nothing_to_do_costs_nobody_an_answer(pool: Pool) -> None:
    before = asyncio.run(pool.ask(worker))
    os.kill(before, signal.SIGKILL)
    time.sleep(0.5)
    assert asyncio.run(pool.ask(worker)) != before


def test_an_answer_that_takes_too_long_ends_with_its_worker(
    small_card: Path,
) -> None:
    with contextlib.closing(Pool(small_card, replace(LIMITS, request_s=SHORT_S))) as pool:
        pool.start()
        began = time.monotonic()
        with pytest.raises(SlowError):
            asyncio.run(pool.ask(dawdle, 600.0))
        assert time.monotonic() - began < SHORT_S + 10
        wait_until_ready(pool, replaced=1)
        assert (pool.ready, pool.replaced) == (1, 1)


def test_the_next_is_answered_when_one_who_asked_has_gone_away(pool: Pool) -> None:
    async def go_away() -> int:
        working = asyncio.ensure_future(pool.ask(dawdle, 0.5))
        waiting = asyncio.ensure_future(pool.ask(dawdle, 50.0))
        await asyncio.sleep(0.2)
        working.cancel()
        waiting.cancel()
        return await pool.ask(worker)

    before = asyncio.run(pool.ask(worker))
    began = time.monotonic()
    assert asyncio.run(go_away()) == before
    assert time.monotonic() - began < 30


def test_a_model_that_can_not_be_loaded_is_said_at_the_start(
    small_card: Path, tmp_path: Path
) -> None:
    (tmp_path / small_card.name).write_bytes(small_card.read_bytes())
    pool = Pool(tmp_path / small_card.name, LIMITS)
    with pytest.raises(BenchmarkError, match="logistic_regression"):
        pool.start()
    pool.close()


@linux
def test_a_closed_pool_leaves_no_process(small_card: Path) -> None:
    pool = Pool(small_card, LIMITS)
    pool.start()
    process = asyncio.run(pool.ask(worker))
    pool.close()
    until = time.monotonic() + 5
    while Path(f"/proc/{process}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
