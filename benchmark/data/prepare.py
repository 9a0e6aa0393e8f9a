"""From a study to its tables: recordings are read, measured, split and checked, before any fit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.console import Bars, Console
from benchmark.corpora import CORPORA, Clip, Recordings, describe_shortfall, locate, read_corpus
from benchmark.data.splits import (
    INNER,
    PROTOCOLS,
    LeakError,
    Split,
    check_split,
    draw_splits,
    learn_also,
    stream,
)
from benchmark.data.tables import (
    IDENTITY,
    Table,
    read_csv,
    training_arrays,
    write_csv,
)
from benchmark.engine.arrays import StoredArrays, load_arrays, save_arrays
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.results import OWN_TABLES, UNUSABLE
from benchmark.features import Extracted, extract, feature_set
from benchmark.models import fewest_folds
from benchmark.project import Sources
from benchmark.study import Study, digest_of

UNUSABLE_SHARE = 0.01  # more clips than this that can't be used are a mistake, not bad luck


@dataclass(frozen=True)
class SplitTables:
    """One split's tables, ready to be searched on.

    Attributes
    ----------
    protocol, part : str
        As `splits.Split` has them.
    train, test : Table
    fold : ndarray of int, shape (n_train_rows,)
        The inner fold in which each row's clip is validated.
    folder : Path
        Where train.csv and test.csv lie, and the workers' arrays in ``arrays``.
    """

    protocol: str
    train: Table
    test: Table
    fold: NDArray[np.intp]
    folder: Path
    part: str = ""

    @property
    def name(self) -> str:
        """The split's name among all of a study: ``speaker-independent``, ``speaker-independent/f1``."""
        return f"{self.protocol}/{self.part}" if self.part else self.protocol

    @property
    def stream(self) -> str:
        """Name of its random streams: what seeds derive from."""
        return f"{stream(self.protocol)}/{self.part}" if self.part else stream(self.protocol)

    @property
    def identity(self) -> dict[str, str]:
        """What its rows in a result bear: protocol, and part where the protocol has several."""
        return {"protocol": self.protocol, **({"part": self.part} if self.part else {})}

    @property
    def emotions(self) -> list[str]:
        """The emotions that its clips have, sorted."""
        return sorted(set(self.train.rows["emotion"]))

    @property
    def arrays(self) -> StoredArrays:
        """The workers' arrays."""
        return StoredArrays(self.folder / "arrays", self.digest)

    @property
    def n_folds(self) -> int:
        """How many inner folds there are."""
        return int(self.fold.max()) + 1

    @property
    def digest(self) -> str:
        """A digest of all that is learned from: the training table and its folds."""
        digest = hashlib.blake2b(self.train.digest.encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self.fold, dtype=np.int64).tobytes())
        return digest.hexdigest()

    @property
    def clips_digest(self) -> str:
        """A digest of the clips, their emotions, sides and folds, whatever is measured of them."""
        originals = self.train.originals
        folds = self.fold[originals].tolist()
        sides = ((self.train.rows[originals], folds), (self.test.rows, [-1] * len(self.test.rows)))
        return digest_of(
            sorted(
                (clip, emotion, fold)
                for rows, fold_of in sides
                for clip, emotion, fold in zip(rows["clip"], rows["emotion"], fold_of, strict=True)
            )
        )


@dataclass(frozen=True)
class Prepared:
    """What a study's search starts from.

    Attributes
    ----------
    name : str
        The study's, with ``@`` and a digest where the data are not the study's own.
    changes : tuple of str
        In what this run is not the study's own.
    splits : tuple of SplitTables
        One a protocol, or one an outer fold of it.
    data : dict
        As `results.Result.data` wants it.
    origin : dict
        What the tables are made of, in words and digests.
    recipe : dict or None
        Of the features; None where they are a user's own.
    clips : DataFrame or None
        As `results.Result` has it.
    """

    name: str
    changes: tuple[str, ...]
    splits: tuple[SplitTables, ...]
    data: dict[str, Any]
    origin: dict[str, Any]
    recipe: dict[str, Any] | None = None
    clips: pd.DataFrame | None = None

    @property
    def clips_digests(self) -> dict[str, str]:
        """By split, a digest of the recordings, their emotions, sides and folds."""
        heard = self.origin.get("recordings", "")
        return {split.name: digest_of([heard, split.clips_digest]) for split in self.splits}


