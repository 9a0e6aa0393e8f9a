"""The pairs of models that a study compares, on test clips and on inner folds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import bootstrap_seed
from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.results import Result
from benchmark.evaluation.significance import (
    ALPHA,
    ClipTest,
    FoldTest,
    adjusted,
    compare_on_clips,
    compare_on_folds,
)
from benchmark.report import wording
from benchmark.report.sections.section import Section
from benchmark.study import derive_seed


@dataclass(frozen=True)
class PairwiseComparison:
    """Two models under one protocol.

    Attributes
    ----------
    protocol, first, second : str
    clips : ClipTest
        First minus second on the test clips, by `METRIC`.
    folds : FoldTest or None
        First minus second on the inner folds, by the search's metric; None where a winner has no
        fold scores.
    clips_p, folds_p : float or None
        Adjusted for the number of tests of their kind in the study (Holm); None without a test.
    """

    protocol: str
    first: str
    second: str
    clips: ClipTest
    folds: FoldTest | None
    clips_p: float | None = None
    folds_p: float | None = None

    @property
    def clips_differ(self) -> bool:
        """Whether the models differ significantly on the test clips."""
        return self.clips_p is not None and self.clips_p < ALPHA

    @property
    def folds_differ(self) -> bool:
        """Whether the models differ significantly on the inner folds."""
        return self.folds_p is not None and self.folds_p < ALPHA


@dataclass(frozen=True)
class Facts:
    """The compared pairs.

    Attributes
    ----------
    found : list of PairwiseComparison
    not_measured : list of (str, str)
        Pairs of which at least one model was not measured.
    swaps : dict of ClipTest to list of str
        Protocols by the permutation test of their test clips, one test for each kind.
    """

    found: list[PairwiseComparison]
    not_measured: list[tuple[str, str]]
    swaps: list[tuple[ClipTest, list[str]]]


def comparisons(board: Leaderboard) -> list[PairwiseComparison]:
    """Return every pair that the study compares, under every protocol that measured both."""
    found = [
        _compare(board.result, protocol, first, second)
        for first, second in board.result.study.compare
        for protocol in board.protocols
        if board.evaluation(protocol, first) and board.evaluation(protocol, second)
    ]
    on_clips = adjusted([one.clips.p for one in found])
    on_folds = adjusted([one.folds.p if one.folds else None for one in found])
    return [
        replace(one, clips_p=clips, folds_p=folds)
        for one, clips, folds in zip(found, on_clips, on_folds, strict=True)
    ]


def _facts(board: Leaderboard) -> Facts | None:
    pairs = board.result.study.compare
    if not pairs:
        return None
    found = comparisons(board)
    measured = {(one.first, one.second) for one in found}
    kinds: dict[tuple[object, ...], tuple[ClipTest, list[str]]] = {}
    for one in found:
        test = one.clips
        key = (test.difference.fixed, test.swaps, test.exact)
        columns = kinds.setdefault(key, (test, []))[1]
        column = wording.protocol_words(one.protocol).column
        if column not in columns:
            columns.append(column)
    missing = [pair for pair in pairs if pair not in measured]
    return Facts(found, missing, list(kinds.values()))


def _compare(result: Result, protocol: str, first: str, second: str) -> PairwiseComparison:
    rows = result.predictions[result.predictions["protocol"] == protocol]
    seed = result.study.seed
    clips = compare_on_clips(
        rows[rows["model"] == first],
        rows[rows["model"] == second],
        result.emotions,
        METRIC,
        (
            bootstrap_seed(seed, stream(protocol)),
            derive_seed(seed, "swaps", stream(protocol), first, second),
        ),
    )
    folds = _compare_on_folds(result, protocol, first, second)
    return PairwiseComparison(protocol, first, second, clips, folds)


def _compare_on_folds(result: Result, protocol: str, first: str, second: str) -> FoldTest | None:
    winners = {one.model: one for one in reversed(result.winners) if one.protocol == protocol}
    scores = [winners[model].fold_scores if model in winners else () for model in (first, second)]
    split = result.data.splits.get(protocol)
    if not all(scores) or split is None or not split.folds:
        return None
    train = float(np.mean([fold.train_clips for fold in split.folds]))
    validation = float(np.mean([fold.validation_clips for fold in split.folds]))
    trained = [name for model in (first, second) for name in winners[model].members or (model,)]
    if any(winners[name].epochs for name in trained):
        train -= validation  # one more fold decides when to stop, and is not learned from
    return compare_on_folds(scores[0], scores[1], train, validation)


SECTION = Section("comparisons", _facts)
