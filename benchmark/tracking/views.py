"""Saved views of MLflow's table of runs: filter, columns and plot.

For a new experiment MLflow's UI shows only names and dates, and plots ten of the runs. MLflow
stores a saved view as a tag of the experiment; this module makes the texts of such tags.

The format is MLflow's own and not documented; it was looked at in MLflow 3.17, which shows the
experiment's runs in its default table if it cannot read a view. The runs do not depend on it.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from benchmark.data.protocols import protocol_of
from benchmark.evaluation.leaderboard import SPEAKER_INDEPENDENT
from benchmark.study import BASELINE
from benchmark.tracking.records import StudyRecord

TAG = "mlflow.sharedViewState."

KIND = "workflowType=machine_learning"
"""Without it, an address opens MLflow's pages for language models."""

RUN_NAME = "attributes.`Run Name`"

CHARACTER, FEWEST = 8, 14
"""Width of a column for each letter of its name, in pixels, and the least number of letters."""

LETTERS = {RUN_NAME: 30, "params.`split`": 24, "params.`model`": 19}
"""Letters of the columns whose values are longer than their names: ``speaker-independent/f1``."""


@dataclass(frozen=True)
class View:
    """One saved view.

    Attributes
    ----------
    key : str
        Identifies the view in an address; unique within the experiment.
    name : str
        Entry of the menu "Views".
    where : str
        A filter in MLflow's search syntax.
    order : str
        Metric by which runs are sorted, the highest first.
    params, metrics : tuple of str
        Columns of the table and axes of the parallel-coordinates plot.
    axes : tuple of str
        Parameters of the plot, if they differ from `params`.
    """

    key: str
    name: str
    where: str
    order: str
    params: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()

    @property
    def tag(self) -> tuple[str, str]:
        """Name and text of the experiment's tag that stores this view."""
        packed = base64.b64encode(zlib.compress(json.dumps(self._state()).encode())).decode()
        text = {"name": self.name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"}
        return TAG + self.key, json.dumps(text)

    def _state(self) -> dict[str, Any]:
        """The view in the format of MLflow's UI."""
        chart = {
            "uuid": f"parallel-{self.key}",
            "type": "PARALLEL",
            "metricSectionId": "parallel",
            "deleted": False,
            "isGenerated": False,
            "showAllRuns": True,
            "selectedParams": list(self.axes or self.params),
            "selectedMetrics": [*self.metrics, self.order],
        }
        section = {"display": True, "isReordered": False, "deleted": False, "cardHeight": 420}
        plot = {"uuid": "parallel", "name": "Parallel coordinates", "isGenerated": False}
        bars = {"uuid": "metrics", "name": "Model metrics", "isGenerated": True}
        sections = [section | plot | {"columns": 1}, section | bars | {"columns": 3}]
        columns = {f"metrics.`{name}`": name for name in (self.order, *self.metrics)}
        columns |= {f"params.`{name}`": name for name in self.params}
        widths = {
            column: CHARACTER * LETTERS.get(column, max(FEWEST, len(name)))
            for column, name in ({RUN_NAME: ""} | columns).items()
        }
        return {
            "searchFilter": self.where,
            "orderByKey": f"metrics.`{self.order}`",
            "orderByAsc": False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": list(columns),
            "columnOrder": list(widths),
            "columnWidths": widths,
            "runsHiddenMode": "SHOW_ALL",
            "compareRunCharts": [chart],
            "compareRunSections": sections,
            "viewMaximized": False,
            "runListHidden": False,
            "isAccordionReordered": False,
            "useGroupedValuesInCharts": True,
            "hideEmptyCharts": True,
            "groupBy": None,
            "groupsExpanded": {},
        }


def view_address(key: str, experiment: str, *, plot: bool = False) -> str:
    """Return the address of a view, as a table or a plot, relative to the UI's address."""
    key = quote(key)
    mode = "&compareRunsMode=CHART" if plot else ""
    return f"#/experiments/{experiment}/runs?{KIND}&viewStateShareKey={key}{mode}"


def view_run(experiment: str, run: str) -> str:
    """Return the address of a run's page, relative to the UI's address."""
    return f"#/experiments/{experiment}/runs/{run}?{KIND}"


def logged_name(model: str, parameter: str) -> str:
    """Return the name of a model's parameter in MLflow, which refuses signs such as ``+``.

    It starts with the model's name, because equal names of two models mean two things.

    Examples
    --------
    >>> logged_name("lda", "weight.functionals+dynamics")
    'lda.weight.functionals and dynamics'
    """
    return metric_name(f"{model}.{parameter}")


def log_axis(parameter: str) -> str:
    """Return the name of a parameter's logarithm; MLflow's plots have linear axes only."""
    return f"log10_{parameter}"


def metric_name(text: str) -> str:
    """Return a name that MLflow allows for a metric, a parameter, or a view's address."""
    return re.sub(r"[^\w./: -]", "_", text.replace("+", " and "))


def study_views(study: StudyRecord) -> list[View]:
    """Return the views of a study; for each protocol the selected models, all trials, each model's.

    The leading protocol comes first: speaker-independent, if the study has it. No view mixes
    protocols: the scores of one are no measure of those of another. Runs of the study's earlier
    versions are excluded.
    """
    found = []
    protocols = sorted(study.splits, key=lambda name: name != SPEAKER_INDEPENDENT)
    for number, protocol in enumerate(protocols):
        suffix = f"-{metric_name(protocol_of(protocol).abbreviation)}" if number else ""
        found += _protocol_views(study, protocol, suffix)
    return found


def _protocol_views(study: StudyRecord, protocol: str, suffix: str) -> list[View]:
    splits = study.splits[protocol]
    several = splits != (protocol,)
    # With one split, its name would be the same in each row.
    split = ("split",) if several else ()
    place = f"tags.split LIKE '{protocol}/%'" if several else f"tags.split = '{protocol}'"
    runs_of = f"tags.digest = '{study.digest}' and {place} and tags.role = "
    title = protocol.capitalize()
    selected = View(
        key=f"selected{suffix}",
        name=f"{title}: models, best CV score first",
        where=f"{runs_of}'model'",
        order=study.cv_metric,
        params=(*split, "model"),
        metrics=(f"test_{study.metric}",),
    )
    trials = View(
        key=f"trials{suffix}",
        name=f"{title}: all trials, best CV score first",
        # The baseline's low score would compress the plot's axis.
        where=f"{runs_of}'trial' and tags.model != '{BASELINE}'",
        order=study.cv_metric,
        params=(*split, "model"),
    )
    models = [
        View(
            key=f"trials{suffix}-{model}",
            name=f"{title}: trials of {model}",
            where=f"{runs_of}'trial' and tags.model = '{model}'",
            order=study.cv_metric,
            params=(*split, *(logged_name(model, name) for name in searched)),
            axes=(
                *split,
                *(
                    logged_name(model, log_axis(name) if log else name)
                    for name, log in searched.items()
                ),
            ),
        )
        for model, searched in study.parameters.items()
        if searched
    ]
    return [trials, selected, *models]
