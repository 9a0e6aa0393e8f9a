"""The search: its trials, the winners' parameters, history and parameter importance."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from benchmark.data.protocols import protocol_of
from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result, Winner, of_split, split_name
from benchmark.models import MODELS
from benchmark.report import wording
from benchmark.report.figures import (
    BLUE,
    VERMILLION,
    WIDTH_IN,
    house_style,
    png_bytes,
)
from benchmark.report.markdown import NO_BREAK, code, listed, number, plain, shortened, title
from benchmark.report.sections.section import Figures, Section
from benchmark.search.samplers import SAMPLERS
from benchmark.study import BASELINE, BY_CORPUS, Choices, ModelSettings, Range

if TYPE_CHECKING:
    import optuna
    from matplotlib.axes import Axes

LONG_TABLE = 40
"""A table with more rows is collapsed."""

FEWEST_TRIALS = 5
"""With fewer complete trials the history of a search is not drawn."""

FEWEST_COMPARABLE = 10
"""Importance compares the best tenth of the trials with all: fewer than ten have no tenth."""


class SearchRow(NamedTuple):
    """One search in a figure: its name, its trials in order, and its parameters' importance."""

    name: str
    trials: pd.DataFrame
    importances: dict[str, float]


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
    enumerated : bool
        Whether the sampler enumerates all combinations.
    labels_only : list of str
        Titles of the models that are searched without probabilities.
    looser : list of str
        What inner folds do not keep apart, by protocol.
    """

    winners: list[WinnerRow]
    initial_rows: list[list[str]]
    failed_rows: list[list[str]]
    failed: int
    votes: bool
    learns: bool
    pictures: dict[str, str]
    enumerated: bool
    labels_only: list[str]
    looser: list[str]

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
        _enumerates(result.study.search.sampler),
        [
            wording.model_title(result, name)
            for name in result.study.models
            if name in MODELS and MODELS[name].labels_only
        ],
        list(_looser(board)),
    )


def _looser(board: Leaderboard) -> Iterator[str]:
    """Yield what the inner folds of a protocol do not keep apart, although its splits do."""
    single = [title(one.corpus) for one in board.texts if one.sentences == 2]
    for name in board.protocols:
        entry, column = protocol_of(name), wording.protocol_words(name).column
        if entry.inner_protocol is not None or board.result.study.search.folds == BY_CORPUS:
            continue
        if entry.sides is not None:
            yield f"those of {column} keep speakers apart, but no corpus"
        elif "speaker" in entry.kept_apart and (lacking := _lacking(board.result, name)):
            yield f"those of {column} lack {listed(lacking)} in training or in validation"
        if entry.text_independent and single:
            yield f"those of {column} validate on the one training sentence of {listed(single)}"


def _lacking(result: Result, protocol: str) -> list[str]:
    """Return the corpora that an inner fold has on one side only: they have too few speakers."""
    found = set()
    auxiliary = {name for name, one in result.data.corpora.items() if one.auxiliary}
    for name, split in result.data.splits.items():
        if name.partition("/")[0] == protocol:
            speakers = set(split.train.speakers)
            for fold in split.folds:
                validated = set(fold.validation_speakers)
                on_both = _corpora_of(validated) & _corpora_of(speakers - validated)
                found |= _corpora_of(speakers) - on_both - auxiliary
    return sorted(map(title, found))


def _corpora_of(speakers: Collection[str]) -> set[str]:
    return {speaker.partition("/")[0] for speaker in speakers}


def _enumerates(sampler: str) -> bool:
    return sampler in SAMPLERS and SAMPLERS[sampler].points is not None


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


def _figures(board: Leaderboard, facts: Facts) -> Figures:
    return {name: partial(_figure, board.result, model) for name, model in facts.pictures.items()}


def _figure(result: Result, model: str) -> bytes:
    """Return history and parameter importance, a row per protocol; empty without a search."""
    spec = result.study.models[model]
    first: dict[str, Winner] = {}  # the first split of each protocol: the others are alike
    for winner in result.winners:
        if winner.model == model:
            first.setdefault(winner.protocol, winner)
    rows = []
    for winner in first.values():
        of_the_split = of_split(result.trials, winner.split)
        trials = of_the_split[of_the_split["model"] == model].sort_values("trial")
        if spec.space and (trials["state"] == "complete").sum() >= FEWEST_TRIALS:
            column = wording.protocol_words(winner.protocol).column
            part = f", {winner.part}" if winner.part else ""
            name = f"{wording.model_title(result, model)}, {column}{part}: history"
            rows.append(SearchRow(name, trials, importances(rebuilt_study(trials, spec))))
    return search_figure(rows, METRICS[result.study.search.metric].utility_title) if rows else b""


def rebuilt_study(trials: pd.DataFrame, spec: ModelSettings) -> optuna.Study:
    """Return an Optuna study in memory from stored trials.

    Parameters
    ----------
    trials : DataFrame
        Rows of one protocol and model of a result's trials.
    spec : ModelSettings
        The model's part of the study. A parameter outside its space, which initial parameters
        may have, is left out of its trial.
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


def importances(study: optuna.Study) -> dict[str, float]:
    """Return the importance of each parameter; empty with too few trials or parameters.

    It is PED-ANOVA (Watanabe, Bansal & Hutter, IJCAI 2023) over `comparable_trials`.
    """
    import optuna

    trials = comparable_trials(study)
    if (
        len(trials) < FEWEST_COMPARABLE
        or len(trials[0].params) < 2
        or len({trial.value for trial in trials}) < 2
    ):
        return {}
    part = optuna.create_study(direction="maximize")
    part.add_trials(trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evaluator is "experimental"
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return optuna.importance.get_param_importances(part, evaluator=evaluator)


def comparable_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the complete trials whose parameters all lie in the searched space."""
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


def search_figure(rows: Sequence[SearchRow], metric: str) -> bytes:
    """Return the history of each search, and beside it the importance of its parameters."""
    with house_style():
        from matplotlib.figure import Figure

        paired = any(row.importances for row in rows)
        down, across = (len(rows), 2) if paired else (1, len(rows))
        figure = Figure(figsize=(WIDTH_IN, 2.7 * down), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False)
        for axes, row in zip(panels[:, 0] if paired else panels[0], rows, strict=True):
            _draw_history(axes, row, metric)
        for axes, row in zip(panels[:, 1] if paired else (), rows, strict=paired):
            _draw_importances(axes, row.importances)
        return png_bytes(figure)


def _draw_history(axes: Axes, row: SearchRow, metric: str) -> None:
    complete = row.trials[row.trials["state"] == "complete"]
    axes.plot(complete["trial"], complete["score"], "o", color=BLUE, ms=5)
    axes.plot(
        complete["trial"], complete["score"].cummax(), color=VERMILLION, drawstyle="steps-post"
    )
    axes.set(xlabel="trial", ylabel=metric)
    axes.set_title(row.name)
    axes.grid(visible=True)
    axes.set_axisbelow(True)


def _draw_importances(axes: Axes, found: dict[str, float]) -> None:
    if not found:
        axes.set_axis_off()
        return
    names, values = list(found)[::-1], list(found.values())[::-1]
    bars = axes.barh(names, values, color=BLUE)
    axes.bar_label(
        bars, [f"{value:.2f}" if value >= 0.01 else "<0.01" for value in values], padding=3
    )
    axes.set_xlim(0, 1.15 * max(values))
    axes.set_xlabel("importance")
    axes.set_title("parameter importance")
    axes.grid(axis="x")
    axes.set_axisbelow(True)


SECTION = Section("search", _facts, _figures)
