"""Every model of the registry keeps the contract of the search and of ensembles."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline

from benchmark.errors import BenchmarkError
from benchmark.models import ENGINES, MODELS, FitContext, is_installed
from benchmark.models import stored as storage
from benchmark.models.cholesky_lda import CholeskyLDA
from benchmark.models.gender_first import GenderFirst
from benchmark.search.ensemble import mean_by_fold, soft_vote
from benchmark.study import BASELINE, ModelSettings
from tests.support.bench import needing_extras

EMOTIONS = np.array(["angry", "happy", "sad"])
ALL = needing_extras(MODELS)
LEARNERS = needing_extras(name for name in MODELS if name != BASELINE)
ENGINES_OR_NONE = [None, *(name for name in ENGINES if is_installed(name))]
NETWORKS = needing_extras(name for name in MODELS if MODELS[name].by_epochs)


SMALL = {
    "conv1d": {"filters": (16, 8, 16)},
    "conv1d_pairs": {"filters": (8, 16), "dropouts": (0.1, 0.1), "dense": 16},
    "cnn_2d": {"filters": (8, 8), "kernel_sizes": (5, 3), "learning_rate": 5e-3},
    "cnn_1d": {"filters": (16, 16)},
    "cnn_lstm": {"filters": (16,), "hidden": 16, "learning_rate": 1e-2},
}
"""Sizes with which a network learns in a second."""


def fit(name: str, X: np.ndarray, y: np.ndarray, seed: int = 0, **how: object) -> object:
    """A model fitted with the context that a study gives."""
    rows = np.arange(len(X))
    genders = np.where(rows % 2, "female", "male")
    context = FitContext(rows % 3, genders, np.zeros(len(X), bool), {})
    model = MODELS[name]
    return model.fit(model.build(SMALL.get(name, {}), seed, **how), X, y, context)


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """Three emotions that lie apart, in one feature loud and in another faint."""
    X, y = make_blobs(120, n_features=4, centers=3, cluster_std=1.0, random_state=0)
    return (X * [30, 1, 1, 0.5]).astype(np.float32), EMOTIONS[y]


@pytest.mark.parametrize("name", LEARNERS)
def test_a_model_learns_what_can_be_learned(name: str, blobs: tuple[np.ndarray, ...]) -> None:
    X, y = blobs
    model = fit(name, X[::2], y[::2])
    assert (model.predict(X[1::2]) == y[1::2]).mean() > 0.9


def test_the_baseline_predicts_the_most_frequent_emotion(blobs: tuple[np.ndarray, ...]) -> None:
    X, _ = blobs
    model = MODELS[BASELINE].build({}, 0).fit(X[:61], ["sad"] * 31 + ["angry"] * 30)
    assert set(model.predict(X)) == {"sad"}


@pytest.mark.parametrize("name", ALL)
def test_probabilities_are_in_sorted_order_and_sum_to_one(
    name: str, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = blobs
    model = fit(name, X, y)
    assert model.classes_.tolist() == sorted(EMOTIONS)
    assert model.predict_proba(X).sum(axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("engine", ENGINES_OR_NONE)
@pytest.mark.parametrize("name", ALL)
def test_the_same_seed_gives_the_same_model(
    name: str, engine: str | None, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = blobs
    one, other = (fit(name, X, y, 5, engine=engine) for _ in range(2))
    answers = [getattr(model, "predict_proba", model.predict)(X) for model in (one, other)]
    assert (answers[0] == answers[1]).all()


@pytest.mark.parametrize("name", ALL)
def test_a_model_can_be_cloned(name: str) -> None:
    model = MODELS[name].build({}, 5)
    assert repr(clone(model)) == repr(model)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_model_refuses_a_wrong_width(name: str, blobs: tuple[np.ndarray, ...]) -> None:
    X, y = blobs
    model = fit(name, X, y)
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :2])


@pytest.mark.parametrize("name", LEARNERS)
def test_a_model_refuses_nan(name: str, blobs: tuple[np.ndarray, ...]) -> None:
    X, y = blobs
    holed = X.copy()
    holed[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fit(name, X, y).predict(holed)


@pytest.mark.parametrize("name", ALL)
def test_a_stored_model_gives_the_same_probabilities(
    name: str, tmp_path: Path, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = blobs
    model = fit(name, X, y)
    digest = storage.dump(model, tmp_path / "model.skops")
    again = storage.load(tmp_path / "model.skops", digest)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_stored_vote_with_a_network_gives_the_same_probabilities(
    name: str, tmp_path: Path, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = blobs
    members = {member: fit(member, X, y) for member in ("logistic_regression", name)}
    vote = soft_vote(members, EMOTIONS.tolist(), X.shape[1])
    storage.dump(vote, tmp_path / "vote.skops")
    again = storage.load(tmp_path / "vote.skops")
    np.testing.assert_array_equal(again.predict_proba(X), vote.predict_proba(X))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_stored_network_holds_settings_and_safetensors_and_nothing_else(
    name: str, tmp_path: Path, blobs: tuple[np.ndarray, ...]
) -> None:
    from safetensors.numpy import load

    network = fit(name, *blobs)[-1]
    state = network.__getstate__()
    assert "module_" not in state
    assert load(state["weights_"])["0.mean"].shape == (4,)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_reads_features_over_time(name: str) -> None:
    rng = np.random.default_rng(0)
    y = EMOTIONS[np.arange(90) % 3]
    X = rng.normal(size=(90, 20, 6)).astype(np.float32)
    X[y == "sad", :, 2] += 3
    X[y == "angry", :, 4] += 3
    rows = X.reshape(90, -1)
    model = fit(name, rows[::2], y[::2], shape=(20, 6))
    assert (model.predict(rows[1::2]) == y[1::2]).mean() > 0.8
    with pytest.raises(ValueError, match="features"):
        fit(name, rows[:, :-1], y, shape=(20, 6))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_keeps_the_epoch_that_was_best_on_the_validation_rows(
    name: str, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = blobs
    stop = np.arange(len(X)) < 40
    network = MODELS[name].build({**SMALL[name], "max_epochs": 12, "patience": 4}, 0)[-1]
    network.fit(X, y, validation=stop)
    uar = balanced_accuracy_score(y[stop], network.predict(X[stop]))
    assert network.history_[network.n_epochs_ - 1] == max(network.history_) == uar
    assert len(network.history_) <= network.n_epochs_ + 4


@pytest.mark.parametrize("name", NETWORKS)
def test_models_are_not_fitted_on_validation_rows(name: str, blobs: tuple[np.ndarray, ...]) -> None:
    X, y = blobs
    stop = np.arange(len(X)) < 40
    changed = np.where(stop[:, None], X + 100, X)
    one, other = (
        MODELS[name].build({**SMALL[name], "max_epochs": 1}, 0)[-1].fit(rows, y, validation=stop)
        for rows in (X, changed)
    )
    assert (one.predict_proba(X) == other.predict_proba(X)).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_smoothed_labels_make_a_network_less_confident(
    name: str, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = blobs
    settings = {**SMALL[name], "max_epochs": 12}
    plain, smoothed, unsmoothed = (
        MODELS[name].build({**settings, **more}, 0)[-1].fit(X, y).predict_proba(X)
        for more in ({}, {"label_smoothing": 0.4}, {"label_smoothing": 0.0})
    )
    assert smoothed.max(axis=1).mean() < plain.max(axis=1).mean()
    assert (unsmoothed == plain).all()


def test_a_network_below_a_threshold_is_pruned(blobs: tuple[np.ndarray, ...]) -> None:
    pytest.importorskip("torch", reason="needs the extra `deep`")
    X, y = blobs
    stop = np.arange(len(X)) < 40
    network = MODELS["cnn_1d"].build({"max_epochs": 12, "learning_rate": 1e-9}, 0)[-1]
    network.fit(X, y, validation=stop, thresholds={2: 0.99})
    assert (network.pruned_, len(network.history_)) == (True, 2)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_gpu_learns_what_a_cpu_learns_but_for_rounding(
    name: str, blobs: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    from benchmark.models import networks

    X, y = blobs
    settings = {**SMALL[name], "max_epochs": 2}
    on_gpu = MODELS[name].build(settings, 0)[-1].fit(X, y).predict_proba(X)
    monkeypatch.setattr(networks, "device", lambda: "cpu")
    on_cpu = MODELS[name].build(settings, 0)[-1].fit(X, y).predict_proba(X)
    assert on_gpu == pytest.approx(on_cpu, abs=1e-3)


SELECTING = [name for name in MODELS if MODELS[name].selects_features]


def spread(blobs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The blobs with sixteen features of noise beside theirs."""
    X, y = blobs
    noise = np.random.default_rng(0).normal(size=(len(X), 16))
    return np.column_stack([noise[:, :8], X, noise[:, 8:]]).astype(np.float32), y


