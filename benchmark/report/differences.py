"""The section on what differs: every model against the chosen one on the same test clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmark.evaluation.leaderboard import Comparison, Leaderboard
from benchmark.evaluation.significance import ALPHA
from benchmark.report import wording
from benchmark.report.markdown import (
    capitalised,
    count,
    counted,
    details,
    figure,
    listed,
    probability,
    table,
)


def section(board: Leaderboard) -> Iterator[str]:
    """Yield the section; nothing where there is no other model than the chosen one."""
    if not board.comparisons:
        return
    result = board.result
    chosen = wording.named(result, board.selected[board.leading].model)
    column = wording.protocol_words(board.leading).column
    yield f"## {wording.WHAT_DIFFERS}"
    yield (
        f"On the test clips of {column}, {chosen}, chosen on the inner folds, "
        f"{listed(list(_outcomes(board)))}."
    )
    header = ["Model", "Chosen − model, UAR", "p", "p, corrected"]
    rows = [
        [
            wording.model_title(result, one.model),
            figure(one.test.difference),
            probability(one.test.p, ""),
            probability(one.p, ""),
        ]
        for one in board.comparisons
    ]
    tests = counted(len(rows), "comparison")
    yield details(f"{capitalised(tests)} with the chosen model", table(header, rows))
    yield wording.sentences(_notes(board.comparisons))


def _outcomes(board: Leaderboard) -> Iterator[str]:
    """Yield what the chosen model is better than, worse than, and can't be told from."""
    apart = [one for one in board.comparisons if one.significant]
    kinds = {
        "is better than": [one for one in apart if one.test.difference.value > 0],
        "is worse than": [one for one in apart if one.test.difference.value < 0],
        "can't be told from": [one for one in board.comparisons if not one.significant],
    }
    for verb, found in kinds.items():
        if found:
            names = [wording.named(board.result, one.model) for one in found]
            yield f"{verb} {listed(names, 'or' if verb.startswith('can') else 'and')}"


def _notes(contests: Sequence[Comparison]) -> Iterator[str]:
    test = contests[0].test
    ways = f"all {count(test.swaps)} ways" if test.exact else f"{count(test.swaps)} random ways"
    few = ", as there are fewer than six speakers" if test.swapped == "clips" else ""
    yield (
        f"p: how often a difference as large comes about in {ways} to swap the two models' answers "
        f"by {test.swapped}{few}."
    )
    here, elsewhere = "what differs on these speakers", "what would differ on others"
    if test.swapped == "speakers" and test.difference.over != "speakers":
        yield f"The intervals are over {test.difference.over}: they say {here}, p {elsewhere}."
    if test.swapped == "clips" and test.difference.over == "speakers":
        yield f"The intervals are over speakers: they say {elsewhere}, p {here}."
    if len(contests) > 1:
        yield f"Corrected by Holm's method for {len(contests)} comparisons."
    yield (
        f"Told apart: corrected p below {ALPHA}. Not to be told apart is not to be equal: fewer "
        "speakers tell less."
    )
