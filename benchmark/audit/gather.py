"""Gather the evidence of an audit: from a study, corpora, own tables or predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.audit.copies import overlapping
from benchmark.audit.effect import FEATURES
from benchmark.audit.evidence import Evidence, Numbers, Sound
from benchmark.console import Console
from benchmark.corpora import Clip
from benchmark.data.near_duplicates import find_copies
from benchmark.data.own_tables import with_features_of
from benchmark.data.prepare import (
    by_corpus,
    clip_frame,
    read_corpora,
    read_named,
    study_clips,
    study_splits,
)
from benchmark.data.protocols.given import FOLD, GIVEN, SPLIT, given_sides
from benchmark.data.splits import Split
from benchmark.data.tables import read_clips
from benchmark.engine.processes import Workers
from benchmark.engine.table_file import read_table
from benchmark.errors import BenchmarkError
from benchmark.evaluation.predictions import check_predictions
from benchmark.features import extract, feature_set, names_of
from benchmark.features.own_table import OWN_TABLE
from benchmark.project import Job
from benchmark.study import Study

TIMES = {"start", "end", "duration"}
"""Columns of numbers that tables of clips have, as audformat's: alone, they are no features."""

PROSODY = "prosody"
NUMBERS = {
    "duration_s": "duration",
    "level_mean_db": "level",
    "pitch_median_hz": "pitch",
    "pitch_90th_hz": "high pitch",
    "voiced_share": "voiced part",
}
"""Columns of the feature set `prosody` that are looked at alone, with their names on the page."""


def of_study(study: Study, job: Job, console: Console) -> Evidence:
    """Return the evidence of a study: its clips, its splits, and what is measured of the sound.

    Raises
    ------
    BenchmarkError
        If recordings are missing or do not allow a protocol.
    """
    recordings = read_corpora(study, job.sources, console)
    auxiliary = by_corpus(study.auxiliary, recordings)
    clips = study_clips(study, recordings)
    tables = [name for name in names_of(study.features) if name.startswith(f"{OWN_TABLE}:")]
    evidence = _measured(study.name, clips, job, console, "+".join(tables))
    return replace(evidence, splits=tuple(study_splits(study, evidence.clips, auxiliary)))


def of_corpora(names: Sequence[str], job: Job, console: Console, protocol: str = "") -> Evidence:
    """Return the evidence of whole corpora, with the split or folds that they state.

    Parameters
    ----------
    names : sequence of str
    job : Job
    console : Console
    protocol : str
        That the split or folds follow, as its user states it; empty if unknown.

    Raises
    ------
    BenchmarkError
        If a corpus is missing, or a protocol is stated and no split.
    """
    found = read_named(names, job.sources, console)
    clips = [clip for recordings in found.values() for clip in recordings.clips]
    divided = any(clip.facts.get(column) for clip in clips for column in (SPLIT, FOLD))
    if protocol and not divided:
        raise BenchmarkError(
            f"--protocol {protocol}: no clip has a side. Give each clip a split (train, dev, test) "
            "or a fold, as a column of your own table, or leave --protocol out."
        )
    called = [job.sources.given[name].stem if name == "csv" else name for name in names]
    evidence = _measured("+".join(called), clips, job, console)
    if not divided:
        return evidence
    sides = given_sides(evidence.clips)
    splits = [
        Split(protocol or GIVEN.name, test, np.where(train, 0, -1), part)
        for part, (train, test) in sides.items()
    ]
    return replace(evidence, splits=tuple(splits))


