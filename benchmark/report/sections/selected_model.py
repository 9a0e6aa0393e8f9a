"""The selected model of each protocol: confusion matrices, and scores of each emotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.evaluation.intervals import Evaluation
from benchmark.evaluation.leaderboard import Leaderboard, Selection
from benchmark.evaluation.metrics import Counts, confusion
from benchmark.evaluation.results import Result
from benchmark.report import wording
from benchmark.report.figures import WIDTH_IN, house_style, png_bytes
from benchmark.report.markdown import title
from benchmark.report.sections.section import Figures, Section


class Confusion(NamedTuple):
    """One confusion matrix of a figure: its title, and clips by true and predicted emotion."""

    title: str
    counts: Counts


@dataclass(frozen=True)
class Facts:
    """The selected model of each protocol.

    Attributes
    ----------
    selections : list of Selection
    evaluations : dict of ProtocolWords to Evaluation
    corpora : dict of str to dict of ProtocolWords to Evaluation
        The same within each corpus; empty for a single corpus.
    """

    selections: list[Selection]
    evaluations: dict[wording.ProtocolWords, Evaluation]
    corpora: dict[str, dict[wording.ProtocolWords, Evaluation]]


def _facts(board: Leaderboard) -> Facts:
    words = wording.protocol_words
    parts = {words(p): board.selected_evaluation(p) for p in board.protocols}
    corpora = {
        name: {p: part.corpora[name] for p, part in parts.items() if name in part.corpora}
        for name in board.corpora
    }
    several = len(corpora) > 1
    selections = [board.selected[protocol] for protocol in board.protocols]
    return Facts(selections, parts, corpora if several else {})


def _figures(board: Leaderboard, facts: Facts) -> Figures:
    emotions = board.result.emotions
    panels = [
        Confusion(panel_title(board, one.protocol), part.confusion)
        for one, part in zip(facts.selections, facts.evaluations.values(), strict=True)
    ]
    drawn = {"confusion.png": partial(confusion_figure, panels, emotions)}
    if facts.corpora:
        by_corpus = [
            Confusion(f"{title(name)}, {words.column}", part.confusion)
            for words, evaluation in facts.evaluations.items()
            for name, part in evaluation.corpora.items()
        ]
        across = min(3, len(facts.corpora))
        drawn["confusion_by_corpus.png"] = partial(confusion_figure, by_corpus, emotions, across)
    return drawn


def panel_title(board: Leaderboard, protocol: str) -> str:
    """Return the title of a panel: a protocol and its selected model."""
    model = wording.model_title(board.result, board.selected[protocol].model)
    return fill(f"{wording.protocol_words(protocol).column}: {model}", 40)


def confusion_png(result: Result, protocol: str, model: str) -> bytes:
    """Return the confusion matrix of one model under one protocol."""
    predictions = result.predictions
    rows = predictions[(predictions["protocol"] == protocol) & (predictions["model"] == model)]
    shown = wording.model_title(result, model)
    panel = Confusion(f"{shown}, {protocol}", confusion(rows, result.emotions))
    return confusion_figure([panel], result.emotions)


def confusion_figure(
    panels: Sequence[Confusion], emotions: Sequence[str], columns: int = 2
) -> bytes:
    """Return confusion matrices side by side, in percent of the clips of each true emotion.

    Parameters
    ----------
    panels : sequence of Confusion
        Counts of shape (n_emotions, n_emotions), true emotions in rows.
    emotions : sequence of str
        The order of rows and columns.
    columns : int
        Number of matrices in a row.
    """
    with house_style():
        from matplotlib.figure import Figure
        from sklearn.metrics import ConfusionMatrixDisplay

        across = min(columns, len(panels))
        down = -(-len(panels) // across)
        side = min(WIDTH_IN / across, 5.2)
        size = (across * side, down * (side * 0.87 + 0.3))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(down, across, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for position, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
            display = ConfusionMatrixDisplay(_percent(panel.counts), display_labels=emotions)
            display.plot(
                ax=axes,
                cmap="Blues",
                colorbar=False,
                values_format=".0f",
                im_kw={"vmin": 0, "vmax": 100},
                text_kw={"fontsize": 10 if across < 3 else 9},
            )
            # scikit-learn divides light from dark text by the largest cell, not by the colours.
            for text in display.text_.flat:
                text.set_color("white" if float(text.get_text()) > 55 else "#08306B")
            axes.set_title(panel.title)
            axes.tick_params(axis="x", labelrotation=45, length=0)
            axes.tick_params(axis="y", length=0)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
            axes.set_xlabel("predicted emotion")
            axes.set_ylabel("true emotion" if position % across == 0 else "")
            if position % across:
                axes.set_yticklabels([])
        return png_bytes(figure)


def _percent(counts: Counts) -> NDArray[np.float64]:
    """Return counts in percent of their row; a row without clips is zero."""
    return np.asarray(100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), np.float64)


SECTION = Section("selected_model", _facts, _figures)
