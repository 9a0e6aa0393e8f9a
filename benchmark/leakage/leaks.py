"""Leaks as values: each one changes the procedure of an experiment and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmark.features.recipe import Block
from benchmark.models import MODELS, Model
from benchmark.study import WEIGHT

Rows = Literal["none", "training", "all"]
"""The rows that a step uses: none, those of the training set, or the test rows as well."""

Side = Literal["training", "test"]
"""The rows that select between alternatives."""


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
    protocol, part : str
        The protocol under which they were selected, and its outer fold; "" without outer folds.
    tried : tuple of Setting
        Distinct settings of the study's trials, the selected one first.
    shape : tuple of int, or None
        (n_frames, n_coefficients) of features over time.
    n_clips : dict of str to int
        Clips of each emotion.
    blocks : tuple of Block
        The blocks of the features.
    metric : str
        Metric of selection on the test set: the study's, or that of the reported figure.
    reported : float or None
        The figure that the study's source reports of the model; None for the study's own selected
        model.
    """

    model: str
    setting: Setting
    trial: int
    protocol: str
    part: str
    tried: tuple[Setting, ...]
    shape: tuple[int, int] | None
    n_clips: Mapping[str, int]
    blocks: tuple[Block, ...] = ()
    metric: str = field(default="uar", repr=False)  # equal fits of two candidates run once
    reported: float | None = field(default=None, repr=False)

    @property
    def entry(self) -> Model:
        """The model's entry in the registry."""
        return MODELS[self.model]

    @property
    def pipeline(self) -> Any:
        """The unfitted pipeline."""
        return self.entry.build(self.setting.params, 0, shape=self.shape, blocks=self.blocks)


def _balanced(candidate: Candidate) -> str:
    equal = len(set(candidate.n_clips.values())) == 1
    return "all emotions have the same number of clips" if equal else ""


def _unscaled(candidate: Candidate) -> str:
    from sklearn.preprocessing import StandardScaler

    if candidate.entry.by_epochs:
        return "the network standardises its input itself, with statistics of its training rows"
    scaled = any(isinstance(step, StandardScaler) for step in candidate.pipeline)
    return "" if scaled else "the model has no scaler"


def _bound(candidate: Candidate) -> str:
    if any(name.startswith(WEIGHT) for name in candidate.setting.params):
        return "columns of weighted feature sets cannot be removed"
    return "columns of features over time cannot be removed" if candidate.shape else ""


def _one_setting(candidate: Candidate) -> str:
    return "" if len(candidate.tried) > 1 else "the study tried a single setting"


def _no_epochs(candidate: Candidate) -> str:
    # scikit-learn's MLP has `partial_fit`, an epoch, only with a solver that trains by epochs.
    by_epochs = candidate.entry.by_epochs or hasattr(candidate.pipeline[-1], "partial_fit")
    return "" if by_epochs else "the model does not train by epochs"


def _deterministic(candidate: Candidate) -> str:
    last = candidate.pipeline[-1]
    classifier = last.get_params(deep=False).get("estimator", last)  # without calibration
    fixed = candidate.entry.is_deterministic(classifier)
    return "the fit of the model is deterministic" if fixed else ""


@dataclass(frozen=True)
class Leak:
    """A leak, and the same step without it. Its text stands in ``report/templates/leaks.md.j2``.

    Attributes
    ----------
    title : str
        A few words, for tables and figures.
    step, leak, no_leak : str
        The field of `Procedure` that it changes, and its values with and without the leak.
    not_applicable : callable
        From a candidate to the reason why the leak does not apply to it; empty if it does.
    cumulative : bool
        Whether the ablation of a selected model adds it to the other leaks. Not the selection of
        features: the lost half costs more than the leak gains, so nobody would report it.
    makes_rows : bool
        Whether it makes rows before the split, so that its effect depends on the protocol.
    """

    title: str
    step: str
    leak: str
    no_leak: str = "training"
    not_applicable: Callable[[Candidate], str] = lambda _: ""
    cumulative: bool = True
    makes_rows: bool = False

    def leaky(self, procedure: Procedure) -> Procedure:
        """Return a procedure with the leak."""
        changes: dict[str, Any] = {self.step: self.leak}
        return replace(procedure, **changes)

    def clean(self, procedure: Procedure) -> Procedure:
        """Return a procedure with the same step, without the leak."""
        changes: dict[str, Any] = {self.step: self.no_leak}
        return replace(procedure, **changes)


LEAKS: dict[str, Leak] = {
    "speakers-shared": Leak(
        "shared speakers", "split", "speaker-dependent", no_leak="speaker-independent"
    ),
    "augmented-before-split": Leak(
        "augmentation before the split", "copies", "all", makes_rows=True
    ),
    "oversampled-before-split": Leak(
        "oversampling before the split", "filled", "all", not_applicable=_balanced, makes_rows=True
    ),
    "scaled-on-everything": Leak(
        "scaler fitted on all rows", "scaled", "all", not_applicable=_unscaled
    ),
    "selected-on-everything": Leak(
        "features selected on all rows", "selected", "all", not_applicable=_bound, cumulative=False
    ),
    "settings-by-test": Leak(
        "hyperparameters selected on the test set", "settings", "test", not_applicable=_one_setting
    ),
    "epoch-by-test": Leak(
        "epoch selected on the test set", "epoch", "test", not_applicable=_no_epochs
    ),
    "best-of-seeds": Leak("best of several seeds", "seed", "test", not_applicable=_deterministic),
}
"""All leaks, in the order in which the ablation adds them."""


def leak_free(augmented: bool) -> Procedure:
    """Return the procedure of a study: copies, if it has augmentation, of training clips only."""
    return Procedure(copies="training" if augmented else "none")
