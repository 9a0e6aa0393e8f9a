"""Saved views of MLflow's table of runs, ready made: the columns that matter, and the plots.

MLflow's UI shows of a new experiment names and dates only, and plots ten of its runs. A view that a
reader saves is kept as a tag of the experiment; this module makes the texts of such tags.
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
    """One saved view: which runs, in which order, with which columns, and what the plot shows.

    Attributes
    ----------
    key : str
        Its part of an address; unique within the experiment.
    name : str
        What the menu "Views" calls it.
    where : str
        A filter in MLflow's language.
    order : str
        The metric by which runs are sorted, the highest first.
    params, metrics : tuple of str
        Columns of the table, and axes of the parallel-coordinates plot.
    axes : tuple of str
        Parameters to plot, where they are others than those of the table.
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
        """The experiment's tag that holds this view: its name and its text."""
        packed = base64.b64encode(zlib.compress(json.dumps(self._state()).encode())).decode()
        text = {"name": self.name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"}
        return TAG + self.key, json.dumps(text)

    def _state(self) -> dict[str, Any]:
        """The view as MLflow's UI writes it."""
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
        sections = [
            {
                "uuid": section,
                "name": name,
                "display": True,
                "isReordered": False,
                "deleted": False,
                "isGenerated": generated,
                "columns": columns,
                "cardHeight": 420,
            }
            for section, name, generated, columns in (
                ("parallel", "Parallel coordinates", False, 1),
                ("metrics", "Model metrics", True, 3),  # a bar chart of each metric, below
            )
        ]
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
    """Return where MLflow's UI shows a view as a table or a plot, below the UI's own address."""
    # Without the type, the UI takes its reader for one who traces language models.
    kind = "workflowType=machine_learning"
    mode = "&compareRunsMode=CHART" if plot else ""
    return f"#/experiments/{experiment}/runs?{kind}&viewStateShareKey={key}{mode}"


def log_axis(parameter: str) -> str:
    """Return what the logarithm of a parameter is called: MLflow's plots have linear axes only."""
    return f"log10_{parameter}"


def study_views(
    digest: str, metric: str, parameters: Mapping[str, Mapping[str, bool]]
) -> list[View]:
    """Return the views of a study: all trials, each model's trials with its parameters, winners.

    Parameters
    ----------
    digest : str
        The study's; runs of an earlier state of it stay out of the views.
    metric : str
        What trials are ranked by.
    parameters : mapping of str to mapping of str to bool
        By model and parameter that is searched: whether on a logarithmic scale.
    """
    this = f"tags.digest = '{digest}' and tags.role = "
    everything = View(
        key="trials",
        name="All trials, best first",
        where=f"{this}'trial' and tags.model != '{BASELINE}'",  # it would press the others together
        order=metric,
        params=("protocol", "model"),
        metrics=("std", "fit_seconds"),
    )
    models = [
        View(
            key=f"trials-{model}",
            name=f"Trials of {model}",
            where=f"{this}'trial' and tags.model = '{model}'",
            order=metric,
            params=("protocol", *(f"{model}.{name}" for name in searched)),
            axes=(
                "protocol",
                *(f"{model}.{log_axis(name) if log else name}" for name, log in searched.items()),
            ),
        )
        for model, searched in parameters.items()
    ]
    winners = View(
        key="winners",
        name="Winners on the test clips",
        where=f"{this}'model'",
        order=f"test_{metric}",
        params=("protocol", "model"),
        metrics=(metric,),
    )
    return [everything, *models, winners]
