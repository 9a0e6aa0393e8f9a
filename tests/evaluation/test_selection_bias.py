"""The corrected score of a search is that of a choice that the scored fold had no part in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from benchmark.evaluation.selection_bias import corrected, course
from tests.simulations.choices import draw_trials


def slow(scores: NDArray[np.float64]) -> list[float]:
    """The corrected score after each trial, choice by choice."""
    found = []
    for tried in range(1, len(scores) + 1):
        left_out = []
        for fold in range(scores.shape[1]):
            others = np.delete(scores[:tried], fold, axis=1).mean(axis=1)
            left_out.append(scores[int(np.argmax(others)), fold])
        found.append(float(np.mean(left_out)))
    return found


def table(scores: NDArray[np.float64], states: list[str]) -> pd.DataFrame:
    rows = pd.DataFrame(scores, columns=[f"fold_{n}" for n in range(scores.shape[1])])
    return rows.assign(trial=range(len(rows)), state=states)


def test_the_corrected_score_chooses_on_the_other_folds() -> None:
    scores, _ = draw_trials(30, 4, np.random.default_rng(0))
    assert corrected(scores) == pytest.approx(slow(scores))


def test_of_equal_trials_the_first_is_chosen() -> None:
    scores = np.array([[0.5, 0.5, 0.6], [0.5, 0.5, 0.9]])
    assert corrected(scores) == pytest.approx(slow(scores))


def test_the_best_of_one_trial_needs_no_correction() -> None:
    found = course(table(np.array([[0.4, 0.6]]), ["complete"]))
    assert found.to_dict("list") == {"inner": [0.5], "corrected": [0.5]}


def test_trials_that_were_given_up_count_as_tried_and_can_not_be_chosen() -> None:
    scores = np.array([[np.nan, np.nan], [0.4, 0.5], [0.9, np.nan], [0.5, 0.6]])
    found = course(table(scores, ["failed", "complete", "pruned", "complete"]))
    assert list(found.index) == [2, 3, 4]
    assert list(found["inner"]) == pytest.approx([0.45, 0.45, 0.55])
    assert list(found["corrected"]) == pytest.approx([0.45, 0.45, 0.55])


def test_a_fold_that_no_trial_has_does_not_count() -> None:
    scores = np.array([[0.4, 0.5, np.nan], [0.5, 0.3, np.nan]])
    assert course(table(scores, ["complete", "complete"]))["inner"].iloc[-1] == pytest.approx(0.45)


def test_a_search_without_a_complete_trial_has_no_course() -> None:
    assert course(table(np.array([[np.nan, np.nan]]), ["failed"])).empty


def test_the_best_score_flatters_and_the_corrected_one_does_not() -> None:
    rng = np.random.default_rng(0)
    inner, right = [], []
    for _ in range(400):
        scores, truth = draw_trials(50, 5, rng)
        chosen = int(scores.mean(axis=1).argmax())
        inner.append(scores[chosen].mean() - truth[chosen])
        right.append(corrected(scores)[-1] - truth[chosen])
    assert np.mean(inner) > 0.01
    assert abs(np.mean(right)) < 0.003
