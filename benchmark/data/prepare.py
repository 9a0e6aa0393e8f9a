"""From a study to its tables: clips are read, measured, split and checked, before any fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.console import Bars, Console
from benchmark.corpora import (
    CORPORA,
    Clip,
    Recordings,
    describe_shortfall,
    entry_of,
    locate,
    read_corpus,
)
from benchmark.data.covariates import COVARIATES, with_covariate_blocks, with_covariates
from benchmark.data.guards import (
    check_clips,
    check_emotions,
    check_encoders,
    check_own_features,
    check_sides,
    copies_across,
    named_alike,
)
from benchmark.data.near_duplicates import find_copies
from benchmark.data.normalisation import normalised, normalised_tests, training_statistics
from benchmark.data.own_tables import prepare_tables
from benchmark.data.prepared import Prepared, counts, result_name
from benchmark.data.protocols import PROTOCOLS
from benchmark.data.record import Change, CorpusRecord, DataRecord, Unusable
from benchmark.data.split_tables import SplitTables, write_tables
from benchmark.data.splits import Split, draw_splits, with_auxiliary
from benchmark.data.tables import IDENTITY, Table
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError, unknown
from benchmark.features import Extracted, extract, feature_set
from benchmark.features.contamination import contaminated_encoders, tuned_encoders
from benchmark.models import MODELS
from benchmark.project import Job, Sources
from benchmark.study import Study, digest_of

REASONS_SHOWN = 3  # why files are set aside, in one line

UNUSABLE_FRACTION = 0.01  # of clips that may be unusable without --allow-incomplete


def prepare(
    study: Study,
    sources: Sources,
    recordings: Mapping[str, Recordings],
    overrides: Sequence[Change],
    workers: Workers,
    console: Console,
) -> Prepared:
    """Return the tables of a study's splits, written below the cache.

    Parameters
    ----------
    study : Study
        Checked.
    sources : Sources
    recordings : mapping of str to Recordings
        From `read_corpora`.
    overrides : sequence of Change
        What the command line changed of the study file.
    workers : Workers
    console : Console

    Raises
    ------
    BenchmarkError
        If recordings are missing or unusable, or do not allow a protocol.
    """
    if sources.tables is not None:
        return prepare_tables(study, sources, overrides, console)
    cache = sources.cache
    changes = [*overrides, *shortfalls(recordings)]
    tuned = tuned_encoders(study.features)
    changes += check_encoders(tuned, _tested(study, recordings), sources.allow)
    clips = study_clips(study, recordings)
    # Most impossible splits are found from names alone, before features are extracted.
    _check_emotions(study, recordings)
    auxiliary = by_corpus(study.auxiliary, recordings)
    named = clip_frame(clips, [clip.id for clip in clips])
    check_clips(named, study.split.protocols, sources.allow)
    for words in named_alike(named):
        console.warning(f"{words}: are they one person?")
    study_splits(study, named, auxiliary)
    with console.bars() as bars:
        originals = _extract(study, clips, "", cache, workers, bars)
        changes += _check_usable(originals, len(clips), sources, console)
        frame = clip_frame(originals.clips, originals.samples_digests)
        changes += check_clips(frame, study.split.protocols, sources.allow)
        changes += check_own_features(originals, frame["emotion"], sources.allow)
        drawn = study_splits(study, frame, auxiliary)
        pairs = find_copies(originals.clips, frame, cache, workers, bars)
        changes += check_sides(drawn, frame, pairs, sources.allow)
        copies = _augment(study, originals, drawn, cache, workers, bars)
        heard = _under_conditions(study, originals, drawn, cache, workers, bars)
    if few := copies_across(drawn, frame, pairs, allowed=0):
        console.warning(few)
    _report_unusable(copies, console)
    recorded = originals
    originals, copies = normalised(study, recorded, copies)
    name, distinct = result_name(study.name, changes)
    features = originals.features
    normalisation = {} if study.normalise == "none" else {"normalise": study.normalise}
    splits = tuple(
        _write_split(
            split, study, frame, {"": originals, **copies}, {"": recorded, **heard}, cache / name
        )
        for split in drawn
    )
    return Prepared(
        name=name,
        changes=distinct,
        splits=splits,
        data=_record(study, recordings, {"": originals, **copies}, frame, splits),
        origin={
            "recordings": digest_of(sorted(originals.samples_digests)),
            "features": features.recipe() | {"columns": len(features.columns)},
            "augment": list(study.augment),
            "emotions": sorted(study.emotions),
            **({"auxiliary": list(study.auxiliary)} if study.auxiliary else {}),
            **({"covariates": list(study.covariates)} if study.covariates else {}),
            **({"rename": study.rename} if study.rename else {}),
            **normalisation,
        },
        recipe=None if features.tables else features.recipe() | normalisation,
        clips=frame.drop(columns=["corpus", "speaker", "gender", "emotion", "samples"]),
        longest_clip_s=max(originals.durations_s),
    )


def _tested(study: Study, recordings: Mapping[str, Recordings]) -> list[str]:
    """Return the corpora of the test clips; those of a user's table by their own names."""
    return [name for name, one in by_corpus(study.corpora, recordings).items() if one.clips]


