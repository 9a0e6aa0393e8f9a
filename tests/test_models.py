"""Every model of the registry keeps the contract that the search and the vote rely on."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs

from benchmark import models
from benchmark.ensemble import mean_by_fold, soft_vote
from benchmark.errors import BenchmarkError
from benchmark.models import FLOOR, MODELS
from benchmark.study import Model

EMOTIONS = np.array(["angry", "happy", "sad"])
LEARNERS = [name for name in MODELS if name != FLOOR]


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Three emotions that lie apart, in one feature loud and in another faint."""
    X, y = make_blobs(120, n_features=4, centers=3, cluster_std=1.0, random_state=0)
    return (X * [1000, 1, 1, 0.01]).astype(np.float32), EMOTIONS[y]


@pytest.mark.parametrize("name", LEARNERS)
def test_a_model_learns_what_can_be_learned(name: str, blobs: tuple[np.ndarray, ...]) -> None:
    X, y = blobs
    model = models.build(name, {}, 0).fit(X[::2], y[::2])
    assert (model.predict(X[1::2]) == y[1::2]).mean() > 0.9


def test_the_floor_says_the_most_frequent_emotion(blobs: tuple[np.ndarray, ...]) -> None:
    X, _ = blobs
    model = models.build(FLOOR, {}, 0).fit(X[:61], ["sad"] * 31 + ["angry"] * 30)
    assert set(model.predict(X)) == {"sad"}


@pytest.mark.parametrize("name", MODELS)
def test_probabilities_are_in_sorted_order_and_sum_to_one(
    name: str, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = blobs
    model = models.build(name, {}, 0).fit(X, y)
    assert model.classes_.tolist() == sorted(EMOTIONS)
    assert model.predict_proba(X).sum(axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_gives_the_same_model(
    name: str, fast: bool, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = blobs
    fast = fast and models.has_fast_engine(name)
    one, other = (models.build(name, {}, 5, fast=fast).fit(X, y) for _ in range(2))
    assert (one.predict_proba(X) == other.predict_proba(X)).all()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_can_be_cloned(name: str) -> None:
    model = models.build(name, {}, 5)
    assert repr(clone(model)) == repr(model)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_model_refuses_a_wrong_width(name: str, blobs: tuple[np.ndarray, ...]) -> None:
    X, y = blobs
    model = models.build(name, {}, 0).fit(X, y)
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :2])


def test_parameters_reach_the_classifier_and_a_seed_its_random_state() -> None:
    classifier = models.build("random_forest", {"n_estimators": 7}, 11)[-1]
    assert (classifier.n_estimators, classifier.random_state) == (7, 11)


@pytest.mark.parametrize("spec", [{"C": [-1.0]}, {"first": {"C": "much"}}, {"solver": "lbgfs"}])
def test_a_value_that_fit_would_refuse_is_refused_before(spec: dict[str, object]) -> None:
    with pytest.raises(BenchmarkError, match=r"study: \[models.logistic_regression\].*must be"):
        models.check_parameters("logistic_regression", Model.model_validate(spec), "study")


def test_the_soft_vote_answers_with_the_mean_of_its_members(
    blobs: tuple[np.ndarray, ...],
) -> None:
    X, y = blobs
    members = {name: models.build(name, {}, 0).fit(X, y) for name in LEARNERS}
    vote = soft_vote(members, EMOTIONS.tolist(), X.shape[1])
    mean = np.mean([member.predict_proba(X) for member in members.values()], axis=0)
    assert vote.predict_proba(X) == pytest.approx(mean)
    assert vote.predict(X).tolist() == vote.classes_[mean.argmax(axis=1)].tolist()


def test_votes_are_joined_fold_by_fold() -> None:
    one = [np.full((2, 3), 0.2, np.float32), np.full((1, 3), 0.4, np.float32)]
    other = [np.full((2, 3), 0.4, np.float32), np.full((1, 3), 0.0, np.float32)]
    first, second = mean_by_fold([one, other])
    assert first == pytest.approx(np.full((2, 3), 0.3))
    assert second == pytest.approx(np.full((1, 3), 0.2))
