"""What a study logs to MLflow: the record of the study, and its winners."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.data.prepared import Prepared
from benchmark.engine.environment import __version__, code_digest
from benchmark.evaluation.conditions import under_conditions
from benchmark.evaluation.leaderboard import METRIC, leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result, Winner, by_split
from benchmark.project import Project
from benchmark.search.plugins import plugins_of
from benchmark.search.search import ModelSearch
from benchmark.study import Study, digest_of
from benchmark.tracking.records import ModelRecord, StudyRecord, TableRecord
from benchmark.tracking.tracker import Tracker

BLANKS = str.maketrans("=+", "  ")
"""What MLflow does not allow in names of metrics: ``snr=10`` is ``test_uar/snr 10``."""


def study_record(
    study: Study, prepared: Prepared, searches: Sequence[ModelSearch], project: Project
) -> StudyRecord:
    """Return what all MLflow runs of a study share."""
    tables = {
        split.name: tuple(
            TableRecord(
                name=f"{prepared.name}/{split.name}/{side}",
                digest=facts.digest,
                side=side,
                source=str((split.folder / f"{side}.csv").relative_to(project.folder)),
                rows=facts.rows,
            )
            for side, facts in (("train", split.record.train), ("test", split.record.test))
        )
        for split in prepared.splits
    }
    keys = [search.plan.key for search in searches]
    plugins = plugins_of(study, study.split.protocols, study.models)
    return StudyRecord(
        name=prepared.name,
        digest=digest_of([prepared.name, keys])[:16],
        metric=study.search.metric,
        question=study.question,
        settings=study.settings(),
        parameters={
            name: {key: getattr(entry, "log", False) for key, entry in spec.space.items()}
            for name, spec in study.models.items()
        },
        tags={
            "seed": str(study.seed),
            "data_digest": digest_of([split.digest for split in prepared.splits]),
            "code_digest": code_digest(),
            "benchmark_version": __version__,
            **{f"plugin.{package}": version for package, version in plugins.items()},
            **(
                {"changes": "; ".join(change.text for change in prepared.changes)}
                if prepared.changes
                else {}
            ),
        },
        tables=tables,
    )


def log_models(
    tracker: Tracker,
    result: Result,
    files: Mapping[tuple[str, str], Path],
    pictures: Mapping[tuple[str, str], bytes],
) -> None:
    """Log each winner with its test scores, confusion matrix and fitted model."""
    boards = {split: leaderboard(part) for split, part in by_split(result).items()}
    cv_metric = f"cv_{METRICS[result.study.search.metric].utility_name}"
    for winner in result.winners:
        split, model = winner.split, winner.model
        members = _members(winner)
        found = boards[split].evaluation(winner.protocol, model)
        assert found is not None
        metrics: dict[str, float] = {cv_metric: winner.score, "cv_std": winner.std or 0.0}
        for name, score in found.scores.items():
            metrics[f"test_{name}"] = score.value
            if score.interval:
                metrics[f"test_{name}_low"], metrics[f"test_{name}_high"] = score.interval
        for corpus, part in found.corpora.items():
            metrics |= {corpus_metric(corpus, name): s.value for name, s in part.scores.items()}
        if boards[split].selected[winner.protocol].model == model:
            metrics |= {
                f"test_{METRIC}/{one.condition.translate(BLANKS)}": one.score.value
                for one in under_conditions(boards[split], winner.protocol)
            }
        params = winner.params | ({"members": members} if members else {})
        stored, picture = files[split, model], pictures.get((split, model))
        tracker.log_model(
            ModelRecord(
                split=split,
                model=model,
                params=params,
                metrics=metrics,
                files={"model/model.skops": stored}
                | ({"figures/confusion.png": picture} if picture else {}),
                trial=winner.trial,
                tags={"model_sha256": hashlib.sha256(stored.read_bytes()).hexdigest()},
            )
        )


def corpus_metric(corpus: str, name: str) -> str:
    """Return MLflow's name of a test score within a corpus, without the signs that it refuses.

    >>> corpus_metric("my | corpus+", "uar")
    'test_my _ corpus__uar'
    """
    allowed = re.sub(r"[^\w .-]", "_", corpus)
    return f"test_{allowed}_{name}"


def _members(winner: Winner) -> str:
    """Return the members of an ensemble in a line; of a greedy one with trials and weights."""
    members: Sequence[str] = winner.members
    if winner.weights:
        rows = zip(winner.weights, members, winner.trials, strict=True)
        members = [f"{weight} x {model} {trial}" for weight, model, trial in rows]
    return ", ".join(members)
