"""Fitted models as files."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from benchmark.errors import BenchmarkError
from benchmark.models import stored as storage

MODELS = {
    "majority": DummyClassifier(),
    "logistic_regression": LogisticRegression(),
    "saga": LogisticRegression(solver="saga", max_iter=3),
    "random_forest": RandomForestClassifier(20, random_state=0),
    "entropy": RandomForestClassifier(20, criterion="entropy", max_depth=3, random_state=0),
    "adam": MLPClassifier((8,), max_iter=3, random_state=0),
    "early_stopping": MLPClassifier((8,), max_iter=3, early_stopping=True, random_state=0),
    "sgd": MLPClassifier((8, 4), solver="sgd", max_iter=3, random_state=0),
    "lbfgs": MLPClassifier((8,), solver="lbfgs", max_iter=3, random_state=0),
}
rng = np.random.default_rng(0)
ROWS = rng.normal(size=(120, 6)).astype("float32")
EMOTIONS = np.array(["angry", "happy", "sad"])[rng.integers(0, 3, 120)]

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fitted(name: str) -> Any:
    return make_pipeline(StandardScaler(), MODELS[name]).fit(ROWS, EMOTIONS)


@pytest.mark.parametrize("name", MODELS)
def test_a_stored_model_gives_the_same_probabilities(name: str, tmp_path: Path) -> None:
    model = fitted(name)
    digest = storage.dump(model, tmp_path / "model.skops")
    again = storage.load(tmp_path / "model.skops", digest)
    np.testing.assert_array_equal(again.predict_proba(ROWS), model.predict_proba(ROWS))


def test_a_stored_vote_gives_the_same_probabilities_and_holds_each_member_once(
    tmp_path: Path,
) -> None:
    members = [(name, FrozenEstimator(fitted(name))) for name in MODELS]
    vote = VotingClassifier(members, voting="soft").fit(ROWS, EMOTIONS)
    storage.dump(vote, tmp_path / "vote.skops")
    again = storage.load(tmp_path / "vote.skops")
    np.testing.assert_array_equal(again.predict_proba(ROWS), vote.predict_proba(ROWS))
    for name, member in members:
        storage.dump(member, tmp_path / f"{name}.skops")
    alone = sum((tmp_path / f"{name}.skops").stat().st_size for name in MODELS)
    assert (tmp_path / "vote.skops").stat().st_size < 1.2 * alone


def test_a_pickle_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(pickle.dumps(fitted("majority")))
    with pytest.raises(BenchmarkError, match="not a skops file"):
        storage.load(path)


def test_a_model_that_would_run_a_command_is_refused_both_ways(tmp_path: Path) -> None:
    import skops.io

    crafted = FunctionTransformer(os.system)
    with pytest.raises(BenchmarkError, match=r"not allowed: posix\.system"):
        storage.dump(crafted, tmp_path / "never.skops")
    assert not (tmp_path / "never.skops").exists()
    skops.io.dump(crafted, tmp_path / "crafted.skops")
    with pytest.raises(BenchmarkError, match=r"not allowed: posix\.system"):
        storage.load(tmp_path / "crafted.skops")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    digest = storage.dump(fitted("majority"), path)
    storage.dump(fitted("logistic_regression"), path)
    with pytest.raises(BenchmarkError, match="digest differs"):
        storage.load(path, digest)


def test_a_damaged_description_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    with ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps({"protocol": 2, "__loader__": "NoSuchNode"}))
    with pytest.raises(BenchmarkError, match="can't be loaded"):
        storage.load(path)


def test_a_file_that_would_fill_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.skops"
    storage.dump(fitted("random_forest"), path)
    monkeypatch.setattr(storage, "MAX_BYTES", 1000)
    with pytest.raises(BenchmarkError, match="bytes unpacked"):
        storage.load(path)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.5, 0.7, 0.95])
def test_a_damaged_file_is_not_whole(tmp_path: Path, part: float) -> None:
    path = tmp_path / "model.skops"
    storage.dump(fitted("random_forest"), path)
    whole = path.read_bytes()
    place = int(part * len(whole))
    assert storage.is_whole(path)
    path.write_bytes(whole[:place])
    assert not storage.is_whole(path)
    path.write_bytes(whole[:place] + bytes(100) + whole[place + 100 :])
    assert not storage.is_whole(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"model\.skops: can't read the model"):
        storage.load(tmp_path / "model.skops")