def prepare(
    study: Study,
    sources: Sources,
    recordings: Mapping[str, Recordings],
    overrides: Sequence[str],
    workers: Workers,
    console: Console,
) -> Prepared:
    """Return a study's tables, written below the cache.

    Parameters
    ----------
    study : Study
        Checked.
    sources : Sources
    recordings : mapping of str to Recordings
        From `read_corpora`.
    overrides : sequence of str
        What the command line changed of the study file.
    workers : Workers
    console : Console

    Raises
    ------
    BenchmarkError
        If recordings are missing or can't be used, or the protocols can't be kept with them.
    """
    if sources.tables is not None:
        return _from_tables(study, sources.tables, overrides, sources.cache, console)
    cache = sources.cache
    shortfalls = [
        describe_shortfall(CORPORA[name], found)
        for name, found in recordings.items()
        if found.missing
    ]
    clips = asked_for(study, recordings)
    # What clips' names tell is enough to see most of what can't be, before they are measured.
    unmeasured = _frame(clips, [clip.id for clip in clips])
    _check_emotions(study, recordings)
    _draw(study, unmeasured)
    with console.bars() as bars:
        originals = _extract(study, clips, "", cache, workers, bars)
        shortfalls += _check_usable(originals, len(clips), sources, console)
        frame = _frame(originals.clips, originals.samples_digests)
        drawn = _draw(study, frame)
        copies = _augment(study, originals, drawn, cache, workers, bars)
        originals, copies = _normalised(study, originals, copies)
        for augmentation, copy in copies.items():
            for clip, reason in copy.unusable:
                console.warning(f"copy left out: {clip} ({augmentation}): {reason}")
    name, changes = result_name(study.name, (*overrides, *shortfalls))
    features = feature_set(study.features, study.sample_rate_hz)
    normalised = {} if study.normalise == "none" else {"normalise": study.normalise}
    splits = tuple(
        _write_split(split, study, frame, originals, copies, cache / name) for split in drawn
    )
    return Prepared(
        name=name,
        changes=changes,
        splits=splits,
        data=_describe(study, recordings, originals, copies, frame, splits),
        origin={
            "recordings": digest_of(sorted(originals.samples_digests)),
            "features": features.recipe() | {"columns": len(features.columns)},
            "augment": list(study.augment),
            "emotions": sorted(study.emotions),
            **({"auxiliary": list(study.auxiliary)} if study.auxiliary else {}),
            **({"covariates": list(study.covariates)} if study.covariates else {}),
            **({"rename": study.rename} if study.rename else {}),
            **normalised,
        },
        recipe=features.recipe() | normalised,
        clips=_told_of(originals.clips),
    )


def measure(
    study: Study,
    sources: Sources,
    recordings: Mapping[str, Recordings],
    workers: Workers,
    console: Console,
) -> tuple[Table, NDArray[np.str_]]:
    """Return every clip and every copy of it, on whatever side it may come to stand.

    Parameters
    ----------
    study, sources, recordings, workers, console
        As `prepare` takes them.

    Returns
    -------
    table : Table
        The usable clips in the corpora's order, then their copies under each augmentation.
    samples : ndarray of str, shape (n_rows,)
        A digest of each row's recording, equal for a clip and its copies.
    """
    clips = asked_for(study, recordings)
    _check_emotions(study, recordings)
    with console.bars() as bars:
        originals = _extract(study, clips, "", sources.cache, workers, bars)
        _check_usable(originals, len(clips), sources, console)
        copies = {
            augmentation: _extract(
                study, originals.clips, augmentation, sources.cache, workers, bars
            )
            for augmentation in study.augment
        }
    frame = _frame(originals.clips, originals.samples_digests).set_index("clip", drop=False)
    parts = [(frame, originals.values, "")]
    for augmentation, copy in copies.items():
        parts.append((frame.loc[[clip.id for clip in copy.clips]], copy.values, augmentation))
    rows = pd.concat([part.assign(augmentation=name) for part, _, name in parts], ignore_index=True)
    features = feature_set(study.features, study.sample_rate_hz)
    values = _with_covariates(np.vstack([part for _, part, _ in parts]), rows, study.covariates)
    columns = (*features.columns, *(COVARIATES[name].column for name in study.covariates))
    table = Table(rows[list(IDENTITY)], values, columns, features.shape)
    return table, rows["samples"].to_numpy(dtype=np.str_)


