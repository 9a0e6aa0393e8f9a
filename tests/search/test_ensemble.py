"""Ensembles are better than their members, and their CV score is not optimistic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark.evaluation.metrics import METRICS, score
from benchmark.models import stored as storage
from benchmark.models.single_row import for_single_rows
from benchmark.search.ensemble import (
    LEARNERS,
    VOTES,
    Assembly,
    Inner,
    Stacked,
    Weighted,
    nested_predictions,
    select_greedily,
)

EMOTIONS = ("angry", "happy", "sad", "neutral")
ORDER = tuple(sorted(EMOTIONS))


def inner(n_clips: int = 240, metric: str = "uar") -> Inner:
    """Clips of four emotions, of which one is rarer, in five folds."""
    rng = np.random.default_rng(1)
    emotions = rng.choice(EMOTIONS, n_clips, p=[0.3, 0.3, 0.3, 0.1])
    return Inner(
        np.sort(np.arange(n_clips) % 5), emotions, ORDER, metric, np.zeros(n_clips, np.intp)
    )


def noise(count: int, clips: Inner) -> np.ndarray:
    """Random probabilities."""
    rng = np.random.default_rng(0)
    drawn = rng.dirichlet(np.ones(len(ORDER)), size=(count, len(clips.emotions)))
    return drawn.astype(np.float32)


def knowing(clips: Inner, *emotions: str) -> np.ndarray:
    """Probabilities that are confident on clips of some emotions and random elsewhere."""
    truth = np.searchsorted(ORDER, clips.emotions)
    predictions = noise(1, clips)[0] * 0.5
    rows = np.isin(clips.emotions, emotions)
    predictions[rows, truth[rows]] += 1
    return predictions / predictions.sum(axis=1, keepdims=True)


def nested_scores(how: str, library: np.ndarray, clips: Inner) -> list[float]:
    """The metric on each fold of an ensemble learned on the others."""
    predictions = nested_predictions(LEARNERS[how], library, clips)
    parts = [clips.part(clips.fold == fold) for fold in clips.folds]
    return [
        float(part.scores(answer[None])[0, 0])
        for part, answer in zip(parts, predictions, strict=True)
    ]


@pytest.mark.parametrize("metric", METRICS)
def test_candidates_are_scored_fold_by_fold_as_trials_are(metric: str) -> None:
    clips = inner(metric=metric)
    library = noise(3, clips)
    expected = [
        [
            score(
                metric,
                clips.emotions[clips.fold == fold],
                np.array(ORDER)[predictions[clips.fold == fold].argmax(axis=1)],
                ORDER,
            )
            for fold in range(5)
        ]
        for predictions in library
    ]
    assert clips.scores(library) == pytest.approx(np.array(expected), abs=1e-12)


def test_a_greedy_ensemble_selects_complementary_members() -> None:
    clips = inner()
    library = np.stack(
        [*noise(20, clips), knowing(clips, "angry", "happy"), knowing(clips, "sad", "neutral")]
    )
    rule = select_greedily(library, clips)
    assert rule.weights[20] > 0 < rule.weights[21]
    together = clips.mean_scores(rule.combine(library)[None])[0]
    assert together > clips.mean_scores(library).max() + 0.2


def test_a_greedy_ensemble_is_on_its_own_clips_no_worse_than_its_best_member() -> None:
    clips = inner()
    library = noise(40, clips)
    rule = select_greedily(library, clips)
    assert clips.mean_scores(rule.combine(library)[None])[0] >= clips.mean_scores(library).max()
    assert 1 <= rule.weights.sum() <= VOTES


def test_a_member_may_vote_more_than_once() -> None:
    clips = Inner(
        np.array([0, 0]), np.array(["angry", "sad"]), ("angry", "sad"), "accuracy", np.zeros(2, int)
    )
    # Alone each knows one clip; together both, if the first speaks louder.
    first = [[0.60, 0.40], [0.55, 0.45]]
    second = [[0.45, 0.55], [0.44, 0.56]]
    weaker = [[0.30, 0.70], [0.52, 0.48]]
    library = np.array([first, second, weaker], dtype=np.float32)
    rule = select_greedily(library, clips)
    assert rule.weights.tolist() == [1, 1, 0]
    louder = np.array([first, [[0.15, 0.85], [0.25, 0.75]]], dtype=np.float32)
    assert select_greedily(louder, clips).weights.tolist() == [4, 1]


@pytest.mark.parametrize("how", LEARNERS)
def test_an_ensemble_of_random_members_scores_at_chance(how: str) -> None:
    clips = inner(1000)
    library = noise(60, clips)
    own = LEARNERS[how](library, clips).combine(library)
    optimistic = clips.mean_scores(own[None])[0]
    honest = np.mean(nested_scores(how, library, clips))
    assert optimistic > 0.29
    assert honest == pytest.approx(0.25, abs=0.03)  # two standard errors


@pytest.mark.parametrize("how", LEARNERS)
def test_an_ensemble_is_scored_on_a_fold_by_what_it_learns_on_the_others(how: str) -> None:
    clips = inner()
    library = np.stack([*noise(4, clips), knowing(clips, "angry", "happy")])
    here = clips.fold == 2
    rule = LEARNERS[how](library[:, ~here], clips.part(~here))
    alone = clips.part(here).scores(rule.combine(library[:, here])[None])[0, 0]
    assert nested_scores(how, library, clips)[2] == alone
    changed = library.copy()
    changed[:, here] = noise(5, clips)[:, here]
    others = np.delete(nested_scores(how, changed, clips), 2)
    assert (others != np.delete(nested_scores(how, library, clips), 2)).any()
    again = LEARNERS[how](changed[:, ~here], clips.part(~here))
    assert (again.combine(library) == rule.combine(library)).all()


def test_a_stack_corrects_a_member_with_systematic_errors() -> None:
    clips = inner()
    library = np.stack([knowing(clips, *EMOTIONS)[:, [1, 2, 3, 0]], noise(1, clips)[0]])
    assert clips.mean_scores(library[:1])[0] < 0.05
    assert np.mean(nested_scores("stacking", library, clips)) > 0.95


@pytest.fixture(scope="module")
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    emotions = np.array(ORDER)[np.arange(200) % 4]
    values = rng.normal(size=(200, 6)) + (np.arange(200) % 4)[:, None] * rng.normal(size=6) * 0.4
    return values.astype(np.float32), emotions


@pytest.fixture(scope="module")
def members(rows: tuple[np.ndarray, np.ndarray]) -> list[object]:
    kinds = [LogisticRegression(), RandomForestClassifier(10, random_state=0), GaussianNB()]
    return [make_pipeline(StandardScaler(), kind).fit(*rows) for kind in kinds]


NAMES = ("logistic_regression_3", "random_forest_0", "bayes_1")


@pytest.mark.parametrize("how", LEARNERS)
def test_the_assembled_model_predicts_what_was_learned_on_the_folds(
    how: str, rows: tuple[np.ndarray, np.ndarray], members: list[object], tmp_path: Path
) -> None:
    X, emotions = rows
    library = np.stack([member.predict_proba(X) for member in members])
    clips = Inner(np.arange(200) % 5, emotions, ORDER, "uar", np.zeros(200, np.intp))
    rule = LEARNERS[how](library, clips)
    model = assembly(rule).of(members, EMOTIONS)
    assert model.predict_proba(X) == pytest.approx(rule.combine(library), abs=1e-6)
    assert model.classes_.tolist() == list(ORDER)
    assert model.n_features_in_ == 6
    storage.dump(model, tmp_path / "model.skops")
    again = storage.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    fast = for_single_rows(again)
    np.testing.assert_array_equal(fast.predict_proba(X), model.predict_proba(X))


def assembly(rule: Weighted | Stacked) -> Assembly:
    parts = {"final": getattr(rule, "final", None)}
    weights = getattr(rule, "weights", None)
    return Assembly(NAMES, None if weights is None else tuple(weights.tolist()), **parts)
