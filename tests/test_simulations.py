"""Where the truth is known, intervals hold it as often as they say, and tests err as rarely."""

from __future__ import annotations

from tests.simulations.coverage import SETTINGS, coverage


def test_an_interval_over_24_speakers_holds_the_truth_as_often_as_it_says() -> None:
    ours, _ = coverage(SETTINGS["24 speakers of 56 clips"], datasets=500, seed=1)
    assert 0.93 <= ours <= 0.97


def test_eight_speakers_are_enough_for_our_interval_and_not_for_percentiles() -> None:
    ours, percentile = coverage(SETTINGS["8 speakers of 56 clips"], datasets=500, seed=1)
    assert 0.93 <= ours <= 0.97
    assert percentile < 0.91
