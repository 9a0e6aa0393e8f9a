"""From a study's stored result to its anatomy: which experiments are run, where, and once only."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark import models
from benchmark.console import Bar, Console
from benchmark.data.prepare import measure, read_corpora
from benchmark.data.protocols import stream
from benchmark.data.tables import Table
from benchmark.engine import npz_cache
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import confusion, uar
from benchmark.evaluation.results import Result, Winner, read_result
from benchmark.leakage.fits import (
    DECISIVE_LIBRARIES,
    Answered,
    Order,
    StoredRows,
    load_rows,
    perform,
    score_of,
    store_rows,
)
from benchmark.leakage.leaks import MISTAKES, Conduct, Setting, Subject, honest
from benchmark.leakage.stored import Anatomy, Comparison, Run, Staircase, Step
from benchmark.project import Job, Sources
from benchmark.search.fitting import warm_up
from benchmark.study import BASELINE, Study, derive_seed

SPEAKER_INDEPENDENT = "speaker-independent"
COPIES = ("noise", "pitch")
"""With which the mistake of early copies is made where a study has no augmentation."""


@dataclass(frozen=True)
class Extent:
    """How much is run.

    Attributes
    ----------
    draws : int
        Splits that are drawn; the first is the study's own.
    seeds, settings : int
        Between how many the test rows choose.
    published_only : bool
        Whether the study's own winner is left out, and its source's figures alone are taken apart.
    """

    draws: int = 5
    seeds: int = 20
    settings: int = 10
    published_only: bool = False


@dataclass(frozen=True)
class Case:
    """One experiment: a model, how it is conducted, and on which draw of the split."""

    subject: Subject
    conduct: Conduct
    draw: int


@dataclass(frozen=True)
class Reported:
    """What an experiment reports.

    Attributes
    ----------
    order : Order
        The fit that is reported.
    tested : Answered
    by_setting, by_seed : tuple of float
        As `stored.Run` has them.
    """

    order: Order
    tested: Answered
    by_setting: tuple[float, ...]
    by_seed: tuple[float, ...]


Attempts = Generator[list[Order], list[Answered], Reported]
"""An experiment as it goes on: it asks for fits, is sent what they say, and at last reports."""


def dissect(study: Study, extent: Extent, job: Job, console: Console) -> Anatomy:
    """Return the anatomy of a study that has run.

    Parameters
    ----------
    study : Study
        As its file has it: the stored result decides everything but its source's mistakes.
    extent : Extent
    job : Job
    console : Console

    Raises
    ------
    BenchmarkError
        If the study has not run, has no unseen speakers or other recordings than its result.
    """
    result = stored_result(study.name, job.project.results)
    mistakes = study.claims.leaks if study.claims else {}
    if extent.published_only and not mistakes:
        raise BenchmarkError(
            f"study {study.name}: its file does not tell what its source did wrong. Add "
            "[claims.leaks], or leave --published-only out."
        )
    ran = result.study
    augmented = ran.model_copy(update={"augment": _copies(ran, extent, mistakes)})
    left_out = [name for name, c in result.data.corpora.items() if c.left_out]
    sources: Sources = replace(job.sources, allow_missing=tuple(left_out))
    recordings = read_corpora(augmented, sources, console)
    with Workers(job.workers) as workers:
        workers.warm_up(_warm_up)
        table, samples = measure(augmented, sources, recordings, workers, console)
        _check_same(result, table)
        cache = job.project.features_cache / "anatomy"
        rows = store_rows(table, samples, cache / study.name)
        plan = Planned(ran, result, extent, table, mistakes)
        with console.bars(timed=False) as bars:
            bench = Bench(rows, cache / "fits", workers, bars.add("fits", 0))
            reported = bench.conduct([plan.attempts(case) for case in plan.cases])
    return plan.anatomy(reported, rows)


def _copies(study: Study, extent: Extent, mistakes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the copies of clips that are asked for."""
    early = any("augmented-before-split" in made for made in mistakes.values())
    return study.augment or (() if extent.published_only and not early else COPIES)


def _warm_up() -> None:
    import benchmark.leakage.fits

    del benchmark.leakage.fits  # imported is all that it is to be
    warm_up(())


