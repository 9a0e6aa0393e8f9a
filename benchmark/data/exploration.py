"""Exploration of a study's recordings before any fit: counts, voices, neighbours and outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.console import Bars, Console
from benchmark.corpora import Clip
from benchmark.data.prepare import (
    by_corpus,
    clip_frame,
    corpus_record,
    duplicates,
    read_corpora,
    shortfalls,
    study_clips,
)
from benchmark.data.prepared import result_name
from benchmark.data.record import Change, CorpusRecord
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.features import (
    FEATURE_SETS,
    SAMPLE_RATE_HZ,
    Extracted,
    extract,
    feature_set,
    spectral,
)
from benchmark.features.audio import decode
from benchmark.features.recordings import FileFacts, inspect_files
from benchmark.project import Job
from benchmark.study import Study, derive_seed

Floats = NDArray[np.float64]

FILES_PER_TASK = 48
MAP_CLIPS = 2_000  # t-SNE takes ten seconds for them; more points cover each other
MAP_COMPONENTS = 50
GROUPS = ["corpus", "speaker", "emotion"]  # a sample of the clips keeps their fractions
EXAMPLE_TRIM_DB = 25.0  # many clips begin and end with a second of breath and room noise
DISTANCES_AT_ONCE = 4_000_000  # 32 MB
MIN_RELATIVE_STD = 1e-6  # a feature is constant below this fraction of its largest value
MAX_EQUAL_FRACTION = 0.99  # a feature is constant if more clips than this have the same value
STRONG_CORRELATION = 0.95  # absolute
CLIPPED_SAMPLES = 10  # at full scale; fewer can be a single loud sample
OUTLIER = 3.5  # modified z-score (Iglewicz & Hoaglin 1993, How to detect and handle outliers)

PROSODY = {
    "trimmed_s": "duration_s",
    "level_db": "level_mean_db",
    "pitch_hz": "pitch_median_hz",
    "voiced": "voiced_share",
}
"""Columns of the clip table and the columns of the feature set `prosody` that they come from."""

OUTLIER_KINDS = ("sample_rate", "channels", "extension", "clipped", "quiet", "short", "long")
"""Ways in which a recording can differ from its corpus."""


@dataclass(frozen=True)
class Outlier:
    """A recording that differs from its corpus: a kind of `OUTLIER_KINDS`, and a measurement."""

    clip: str
    corpus: str
    kind: str
    note: str


@dataclass(frozen=True)
class FeatureFacts:
    """Redundant features.

    Attributes
    ----------
    columns : tuple of str
        All features.
    constant : tuple of str
        Near-constant features.
    correlated : tuple of (str, str, float)
        Strongly correlated pairs with their correlation, the strongest first.
    n_remaining : int
        Features left without near-constant ones and without any that is strongly correlated with
        an earlier one that is left.
    """

    columns: tuple[str, ...]
    constant: tuple[str, ...]
    correlated: tuple[tuple[str, str, float], ...]
    n_remaining: int


@dataclass(frozen=True)
class Example:
    """An example clip: mono float32 samples without quiet ends."""

    emotion: str
    clip: str
    speaker: str
    statement: str
    samples: NDArray[np.float32]
    sample_rate_hz: int


@dataclass(frozen=True)
class Exploration:
    """Everything that the page on a study's recordings shows.

    Attributes
    ----------
    name, question, features : str
        Of the study.
    changes : tuple of str
        Differences from the study file and its complete data.
    emotions : tuple of str
        Sorted.
    corpora : dict of str to CorpusRecord
    clips : DataFrame
        A row per usable clip, see `clip_table`.
    unusable : tuple of (str, str)
        Unusable clips, with the reason.
    duplicates : tuple of tuples of str
        Groups of clips with identical samples.
    outliers : tuple of Outlier
    neighbours : DataFrame
        See `neighbours`.
    explained : DataFrame
        See `explained_variance`.
    feature_facts : FeatureFacts
    examples : tuple of Example
        One per emotion.
    map : DataFrame
        A sample of the clips with their t-SNE coordinates `x` and `y`.
    """

    name: str
    question: str
    features: str
    changes: tuple[str, ...]
    emotions: tuple[str, ...]
    corpora: dict[str, CorpusRecord]
    clips: pd.DataFrame
    unusable: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, ...], ...]
    outliers: tuple[Outlier, ...]
    neighbours: pd.DataFrame
    explained: pd.DataFrame
    feature_facts: FeatureFacts
    examples: tuple[Example, ...]
    map: pd.DataFrame

    @property
    def used_corpora(self) -> list[str]:
        """Corpora with at least one usable clip."""
        return [name for name, corpus in self.corpora.items() if corpus.used]


def explore(study: Study, job: Job, console: Console) -> Exploration:
    """Return the exploration of a validated study's recordings.

    Raises
    ------
    BenchmarkError
        If recordings are missing without permission, or too few are usable.
    """
    recordings = read_corpora(study, job.sources, console)
    clips = study_clips(study, recordings)
    recipe = feature_set(study.features, study.sample_rate_hz)
    with Workers(job.workers) as workers:
        with console.bars() as bars:
            features, prosody = (
                extract(
                    clips,
                    one,
                    cache=job.sources.cache,
                    workers=workers,
                    progress=bars.add(f"features {one.name}", len(clips)).update,
                )
                for one in (recipe, FEATURE_SETS["prosody"])
            )
            files = _inspect(features.clips, workers, bars)
        if len(features.clips) <= len(study.emotions):
            raise BenchmarkError(
                f"study {study.name}: only {len(features.clips)} clips are usable; at least "
                f"{len(study.emotions) + 1} are needed."
            )
        for note in features.notes:
            console.info(note)
        table = clip_table(features, prosody, files)
        sample = stratified_sample(table, MAP_CLIPS, derive_seed(study.seed, "plane"))
        console.info(f"computing the t-SNE map of {len(sample)} clips")
        workers.submit(tsne_map, features.values[sample])
        overrides = [Change(kind="override", value=text) for text in job.overrides]
        name, changes = result_name(study.name, (*overrides, *shortfalls(recordings)))
        return Exploration(
            name=name,
            question=study.question,
            features=study.features,
            changes=tuple(change.text for change in changes),
            emotions=tuple(sorted(study.emotions)),
            corpora={
                name: corpus_record(name, found, table)
                for name, found in by_corpus(recordings, recordings).items()
            },
            clips=table,
            unusable=features.unusable,
            duplicates=duplicates(table),
            outliers=outliers(table),
            neighbours=neighbours(features.values, table),
            explained=explained_variance(table),
            feature_facts=feature_facts(features.values, recipe.columns),
            examples=_examples(table, features.clips),
            map=_mapped(workers, table, sample),
        )


def _inspect(clips: Sequence[Clip], workers: Workers, bars: Bars) -> list[FileFacts]:
    """Return the file facts of each clip, in the order of the clips."""
    chunks = [
        clips[first : first + FILES_PER_TASK] for first in range(0, len(clips), FILES_PER_TASK)
    ]
    bar, n_done = bars.add("files", len(clips)), 0
    inspected: dict[int, list[FileFacts]] = {}
    for task in workers.map(inspect_files, ((chunk,) for chunk in chunks)):
        if task.error is not None:
            raise task.error
        inspected[task.label] = task.result
        n_done += len(task.result)
        bar.update(n_done, len(clips))
    return [facts for number in sorted(inspected) for facts in inspected[number]]


def clip_table(features: Extracted, prosody: Extracted, files: Sequence[FileFacts]) -> pd.DataFrame:
    """Return a row per usable clip: its metadata, its file, and its level and pitch.

    Level and pitch are NaN for a clip that is too short, the pitch also without voiced frames.
    """
    columns = FEATURE_SETS["prosody"].columns
    measured = pd.DataFrame(
        prosody.values.astype(np.float64)[:, [columns.index(name) for name in PROSODY.values()]],
        index=[clip.id for clip in prosody.clips],
        columns=list(PROSODY),
    )
    voices = measured.reindex([clip.id for clip in features.clips]).reset_index(drop=True)
    voices["pitch_hz"] = voices["pitch_hz"].where(voices["pitch_hz"] > 0)
    columns_shown = [*GROUPS, "clip", "gender", "statement", "intensity", "samples"]
    metadata = clip_frame(features.clips, features.samples_digests)[columns_shown]
    metadata["as_named"] = [facts.as_named for facts in files]
    return pd.concat([metadata, pd.DataFrame(files, columns=FileFacts._fields), voices], axis=1)


def outliers(clips: pd.DataFrame) -> tuple[Outlier, ...]:
    """Return recordings that differ from the others of their corpus.

    Level and duration are compared by their modified z-score within the corpus.
    """
    return tuple(
        Outlier(str(clip), str(corpus), kind, note)
        for corpus, rows in clips.groupby("corpus", sort=False)
        for kind, (differs, notes) in _differences(rows).items()
        for clip, note in zip(rows["clip"][differs], notes[differs], strict=True)
    )


def _differences(rows: pd.DataFrame) -> dict[str, tuple[NDArray[np.bool_], pd.Series]]:
    """Return for each kind which clips of a corpus are outliers, and a note on every clip."""
    rate, channels = rows["sample_rate_hz"], rows["channels"]
    usual_rate, usual_channels = rate.mode().iloc[0], channels.mode().iloc[0]
    duration = modified_z(np.log(rows["duration_s"].to_numpy()))
    level = modified_z(rows["level_db"].to_numpy())
    seconds = rows["duration_s"].map("{:.2f} s".format)
    return {
        "sample_rate": (
            (rate != usual_rate).to_numpy(),
            rate.map(lambda hz: f"{hz:,} Hz; most of the corpus: {usual_rate:,} Hz"),
        ),
        "channels": (
            (channels != usual_channels).to_numpy(),
            channels.map(lambda n: f"{n} channels; most of the corpus: {usual_channels}"),
        ),
        "extension": (~rows["as_named"].to_numpy(), rows["container"] + " named " + rows["suffix"]),
        "clipped": (
            (rows["n_full"] >= CLIPPED_SAMPLES).to_numpy(),
            rows["n_full"].map("{:,} samples at full scale".format),
        ),
        "quiet": (
            level < -OUTLIER,
            rows["level_db"].abs().map("{:.0f} dB below full scale".format),
        ),
        "short": (duration < -OUTLIER, seconds),
        "long": (duration > OUTLIER, seconds),
    }


def modified_z(values: Floats) -> Floats:
    """Return the modified z-score: distance from the median by the median absolute deviation.

    The factor 0.6745 makes it a z-score for normal values (Iglewicz & Hoaglin 1993). It is 0 if
    more than half of the values are equal, and for NaN.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(len(values))
    deviation = float(np.median(np.abs(known - np.median(known))))
    if deviation == 0.0:
        return np.zeros(len(values))
    return np.asarray(np.nan_to_num(0.6745 * (values - np.median(known)) / deviation))


