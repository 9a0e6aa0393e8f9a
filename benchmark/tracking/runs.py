"""The MLflow runs of one study: study > split > model > trial, each a nested run."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import json
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.search.trial import Trial
from benchmark.tracking.records import ModelRecord, OutcomeRecord, StudyRecord
from benchmark.tracking.views import (
    TAG,
    log_axis,
    logged_name,
    metric_name,
    study_views,
    view_address,
    view_run,
)

MAX_TEXT = 5000  # MLflow allows 8,000 characters for a tag and 6,000 for a parameter

STUDY, SPLIT, MODEL, TRIAL = "study", "split", "model", "trial"
ROLES = (STUDY, SPLIT, MODEL, TRIAL)

NAMES = """\
Names of runs: the study; below it each split, such as `f2 speaker-independent` for the second \
outer fold; below that each model, and its trials by number.

Names of figures: `{cv}` is the CV score, the mean over the inner folds, by which models are \
selected; `cv_std` its standard deviation; `fold_0` and so on the score of each inner fold; \
`test_{metric}` the score of the test clips, `_low` and `_high` its 95 % confidence interval; \
`si_{metric}` and `sd_{metric}` the test scores of the selected models, speaker-independent and \
speaker-dependent; `sd_si_gap_{metric}` their difference. A parameter begins with its model; \
`log10_` marks a logarithm, for the axes of plots.

