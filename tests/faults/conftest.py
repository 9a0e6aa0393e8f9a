"""Fixtures of the fault tests: a study with long stages, and its uninterrupted run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.stages import FULL_STUDY, Watched
from tests.support.bench import Bench, make_bench


@pytest.fixture
def full(tones: Path, tmp_path: Path) -> Bench:
    """The full study and an empty project."""
    return make_bench(tmp_path / "broken", tones, FULL_STUDY)


@pytest.fixture(scope="session")
def unbroken(
    tones: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Bench, dict[str, float]]:
    """The full study, run once without interruption, and the seconds of each stage."""
    bench = make_bench(tmp_path_factory.mktemp("unbroken") / "whole", tones, FULL_STUDY)
    with Watched(bench) as study:
        seconds = study.watch()
        assert study.process.wait() == 0, study.errors()
    return bench, seconds
