"""The search: its trials, the winners' parameters, and Optuna's plots of it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result, Winner, of_split, split_name
from benchmark.report import wording
from benchmark.report.figures import (
    BLUE,
    DPI,
    INK,
    VERMILLION,
    WIDTH_IN,
    house_style,
    png_of_pixels,
)
from benchmark.report.markdown import NO_BREAK, code, listed, number, plain, shortened
from benchmark.report.sections.section import Section
from benchmark.study import BASELINE, Choices, ModelSettings, Range

if TYPE_CHECKING:
    import optuna
    from matplotlib.axes import Axes

    Draw = Callable[[], Axes] | None

LONG_TABLE = 40
"""A table with more rows is collapsed."""

FEWEST_TRIALS = 5
"""With fewer complete trials the history of a search is not drawn."""

FEWEST_COMPARABLE = 10
"""Importance compares the best tenth of the trials with all: fewer than ten have no tenth."""


@dataclass(frozen=True)
class WinnerRow:
    """One row of the table of winners.

    Attributes
    ----------
    winner : Winner
    trials, failed, pruned : int or None
        Numbers of trials; None for an ensemble.
    cv_score, parameters : str
    """

    winner: Winner
    trials: int | None
    failed: int | None
    pruned: int | None
    cv_score: str
    parameters: str


@dataclass(frozen=True)
class Facts:
    """The searches of a study.

    Attributes
    ----------
    winners : list of WinnerRow
    initial_rows, failed_rows : list of list of str
        Trials with initial parameters, and failed trials by reason.
    failed : int
        Number of failed trials.
    votes, learns : bool
        Whether any ensemble averages its members, or learns from their predictions.
    pictures : dict of str to str
        File name of a model's figure, and the model.
    """

    winners: list[WinnerRow]
    initial_rows: list[list[str]]
    failed_rows: list[list[str]]
    failed: int
    votes: bool
    learns: bool
    pictures: dict[str, str]

    @property
    def pruned(self) -> bool:
        """Whether any trial was pruned."""
        return any(row.pruned for row in self.winners)

    @property
    def epochs(self) -> bool:
        """Whether any winner learns by epochs."""
        return any(row.winner.epochs for row in self.winners)

    @property
    def long(self) -> bool:
        """Whether the table of winners is long."""
        return len(self.winners) > LONG_TABLE


def _facts(board: Leaderboard) -> Facts:
    result = board.result
    rows = [_winner_row(result, one) for one in result.winners if one.model != BASELINE]
    methods = [
        wording.learning_method(result, row.winner.model) for row in rows if row.winner.members
    ]
    failed = result.trials[result.trials["state"] == "failed"]
    return Facts(
        rows,
        list(_initial_rows(result)),
        _failed_rows(result, failed),
        len(failed),
        not all(methods),
        any(methods),
        {f"search_{model}.png": model for model in result.study.models},
    )


def _winner_row(result: Result, winner: Winner) -> WinnerRow:
    trials = of_split(result.trials, winner.split)
    ended = trials.loc[trials["model"] == winner.model, "state"].value_counts()
    searched = winner.trial is not None
    return WinnerRow(
        winner,
        int(ended.sum()) if searched else None,
        int(ended.get("failed", 0)) if searched else None,
        int(ended.get("pruned", 0)) if searched else None,
        _cv_score(winner.score, winner.std),
        _members(result, winner) if winner.members else _parameters(winner.params),
    )


def _initial_rows(result: Result) -> list[list[str]]:
    """Return a row for each trial with the initial parameters that the study names."""
    named = [name for name, spec in result.study.models.items() if spec.initial]
    first = result.trials[(result.trials["trial"] == 0) & result.trials["model"].isin(named)]
    return [
        [
            wording.model_title(result, row["model"]),
            plain(split_name(row["protocol"], row.get("part", ""))),
            _cv_score(row["score"], row["std"])
            if row["state"] == "complete"
            else plain(row["state"]),
            _parameters(json.loads(row["params"])),
        ]
        for row in first.to_dict("records")
    ]


def _failed_rows(result: Result, failed: pd.DataFrame) -> list[list[str]]:
    """Return a row for each protocol, model and reason with failed trials."""
    return [
        [
            wording.model_title(result, str(model)),
            plain(protocol),
            shortened([str(trial) for trial in part["trial"]], 8),
            plain(reason),
        ]
        for (protocol, model, reason), part in failed.groupby(
            ["protocol", "model", "reason"], sort=False
        )
    ]


def _cv_score(score: float, std: float | None) -> str:
    if std is None or pd.isna(std):
        return number(score)
    return f"{number(score)}{NO_BREAK}±{NO_BREAK}{number(std)}"


def _parameters(params: dict[str, Any]) -> str:
    return code(", ".join(f"{name}={_value(value)}" for name, value in params.items()) or "none")


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _members(result: Result, winner: Winner) -> str:
    """Return the members of an ensemble, and how they are combined."""
    titles = [wording.model_title(result, member) for member in winner.members]
    if winner.weights:
        rows = zip(titles, winner.trials, winner.weights, strict=True)
        return f"votes by trial: {listed([f'{model} {t} × {w}' for model, t, w in rows])}"
    if wording.learning_method(result, winner.model):
        return f"logistic regression on the log-probabilities of {listed(titles)}"
    return f"mean probability of {listed(titles)}"


def _figures(board: Leaderboard, facts: Facts) -> dict[str, bytes]:
    drawn = {name: _figure(board.result, model) for name, model in facts.pictures.items()}
    return {name: content for name, content in drawn.items() if content}


def _figure(result: Result, model: str) -> bytes:
    """Return Optuna's plots of a model, a row per protocol; empty without a search."""
    spec = result.study.models[model]
    metric = METRICS[result.study.search.metric].title
    title = wording.model_title(result, model)
    first: dict[str, Winner] = {}  # the first split of each protocol: the others are alike
    for winner in result.winners:
        if winner.model == model:
            first.setdefault(winner.protocol, winner)
    rows: list[list[Draw]] = []
    names = []
    for winner in first.values():
        of_the_split = of_split(result.trials, winner.split)
        trials = of_the_split[of_the_split["model"] == model]
        if not spec.space or (trials["state"] == "complete").sum() < FEWEST_TRIALS:
            continue
        study = rebuilt_study(trials, spec)
        importances = has_importances(study)
        rows.append(
            [
                partial(draw_history, study, metric),
                partial(draw_importances, study, metric) if importances else None,
            ]
        )
        column = wording.protocol_words(winner.protocol).column
        part = f", {winner.part}" if winner.part else ""
        names.append([f"{title}, {column}{part}: history", "parameter importance"])
    if not rows:
        return b""
    if not any(row[1] for row in rows):
        rows, names = [[row[0] for row in rows]], [[pair[0] for pair in names]]
    return search_figure(rows, names)


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
        len(trials) >= FEWEST_COMPARABLE
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


