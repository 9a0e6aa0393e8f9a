"""Where the truth is known, intervals hold it as often as they say, and tests err as rarely."""

from __future__ import annotations

import numpy as np
from scipy import stats

from benchmark.evaluation.significance import ALPHA, holm
from tests.simulations.coverage import SETTINGS, coverage


def test_an_interval_over_24_speakers_holds_the_truth_as_often_as_it_says() -> None:
    ours, _ = coverage(SETTINGS["24 speakers of 56 clips"], datasets=500, seed=1)
    assert 0.93 <= ours <= 0.97


def test_eight_speakers_are_enough_for_our_interval_and_not_for_percentiles() -> None:
    ours, percentile = coverage(SETTINGS["8 speakers of 56 clips"], datasets=500, seed=1)
    assert 0.93 <= ours <= 0.97
    assert percentile < 0.91


def test_of_several_equal_models_any_is_significantly_different_in_one_run_of_twenty() -> None:
    rng = np.random.default_rng(0)
    chosen, others = rng.normal(size=(120, 1)), rng.normal(size=(120, 5))
    ps = 2 * stats.norm.sf(np.abs(chosen - others) / np.sqrt(2))
    any_plain = (ps < ALPHA).any(axis=1).mean()
    any_corrected = np.mean([min(holm(row)) < ALPHA for row in ps.tolist()])
    assert any_plain > 0.12
    assert any_corrected <= 0.08
