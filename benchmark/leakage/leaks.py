"""Mistakes as values: each changes how an experiment is conducted, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from benchmark import models

Rows = Literal["none", "training", "all"]
"""On which rows a step is done: on none, on those of the training side, or on the test rows too."""

Judge = Literal["training", "test"]
"""Which side decides between attempts."""

EPOCH_SOLVERS = {"adam", "sgd"}
"""Solvers with which scikit-learn's MLP learns by epochs."""

SEEDED_SOLVERS = {"saga", "sag", "liblinear"}
"""Solvers with which scikit-learn's logistic regression draws at random."""


@dataclass(frozen=True)
class Conduct:
    """How an experiment is conducted, from rows to the one figure that is reported.

    Attributes
    ----------
    split : str
        The protocol that draws the test side: ``speaker-independent`` or ``speaker-dependent``. A random split draws rows
        where rows were made before it, as their makers do; else clips.
    copies : str
        Whose augmented copies there are: of training clips, or of all, made before the split.
    filled : str
        Which rows are filled up by SMOTE (Chawla et al. 2002) until all emotions have as many.
    scaled : str
        By which rows the scaler is fitted.
    selected : str
        By which rows the better half of the features is selected, if it is.
    settings, epoch, seed : str
        Who chooses the model's settings, the epoch that is kept and the seed that is reported.
    """

    split: str = "speaker-independent"
    copies: Rows = "none"
    filled: Rows = "none"
    scaled: Rows = "training"
    selected: Rows = "none"
    settings: Judge = "training"
    epoch: Judge = "training"
    seed: Judge = "training"

    @property
    def splits_rows(self) -> bool:
        """Whether the test side is drawn row by row, whatever clip they come from."""
        return self.split == "speaker-dependent" and "all" in (self.copies, self.filled)


@dataclass(frozen=True)
class Setting:
    """What a model was built with.

    Attributes
    ----------
    params : dict
        As `models.build` takes them.
    epochs : int
        How many the model learns on the whole training side; 0 if it does not learn by epochs.
    """

    params: dict[str, Any] = field(default_factory=dict)
    epochs: int = 0


@dataclass(frozen=True)
class Subject:
    """The model that is run again.

    Attributes
    ----------
    model : str
        Its name in the study.
    setting : Setting
        With which it won.
    trial : int
        In which it was found.
    protocol : str
        Under which it won.
    tried : tuple of Setting
        Distinct ones that the study tried, the winner's first.
    shape : tuple of int, or None
        (n_frames, n_coefficients) of features over time.
    counts : dict of str to int
        Clips of each emotion.
    """

    model: str
    setting: Setting
    trial: int
    protocol: str
    tried: tuple[Setting, ...]
    shape: tuple[int, int] | None
    counts: Mapping[str, int]

    @property
    def classifier(self) -> Any:
        """The unfitted classifier that the study names, with its settings."""
        pipeline = models.build(self.model, self.setting.params, 0, shape=self.shape)
        return pipeline[-1].get_params(deep=False).get("estimator", pipeline[-1])

    @property
    def steps(self) -> tuple[str, ...]:
        """The classes of the pipeline's steps."""
        pipeline = models.build(self.model, self.setting.params, 0, shape=self.shape)
        return tuple(type(step).__name__ for _, step in pipeline.steps)


def _always(_: Subject) -> str:
    return ""


def _balanced(subject: Subject) -> str:
    alike = len(set(subject.counts.values())) == 1
    return "every emotion has as many clips as the next" if alike else ""


def _unscaled(subject: Subject) -> str:
    if models.MODELS[subject.model].by_epochs:
        return "the network standardises its rows itself, by those that it learns from"
    return "" if "StandardScaler" in subject.steps else "the model has no scaler"


def _framed(subject: Subject) -> str:
    return "features over time make a picture, which can't be thinned" if subject.shape else ""


def _one_setting(subject: Subject) -> str:
    return "" if len(subject.tried) > 1 else "the study tried no second setting"


def _no_epochs(subject: Subject) -> str:
    if models.MODELS[subject.model].by_epochs:
        return ""
    classifier = subject.classifier
    learns = subject.steps[-1] == "MLPClassifier" and classifier.solver in EPOCH_SOLVERS
    return "" if learns else "the model learns no epochs that could be watched"


def _no_seed(subject: Subject) -> str:
    classifier = subject.classifier
    name = type(classifier).__name__
    solver = getattr(classifier, "solver", "")
    fixed = name == "SVC" or (name == "LogisticRegression" and solver not in SEEDED_SOLVERS)
    return "the model's fit draws nothing at random" if fixed else ""


def _unchanged(conduct: Conduct) -> Conduct:
    return conduct


@dataclass(frozen=True)
class Mistake:
    """One mistake, and the same step done right.

    Attributes
    ----------
    title : str
        In a few words, for a step of the staircase.
    wrong : callable
        From a conduct to that with the mistake.
    habit, flatters, seen, prevented : str
        What papers do, why it flatters, how a notebook shows it, and how this harness prevents it.
    right : callable
        From a conduct to that with the same step done right; the conduct itself, where the step is
        no mistake by default.
    lacking : callable
        Why a model can't make it, in a few words; empty where it can.
    climbed : bool
        Whether the staircase of a study's own winner takes it. Not the selection of features: to do
        without half of them costs more than it flatters, and who sees that takes it back.
    makes_rows : bool
        Whether it makes rows before the split, so that what it does depends on who draws that.
    """

    title: str
    wrong: Callable[[Conduct], Conduct]
    habit: str
    flatters: str
    seen: str
    prevented: str
    right: Callable[[Conduct], Conduct] = _unchanged
    lacking: Callable[[Subject], str] = _always
    climbed: bool = True
    makes_rows: bool = False


