"""Leaks as values: each one changes the procedure of an experiment and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmark import models

Rows = Literal["none", "training", "all"]
"""The rows that a step uses: none, those of the training set, or the test rows as well."""

Side = Literal["training", "test"]
"""The rows that select between alternatives."""

EPOCH_SOLVERS = {"adam", "sgd"}
"""Solvers of scikit-learn's MLP that train by epochs."""


@dataclass(frozen=True)
class Procedure:
    """The procedure of an experiment, from rows to the reported score.

    Attributes
    ----------
    split : str
        The protocol of the test set: ``speaker-independent`` or ``speaker-dependent``. A
        speaker-dependent split draws clips, or rows if rows were made before the split.
    copies : str
        Which clips have augmented copies: none, training clips, or all (made before the split).
    filled : str
        Which rows SMOTE (Chawla et al. 2002) oversamples until all emotions have as many.
    scaled : str
        The rows on which the scaler is fitted.
    selected : str
        The rows on which the better half of the features is selected, if it is.
    settings, epoch, seed : str
        The rows that select hyperparameters, the epoch and the seed of the reported fit.
    """

    split: str = "speaker-independent"
    copies: Rows = "none"
    filled: Rows = "none"
    scaled: Rows = "training"
    selected: Rows = "none"
    settings: Side = "training"
    epoch: Side = "training"
    seed: Side = "training"

    @property
    def splits_rows(self) -> bool:
        """Whether the split draws single rows, so that rows of a clip can be on both sides."""
        return self.split == "speaker-dependent" and "all" in (self.copies, self.filled)


@dataclass(frozen=True)
class Setting:
    """Hyperparameters of a model.

    Attributes
    ----------
    params : dict
        Arguments of `Model.build`.
    epochs : int
        Epochs of the fit on all training rows; 0 for a model that does not train by epochs.
    """

    params: dict[str, Any] = field(default_factory=dict)
    epochs: int = 0


@dataclass(frozen=True)
class Candidate:
    """A model of the study that is run again.

    Attributes
    ----------
    model : str
        Its name in the study.
    setting : Setting
        The selected hyperparameters.
    trial : int
        The trial that found them.
    protocol : str
        The protocol under which they were selected.
    tried : tuple of Setting
        Distinct settings of the study's trials, the selected one first.
    shape : tuple of int, or None
        (n_frames, n_coefficients) of features over time.
    n_clips : dict of str to int
        Clips of each emotion.
    """

    model: str
    setting: Setting
    trial: int
    protocol: str
    tried: tuple[Setting, ...]
    shape: tuple[int, int] | None
    n_clips: Mapping[str, int]

    @property
    def pipeline(self) -> Any:
        """The unfitted pipeline."""
        return models.MODELS[self.model].build(self.setting.params, 0, shape=self.shape)

    @property
    def classifier(self) -> Any:
        """The unfitted classifier, without a wrapper for calibration."""
        last = self.pipeline[-1]
        return last.get_params(deep=False).get("estimator", last)

    @property
    def steps(self) -> tuple[str, ...]:
        """Class names of the pipeline's steps."""
        return tuple(type(step).__name__ for _, step in self.pipeline.steps)


def _applicable(_: Candidate) -> str:
    return ""


def _balanced(candidate: Candidate) -> str:
    equal = len(set(candidate.n_clips.values())) == 1
    return "all emotions have the same number of clips" if equal else ""


def _unscaled(candidate: Candidate) -> str:
    if models.MODELS[candidate.model].by_epochs:
        return "the network standardises its input itself, with statistics of its training rows"
    return "" if "StandardScaler" in candidate.steps else "the model has no scaler"


def _framed(candidate: Candidate) -> str:
    return "columns of features over time cannot be removed" if candidate.shape else ""


def _one_setting(candidate: Candidate) -> str:
    return "" if len(candidate.tried) > 1 else "the study tried a single setting"


def _no_epochs(candidate: Candidate) -> str:
    if models.MODELS[candidate.model].by_epochs:
        return ""
    trains_by_epochs = (
        candidate.steps[-1] == "MLPClassifier" and candidate.classifier.solver in EPOCH_SOLVERS
    )
    return "" if trains_by_epochs else "the model does not train by epochs"


def _deterministic(candidate: Candidate) -> str:
    fixed = models.MODELS[candidate.model].is_deterministic(candidate.classifier)
    return "the fit of the model is deterministic" if fixed else ""


def _unchanged(procedure: Procedure) -> Procedure:
    return procedure


@dataclass(frozen=True)
class Leak:
    """A leak, and the same step without it. Its text stands in ``report/templates/leaks.md.j2``.

    Attributes
    ----------
    title : str
        A few words, for tables and figures.
    leaky : callable
        From a procedure to the procedure with the leak.
    clean : callable
        From a procedure to the same step without the leak; the procedure itself where the step is
        clean by default.
    not_applicable : callable
        From a candidate to the reason why the leak does not apply to it; empty if it does.
    cumulative : bool
        Whether the ablation of a selected model adds it to the other leaks. Not the selection of
        features: the lost half costs more than the leak gains, so nobody would report it.
    makes_rows : bool
        Whether it makes rows before the split, so that its effect depends on the protocol.
    """

    title: str
    leaky: Callable[[Procedure], Procedure]
    clean: Callable[[Procedure], Procedure] = _unchanged
    not_applicable: Callable[[Candidate], str] = _applicable
    cumulative: bool = True
    makes_rows: bool = False


LEAKS: dict[str, Leak] = {
    "speakers-shared": Leak(
        title="shared speakers",
        leaky=lambda procedure: replace(procedure, split="speaker-dependent"),
    ),
    "augmented-before-split": Leak(
        title="augmentation before the split",
        clean=lambda procedure: replace(procedure, copies="training"),
        leaky=lambda procedure: replace(procedure, copies="all"),
        makes_rows=True,
    ),
    "oversampled-before-split": Leak(
        title="oversampling before the split",
        clean=lambda procedure: replace(procedure, filled="training"),
        leaky=lambda procedure: replace(procedure, filled="all"),
        not_applicable=_balanced,
        makes_rows=True,
    ),
    "scaled-on-everything": Leak(
        title="scaler fitted on all rows",
        leaky=lambda procedure: replace(procedure, scaled="all"),
        not_applicable=_unscaled,
    ),
    "selected-on-everything": Leak(
        title="features selected on all rows",
        clean=lambda procedure: replace(procedure, selected="training"),
        leaky=lambda procedure: replace(procedure, selected="all"),
        not_applicable=_framed,
        cumulative=False,
    ),
    "settings-by-test": Leak(
        title="hyperparameters selected on the test set",
        leaky=lambda procedure: replace(procedure, settings="test"),
        not_applicable=_one_setting,
    ),
    "epoch-by-test": Leak(
        title="epoch selected on the test set",
        leaky=lambda procedure: replace(procedure, epoch="test"),
        not_applicable=_no_epochs,
    ),
    "best-of-seeds": Leak(
        title="best of several seeds",
        leaky=lambda procedure: replace(procedure, seed="test"),
        not_applicable=_deterministic,
    ),
}
"""All leaks, in the order in which the ablation adds them."""


def leak_free(augmented: bool) -> Procedure:
    """Return the procedure of a study: copies, if it has augmentation, of training clips only."""
    return Procedure(copies="training" if augmented else "none")
