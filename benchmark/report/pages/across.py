"""The section on models across studies: their ranks on unseen speakers, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import pandas as pd

from benchmark.evaluation.leaderboard import METRIC, SPEAKER_INDEPENDENT, Leaderboard
from benchmark.evaluation.significance import ALPHA
from benchmark.report import wording
from benchmark.report.markdown import count, listed, number, plain, probability, table, title
from benchmark.report.pages.glance import Clips, clips_of
from benchmark.study import BASELINE

PICTURE = "across_studies.png"
FEWEST = 3
"""A diagram needs as many models, and as many studies that have them all."""


def blocks(boards: Sequence[Leaderboard]) -> list[Leaderboard]:
    """Return the studies that can be ranked: of those of the same clips the best one inside.

    Studies of the same corpora and emotions are no independent blocks, as the tests take them to
    be: what is hard in a corpus is hard in all of them. Studies of generated speech and changed
    runs take no part.
    """
    best: dict[Clips, Leaderboard] = {}
    for board in sorted(filter(_takes_part, boards), key=_inside):
        best[clips_of(board)] = board
    return [board for board in boards if board in best.values()]


def scores(boards: Sequence[Leaderboard]) -> pd.DataFrame:
    """Return the scores on unseen speakers that can be ranked, a row a study, a column a model.

    The studies are `blocks`. Votes take no part, whose members differ from study to study. Of all
    sets of models that share `FEWEST` studies or more the one with the most scores is taken;
    without any the table is empty.
    """
    found = pd.DataFrame.from_dict(
        {board.result.name: _scores(board) for board in blocks(boards)}, orient="index"
    )
    best = found.iloc[:0, :0]
    for size in range(FEWEST, found.shape[1] + 1):
        for models in combinations(found.columns, size):
            shared = found[list(models)].dropna()
            if len(shared) >= FEWEST and shared.size > best.size:
                best = shared
    return best


def ranks(table_: pd.DataFrame) -> pd.Series:
    """Return each model's mean rank over the studies, 1 being the best; equal ones share theirs."""
    return table_.rank(axis="columns", ascending=False).mean()


def differences(table_: pd.DataFrame) -> tuple[float, pd.DataFrame]:
    """Return Friedman's p that no model differs, and Nemenyi's p of each pair.

    Demšar (2006, Statistical comparisons of classifiers over multiple data sets, Journal of Machine
    Learning Research 7).
    """
    from scikit_posthocs import posthoc_nemenyi_friedman
    from scipy.stats import friedmanchisquare

    columns = [table_[model] for model in table_.columns]
    return float(friedmanchisquare(*columns).pvalue), posthoc_nemenyi_friedman(table_)


def section(boards: Sequence[Leaderboard]) -> Iterator[str]:
    """Yield the section; in place of the diagram, why there is none."""
    if not boards:
        return
    yield "## Across studies"
    found = scores(boards)
    if found.empty:
        yield (
            "No diagram of ranks, and no p: it needs three models that three studies, each of "
            "other recordings of speech or other emotions, have all measured on unseen speakers."
        )
        yield wording.sentences(_left_out(boards, found))
        return
    friedman, _ = differences(found)
    told = "differ" if friedman < ALPHA else "can't be told apart"
    yield (
        f"Mean ranks on unseen speakers of {count(found.shape[1])} models over "
        f"{count(len(found))} studies: together they {told} (Friedman's p "
        f"{probability(friedman)}). A bar joins models that can't be told apart (Nemenyi)."
    )
    yield f"![Critical-difference diagram of the models' mean ranks](figures/{PICTURE})"
    names = {board.result.name: board for board in boards}
    first = names[str(found.index[0])].result
    header = ["Study", *(wording.model_title(first, str(model)) for model in found.columns)]
    rows = [[plain(study), *map(number, row)] for study, row in found.iterrows()]
    means = ["mean rank", *(f"{rank:.2f}" for rank in ranks(found))]
    yield table(header, [*rows, means])
    notes = _notes([names[str(study)] for study in found.index])
    yield wording.sentences([*notes, *_left_out(boards, found)])


def _notes(boards: Sequence[Leaderboard]) -> Iterator[str]:
    yield (
        "A rank says who is ahead, not by how much. So few studies find only differences that all "
        "of them share: a bar is no proof that models are equal."
    )
    shared = [
        title(corpus)
        for corpus in sorted({name for board in boards for name in board.corpora})
        if sum(corpus in board.corpora for board in boards) > 1
    ]
    if shared:
        yield (
            f"The studies are not quite independent, as the test takes them to be: several use "
            f"{listed(shared)}, and p is smaller than it should be."
        )


def _left_out(boards: Sequence[Leaderboard], found: pd.DataFrame) -> Iterator[str]:
    """Yield which studies and models are not ranked, and why."""
    ranked = blocks(boards)
    for best in ranked:
        others = [
            plain(board.result.name)
            for board in boards
            if _takes_part(board) and board is not best and clips_of(board) == clips_of(best)
        ]
        if others:
            yield (
                f"Left out: {listed(others)}, of the same corpora and emotions as "
                f"{plain(best.result.name)}, which is better on the inner folds."
            )
    if found.empty:
        yield f"What is left to compare: {listed([_measured(board) for board in ranked])}."
        return
    lacking = [plain(b.result.name) for b in ranked if b.result.name not in found.index]
    if lacking:
        yield f"Left out: {listed(lacking)}, without a figure of one of these models."
    models = {
        wording.model_title(board.result, model)
        for board in ranked
        for model in _scores(board)
        if model not in found.columns
    }
    if models:
        yield f"Left out: {listed(sorted(models))}, which not all of these studies measured."


def _measured(board: Leaderboard) -> str:
    """Return a study with the models that it measured."""
    models = [wording.model_title(board.result, model) for model in _scores(board)]
    return f"{plain(board.result.name)} ({', '.join(models)})"


def _inside(board: Leaderboard) -> float:
    return float(board.selected[SPEAKER_INDEPENDENT].score)


def _takes_part(board: Leaderboard) -> bool:
    return (
        SPEAKER_INDEPENDENT in board.protocols
        and not board.result.generated
        and not wording.is_changed(board.result)
    )


def _scores(board: Leaderboard) -> dict[str, float]:
    found = {
        model: board.evaluation(SPEAKER_INDEPENDENT, model) for model in board.result.study.models
    }
    return {
        model: part.scores[METRIC].value
        for model, part in found.items()
        if part is not None and model != BASELINE
    }