def _refuse_contaminated(study: Study, recordings: Mapping[str, Recordings]) -> None:
    """Refuse what `check_encoders` finds; a command that measures no result can't allow it."""
    found = contaminated_encoders(tuned_encoders(study.features), _tested(study, recordings))
    if found:
        raise BenchmarkError(found)


def _report_unusable(copies: Mapping[str, Extracted], console: Console) -> None:
    for augmentation, copy in copies.items():
        for clip, reason in copy.unusable:
            console.warning(f"augmented copy left out: {clip} ({augmentation}): {reason}")


def measure(
    study: Study,
    sources: Sources,
    recordings: Mapping[str, Recordings],
    workers: Workers,
    console: Console,
) -> tuple[Table, NDArray[np.str_]]:
    """Return the features of every clip and augmented copy, without splitting them.

    Parameters
    ----------
    study, sources, recordings, workers, console
        As `prepare` takes them.

    Returns
    -------
    table : Table
        The usable clips in the order of the corpora, then their copies by augmentation.
    samples : ndarray of str, shape (n_rows,)
        Digest of each row's recording, equal for a clip and its copies.
    """
    _refuse_contaminated(study, recordings)
    clips = study_clips(study, recordings)
    _check_emotions(study, recordings)
    with console.bars() as bars:
        originals = _extract(study, clips, "", sources.cache, workers, bars)
        _check_usable(originals, len(clips), sources, console)
        parts = {"": originals}
        for augmentation in study.augment:
            parts[augmentation] = _extract(
                study, originals.clips, augmentation, sources.cache, workers, bars
            )
    frame = clip_frame(originals.clips, originals.samples_digests)
    table, row_of = _table(study, frame, parts, np.ones(len(frame), dtype=np.bool_))
    return table, frame["samples"].to_numpy(dtype=np.str_)[row_of]


def recorded(study: Study, job: Job, console: Console) -> tuple[Extracted, pd.DataFrame]:
    """Return the features of a study's usable clips as recorded, and one row per clip.

    Raises
    ------
    BenchmarkError
        If recordings are missing, an emotion has none, or too few are usable.
    """
    recordings = read_corpora(study, job.sources, console)
    _refuse_contaminated(study, recordings)
    clips = study_clips(study, recordings)
    _check_emotions(study, recordings)
    with Workers(job.workers) as workers, console.bars() as bars:
        originals = _extract(study, clips, "", job.sources.cache, workers, bars)
        _check_usable(originals, len(clips), job.sources, console)
    return originals, clip_frame(originals.clips, originals.samples_digests)