@pytest.mark.parametrize("engine", ENGINES_OR_NONE)
@pytest.mark.parametrize("name", SELECTING)
def test_a_model_keeps_the_features_that_tell_emotions_apart(
    name: str, engine: str | None, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = spread(blobs)
    model = MODELS[name].build({"select": 4}, 0, engine=engine)
    model.fit(X[::2], y[::2])
    assert np.flatnonzero(model["select"].get_support()).tolist() == [8, 9, 10, 11]
    changed = np.where(model["select"].get_support(), X, X + 100).astype(np.float32)
    assert (model.predict(changed) == model.predict(X)).all()
    assert (model.predict(X[1::2]) == y[1::2]).mean() > 0.9


@pytest.mark.parametrize("name", SELECTING)
def test_a_model_keeps_all_of_fewer_features(name: str, blobs: tuple[np.ndarray, ...]) -> None:
    X, y = blobs
    with pytest.warns(UserWarning, match="greater than n_features"):
        model = MODELS[name].build({"select": 500}, 0).fit(X, y)
    assert model["select"].get_support().all()


def test_the_feature_selection_is_stored_with_the_classifier(
    tmp_path: Path, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = spread(blobs)
    model = MODELS["lda"].build({"select": 6}, 0).fit(X, y)
    storage.dump(model, tmp_path / "model.skops")
    again = storage.load(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    ("name", "spec", "words"),
    [
        ("svc", {"select": [-1, 10]}, "'select' parameter must be"),
        ("svc", {"select": "many"}, "'select' parameter must be"),
        ("majority", {"select": 10}, "unknown parameter 'select'"),
    ],
)
def test_the_feature_selection_is_validated_like_the_classifier(
    name: str, spec: dict[str, object], words: str
) -> None:
    problems = MODELS[name].problems(ModelSettings.model_validate(spec))
    assert re.search(words, "\n".join(problems))


def test_an_lda_of_more_features_than_rows_decides_as_one_of_the_features_themselves() -> None:
    rng = np.random.default_rng(0)
    y = EMOTIONS[np.arange(45) % 3]
    X = rng.normal(size=(45, 100)) + (np.arange(45) % 3)[:, None] * rng.normal(size=100) * 0.2
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    model = MODELS["lda"].build({"shrinkage": 0.3}, 0).fit(X, y)
    # What is added to each variance is their mean, over 45 numbers here and over 100 there.
    odds = 0.3 / (1 - 0.3) * 100 / 45
    direct = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=odds / (1 + odds)).fit(scaled, y)
    ours, theirs = (
        decided - decided.mean(axis=1, keepdims=True)
        for decided in (model.decision_function(X), direct.decision_function(scaled))
    )
    assert (1 - 0.3) * ours == pytest.approx(theirs / (1 + odds), rel=1e-6, abs=1e-9)


def test_settings_that_ask_for_more_than_the_file_holds_cost_no_memory(
    tmp_path: Path, blobs: tuple[np.ndarray, ...]
) -> None:
    pytest.importorskip("torch", reason="needs the extra `deep`")
    model = fit("conv1d_pairs", *blobs)
    model[-1].dense = 10**12  # four terabytes of weights
    storage.dump(model, tmp_path / "crafted.skops")
    with pytest.raises(BenchmarkError, match="the weights don't fit the network"):
        storage.load(tmp_path / "crafted.skops")


def test_learning_leaves_the_random_numbers_of_others_alone(
    blobs: tuple[np.ndarray, ...],
) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra `deep`")
    before = torch.random.get_rng_state()
    fit("cnn_1d", *blobs)
    assert (torch.random.get_rng_state() == before).all()


@pytest.mark.parametrize("shape", [(60, 12), (60, 200)], ids=["few features", "many features"])
@pytest.mark.parametrize("emotions", [2, 4])
@pytest.mark.parametrize("shrinkage", [0.05, 0.5, 1.0, 1, 0.0, "auto", None])
def test_the_lda_of_the_search_is_that_of_scikit_learn(
    shrinkage: float | str | None, emotions: int, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    if shrinkage in (0.0, None) and shape[1] > shape[0]:
        pytest.skip("a covariance of more features than rows has no inverse unless it is shrunk")
    y = np.array([f"e{row % emotions}" for row in range(shape[0])])
    X = (
        rng.normal(size=shape)
        + rng.normal(size=(emotions, shape[1]))[np.arange(shape[0]) % emotions]
    )
    settings = {"solver": "eigen", "shrinkage": shrinkage}
    plain = make_pipeline(PCA(svd_solver="full"), LinearDiscriminantAnalysis(**settings)).fit(X, y)
    fast = CholeskyLDA(**settings).fit(X, y)
    rows = rng.normal(size=(20, shape[1]))
    np.testing.assert_allclose(
        fast.decision_function(rows), plain.decision_function(rows), rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(fast.predict_proba(rows), plain.predict_proba(rows), atol=1e-6)
    assert (fast.predict(rows) == plain.predict(rows)).all()


def test_gender_first_uses_the_classifier_of_the_recognised_gender(
    blobs: tuple[np.ndarray, ...],
) -> None:
    X, y = blobs
    genders = np.where(np.arange(len(X)) % 2, "female", "male")
    X = np.column_stack([X, np.where(genders == "male", 5.0, -5.0)])
    flipped = np.where(genders == "male", y, EMOTIONS[(np.searchsorted(EMOTIONS, y) + 1) % 3])
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    flat = LogisticRegression().fit(scaled, flipped)
    first = GenderFirst(LogisticRegression()).fit(scaled, flipped, genders)
    assert flat.score(scaled, flipped) < 0.8
    assert first.score(scaled, flipped) > 0.97
    assert first.predict_proba(scaled).sum(axis=1) == pytest.approx(1.0)


def test_a_gender_with_one_emotion_is_fitted_on_all_clips(
    blobs: tuple[np.ndarray, ...],
) -> None:
    X, y = blobs
    genders = np.where(y == "sad", "male", "female")
    genders[np.flatnonzero(y == "sad")[:3]] = "female"
    first = GenderFirst(LogisticRegression(max_iter=500)).fit(X, y, genders)
    assert [part.classes_.tolist() for part in first.emotion_] == [sorted(EMOTIONS)] * 2


@pytest.mark.parametrize("genders", [None, np.full(120, "unknown"), np.full(120, "male")])
def test_gender_first_is_the_plain_model_without_two_known_genders(
    genders: np.ndarray | None, blobs: tuple[np.ndarray, ...]
) -> None:
    X, y = blobs
    flat = LogisticRegression(max_iter=500).fit(X, y)
    first = GenderFirst(LogisticRegression(max_iter=500)).fit(X, y, genders)
    assert first.predict_proba(X) == pytest.approx(flat.predict_proba(X))


def test_an_emotion_that_one_gender_lacks_has_no_probability_there(
    blobs: tuple[np.ndarray, ...],
) -> None:
    X, y = blobs
    genders = np.where(y == "sad", "female", np.where(np.arange(120) % 2, "female", "male"))
    first = GenderFirst(LogisticRegression(max_iter=500)).fit(X, y, genders)
    assert first.emotion_[1].classes_.tolist() == ["angry", "happy"]
    assert first.predict_proba(X).shape == (120, 3)


def test_the_winning_svm_is_calibrated_on_the_folds_of_the_study(
    blobs: tuple[np.ndarray, ...],
) -> None:
    fitted = fit("svc", *blobs)[-1]
    assert fitted.cv.get_n_splits() == 3
    assert not hasattr(MODELS["svc"].build({}, 0, engine="scikit-learn")[-1], "predict_proba")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"filters": [[8, 0]], "dropouts": [[0.1, 0.2]]}, "whole numbers from 1 on"),
        ({"filters": [[8, 8]]}, "as long as 'filters'"),
        ({"filters": [["a", "b", "c"]]}, "whole numbers from 1 on"),
        ({"filters": [[]], "dropouts": [[]]}, "as long as 'filters'"),
        ({"dropouts": [[0.1, 0.2, 1.0]]}, "fractions from 0 to below 1"),
        ({"batch_size": 1}, "'batch_size' parameter must be"),
        ({"label_smoothing": [0.1, 1.0]}, "'label_smoothing' parameter must be"),
    ],
)
def test_parameters_out_of_range_of_a_network_are_refused(
    spec: dict[str, object], words: str
) -> None:
    pytest.importorskip("torch", reason="needs the extra `deep`")
    problems = MODELS["conv1d_pairs"].problems(ModelSettings.model_validate(spec))
    assert re.search(words, "\n".join(problems))


