"""Outer folds: the selected model and its score on each, all pairs of corpora, and repeats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import Evaluation, bootstrap_seed, evaluate
from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS, confusion
from benchmark.evaluation.results import Winner
from benchmark.report import wording
from benchmark.report.figures import house_style, png_bytes
from benchmark.report.markdown import interval, number, plain, title
from benchmark.report.sections.section import Section
from benchmark.study import BASELINE

PAIRS = "cross-corpus-pairs"
MATRIX = "corpora.png"
REPEAT = "repeat-"
"""Prefix of the last component of a repeat's part."""


@dataclass(frozen=True)
class ProtocolFolds:
    """The outer folds of one protocol.

    Attributes
    ----------
    protocol : str
    words : ProtocolWords
    folds : dict of str to (Winner, Evaluation)
        The selected model of each outer fold, and its test scores.
    spread : list of list of str
        A row per model: title, mean over outer folds and their standard deviation, lowest, highest.
    repeats : list of str
    repeat_rows : list of list of str
        A row per model: title, mean and standard deviation, and the score of each repeat.
    """

    protocol: str
    words: wording.ProtocolWords
    folds: dict[str, tuple[Winner, Evaluation]]
    spread: list[list[str]]
    repeats: list[str]
    repeat_rows: list[list[str]]

    @property
    def other_corpora(self) -> bool:
        """Whether the folds test different corpora, as a corpus of fewer speakers than folds."""
        return len({tuple(test.corpora) for _, test in self.folds.values()}) > 1

    @property
    def cv_score(self) -> float:
        """Mean CV score of the selected models."""
        return float(np.mean([winner.score for winner, _ in self.folds.values()]))

    @property
    def test_score(self) -> float:
        """Mean test score of the selected models."""
        return float(np.mean([one.scores[METRIC].value for _, one in self.folds.values()]))


def _facts(board: Leaderboard) -> list[ProtocolFolds] | None:
    found = []
    for protocol in board.protocols:
        if board.selected[protocol].parts:
            rows = board.result.predictions
            own = rows[rows["protocol"] == protocol]
            found.append(
                ProtocolFolds(
                    protocol,
                    wording.protocol_words(protocol),
                    _folds(board, protocol),
                    _spread(board, own),
                    *_repeats(board, own),
                )
            )
    return found or None


def _folds(board: Leaderboard, protocol: str) -> dict[str, tuple[Winner, Evaluation]]:
    """Return the selected model of each outer fold, and its test scores."""
    result = board.result
    rows = result.predictions[result.predictions["protocol"] == protocol]
    found = {}
    for part, winner in board.selected[protocol].by_part.items():
        own = rows[(rows["part"] == part) & (rows["model"] == winner.model)]
        seed = bootstrap_seed(result.study.seed, stream(protocol), part)
        found[part] = winner, evaluate(own, result.emotions, seed)
    return found


def _spread(board: Leaderboard, rows: pd.DataFrame) -> list[list[str]]:
    """Return how much the score of each model varies over the outer folds."""
    lines = []
    for model, own in _by_model(board, rows):
        scores = [_uar(board, fold) for _, fold in own.groupby("part")]
        lines.append([model, _mean_and_deviation(scores), number(min(scores)), number(max(scores))])
    return lines


def _repeats(board: Leaderboard, rows: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Return the repeats, and the scores of each model in them; empty without repeats."""
    repeat_of = rows["part"].str.rpartition("/")[2]
    names = {name for name in repeat_of if name.startswith(REPEAT)}  # corpora draw nothing
    repeats = sorted(names, key=lambda name: int(name.removeprefix(REPEAT)))
    lines = []
    for model, own in _by_model(board, rows) if repeats else ():
        scores = [_uar(board, own[repeat_of[own.index] == name]) for name in repeats]
        lines.append([model, _mean_and_deviation(scores), *map(number, scores)])
    return [plain(name.replace("-", " ")) for name in repeats], lines


def _by_model(board: Leaderboard, rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the title and the rows of each model, in the order of the leaderboard."""
    for standing in board.standings:
        own = rows[rows["model"] == standing.model]
        if standing.model != BASELINE and len(own):
            yield wording.model_title(board.result, standing.model), own


def _uar(board: Leaderboard, rows: pd.DataFrame) -> float:
    """Return the mean over corpora of the score within each."""
    emotions = board.result.emotions
    of_counts = METRICS[METRIC].of_counts
    return float(
        np.mean([of_counts(confusion(part, emotions)) for _, part in rows.groupby("corpus")])
    )


def _mean_and_deviation(values: Sequence[float]) -> str:
    """Return mean ± standard deviation; the mean alone of one value."""
    mean = number(float(np.mean(values)))
    return f"{mean} ± {number(float(np.std(values, ddof=1)))}" if len(values) > 1 else mean


def _figures(board: Leaderboard, facts: list[ProtocolFolds]) -> dict[str, bytes]:
    for one in facts:
        if one.protocol == PAIRS:
            corpora, folds = board.corpora, one.folds
            pairs = [[folds.get(f"{train}-to-{test}") for test in corpora] for train in corpora]
            scores = [[pair[1] if pair else None for pair in row] for row in pairs]
            return {MATRIX: matrix_figure(corpora, scores)}
    return {}


def matrix_figure(corpora: Sequence[str], pairs: Sequence[Sequence[Evaluation | None]]) -> bytes:
    """Return UAR by training corpus (row) and test corpus (column); the diagonal is empty."""
    with house_style():
        from matplotlib.figure import Figure

        values = np.array(
            [[one.scores[METRIC].value if one else np.nan for one in row] for row in pairs]
        )
        side = 1.9 + 1.15 * len(corpora)
        figure = Figure(figsize=(side + 0.6, side), layout="constrained")
        axes = figure.subplots()
        axes.imshow(values, cmap="Blues", vmin=0, vmax=1)
        for row, line in enumerate(pairs):
            for column, one in enumerate(line):
                if one is not None:
                    score = one.scores[METRIC]
                    shown = f"{score.value:.2f}\n{interval(score)}"
                    shown += f"\n{one.emotions_present} emotions"
                    colour = "white" if score.value > 0.55 else "#08306B"
                    axes.text(column, row, shown, ha="center", va="center", color=colour, size=9)
        names = [title(name) for name in corpora]
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0)
        axes.set_xlabel("test corpus")
        axes.set_ylabel("training corpus")
        axes.set_title(f"{METRICS[METRIC].title}, cross-corpus")
        return png_bytes(figure)


SECTION = Section("outer_folds", _facts, _figures)
