"""A trial is pruned if it has hardly a chance, seldom one that would have been the best."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.search.pruning import CHANCE, Rival, rival, thresholds

FOLDS = 5


def test_a_rung_requires_the_best_third_of_the_folds_that_reached_it() -> None:
    completed = [[{4: 0.5, 12: 0.6}], [{4: 0.3}], [{4: 0.9, 12: 0.4}], [{4: 0.7, 12: 0.5}]]
    assert thresholds(completed, 0) == {4: 0.7, 12: 0.5}
    assert thresholds(completed[:2], 0) == {}
    assert thresholds(completed, 1) == {}


def test_the_rival_is_the_best_and_there_is_none_before_differences_are_known() -> None:
    completed = [(0.5, 0.6), (0.7, 0.8), (0.6, 0.65)]
    assert rival(completed[:2]) is None
    found = rival(completed)
    assert found is not None
    assert found.scores == (0.7, 0.8)
    # The leads over it are (-0.2, -0.2) and (-0.1, -0.15): variances 0 and 0.00125.
    assert found.std == pytest.approx(np.sqrt(0.00125 / 2))


def test_a_trial_far_behind_is_beaten_at_once_and_a_near_one_late_or_never() -> None:
    best = Rival((0.7, 0.6, 0.8, 0.5, 0.6), std=0.02)
    assert best.beats((0.6,))
    assert not best.beats((0.69,))
    assert not best.beats((0.71, 0.58))
    assert not best.beats((0.695, 0.595, 0.795))
    assert best.beats((0.695, 0.595, 0.795, 0.495))
    assert not best.beats((0.1, 0.1, 0.1, 0.1, 0.1))  # complete: no fold is left to skip
    assert not best.beats(())


@pytest.mark.parametrize("behind", [0.0, 0.01, 0.03])
def test_no_more_pruned_trials_would_have_won_than_the_chance_allows(behind: float) -> None:
    """Simulated leads on all folds show which pruned trials would have won."""
    rng = np.random.default_rng(0)
    best = Rival((0.5,) * FOLDS, std=0.02)
    lost = won = 0
    for leads in rng.normal(-behind, 0.02, (4000, FOLDS)):
        scores = tuple(0.5 + leads)
        beaten = any(best.beats(scores[:k]) for k in range(1, FOLDS))
        lost += beaten
        won += beaten and float(leads.mean()) > 0
    assert lost > 4000 * 0.4
    assert won < 1.2 * CHANCE * lost  # four looks, each at its chance
