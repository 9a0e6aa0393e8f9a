"""From a study's stored result to its leakage ablation: plan experiments, run each fit once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.console import Bar, Console
from benchmark.data.prepare import measure, read_corpora
from benchmark.data.protocols import stream
from benchmark.data.tables import Table
from benchmark.engine import npz_cache
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import METRICS, confusion
from benchmark.evaluation.results import Result, Winner, read_result
from benchmark.hints import command
from benchmark.leakage.fits import (
    DECISIVE_LIBRARIES,
    FitPlan,
    FitResult,
    StoredRows,
    load_rows,
    run_fit,
    score_of,
    store_rows,
)
from benchmark.leakage.leaks import LEAKS, Candidate, Procedure, Setting, leak_free
from benchmark.leakage.stored import Ablation, Cumulative, DataFacts, Run, SingleLeak, Step
from benchmark.models import MODELS
from benchmark.project import Job, Sources
from benchmark.search.fitting import warm_up
from benchmark.study import Study, derive_seed

SPEAKER_INDEPENDENT = "speaker-independent"
COPIES = ("noise", "pitch")
"""Augmented copies for the leak, in a study without augmentation."""


@dataclass(frozen=True)
class Extent:
    """The size of an ablation.

    Attributes
    ----------
    draws : int
        Number of splits: of outer folds, in a study that has them; otherwise the first split is the
        study's own.
    seeds, settings : int
        Number of alternatives among which the test set selects.
    published_only : bool
        Run only the leaks of the reported figures, not those of the study's selected model.
    """

    draws: int = 5
    seeds: int = 20
    settings: int = 10
    published_only: bool = False


Candidates = tuple[Candidate, ...]
"""A model with the hyperparameters selected for each split."""


@dataclass(frozen=True)
class Experiment:
    """A model, a procedure, and the number of the split."""

    candidate: Candidate
    procedure: Procedure
    draw: int


def run_ablation(study: Study, extent: Extent, job: Job, console: Console) -> Ablation:
    """Return the leakage ablation of a study that has run.

    Parameters
    ----------
    study : Study
        From its file. Everything but the leaks of its source comes from the stored result.
    extent : Extent
    job : Job
    console : Console

    Raises
    ------
    BenchmarkError
        If the study has not run, has no speaker-independent score, or ran on other recordings.
    """
    result = stored_result(study.name, job.project.results)
    leaks = study.claims.leaks if study.claims else {}
    if extent.published_only and not leaks:
        raise BenchmarkError(
            f"study {study.name}: its file does not list the leaks of its source. Add "
            "[claims.leaks], or remove --published-only."
        )
    ran = result.study
    augmented = ran.model_copy(update={"augment": _copies(ran, extent, leaks)})
    left_out = [name for name, c in result.data.corpora.items() if c.left_out]
    sources: Sources = replace(job.sources, allow_missing=tuple(left_out))
    recordings = read_corpora(augmented, sources, console)
    with Workers(job.workers) as workers:
        workers.warm_up(partial(warm_up, ()))
        table, samples = measure(augmented, sources, recordings, workers, console)
        _check_same(result, table)
        cache = job.project.features_cache / "leakage"
        rows = store_rows(table, samples, cache / study.name)
        plan = Plan(ran, result, extent, table, leaks)
        with console.bars(timed=False) as bars:
            runner = FitRunner(rows, cache / "fits", workers, bars.add("fits", 0))
            return plan.ablation(*plan.run(runner), rows)


def _copies(study: Study, extent: Extent, leaks: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the augmentation of the copies that the ablation needs."""
    early = any("augmented-before-split" in names for names in leaks.values())
    return study.augment or (() if extent.published_only and not early else COPIES)


