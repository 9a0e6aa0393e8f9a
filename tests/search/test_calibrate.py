"""A calibrator is fitted on clips of speakers and corpora that the model did not learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.engine.arrays import TrainingArrays
from benchmark.evaluation.calibration import calibration
from benchmark.models import MODELS
from benchmark.search.calibrate import WITHIN, fit_calibrator, measure_geometry
from benchmark.search.fitting import fit_fold, fit_rows, fit_without_corpus

EMOTIONS = np.array(["angry", "happy", "sad"])
N_FEATURES = 20


def corpus_rows(number: int, n_rows: int) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Clips of one corpus: emotions are told by its own mixture of common and own directions."""
    rng = np.random.default_rng(number)
    common = np.random.default_rng(100).normal(size=(3, N_FEATURES))
    own = rng.normal(size=(3, N_FEATURES))
    place = np.arange(n_rows) % 3
    room = 1.5 * rng.normal(size=N_FEATURES)
    rows = 0.3 * common[place] + 0.8 * own[place] + rng.normal(size=(n_rows, N_FEATURES)) + room
    return rows.astype(np.float32), EMOTIONS[place]


def arrays_of(corpora: Sequence[int], n_rows: int = 240) -> TrainingArrays:
    """Training arrays of some corpora, with three inner folds."""
    parts = [corpus_rows(number, n_rows) for number in corpora]
    total = n_rows * len(corpora)
    return TrainingArrays(
        values=np.concatenate([rows for rows, _ in parts]),
        emotions=np.concatenate([emotions for _, emotions in parts]),
        fold=np.arange(total) // 3 % 3,
        originals=np.ones(total, dtype=np.bool_),
        genders=np.full(total, "unknown"),
        corpora=np.repeat(np.arange(len(corpora)), n_rows),
        clips=np.arange(total),
        frames=np.array((), dtype=np.intp),
        block_names=np.array((), dtype=np.str_),
        block_widths=np.array((), dtype=np.intp),
        apart=np.empty((total, 0), dtype=np.intp),
    )


def test_on_a_corpus_left_out_calibrated_probabilities_have_a_smaller_error() -> None:
    arrays, model = arrays_of([1, 2, 3]), MODELS["lda"]
    params = {"shrinkage": 0.1}
    geometry = measure_geometry(arrays, leave_out=True)
    of_speakers = [fit_fold(arrays, model, params, 0, fold).probabilities for fold in range(3)]
    of_corpora = [
        fit_without_corpus(arrays, model, params, 0, corpus) for corpus in geometry.left_out
    ]
    calibrator = fit_calibrator(geometry, np.concatenate(of_speakers), np.concatenate(of_corpora))
    rows, emotions = corpus_rows(4, 300)
    fitted = fit_rows(arrays, model, params, 0, np.ones(len(arrays.fold), dtype=np.bool_))
    own = fitted.predict_proba(rows).astype(np.float32)
    distances = calibrator.distances(rows)
    served = calibrator.calibrated(own, distances)
    truth = np.searchsorted(EMOTIONS, emotions)
    before, after = (calibration(one.astype(float), truth).error for one in (own, served))
    assert after < 0.5 * before
    assert (distances > 1).mean() > 0.5


def test_the_limit_is_kept_by_the_stated_fraction_of_held_out_clips() -> None:
    arrays = arrays_of([1])
    geometry = measure_geometry(arrays, leave_out=True)
    even = np.full((len(arrays.fold), 3), 1 / 3, dtype=np.float32)
    calibrator = fit_calibrator(geometry, even, None)
    within = geometry.speakers.distances <= np.float32(calibrator.limit)
    assert within.mean() == pytest.approx(WITHIN, abs=0.01)


def test_a_single_corpus_is_not_left_out_and_probabilities_still_move_with_the_distance() -> None:
    geometry = measure_geometry(arrays_of([1]), leave_out=True)
    assert geometry.left_out == ()
    assert geometry.corpora is None
    sure = np.eye(3, dtype=np.float32)[geometry.speakers.truth]
    assert fit_calibrator(geometry, sure, None).growth >= 0.5


def test_a_corpus_that_alone_has_an_emotion_is_not_left_out() -> None:
    arrays = arrays_of([1, 2])
    arrays.emotions[(arrays.corpora == 1) & (arrays.emotions == "sad")] = "happy"
    assert arrays.left_out_corpora == [1]


def test_small_and_large_corpora_have_the_same_weight() -> None:
    arrays = arrays_of([1, 2])
    few = arrays.fold.copy()
    few[(arrays.corpora == 1) & (np.arange(len(few)) % 5 > 0)] = -1
    geometry = measure_geometry(TrainingArrays(**(vars(arrays) | {"fold": few})), leave_out=False)
    weights = np.bincount(geometry.speakers.corpora, geometry.speakers.weights)
    assert weights == pytest.approx([0.5, 0.5])