def asked_for(study: Study, recordings: Mapping[str, Recordings]) -> list[Clip]:
    """Return the clips that take part, those of auxiliary corpora last."""
    return [
        clip
        for name in (*study.corpora, *study.auxiliary)
        for clip in recordings[name].clips
        if clip.emotion in study.emotions
    ]


def result_name(study: str, changes: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the name under which results stand; a changed study never has the study's own."""
    distinct = tuple(dict.fromkeys(changes))
    return (f"{study}@{digest_of(sorted(distinct))[:8]}" if distinct else study), distinct


def read_corpora(study: Study, sources: Sources, console: Console) -> dict[str, Recordings]:
    """Return the recordings of a study's corpora; of a study on a user's own tables, none.

    Raises
    ------
    BenchmarkError
        For all corpora that are not there, or are incomplete while that is not allowed.
    """
    found: dict[str, Recordings] = {}
    refused: list[str] = []
    corpora = (*study.corpora, *study.auxiliary) if sources.tables is None else ()
    for name in sources.allow_missing:
        if name not in corpora:
            raise unknown("corpus", name, corpora, f"--allow-missing, study {study.name}")
    for name in corpora:
        try:
            folder = locate(name, root=sources.root, given=sources.given, cache=sources.cache)
            found[name] = read_corpus(name, folder)
        except BenchmarkError as error:
            if name in sources.allow_missing:
                found[name] = Recordings((), left_out=0)
                console.warning(f"{name} is left out: {error}")
            else:
                refused.append(str(error))
            continue
        state = describe_shortfall(CORPORA[name], found[name])
        if found[name].missing and name in sources.allow_missing:
            found[name] = Recordings((), left_out=len(found[name].clips))
            console.warning(f"{name} is left out: {state}")
            continue
        if found[name].missing and not sources.allow_incomplete:
            refused.append(
                f"{state}. Complete the copy, or accept it with --allow-incomplete, which the "
                "report then shows."
            )
            continue
        aside = len(found[name].set_aside)
        extra = f", {aside} other audio files set aside" if aside else ""
        console.info(f"{state}{extra}  ({folder})")
    if refused:
        raise BenchmarkError(" | ".join(refused))
    if corpora and not any(found[name].clips for name in study.corpora):
        raise BenchmarkError(
            f"study {study.name}: every corpus of it is left out ({', '.join(corpora)}). Give one."
        )
    return {name: _renamed(recordings, study.rename) for name, recordings in found.items()}


def _renamed(recordings: Recordings, rename: Mapping[str, str]) -> Recordings:
    """Return recordings whose emotions bear the names that the study gives them."""
    if not rename:
        return recordings
    clips = [replace(c, emotion=rename.get(c.emotion, c.emotion)) for c in recordings.clips]
    return replace(recordings, clips=tuple(clips))


def _draw(study: Study, clips: pd.DataFrame) -> list[Split]:
    """Return the splits of all protocols, each model of the study with folds enough on each."""
    own = clips[~clips["corpus"].isin(study.auxiliary)]
    splits = [
        learn_also(split, clips) if study.auxiliary else split
        for protocol in study.split.protocols
        for split in draw_splits(protocol, own, study.split, study.search.folds, study.seed)
    ]
    for split in splits:
        for model in study.models:
            if split.n_folds < fewest_folds(model):
                raise BenchmarkError(
                    f"protocol {split.name}: its training side has {split.n_folds} inner folds, "
                    f"and [models.{model}] needs {fewest_folds(model)}, to stop learning or to "
                    "calibrate by. Take the model, or the protocol, out of the study."
                )
    return splits


def _extract(
    study: Study,
    clips: Sequence[Clip],
    augmentation: str,
    cache: Path,
    workers: Workers,
    bars: Bars,
) -> Extracted:
    title = f"features {study.features}" + (f", {augmentation}" if augmentation else "")
    return extract(
        clips,
        feature_set(study.features, study.sample_rate_hz),
        augmentation=augmentation,
        seed=study.seed,
        cache=cache,
        workers=workers,
        progress=bars.add(title, len(clips)).update,
    )


def _check_usable(
    originals: Extracted, asked: int, sources: Sources, console: Console
) -> list[str]:
    """Say which clips can't be used; refuse when they are many, or return that as a change."""
    for clip, reason in originals.unusable:
        console.warning(f"left out: {clip}: {reason}")
    if len(originals.unusable) <= UNUSABLE_SHARE * asked:
        return []
    if not sources.allow_incomplete:
        clip, reason = originals.unusable[0]
        raise BenchmarkError(
            f"{len(originals.unusable)} of {asked} clips can't be used (the first: {clip}: "
            f"{reason}); more than {UNUSABLE_SHARE:.0%} is refused. Mend them, or accept it with "
            "--allow-incomplete, which the report then shows."
        )
    return [f"{len(originals.unusable)} of {asked} {UNUSABLE}"]


def _check_emotions(study: Study, recordings: Mapping[str, Recordings]) -> None:
    """Refuse an emotion that no clip has."""
    there = sorted({clip.emotion for name in study.corpora for clip in recordings[name].clips})
    for emotion in study.emotions:
        if emotion not in there:
            raise unknown("emotion", emotion, there, f"study {study.name}")


def _frame(clips: Sequence[Clip], samples: Sequence[str]) -> pd.DataFrame:
    """Return what a protocol needs to know of each clip; `samples` tells equal recordings."""
    return pd.DataFrame(
        {
            "clip": [clip.id for clip in clips],
            "corpus": [clip.corpus for clip in clips],
            "speaker": [clip.speaker for clip in clips],
            "gender": [clip.gender for clip in clips],
            "emotion": [clip.emotion for clip in clips],
            "samples": list(samples),
        }
    )


def _augment(
    study: Study,
    originals: Extracted,
    drawn: Sequence[Split],
    cache: Path,
    workers: Workers,
    bars: Bars,
) -> dict[str, Extracted]:
    """Return the augmented copies of every clip that any protocol trains on, auxiliary ones not."""
    trained = np.logical_or.reduce([split.fold >= 0 for split in drawn])
    clips = [clip for clip, wanted in zip(originals.clips, trained, strict=True) if wanted]
    return {
        augmentation: _extract(study, clips, augmentation, cache, workers, bars)
        for augmentation in study.augment
    }


def _normalised(
    study: Study, originals: Extracted, copies: Mapping[str, Extracted]
) -> tuple[Extracted, dict[str, Extracted]]:
    """Return features less the mean of their speaker's (or corpus's) clips, over their spread.

    Copies are scaled by those made alike of the same speaker: a voice that is played faster is
    another voice, as speaker recognition takes it (Zhou et al. 2024, "A Comprehensive Investigation
    on Speaker Augmentation for Speaker Recognition"). No emotion is looked at, but several clips of
    a speaker are, a test speaker's too: what is measured is a model that may hear somebody for a
    while before it answers.
    """
    if study.normalise == "none":
        return originals, dict(copies)
    width = feature_set(study.features, study.sample_rate_hz).shape
    return _rescaled(originals, study.normalise, width), {
        name: _rescaled(copy, study.normalise, width) for name, copy in copies.items()
    }


def _groups(extracted: Extracted, by: str) -> dict[str, NDArray[np.intp]]:
    """Return the rows of each speaker, or corpus."""
    names = pd.Series([getattr(clip, by) for clip in extracted.clips], dtype=object)
    return {
        str(name): np.asarray(rows, np.intp) for name, rows in names.groupby(names).indices.items()
    }


def _scale(
    values: NDArray[np.float32], shape: tuple[int, int] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each number, or over time of each coefficient."""
    if shape is None:
        mean, spread = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    else:
        frames = values.reshape(-1, shape[1])
        mean, spread = (
            np.tile(of(axis=0, dtype=np.float64), shape[0]) for of in (frames.mean, frames.std)
        )
    return mean, np.where(spread > 0, spread, 1.0)


def _rescaled(extracted: Extracted, by: str, shape: tuple[int, int] | None) -> Extracted:
    values = np.empty_like(extracted.values)
    for rows in _groups(extracted, by).values():
        mean, spread = _scale(extracted.values[rows], shape)
        values[rows] = (extracted.values[rows] - mean) / spread
    return replace(extracted, values=values)


def _told_of(clips: Sequence[Clip]) -> pd.DataFrame:
    """Return what corpora tell of their clips beside speaker and emotion."""
    return pd.DataFrame(
        {
            "clip": [clip.id for clip in clips],
            "statement": [clip.statement for clip in clips],
            "intensity": [clip.intensity for clip in clips],
        }
    )


def _write_split(
    split: Split,
    study: Study,
    frame: pd.DataFrame,
    originals: Extracted,
    copies: Mapping[str, Extracted],
    folder: Path,
) -> SplitTables:
    """Join the rows of a split's two sides and write them down."""
    features = feature_set(study.features, study.sample_rate_hz)
    columns = (*features.columns, *(COVARIATES[name].column for name in study.covariates))
    place = {clip: number for number, clip in enumerate(frame["clip"])}
    rows = frame.assign(augmentation="")[list(IDENTITY)]
    parts, values, folds = [rows[split.train]], [(originals.values, split.train)], []
    folds.append(split.fold[split.train])
    for augmentation, copy in copies.items():
        places = np.array([place[clip.id] for clip in copy.clips], dtype=np.intp)
        wanted = split.train[places] if len(places) else np.zeros(0, bool)
        parts.append(rows.iloc[places[wanted]].assign(augmentation=augmentation))
        values.append((copy.values, wanted))
        folds.append(split.fold[places[wanted]])
    train_rows = pd.concat(parts, ignore_index=True)
    test_rows = rows[split.test].reset_index(drop=True)
    train_values = _with_covariates(_joined(values), train_rows, study.covariates)
    test_values = _with_covariates(originals.values[split.test], test_rows, study.covariates)
    train = Table(train_rows, train_values, columns, features.shape)
    test = Table(test_rows, test_values, columns, features.shape)
    place_of = folder / split.name
    fold = np.concatenate(folds)
    return _stored(SplitTables(split.protocol, train, test, fold, place_of, split.part))


def _joined(
    parts: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> NDArray[np.float32]:
    """Return the wanted rows of all parts below one another; they are never in memory twice."""
    ends = np.cumsum([0, *(wanted.sum() for _, wanted in parts)])
    joined = np.empty((ends[-1], parts[0][0].shape[1]), dtype=np.float32)
    for (values, wanted), start, end in zip(parts, ends, ends[1:], strict=False):
        # With another mode than "clip" NumPy would gather the rows apart first.
        np.take(values, np.flatnonzero(wanted), axis=0, out=joined[start:end], mode="clip")
    return joined


def _with_covariates(
    values: NDArray[np.float32], rows: pd.DataFrame, covariates: Sequence[str]
) -> NDArray[np.float32]:
    """Return rows with what is known of their clips as further numbers."""
    numbers = [COVARIATES[name].number(rows) for name in covariates]
    return np.column_stack([values, *numbers]).astype(np.float32) if numbers else values


def _gender_number(rows: pd.DataFrame) -> NDArray[np.float32]:
    """Return 0 for a woman's clip, 1 for a man's, and between where nobody tells."""
    told = rows["gender"].map({"female": 0.0, "male": 1.0}).fillna(0.5)
    numbers: NDArray[np.float32] = told.to_numpy(dtype=np.float32)
    return numbers


class Covariate(NamedTuple):
    """A number that is known of a clip: the name of its column, and how a table's rows tell it."""

    column: str
    number: Callable[[pd.DataFrame], NDArray[np.float32]]


COVARIATES = {"gender": Covariate("gender_male", _gender_number)}
"""What may stand beside the features, by its name in study files."""


def _stored(tables: SplitTables) -> SplitTables:
    """Check a split's tables once more as they are about to be used, and write them."""
    if not tables.test.originals.all():
        raise LeakError(f"protocol {tables.name}: the test table holds augmented rows.")
    shared = set(tables.train.rows["clip"]) & set(tables.test.rows["clip"])
    if shared:
        raise LeakError(f"protocol {tables.name}: {min(shared)} is in both tables.")
    by_clip = pd.Series(tables.fold).groupby(tables.train.rows["clip"].to_numpy()).nunique()
    if (by_clip > 1).any():
        raise LeakError(f"protocol {tables.name}: copies of {by_clip.idxmax()} are in two folds.")
    try:
        save_arrays(training_arrays(tables.train, tables.fold), tables.arrays.folder)
        write_csv(tables.train, tables.folder / "train.csv")
        write_csv(tables.test, tables.folder / "test.csv")
    except OSError as error:
        raise BenchmarkError(
            f"{tables.folder}: the tables can't be written ({error.strerror or error}). "
            "Features are kept; mend this and run the same command again."
        ) from error
    # The tables of all protocols need not be in memory together.
    values = load_arrays(tables.arrays).values
    return replace(tables, train=replace(tables.train, values=values))


def _from_tables(
    study: Study,
    paths: tuple[Path, Path],
    overrides: Sequence[str],
    cache: Path,
    console: Console,
) -> Prepared:
    """Prepare a study on a user's own train and test tables."""
    asked = {
        "normalise": study.normalise != "none",
        "auxiliary": bool(study.auxiliary),
        "[split] folds": study.split.folds is not None,
        "[split] repeats": study.split.repeats > 1,
    }
    for key, wanted in asked.items():
        if wanted:
            raise BenchmarkError(
                f"study {study.name}: {key} is not for tables of your own, which are made, split "
                "and scaled as you made them. Take the key out."
            )
    train, test = (_of_study(read_csv(path), study, path, console) for path in paths)
    if train.columns != test.columns:
        differing = sorted(set(train.columns) ^ set(test.columns)) or ["their order"]
        raise BenchmarkError(
            f"{paths[0]} and {paths[1]} have different features: {', '.join(differing[:5])}."
        )
    shared = set(train.rows["speaker"]) & set(test.rows["speaker"])
    protocol = "speaker-dependent" if shared else "speaker-independent"
    console.info(
        f"own tables: {len(train.rows)} training rows, {len(test.rows)} test rows; "
        + (f"{len(shared)} speakers on both sides" if shared else "no speaker on both sides")
        + f", so the protocol is {protocol}"
    )
    frame = _own_clips(train, test, paths[0])
    trained = frame["side"] == "train"
    divided = PROTOCOLS[protocol].divide(
        frame[trained].reset_index(drop=True), study.search.folds, study.seed, INNER
    )
    fold = np.full(len(frame), -1, dtype=np.intp)
    fold[trained.to_numpy()] = divided
    check_split(Split(protocol, ~trained.to_numpy(), fold), frame)
    fold_of = dict(zip(frame["clip"], fold, strict=True))
    name, changes = result_name(
        study.name, (*overrides, f"{OWN_TABLES} {train.digest[:12]} and {test.digest[:12]}")
    )
    rows_fold = train.rows["clip"].map(fold_of).to_numpy(dtype=np.intp)
    tables = _stored(SplitTables(protocol, train, test, rows_fold, cache / name / protocol))
    return Prepared(
        name=name,
        changes=changes,
        splits=(tables,),
        data={
            "corpora": {
                str(corpus): {
                    "title": "a user's own table", "home_page": "", "licence": "",
                    "official": None, "found": len(rows), "used": len(rows), "missing": [],
                    "speakers": int(rows["speaker"].nunique()),
                    "set_aside": [], "generated": False, "left_out": False,
                }
                for corpus, rows in frame.groupby("corpus")
            },
            "unusable": [],
            "duplicates": [],
            "clips": _counts(frame),
            "tables": {protocol: _table_facts(tables)},
            "folds": {protocol: _fold_facts(tables)},
        },
        origin={"tables": "a user's own", "emotions": sorted(study.emotions)},
    )  # fmt: skip


def _of_study(table: Table, study: Study, path: Path, console: Console) -> Table:
    """Return what a study takes of a user's table, as it takes it; say what it leaves out."""
    rows = table.rows.assign(emotion=table.rows["emotion"].replace(study.rename))
    there = sorted(set(rows["emotion"]))
    for emotion in study.emotions:
        if emotion not in there:
            raise unknown("emotion", emotion, there, f"study {study.name} on {path}")
    wanted = rows["emotion"].isin(study.emotions).to_numpy()
    if not wanted.all():
        others = ", ".join(sorted(set(rows.loc[~wanted, "emotion"])))
        console.info(f"{path}: {(~wanted).sum()} rows of other emotions are left out: {others}")
    rows = rows[wanted].reset_index(drop=True)
    shape = feature_set(study.features, study.sample_rate_hz).shape
    if shape is not None and len(table.columns) != shape[0] * shape[1]:
        raise BenchmarkError(
            f"{path}: {len(table.columns)} features, but the study's {study.features} are "
            f"{shape[0]} frames of {shape[1]} numbers each. Give a table of those, or name a "
            "feature set without frames with --set features=NAME."
        )
    lacking = [name for name in study.covariates if COVARIATES[name].column not in table.columns]
    columns = (*table.columns, *(COVARIATES[name].column for name in lacking))
    return Table(rows, _with_covariates(table.values[wanted], rows, lacking), columns, shape)


def _own_clips(train: Table, test: Table, path: Path) -> pd.DataFrame:
    """Return a row a clip of a user's two tables; of recordings they tell nothing but the name."""
    sides = [
        table.rows[table.originals].assign(side=side)
        for side, table in (("train", train), ("test", test))
    ]
    frame = pd.concat(sides, ignore_index=True)
    frame["samples"] = frame["clip"]
    twice = frame["clip"][frame["clip"].duplicated()]
    if len(twice):
        raise BenchmarkError(f"{path}: clip {twice.iloc[0]} stands in the two tables twice.")
    alone = set(train.rows["clip"]) - set(frame["clip"])
    if alone:
        raise BenchmarkError(
            f"{path}: clip {min(alone)} has augmented rows alone; its own row, with an empty "
            "augmentation, is missing."
        )
    return frame


def _describe(
    study: Study,
    recordings: Mapping[str, Recordings],
    originals: Extracted,
    copies: Mapping[str, Extracted],
    frame: pd.DataFrame,
    splits: Sequence[SplitTables],
) -> dict[str, Any]:
    """Return the data part of a result: what was found, used and left out."""
    corpora = {}
    for name in (*study.corpora, *study.auxiliary):
        corpus, found = CORPORA[name], recordings[name]
        corpora[name] = {
            "title": corpus.title,
            "home_page": corpus.home_page,
            "licence": corpus.licence,
            "official": corpus.official_clips,
            "found": len(found.clips) if found.left_out is None else found.left_out,
            "left_out": found.left_out is not None,
            "used": int((frame["corpus"] == name).sum()),
            "speakers": int(frame.loc[frame["corpus"] == name, "speaker"].nunique()),
            "missing": list(found.missing),
            "set_aside": [list(pair) for pair in found.set_aside],
            "generated": corpus.generated,
            **({"auxiliary": True} if name in study.auxiliary else {}),
        }
    repeated = frame[frame["samples"].duplicated(keep=False)]
    lost = [
        [f"{clip} ({augmentation})", reason]
        for augmentation, copy in copies.items()
        for clip, reason in copy.unusable
    ]
    return {
        "corpora": corpora,
        "unusable": [list(pair) for pair in originals.unusable] + lost,
        "duplicates": sorted(sorted(part) for _, part in repeated.groupby("samples")["clip"]),
        "clips": _counts(frame),
        "tables": {split.name: _table_facts(split) for split in splits},
        "folds": {split.name: _fold_facts(split) for split in splits},
    }


def _counts(frame: pd.DataFrame) -> list[list[Any]]:
    """Return [corpus, emotion, gender, clips, speakers] rows."""
    grouped = frame.groupby(["corpus", "emotion", "gender"], sort=True)["speaker"]
    return [[*key, len(part), int(part.nunique())] for key, part in grouped]


def _table_facts(tables: SplitTables) -> dict[str, Any]:
    return {
        side: {
            "rows": len(table.rows),
            "clips": int(table.rows["clip"].nunique()),
            "speakers": sorted(set(table.rows["speaker"])),
            "digest": table.digest,
        }
        for side, table in (("train", tables.train), ("test", tables.test))
    }


def _fold_facts(tables: SplitTables) -> list[dict[str, Any]]:
    facts = []
    originals = tables.train.originals
    for number in range(tables.n_folds):
        held_out = (tables.fold == number) & originals
        facts.append(
            {
                "train_clips": int((originals & (tables.fold != number)).sum()),
                "validation_clips": int(held_out.sum()),
                "validation_speakers": sorted(set(tables.train.rows.loc[held_out, "speaker"])),
            }
        )
    return facts
