"""Conditions: a system on the same test clips, as a line, a codec or a room leaves them.

A study's models were selected and fitted without the conditions, and nothing is selected here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import Score, bootstrap_seed, evaluate, paired_difference
from benchmark.evaluation.leaderboard import METRIC, Leaderboard


@dataclass(frozen=True)
class UnderCondition:
    """A system under one condition, such as the selected model of a protocol.

    Attributes
    ----------
    condition : str
    score : Score
    difference : Score
        `score` minus that of the clips as recorded; the same speakers are resampled for both.
    """

    condition: str
    score: Score
    difference: Score

    @property
    def differs(self) -> bool:
        """Whether the interval of the difference excludes 0; False without an interval."""
        limits = self.difference.interval
        return limits is not None and not limits.low <= 0 <= limits.high


def under_conditions(board: Leaderboard, protocol: str) -> list[UnderCondition]:
    """Return the selected model of a protocol under each condition, in the study's order."""
    result = board.result
    if result.conditions is None:
        return []
    seed = bootstrap_seed(result.study.seed, stream(protocol))
    predictions, heard = result.predictions, result.conditions
    clean = predictions[
        (predictions["protocol"] == protocol)
        & (predictions["model"] == board.selected[protocol].model)
    ]
    found = []
    for condition in result.study.conditions:
        rows = heard[(heard["protocol"] == protocol) & (heard["condition"] == condition)]
        found.append(under_condition(condition, rows, clean, result.emotions, seed))
    return found


def under_condition(
    condition: str,
    heard: pd.DataFrame,
    recorded: pd.DataFrame,
    emotions: Sequence[str],
    seed: int,
) -> UnderCondition:
    """Return a system under one condition, compared with itself on the clips as recorded.

    Parameters
    ----------
    condition : str
    heard, recorded : DataFrame
        Predictions of the same clips under the condition and as recorded, as `evaluate` takes them.
    emotions : sequence of str
    seed : int
        Of the resamples; see `bootstrap_seed`.
    """
    score = evaluate(heard, emotions, seed).scores[METRIC]
    difference = paired_difference(heard, recorded, emotions, seed).scores[METRIC]
    return UnderCondition(condition, score, difference)