def stored_result(name: str, results: Path) -> Result:
    """Return a study's result, if an anatomy can be made of it.

    Raises
    ------
    BenchmarkError
        If the study has not run, or its result has no unseen speakers, several splits, normalised
        features, or auxiliary corpora.
    """
    folder = results / name
    if not (folder / "study.json").is_file():
        raise BenchmarkError(
            f"study {name} has not run: there is no {folder / 'study.json'}. An anatomy runs a "
            f"study's winner again: first `python -m benchmark run-study {name}`."
        )
    result = read_result(folder)
    protocols = sorted({winner.protocol for winner in result.winners})
    if SPEAKER_INDEPENDENT not in protocols:
        raise BenchmarkError(
            f"study {name} has no unseen speakers, only {', '.join(protocols)}: without an honest "
            f'score nothing can be told of flattering ones. Add "{SPEAKER_INDEPENDENT}" to [split] protocols '
            "and run it again."
        )
    split = result.study.split
    if split.folds is not None or split.repeats > 1:
        raise BenchmarkError(
            f"study {name} tests on several splits, each with a winner of its own; an anatomy runs "
            "the winner of one. Leave folds and repeats out of its [split] and run it again, or "
            "take a study without them."
        )
    if result.study.normalise != "none":
        raise BenchmarkError(
            f"study {name} normalises its features by {result.study.normalise}, which an "
            "anatomy can't do. Take a study without it."
        )
    if result.study.auxiliary:
        raise BenchmarkError(
            f"study {name} learns from auxiliary corpora too, which an anatomy can't do. Take a "
            "study without them."
        )
    return result


def _check_same(result: Result, table: Table) -> None:
    """Refuse recordings that are not those of the result."""
    here = table.rows.loc[table.originals, "corpus"].value_counts().to_dict()
    there = {name: corpus.used for name, corpus in result.data.corpora.items() if corpus.used}
    if here != there:
        raise BenchmarkError(
            f"study {result.name}: its result is of other clips ({_counted(there)}) than are here "
            f"({_counted(here)}). Give the recordings with which it ran, or run it again."
        )


def _counted(clips: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(clips.items()))