def shortfalls(recordings: Mapping[str, Recordings]) -> list[Change]:
    """Return the incomplete corpora as changes."""
    return [
        Change(kind="incomplete", value=describe_shortfall(CORPORA[name], found))
        for name, found in recordings.items()
        if found.incomplete
    ]


def by_corpus(names: Iterable[str], recordings: Mapping[str, Recordings]) -> dict[str, Recordings]:
    """Return the recordings of each corpus; a user's table may name several."""
    return {
        corpus: found
        for name in names
        for corpus, found in (recordings[name].parts or {name: recordings[name]}).items()
    }


def study_clips(study: Study, recordings: Mapping[str, Recordings]) -> list[Clip]:
    """Return the clips of a study, those of auxiliary corpora last."""
    return [
        clip
        for name in (*study.corpora, *study.auxiliary)
        for clip in recordings[name].clips
        if clip.emotion in study.emotions
    ]


def read_corpora(study: Study, sources: Sources, console: Console) -> dict[str, Recordings]:
    """Return the recordings of a study's corpora; none for a study on a user's own tables.

    Raises
    ------
    BenchmarkError
        For all corpora that are missing, or incomplete without permission.
    """
    corpora = (*study.corpora, *study.auxiliary) if sources.tables is None else ()
    for name in sources.allow_missing:
        if name not in corpora:
            raise unknown("corpus", name, corpora, f"--allow-missing, study {study.name}")
    found = read_named(corpora, sources, console)
    if corpora and not any(found[name].clips for name in study.corpora):
        raise BenchmarkError(
            f"study {study.name}: all of its corpora are left out ({', '.join(corpora)})."
        )
    return {name: _renamed(recordings, study.rename) for name, recordings in found.items()}


def read_named(corpora: Sequence[str], sources: Sources, console: Console) -> dict[str, Recordings]:
    """Return the recordings of corpora by name.

    Raises
    ------
    BenchmarkError
        For all corpora that are missing, or incomplete without permission.
    """
    found: dict[str, Recordings] = {}
    refused: list[str] = []
    for name in corpora:
        try:
            folder = locate(name, root=sources.root, given=sources.given, cache=sources.cache)
            found[name] = read_corpus(name, folder)
            _refuse_corpora_read_twice(found[name], folder, {*corpora} - {name})
        except BenchmarkError as error:
            if name in sources.allow_missing:
                found[name] = Recordings((), left_out=0)
                console.warning(f"{name} is left out: {error}")
            else:
                refused.append(str(error))
            continue
        state = describe_shortfall(CORPORA[name], found[name]) + _set_aside(found[name])
        if found[name].incomplete and name in sources.allow_missing:
            found[name] = Recordings((), left_out=len(found[name].clips))
            console.warning(f"{name} is left out: {state}")
            continue
        if found[name].incomplete and not sources.allow_incomplete:
            refused.append(f"{state}. Complete the copy{_or_accept(sources)}.")
            continue
        console.info(f"{state}  ({folder})")
    if refused:
        raise BenchmarkError(" | ".join(refused))
    return found


def _set_aside(recordings: Recordings) -> str:
    """Return how many files were set aside and why, as the end of a line; empty for none."""
    reasons = Counter(reason for _, reason in recordings.set_aside)
    if not reasons:
        return ""
    first = {reason: file for file, reason in reversed(recordings.set_aside)}
    shown = [
        f"{count} × {reason}: {first[reason]}{', ...' if count > 1 else ''}"
        for reason, count in reasons.most_common(REASONS_SHOWN)
    ]
    more = f"; {len(reasons) - REASONS_SHOWN} more reasons" * (len(reasons) > REASONS_SHOWN)
    noun = "audio file" if reasons.total() == 1 else "audio files"
    return f"; {reasons.total():,} {noun} set aside ({'; '.join(shown)}{more})"