def standardised(values: NDArray[Any]) -> Floats:
    """Return features with mean 0 and standard deviation 1, without constant ones."""
    table = values.astype(np.float64)
    std = table.std(axis=0)
    varied = std > MIN_RELATIVE_STD * np.abs(table).max(axis=0)
    return np.asarray((table[:, varied] - table[:, varied].mean(axis=0)) / std[varied])


def neighbours(values: NDArray[Any], clips: pd.DataFrame) -> pd.DataFrame:
    """Return how often a clip's nearest neighbour has the same speaker, corpus and emotion.

    Nearest by Euclidean distance of the standardised features; copies of the same recording are
    excluded. For the last column, neighbours come from other speakers only. The first columns show
    what a speaker-dependent split offers a model, the last what a speaker-independent one leaves.

    Parameters
    ----------
    values : ndarray, shape (n_clips, n_features)
    clips : DataFrame
        A row per clip: corpus, speaker, emotion, samples.

    Returns
    -------
    DataFrame
        Fractions in columns `speaker`, `corpus`, `emotion` and `emotion_elsewhere` (NaN with a
        single speaker); rows ``""`` (all clips), each corpus, and ``chance`` (a random other clip).
    """
    nearest, elsewhere = nearest_clips(
        standardised(values), _codes(clips["samples"]), _codes(clips["speaker"])
    )
    same = pd.DataFrame(
        {
            name: _codes(clips[name])[nearest] == _codes(clips[name])
            for name in ("speaker", "corpus", "emotion")
        }
    ).astype(np.float64)
    emotion = _codes(clips["emotion"])
    same["emotion_elsewhere"] = np.where(
        elsewhere < 0, np.nan, (emotion[elsewhere] == emotion).astype(np.float64)
    )
    rows = {"": same.mean()}
    for corpus in dict.fromkeys(clips["corpus"]):
        rows[corpus] = same[(clips["corpus"] == corpus).to_numpy()].mean()
    rows["chance"] = _chance(clips)
    return pd.DataFrame(rows).T


