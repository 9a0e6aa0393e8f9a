"""A study on a user's own train and test tables, in place of corpora and features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.console import Console
from benchmark.data.covariates import COVARIATES, with_covariates
from benchmark.data.guards import (
    check_clips,
    check_emotions,
    check_encoders,
    check_tables,
    named_alike,
)
from benchmark.data.prepared import Prepared, counts, result_name
from benchmark.data.protocols import PROTOCOLS
from benchmark.data.record import Change, CorpusRecord, DataRecord
from benchmark.data.split_tables import SplitTables, write_tables
from benchmark.data.splits import Split, check_split, inner_folds
from benchmark.data.tables import Table, read_csv
from benchmark.errors import BenchmarkError
from benchmark.features import feature_set
from benchmark.features.contamination import known_as_tuned
from benchmark.project import Sources
from benchmark.study import Study


def prepare_tables(
    study: Study,
    sources: Sources,
    overrides: Sequence[Change],
    console: Console,
) -> Prepared:
    """Return a study on a user's own train and test tables, ready for the search.

    The protocol follows from the speakers: speaker-dependent if any is in both tables.
    """
    _refuse_unsupported(study)
    assert sources.tables is not None, "the caller has looked"
    paths, cache = sources.tables, sources.cache
    train, test = (_of_study(read_csv(path), study, path, console) for path in paths)
    test = with_features_of(train, test, paths)
    shared = set(train.rows["speaker"]) & set(test.rows["speaker"])
    protocol = "speaker-dependent" if shared else "speaker-independent"
    console.info(
        f"own tables: {len(train.rows)} training rows, {len(test.rows)} test rows; "
        + (f"{len(shared)} speakers on both sides" if shared else "no speaker on both sides")
        + f", so the protocol is {protocol}"
    )
    frame = _own_clips(train, test, paths[0])
    tuned = [one for path in paths for one in known_as_tuned(path.stem)]
    allowed = check_encoders(tuned, sorted(set(test.rows["corpus"])), sources.allow)
    allowed += check_clips(frame, [protocol], sources.allow)
    for words in named_alike(frame):
        console.warning(f"{words}: are they one person?")
    allowed += check_tables(train, test, sources.allow)
    trained = frame["side"] == "train"
    rule = PROTOCOLS[protocol]
    with rule.named_errors():
        divided = inner_folds(
            rule, frame[trained].reset_index(drop=True), study.search.folds, study.seed
        )
    fold = np.full(len(frame), -1, dtype=np.intp)
    fold[trained.to_numpy()] = divided
    split = Split(protocol, ~trained.to_numpy(), fold)
    check_split(split, frame)
    fold_of = dict(zip(frame["clip"], fold, strict=True))
    digests = Change(kind="tables", value=f"{train.digest[:12]} and {test.digest[:12]}")
    name, changes = result_name(study.name, (*overrides, digests, *allowed))
    rows_fold = train.rows["clip"].map(fold_of).to_numpy(dtype=np.intp)
    tables = write_tables(SplitTables(split, train, test, rows_fold, cache / name / protocol))
    return Prepared(
        name=name,
        changes=changes,
        splits=(tables,),
        data=DataRecord(
            corpora={
                str(corpus): CorpusRecord(
                    title="a user's own table",
                    home_page="",
                    licence="",
                    official=None,
                    found=len(rows),
                    used=len(rows),
                    speakers=int(rows["speaker"].nunique()),
                    speech="user's own",
                )
                for corpus, rows in frame.groupby("corpus")
            },
            counts=counts(frame),
            splits={protocol: tables.record},
        ),
        origin={"tables": "a user's own", "emotions": sorted(study.emotions)},
    )


def with_features_of(train: Table, test: Table, paths: tuple[Path, Path]) -> Table:
    """Return a test table with its features in the order of the training table's.

    Raises
    ------
    BenchmarkError
        If the tables have different features; it names the first of them.
    """
    if differing := sorted(set(train.columns) ^ set(test.columns)):
        raise BenchmarkError(
            f"{paths[0]} and {paths[1]} have different features: {', '.join(differing[:5])}."
        )
    if test.columns == train.columns:
        return test
    place = {name: position for position, name in enumerate(test.columns)}
    values = test.values[:, [place[name] for name in train.columns]]
    return replace(test, values=values, columns=train.columns)


def _refuse_unsupported(study: Study) -> None:
    """Refuse keys of a study that do not apply to a user's own tables.

    ``test_size`` and ``folds`` only say how a test side is drawn, and the tables are one.
    """
    unsupported = {
        "normalise": study.normalise != "none",
        "scale": study.scale is not None,
        "auxiliary": bool(study.auxiliary),
        "conditions": bool(study.conditions),
        "[split] repeats": study.split.repeats > 1,
        "weight": any(settings.weights for settings in study.models.values()),
    }
    for key, wanted in unsupported.items():
        if wanted:
            raise BenchmarkError(
                f"study {study.name}: {key} does not apply to your own tables, which are already "
                "measured, joined, split and scaled. Remove the key."
            )


def _of_study(table: Table, study: Study, path: Path, console: Console) -> Table:
    """Return the rows of a user's table with the study's emotions; report the others."""
    rows = table.rows.assign(emotion=table.rows["emotion"].replace(study.rename))
    counts = rows["emotion"].value_counts().to_dict()
    check_emotions(counts, study.emotions, f"study {study.name} on {path}")
    wanted = rows["emotion"].isin(study.emotions).to_numpy()
    if not wanted.all():
        others = ", ".join(sorted(set(rows.loc[~wanted, "emotion"])))
        console.info(f"{path}: {(~wanted).sum()} rows of other emotions are left out: {others}")
    rows = rows[wanted].reset_index(drop=True)
    shape = feature_set(study.features, study.sample_rate_hz).shape
    if shape is not None and len(table.columns) != shape[0] * shape[1]:
        raise BenchmarkError(
            f"{path}: {len(table.columns)} features, but the study's {study.features} are "
            f"{shape[0]} frames of {shape[1]} numbers each. Give such a table, or choose a feature "
            "set without frames with --set features=NAME."
        )
    missing = [name for name in study.covariates if COVARIATES[name].column not in table.columns]
    columns = (*table.columns, *(COVARIATES[name].column for name in missing))
    return Table(rows, with_covariates(table.values[wanted], rows, missing), columns, shape)


def _own_clips(train: Table, test: Table, path: Path) -> pd.DataFrame:
    """Return one row per clip of the two tables, with the clip's name in place of its samples."""
    sides = [
        table.rows[table.originals].assign(side=side)
        for side, table in (("train", train), ("test", test))
    ]
    frame = pd.concat(sides, ignore_index=True)
    frame["samples"] = frame["clip"]
    twice = frame["clip"][frame["clip"].duplicated()]
    if len(twice):
        raise BenchmarkError(f"{path}: clip {twice.iloc[0]} is listed twice in the two tables.")
    alone = set(train.rows["clip"]) - set(frame["clip"])
    if alone:
        raise BenchmarkError(
            f"{path}: clip {min(alone)} has augmented rows only; the original row, with an "
            "empty augmentation, is missing."
        )
    return frame
