"""What Optuna draws of a finished search: its trials' history and its parameters' importance."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.study import Choices, ModelSettings, Range

if TYPE_CHECKING:
    import optuna
    from matplotlib.axes import Axes

FEWEST_TRIALS = 10
"""Importance compares the best tenth of the trials with all: fewer than ten have no tenth."""


def rebuilt_study(trials: pd.DataFrame, spec: ModelSettings) -> optuna.Study:
    """Return a search as an Optuna study in memory, made again from stored trials.

    Parameters
    ----------
    trials : DataFrame
        Rows of one protocol and model of a result's trials.
    spec : ModelSettings
        The model's part of the study. A parameter outside its space, as a trial that the
        study names to be tried first may have, is left out of its trial.
    """
    import optuna

    from benchmark.search.samplers import distributions

    space = distributions(spec)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    states = {
        "complete": optuna.trial.TrialState.COMPLETE,
        "failed": optuna.trial.TrialState.FAIL,
        "pruned": optuna.trial.TrialState.PRUNED,
    }
    for row in trials.sort_values("trial").to_dict("records"):
        complete = row["state"] == "complete"
        searched = _searched(json.loads(row["params"]), spec.space)
        study.add_trial(
            optuna.trial.create_trial(
                state=states[row["state"]],
                value=row["score"] if complete else None,
                params=searched,
                distributions={name: space[name] for name in searched},
            )
        )
    return study


def draw_history(study: optuna.Study, target_name: str) -> Axes:
    """Return Optuna's plot of the trials' scores and the best so far, on a figure of its own."""
    from optuna.visualization.matplotlib import plot_optimization_history

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the plots have been "experimental" since 2020
        axes = plot_optimization_history(study, target_name=target_name)
    for line in axes.get_lines():
        line.set_drawstyle("steps-post")  # the best does not rise between two trials
    return axes


def draw_importances(study: optuna.Study, target_name: str) -> Axes:
    """Return Optuna's plot of how much each parameter decided the score, on a figure of its own.

    It is PED-ANOVA (Watanabe, Bansal & Hutter, IJCAI 2023) over `comparable_trials`.
    """
    import optuna
    from optuna.visualization.matplotlib import plot_param_importances

    part = optuna.create_study(direction="maximize")
    part.add_trials(comparable_trials(study))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plot_param_importances(part, target_name=target_name)


def has_importances(study: optuna.Study) -> bool:
    """Whether there are trials enough, and parameters enough, to compare."""
    trials = comparable_trials(study)
    return (
        len(trials) >= FEWEST_TRIALS
        and len(trials[0].params) > 1
        and len({trial.value for trial in trials}) > 1
    )


def comparable_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the complete trials that lie wholly in the searched space."""
    import optuna

    complete = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
    most = max((len(trial.params) for trial in complete), default=0)
    return [trial for trial in complete if len(trial.params) == most]


def _searched(params: dict[str, Any], space: Mapping[str, Range | Choices]) -> dict[str, Any]:
    """Return the parameters that lie in the space; a list is its JSON, as Optuna stores it."""
    return {
        name: json.dumps(params[name]) if isinstance(params[name], list) else params[name]
        for name, entry in space.items()
        if name in params and _lies_in(params[name], entry)
    }


def _lies_in(value: Any, entry: Range | Choices) -> bool:
    if not isinstance(entry, Range):
        return value in [list(one) if isinstance(one, tuple) else one for one in entry]
    return isinstance(value, int | float) and bool(entry.low <= value <= entry.high)
