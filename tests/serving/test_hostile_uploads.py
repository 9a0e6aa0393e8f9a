"""Some of the hostile uploads of tests/hostile, which sends ten thousand."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from benchmark.features.audio import UnusableError, decode
from benchmark.serving.example_clip import example_wav
from benchmark.serving.timeline import open_recording
from tests.hostile.service import Service, faults, service
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

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

KNOWN = posted("/predict", form(file_part(example_wav())))


@pytest.fixture(scope="module")
def running(finished: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of one worker, as a user starts it."""
    card = finished.project / "features_cache/small/speaker-independent/models/ensemble.json"
    folder = tmp_path_factory.mktemp("service")
    with service(card, folder, "--workers", "1", "--request-seconds", "2") as started:
        yield started


QUICK = [name for name, family in FAMILIES.items() if not family.idle]


@pytest.mark.parametrize("family", QUICK)
def test_a_hostile_upload_is_answered_and_changes_nothing(running: Service, family: str) -> None:
    first = running.exchange(KNOWN).content
    count = 2 + FAMILIES[family].share // 10
    requests = list(uploads(family, count, seed=1))
    answers = running.exchange_all(requests, FAMILIES[family].together)
    wrong = [fault for pair in zip(requests, answers, strict=True) for fault in faults(*pair)]
    assert not wrong
    assert b'"emotion":' in first
    assert running.exchange(KNOWN).content == first


def test_what_was_refused_is_let_go_of_at_once(running: Service) -> None:
    """Errors that held their own frames once kept uploads until they were found to be garbage."""
    large = wav(b"\0\0" * 8 * 2**20, rate_hz=192_000)
    refused = [uploaded(large, allowed=frozenset({422}))] * 16
    before = running.memory_bytes()
    answers = running.exchange_all(refused[:4], 1)
    warm = running.memory_bytes()
    answers += running.exchange_all(refused[4:], 1)
    assert {answer.status for answer in answers} == {422}
    # The last of them may still be on its way through the service as its answer is read.
    after = min(at_rest(running) for _ in range(10))
    assert after - warm < 4 * len(large), before


def at_rest(service: Service) -> int:
    """What a service holds a moment later, in which nothing is asked of it."""
    time.sleep(0.3)
    return service.memory_bytes()


def test_nothing_that_was_uploaded_is_kept_or_told(running: Service) -> None:
    log = running.log.read_text()
    assert not running.left_behind()
    assert "Traceback" not in log
    assert SECRET not in log


def test_many_channels_make_no_more_work_than_two() -> None:
    content = wav(b"\1\1" * 255 * 1_568, channels=255, rate_hz=2)
    with (
        pytest.raises(UnusableError, match="windows in 255 channels"),
        open_recording(content, 3.0, 1.0, longest_s=900.0),
    ):
        pytest.fail("it was opened")


@pytest.mark.parametrize("value", [1e38, -3e38, math.inf, math.nan])
def test_samples_whose_squares_are_no_numbers_are_damaged(value: float) -> None:
    content = wav(np.full(8_000, value, dtype="<f4").tobytes(), tag=3, bits=32)
    with pytest.raises(UnusableError) as refused:
        decode(content, 22_050)
    assert refused.value.fault == "damaged"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_places_before_the_beginning_are_sought_without_a_traceback() -> None:
    _, content = next(file for file in good_files() if file[0] == "AIFF")
    for place in range(4, 100):
        with contextlib.suppress(UnusableError):
            decode(content[:place] + b"\xff" * 8 + content[place + 8 :], 22_050, 60.0)
