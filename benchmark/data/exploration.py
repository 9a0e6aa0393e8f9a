"""What a study's recordings are like, before anything is fitted: measured and counted here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.console import Bars, Console
from benchmark.corpora import CORPORA, Clip, Recordings, describe_shortfall
from benchmark.data.prepare import asked_for, read_corpora, result_name
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.features import FEATURE_SETS, Extracted, FeatureSet, extract, feature_set
from benchmark.features.recordings import FileFacts, inspect_files
from benchmark.project import Job, Sources
from benchmark.report.data_page import (
    CorpusFacts,
    Example,
    FeatureFacts,
    Odd,
    Survey,
    write_data_page,
)
from benchmark.study import Study, derive_seed

Floats = NDArray[np.float64]

FILES_A_TASK = 48
PLANE_CLIPS = 2_000  # t-SNE takes ten seconds for so many; a plane with more of them is a blot
PLANE_COMPONENTS = 50
GROUPS = ["corpus", "speaker", "emotion"]  # whose shares a drawn part of the clips keeps
PICTURE_TRIM_DB = 25.0  # many clips begin and end with a second of breath and room
DISTANCES_AT_ONCE = 4_000_000  # 32 MB
SAME_SPREAD = 1e-6  # of a feature's largest value: below it a feature is constant
SAME_SHARE = 0.99  # of clips with one and the same value: above it a feature is constant
ALIKE = 0.95  # absolute correlation above which two features say the same
FULL_SAMPLES = 10  # at full scale: more is no single loud sample but a cut top
OUTLIER = 3.5  # modified z-score (Iglewicz & Hoaglin 1993, How to detect and handle outliers)

PROSODY = {
    "trimmed_s": "duration_s",
    "level_db": "level_mean_db",
    "pitch_hz": "pitch_median_hz",
    "voiced": "voiced_share",
}
"""What the page shows of a voice, and which column of the feature set `prosody` tells it."""


def explore_study(study: Study, job: Job, console: Console) -> Path:
    """Return the data page of a checked study, written with its figures.

    Raises
    ------
    BenchmarkError
        If recordings are missing while that is not allowed, or too few can be used.
    """
    recordings = read_corpora(study, job.sources, console)
    clips = asked_for(study, recordings)
    recipe = feature_set(study.features, study.sample_rate_hz)
    with Workers(job.workers) as workers:
        with console.bars() as bars:
            features = _extract(recipe, clips, job.sources, workers, bars)
            prosody = _extract(FEATURE_SETS["prosody"], clips, job.sources, workers, bars)
            files = _inspect(features.clips, workers, bars)
        if len(features.clips) <= len(study.emotions):
            raise BenchmarkError(
                f"study {study.name}: {len(features.clips)} clips can be used, too few to look at."
            )
        table = clip_table(features, prosody, files)
        drawn = draw_alike(table, PLANE_CLIPS, derive_seed(study.seed, "plane"))
        console.info(f"laying {len(drawn)} clips out in two dimensions")
        workers.submit(plane, features.values[drawn])
        shortfalls = [
            describe_shortfall(CORPORA[name], found)
            for name, found in recordings.items()
            if found.missing
        ]
        name, changes = result_name(study.name, (*job.overrides, *shortfalls))
        survey = Survey(
            name=name,
            question=study.question,
            changes=changes,
            emotions=tuple(sorted(study.emotions)),
            features=study.features,
            corpora=tuple(_corpus_facts(name, recordings[name], table) for name in recordings),
            clips=table,
            unusable=features.unusable,
            duplicates=duplicates(table),
            odd=odd_recordings(table),
            neighbours=neighbours(features.values, table),
            explained=explained_variance(table),
            feature_facts=feature_facts(features.values, recipe.columns),
            examples=_examples(table, features.clips),
            plane=_laid_out(workers, table, drawn),
        )
    return write_data_page(survey, job.project.reports)


def _extract(
    features: FeatureSet, clips: Sequence[Clip], sources: Sources, workers: Workers, bars: Bars
) -> Extracted:
    return extract(
        clips,
        features,
        cache=sources.cache,
        workers=workers,
        progress=bars.add(f"features {features.name}", len(clips)).update,
    )


def _inspect(clips: Sequence[Clip], workers: Workers, bars: Bars) -> list[FileFacts]:
    """Return what each usable clip's file says of it, in their order."""
    paths = [clip.path for clip in clips]
    chunks = [paths[first : first + FILES_A_TASK] for first in range(0, len(paths), FILES_A_TASK)]
    bar, done = bars.add("files", len(paths)), 0
    found: dict[int, list[FileFacts]] = {}
    for task in workers.map(inspect_files, ((chunk,) for chunk in chunks)):
        if task.error is not None:
            raise task.error
        found[task.label] = task.result
        done += len(task.result)
        bar.update(done, len(paths))
    return [facts for number in sorted(found) for facts in found[number]]


