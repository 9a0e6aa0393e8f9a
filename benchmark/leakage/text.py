"""Text ablation: what a score owes to test sentences that other speakers spoke in training.

Each part of the protocol speaker+text-independent is a test side: one group of sentences, spoken by
the speakers of one fold. Both arms train on other speakers, without one group of sentences. Without
the tested group, no test sentence is in training; without another group, each is. Both arms
train on as many clips of each emotion and on as many groups of sentences. Further feature sets are
measured on the same clips and arms, for example each layer of an encoder.

``reports/leakage/<study>/`` gets two files:

text.json
    The study's settings, the feature sets, the libraries that decide the fits, and the digest of
    the table.
text_predictions.parquet
    A row for each clip, feature set, normalisation and left-out group: clip, speaker, emotion,
    statement, group (of the sentence), normalise, left_out (group), predicted, features.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.console import Console
from benchmark.data.normalisation import normalised
from benchmark.data.prepare import recorded
from benchmark.data.protocols import PROTOCOLS
from benchmark.data.protocols.speaker_independent import voices_of
from benchmark.data.splits import draw_splits
from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import Floats
from benchmark.evaluation.records import read_record, write_record
from benchmark.hints import command
from benchmark.models import MODELS
from benchmark.project import Job
from benchmark.study import Study, digest_of

PROTOCOL = "speaker+text-independent"
MODEL, SHRINKAGE = "lda", 0.3
"""The model of all fits, declared before any of them: nothing is searched."""

NORMALISATIONS = ("none", "speaker")

FORMAT = 3
RECORD, TABLE = "text.json", "text_predictions.parquet"


@dataclass(frozen=True)
class TextAblation:
    """The text ablation of a study.

    Attributes
    ----------
    study : Study
        Corpus, emotions, features, folds and seed are taken from it; its models are not.
    features : dict of str to str
        By feature set, the study's first, a digest of all that decides its numbers.
    libraries : str
        That decide the fits, with their versions.
    predictions : DataFrame
        clip, speaker, emotion, statement, group, normalise, left_out, predicted, features.
    """

    study: Study
    features: Mapping[str, str]
    libraries: str
    predictions: pd.DataFrame


def run_text_ablation(studies: Sequence[Study], job: Job, console: Console) -> TextAblation:
    """Return the text ablation of a study's corpus.

    Parameters
    ----------
    studies : sequence of Study
        The study, then the same one with each further feature set.
    job : Job
    console : Console

    Raises
    ------
    BenchmarkError
        If the study has several corpora, no outer folds, or not the protocol of the ablation; if a
        feature set is repeated; if recordings are missing or unusable, or their sentences do not
        allow equal arms.
    """
    study = studies[0]
    _check(study)
    for name, times in Counter(one.features for one in studies).items():
        if times > 1:
            raise BenchmarkError(
                f"--features {name}: this set is measured already. Name each further set once; the "
                "study's own is always measured."
            )
    features: dict[str, str] = {}
    parts: list[pd.DataFrame] = []
    for one in studies:
        originals, clips = recorded(one, job, console)
        _check_corpora(study, len(set(clips["corpus"])) > 1)
        name = originals.features.name
        values = {
            how: normalised(one.model_copy(update={"normalise": how}), originals, {})[0].values
            for how in NORMALISATIONS
        }
        features[name] = digest_of(originals.features.recipe())
        parts.append(predict(study, clips, values).assign(features=name))
        if set(parts[-1]["clip"]) != set(parts[0]["clip"]):
            raise BenchmarkError(
                f"--features {name}: other clips are usable than with {study.features}. Remove the "
                "clips that one of them can't use from the corpus."
            )
    predictions = pd.concat(parts, ignore_index=True)
    return TextAblation(study, features, MODELS[MODEL].engine_version(), predictions)


def _check(study: Study) -> None:
    """Refuse a study whose design the ablation can't take over."""
    obstacles = {
        f"does not measure the protocol {PROTOCOL}. Add it to [split] protocols": (
            PROTOCOL not in study.split.protocols
        ),
        'has no outer folds. Set folds in its [split], for example "leave-one-speaker-out"': (
            study.split.folds is None or study.split.repeats > 1
        ),
    }
    for obstacle, present in obstacles.items():
        if present:
            raise _refusal(study, obstacle)
    _check_corpora(study, len(study.corpora) > 1 or bool(study.auxiliary))


