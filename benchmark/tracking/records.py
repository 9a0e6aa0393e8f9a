"""What is logged to MLflow besides trials: a study, its tables, and fitted models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.evaluation.metrics import METRICS


@dataclass(frozen=True)
class TableRecord:
    """One side of a split, shown as a run's dataset.

    Attributes
    ----------
    name : str
        For example ``capstone/speaker-dependent/train``.
    digest : str
        Of its content; MLflow receives the first 16 characters.
    side : str
        ``train`` or ``test``.
    source : str
        Path of the file within the project.
    """

    name: str
    digest: str
    side: str
    source: str
    rows: int


@dataclass(frozen=True)
class StudyRecord:
    """What all runs of a study share.

    Attributes
    ----------
    digest : str
        Digest of everything that decides the scores; runs with equal digests belong to the same
        study. The number of trials is excluded, so more trials continue a study.
    question : str
        Shown as the study's description.
    settings : mapping
        `Study.settings()`; stored with the study's run as study.json.
    parameters : mapping of str to mapping of str to bool
        By model and searched parameter: whether its range is logarithmic. The axes of MLflow's
        parallel-coordinates plot.
    tags : mapping of str to str
        Tags of every run: seed, data_digest, code_digest and others.
    tables : mapping of str to tuple of TableRecord
        By split.
    """

    name: str
    digest: str
    metric: str
    question: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, tuple[TableRecord, ...]] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, tuple[str, ...]]:
        """The names of the splits of each protocol."""
        protocols = dict.fromkeys(name.partition("/")[0] for name in self.tables)
        return {
            protocol: tuple(name for name in self.tables if name.partition("/")[0] == protocol)
            for protocol in protocols
        }

    @property
    def cv_metric(self) -> str:
        """Name of the CV score, which a search maximises."""
        return f"cv_{METRICS[self.metric].utility_name}"


@dataclass(frozen=True)
class ModelRecord:
    """A model with the best CV score on a split, or an ensemble: added to the model's run.

    Attributes
    ----------
    params : mapping
        Hyperparameters, or the members of an ensemble.
    metrics : mapping of str to float
        CV score (``cv_uar``) and test scores (``test_uar``, ``test_uar_low``,
        ``test_ravdess_uar``, ``test_uar/telephone`` of the selected model under a condition).
    files : mapping of str to Path or bytes
        By artifact path: ``figures/confusion.png``, ``model/model.skops``.
    trial : int or None
        Number of the selected trial; None for an ensemble.
    """

    split: str
    model: str
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    files: Mapping[str, Path | bytes] = field(default_factory=dict)
    trial: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OutcomeRecord:
    """What is found on a split, or of the whole study: added to its run.

    Attributes
    ----------
    split : str
        Empty for the study's own run.
    selected : str
        The selected models in words.
    text : str
        The outcome in Markdown, above the table of models.
    models : tuple of (str, str)
        Split and model of the runs in the table.
    metrics : mapping of str to float
        ``si_uar``, ``sd_uar``, ``sd_si_gap_uar`` of a study; ``cv_uar/mlp``, ``test_uar/mlp`` of a
        split.
    files : mapping of str to Path
        By artifact path.
    """

    split: str
    selected: str
    text: str
    models: tuple[tuple[str, str], ...]
    metrics: Mapping[str, float]
    files: Mapping[str, Path | bytes] = field(default_factory=dict)
