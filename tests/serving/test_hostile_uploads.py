"""A short run of tests/hostile, which sends ten thousand hostile uploads."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("multipart", reason="needs the extra `serve`")

from benchmark.features.audio import UnusableError, decode
from benchmark.serving.example_clip import example_wav
from benchmark.serving.timeline import open_recording
from tests.hostile.service import Answer, Service, faults, service
from tests.hostile.uploads import (
    FAMILIES,
    SECRET,
    file_part,
    form,
    good_files,
    posted,
    uploaded,
    uploads,
    wav,
)
from tests.support.bench import Bench
from tests.support.platforms import linux
from tests.support.waiting import wait_until

pytestmark = linux

KNOWN = posted("/predict", form(file_part(example_wav())))


@pytest.fixture(scope="module")
def running(finished: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one worker, started with the command line."""
    card = finished.project / "features_cache/small/speaker-independent/models/ensemble.json"
    folder = tmp_path_factory.mktemp("service")
    with service(card, folder, "--workers", "1", "--request-seconds", "2") as started:
        yield started


QUICK = [name for name, family in FAMILIES.items() if not family.idle]


@pytest.mark.parametrize("family", QUICK)
def test_hostile_uploads_get_correct_responses_and_change_nothing(
    running: Service, family: str
) -> None:
    first = known_response(running)
    count = 2 + FAMILIES[family].count // 10
    requests = list(uploads(family, count, seed=1))
    answers = running.exchange_all(requests, FAMILIES[family].concurrent)
    wrong = [fault for pair in zip(requests, answers, strict=True) for fault in faults(*pair)]
    assert not wrong
    assert b'"emotion":' in first
    assert known_response(running) == first


def known_response(service: Service) -> bytes:
    """Return the response to the known recording; while a worker is replaced, it is a 503."""
    answers: list[Answer] = []

    def answered() -> bool:
        answers.append(service.exchange(KNOWN))
        return answers[-1].status != 503

    wait_until(answered)
    return answers[-1].content


def test_a_refused_upload_is_freed_at_once(running: Service) -> None:
    """Exceptions in reference cycles would hold uploads until garbage collection."""
    large = wav(b"\0\0" * 8 * 2**20, rate_hz=192_000)
    refused = [uploaded(large, allowed=frozenset({422}))] * 16
    before = running.memory_bytes()
    answers = running.exchange_all(refused[:4], 1)
    warm = running.memory_bytes()
    answers += running.exchange_all(refused[4:], 1)
    assert {answer.status for answer in answers} == {422}
    # The last upload may still be in memory when its response is read.
    after = min(at_rest(running) for _ in range(10))
    assert after - warm < 4 * len(large), before


def at_rest(service: Service) -> int:
    """Return the memory of an idle service after a moment."""
    time.sleep(0.3)
    return service.memory_bytes()


def test_nothing_of_an_upload_is_stored_or_logged(running: Service) -> None:
    log = running.log.read_text()
    assert not running.left_behind()
    assert "Traceback" not in log
    assert SECRET not in log


def test_many_channels_have_no_more_windows_than_two() -> None:
    content = wav(b"\1\1" * 255 * 1_568, channels=255, rate_hz=2)
    with (
        pytest.raises(UnusableError, match="windows in 255 channels"),
        open_recording(content, 3.0, 1.0, longest_s=900.0),
    ):
        pytest.fail("it was opened")


@pytest.mark.parametrize("value", [1e38, -3e38, math.inf, math.nan])
def test_samples_whose_squares_are_not_finite_are_damaged(value: float) -> None:
    content = wav(np.full(8_000, value, dtype="<f4").tobytes(), tag=3, bits=32)
    with pytest.raises(UnusableError) as refused:
        decode(content, 22_050)
    assert refused.value.fault == "damaged"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_seek_before_the_start_prints_no_traceback() -> None:
    _, content = next(file for file in good_files() if file[0] == "AIFF")
    for position in range(4, 100):
        with contextlib.suppress(UnusableError):
            decode(content[:position] + b"\xff" * 8 + content[position + 8 :], 22_050, 60.0)
