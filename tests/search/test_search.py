"""A search makes the same trials with any workers and interruptions, and loses none."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from benchmark.console import Console
from benchmark.data.tables import IDENTITY, Table, training_arrays
from benchmark.engine.arrays import StoredArrays, save_arrays
from benchmark.engine.processes import Task, WorkerLostError, Workers
from benchmark.errors import BenchmarkError
from benchmark.models import MODELS
from benchmark.models.stored import is_whole, load
from benchmark.search.budget import Budget, TimedWorkers
from benchmark.search.fitting import FoldResult, fit_fold, warm_up
from benchmark.search.plan import Plan
from benchmark.search.portfolios import portfolio
from benchmark.search.refit import Member, Refits, fit_winners
from benchmark.search.samplers import SAMPLERS, grid
from benchmark.search.search import (
    RESAMPLED,
    ModelSearch,
    run_searches,
)
from benchmark.search.storage import TrialStorage
from benchmark.search.trial import Trial
from benchmark.study import ModelSettings, Search
from tests.support.platforms import posix
from tests.support.toy_model import NAIVE_BAYES

EMOTIONS = ("angry", "happy", "sad")
SPEC = ModelSettings.model_validate(
    {"C": {"low": 1e-3, "high": 10.0, "log": True}, "max_iter": 200}
)
SLOW = ModelSettings.model_validate({"max_iter": 1_000_000_000, "tol": 0.0, "solver": "saga"})
FOREST = ModelSettings.model_validate(
    {"n_estimators": [5, 10], "max_features": ["sqrt", None], "max_depth": {"low": 1, "high": 3}}
)


POOLS = {count: Workers(count) for count in (1, 2)}
"""Shared by all tests: starting a process takes longer than most searches."""


@pytest.fixture(scope="module", autouse=True)
def _pools() -> Iterator[None]:
    for pool in POOLS.values():
        pool.warm_up(partial(warm_up, [MODELS["logistic_regression"]]))  # no part of any limit
    yield
    for pool in POOLS.values():
        pool.close()


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> StoredArrays:
    """Ninety clips in three folds, of three emotions that overlap."""
    rng = np.random.default_rng(0)
    emotion = np.arange(90) % 3
    values = (rng.normal(size=(90, 5)) + emotion[:, None] * 0.7).astype(np.float32)
    rows = pd.DataFrame(dict.fromkeys(IDENTITY, ""), index=range(90))
    rows["emotion"] = [EMOTIONS[number] for number in emotion]
    folder = tmp_path_factory.mktemp("arrays")
    save_arrays(
        training_arrays(Table(rows, values, tuple("abcde")), np.arange(90) // 3 % 3), folder
    )
    return StoredArrays(folder, "toy")


NETWORK = ModelSettings.model_validate(
    {
        "filters": [[4, 8], [8, 8]],
        "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True},
        "max_epochs": 16,
        "patience": 16,
        "pool": 2,
    }
)
SVM = ModelSettings.model_validate({"C": [0.1, 1.0, 10.0], "kernel": ["linear", "rbf"]})


def plan(
    arrays: StoredArrays,
    spec: ModelSettings = SPEC,
    sampler: str = "tpe",
    trials: int = 8,
    **changes: object,
) -> Plan:
    model = "random_forest" if spec is FOREST else "logistic_regression"
    search = Search(trials=trials, folds=3, metric="uar", sampler=sampler)
    fields = {
        "study": "toy", "split": "speaker-dependent", "stream": "random", "model": model,
        "spec": spec, "search": search,
        "seed": 0, "emotions": EMOTIONS, "n_folds": 3, "arrays": arrays,
        "origin": {},
    }  # fmt: skip
    return Plan(**(fields | changes))


def searched(
    plan: Plan,
    folder: Path,
    workers: int = 1,
    on_trial: Callable[[ModelSearch, Trial], None] = lambda *_: None,
) -> ModelSearch:
    """The search of a plan, run to its end with its storage in `folder`."""
    store = TrialStorage(f"sqlite:///{folder / 'optuna.db'}")
    store.open()
    search = ModelSearch(plan, store, folder / "folds")
    search.open()
    try:
        run_searches([search], POOLS[workers], on_trial)
    finally:
        POOLS[workers].abandon()
    return search


def facts(search: ModelSearch) -> list[tuple[int, dict[str, object], tuple[float, ...]]]:
    return [(trial.number, trial.params, trial.scores) for trial in search.trials]


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if SAMPLERS[name].points is None])
@pytest.mark.parametrize("spec", [SPEC, FOREST], ids=["logistic_regression", "random_forest"])
def test_one_worker_and_two_make_the_same_trials(
    arrays: StoredArrays, tmp_path: Path, spec: ModelSettings, sampler: str
) -> None:
    results = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        results.append(facts(searched(plan(arrays, spec, sampler), folder, workers)))
    assert results[0] == results[1]
    assert len({str(params) for _, params, _ in results[0]}) > 4


@pytest.mark.parametrize("stop", [0, 1, 5])
def test_an_interrupted_search_ends_with_the_trials_of_an_unbroken_one(
    arrays: StoredArrays, tmp_path: Path, stop: int
) -> None:
    def interrupt(_: ModelSearch, trial: Trial) -> None:
        signal.raise_signal(signal.SIGINT) if trial.number == stop else None

    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    unbroken.mkdir()
    broken.mkdir()
    with pytest.raises(KeyboardInterrupt):
        searched(plan(arrays), broken, on_trial=interrupt)
    resumed = searched(plan(arrays), broken)
    assert resumed.resumed == stop + 1
    assert facts(resumed) == facts(searched(plan(arrays), unbroken))


@pytest.mark.parametrize("spec", [SPEC, FOREST], ids=["logistic_regression", "random_forest"])
def test_stored_trials_that_are_not_sampled_again_do_not_change_later_ones(
    arrays: StoredArrays, tmp_path: Path, spec: ModelSettings
) -> None:
    first, whole = (plan(arrays, spec, trials=trials) for trials in (RESAMPLED + 5, RESAMPLED + 12))
    (tmp_path / "whole").mkdir()
    searched(first, tmp_path)
    resumed = searched(whole, tmp_path)
    assert resumed.resumed == RESAMPLED + 5
    assert facts(resumed) == facts(searched(whole, tmp_path / "whole"))


def network_plan(arrays: StoredArrays, pruner: str = "asha") -> Plan:
    """A search of a network."""
    pytest.importorskip("torch", reason="needs the extra `deep`")
    search = Search(trials=9, folds=3, metric="uar", sampler="tpe", pruner=pruner)
    return plan(arrays, NETWORK, model="cnn_1d", search=search)


def test_a_search_by_epochs_makes_the_same_trials_with_two_workers_and_after_an_interruption(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    def interrupt(_: ModelSearch, trial: Trial) -> None:
        signal.raise_signal(signal.SIGINT) if trial.number == 5 else None

    for name in ("one", "two", "broken"):
        (tmp_path / name).mkdir()
    one_plan = network_plan(arrays)
    one = searched(one_plan, tmp_path / "one", 1)
    two = searched(one_plan, tmp_path / "two", 2)
    with pytest.raises(KeyboardInterrupt):
        searched(one_plan, tmp_path / "broken", on_trial=interrupt)
    resumed = searched(one_plan, tmp_path / "broken")
    known = [
        [(t.params, t.scores, t.epochs, t.rungs, t.state) for t in search.trials]
        for search in (one, two, resumed)
    ]
    assert known[0] == known[1] == known[2]


def test_a_fold_that_stopped_early_counts_at_every_rung_and_a_pruned_one_at_those_it_reached() -> (
    None
):
    nothing = np.zeros((0, 3), np.float32)
    ended = FoldResult(nothing, 0.0, 2, (0.3, 0.5, 0.4, 0.2, 0.1))
    assert ended.rungs == {4: 0.5, 12: 0.5, 36: 0.5}
    pruned = FoldResult(nothing, 0.0, 2, (0.3, 0.5, 0.4, 0.2), pruned=True)
    assert pruned.rungs == {4: 0.5}


def test_hopeless_trials_are_pruned_and_never_selected(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    search = searched(network_plan(arrays), tmp_path)
    pruned = [trial for trial in search.trials if trial.state == "pruned"]
    assert 0 < len(pruned) < len(search.trials)
    assert all(trial.number >= 3 for trial in pruned)
    assert all(sum(36 not in rungs for rungs in trial.rungs) >= 2 for trial in pruned)
    assert search.best is not None
    assert search.best.state == "complete"
    with sqlite3.connect(tmp_path / "optuna.db") as database:
        states = [state for (state,) in database.execute("SELECT state FROM trials")]
    assert states.count("PRUNED") == len(pruned)


def paired_plan(
    arrays: StoredArrays, model: str = "logistic_regression", **changes: object
) -> Plan:
    """A search in which most trials are hopeless from the first fold on."""
    spec = {
        "logistic_regression": {"C": {"low": 1e-6, "high": 10.0, "log": True}},
        "mlp": {
            "hidden_layer_sizes": [[8], [16]],
            "learning_rate_init": {"low": 1e-5, "high": 1e-1, "log": True},
            "max_iter": 40,
        },
    }[model]
    settings = {"trials": 14, "folds": 3, "metric": "uar", "pruner": "asha+paired", **changes}
    return plan(arrays, ModelSettings.model_validate(spec), model=model, search=Search(**settings))


def outcomes(search: ModelSearch) -> list[tuple[object, ...]]:
    return [(t.params, t.scores, t.score, t.rungs, t.state) for t in search.trials]


@pytest.mark.parametrize("model", ["logistic_regression", "mlp"])
@pytest.mark.parametrize("concurrent_trials", [1, 4])
def test_the_same_trials_are_pruned_by_one_worker_and_two_and_after_an_interruption(
    arrays: StoredArrays, tmp_path: Path, model: str, concurrent_trials: int
) -> None:
    def interrupt(_: ModelSearch, trial: Trial) -> None:
        signal.raise_signal(signal.SIGINT) if trial.number == 7 else None

    one_plan = paired_plan(arrays, model, concurrent_trials=concurrent_trials)
    for name in ("one", "two", "broken"):
        (tmp_path / name).mkdir()
    one, two = (searched(one_plan, tmp_path / name, n) for name, n in (("one", 1), ("two", 2)))
    with pytest.raises(KeyboardInterrupt):
        searched(one_plan, tmp_path / "broken", on_trial=interrupt)
    assert outcomes(one) == outcomes(two) == outcomes(searched(one_plan, tmp_path / "broken"))
    assert outcomes(one) == outcomes(searched(one_plan, tmp_path / "two"))  # from the storage alone
    assert "pruned" in {trial.state for trial in one.trials}


def test_a_trial_pruned_by_its_folds_has_their_scores_and_an_estimate(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    search = searched(paired_plan(arrays), tmp_path)
    pruned = [trial for trial in search.trials if trial.estimate is not None]
    assert pruned
    assert all(0 < len(trial.scores) < 3 and trial.state == "pruned" for trial in pruned)
    assert search.best is not None
    assert search.best.state == "complete"
    assert len(search.best.scores) == 3
    assert all(trial.score < search.best.score for trial in pruned)


def test_patience_ends_a_search_that_finds_nothing_better(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    endless = plan(
        arrays, search=Search(trials=60, folds=3, metric="uar", concurrent_trials=3, patience=6)
    )
    search = searched(endless, tmp_path, 2)
    assert search.best is not None
    assert len(search.trials) == search.best.number + 1 + 6 < 60
    without = plan(arrays, search=Search(trials=60, folds=3, metric="uar", concurrent_trials=3))
    assert endless.key == without.key  # more trials take up where it ended


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("mlp", {"hidden_layer_sizes": [[4], [1_000_000, 1_000_000]], "max_iter": 5}),
        pytest.param(
            "cnn_1d",
            {"filters": [[4, 8], [4, 10**12]], "max_epochs": 5, "pool": 2},
            marks=pytest.mark.skipif(
                not MODELS["cnn_1d"].available, reason="needs the extra `deep`"
            ),
        ),
    ],
)
def test_a_fit_that_memory_cannot_hold_ends_the_search_and_leaves_no_failed_trial(
    arrays: StoredArrays, tmp_path: Path, model: str, sizes: dict[str, object]
) -> None:
    spec = ModelSettings.model_validate(sizes)
    with pytest.raises(BenchmarkError, match=r"could not be fitted.*fewer --workers") as refusal:
        searched(plan(arrays, spec, "grid", model=model), tmp_path)
    assert "\n" not in str(refusal.value)
    with sqlite3.connect(tmp_path / "optuna.db") as database:
        states = [state for (state,) in database.execute("SELECT state FROM trials")]
    assert states == ["COMPLETE"]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_trials_are_the_portfolio_and_belong_to_the_search(
    arrays: StoredArrays, tmp_path: Path, workers: int
) -> None:
    search = Search(trials=5, folds=3, metric="uar", initial="portfolio")
    with_portfolio = plan(arrays, search=search)
    first = [setting["C"] for setting in portfolio("logistic_regression", "toy", SPEC)]
    found = searched(with_portfolio, tmp_path, workers)
    assert [trial.params["C"] for trial in found.trials[: len(first)]] == first
    assert len({trial.params["C"] for trial in found.trials}) == 5
    assert with_portfolio.ingredients["portfolio"] == with_portfolio.portfolio
    assert with_portfolio.key != plan(arrays, trials=5).key
    assert not {"portfolio", "search.initial"} & set(plan(arrays).ingredients)


def test_a_limit_for_fits_belongs_to_a_search_and_no_limit_changes_no_earlier_one(
    arrays: StoredArrays,
) -> None:
    def limited(seconds: float | None) -> str:
        search = Search(trials=8, folds=3, metric="uar", fit_timeout_s=seconds)
        return plan(arrays, search=search).key

    assert len({limited(None), limited(1), limited(600)}) == 3
    assert "search.fit_timeout_s" not in plan(arrays).ingredients


def test_the_baseline_is_measured_first_however_slow_the_others_are(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    store = TrialStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    store.open()
    floor = Search(trials=1, folds=3, metric="uar")
    plans = [
        plan(arrays, SLOW, split="speaker-independent"),
        plan(arrays, ModelSettings(), model="majority", split="speaker-independent", search=floor),
    ]
    searches = [ModelSearch(one_plan, store, tmp_path / "folds") for one_plan in plans]
    finished: list[str] = []

    def until() -> float:
        return 0.0 if finished else float("inf")

    for search in searches:
        search.open()
    run_searches(searches, POOLS[1], lambda one, _: finished.append(one.plan.model), until)
    assert finished == ["majority"]


class NothingToClose:
    """The end of a run that takes no time."""

    running = False

    def begin(self, searches: Sequence[ModelSearch]) -> None:
        del searches

    def estimate(self, n_models: int) -> float:
        return 0.0 * n_models


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("seconds", [0, 5])
def test_a_budget_ends_with_the_model_that_fits_and_stores_no_failure_of_the_one_that_does_not(
    arrays: StoredArrays, tmp_path: Path, workers: int, seconds: int
) -> None:
    store = TrialStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    store.open()
    shrinkage = ModelSettings.model_validate({"shrinkage": {"low": 0.01, "high": 1.0}})
    plans = [plan(arrays, SLOW, trials=1), plan(arrays, shrinkage, model="lda", trials=6)]
    searches = [ModelSearch(one_plan, store, tmp_path / "folds") for one_plan in plans]
    for search in searches:
        search.open()
    budget = Budget(seconds / 60, time.monotonic(), NothingToClose(), Refits(tmp_path / "study"))
    timed = TimedWorkers(POOLS[workers], searches, budget)
    run_searches(searches, timed, lambda *_: None)
    slow, fast = searches
    assert fast.best is not None
    assert slow.trials == []
    first = searched(plans[1], tmp_path)
    assert facts(first)[: len(fast.trials)] == facts(fast)


def test_the_best_trial_is_refitted_as_soon_as_its_search_is_done(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    refits = Refits(tmp_path / "study")

    def on_trial(search: ModelSearch, _trial: Trial) -> None:
        if search.done:
            refits.begin(search, POOLS[1])

    search = searched(plan(arrays, trials=2), tmp_path, on_trial=on_trial)
    best = search.best
    assert best is not None
    file = Member(search, best).file(tmp_path / "study")
    assert is_whole(file)
    refits.begin(search, POOLS[1])
    assert POOLS[1].pending == 0  # what is there is not fitted again
    (refitted,) = fit_winners([search], POOLS[1], tmp_path / "other", Console()).values()
    assert refitted.read_bytes() == file.read_bytes()


def test_a_refit_that_fails_beside_the_searches_is_left_for_later(
    tmp_path: Path,
) -> None:
    refits = Refits(tmp_path)
    target = tmp_path / "winner.skops"
    lost = Task(os.getpid, (), label=(refits, target), error=WorkerLostError("killed"))
    refits.accept(lost, POOLS[1])
    assert not target.exists()
    assert list(refits.advance(POOLS[1])) == []


def test_a_fit_over_its_limit_is_a_failed_trial(arrays: StoredArrays, tmp_path: Path) -> None:
    spec = ModelSettings.model_validate(
        {"max_iter": [2, 1_000_000_000], "tol": 0.0, "solver": "saga"}
    )
    limited = Search(trials=2, folds=3, metric="uar", sampler="grid", fit_timeout_s=3)
    search = searched(plan(arrays, spec, search=limited), tmp_path)
    quick, hung = search.trials
    assert (quick.state, hung.state) == ("complete", "failed")
    assert hung.reason == "fold 0: Limit: longer than 3 s"


def test_without_a_pruner_nothing_is_pruned(arrays: StoredArrays, tmp_path: Path) -> None:
    search = searched(network_plan(arrays, "none"), tmp_path)
    assert {trial.state for trial in search.trials} == {"complete"}


def test_a_pruner_belongs_to_the_identity_of_searches_by_epochs_alone(arrays: StoredArrays) -> None:
    assert network_plan(arrays).key != network_plan(arrays, "none").key
    pruned = Search(trials=8, folds=3, metric="uar", sampler="tpe", pruner="asha")
    assert plan(arrays).key == plan(arrays, search=pruned).key


def test_an_svm_is_searched_by_labels_and_votes_with_probabilities(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    search = searched(plan(arrays, SVM, trials=3, model="svc"), tmp_path)
    assert search.best is not None
    kept = np.load(next(tmp_path.rglob("trial_0000_fold_0.npz")))["probabilities"]
    assert set(np.unique(kept)) == {0.0, 1.0}
    votes = search.out_of_fold([search.best.number], POOLS[1])[0]
    again = search.out_of_fold([search.best.number], POOLS[1])[0]
    assert 0 < votes[0].min() < votes[0].max() < 1
    assert all((one == other).all() for one, other in zip(votes, again, strict=True))


def test_a_finished_search_is_read_from_its_storage(arrays: StoredArrays, tmp_path: Path) -> None:
    first = searched(plan(arrays), tmp_path)
    (tmp_path / "folds").rename(tmp_path / "lost")
    store = TrialStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    store.open()
    again = ModelSearch(plan(arrays), store, tmp_path / "folds")
    again.open()
    with Workers(1) as none:
        run_searches([again], none, lambda *_: None)
        assert none.pending == 0
    assert again.trials == first.trials


def test_raising_trials_continues_a_search(arrays: StoredArrays, tmp_path: Path) -> None:
    short = searched(plan(arrays, trials=5), tmp_path)
    raised = searched(plan(arrays, trials=9), tmp_path)
    assert raised.resumed == 5
    assert facts(raised)[:5] == facts(short)
    whole = tmp_path / "whole"
    whole.mkdir()
    assert facts(raised) == facts(searched(plan(arrays, trials=9), whole))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "seed"),
        ({"origin": {"features": "others"}}, "features"),
        ({"spec": ModelSettings.model_validate({"C": [0.1, 1.0]})}, "model"),
    ],
)
def test_a_change_that_decides_scores_starts_a_new_search_and_says_so(
    arrays: StoredArrays, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    searched(plan(arrays, trials=2), tmp_path)
    changed = searched(plan(arrays, trials=2, **changes), tmp_path)
    assert changed.resumed == 0
    assert changed.difference == words


def test_stored_trials_are_readable_by_optuna_itself(arrays: StoredArrays, tmp_path: Path) -> None:
    search = searched(plan(arrays), tmp_path)
    (name,) = optuna.get_all_study_names(f"sqlite:///{tmp_path / 'optuna.db'}")
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{tmp_path / 'optuna.db'}")
    assert [trial.value for trial in study.trials] == [trial.score for trial in search.trials]
    assert search.best is not None
    assert study.best_trial.params["C"] == search.best.params["C"]


def test_stored_studies_have_readable_names_and_metrics(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    asked = plan(arrays)
    searched(asked, tmp_path)
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    (name,) = optuna.get_all_study_names(url)
    assert name == f"{asked.study}: {asked.model}, {asked.split}, {asked.key[:8]}"
    assert optuna.load_study(study_name=name, storage=url).metric_names == ["CV UAR"]


def test_trials_stored_under_the_names_of_earlier_versions_are_resumed(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    asked = plan(arrays, trials=4)
    searched(asked, tmp_path)
    urls = [f"sqlite:///{folder / 'optuna.db'}" for folder in (tmp_path, tmp_path / "old")]
    (tmp_path / "old").mkdir()
    optuna.copy_study(
        from_study_name=asked.title, from_storage=urls[0], to_storage=urls[1],
        to_study_name=f"{asked.study}/{asked.split}/{asked.model}/{asked.key}",
    )  # fmt: skip
    again = searched(plan(arrays, trials=6), tmp_path / "old")
    assert (again.resumed, again.difference) == (4, "")
    assert len(optuna.get_all_study_names(urls[1])) == 1


@pytest.mark.parametrize(
    ("first", "sampled"), [({"C": 1.0}, True), ({"C": 1.0, "solver": "saga"}, False)]
)
def test_initial_parameters_are_the_first_trial_inside_the_space_or_outside_it(
    arrays: StoredArrays, tmp_path: Path, first: dict[str, object], sampled: bool
) -> None:
    spec = SPEC.model_copy(update={"initial": first})
    trials = searched(plan(arrays, spec), tmp_path).trials
    assert trials[0].params == {"max_iter": 200, **first}
    assert bool(trials[0].sampled) == sampled
    assert len(trials) == 8


def test_a_grid_has_the_numbers_that_were_meant() -> None:
    spec = ModelSettings.model_validate({"C": {"low": 0.1, "high": 0.3, "step": 0.1}})
    assert [point["C"] for point in grid(spec)] == [0.1, 0.2, 0.3]


def test_initial_parameters_on_the_grid_are_not_tried_twice(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    spec = ModelSettings.model_validate({"initial": {"C": 1.0}, "C": [0.1, 1.0, 10.0]})
    tried = [trial.params["C"] for trial in searched(plan(arrays, spec, "grid"), tmp_path).trials]
    assert tried == [1.0, 0.1, 10.0]


def test_no_two_models_protocols_or_orders_of_parameters_share_a_search(
    arrays: StoredArrays,
) -> None:
    both = {"C": [0.1, 1.0], "max_iter": [100, 200]}
    turned = dict(reversed(both.items()))
    plans = [
        plan(arrays, ModelSettings()),
        plan(arrays, ModelSettings(), model="majority"),
        plan(arrays, ModelSettings(), split="speaker-independent"),
        plan(arrays, ModelSettings.model_validate(both)),
        plan(arrays, ModelSettings.model_validate(turned)),
    ]
    assert len({one.key for one in plans}) == len(plans)


def test_trials_that_another_program_added_do_not_belong_to_the_search(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    first = searched(plan(arrays, trials=4), tmp_path)
    url = f"sqlite:///{tmp_path / 'optuna.db'}"
    (name,) = optuna.get_all_study_names(url)
    study = optuna.load_study(study_name=name, storage=url)
    study.ask()
    study.add_trial(study.trials[1])
    more = searched(plan(arrays, trials=6), tmp_path)
    assert more.resumed == 4
    assert facts(more)[:4] == facts(first)


def test_a_grid_has_every_combination_once(arrays: StoredArrays, tmp_path: Path) -> None:
    search = searched(plan(arrays, FOREST, "grid", trials=50), tmp_path)
    tried = [trial.params for trial in search.trials]
    assert len(tried) == len(grid(FOREST)) == 12
    assert len({str(params) for params in tried}) == 12


def test_a_grid_ends_after_the_trials_of_the_study(arrays: StoredArrays, tmp_path: Path) -> None:
    search = searched(plan(arrays, FOREST, "grid", trials=2), tmp_path)
    assert [trial.params for trial in search.trials] == grid(FOREST)[:2]


def test_a_model_without_a_space_is_tried_once(arrays: StoredArrays, tmp_path: Path) -> None:
    assert len(searched(plan(arrays, ModelSettings()), tmp_path).trials) == 1


def test_a_failing_trial_is_stored_with_its_reason_and_stops_no_other(
    arrays: StoredArrays, tmp_path: Path
) -> None:
    spec = ModelSettings.model_validate({"C": [1.0, 2.0], "l1_ratio": [0.0, 0.5]})
    search = searched(plan(arrays, spec, "grid"), tmp_path)
    failed = [trial for trial in search.trials if trial.state == "failed"]
    assert [trial.params["l1_ratio"] for trial in failed] == [0.5, 0.5]
    assert all(trial.reason.startswith("fold 0: ") for trial in failed)
    assert all("lbfgs" in trial.reason for trial in failed)
    assert search.best is not None
    assert searched(plan(arrays, spec, "grid"), tmp_path).trials == search.trials


def test_a_trial_is_the_mean_over_its_folds(arrays: StoredArrays, tmp_path: Path) -> None:
    search = searched(plan(arrays), tmp_path)
    out_of_fold = search.out_of_fold([3], POOLS[1])[0]
    assert search.fold_scores(out_of_fold) == search.trials[3].scores
    assert search.trials[3].score == pytest.approx(np.mean(search.trials[3].scores))


def test_lost_or_damaged_fold_files_are_fitted_again(arrays: StoredArrays, tmp_path: Path) -> None:
    search = searched(plan(arrays), tmp_path)
    files = sorted((tmp_path / "folds").rglob("trial_0003_*.npz"))
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:100])
    out_of_fold = search.out_of_fold([3], POOLS[1])[0]
    assert search.fold_scores(out_of_fold) == search.trials[3].scores


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all.db", "nonsense://x", "postgresql://x", "journal.log"]
)
def test_a_storage_that_cannot_be_used_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(BenchmarkError, match=r"can't be used|no PostgreSQL driver") as refusal:
        TrialStorage(url).open()
    assert "\n" not in str(refusal.value)


@posix
def test_a_worker_that_dies_in_a_fold_costs_no_trial(arrays: StoredArrays, tmp_path: Path) -> None:
    def kill_workers(_: ModelSearch, trial: Trial) -> None:
        import multiprocessing

        for process in multiprocessing.active_children() if trial.number == 2 else ():
            os.kill(process.pid or 0, signal.SIGKILL)

    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    unbroken.mkdir()
    broken.mkdir()
    survived = searched(plan(arrays), broken, 2, kill_workers)
    assert facts(survived) == facts(searched(plan(arrays), unbroken))


@pytest.mark.parametrize("model", ["random_forest", "lda", "mlp"])
def test_an_installed_engine_changes_nothing_by_itself(
    arrays: StoredArrays, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def searched_by(engine: str) -> tuple[str, bytes]:
        made = plan(arrays, ModelSettings(), model=model)
        result = fit_fold(arrays, made.entry, {}, seed=0, fold=0, engine=engine)
        return made.key, result.probabilities.tobytes()

    installed = searched_by("scikit-learn")
    monkeypatch.setitem(sys.modules, "sklearnex", None)
    assert searched_by("scikit-learn") == installed


def test_the_engine_belongs_to_the_identity_of_models_that_it_fits(arrays: StoredArrays) -> None:
    pytest.importorskip("sklearnex", reason="needs the extra `intelex`")

    def key(model: str, engine: str) -> str:
        search = Search(trials=8, folds=3, metric="uar", engine=engine)
        return plan(arrays, ModelSettings(), model=model, search=search).key

    assert key("random_forest", "scikit-learn") != key("random_forest", "intelex")
    assert key("mlp", "scikit-learn") == key("mlp", "intelex")


def test_a_model_from_outside_the_package_is_searched_and_refitted_by_its_entry_alone(
    arrays: StoredArrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, NAIVE_BAYES.name, NAIVE_BAYES)
    spec = ModelSettings.model_validate({"var_smoothing": [1e-9, 1e-3], "select": 3})
    assert list(NAIVE_BAYES.problems(spec)) == []
    search = searched(plan(arrays, spec, "grid", model="naive_bayes"), tmp_path)
    assert [trial.state for trial in search.trials] == ["complete"] * 2
    (file,) = fit_winners([search], POOLS[1], tmp_path / "study", Console()).values()
    assert load(file)["select"].k == 3