def stored_result(name: str, results: Path) -> Result:
    """Return a study's result, if an ablation of it is possible.

    Raises
    ------
    BenchmarkError
        If the study has not run, or its result has no speaker-independent score, repeats,
        normalised features, auxiliary corpora, or own tables of features.
    """
    folder = results / name
    if not (folder / "study.json").is_file():
        raise BenchmarkError(
            f"study {name} has not run: {folder / 'study.json'} does not exist. The ablation runs "
            f"the selected model of a study: first {command(f'run-study {name}')}."
        )
    result = read_result(folder)
    protocols = sorted({winner.protocol for winner in result.winners})
    if SPEAKER_INDEPENDENT not in protocols:
        raise BenchmarkError(
            f"study {name} has no speaker-independent score, only {', '.join(protocols)}. The "
            f'ablation starts from it: add "{SPEAKER_INDEPENDENT}" to [split] protocols and run '
            "the study again."
        )
    study = result.study
    obstacles = {
        "has features of an own table, which has no rows for the augmented copies of the ablation. "
        "Choose a study without it.": bool(result.data.tables),
        "repeats its splits, which the ablation does not support. Remove repeats from its [split] "
        "and run it again, or choose a study without them.": study.split.repeats > 1,
        f"normalises its features by {study.normalise}, which the ablation does not support. "
        "Choose a study without it.": study.normalise != "none",
        "trains on auxiliary corpora, which the ablation does not support. Choose a study without "
        "them.": bool(study.auxiliary),
    }
    for obstacle, present in obstacles.items():
        if present:
            raise BenchmarkError(f"study {name} {obstacle}")
    return result


def _check_same(result: Result, table: Table) -> None:
    """Refuse recordings that differ from those of the result."""
    here = table.rows.loc[table.originals, "corpus"].value_counts().to_dict()
    before = {name: corpus.used for name, corpus in result.data.corpora.items() if corpus.used}
    if here != before:
        words = [
            ", ".join(f"{count} {name}" for name, count in sorted(clips.items()))
            for clips in (before, here)
        ]
        raise BenchmarkError(
            f"study {result.name}: its result has other clips ({words[0]}) than the recordings "
            f"given now ({words[1]}). Give the same recordings, or run the study again."
        )


class FitRunner:
    """Runs each fit once, in parallel and cached on disk.

    Parameters
    ----------
    rows : StoredRows
    cache : Path
    workers : Workers
    bar : Bar
    """

    def __init__(self, rows: StoredRows, cache: Path, workers: Workers, bar: Bar) -> None:
        self._rows, self._cache = rows, cache
        self._workers, self._bar = workers, bar
        self._results: dict[str, FitResult] = {}
        self._n_requested = 0

    def run(self, groups: Sequence[Sequence[FitPlan]]) -> list[list[FitResult]]:
        """Return the results of groups of fits."""
        by_key = {plan.key(self._rows): plan for plans in groups for plan in plans}
        new = {key: plan for key, plan in by_key.items() if key not in self._results}
        self._n_requested += len(new)
        for key, plan in new.items():
            cached = npz_cache.load(self._cache / f"{key}.npz")
            if cached is None:
                label = f"{plan.model}, split seed {plan.split_seed}"
                self._workers.submit(run_fit, self._rows, plan, label=(key, label))
            else:
                self._results[key] = FitResult(
                    cached["rows"],
                    cached["predicted"],
                    int(cached["n_trained"]),
                    int(cached["epochs"]),
                )
        self._bar.update(len(self._results), self._n_requested)
        for task in self._workers.drain():
            key, label = task.label
            if isinstance(task.error, BenchmarkError):
                raise task.error
            if task.error is not None:
                raise task.failure(f"{label}: the fit failed") from task.error
            self._results[key] = task.result
            npz_cache.save(self._cache / f"{key}.npz", **asdict(task.result))
            self._bar.update(len(self._results), self._n_requested)
        return [[self._results[plan.key(self._rows)] for plan in plans] for plans in groups]


