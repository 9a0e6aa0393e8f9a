"""The section on how much a search flatters itself: its best inner score and what is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from benchmark.evaluation.intervals import Score
from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.selection_bias import course
from benchmark.report import wording
from benchmark.report.markdown import (
    address,
    capitalised,
    count,
    figure,
    number,
    signed,
    table,
)
from benchmark.study import BASELINE

PICTURE = "optimism.png"


@dataclass(frozen=True)
class Searched:
    """One search: what its trials reached on the inner folds, and its winner on the test clips.

    Attributes
    ----------
    protocol, model : str
    course : DataFrame of shape (n_tried, 2)
        See `optimism.course`; the mean over the parts of a study of several parts.
    test : Score
        By the search's metric.
    """

    protocol: str
    model: str
    course: pd.DataFrame
    test: Score

    @property
    def inner(self) -> float:
        """The best inner score of all trials."""
        return float(self.course["inner"].iloc[-1])

    @property
    def corrected(self) -> float:
        """The same, corrected for the choice."""
        return float(self.course["corrected"].iloc[-1])


def searches(board: Leaderboard) -> list[Searched]:
    """Return every search of two trials or more whose winner has test rows, by protocol."""
    result = board.result
    metric = result.study.search.metric
    parts = ["part"] if "part" in result.trials else []
    found = []
    for protocol in board.protocols:
        for model in result.study.models:
            evaluation = board.evaluation(protocol, model)
            trials = result.trials
            mine = trials[(trials["protocol"] == protocol) & (trials["model"] == model)]
            if model == BASELINE or evaluation is None or mine["trial"].nunique() < 2:
                continue
            courses = [course(part) for _, part in mine.groupby(["protocol", *parts], sort=False)]
            mean = _mean(courses)
            if len(mean):
                found.append(Searched(protocol, model, mean, evaluation.scores[metric]))
    return found


def section(board: Leaderboard) -> Iterator[str]:
    """Yield the section; nothing where nothing was searched."""
    found = searches(board)
    if not found:
        return
    result = board.result
    metric = METRICS[result.study.search.metric].title
    yield "## How much the search flatters itself"
    yield (
        f"The best of many trials is best in part by chance. {_summary(found)} The more trials, "
        "the more an uncorrected inner score promises."
    )
    place = address("figures", result.name, PICTURE)
    yield f"![Best and corrected inner {metric} by number of trials, and test score]({place})"
    header = ["Model", "Test", "Trials", "Inner best", "Corrected", "Flattery"]
    header += [f"{metric} on test clips", "Test − corrected"]
    yield table(header, [_row(board, one) for one in found], words=range(2))
    yield wording.sentences(
        [
            "Corrected: for each inner fold the trial is chosen on the other folds, and scored on "
            "the fold that had no part in the choice (after Tibshirani & Tibshirani 2009).",
            "Flattery: inner best less corrected.",
            "Trials that failed or were given up early count as tried.",
            "What is left between the corrected score and the test is no flattery of the search: "
            "other speakers, and a model that learned from more clips.",
        ]
    )


def _summary(found: list[Searched]) -> str:
    """Return the largest flattery, in a sentence."""
    most = max(one.inner - one.corrected for one in found)
    if number(most) == "0.000":
        return "Here it is hardly: the same trial is chosen whichever fold is left out."
    return f"Here that is worth up to {number(most)}."


def _row(board: Leaderboard, one: Searched) -> list[str]:
    return [
        wording.model_title(board.result, one.model),
        wording.protocol_words(one.protocol).column,
        count(len_tried(one)),
        number(one.inner),
        number(one.corrected),
        signed(one.inner - one.corrected),
        figure(one.test),
        signed(one.test.value - one.corrected),
    ]


def len_tried(one: Searched) -> int:
    """Return how many trials a search tried; of several parts, the most of a part."""
    return int(one.course.index[-1])


def picture_title(board: Leaderboard, protocol: str) -> str:
    """Return a panel's title: its protocol in words."""
    return capitalised(wording.protocol_words(protocol).column)


def _mean(courses: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the mean course of several searches; one that ended earlier keeps its last scores."""
    by_tried = pd.concat(courses, axis="columns", keys=range(len(courses))).sort_index().ffill()
    return by_tried.dropna().T.groupby(level=1, sort=False).mean().T
