"""What cutting hopeless trials saves: one search by epochs with the pruner and one without.

Run with ``pytest tests/performance/test_networks.py -s``; it needs the extra `deep`. Both searches
ask for the same number of trials on the same rows over time, in two workers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.data.tables import IDENTITY, Table, training_arrays
from benchmark.engine.arrays import StoredArrays, save_arrays
from benchmark.engine.processes import Workers
from benchmark.search.plan import Plan
from benchmark.search.search import ModelSearch, run_searches
from benchmark.search.storage import TrialStorage
from benchmark.study import ModelSettings, Search

pytest.importorskip("torch", reason="needs the extra `deep`")

EMOTIONS = ("angry", "happy", "neutral", "sad")
N_CLIPS, N_FRAMES, N_COEFFICIENTS = 800, 60, 12
SPEC = ModelSettings.model_validate(
    {
        "filters": [[16, 32], [32, 64]],
        "dropout": {"low": 0.0, "high": 0.5},
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
        "max_epochs": 40,
        "patience": 10,
    }
)

found: dict[str, ModelSearch] = {}
seconds: dict[str, float] = {}


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips whose emotions move two coefficients up and down over time, under much noise."""
    rng = np.random.default_rng(0)
    emotion = np.arange(N_CLIPS) % len(EMOTIONS)
    time = np.linspace(0, 2 * np.pi, N_FRAMES)
    values = rng.normal(size=(N_CLIPS, N_FRAMES, N_COEFFICIENTS))
    values[:, :, 3] += 0.45 * np.sin(time[None, :] * (1 + emotion[:, None] % 2))
    values[:, :, 7] += 0.45 * np.cos(time[None, :] * (1 + emotion[:, None] // 2))
    rows = pd.DataFrame(dict.fromkeys(IDENTITY, ""), index=range(N_CLIPS))
    rows["clip"] = [str(clip) for clip in range(N_CLIPS)]
    rows["emotion"] = np.array(EMOTIONS)[emotion]
    columns = tuple(f"n{number}" for number in range(N_FRAMES * N_COEFFICIENTS))
    folder = tmp_path_factory.mktemp("arrays")
    flat = values.reshape(N_CLIPS, -1).astype(np.float32)
    table = Table(rows, flat, columns, (N_FRAMES, N_COEFFICIENTS))
    save_arrays(training_arrays(table, rng.permutation(N_CLIPS) % 4), folder)
    return folder


@pytest.mark.parametrize("pruner", ["none", "asha"])
def test_a_search_by_epochs(benchmark: Any, pruner: str, arrays: Path, tmp_path: Path) -> None:
    plan = Plan(
        study="speed",
        split="speaker-dependent",
        stream="random",
        model="cnn_1d",
        spec=SPEC,
        search=Search(trials=20, folds=4, metric="uar", pruner=pruner),
        seed=0,
        emotions=EMOTIONS,
        n_folds=4,
        arrays=StoredArrays(arrays, "speed"),
        origin={},
    )
    store = TrialStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    store.open()
    search = ModelSearch(plan, store, tmp_path / "folds")
    search.open()
    with Workers(2) as workers:
        benchmark.pedantic(run_searches, ([search], workers, lambda *_: None), rounds=1)
    found[pruner], seconds[pruner] = search, benchmark.stats.stats.median
    assert search.best is not None


def test_the_comparison_is_printed() -> None:
    assert set(found) == {"none", "asha"}
    for name, search in found.items():
        best = search.best
        assert best is not None
        cut = sum(trial.state == "pruned" for trial in search.trials)
        fits = sum(trial.seconds for trial in search.trials)
        print(  # noqa: T201 - the figures are what this file is for
            f"\n{name}: {seconds[name]:.1f} s, {fits:.1f} s of fits, {cut} of "
            f"{len(search.trials)} trials cut, best inner UAR {best.score:.3f}"
        )
    print(f"asha takes {seconds['asha'] / seconds['none']:.2f} of the time")  # noqa: T201
