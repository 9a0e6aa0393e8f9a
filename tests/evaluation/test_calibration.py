"""Calibration is what scikit-learn says of it, and a temperature mends what it can mend."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from benchmark.evaluation.calibration import calibration, fit_temperature, tempered

Floats = NDArray[np.float64]


def draw(clips: int, seed: int, sharpness: float = 1.5) -> tuple[Floats, NDArray[np.int64]]:
    """Probabilities of five emotions, and truths drawn by exactly these probabilities."""
    rng = np.random.default_rng(seed)
    powers = np.exp(sharpness * rng.normal(size=(clips, 5)))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    below = rng.random(clips)[:, None] > probabilities.cumsum(axis=1)
    return probabilities, np.minimum(below.sum(axis=1), 4)


def test_brier_score_and_log_loss_equal_scikit_learns() -> None:
    probabilities, truth = draw(400, seed=0)
    found = calibration(probabilities, truth)
    labels = range(5)
    expected = brier_score_loss(truth, probabilities, labels=labels, scale_by_half=False)
    assert found.brier == pytest.approx(expected)
    assert found.log_loss == pytest.approx(log_loss(truth, probabilities, labels=labels))


def test_the_reliability_curve_equals_scikit_learns_with_bins_of_equally_many_clips() -> None:
    probabilities, truth = draw(600, seed=1)
    right = probabilities.argmax(axis=1) == truth
    accuracy, confidence = calibration_curve(
        right, probabilities.max(axis=1), n_bins=15, strategy="quantile"
    )
    found = calibration(probabilities, truth)
    assert found.curve["accuracy"].to_numpy() == pytest.approx(accuracy)
    assert found.curve["confidence"].to_numpy() == pytest.approx(confidence)
    assert found.curve["clips"].to_list() == [40] * 15
    assert found.error == pytest.approx(np.abs(accuracy - confidence).mean())


def test_probabilities_that_are_right_err_by_chance_alone() -> None:
    found = [calibration(*draw(300, seed)) for seed in range(60)]
    errors = [one.error for one in found]
    chance = [one.error_by_chance for one in found]
    assert np.mean(errors) == pytest.approx(np.mean(chance), rel=0.06)


def test_a_temperature_undoes_overconfidence() -> None:
    probabilities, truth = draw(4000, seed=2)
    sure = tempered(probabilities, 0.4)
    found = fit_temperature(sure, truth)
    assert found == pytest.approx(1 / 0.4, rel=0.06)
    before, after = calibration(sure, truth), calibration(tempered(sure, found), truth)
    assert before.error > 4 * after.error
    assert after.log_loss < before.log_loss
    assert (tempered(sure, found).argmax(axis=1) == sure.argmax(axis=1)).all()


def test_probabilities_that_are_right_keep_their_temperature() -> None:
    assert fit_temperature(*draw(4000, seed=3)) == pytest.approx(1, rel=0.06)


def test_a_model_that_is_always_equally_sure_has_one_bin() -> None:
    probabilities = np.tile([0.5, 0.3, 0.2], (60, 1))
    truth = np.repeat([0, 1, 2], 20)
    found = calibration(probabilities, truth)
    assert len(found.curve) == 1
    assert found.error == pytest.approx(0.5 - 1 / 3)


def test_few_clips_have_few_bins_and_impossible_truths_a_finite_loss() -> None:
    found = calibration(np.tile([1.0, 0.0], (25, 1)), np.ones(25, dtype=np.int64))
    assert found.error == pytest.approx(1)
    assert np.isfinite(found.log_loss)