def _or_accept(sources: Sources) -> str:
    """Return how to go on nevertheless, where the command allows it, as the end of an advice."""
    if sources.allow_incomplete is None:
        return ""
    return ", or accept it with --allow-incomplete; the report then says so"


def _refuse_corpora_read_twice(found: Recordings, table: Path, others: Collection[str]) -> None:
    """Refuse a table with a corpus that the study reads from its own folder."""
    twice = [name for name in found.parts if name.casefold() in others]
    if twice:
        raise BenchmarkError(
            f"{table}: column 'corpus': {twice[0]} is also in the study's corpora. Read it from "
            "one of the two: remove it from the study, or its rows from the table."
        )


def _renamed(recordings: Recordings, rename: Mapping[str, str]) -> Recordings:
    """Return recordings with the emotions renamed as the study says."""
    if not rename:
        return recordings
    clips = [replace(c, emotion=rename.get(c.emotion, c.emotion)) for c in recordings.clips]
    parts = {corpus: _renamed(part, rename) for corpus, part in recordings.parts.items()}
    return replace(recordings, clips=tuple(clips), parts=parts)


def study_splits(study: Study, clips: pd.DataFrame, auxiliary: Collection[str]) -> list[Split]:
    """Return the splits of all protocols, each with enough inner folds for every model."""
    own = clips[~clips["corpus"].isin(auxiliary)]
    splits = [
        with_auxiliary(split, clips) if study.auxiliary else split
        for protocol in study.split.protocols
        for split in draw_splits(protocol, own, study.split, study.search.folds, study.seed)
    ]
    _refuse_inner_folds_within_inner_folds(study)
    for split in splits:
        for model in study.models:
            if split.n_folds < MODELS[model].min_folds:
                raise BenchmarkError(
                    f"protocol {split.name}: its training side has {split.n_folds} inner folds, "
                    f"but [models.{model}] needs {MODELS[model].min_folds} for early stopping or "
                    "calibration. Remove the model or the protocol from the study."
                )
    return splits


def _refuse_inner_folds_within_inner_folds(study: Study) -> None:
    """Refuse what learns across inner folds, which share sentences, under a text protocol.

    Early stopping, calibration, greedy selection and stacking use one inner fold beside another:
    folds that keep apart speakers or sentences, but not both.
    """
    protocols = [name for name in study.split.protocols if PROTOCOLS[name].text_independent]
    if not protocols:
        return
    models = [name for name in study.models if MODELS[name].min_folds > 2]
    refused = [f"[models.{name}]" for name in models]
    refused += [
        f"[ensembles] {name}" for name, how in study.ensembles.items() if isinstance(how, str)
    ]
    if refused:
        raise BenchmarkError(
            f"protocol {protocols[0]}: {refused[0]} learns across inner folds (early stopping, "
            "calibration, greedy selection or stacking), which share sentences here. Remove it, or "
            "remove the protocol from the study."
        )


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
    originals: Extracted, n_clips: int, sources: Sources, console: Console
) -> list[Change]:
    """Report unusable clips and unused rows; refuse many unusable clips, or return a change."""
    for note in originals.notes:
        console.info(note)
    for clip, reason in originals.unusable:
        console.warning(f"left out: {clip}: {reason}")
    if len(originals.unusable) <= UNUSABLE_FRACTION * n_clips:
        return []
    if not sources.allow_incomplete:
        clip, reason = originals.unusable[0]
        raise BenchmarkError(
            f"{len(originals.unusable)} of {n_clips} clips can't be used (the first: {clip}: "
            f"{reason}); more than {UNUSABLE_FRACTION:.0%} is refused. Repair "
            f"them{_or_accept(sources)}."
        )
    return [Change(kind="unusable", value=f"{len(originals.unusable)} of {n_clips}")]


def _check_emotions(study: Study, recordings: Mapping[str, Recordings]) -> None:
    """Refuse an emotion that no clip has, and one that some clips have in another writing."""
    found = Counter(clip.emotion for name in study.corpora for clip in recordings[name].clips)
    check_emotions(found, study.emotions, f"study {study.name}")