def clip_table(features: Extracted, prosody: Extracted, files: Sequence[FileFacts]) -> pd.DataFrame:
    """Return a row a usable clip: what its name tells, its file, and its voice.

    Voice is not a number where a clip is too short to be measured, and so is a pitch of nothing
    voiced.
    """
    columns = FEATURE_SETS["prosody"].columns
    measured = pd.DataFrame(
        prosody.values.astype(np.float64)[:, [columns.index(name) for name in PROSODY.values()]],
        index=[clip.id for clip in prosody.clips],
        columns=list(PROSODY),
    )
    voices = measured.reindex([clip.id for clip in features.clips]).reset_index(drop=True)
    voices["pitch_hz"] = voices["pitch_hz"].where(voices["pitch_hz"] > 0)
    told = pd.DataFrame(
        {
            "clip": [clip.id for clip in features.clips],
            "corpus": [clip.corpus for clip in features.clips],
            "speaker": [clip.speaker for clip in features.clips],
            "gender": [clip.gender for clip in features.clips],
            "emotion": [clip.emotion for clip in features.clips],
            "statement": [clip.statement for clip in features.clips],
            "intensity": [clip.intensity for clip in features.clips],
            "samples": list(features.samples_digests),
            "as_named": [facts.as_named for facts in files],
        }
    )
    return pd.concat([told, pd.DataFrame(files, columns=FileFacts._fields), voices], axis=1)


def _corpus_facts(name: str, found: Recordings, table: pd.DataFrame) -> CorpusFacts:
    corpus = CORPORA[name]
    return CorpusFacts(
        name=name,
        title=corpus.title,
        official=corpus.official_clips,
        found=len(found.clips) if found.left_out is None else found.left_out,
        used=int((table["corpus"] == name).sum()),
        missing=found.missing,
        set_aside=found.set_aside,
        generated=corpus.generated,
        left_out=found.left_out is not None,
    )