def test_parameters_reach_the_classifier_and_a_seed_its_random_state() -> None:
    classifier = MODELS["random_forest"].build({"n_estimators": 7}, 11)[-1]
    assert (classifier.n_estimators, classifier.random_state) == (7, 11)


@pytest.mark.parametrize("spec", [{"C": [-1.0]}, {"initial": {"C": "much"}}, {"solver": "lbgfs"}])
def test_a_value_that_fit_would_refuse_is_refused_before(spec: dict[str, object]) -> None:
    problems = MODELS["logistic_regression"].problems(ModelSettings.model_validate(spec))
    assert re.search(r"^\[models.logistic_regression\].*must be", "\n".join(problems))


def test_soft_voting_averages_the_probabilities_of_its_members(
    blobs: tuple[np.ndarray, ...],
) -> None:
    X, y = blobs
    members = {name: fit(name, X, y) for name in ("logistic_regression", "random_forest", "svc")}
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


@pytest.mark.parametrize(
    ("name", "params", "deterministic"),
    [
        ("knn", {}, True),
        ("lda", {}, True),
        ("svc", {}, True),
        ("ridge", {}, True),
        ("ridge", {"solver": "sag"}, False),
        ("logistic_regression", {}, True),
        ("logistic_regression", {"solver": "saga"}, False),
        ("gender_first_logistic_regression", {}, True),
        ("mlp", {}, False),
        ("random_forest", {}, False),
    ],
)
def test_an_entry_says_whether_its_seed_matters(
    name: str, params: dict[str, object], deterministic: bool
) -> None:
    step = MODELS[name].build(params, 0)[-1]
    classifier = step.get_params(deep=False).get("estimator", step)
    assert MODELS[name].is_deterministic(classifier) == deterministic


def test_parameters_that_decide_nothing_of_knn_cannot_be_set() -> None:
    problems = MODELS["knn"].problems(ModelSettings.model_validate({"algorithm": "brute"}))
    assert re.search("unknown parameter 'algorithm'", "\n".join(problems))