def search_figure(panels: Sequence[Sequence[Draw]], titles: Sequence[Sequence[str]]) -> bytes:
    """Return other libraries' plots, each drawn on a figure of its own, as one picture.

    Parameters
    ----------
    panels : rows of callables
        Each draws on a new figure and returns its axes; None leaves its place empty.
    titles : rows of str
        In the same places.
    """
    rows = []
    across = max(len(row) for row in panels)
    for row, names in zip(panels, titles, strict=True):
        pictures = [
            _panel(draw, name, WIDTH_IN / across) for draw, name in zip(row, names, strict=True)
        ]
        rows.append(np.concatenate(pictures, axis=1))
    return png_of_pixels(np.concatenate(rows, axis=0))


def _panel(draw: Draw, name: str, width_in: float) -> NDArray[np.uint8]:
    """Return one plot in the house's style as pixels, of shape (height, width, 3)."""
    with house_style():
        import matplotlib.pyplot as plt

        height_in = 2.7
        if draw is None:
            shape = (round(height_in * DPI), round(width_in * DPI), 3)
            return np.full(shape, 255, dtype=np.uint8)
        plt.switch_backend("Agg")
        axes = draw()
        figure: Any = axes.get_figure()
        figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.08)
        figure.set_size_inches(width_in, height_in)
        figure.set_dpi(DPI)
        figure.set_facecolor("white")
        _restyle(axes, name)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy()
        plt.close(figure)
        return pixels


def _restyle(axes: Axes, name: str) -> None:
    """Undo the theme that a library has set on its axes."""
    axes.set_facecolor("white")
    axes.set_title("")
    axes.set_title(name, loc="left", fontsize=10.5, color=INK)
    axes.grid(visible=True, color="#E3E3E3")
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9.5)
    axes.xaxis.label.set(color=INK, fontsize=10)
    axes.yaxis.label.set(color=INK, fontsize=10)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color("#666666")
    for points in axes.collections:
        points.set_facecolor(BLUE)
    for line in axes.lines:
        line.set(color=VERMILLION, alpha=0.9)
    for bar in axes.patches:
        bar.set_facecolor(BLUE)
    for text in axes.texts:
        text.set(fontsize=9.5, color=INK)
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()


SECTION = Section(_facts, _figures)