MISTAKES: dict[str, Mistake] = {
    "speakers-shared": Mistake(
        title="speakers on both sides",
        wrong=lambda conduct: replace(conduct, split="speaker-dependent"),
        habit="The clips are shuffled and a share of them is the test side, so every speaker is on "
        "both sides.",
        flatters="A model learns how each speaker sounds when angry, and meets the same speaker "
        "again. Of a new caller it knows nothing.",
        seen="`train_test_split(X, y, ...)` or `StratifiedKFold` without `groups`; no word on who "
        "speaks.",
        prevented="The protocol `speaker-independent` draws speakers, and a run stops when one is on both "
        "sides of the split or of an inner fold.",
    ),
    "augmented-before-split": Mistake(
        title="copies made before the split",
        right=lambda conduct: replace(conduct, copies="training"),
        wrong=lambda conduct: replace(conduct, copies="all"),
        habit="Every clip is copied with noise, another pitch or another tempo, and the rows of "
        "all copies are then split at random.",
        flatters="Most test rows have a twin in training that differs by a little noise. To know "
        "the twin again is enough.",
        seen="A loop over `noise`, `pitch` and `stretch` that comes before `train_test_split`; a "
        "test side that is larger than its share of the corpus.",
        prevented="Copies are made of training clips alone, after the split; a test table with a "
        "copy in it stops the run.",
        makes_rows=True,
    ),
    "oversampled-before-split": Mistake(
        title="rare emotions filled up before the split",
        right=lambda conduct: replace(conduct, filled="training"),
        wrong=lambda conduct: replace(conduct, filled="all"),
        habit="Rare emotions are filled up by SMOTE or by repeating rows, and the rows are then "
        "split at random.",
        flatters="Rows that were made of test rows are learned from, and rows that were made of "
        "training rows are tested.",
        seen="`SMOTE().fit_resample(X, y)` before `train_test_split`; a test side with as many "
        "rows of each emotion.",
        prevented="Nothing is filled up. The score is the mean of the emotions' recalls, so that "
        "rare emotions count as much as common ones; a model may weight them as it learns.",
        lacking=_balanced,
        makes_rows=True,
    ),
    "scaled-on-everything": Mistake(
        title="scaler fitted on all rows",
        wrong=lambda conduct: replace(conduct, scaled="all"),
        habit="`StandardScaler` sees all rows before the split.",
        flatters="Mean and spread of the test rows are known in training. With many clips that "
        "tells next to nothing; it is the mistake that is named most and costs least.",
        seen="`scaler.fit_transform(X)` before `train_test_split`.",
        prevented="The scaler is a step of the pipeline, and is fitted with it inside each fold.",
        lacking=_unscaled,
    ),
    "selected-on-everything": Mistake(
        title="features selected on all rows",
        right=lambda conduct: replace(conduct, selected="training"),
        wrong=lambda conduct: replace(conduct, selected="all"),
        habit="The features that tell emotions apart best are selected before the split. Here: the "
        "half with the highest F of an analysis of variance.",
        flatters="The test rows' emotions have helped to choose what is looked at. It costs most "
        "with thousands of features and few clips.",
        seen="`SelectKBest(...).fit_transform(X, y)`, or a forest's importances on all rows, "
        "before `train_test_split`.",
        prevented="Whatever learns from rows is a step of the pipeline, and is fitted with it "
        "inside each fold.",
        lacking=_framed,
        climbed=False,
    ),
    "settings-by-test": Mistake(
        title="settings chosen on the test rows",
        wrong=lambda conduct: replace(conduct, settings="test"),
        habit="Settings are tried until the test score is best, or the grid search sees all rows.",
        flatters="The best of several test scores holds the luck of that test side.",
        seen="`GridSearchCV(...).fit(X, y)` with all rows; no third part of the data beside "
        "training and test.",
        prevented="Settings are chosen on inner folds of the training side. The test rows are "
        "looked at once.",
        lacking=_one_setting,
    ),
    "epoch-by-test": Mistake(
        title="epoch chosen on the test rows",
        wrong=lambda conduct: replace(conduct, epoch="test"),
        habit="A network is watched on the test rows, and the epoch with the best score is kept "
        "and reported.",
        flatters="It is the best of as many test scores as there are epochs.",
        seen="`validation_data=(X_test, y_test)` with `save_best_only=True` or "
        "`restore_best_weights=True`.",
        prevented="An inner fold decides when to stop. The last fit, on all training clips, learns "
        "for as many epochs as the folds did on average.",
        lacking=_no_epochs,
    ),
    "best-of-seeds": Mistake(
        title="best of several seeds reported",
        wrong=lambda conduct: replace(conduct, seed="test"),
        habit="The experiment is run again with other seeds, and the best run is reported.",
        flatters="It is the best of as many test scores as there were seeds.",
        seen="An odd `random_state`; a cell that was run many times; no spread beside the score.",
        prevented="One seed in the study file decides everything, and is never chosen by a score.",
        lacking=_no_seed,
    ),
}
"""All mistakes, in the order in which the staircase adds them."""


def honest(augmented: bool) -> Conduct:
    """Return how a study is conducted: copies, if it has any, of training clips alone."""
    return Conduct(copies="training" if augmented else "none")
