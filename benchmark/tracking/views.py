"""Saved views of MLflow's table of runs: filter, columns and plot.

For a new experiment MLflow's UI shows only names and dates, and plots ten of the runs. MLflow
stores a saved view as a tag of the experiment; this module makes the texts of such tags.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.study import BASELINE

TAG = "mlflow.sharedViewState."


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
        Metric by which runs are sorted, in descending order.
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
        return {
            "searchFilter": self.where,
            "orderByKey": f"metrics.`{self.order}`",
            "orderByAsc": False,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "datasetsFilter": [],
            "modelVersionFilter": "All Runs",
            "selectedColumns": [
                *(f"metrics.`{name}`" for name in (self.order, *self.metrics)),
                *(f"params.`{name}`" for name in self.params),
            ],
            "columnOrder": [],
            "columnWidths": {},
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
    # Without the type, the UI opens its pages for language models.
    kind = "workflowType=machine_learning"
    mode = "&compareRunsMode=CHART" if plot else ""
    return f"#/experiments/{experiment}/runs?{kind}&viewStateShareKey={key}{mode}"


def log_axis(parameter: str) -> str:
    """Return the name of a parameter's logarithm; MLflow's plots have linear axes only."""
    return f"log10_{parameter}"


def study_views(
    digest: str, metric: str, parameters: Mapping[str, Mapping[str, bool]]
) -> list[View]:
    """Return the views of a study: all trials, the trials of each model, the selected models.

    Parameters
    ----------
    digest : str
        The study's; runs of its earlier versions are excluded.
    metric : str
        The study's metric.
    parameters : mapping of str to mapping of str to bool
        By model and searched parameter: whether its range is logarithmic.
    """
    runs_of = f"tags.digest = '{digest}' and tags.role = "
    all_trials = View(
        key="trials",
        name="All trials, best CV score first",
        # The baseline's low score would compress the plot's axis.
        where=f"{runs_of}'trial' and tags.model != '{BASELINE}'",
        order=f"cv_{metric}",
        params=("split", "model"),
        metrics=("cv_std", "fit_seconds"),
    )
    models = [
        View(
            key=f"trials-{model}",
            name=f"Trials of {model}",
            where=f"{runs_of}'trial' and tags.model = '{model}'",
            order=f"cv_{metric}",
            params=("split", *(f"{model}.{name}" for name in searched)),
            axes=(
                "split",
                *(f"{model}.{log_axis(name) if log else name}" for name, log in searched.items()),
            ),
        )
        for model, searched in parameters.items()
    ]
    selected = View(
        key="selected",
        name="Selected models, best test score first",
        where=f"{runs_of}'model'",
        order=f"test_{metric}",
        params=("split", "model"),
        metrics=(f"cv_{metric}",),
    )
    return [all_trials, *models, selected]