@dataclass(frozen=True)
class Plan:
    """The experiments of an ablation.

    Attributes
    ----------
    study : Study
        As it ran.
    result : Result
    extent : Extent
    table : Table
        All clips and copies.
    leaks : dict of str to sequence of str
        Leaks of the study's source, by model.
    """

    study: Study
    result: Result
    extent: Extent
    table: Table
    leaks: Mapping[str, Sequence[str]]

    @property
    def leak_free(self) -> Procedure:
        """The procedure of the study."""
        return leak_free(bool(self.study.augment))

    @cached_property
    def selected(self) -> Candidates:
        """The single model with the best speaker-independent CV score, over all outer folds."""
        scores: dict[str, list[float]] = {}
        for winner in self.result.winners:
            if winner.protocol == SPEAKER_INDEPENDENT and not winner.members:
                scores.setdefault(winner.model, []).append(winner.score)
        model = max(scores, key=lambda name: float(np.mean(scores[name])))
        return self._candidates(SPEAKER_INDEPENDENT, model, self.study.search.metric)

    @cached_property
    def reported(self) -> tuple[Candidates, ...]:
        """Models whose source's leaks are known, with hyperparameters for its protocol."""
        claims = self.study.claims
        if claims is None:
            return ()
        own = [one for one in self.result.winners if one.protocol == claims.protocol]
        measured = {one.model for one in own if not one.members}
        return tuple(
            self._candidates(claims.protocol, name, claims.metric, claims.values[name])
            for name in self.study.models
            if self.leaks.get(name) and name in measured
        )

    def _candidates(
        self, protocol: str, model: str, metric: str, reported: float | None = None
    ) -> Candidates:
        """Return a model with the hyperparameters selected for each split."""
        winners = [
            one for one in self.result.winners if (one.protocol, one.model) == (protocol, model)
        ]
        n_draws, folds = self.extent.draws, set[str]()
        if self.study.split.folds:
            own = self.result.winners
            folds = {one.part for one in own if one.protocol == SPEAKER_INDEPENDENT}
            n_draws = min(n_draws, len(folds))
        if {one.part for one in winners} == folds:
            draws = winners[:n_draws]
        else:  # one test side, or parts that are no outer folds: the best of them
            best = max(winners, key=lambda one: one.score)
            draws = [best.model_copy(update={"part": ""})] * n_draws
        return tuple(self._candidate(winner, metric, reported) for winner in draws)

    def _candidate(self, winner: Winner, metric: str, reported: float | None) -> Candidate:
        trials = self.result.trials
        own = (trials["protocol"] == winner.protocol) & (trials["model"] == winner.model)
        if winner.part:
            own &= trials["part"] == winner.part
        tried = [
            Setting(json.loads(trial.params), _mean_epoch(trial.epochs))
            for trial in trials[own & (trials["state"] == "complete")].itertuples()
        ]
        best = Setting(winner.params, winner.epochs or 0)
        others = {json.dumps(one.params, sort_keys=True): one for one in reversed(tried)}
        others.pop(json.dumps(best.params, sort_keys=True), None)
        return Candidate(
            model=winner.model,
            setting=best,
            trial=winner.trial or 0,
            protocol=winner.protocol,
            part=winner.part,
            tried=(best, *list(others.values())[::-1])[: self.extent.settings],
            shape=self.table.shape,
            blocks=self.table.blocks,
            n_clips=self.table.rows.loc[self.table.originals, "emotion"].value_counts().to_dict(),
            metric=metric,
            reported=reported,
        )

    @property
    def pairs(self) -> Iterator[tuple[str, bool, Procedure, Procedure]]:
        """Each single leak: name, whether speakers are shared, procedures without and with it.

        A leak that makes rows before the split is measured under both protocols.
        """
        shared = LEAKS["speakers-shared"].leaky(self.leak_free)
        for name, leak in LEAKS.items():
            if self.extent.published_only or leak.not_applicable(self.selected[0]):
                continue
            yield name, False, leak.clean(self.leak_free), leak.leaky(self.leak_free)
            if leak.makes_rows:
                yield name, True, leak.clean(shared), leak.leaky(shared)

    def accumulate(self, candidate: Candidate, names: Sequence[str]) -> list[tuple[str, Procedure]]:
        """Return the procedures of cumulative leaks, each with the name of the leak it adds."""
        steps = [("", self.leak_free)]
        for name in names:
            if not LEAKS[name].not_applicable(candidate):
                steps.append((name, LEAKS[name].leaky(steps[-1][1])))
        return steps

    @cached_property
    def cumulative(self) -> list[tuple[Candidates, tuple[str, ...]]]:
        """Models and their cumulative leaks, the study's own selected model first."""
        reported = []
        for candidates in self.reported:
            made = {"speakers-shared", *self.leaks[candidates[0].model]}
            reported.append((candidates, tuple(name for name in LEAKS if name in made)))
        names = tuple(name for name, leak in LEAKS.items() if leak.cumulative)
        own = [] if self.extent.published_only else [(self.selected, names)]
        return [*own, *reported]

    @cached_property
    def experiments(self) -> list[Experiment]:
        """All experiments, each once."""
        wanted = [(self.selected, procedure) for _, _, *pair in self.pairs for procedure in pair]
        for candidates, names in self.cumulative:
            wanted += [(candidates, step) for _, step in self.accumulate(candidates[0], names)]
        distinct: dict[str, Experiment] = {}
        for candidates, procedure in wanted:
            for draw, candidate in enumerate(candidates):
                experiment = Experiment(candidate, procedure, draw)
                distinct.setdefault(repr(experiment), experiment)
        return list(distinct.values())

    def run(self, fits: FitRunner) -> tuple[list[Run], list[FitResult]]:
        """Return the runs of all experiments, and the results of their reported fits.

        The test set first selects hyperparameters, then the seed, where the procedure says so.
        """
        tried = fits.run([self._tried(experiment) for experiment in self.experiments])
        by_setting = [*map(self._scores, self.experiments, tried)]
        plans = [*map(self._final, self.experiments, by_setting)]
        runs, reported = [], []
        for experiment, made, results, scores in zip(
            self.experiments, plans, fits.run(plans), by_setting, strict=True
        ):
            by_seed = self._scores(experiment, results)
            best = int(np.argmax(by_seed))
            result = results[best]
            reported.append(result)
            runs.append(
                Run(
                    model=experiment.candidate.model,
                    draw=experiment.draw,
                    procedure=asdict(experiment.procedure),
                    params=made[best].setting.params,
                    seed=made[best].seed,
                    epochs=result.epochs,
                    n_trained=result.n_trained,
                    n_tested=len(result.rows),
                    by_setting=scores,
                    by_seed=by_seed if len(results) > 1 else (),
                )
            )
        return runs, reported

    def _tried(self, experiment: Experiment) -> list[FitPlan]:
        """Return the fits among which the test set selects hyperparameters; none without leak."""
        if experiment.procedure.settings != "test":
            return []
        last_epoch = replace(experiment, procedure=replace(experiment.procedure, epoch="training"))
        return [self._fit(last_epoch, setting, 0) for setting in experiment.candidate.tried]

    def _final(self, experiment: Experiment, by_setting: Sequence[float]) -> list[FitPlan]:
        """Return the fits with the selected hyperparameters, one per seed."""
        best = int(np.argmax(by_setting)) if by_setting else 0
        n_seeds = self.extent.seeds if experiment.procedure.seed == "test" else 1
        setting = experiment.candidate.tried[best]
        return [self._fit(experiment, setting, number) for number in range(n_seeds)]

    def _scores(self, experiment: Experiment, results: Sequence[FitResult]) -> tuple[float, ...]:
        emotions = self.table.rows["emotion"].to_numpy(dtype=np.str_)
        names, metric = sorted(self.study.emotions), experiment.candidate.metric
        return tuple(score_of(result, emotions, names, metric) for result in results)

    def _fit(self, experiment: Experiment, setting: Setting, number: int) -> FitPlan:
        candidate, study = experiment.candidate, self.study
        # The words of the seeds are fixed: others would change the published figures.
        seed, drawn_by = study.seed, stream(candidate.protocol)
        if candidate.part:
            drawn_by = f"{drawn_by}/{candidate.part}"
        elif experiment.draw:
            seed = derive_seed(study.seed, "anatomy", experiment.draw)
        # The seed with which the study fitted this model, where the split is the study's own.
        found = derive_seed(seed, drawn_by, candidate.model, "fit", candidate.trial)
        refit = derive_seed(found, "refit")
        on_test = experiment.procedure.epoch == "test"
        return FitPlan(
            model=candidate.model,
            setting=setting,
            seed=refit if number == 0 else derive_seed(refit, "another", number),
            procedure=replace(experiment.procedure, settings="training", seed="training"),
            split_seed=seed,
            test_size=study.split.test_size,
            outer_folds=study.split.folds,
            n_folds=study.search.folds,
            outer_fold=experiment.draw if study.split.folds else 0,
            metric=candidate.metric if on_test else "",
        )

    def ablation(
        self, finished: Sequence[Run], results: Sequence[FitResult], rows: StoredRows
    ) -> Ablation:
        """Return the record of finished experiments."""
        index = {repr(experiment): number for number, experiment in enumerate(self.experiments)}

        def runs(candidates: Candidates, procedure: Procedure) -> tuple[int, ...]:
            return tuple(
                index[repr(Experiment(candidate, procedure, draw))]
                for draw, candidate in enumerate(candidates)
            )

        plugins = self.result.versions.plugins
        return Ablation(
            name=self.result.name,
            study=self.study,
            data=self._data(),
            versions={
                **{name: version(name) for name in DECISIVE_LIBRARIES},
                "engines": {
                    one[0].model: MODELS[one[0].model].engine_version()
                    for one, _ in self.cumulative
                },
            }
            | ({"plugins": plugins} if plugins else {}),
            n_draws=len(self.selected),
            n_seeds=self.extent.seeds,
            runs=tuple(finished),
            single=tuple(
                SingleLeak(name, shared, runs(self.selected, clean), runs(self.selected, leaky))
                for name, shared, clean, leaky in self.pairs
            ),
            cumulative=tuple(self._cumulative(one, names, runs) for one, names in self.cumulative),
            predictions=_predictions(results, rows),
        )

    def _cumulative(
        self,
        candidates: Candidates,
        names: Sequence[str],
        runs: Callable[[Candidates, Procedure], tuple[int, ...]],
    ) -> Cumulative:
        one = candidates[0]
        return Cumulative(
            model=one.model,
            protocol=one.protocol,
            metric=one.metric,
            steps=tuple(
                Step(name, runs(candidates, step)) for name, step in self.accumulate(one, names)
            ),
            not_applicable={
                name: reason
                for name in (LEAKS if one.reported is None else names)
                if (reason := LEAKS[name].not_applicable(one))
            },
            reported=one.reported,
        )

    def _data(self) -> DataFacts:
        predictions = self.result.predictions
        own = predictions[
            (predictions["protocol"] == SPEAKER_INDEPENDENT)
            & (predictions["model"] == self.selected[0].model)
        ]
        if self.selected[0].part:
            own = own[own["part"] == self.selected[0].part]
        originals = self.table.rows[self.table.originals]
        return DataFacts(
            n_clips=len(originals),
            n_speakers=int(originals["speaker"].nunique()),
            left_out=tuple(n for n, corpus in self.result.data.corpora.items() if corpus.left_out),
            generated=self.result.generated,
            augment=tuple(sorted(set(self.table.rows["augmentation"]) - {""})),
            stored_score=float(
                METRICS[self.study.search.metric].of_counts(confusion(own, self.result.emotions))
            ),
        )


def _mean_epoch(text: str) -> int:
    """Return the epochs of a fit on all training rows, from those of a trial's folds; 0 if none."""
    return max(1, round(float(np.mean(json.loads(text))))) if text else 0


def _predictions(results: Sequence[FitResult], rows: StoredRows) -> pd.DataFrame:
    """Return the confusion counts of each run by speaker."""
    recordings = load_rows(rows)
    names = np.array(sorted(set(recordings.emotions.tolist())))
    speakers = recordings.frame["speaker"].to_numpy(dtype=np.str_)
    parts = [
        pd.DataFrame(
            {
                "run": number,
                "speaker": speakers[one.rows],
                "emotion": recordings.emotions[one.rows],
                "predicted": names[one.predicted],
            }
        )
        for number, one in enumerate(results)
    ]
    columns = ["run", "speaker", "emotion", "predicted"]
    joined = pd.concat(parts, ignore_index=True)
    return joined.groupby(columns, sort=True).size().rename("rows").reset_index()