def clip_frame(clips: Sequence[Clip], samples: Sequence[str]) -> pd.DataFrame:
    """Return one row per clip with all facts of its corpus, as protocols take it.

    Equal recordings have equal `samples`.
    """
    identity = pd.DataFrame(
        {
            "clip": [clip.id for clip in clips],
            "corpus": [clip.corpus for clip in clips],
            "speaker": [clip.speaker for clip in clips],
            "gender": [clip.gender for clip in clips],
            "emotion": [clip.emotion for clip in clips],
            "samples": list(samples),
        }
    )
    return identity.join(pd.DataFrame([clip.facts for clip in clips]).fillna(""))


def duplicates(clips: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Return the groups of clips with identical samples."""
    repeated = clips[clips["samples"].duplicated(keep=False)]
    return tuple(sorted(tuple(sorted(part)) for _, part in repeated.groupby("samples")["clip"]))


def _augment(
    study: Study,
    originals: Extracted,
    drawn: Sequence[Split],
    cache: Path,
    workers: Workers,
    bars: Bars,
) -> dict[str, Extracted]:
    """Return the augmented copies of all training clips, without those of auxiliary corpora."""
    trained = np.logical_or.reduce([split.fold >= 0 for split in drawn])
    clips = [clip for clip, wanted in zip(originals.clips, trained, strict=True) if wanted]
    return {
        augmentation: _extract(study, clips, augmentation, cache, workers, bars)
        for augmentation in study.augment
    }


def _under_conditions(
    study: Study,
    originals: Extracted,
    drawn: Sequence[Split],
    cache: Path,
    workers: Workers,
    bars: Bars,
) -> dict[str, Extracted]:
    """Return the test clips as measured under each condition.

    Where other clips set the scale of a test clip, all clips of its corpus are measured: they are
    heard under the same condition.

    Raises
    ------
    BenchmarkError
        If a clip can't be used under a condition.
    """
    tested = np.logical_or.reduce([split.test for split in drawn])
    clips = [clip for clip, one in zip(originals.clips, tested, strict=True) if one]
    if study.normalise != "none":
        corpora = {clip.corpus for clip in clips}
        clips = [clip for clip in originals.clips if clip.corpus in corpora]
    heard = {}
    for condition in study.conditions:
        heard[condition] = _extract(study, clips, condition, cache, workers, bars)
        for clip, reason in heard[condition].unusable:
            raise BenchmarkError(
                f"conditions: {condition}: {clip} can't be used: {reason}. All conditions need the "
                "same test clips: remove this one, or choose another amount."
            )
    return heard


def _write_split(
    split: Split,
    study: Study,
    frame: pd.DataFrame,
    parts: Mapping[str, Extracted],
    heard: Mapping[str, Extracted],
    folder: Path,
) -> SplitTables:
    """Return the tables of a split, training and test table written to its folder.

    Parameters
    ----------
    split, study, frame
    parts : mapping of str to Extracted
        By augmentation, normalised features for training; "" for the clips as recorded.
    heard : mapping of str to Extracted
        By condition, features for the test side, not normalised; "" for the clips as recorded.
    folder : Path
    """
    train, row_of = _table(study, frame, parts, split.train)
    training = training_statistics(study, heard[""], split.train) if study.scale else None
    tests = {}
    for condition, part in heard.items():
        tested = np.isin([clip.id for clip in part.clips], frame["clip"][split.test])
        scaled = normalised_tests(study, part, study.scale, tested, training)
        tests[condition], _ = _table(study, frame, {condition: scaled}, split.test)
    fold, target = split.fold[row_of], folder / split.name
    apart = None if split.apart is None else split.apart[row_of]
    test = tests.pop("")
    return write_tables(SplitTables(split, train, test, fold, target, apart, tests))


def _table(
    study: Study, frame: pd.DataFrame, parts: Mapping[str, Extracted], side: NDArray[np.bool_]
) -> tuple[Table, NDArray[np.intp]]:
    """Return clips and their copies as one table, and the row of `frame` of each of its rows.

    Parameters
    ----------
    study : Study
    frame : DataFrame
        One row per clip.
    parts : mapping of str to Extracted
        Features by augmentation or condition; "" for the clips as recorded.
    side : ndarray of bool, shape (n_clips,)
        The rows of `frame` whose clips are in the table.
    """
    features = next(iter(parts.values())).features
    index = {clip: number for number, clip in enumerate(frame["clip"])}
    row_of, rows, values = [], [], []
    for augmentation, part in parts.items():
        all_rows = np.array([index[clip.id] for clip in part.clips], dtype=np.intp)
        wanted = side[all_rows]
        row_of.append(all_rows[wanted])
        rows.append(frame.iloc[all_rows[wanted]].assign(augmentation=augmentation)[list(IDENTITY)])
        values.append((part.values, wanted))
    table = pd.concat(rows, ignore_index=True)
    joined = with_covariates(_joined(values), table, study.covariates)
    columns = (*features.columns, *(COVARIATES[name].column for name in study.covariates))
    blocks = with_covariate_blocks(features.blocks, study.covariates)
    return Table(table, joined, columns, features.shape, blocks), np.concatenate(row_of)


def _joined(
    parts: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> NDArray[np.float32]:
    """Return the wanted rows of all parts, concatenated without a second copy in memory."""
    ends = np.cumsum([0, *(wanted.sum() for _, wanted in parts)])
    joined = np.empty((ends[-1], parts[0][0].shape[1]), dtype=np.float32)
    for (values, wanted), start, end in zip(parts, ends, ends[1:], strict=False):
        # Any other mode makes NumPy buffer the rows first.
        np.take(values, np.flatnonzero(wanted), axis=0, out=joined[start:end], mode="clip")
    return joined


def _record(
    study: Study,
    recordings: Mapping[str, Recordings],
    parts: Mapping[str, Extracted],
    frame: pd.DataFrame,
    splits: Sequence[SplitTables],
) -> DataRecord:
    """Return what a result records of its data: what was found, used and left out."""
    auxiliary = by_corpus(study.auxiliary, recordings)
    corpora = by_corpus(study.corpora, recordings) | auxiliary
    return DataRecord(
        corpora={
            name: corpus_record(name, found, frame, auxiliary=name in auxiliary)
            for name, found in corpora.items()
        },
        unusable=tuple(
            Unusable(
                corpus=clip.partition("/")[0], clip=clip, augmentation=augmentation, reason=reason
            )
            for augmentation, part in parts.items()
            for clip, reason in part.unusable
        ),
        duplicates=duplicates(frame),
        counts=counts(frame),
        splits={split.name: split.record for split in splits},
        tables={table.name: table.digest for table in parts[""].features.tables},
    )


def corpus_record(
    name: str, found: Recordings, clips: pd.DataFrame, *, auxiliary: bool = False
) -> CorpusRecord:
    """Return what was found of a corpus, and used in `clips`."""
    corpus = entry_of(name)
    used = clips[clips["corpus"] == name]
    return CorpusRecord(
        title=corpus.title,
        home_page=corpus.home_page,
        licence=corpus.licence,
        official=corpus.official_clips,
        found=len(found.clips) if found.left_out is None else found.left_out,
        left_out=found.left_out is not None,
        used=len(used),
        speakers=int(used["speaker"].nunique()),
        missing=found.missing,
        missing_labels=found.missing_labels,
        set_aside=found.set_aside,
        agreement=found.agreement,
        generated=corpus.generated,
        auxiliary=auxiliary,
        language=corpus.language,
        speech=corpus.speech,
    )
