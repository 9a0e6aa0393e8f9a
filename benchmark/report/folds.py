"""Outer folds on a page: what was chosen and measured on each, the corpora's matrix, repeats."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import Evaluation, bootstrap_seed, evaluate
from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.report import wording
from benchmark.report.markdown import (
    capitalised,
    code,
    count,
    counted,
    details,
    figure,
    number,
    plain,
    table,
)
from benchmark.study import BASELINE

PAIRS = "cross-corpus-pairs"
MATRIX = "corpora.png"
"""The picture of all pairs of corpora."""

REPEAT = "repeat-"
"""How the last word of a repeat's part begins."""


def section(board: Leaderboard) -> Iterator[str]:
    """Yield what each outer fold, pair of corpora and repeat says; nothing where there are none."""
    parted = [p for p in board.protocols if board.selected[p].parts]
    if not parted:
        return
    yield "## Fold by fold"
    for protocol in parted:
        yield _told(board, protocol)
        if protocol == PAIRS:
            yield f"![UAR for each pair of corpora](figures/{board.result.name}/{MATRIX})"
        yield from _repeats(board, protocol)
        name = capitalised(wording.protocol_words(protocol).column)
        yield details(f"{name}: each fold", _parts_table(board, protocol))


def _told(board: Leaderboard, protocol: str) -> str:
    choices = board.selected[protocol].by_part.values()
    outer = parts(board, protocol)
    inside = np.mean([winner.score for winner in choices])
    tested = np.mean([one.scores[METRIC].value for one in outer.values()])
    metric = METRICS[board.result.study.search.metric].title
    return (
        f"**{capitalised(wording.protocol_words(protocol).column)}**: "
        f"{counted(len(outer), 'outer fold')}, each with a search of its own. Its chosen models "
        f"have {metric} {number(float(inside))} on the inner folds and UAR "
        f"{number(float(tested))} on the test clips, both as the mean over the outer folds."
    )


def parts(board: Leaderboard, protocol: str) -> dict[str, Evaluation]:
    """Return the test figures of the model chosen on each outer fold of a protocol."""
    result = board.result
    rows = result.predictions[result.predictions["protocol"] == protocol]
    found = {}
    for part, winner in board.selected[protocol].by_part.items():
        own = rows[(rows["part"] == part) & (rows["model"] == winner.model)]
        there = [e for e in result.emotions if e in set(own["emotion"])]
        seed = bootstrap_seed(result.study.seed, stream(protocol), part)
        found[part] = evaluate(own, there, seed)
    return found


def _parts_table(board: Leaderboard, protocol: str) -> str:
    choices = board.selected[protocol].by_part
    header = ["Fold", "Test speakers", "Test clips", "Emotions", "Chosen model", "Inner score"]
    header += [capitalised(metric.title) for metric in METRICS.values()]
    rows = [
        [
            code(part),
            count(one.speakers),
            count(one.clips),
            str(len(one.emotions)),
            wording.model_title(board.result, choices[part].model),
            number(choices[part].score),
            *(figure(one.scores[name]) for name in METRICS),
        ]
        for part, one in parts(board, protocol).items()
    ]
    return f"{table(header, rows, words=(0, 4))}\n\n{wording.sentences([wording.intervals_note()])}"


def _repeats(board: Leaderboard, protocol: str) -> Iterator[str]:
    """Yield each model's figure by repeat, and how far they are apart; nothing without repeats."""
    result = board.result
    rows = result.predictions[result.predictions["protocol"] == protocol]
    repeat_of = rows["part"].str.rpartition("/")[2]
    named = {name for name in repeat_of if name.startswith(REPEAT)}  # corpora draw nothing
    if not named:
        return
    repeats = sorted(named, key=lambda name: int(name.removeprefix(REPEAT)))
    lines = []
    for standing in board.standings:
        own = rows["model"] == standing.model
        if standing.model == BASELINE or not own.any():
            continue
        values = [
            evaluate(rows[own & (repeat_of == name)], result.emotions, 0).scores[METRIC].value
            for name in repeats
        ]
        spread = f"{number(float(np.mean(values)))} ± {number(float(np.std(values, ddof=1)))}"
        name = wording.model_title(result, standing.model)
        lines.append([name, spread, *(number(value) for value in values)])
    shown = [plain(name.replace("-", " ")) for name in repeats]
    yield table(["UAR", "Mean ± standard deviation", *shown], lines)
    yield wording.sentences(
        ["Each repeat draws the sides, the inner folds, the trials and the fits by other seeds."]
    )


def matrix(board: Leaderboard) -> tuple[list[str], list[list[Evaluation | None]]] | None:
    """Return the corpora, and the figures of each as training (row) and test side (column)."""
    if PAIRS not in board.protocols:
        return None
    found = parts(board, PAIRS)
    corpora = board.corpora
    pairs = [[found.get(f"{one}-to-{other}") for other in corpora] for one in corpora]
    return corpora, pairs