class Bench:
    """Where fits are done, each once, and kept for the next time.

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
        self._known: dict[str, Answered] = {}
        self._asked = 0

    def conduct(self, experiments: Sequence[Attempts]) -> list[Reported]:
        """Return what each experiment reports; all go on side by side."""
        reported: dict[int, Reported] = {}
        waiting = {number: next(attempts) for number, attempts in enumerate(experiments)}
        while waiting:
            self._perform([order for orders in waiting.values() for order in orders])
            for number, orders in list(waiting.items()):
                answers = [self._known[order.key(self._rows)] for order in orders]
                try:
                    waiting[number] = experiments[number].send(answers)
                except StopIteration as end:
                    reported[number] = end.value
                    del waiting[number]
        return [reported[number] for number in range(len(experiments))]

    def _perform(self, orders: Sequence[Order]) -> None:
        """Do all fits that are not known yet."""
        wanted = {order.key(self._rows): order for order in orders}
        new = {key: order for key, order in wanted.items() if key not in self._known}
        self._asked += len(new)
        for key, order in new.items():
            found = npz_cache.load(self._cache / f"{key}.npz")
            if found is None:
                label = f"{order.model}, draw with seed {order.draw_seed}"
                self._workers.submit(perform, self._rows, order, label=(key, label))
            else:
                self._known[key] = _tested(found)
        self._bar.update(len(self._known), self._asked)
        for task in self._workers.drain():
            key, label = task.label
            if isinstance(task.error, BenchmarkError):
                raise task.error
            if task.error is not None:
                raise task.failure(f"{label}: the fit failed") from task.error
            self._known[key] = task.result
            npz_cache.save(self._cache / f"{key}.npz", **asdict(task.result))
            self._bar.update(len(self._known), self._asked)


def _tested(found: dict[str, NDArray[Any]]) -> Answered:
    return Answered(found["rows"], found["predicted"], int(found["trained"]), int(found["epochs"]))


@dataclass(frozen=True)
class Planned:
    """Which experiments an anatomy takes.

    Attributes
    ----------
    study : Study
        As it ran.
    result : Result
    extent : Extent
    table : Table
        All clips and copies.
    mistakes : dict of str to sequence of str
        What the study's source did wrong, by model.
    """

    study: Study
    result: Result
    extent: Extent
    table: Table
    mistakes: Mapping[str, Sequence[str]]

    @property
    def honest(self) -> Conduct:
        """How the study itself is conducted."""
        return honest(bool(self.study.augment))

    @cached_property
    def subject(self) -> Subject:
        """The single model that won on unseen speakers, by inner score."""
        single = [
            winner
            for winner in self.result.winners
            if winner.protocol == SPEAKER_INDEPENDENT and not winner.members
        ]
        real = [winner for winner in single if winner.model != BASELINE] or single
        return self._subject(max(real, key=lambda winner: winner.score))

    def _subject(self, winner: Winner) -> Subject:
        protocol, model = winner.protocol, winner.model
        trials = self.result.trials
        here = (trials["protocol"] == protocol) & (trials["model"] == model)
        tried = [
            Setting(json.loads(trial.params), _mean_epoch(trial.epochs))
            for trial in trials[here & (trials["state"] == "complete")].itertuples()
        ]
        won = Setting(winner.params, winner.epochs or 0)
        others = {json.dumps(one.params, sort_keys=True): one for one in reversed(tried)}
        others.pop(json.dumps(won.params, sort_keys=True), None)
        return Subject(
            model=model,
            setting=won,
            trial=winner.trial or 0,
            protocol=protocol,
            tried=(won, *list(others.values())[::-1])[: self.extent.settings],
            shape=self.table.shape,
            counts=self.table.rows.loc[self.table.originals, "emotion"].value_counts().to_dict(),
        )

    @cached_property
    def published(self) -> tuple[Subject, ...]:
        """The models whose source's mistakes are known, with the settings for its protocol."""
        claims = self.study.claims
        return tuple(
            self._subject(winner)
            for winner in self.result.winners
            if claims is not None
            and winner.protocol == claims.protocol
            and self.mistakes.get(winner.model)
            and not winner.members
        )

    @property
    def comparisons(self) -> Iterator[tuple[str, str, Conduct, Conduct]]:
        """Each mistake alone: its name, who is on both sides, and the two conducts.

        A mistake that makes rows before the split is made under either split.
        """
        shared = MISTAKES["speakers-shared"].wrong(self.honest)
        for name, mistake in MISTAKES.items():
            if self.extent.published_only or mistake.lacking(self.subject):
                continue
            yield name, "apart", mistake.right(self.honest), mistake.wrong(self.honest)
            if mistake.makes_rows:
                yield name, "shared", mistake.right(shared), mistake.wrong(shared)

    def climb(self, subject: Subject, names: Sequence[str]) -> list[tuple[str, Conduct]]:
        """Return the conducts of a staircase, each with the mistake that it adds."""
        steps = [("", self.honest)]
        for name in names:
            if not MISTAKES[name].lacking(subject):
                steps.append((name, MISTAKES[name].wrong(steps[-1][1])))
        return steps

    @cached_property
    def climbs(self) -> list[tuple[Subject, tuple[str, ...]]]:
        """The models and mistakes of all staircases, the study's own winner first."""
        of_source = []
        for subject in self.published:
            made = {"speakers-shared", *self.mistakes[subject.model]}
            of_source.append((subject, tuple(name for name in MISTAKES if name in made)))
        climbed = tuple(name for name, mistake in MISTAKES.items() if mistake.climbed)
        own = [] if self.extent.published_only else [(self.subject, climbed)]
        return [*own, *of_source]

    @cached_property
    def cases(self) -> list[Case]:
        """All experiments, each once."""
        conducts = [(self.subject, c) for _, _, *pair in self.comparisons for c in pair]
        for subject, names in self.climbs:
            conducts += [(subject, conduct) for _, conduct in self.climb(subject, names)]
        found: dict[str, Case] = {}
        for subject, conduct in conducts:
            for draw in range(self.extent.draws):
                case = Case(subject, conduct, draw)
                found.setdefault(repr(case), case)
        return list(found.values())

    def attempts(self, case: Case) -> Attempts:
        """Ask for the fits of an experiment, choose among them, and return what it reports."""
        tried: tuple[Setting, ...] = (case.subject.setting,)
        by_setting: tuple[float, ...] = ()
        if case.conduct.settings == "test":
            unwatched = replace(case, conduct=replace(case.conduct, epoch="training"))
            tried = case.subject.tried
            answers = yield [self._order(unwatched, setting, 0) for setting in tried]
            by_setting = self._scores(case.subject, answers)
        setting = tried[int(np.argmax(by_setting))] if by_setting else tried[0]
        seeds = self.extent.seeds if case.conduct.seed == "test" else 1
        orders = [self._order(case, setting, number) for number in range(seeds)]
        answers = yield orders
        scores = self._scores(case.subject, answers)
        best = int(np.argmax(scores))
        return Reported(orders[best], answers[best], by_setting, scores if seeds > 1 else ())

    def _scores(self, subject: Subject, answers: Sequence[Answered]) -> tuple[float, ...]:
        emotions = self.table.rows["emotion"].to_numpy(dtype=np.str_)
        names, metric = sorted(self.study.emotions), self._metric(subject)
        return tuple(score_of(tested, emotions, names, metric) for tested in answers)

    def _order(self, case: Case, setting: Setting, number: int) -> Order:
        subject, study = case.subject, self.study
        seed = study.seed if case.draw == 0 else derive_seed(study.seed, "anatomy", case.draw)
        # As the study itself has fitted its winner, where the split is its own.
        found = derive_seed(seed, stream(subject.protocol), subject.model, "fit", subject.trial)
        fitted = derive_seed(found, "refit")
        return Order(
            model=subject.model,
            setting=setting,
            seed=fitted if number == 0 else derive_seed(fitted, "another", number),
            conduct=replace(case.conduct, settings="training", seed="training"),
            draw_seed=seed,
            test_size=study.split.test_size,
            n_folds=study.search.folds,
            metric=self._metric(subject) if case.conduct.epoch == "test" else "",
        )

    def _metric(self, subject: Subject) -> str:
        """Return by what the test rows choose: the study's metric, or its source's."""
        claims = self.study.claims
        if claims is not None and any(subject is one for one in self.published):
            return claims.metric
        return self.study.search.metric

    def anatomy(self, reported: Sequence[Reported], rows: StoredRows) -> Anatomy:
        """Return the record of finished experiments."""
        places = {repr(case): number for number, case in enumerate(self.cases)}

        def runs(subject: Subject, conduct: Conduct) -> tuple[int, ...]:
            every = (Case(subject, conduct, draw) for draw in range(self.extent.draws))
            return tuple(places[repr(case)] for case in every)

        subject = self.subject
        alone = [
            Comparison(name, speakers, runs(subject, right), runs(subject, wrong))
            for name, speakers, right, wrong in self.comparisons
        ]
        staircases = [
            Staircase(
                model=one.model,
                protocol=one.protocol,
                metric=self._metric(one),
                steps=tuple(Step(name, runs(one, c)) for name, c in self.climb(one, names)),
                lacking={
                    name: why
                    for name in (MISTAKES if claim is None else names)
                    if (why := MISTAKES[name].lacking(one))
                },
                published=claim,
            )
            for one, names in self.climbs
            for claim in [self._claim(one)]
        ]
        pairs = list(zip(self.cases, reported, strict=True))
        return Anatomy(
            name=self.result.name,
            settings=self.result.study.settings(),
            data=self._data(),
            versions={
                **{name: version(name) for name in DECISIVE_LIBRARIES},
                "engines": {one.model: models.engine(one.model) for one, _ in self.climbs},
            },
            draws=self.extent.draws,
            seeds=self.extent.seeds,
            runs=tuple(_run(case, one) for case, one in pairs),
            alone=tuple(alone),
            staircases=tuple(staircases),
            predictions=_predictions([one.tested for _, one in pairs], rows),
        )

    def _claim(self, subject: Subject) -> float | None:
        claims = self.study.claims
        if claims is None or not any(subject is one for one in self.published):
            return None
        return claims.values[subject.model]

    def _data(self) -> dict[str, Any]:
        predictions = self.result.predictions
        own = predictions[
            (predictions["protocol"] == SPEAKER_INDEPENDENT)
            & (predictions["model"] == self.subject.model)
        ]
        originals = self.table.rows[self.table.originals]
        corpora = self.result.data.corpora
        return {
            "clips": len(originals),
            "speakers": int(originals["speaker"].nunique()),
            "left_out": [name for name, corpus in corpora.items() if corpus.left_out],
            "generated": self.result.generated,
            "augment": sorted(set(self.table.rows["augmentation"]) - {""}),
            "measured": float(uar(confusion(own, self.result.emotions))),
        }


def _mean_epoch(text: str) -> int:
    """Return for how many epochs a trial would learn on the whole training side; 0 for none."""
    return max(1, round(float(np.mean(json.loads(text))))) if text else 0


def _run(case: Case, one: Reported) -> Run:
    return Run(
        model=case.subject.model,
        draw=case.draw,
        conduct=asdict(case.conduct),
        params=one.order.setting.params,
        seed=one.order.seed,
        epochs=one.tested.epochs,
        trained=one.tested.trained,
        tested=len(one.tested.rows),
        by_setting=one.by_setting,
        by_seed=one.by_seed,
    )


def _predictions(tested: Sequence[Answered], rows: StoredRows) -> pd.DataFrame:
    """Return how often each run takes each speaker's rows of an emotion for which."""
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
        for number, one in enumerate(tested)
    ]
    every = pd.concat(parts, ignore_index=True)
    columns = ["run", "speaker", "emotion", "predicted"]
    return every.groupby(columns, sort=True).size().rename("rows").reset_index()