Figures and parameters are rounded to three digits. The exact ones are in the trial storage \
(optuna.db) and in reports/results.
"""
"""What the names in an experiment mean, for its note."""


class RunKey(NamedTuple):
    """What identifies a run within a study; each field is also a tag of the run."""

    role: str
    split: str = ""
    model: str = ""
    trial: str = ""

    @property
    def parent(self) -> RunKey:
        """The key of the run above."""
        if self.role == TRIAL:
            return RunKey(MODEL, self.split, self.model)
        return RunKey(SPLIT, self.split) if self.role == MODEL else RunKey(STUDY)


class StudyRuns:
    """The runs of one study in MLflow. Each method writes, and raises errors of the store.

    Parameters
    ----------
    experiment : str
        Id of the experiment.
    """

    def __init__(self, client: Any, experiment: str, study: StudyRecord) -> None:
        self.client = client
        self.experiment = experiment
        self.study = study
        self.tags = {"digest": study.digest, "study": study.name, **study.tags, **source_tags()}
        self._runs: dict[RunKey, Any] = {}
        self._running: set[RunKey] = set()

    def find(self) -> None:
        """Read the existing runs; delete unfinished trials, duplicates and orphans.

        One search by the study's digest: the number of other studies' runs does not matter. What is
        below a duplicate goes below the run that is kept.
        """
        self._runs.clear()
        self._running.clear()
        parents = {"": ""}  # by the id of a run, that of the kept one
        dropped = []
        for run in sorted(self._search(), key=_parents_first):
            key, run_id = _key_of(run), run.info.run_id
            unfinished = key.role == TRIAL and run.info.status == "RUNNING"
            parent = run.data.tags.get("mlflow.parentRunId", "")
            if unfinished or key in self._runs or parent not in parents:
                if key in self._runs:
                    parents[run_id] = self._runs[key].info.run_id
                dropped.append(run)
                continue
            if parents[parent] != parent:
                self.client.set_tag(run_id, "mlflow.parentRunId", parents[parent])
            parents[run_id] = run_id
            self._add(key, run)
        for run in dropped:
            if run.info.status == "RUNNING":
                self.client.set_terminated(run.info.run_id, "KILLED")
            self.client.delete_run(run.info.run_id)

    def begin(self) -> None:
        """Start or resume the study's own run; set the experiment's description and views."""
        run = self._run_id(RunKey(STUDY))
        text = json.dumps(self.study.settings, indent=1, ensure_ascii=False)
        self.client.log_text(run, text, "study.json")
        tags = self._experiment_tags()
        for name in self.client.get_experiment(self.experiment).tags:
            if name.startswith(TAG) and name not in tags:  # a view of an earlier version
                self.client.delete_experiment_tag(self.experiment, name)
        for name, value in tags.items():
            self.client.set_experiment_tag(self.experiment, name, value)

    def log_trial(self, split: str, model: str, trial: Trial) -> None:
        """Log a finished trial, unless it is logged already."""
        key = RunKey(TRIAL, split, model, str(trial.number))
        if key in self._runs:
            return
        ended = int(1000 * time.time())
        tags = {"state": trial.state, "trial_seed": str(trial.seed)}
        if trial.reason:
            tags["reason"] = trial.reason[:MAX_TEXT]
        # The column Duration shows the fitting time, not the logging time.
        run = self._create(key, tags, started=ended - int(1000 * trial.seconds))
        metrics = {
            self.study.cv_metric: trial.score,
            "cv_std": trial.std,
            "fit_seconds": trial.seconds,
            **{f"fold_{fold}": score for fold, score in enumerate(trial.scores)},
        }
        if trial.epochs:
            metrics["epochs"] = sum(trial.epochs) / len(trial.epochs)
        self._log(run.info.run_id, key, trial.params, metrics)
        status = "FAILED" if trial.state == "failed" else "FINISHED"
        self.client.set_terminated(run.info.run_id, status, ended)
        self._runs[key] = run

    def log_model(self, record: ModelRecord) -> None:
        """Add a record to its model's run, unless it is there; a changed record gets a new run."""
        key = RunKey(MODEL, record.split, record.model)
        digest = _content_digest(record)
        self._run_id(key)
        run = self._runs[key]
        if run.data.tags.get("content_digest") == digest:
            return
        if run.data.params:  # MLflow never changes a logged parameter
            run = self._replace(key)
        run_id = run.info.run_id
        self._log(run_id, key, record.params, record.metrics)
        self._log_files(run_id, record.files)
        tags = dict(record.tags)
        if record.trial is not None:
            tags["selected_trial"] = str(record.trial)
        tags["content_digest"] = digest  # last: with it, the run counts as logged
        for name, value in tags.items():
            self.client.set_tag(run_id, name, value)
        self._end(key, "FINISHED")

    def log_outcome(self, record: OutcomeRecord) -> None:
        """Add an outcome to the run of its split or study, unless it is there."""
        key = RunKey(SPLIT, record.split) if record.split else RunKey(STUDY)
        run_id, digest = self._run_id(key), _content_digest(record)
        if self._runs[key].data.tags.get("content_digest") == digest:
            return
        self._log(run_id, key, {}, record.metrics)
        self._log_files(run_id, record.files)
        tags = {
            "selected": record.selected,
            "mlflow.note.content": self._note(record),
            "content_digest": digest,
        }
        for name, value in tags.items():
            self.client.set_tag(run_id, name, value[:MAX_TEXT])
        if record.split:
            self._end(key, "FINISHED")

    def _note(self, record: OutcomeRecord) -> str:
        """Return an outcome in Markdown, with a table of links to the runs of its models."""
        cv, test = self.study.cv_metric, f"test_{self.study.metric}"
        lines = [record.text, "", f"| model | split | {cv} | {test} |", "|:--|:--|--:|--:|"]
        for split, model in record.models:
            run = self.client.get_run(self._run_id(RunKey(MODEL, split, model)))
            scores = [f"{run.data.metrics.get(name, math.nan):.3f}" for name in (cv, test)]
            link = f"[{model}]({view_run(self.experiment, run.info.run_id)})"
            lines.append(f"| {link} | {split} | {scores[0]} | {scores[1]} |")
        return "\n".join(lines)

    def end(self, status: str) -> None:
        """End the runs that contain others, the innermost first."""
        for key in sorted(self._running, key=lambda key: -ROLES.index(key.role)):
            self._end(key, status)

    def _experiment_tags(self) -> dict[str, str]:
        views = study_views(self.study)
        links = [
            f"- {view.name}: [table]({view_address(view.key, self.experiment)}), "
            f"[plot]({view_address(view.key, self.experiment, plot=True)})"
            for view in views
        ]
        study = view_run(self.experiment, self._run_id(RunKey(STUDY)))
        names = NAMES.format(cv=self.study.cv_metric, metric=self.study.metric)
        return {
            "mlflow.experimentKind": "custom_model_development",
            "mlflow.experiment.primaryMetric.name": self.study.cv_metric,
            "mlflow.note.content": "\n".join(
                [self.study.question, "", f"- [The study: its result]({study})", *links, "", names]
            ),
            **dict(view.tag for view in views),
        }

    def _search(self) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment], f"tags.digest = '{self.study.digest}'", page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _add(self, key: RunKey, run: Any) -> None:
        self._runs[key] = run
        if key.role != TRIAL and run.info.status != "FINISHED":
            self._running.add(key)

    def _run_id(self, key: RunKey) -> str:
        """Return the id of a run that contains others, created if it does not exist."""
        if key not in self._runs:
            self._add(key, self._create(key, {}))
        return str(self._runs[key].info.run_id)

    def _create(self, key: RunKey, tags: Mapping[str, str], started: int | None = None) -> Any:
        """Return a new run below its parent, with the status RUNNING."""
        own = {name: value for name, value in key._asdict().items() if value}
        if key.role == STUDY:
            own["mlflow.note.content"] = self.study.question
        else:
            own["mlflow.parentRunId"] = self._run_id(key.parent)
        # What differs comes first: at its depth the tree of runs shows a dozen letters.
        protocol, _, fold = key.split.partition("/")
        split = key.split if key.model else f"{fold} {protocol}".strip()
        name = " ".join(filter(None, (key.trial and key.trial.zfill(3), key.model, split)))
        run = self.client.create_run(
            self.experiment,
            start_time=started,
            tags={**self.tags, **tags, **own},
            run_name=name or self.study.name,
        )
        if self.study.tables.get(key.split):
            self.client.log_inputs(run.info.run_id, self._inputs(key.split))
        return run

    def _log(
        self,
        run: str,
        key: RunKey,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
    ) -> None:
        """Log a run's parameters and metrics, rounded to three digits: MLflow's tables show all.

        Split and model are parameters as well, as axes of the parallel-coordinates plot. The exact
        figures are in the trial storage and in the result.
        """
        from mlflow.entities import Metric, Param

        now = int(1000 * time.time())
        logarithmic = self.study.parameters.get(key.model, {})
        named: dict[str, object] = {}
        if key.model:
            named = {"split": key.split, "model": key.model}
        named |= {logged_name(key.model, name): _short(value) for name, value in params.items()}
        for name, value in params.items():
            if logarithmic.get(name) and isinstance(value, int | float) and value > 0:
                named[logged_name(key.model, log_axis(name))] = round(math.log10(value), 3)
        self.client.log_batch(
            run,
            [
                Metric(metric_name(name), round(v, 3), now, 0)
                for name, v in metrics.items()
                if not math.isnan(v)
            ],
            [Param(name, str(value)[:MAX_TEXT]) for name, value in named.items()],
        )

    def _inputs(self, split: str) -> list[Any]:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        return [
            DatasetInput(
                Dataset(
                    name=table.name,
                    digest=table.digest[:16],
                    source_type="local",
                    source=json.dumps({"uri": table.source}),
                    profile=json.dumps({"num_rows": table.rows}),
                ),
                [InputTag("mlflow.data.context", table.side)],
            )
            for table in self.study.tables.get(split, ())
        ]

    def _log_files(self, run: str, files: Mapping[str, Path | bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    target.write_bytes(content)
                else:
                    shutil.copyfile(content, target)  # Windows allows few users to make links
            self.client.log_artifacts(run, folder)

    def _replace(self, key: RunKey) -> Any:
        """Return a new run in place of an old one, with the old one's trials below it."""
        old = self._runs[key].info.run_id
        run = self._create(key, {})
        for other, child in self._runs.items():
            if other.role == TRIAL and other.parent == key:
                self.client.set_tag(child.info.run_id, "mlflow.parentRunId", run.info.run_id)
        self.client.delete_run(old)
        self._add(key, run)
        return run

    def _end(self, key: RunKey, status: str) -> None:
        self.client.set_terminated(self._runs[key].info.run_id, status)
        self._running.discard(key)


def source_tags() -> dict[str, str]:
    """Return the tags that MLflow's fluent interface sets: user, program and git commit."""
    tags = {"mlflow.source.name": "benchmark", "mlflow.source.type": "LOCAL"}
    with contextlib.suppress(OSError, KeyError):  # a user id without a name, as in containers
        tags["mlflow.user"] = getpass.getuser()
    this = Path(__file__).resolve()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        # An installed copy may be inside another repository: check that git tracks this file.
        for command in (["ls-files", "--error-unmatch", this.name], ["rev-parse", "HEAD"]):
            output = subprocess.run(
                ["git", *command],
                cwd=this.parent,
                capture_output=True,
                text=True,
                timeout=5,
                check=True,
            ).stdout
        tags["mlflow.source.git.commit"] = output.strip()
    return tags


def _key_of(run: Any) -> RunKey:
    return RunKey(*(run.data.tags.get(name, "") for name in RunKey._fields))


def _parents_first(run: Any) -> tuple[int, int]:
    """Sorting key: parents come before children, originals before duplicates."""
    role = run.data.tags.get("role")
    return (ROLES.index(role) if role in ROLES else len(ROLES), run.info.start_time)


def _short(value: object) -> object:
    """Return a number with three significant digits; anything else unchanged."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _content_digest(record: ModelRecord | OutcomeRecord) -> str:
    """Return the digest of a record's figures and words.

    Files of models are left out: their bytes differ each time they are written.
    """
    left_out = {"files", "tags"}
    content = {
        one.name: getattr(record, one.name) for one in fields(record) if one.name not in left_out
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
    for name, file in sorted(record.files.items()):
        digest.update(name.encode())
        if not name.endswith(".skops"):
            data = file if isinstance(file, bytes) else file.read_bytes()
            digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()
