"""Learning curves: growing fractions of the same clips, and no point fitted twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.data.tables import (
    IDENTITY,
    Table,
    training_arrays,
)
from benchmark.engine import npz_cache
from benchmark.engine.arrays import StoredArrays, TrainingArrays, load_arrays, save_arrays
from benchmark.engine.processes import Workers
from benchmark.models import MODELS
from benchmark.search.learning_curves import COLUMNS, draw_clips, fit_fraction, learning_curves
from benchmark.search.plan import Plan
from benchmark.search.search import ModelSearch, run_searches
from benchmark.search.storage import TrialStorage
from benchmark.study import ModelSettings, Search

EMOTIONS = ("angry", "happy", "sad")


POOLS = {count: Workers(count) for count in (1, 2)}
"""Shared by all tests: starting a process takes longer than a fit."""


@pytest.fixture(scope="module", autouse=True)
def _pools_are_closed() -> Iterator[None]:
    yield
    for pool in POOLS.values():
        pool.close()


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety clips in three folds and a copy of each, of three emotions that overlap."""
    rng = np.random.default_rng(0)
    clip = np.tile(np.arange(90), 2)
    rows = pd.DataFrame(dict.fromkeys(IDENTITY, ""), index=range(180))
    rows["clip"] = clip.astype(str)
    rows["emotion"] = np.array(EMOTIONS)[clip % 3]
    rows["augmentation"] = np.repeat(["", "noise"], 90)
    values = (rng.normal(size=(180, 5)) + (clip % 3)[:, None] * 0.6).astype(np.float32)
    folder = tmp_path_factory.mktemp("arrays")
    save_arrays(training_arrays(Table(rows, values, tuple("abcde")), clip // 3 % 3), folder)
    return folder


@pytest.fixture
def data(arrays: Path) -> TrainingArrays:
    """The same, as workers read it."""
    return load_arrays(StoredArrays(arrays, "toy"))


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_share_holds_its_part_of_each_emotion_with_all_copies(
    data: TrainingArrays, share: float
) -> None:
    rows = data.training_rows(0)
    drawn = draw_clips(data, rows, share, seed=3)
    for emotion in EMOTIONS:
        assert (drawn & (data.emotions == emotion)).sum() == 2 * round(share * 20)
    assert sorted(data.clips[drawn & data.originals]) == sorted(data.clips[drawn & ~data.originals])
    assert not (drawn & ~rows).any()


def test_a_larger_share_holds_the_smaller_ones(data: TrainingArrays) -> None:
    rows = data.training_rows(0)
    small, large = (draw_clips(data, rows, share, seed=3) for share in (0.3, 0.7))
    assert (large[small]).all()
    assert (draw_clips(data, rows, 0.3, seed=4) != small).any()


def test_a_point_of_all_clips_has_the_score_of_the_trial(arrays: Path, tmp_path: Path) -> None:
    search = _searched(arrays, tmp_path)
    assert search.best is not None
    rows, training, validation = fit_fraction(
        StoredArrays(arrays, "toy"),
        MODELS["logistic_regression"],
        search.best.params,
        0,
        1,
        1.0,
        "uar",
        "scikit-learn",
    )
    assert rows == 120
    assert validation == pytest.approx(search.best.scores[1])
    assert 0.4 < training < 1


def test_curves_are_the_same_with_two_workers_and_cached_points_are_not_fitted_again(
    arrays: Path, tmp_path: Path
) -> None:
    search = _searched(arrays, tmp_path)
    tables = [
        learning_curves([search], (0.3, 1.0), tmp_path / str(count), pool, _silent)
        for count, pool in POOLS.items()
    ]
    assert list(tables[0]) == list(COLUMNS)
    assert len(tables[0]) == 2 * 3
    pd.testing.assert_frame_equal(*tables)
    cached = sorted((tmp_path / "1").rglob("*.npz"))
    npz_cache.save(cached[0], rows=60, training=0.5, validation=5.0)
    cached[1].write_bytes(b"damaged")
    again = learning_curves([search], (0.3, 1.0), tmp_path / "1", POOLS[1], _silent)
    assert (again["validation"] > 1).sum() == 1
    assert (again["validation"] - tables[0]["validation"]).abs().gt(1e-9).sum() == 1


def _silent(_done: int, _total: int) -> None: ...


def _searched(arrays: Path, folder: Path) -> ModelSearch:
    """A finished search of two trials."""
    plan = Plan(
        study="toy",
        split="speaker-dependent",
        stream="random",
        model="logistic_regression",
        spec=ModelSettings.model_validate({"C": [0.01, 1.0]}),
        search=Search(trials=2, folds=3, metric="uar"),
        seed=0,
        emotions=EMOTIONS,
        n_folds=3,
        arrays=StoredArrays(arrays, "toy"),
        origin={},
    )
    store = TrialStorage(f"sqlite:///{folder / 'optuna.db'}")
    store.open()
    search = ModelSearch(plan, store, folder / "folds")
    search.open()
    run_searches([search], POOLS[1], lambda *_: None)
    return search
