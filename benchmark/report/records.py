"""Figures as plain data, for JSON: equal keys in the output of every command."""

from __future__ import annotations

from typing import Any

from benchmark.evaluation.intervals import Evaluation, Score


def evaluation_record(evaluation: Evaluation) -> dict[str, Any]:
    """Return the figures of one set of predictions: of all clips, pooled, and by speaker."""
    return {
        "clips": evaluation.clips,
        "speakers": evaluation.speakers,
        "scores": {name: figure_record(score) for name, score in evaluation.scores.items()},
        "pooled": {name: figure_record(score) for name, score in evaluation.pooled.items()},
        "by_speaker": evaluation.by_speaker,
    }


def figure_record(score: Score) -> dict[str, float | None]:
    """Return a figure and its 95 % interval, None where there is none."""
    low, high = score.interval or (None, None)
    return {"value": score.value, "low": low, "high": high}
