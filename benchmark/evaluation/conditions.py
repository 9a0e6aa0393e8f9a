"""Conditions: the selected models on the same test clips, as a line, a codec or a room leaves them.

The models were selected and fitted without the conditions, and nothing is selected here.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import Score, bootstrap_seed, evaluate, paired_difference
from benchmark.evaluation.leaderboard import METRIC, Leaderboard


@dataclass(frozen=True)
class UnderCondition:
    """The selected model of a protocol under one condition.

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
        score = evaluate(rows, result.emotions, seed).scores[METRIC]
        difference = paired_difference(rows, clean, result.emotions, seed).scores[METRIC]
        found.append(UnderCondition(condition, score, difference))
    return found
