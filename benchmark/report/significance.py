"""The section on models that a study compares: on the same test clips, and on the same folds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import bootstrap_seed
from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.evaluation.significance import (
    ALPHA,
    ClipTest,
    FoldTest,
    compare_on_clips,
    compare_on_folds,
    holm,
)
from benchmark.report import wording
from benchmark.report.markdown import (
    NOTHING,
    capitalised,
    count,
    figure,
    listed,
    number,
    probability,
    span,
    table,
)
from benchmark.study import derive_seed


@dataclass(frozen=True)
class PairwiseComparison:
    """Two models under one protocol.

    Attributes
    ----------
    protocol, first, second : str
    clips : ClipTest
        First less second on the test clips, by `METRIC`.
    folds : FoldTest or None
        First less second on the inner folds, by the search's metric; None where a winner has no
        scores of its folds.
    clips_p, folds_p : float
        The tests', each corrected for the number of its kind in the study (Holm).
    """

    protocol: str
    first: str
    second: str
    clips: ClipTest
    folds: FoldTest | None
    clips_p: float = 1.0
    folds_p: float = 1.0


def comparisons(board: Leaderboard) -> list[PairwiseComparison]:
    """Return every pair that the study compares, under every protocol that measured both."""
    found = [
        _compare(board.result, protocol, first, second)
        for first, second in board.result.study.compare
        for protocol in board.protocols
        if board.evaluation(protocol, first) and board.evaluation(protocol, second)
    ]
    on_clips = iter(holm([one.clips.p for one in found]))
    on_folds = iter(holm([one.folds.p for one in found if one.folds]))
    return [
        replace(one, clips_p=next(on_clips), folds_p=next(on_folds) if one.folds else 1.0)
        for one in found
    ]


def section(board: Leaderboard) -> Iterator[str]:
    """Yield the section on compared models; nothing where the study compares none."""
    result = board.result
    pairs = [tuple(pair) for pair in result.study.compare]
    if not pairs:
        return
    yield "## Compared on the same clips and folds"
    found = comparisons(board)
    measured = {(one.first, one.second) for one in found}
    for first, second in pairs:
        if (first, second) not in measured:
            names = listed([wording.named(result, first), wording.named(result, second)])
            yield f"{capitalised(names)} can't be compared: not both were measured."
    if not found:
        return
    yield "\n".join(f"- {_sentence(result, one)}" for one in found)
    metric = METRICS[result.study.search.metric].title
    header = ["Test", "First", "Second", "UAR on test clips, first − second", "p"]
    header += [f"{metric} on inner folds, first − second", "p"]
    yield table(header, [_row(result, one) for one in found], words=range(3))
    yield wording.sentences(_notes(found))


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
    return PairwiseComparison(
        protocol, first, second, clips, _on_folds(result, protocol, first, second)
    )


def _on_folds(result: Result, protocol: str, first: str, second: str) -> FoldTest | None:
    scores = [_fold_scores(result, protocol, model) for model in (first, second)]
    split = result.data.splits.get(protocol)
    if not all(scores) or split is None or not split.folds:
        return None
    train = float(np.mean([fold.train_clips for fold in split.folds]))
    validation = float(np.mean([fold.validation_clips for fold in split.folds]))
    if _stops_by_a_fold(result, protocol, first) or _stops_by_a_fold(result, protocol, second):
        train -= validation  # the fold that tells when to stop is not learned from
    return compare_on_folds(scores[0], scores[1], train, validation)


def _stops_by_a_fold(result: Result, protocol: str, model: str) -> bool:
    """Whether a model, or a voter of it, learns by epochs."""
    winners = {one.model: one for one in result.winners if one.protocol == protocol}
    return any(winners[member].epochs for member in winners[model].members or (model,))


def _fold_scores(result: Result, protocol: str, model: str) -> list[float]:
    for winner in result.winners:
        if (winner.protocol, winner.model) == (protocol, model):
            return list(winner.fold_scores)
    return []


def _sentence(result: Result, one: PairwiseComparison) -> str:
    first, second = wording.named(result, one.first), wording.named(result, one.second)
    column = capitalised(wording.protocol_words(one.protocol).column)
    said = _outcome(first, second, one.clips.difference.value, one.clips_p)
    text = f"**{column}**: on the test clips {said}"
    if one.folds is None:
        return f"{text}."
    if not _differs(one.clips_p) and not _differs(one.folds_p):
        return f"{text}, nor on the inner folds (p {probability(one.folds_p)})."
    inside = _outcome(first, second, one.folds.difference, one.folds_p)
    return f"{text}; on the inner folds {inside}."


def _outcome(first: str, second: str, difference: float, p: float) -> str:
    """Return in words what a test shows."""
    if not _differs(p):
        return f"{first} and {second} can't be told apart (p {probability(p)})"
    better, worse = (first, second) if difference > 0 else (second, first)
    return f"{better} is better than {worse} by {number(abs(difference))} (p {probability(p)})"


def _differs(p: float) -> bool:
    return p < ALPHA


def _row(result: Result, one: PairwiseComparison) -> list[str]:
    folds = one.folds
    return [
        wording.protocol_words(one.protocol).column,
        wording.model_title(result, one.first),
        wording.model_title(result, one.second),
        figure(one.clips.difference),
        probability(one.clips_p, ""),
        f"{number(folds.difference)} {span(folds.low, folds.high)}" if folds else NOTHING,
        probability(one.folds_p, "") if folds else NOTHING,
    ]


def _notes(found: list[PairwiseComparison]) -> Iterator[str]:
    for over, swapped, swaps, exact in dict.fromkeys(map(_swapping, found)):
        same = [one for one in found if _swapping(one) == (over, swapped, swaps, exact)]
        columns = list(dict.fromkeys(wording.protocol_words(one.protocol).column for one in same))
        ways = f"all {count(swaps)} ways" if exact else f"{count(swaps)} random ways"
        yield (
            f"Test clips of {listed(columns)}: the interval draws the same {over} for both models; "
            f"p is of a permutation test, {ways} to swap the two models' answers by {swapped}."
        )
    yield (
        "Inner folds: interval and p are of the corrected resampled t-test (Nadeau & Bengio 2003), "
        "for folds share training clips. The winners were chosen on these folds, which flatters "
        "the model that was searched harder."
    )
    yield f"Told apart: p below {ALPHA}."
    if len(found) > 1:
        yield (
            f"p is corrected by Holm's method for {len(found)} comparisons, on test clips and on "
            "inner folds each; the intervals are not."
        )


def _swapping(one: PairwiseComparison) -> tuple[str, str, int, bool]:
    test = one.clips
    return test.difference.over, test.swapped, test.swaps, test.exact
