"""From a study to its calibration on unseen corpora: each corpus is left out once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.console import Console
from benchmark.data.prepare import recorded
from benchmark.data.protocols.cross_corpus import CROSS_CORPUS
from benchmark.data.splits import Split, draw_splits
from benchmark.engine.arrays import TrainingArrays
from benchmark.errors import BenchmarkError
from benchmark.features import Extracted
from benchmark.models import MODELS, probabilities
from benchmark.models.calibrator import Calibrator
from benchmark.project import Job
from benchmark.search.calibrate import Geometry, fit_calibrator, measure_geometry
from benchmark.search.fitting import Probabilities, fit_fold, fit_rows, fit_without_corpus
from benchmark.study import BASELINE, Study, derive_seed
from benchmark.unseen_corpora.stored import Fitted, Measurement

MIN_CORPORA = 3

IDENTITY = ["clip", "corpus", "speaker", "emotion"]


def measure_unseen_corpora(study: Study, job: Job, console: Console) -> Measurement:
    """Return a study's predictions of each corpus, after training and calibration without it.

    Parameters
    ----------
    study : Study
        Checked. Its models have fixed parameters only.
    job : Job
    console : Console

    Raises
    ------
    BenchmarkError
        If the study is not of this kind.
    """
    _check(study)
    originals, frame = recorded(study, job, console)
    if frame["corpus"].nunique() < MIN_CORPORA:
        raise BenchmarkError(
            f"study {study.name} has {frame['corpus'].nunique()} corpora, and needs "
            f"{MIN_CORPORA} or more: without one of them, another one is left out of training for "
            "the calibration. Name more in corpora."
        )
    rule, seed = study.split, study.seed
    splits = draw_splits(CROSS_CORPUS.name, frame, rule, study.search.folds, seed)
    models = [name for name in study.models if name != BASELINE]
    parts: list[pd.DataFrame] = []
    fitted: list[Fitted] = []
    with console.bars() as bars:
        bar = bars.add("corpora left out", len(splits) * len(models))
        for split in splits:
            arrays = _arrays(split, frame, originals)
            geometry = measure_geometry(arrays, leave_out=True)
            for model in models:
                own = _Fit(study, model, split, arrays, geometry)
                fitted.append(own.numbers())
                parts.append(own.predictions(frame, originals.values[split.test]))
                bar.update(len(fitted), len(splits) * len(models))
    libraries = {name: MODELS[name].engine_version() for name in models}
    return Measurement(study, tuple(fitted), libraries, pd.concat(parts, ignore_index=True))


class _Fit:
    """One model without one corpus, with its calibrator."""

    def __init__(
        self, study: Study, model: str, split: Split, arrays: TrainingArrays, geometry: Geometry
    ) -> None:
        self._study, self._model, self._split = study, model, split
        self._arrays, self._geometry = arrays, geometry
        self._params: Mapping[str, Any] = study.models[model].fixed
        self.emotions = np.unique(arrays.emotions)
        self.of_speakers = np.concatenate([self._fold(fold) for fold in range(arrays.n_folds)])
        corpora = [self._without(corpus) for corpus in geometry.left_out]
        of_corpora = np.concatenate(corpora) if corpora else None
        self.calibrator: Calibrator = fit_calibrator(geometry, self.of_speakers, of_corpora)

    @property
    def _engine(self) -> str | None:
        """The engine of held-out fits, as in a study: the search's if it has probabilities."""
        return None if MODELS[self._model].labels_only else self._study.search.engine

    def _seed(self, *purpose: str | int) -> int:
        return derive_seed(
            self._study.seed, "unseen-corpora", self._model, self._split.name, *purpose
        )

    def _fold(self, fold: int) -> Probabilities:
        entry, seed = MODELS[self._model], self._seed("fold", fold)
        found = fit_fold(self._arrays, entry, dict(self._params), seed, fold, engine=self._engine)
        return found.probabilities

    def _without(self, corpus: int) -> Probabilities:
        entry, seed = MODELS[self._model], self._seed("without", corpus)
        params = dict(self._params)
        return fit_without_corpus(self._arrays, entry, params, seed, corpus, self._engine)

    def numbers(self) -> Fitted:
        """Return the numbers of the calibrator."""
        one = self.calibrator
        frequencies = dict(zip(self.emotions.tolist(), one.frequencies.tolist(), strict=True))
        return Fitted(
            self._model, self._split.part, one.temperature, one.growth, one.nearest, frequencies
        )

    def predictions(self, frame: pd.DataFrame, tested: NDArray[np.float32]) -> pd.DataFrame:
        """Return the rows of the corpus left out, and of the speakers held out in training."""
        entry, arrays = MODELS[self._model], self._arrays
        rows = np.ones(len(arrays.fold), dtype=np.bool_)
        model = fit_rows(arrays, entry, self._params, self._seed("all"), rows)
        clips = frame.loc[self._split.train, IDENTITY].reset_index(drop=True)
        order = [np.flatnonzero(arrays.validation_rows(fold)) for fold in range(arrays.n_folds)]
        limit = np.float32(self.calibrator.limit)
        return pd.concat(
            [
                self._rows(
                    "corpus",
                    frame.loc[self._split.test, IDENTITY],
                    probabilities(model, tested),
                    self.calibrator.distances(tested),
                ),
                self._rows(
                    "speaker",
                    clips.iloc[np.concatenate(order)],
                    self.of_speakers,
                    self._geometry.speakers.distances / limit,
                ),
            ]
        )

    def _rows(
        self,
        held_out: str,
        clips: pd.DataFrame,
        predicted: Probabilities,
        distances: NDArray[np.float32],
    ) -> pd.DataFrame:
        names = pd.DataFrame(
            {"model": self._model, "left_out": self._split.part, "held_out": held_out},
            index=range(len(clips)),
        )
        columns = pd.DataFrame(predicted, columns=[f"p_{name}" for name in self.emotions])
        return pd.concat(
            [names, clips.reset_index(drop=True), columns, pd.Series(distances, name="distance")],
            axis=1,
        )


def _arrays(
    split: Split,
    frame: pd.DataFrame,
    originals: Extracted,
) -> TrainingArrays:
    """Return the training side of a split."""
    train, blocks = frame[split.train], originals.features.blocks
    return TrainingArrays(
        values=originals.values[split.train],
        emotions=train["emotion"].to_numpy(dtype=np.str_),
        fold=split.fold[split.train],
        originals=np.ones(len(train), dtype=np.bool_),
        genders=train["gender"].to_numpy(dtype=np.str_),
        corpora=pd.factorize(train["corpus"], sort=True)[0],
        clips=np.arange(len(train)),
        frames=np.array(originals.features.shape or (), dtype=np.intp),
        block_names=np.array([block.name for block in blocks], dtype=np.str_),
        block_widths=np.array([block.width for block in blocks], dtype=np.intp),
        apart=np.empty((len(train), 0), dtype=np.intp),
    )


def _check(study: Study) -> None:
    """Refuse a study of another kind."""
    searched = [name for name, spec in study.models.items() if spec.space or spec.initial]
    obstacles = {
        "is normalised. A recording of a new corpus comes alone. Remove normalise.": (
            study.normalise != "none"
        ),
        "has augmented copies, covariates or auxiliary corpora, which this measurement does not "
        "support. Remove them.": bool(study.augment or study.covariates or study.auxiliary),
        f"searches hyperparameters of {', '.join(searched)}. Give single values.": bool(searched),
    }
    for obstacle, present in obstacles.items():
        if present:
            raise BenchmarkError(f"study {study.name} {obstacle}")
