"""From a study to its scale curve: each model is fitted once per outer fold, then tested often."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.console import Console
from benchmark.data.normalisation import normalised, normalised_tests, training_statistics
from benchmark.data.prepare import recorded
from benchmark.data.splits import Split, draw_splits
from benchmark.errors import BenchmarkError
from benchmark.features import feature_set
from benchmark.models import MODELS, FitContext
from benchmark.project import Job
from benchmark.speaker_scale.stored import INDUCTIVE, Curve, Source
from benchmark.study import BASELINE, Scale, Study, derive_seed

SPEAKER_INDEPENDENT = "speaker-independent"
N_CLIPS = (20, 10, 5, 3)
"""Numbers of random other clips, and of first clips, on the curve."""

N_PRIOR_CLIPS = 5
"""Clips for which the training statistics count on the curve. Chosen once, with LDA on inner folds
of RAVDESS: with 3 to 20 first clips, UAR for 2, 5 and 10 differs by at most 0.011."""

SKEWED = Scale(clips="skewed", n_clips=10, fraction_of_one_emotion=0.7)
"""Ten other clips, seven of one emotion: RAVDESS has no more beside a clip of that emotion."""

CALL = Scale(clips="call", n_clips=10, fraction_of_one_emotion=0.8)
"""A call of ten clips, eight of them of one emotion."""

SOURCES = (
    Source("all", Scale()),
    Source("others", Scale(clips="others")),
    *(Source(f"others_{n}", Scale(clips="others", n_clips=n)) for n in N_CLIPS),
    *(Source(f"first_{n}", Scale(clips="first", n_clips=n)) for n in N_CLIPS),
    *(
        Source(
            f"first_{n}_prior_{N_PRIOR_CLIPS}",
            Scale(clips="first", n_clips=n, n_prior_clips=N_PRIOR_CLIPS),
        )
        for n in N_CLIPS
    ),
    Source("neutral", Scale(clips="neutral")),
    Source("skewed", SKEWED),
    Source("call", CALL),
)
"""The clips that set the scale, beside no normalisation at all."""


def measure_curve(
    study: Study, job: Job, console: Console, sources: Sequence[Source] = SOURCES
) -> Curve:
    """Return the predictions of a study's models for each source of the test speakers' scale.

    Models learn from speakers who are scaled by all their clips, once per outer fold; each source
    gives other test rows to the same models. Without normalisation, models of their own are fitted.

    Parameters
    ----------
    study : Study
        Checked. Its models have fixed parameters only.
    job : Job
    console : Console
    sources : sequence of Source

    Raises
    ------
    BenchmarkError
        If the study is not of this kind, or a speaker has too few clips.
    """
    _check(study)
    originals, frame = recorded(study, job, console)
    splits = draw_splits(SPEAKER_INDEPENDENT, frame, study.split, study.search.folds, study.seed)
    scaled = normalised(study, originals, {})[0].values
    parts: list[pd.DataFrame] = []
    for split in splits:
        training = training_statistics(study, originals, split.train)
        tests = {
            source.name: normalised_tests(
                study, originals, source.scale, split.test, training
            ).values
            for source in sources
        }
        inductive = {INDUCTIVE: originals.values[split.test]}
        for model in study.models:
            if model != BASELINE:
                parts += _predicted(study, model, split, frame, scaled, tests)
                parts += _predicted(study, model, split, frame, originals.values, inductive)
    libraries = {name: _libraries(name) for name in study.models if name != BASELINE}
    names = [INDUCTIVE, *(source.name for source in sources)]
    return Curve(study, tuple(sources), libraries, _by_clip(parts, frame, names))


def _libraries(model: str) -> str:
    """Return what fits a model, with its versions."""
    plugins = [f"{package} {version}" for package, version in MODELS.versions([model]).items()]
    return ", ".join([MODELS[model].engine_version(), *plugins])


def _check(study: Study) -> None:
    """Refuse a study of another kind."""
    searched = [name for name, spec in study.models.items() if spec.space or spec.initial]
    epochs = [name for name in study.models if MODELS[name].min_folds > 2]
    obstacles = {
        'is not normalised by speaker. Set normalise = "speaker".': study.normalise != "speaker",
        "has a [scale] of its own; the curve measures all of them. Remove it.": (
            study.scale is not None
        ),
        "has augmented copies, covariates or auxiliary corpora, which the curve does not support. "
        "Remove them.": bool(study.augment or study.covariates or study.auxiliary),
        "has no outer folds, so that most speakers would not be tested. Set [split] folds.": (
            study.split.folds is None or study.split.repeats > 1
        ),
        f"searches hyperparameters of {', '.join(searched)}. Give single values.": bool(searched),
        f"has {', '.join(epochs)}, which needs an inner fold to be fitted. Remove it.": bool(
            epochs
        ),
    }
    for obstacle, present in obstacles.items():
        if present:
            raise BenchmarkError(f"study {study.name} {obstacle}")


def _predicted(
    study: Study,
    model: str,
    split: Split,
    frame: pd.DataFrame,
    learned: NDArray[np.float32],
    tests: dict[str, NDArray[np.float32]],
) -> Iterator[pd.DataFrame]:
    """Fit a model on a training side and yield its predictions of the test rows of each source."""
    entry, train = MODELS[model], split.train
    emotions = frame["emotion"].to_numpy(dtype=np.str_)
    features = feature_set(study.features, study.sample_rate_hz)
    seed = derive_seed(study.seed, "scale-curve", model, split.name)
    params, blocks = study.models[model].fixed, features.blocks
    pipeline = entry.build(params, seed, shape=features.shape, blocks=blocks)
    context = FitContext(
        fold=split.fold[train],
        genders=frame["gender"].to_numpy(dtype=np.str_)[train],
        validation=np.zeros(int(train.sum()), dtype=np.bool_),
        thresholds={},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence: as in the fits of a search
        fitted = entry.fit(pipeline, learned[train], emotions[train], context)
    for source, values in tests.items():
        yield pd.DataFrame(
            {
                "model": model,
                "source": source,
                "clip": frame["clip"].to_numpy()[split.test],
                "predicted": fitted.predict(values),
            }
        )


def _by_clip(
    parts: Sequence[pd.DataFrame], frame: pd.DataFrame, names: Sequence[str]
) -> pd.DataFrame:
    """Return a row per model and clip, with a column of predicted emotions per source."""
    table = pd.concat(parts, ignore_index=True).pivot_table(
        index=["model", "clip"], columns="source", values="predicted", aggfunc="first"
    )
    clips = frame[["clip", "corpus", "speaker", "emotion"]]
    joined = table.reset_index().merge(clips, on="clip", validate="many_to_one")
    columns = ["model", "clip", "corpus", "speaker", "emotion", *names]
    return joined[columns].sort_values(["model", "clip"], ignore_index=True)