def _check_corpora(study: Study, several: bool) -> None:
    if several:
        raise _refusal(
            study, "has several corpora, and the ablation is of one. Name one in corpora"
        )


def _refusal(study: Study, obstacle: str) -> BenchmarkError:
    return BenchmarkError(
        f"study {study.name} {obstacle}, or take another study such as savee_text."
    )


def predict(study: Study, clips: pd.DataFrame, values: Mapping[str, Floats]) -> pd.DataFrame:
    """Return the predictions of each clip in both arms.

    Parameters
    ----------
    study : Study
    clips : DataFrame
        As protocols take them.
    values : dict of str to ndarray of shape (n_clips, n_features)
        Features by normalisation.
    """
    columns = ["clip", "speaker", "emotion", "statement"]
    parts = [
        clips.loc[side.test, columns].assign(
            group=side.group, normalise=how, left_out=side.left_out,
            predicted=_predicted(study, clips["emotion"], values[how], side),
        )
        for how in values
        for side in sides(study, clips)
    ]  # fmt: skip
    order = ["normalise", "clip", "left_out"]
    return pd.concat(parts).sort_values(order, ignore_index=True)


@dataclass(frozen=True)
class Sides:
    """One fit: the test clips, their group of sentences, and what it trains on.

    Attributes
    ----------
    test, train : ndarray of bool, shape (n_clips,)
    group, left_out : int
        Group of the test sentences, and the group that is left out of training.
    """

    test: np.ndarray
    train: np.ndarray
    group: int
    left_out: int


def sides(study: Study, clips: pd.DataFrame) -> Iterator[Sides]:
    """Yield the sides of each fit; per test side, all train on as many clips of each emotion.

    Raises
    ------
    BenchmarkError
        If groups of sentences have different numbers of clips.
    """
    crossed_with = PROTOCOLS[PROTOCOL].crossed_with
    assert crossed_with is not None, "its folds are crossed with sentences"
    groups = crossed_with(clips, study.seed)
    voices = voices_of(clips)["voice"].to_numpy()
    for split in draw_splits(PROTOCOL, clips, study.split, study.search.folds, study.seed):
        others = ~np.isin(voices, voices[split.test])
        trained = pd.crosstab(
            groups[others], [voices[others], clips.loc[others, "emotion"].to_numpy()]
        )
        if trained.nunique().max() > 1 or len(trained) < 2:
            raise BenchmarkError(
                f"protocol {split.name}: the groups of sentences have different numbers of clips, "
                "so the arms would train on more clips than each other. Repair clips that are "
                "left out, or take a corpus whose speakers speak the same sentences."
            )
        for left_out in trained.index:
            train = others & (groups != left_out)
            yield Sides(split.test, train, int(groups[split.test][0]), int(left_out))


def _predicted(study: Study, emotions: pd.Series, values: Floats, side: Sides) -> np.ndarray:
    model = MODELS[MODEL].build({"shrinkage": SHRINKAGE}, study.seed)
    model.fit(values[side.train], emotions[side.train].to_numpy())
    return np.asarray(model.predict(values[side.test]))


def write_text_ablation(ablation: TextAblation, folder: Path) -> None:
    """Write the record below `folder`; text.json is written last."""
    record = {
        "format": FORMAT,
        "name": ablation.study.name,
        "settings": ablation.study.settings(),
        "features": dict(ablation.features),
        "libraries": ablation.libraries,
    }
    write_record(folder / ablation.study.name / RECORD, record, {TABLE: ablation.predictions})


def read_text_ablation(folder: Path) -> TextAblation:
    """Return the ablation that `write_text_ablation` wrote into `folder`.

    Raises
    ------
    BenchmarkError
        If a file is missing, corrupt, or in an unknown format.
    """
    advice = f"Run {command(f'text-ablation {folder.name}')} again."
    return read_record(folder / RECORD, [FORMAT], _ablation, advice)


def _ablation(record: dict[str, Any], tables: dict[str, bytes]) -> TextAblation:
    return TextAblation(
        study=Study.model_validate(record["settings"]),
        features={str(name): str(digest) for name, digest in record["features"].items()},
        libraries=str(record["libraries"]),
        predictions=pd.read_parquet(io.BytesIO(tables[TABLE])),
    )


def read_text_ablations(folder: Path) -> list[TextAblation]:
    """Return all text ablations below `folder`, by name."""
    return [read_text_ablation(path.parent) for path in sorted(folder.glob(f"*/{RECORD}"))]
