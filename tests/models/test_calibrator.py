"""Calibrated probabilities move towards the class frequencies with the distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.models.calibrator import Calibrator, TrainingSpace, tempered_at
from benchmark.models.stored import dump, load

EMOTIONS = np.array(["angry", "happy", "sad"])
FREQUENCIES = np.array([0.5, 0.3, 0.2])
SURE = np.array([[0.02, 0.97, 0.01]], dtype=np.float32)


def training_rows(n_rows: int = 600) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Rows of twelve features, the last of them constant, and their emotions."""
    rng = np.random.default_rng(0)
    emotions = EMOTIONS[np.arange(n_rows) % 3]
    rows = rng.normal(size=(n_rows, 12)) + 2 * (np.arange(n_rows) % 3)[:, None]
    rows[:, -1] = 7.0
    return rows.astype(np.float32), emotions


@pytest.fixture
def calibrator() -> Calibrator:
    return Calibrator(TrainingSpace.of(*training_rows()), 2.0, FREQUENCIES, 3.0, 1.5, 0.25)


def test_at_temperature_one_probabilities_stay() -> None:
    found = tempered_at(SURE.astype(float), FREQUENCIES, np.ones(1), 1.0, 2.0)
    assert np.allclose(found, SURE, atol=1e-6)


def test_with_equal_frequencies_it_is_temperature_scaling() -> None:
    even = np.full(3, 1 / 3)
    powers = SURE[0].astype(float) ** (1 / 3.0)
    found = tempered_at(SURE.astype(float), even, np.ones(1), 3.0, 1.0)
    assert np.allclose(found, powers / powers.sum())


def test_far_recordings_have_the_class_frequencies(calibrator: Calibrator) -> None:
    distances = np.array([0.5, 1.0, 2.0, 4.0, 1e4], dtype=np.float32)
    served = calibrator.calibrated(np.repeat(SURE, 5, axis=0), distances)
    gaps = np.abs(served - FREQUENCIES).sum(axis=1)
    assert (np.diff(gaps) < 0).all()
    assert gaps[-1] < 0.01
    assert np.allclose(served.sum(axis=1), 1)


def test_a_distance_shorter_than_any_it_was_fitted_on_makes_no_answer_surer(
    calibrator: Calibrator,
) -> None:
    near, nearest = np.array([0.0, 0.25], dtype=np.float32)
    assert np.array_equal(
        calibrator.calibrated(SURE, np.array([near])),
        calibrator.calibrated(SURE, np.array([nearest])),
    )


def test_a_row_has_the_same_distance_alone_and_among_others(calibrator: Calibrator) -> None:
    rows, _ = training_rows()
    together = calibrator.distances(rows)
    alone = np.concatenate([calibrator.distances(row[None]) for row in rows])
    assert alone.tobytes() == together.tobytes()


def test_moved_rows_are_farther_than_training_rows(calibrator: Calibrator) -> None:
    rows, _ = training_rows()
    assert calibrator.distances(rows + 20).min() > calibrator.distances(rows).max()


def test_a_feature_that_is_constant_in_training_does_not_count(calibrator: Calibrator) -> None:
    rows, _ = training_rows()
    changed = rows.copy()
    changed[:, -1] = 1e6
    assert np.array_equal(calibrator.distances(changed), calibrator.distances(rows))


def test_a_stored_calibrator_gives_the_same_answers(calibrator: Calibrator, tmp_path: Path) -> None:
    rows, _ = training_rows(30)
    digest = dump(calibrator, tmp_path / "one.skops")
    assert dump(calibrator, tmp_path / "two.skops") == digest
    read = load(tmp_path / "one.skops", digest)
    probabilities = np.repeat(SURE, len(rows), axis=0)
    first, second = (
        one.calibrated(probabilities, one.distances(rows)) for one in (calibrator, read)
    )
    assert first.tobytes() == second.tobytes()