def nearest_clips(
    points: Floats, recording: NDArray[np.intp], speaker: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return each clip's nearest other recording, and its nearest one of another speaker.

    Parameters
    ----------
    points : ndarray, shape (n_clips, n_dimensions)
    recording, speaker : ndarray of int, shape (n_clips,)
        Codes of recordings and speakers.

    Returns
    -------
    two ndarrays of int, shape (n_clips,)
        Indices of clips; -1 if there is none.
    """
    squares = np.square(points).sum(axis=1)
    nearest = np.empty(len(points), dtype=np.intp)
    elsewhere = np.empty(len(points), dtype=np.intp)
    step = max(1, DISTANCES_AT_ONCE // len(points))
    for first in range(0, len(points), step):
        block = slice(first, first + step)
        distance = (
            squares - 2.0 * points[block] @ points.T
        )  # without the clip's own square, which does not change the order
        for indices, group in ((nearest, recording), (elsewhere, speaker)):
            distance[group[block, np.newaxis] == group] = np.inf
            indices[block] = distance.argmin(axis=1)
            indices[block][np.isinf(distance.min(axis=1))] = -1
    return nearest, elsewhere


def _codes(names: pd.Series) -> NDArray[np.intp]:
    return np.asarray(pd.factorize(names)[0], dtype=np.intp)


def _chance(clips: pd.DataFrame) -> pd.Series:
    """Return the fractions of `neighbours` for a random other clip."""
    by_name = {
        name: clips.groupby(name)["clip"].transform("count").to_numpy()
        for name in ("speaker", "corpus", "emotion")
    }
    own = clips.groupby(["emotion", "speaker"])["clip"].transform("count").to_numpy()
    strangers = len(clips) - by_name["speaker"]
    fractions = {
        name: float(np.mean((count - 1) / (len(clips) - 1))) for name, count in by_name.items()
    }
    with np.errstate(invalid="ignore"):
        elsewhere = (by_name["emotion"] - own) / strangers.astype(np.float64)
    known = elsewhere[strangers > 0]
    fractions["emotion_elsewhere"] = float(known.mean()) if len(known) else float("nan")
    return pd.Series(fractions)


def explained_variance(clips: pd.DataFrame) -> pd.DataFrame:
    """Return the fraction of the variance of level and pitch that emotion and speaker explain.

    Correlation ratio: sum of squares between groups over the total (Fisher 1925); pitch in
    semitones.

    Returns
    -------
    DataFrame
        Rows `level_db` and `pitch_hz`, columns `emotion` and `speaker`; NaN for a constant.
    """
    measures = {"level_db": clips["level_db"], "pitch_hz": 12 * np.log2(clips["pitch_hz"])}
    ratios = {
        name: {group: _ratio(values, clips[group]) for group in ("emotion", "speaker")}
        for name, values in measures.items()
    }
    return pd.DataFrame(ratios).T


def _ratio(values: pd.Series, groups: pd.Series) -> float:
    known = values.notna()
    values, groups = values[known], groups[known]
    total = float(((values - values.mean()) ** 2).sum())
    if not total:
        return float("nan")
    between = float(((values.groupby(groups).transform("mean") - values.mean()) ** 2).sum())
    return between / total


def feature_facts(values: NDArray[Any], columns: Sequence[str]) -> FeatureFacts:
    """Return the near-constant and the strongly correlated features.

    Parameters
    ----------
    values : ndarray, shape (n_clips, n_features)
    columns : sequence of str
    """
    table = values.astype(np.float64)
    constant = np.array([_is_constant(column) for column in table.T], dtype=bool)
    varied = np.flatnonzero(~constant)
    points = standardised(table[:, varied])
    correlation = points.T @ points / len(points)
    first, second = np.nonzero(np.triu(np.abs(correlation) > STRONG_CORRELATION, k=1))
    strongest = np.argsort(-np.abs(correlation[first, second]), kind="stable")
    remaining: list[int] = []
    for index in range(len(varied)):
        if not (np.abs(correlation[index, remaining]) > STRONG_CORRELATION).any():
            remaining.append(index)
    return FeatureFacts(
        columns=tuple(columns),
        constant=tuple(columns[int(index)] for index in np.flatnonzero(constant)),
        correlated=tuple(
            (columns[int(varied[a])], columns[int(varied[b])], float(correlation[a, b]))
            for a, b in zip(first[strongest], second[strongest], strict=True)
        ),
        n_remaining=len(remaining),
    )


def _is_constant(column: Floats) -> bool:
    """Whether a feature hardly varies or has the same value in nearly all clips."""
    if column.std() <= MIN_RELATIVE_STD * np.abs(column).max():
        return True
    _, counts = np.unique(column, return_counts=True)
    return bool(counts.max() > MAX_EQUAL_FRACTION * len(column))


def stratified_sample(clips: pd.DataFrame, count: int, seed: int) -> NDArray[np.intp]:
    """Return the indices of at most `count` clips, with the same fractions of all groups.

    Groups are emotions within speakers: clips are shuffled, sorted by group, and taken at equal
    intervals.
    """
    if len(clips) <= count:
        return np.arange(len(clips))
    shuffled = np.random.default_rng(seed).permutation(len(clips))
    cells = clips[GROUPS].iloc[shuffled].reset_index(drop=True)
    order = shuffled[cells.sort_values(GROUPS, kind="stable").index.to_numpy()]
    return np.sort(order[np.arange(count) * len(clips) // count])


def tsne_map(values: NDArray[Any]) -> Floats:
    """Return features mapped to two dimensions, of shape (n_clips, 2).

    Standardised features, their first 50 principal components, t-SNE (van der Maaten & Hinton
    2008). It starts from the components, without randomness; a worker with one thread sums in a
    fixed order.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    points = standardised(values)
    n_components = min(MAP_COMPONENTS, *points.shape)
    reduced = PCA(n_components, svd_solver="full").fit_transform(points)
    perplexity = min(30.0, (len(points) - 1) / 3)
    layout = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
    return np.asarray(layout, dtype=np.float64)


def _mapped(workers: Workers, table: pd.DataFrame, sample: NDArray[np.intp]) -> pd.DataFrame:
    """Return the sampled clips with their coordinates, once the worker has computed them."""
    task = workers.next_done()
    assert task is not None
    if task.error is not None:
        raise task.error
    rows = table.iloc[sample][["clip", "corpus", "speaker", "gender", "emotion"]]
    return rows.reset_index(drop=True).assign(x=task.result[:, 0], y=task.result[:, 1])


def choose_examples(clips: pd.DataFrame) -> dict[str, int]:
    """Return the index of one clip per emotion, as comparable as possible.

    They have the speaker and the statement with most emotions, at normal intensity if the corpus
    provides it. Missing emotions come from the next speaker and statement.
    """
    ranked = clips.assign(position=np.arange(len(clips)), strong=clips["intensity"] == "strong")
    ranked = ranked.sort_values(["strong", "clip"], kind="stable")
    groups = [
        rows.drop_duplicates("emotion").set_index("emotion")["position"]
        for _, rows in ranked.groupby(["corpus", "speaker", "statement"], sort=True)
    ]
    chosen: dict[str, int] = {}
    for group in sorted(groups, key=len, reverse=True):
        for emotion, position in group.items():
            chosen.setdefault(str(emotion), int(position))
    return dict(sorted(chosen.items()))


def _examples(table: pd.DataFrame, clips: Sequence[Clip]) -> tuple[Example, ...]:
    """Return one clip per emotion with its samples, quiet ends removed."""
    examples = []
    for emotion, position in choose_examples(table).items():
        clip = clips[position]
        decoded = decode(clip.path.read_bytes(), SAMPLE_RATE_HZ, segment=clip.segment)
        samples = spectral.trim(decoded.samples, EXAMPLE_TRIM_DB)
        examples.append(
            Example(emotion, clip.id, clip.speaker, clip.statement, samples, SAMPLE_RATE_HZ)
        )
    return tuple(examples)