def of_tables(
    train: Path, test: Path, columns: Mapping[str, str] | None = None, protocol: str = ""
) -> Evidence:
    """Return the evidence of a user's own tables: of features, or of clips only.

    Parameters
    ----------
    train, test : Path
    columns : mapping of str to str, or None
        The tables' own names of columns, by ours.
    protocol : str
        As its user states it; empty if unknown.

    Raises
    ------
    BenchmarkError
        If a table can't be read, or the two have different features.
    """
    tables = [read_clips(path, columns, facts=True) for path in (train, test)]
    measured = bool({*tables[0].columns, *tables[1].columns} - TIMES)
    if measured:
        tables[1] = with_features_of(tables[0], tables[1], (train, test))
    clips = pd.concat([table.rows for table in tables], ignore_index=True).fillna("")
    tested = np.arange(len(clips)) >= len(tables[0].rows)
    evidence = Evidence(f"{train.stem}-{test.stem}", clips.assign(samples=""))
    if measured:
        values = np.concatenate([table.values for table in tables])
        digests = [blake2b(row.tobytes(), digest_size=16).hexdigest() for row in values]
        evidence = replace(
            evidence,
            clips=clips.assign(samples=digests),
            features=values,
            own=Numbers(tables[0].columns, values),
        )
    return replace(evidence, splits=(_given(protocol or GIVEN.name, tested),))


def of_predictions(path: Path, columns: Mapping[str, str], protocol: str = "") -> Evidence:
    """Return the evidence of a table of predictions: what its columns tell of the clips.

    Parameters
    ----------
    path : Path
        A column ``fold`` names the fold in which a clip was tested; all others trained.
    columns : mapping of str to str
        The table's own names of columns, by ours.
    protocol : str
        As its user states it; empty if unknown.

    Raises
    ------
    BenchmarkError
        If a column is missing or a row is wrong.
    """
    predictions = check_predictions(read_table(path), str(path), columns=columns)
    clips = predictions.rows[["clip", "corpus", "speaker", "gender", "emotion"]]
    clips = clips.merge(predictions.facts, on="clip").assign(samples="")
    folds = predictions.folds
    splits = [
        _given(protocol or GIVEN.name, folds == one, str(one))
        for one in ([] if folds is None else sorted(set(folds)))
    ]
    return Evidence(path.stem, clips, tuple(splits) if len(splits) > 1 else ())


def _given(protocol: str, tested: NDArray[np.bool_], part: str = "") -> Split:
    """Return a split that was not drawn here."""
    return Split(protocol, tested, np.where(tested, -1, 0), part)


def _measured(
    name: str, clips: Sequence[Clip], job: Job, console: Console, tables: str = ""
) -> Evidence:
    """Return the evidence of clips, measured; unusable ones are left out with a warning.

    `tables` is the feature set of a user's own tables; empty for none.
    """
    cache = job.sources.cache
    with Workers(job.workers) as workers, console.bars() as bars:
        prosody, features = (
            extract(
                clips,
                feature_set(one),
                cache=cache,
                workers=workers,
                progress=bars.add(f"features {one}", len(clips)).update,
            )
            for one in (PROSODY, FEATURES)
        )
        for clip, reason in dict((*prosody.unusable, *features.unusable)).items():
            console.warning(f"left out: {clip}: {reason}")
        both = {clip.id for clip in prosody.clips} & {clip.id for clip in features.clips}
        if not both:
            raise BenchmarkError(f"{name}: none of the {len(clips):,} recordings can be used.")
        prosody, features = (
            found.select(np.array([clip.id in both for clip in found.clips]))
            for found in (prosody, features)
        )
        frame = clip_frame(prosody.clips, prosody.samples_digests)
        copies = find_copies(prosody.clips, frame, cache, workers, bars)
        own = None
        if tables:
            found = extract(prosody.clips, feature_set(tables), cache=cache, workers=workers)
            own = Numbers(found.features.columns, found.values)
    numbers = pd.DataFrame(prosody.values, columns=list(feature_set(PROSODY).columns))
    return Evidence(
        name,
        frame,
        sound=Sound(
            copies=tuple(copies),
            overlaps=tuple(overlapping(prosody.clips)),
            numbers=numbers[list(NUMBERS)].rename(columns=NUMBERS),
        ),
        features=features.values,
        own=own,
    )
