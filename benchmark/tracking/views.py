"""Saved views of MLflow's table of runs: filter, columns and plot.

For a new experiment MLflow's UI shows only names and dates, and plots ten of the runs. MLflow
stores a saved view as a tag of the experiment; this module makes the texts of such tags.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

from benchmark.evaluation.metrics import METRICS
from benchmark.study import BASELINE
from benchmark.tracking.records import StudyRecord

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
        Metric by which runs are sorted, the best first.
    params, metrics : tuple of str
        Columns of the table and axes of the parallel-coordinates plot.
    axes : tuple of str
        Parameters of the plot, if they differ from `params`.
    ascending : bool
        Whether smaller values are better.
    """

    key: str
    name: str
    where: str
    order: str
    params: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    axes: tuple[str, ...] = ()
    ascending: bool = False

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
            "orderByAsc": self.ascending,
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


def logged_name(model: str, parameter: str) -> str:
    """Return the name of a model's parameter in MLflow, which refuses signs such as ``+``.

    It starts with the model's name, because equal names of two models mean two things.

    Examples
    --------
    >>> logged_name("lda", "weight.functionals+dynamics")
    'lda.weight.functionals and dynamics'
    """
    return re.sub(r"[^\w./: -]", "_", f"{model}.{parameter}".replace("+", " and "))


def log_axis(parameter: str) -> str:
    """Return the name of a parameter's logarithm; MLflow's plots have linear axes only."""
    return f"log10_{parameter}"


def study_views(study: StudyRecord) -> list[View]:
    """Return the views of a study: all trials, the trials of each model, the selected models.

    Runs of the study's earlier versions are excluded.
    """
    runs_of = f"tags.digest = '{study.digest}' and tags.role = "
    all_trials = View(
        key="trials",
        name="All trials, best CV score first",
        # The baseline's low score would compress the plot's axis.
        where=f"{runs_of}'trial' and tags.model != '{BASELINE}'",
        order=study.cv_metric,
        params=("split", "model"),
        metrics=("cv_std", "fit_seconds"),
    )
    models = [
        View(
            key=f"trials-{model}",
            name=f"Trials of {model}",
            where=f"{runs_of}'trial' and tags.model = '{model}'",
            order=study.cv_metric,
            params=("split", *(logged_name(model, name) for name in searched)),
            axes=(
                "split",
                *(
                    logged_name(model, log_axis(name) if log else name)
                    for name, log in searched.items()
                ),
            ),
        )
        for model, searched in study.parameters.items()
    ]
    selected = View(
        key="selected",
        name="Selected models, best test score first",
        where=f"{runs_of}'model'",
        order=f"test_{study.metric}",
        params=("split", "model"),
        metrics=(study.cv_metric,),
        ascending=not METRICS[study.metric].greater_is_better,
    )
    return [all_trials, *models, selected]