def duplicates(clips: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Return the groups of clips that are the same recording, sample by sample."""
    same = clips.groupby("samples")["clip"].apply(lambda names: tuple(sorted(names)))
    return tuple(sorted(names for names in same if len(names) > 1))


def odd_recordings(clips: pd.DataFrame) -> tuple[Odd, ...]:
    """Return recordings that are not like the others of their corpus, and in what.

    Level and duration are judged by their modified z-score within the corpus.
    """
    return tuple(
        Odd(str(clip), str(corpus), kind, what)
        for corpus, rows in clips.groupby("corpus", sort=False)
        for kind, (which, what_of) in _oddities(rows).items()
        for clip, what in zip(rows["clip"][which], what_of[which], strict=True)
    )


def _oddities(rows: pd.DataFrame) -> dict[str, tuple[NDArray[np.bool_], pd.Series]]:
    """Return for each kind which clips of one corpus are odd, and a word on every clip."""
    rate, channels = rows["sample_rate_hz"], rows["channels"]
    usual_rate, usual_channels = rate.mode().iloc[0], channels.mode().iloc[0]
    length = modified_z(np.log(rows["duration_s"].to_numpy()))
    level = modified_z(rows["level_db"].to_numpy())
    seconds = rows["duration_s"].map("{:.2f} s".format)
    return {
        "sample_rate_hz": (
            (rate != usual_rate).to_numpy(),
            rate.map(lambda hz: f"{hz:,} Hz; the corpus has {usual_rate:,}"),
        ),
        "channels": (
            (channels != usual_channels).to_numpy(),
            channels.map(lambda n: f"{n} channels; the corpus has {usual_channels}"),
        ),
        "container": (~rows["as_named"].to_numpy(), rows["container"] + " named " + rows["ending"]),
        "clipped": (
            (rows["n_full"] >= FULL_SAMPLES).to_numpy(),
            rows["n_full"].map("{:,} samples at full scale".format),
        ),
        "quiet": (level < -OUTLIER, rows["level_db"].abs().map("{:.0f} dB below full".format)),
        "short": (length < -OUTLIER, seconds),
        "long": (length > OUTLIER, seconds),
    }


def modified_z(values: Floats) -> Floats:
    """Return how far values lie from their median, by their median absolute deviation.

    0.6745 makes it a z-score where values are normal (Iglewicz & Hoaglin 1993). It is 0 where more
    than half of the values are equal, and for what is not a number.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(len(values))
    deviation = float(np.median(np.abs(known - np.median(known))))
    if deviation == 0.0:
        return np.zeros(len(values))
    return np.asarray(np.nan_to_num(0.6745 * (values - np.median(known)) / deviation))


def standardised(values: NDArray[Any]) -> Floats:
    """Return features with mean 0 and standard deviation 1; constant ones are left out."""
    table = values.astype(np.float64)
    spread = table.std(axis=0)
    varied = spread > SAME_SPREAD * np.abs(table).max(axis=0)
    return np.asarray((table[:, varied] - table[:, varied].mean(axis=0)) / spread[varied])


def neighbours(values: NDArray[Any], clips: pd.DataFrame) -> pd.DataFrame:
    """Return how often a clip's nearest neighbour is of its own speaker, corpus and emotion.

    Neighbours are near in the standardised features (Euclidean distance); a copy of the same
    recording is none. The last column looks among other speakers' clips alone: the first two tell
    what a split at random lets a model use, the last what is left on unseen speakers.

    Parameters
    ----------
    values : ndarray, shape (n_clips, n_features)
    clips : DataFrame
        A row each: corpus, speaker, emotion, samples.

    Returns
    -------
    DataFrame
        Shares in `speaker`, `corpus`, `emotion` and `emotion_elsewhere` (NaN where there is one
        speaker), for ``""`` (all clips), for each corpus, and for ``chance``: another clip drawn
        at random.
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
        Equal where recording or speaker are.

    Returns
    -------
    two ndarrays of int, shape (n_clips,)
        Positions of clips; -1 where there is none.
    """
    squares = np.square(points).sum(axis=1)
    nearest = np.empty(len(points), dtype=np.intp)
    elsewhere = np.empty(len(points), dtype=np.intp)
    step = max(1, DISTANCES_AT_ONCE // len(points))
    for first in range(0, len(points), step):
        block = slice(first, first + step)
        distance = squares - 2.0 * points[block] @ points.T  # without the clip's own square
        for found, group in ((nearest, recording), (elsewhere, speaker)):
            distance[group[block, np.newaxis] == group] = np.inf
            found[block] = distance.argmin(axis=1)
            found[block][np.isinf(distance.min(axis=1))] = -1
    return nearest, elsewhere


def _codes(names: pd.Series) -> NDArray[np.intp]:
    return np.asarray(pd.factorize(names)[0], dtype=np.intp)


def _chance(clips: pd.DataFrame) -> pd.Series:
    """Return the shares of `neighbours` if the neighbour were drawn at random."""
    others = len(clips) - 1
    by_name = {
        name: clips.groupby(name)["clip"].transform("count").to_numpy()
        for name in ("speaker", "corpus", "emotion")
    }
    own = clips.groupby(["emotion", "speaker"])["clip"].transform("count").to_numpy()
    strangers = len(clips) - by_name["speaker"]
    shares = {name: float(np.mean((count - 1) / others)) for name, count in by_name.items()}
    with np.errstate(invalid="ignore"):
        elsewhere = (by_name["emotion"] - own) / strangers.astype(np.float64)
    known = elsewhere[strangers > 0]
    shares["emotion_elsewhere"] = float(known.mean()) if len(known) else float("nan")
    return pd.Series(shares)


def explained_variance(clips: pd.DataFrame) -> pd.DataFrame:
    """Return which share of the variance of level and pitch lies between emotions and speakers.

    Correlation ratio: the sum of squares between groups by that in all (Fisher 1925). Pitch counts
    in semitones.

    Returns
    -------
    DataFrame
        A row for `level_db` and `pitch_hz`, a column for `emotion` and `speaker`; NaN where nothing
        varies.
    """
    measures = {"level_db": clips["level_db"], "pitch_hz": 12 * np.log2(clips["pitch_hz"])}
    shares = {
        name: {group: _ratio(values, clips[group]) for group in ("emotion", "speaker")}
        for name, values in measures.items()
    }
    return pd.DataFrame(shares).T


def _ratio(values: pd.Series, groups: pd.Series) -> float:
    known = values.notna()
    values, groups = values[known], groups[known]
    everything = float(((values - values.mean()) ** 2).sum())
    if not everything:
        return float("nan")
    between = float(((values.groupby(groups).transform("mean") - values.mean()) ** 2).sum())
    return between / everything


def feature_facts(values: NDArray[Any], columns: Sequence[str]) -> FeatureFacts:
    """Return which features say nothing, or what another says.

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
    first, second = np.nonzero(np.triu(np.abs(correlation) > ALIKE, k=1))
    strongest = np.argsort(-np.abs(correlation[first, second]), kind="stable")
    kept: list[int] = []
    for place in range(len(varied)):
        if not (np.abs(correlation[place, kept]) > ALIKE).any():
            kept.append(place)
    return FeatureFacts(
        columns=tuple(columns),
        constant=tuple(columns[int(place)] for place in np.flatnonzero(constant)),
        correlated=tuple(
            (columns[int(varied[a])], columns[int(varied[b])], float(correlation[a, b]))
            for a, b in zip(first[strongest], second[strongest], strict=True)
        ),
        remaining=len(kept),
    )


def _is_constant(column: Floats) -> bool:
    """Whether a feature hardly varies, or has one value in nearly all clips."""
    if column.std() <= SAME_SPREAD * np.abs(column).max():
        return True
    _, counts = np.unique(column, return_counts=True)
    return bool(counts.max() > SAME_SHARE * len(column))


def draw_alike(clips: pd.DataFrame, count: int, seed: int) -> NDArray[np.intp]:
    """Return the positions of at most `count` clips in which all groups keep their shares.

    Groups are speakers and their emotions: clips are shuffled, ordered by group, and taken at even
    distances.
    """
    if len(clips) <= count:
        return np.arange(len(clips))
    shuffled = np.random.default_rng(seed).permutation(len(clips))
    cells = clips[GROUPS].iloc[shuffled].reset_index(drop=True)
    order = shuffled[cells.sort_values(GROUPS, kind="stable").index.to_numpy()]
    return np.sort(order[np.arange(count) * len(clips) // count])


def plane(values: NDArray[Any]) -> Floats:
    """Return features laid out in two dimensions, neighbours near: (n_clips, 2).

    Standardised, brought to their first 50 principal components, then t-SNE (van der Maaten &
    Hinton 2008). It starts from the components and draws nothing at random; runs in a worker, whose
    one thread adds in one order.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    points = standardised(values)
    n_components = min(PLANE_COMPONENTS, *points.shape)
    reduced = PCA(n_components, svd_solver="full").fit_transform(points)
    perplexity = min(30.0, (len(points) - 1) / 3)
    layout = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
    return np.asarray(layout, dtype=np.float64)


def _laid_out(workers: Workers, table: pd.DataFrame, drawn: NDArray[np.intp]) -> pd.DataFrame:
    """Return the drawn clips with their places in the plane, once the worker has them."""
    task = workers.next_done()
    assert task is not None
    if task.error is not None:
        raise task.error
    rows = table.iloc[drawn][["clip", "corpus", "speaker", "gender", "emotion"]]
    return rows.reset_index(drop=True).assign(x=task.result[:, 0], y=task.result[:, 1])


def choose_examples(clips: pd.DataFrame) -> dict[str, int]:
    """Return the position of one clip of each emotion, as comparable as there are.

    They are of the speaker and the words that have most emotions, spoken normally where the corpus
    tells; what they lack comes from the next speaker and words.
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
    """Return one clip of each emotion with its samples, quiet ends cut off."""
    from benchmark.features import SAMPLE_RATE_HZ, spectral
    from benchmark.features.audio import decode

    examples = []
    for emotion, position in choose_examples(table).items():
        clip = clips[position]
        decoded = decode(clip.path.read_bytes(), SAMPLE_RATE_HZ)
        samples = spectral.trim(decoded.samples, PICTURE_TRIM_DB)
        examples.append(
            Example(emotion, clip.id, clip.speaker, clip.statement, samples, SAMPLE_RATE_HZ)
        )
    return tuple(examples)
