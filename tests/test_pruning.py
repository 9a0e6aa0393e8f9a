"""A trial is given up when it has hardly a chance, and seldom one that would have won."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.models.watched import WatchedMLP
from benchmark.pruning import CHANCE, Rival, rival, thresholds

FOLDS = 5


def test_a_rung_asks_for_the_best_third_of_the_folds_that_reached_it() -> None:
    told = [[{4: 0.5, 12: 0.6}], [{4: 0.3}], [{4: 0.9, 12: 0.4}], [{4: 0.7, 12: 0.5}]]
    assert thresholds(told, 0) == {4: 0.7, 12: 0.5}
    assert thresholds(told[:2], 0) == {}
    assert thresholds(told, 1) == {}


def test_the_rival_is_the_best_and_there_is_none_before_differences_are_known() -> None:
    told = [(0.5, 0.6), (0.7, 0.8), (0.6, 0.65)]
    assert rival(told[:2]) is None
    found = rival(told)
    assert found is not None
    assert found.scores == (0.7, 0.8)
    # The leads over it are (-0.2, -0.2) and (-0.1, -0.15): variances 0 and 0.00125.
    assert found.spread == pytest.approx(np.sqrt(0.00125 / 2))


def test_a_trial_far_behind_is_beaten_at_once_and_a_near_one_late_or_never() -> None:
    best = Rival((0.7, 0.6, 0.8, 0.5, 0.6), spread=0.02)
    assert best.beats((0.6,))
    assert not best.beats((0.69,))
    assert not best.beats((0.69, 0.59, 0.79))
    assert best.beats((0.69, 0.59, 0.79, 0.49))
    assert not best.beats((0.1, 0.1, 0.1, 0.1, 0.1))  # it is whole: there is nothing to save
    assert not best.beats(())


@pytest.mark.parametrize("behind", [0.0, 0.01, 0.03])
def test_what_is_given_up_would_have_won_as_seldom_as_is_said(behind: float) -> None:
    """Simulated: leads are drawn on all folds, and it is seen who would have won."""
    rng = np.random.default_rng(0)
    best = Rival((0.5,) * FOLDS, spread=0.02)
    lost = won = 0
    for leads in rng.normal(-behind, 0.02, (4000, FOLDS)):
        scores = tuple(0.5 + leads)
        beaten = any(best.beats(scores[:k]) for k in range(1, FOLDS))
        lost += beaten
        won += beaten and float(leads.mean()) > 0
    # Four looks at up to one in twenty each, and a lead that is known to vary.
    assert won / 4000 < 2 * CHANCE
    assert lost / 4000 > 0.25


def blobs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    emotion = np.arange(300) % 3
    return rng.normal(size=(300, 6)) + emotion[:, None], np.array(["a", "b", "c"])[emotion]


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_watched_mlp_is_scikit_learns_to_the_last_bit(solver: str) -> None:
    from sklearn.neural_network import MLPClassifier

    values, emotions = blobs()
    settings = {"hidden_layer_sizes": [8], "solver": solver, "max_iter": 30, "random_state": 3}
    plain = MLPClassifier(**settings).fit(values[:200], emotions[:200])
    watched = WatchedMLP(**settings).fit(
        values[:200], emotions[:200], watch=(values[200:], emotions[200:]), thresholds={4: 0.01}
    )
    assert (plain.predict_proba(values) == watched.predict_proba(values)).all()
    assert not watched.cut_
    assert len(watched.history_) == {"adam": 30, "sgd": 30, "lbfgs": 0}[solver]


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_a_watched_mlp_ends_at_the_epoch_at_which_it_falls_behind(solver: str) -> None:
    values, emotions = blobs()
    watched = WatchedMLP([8], solver=solver, random_state=3).fit(
        values[:200], emotions[:200], watch=(values[200:], emotions[200:]), thresholds={4: 1.01}
    )
    assert watched.cut_
    assert watched.n_iter_ == len(watched.history_) == 4
