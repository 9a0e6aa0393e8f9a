"""Some of the hostile uploads of tests/hostile, which sends ten thousand."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")
pytest.importorskip("gradio", reason="needs the extra `serve`")

from benchmark.serving.sample import sample
from tests.conftest import Bench
from tests.hostile.service import Service, faults, service
from tests.hostile.uploads import (
    FAMILIES,
    SECRET,
    file_part,
    form,
    posted,
    uploaded,
    uploads,
    wav,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

KNOWN = posted("/predict", form(file_part(sample())))


@pytest.fixture(scope="module")
def running(finished: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of one worker, as a user starts it."""
    card = finished.project / "features_cache/small/speaker/models/ensemble.json"
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
    assert running.memory_bytes() - warm < 4 * len(large), before


def test_nothing_that_was_uploaded_is_kept_or_told(running: Service) -> None:
    log = running.log.read_text()
    assert not running.left_behind()
    assert "Traceback" not in log
    assert SECRET not in log
