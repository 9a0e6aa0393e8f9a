"""Models ranked across studies by their speaker-independent UAR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from benchmark.evaluation.leaderboard import METRIC, SPEAKER_INDEPENDENT, Leaderboard
from benchmark.evaluation.significance import ALPHA
from benchmark.report import wording
from benchmark.report.markdown import number, plain, title
from benchmark.report.pages.glance import Clips, clips_of
from benchmark.study import BASELINE

FEWEST = 3
"""A ranking needs this many models, and this many studies that measured all of them."""


@dataclass(frozen=True)
class Ranking:
    """Models ranked over studies of different clips; the variables of the template.

    Attributes
    ----------
    rows : list of list of str
        A row per study and one of mean ranks; empty without a ranking.
    header : list of str
    n_models, n_studies : int
    p : float
        Of Friedman's test that no model differs.
    shared_corpora : list of str
        Corpora that several of the studies have.
    transductive : list of str
        Studies that are left out since they use other clips of the test speakers.
    same_clips : list of (str, list of str)
        A study, and the studies of the same clips that it represents.
    incomplete : list of str
        Studies that did not measure one of the models.
    unranked_models : list of str
    measured : list of str
        Each study that could be ranked, with its models.
    """

    rows: list[list[str]]
    header: list[str]
    n_models: int
    n_studies: int
    p: float
    shared_corpora: list[str]
    transductive: list[str]
    same_clips: list[tuple[str, list[str]]]
    incomplete: list[str]
    unranked_models: list[str]
    measured: list[str]

    @property
    def significant(self) -> bool:
        """Whether the models differ significantly."""
        return self.p < ALPHA


def blocks(boards: Sequence[Leaderboard]) -> list[Leaderboard]:
    """Return one study for each set of clips: the one with the best CV score.

    Studies of the same corpora and emotions are not independent blocks, which the tests require.
    Transductive studies, studies of generated speech and changed runs are excluded.
    """
    best: dict[Clips, Leaderboard] = {}
    for board in sorted(filter(_eligible, boards), key=_cv_score):
        best[clips_of(board)] = board
    return [board for board in boards if board in best.values()]


def scores(boards: Sequence[Leaderboard]) -> pd.DataFrame:
    """Return the speaker-independent UAR to be ranked, a row per study and a column per model.

    Ensembles are excluded: their members differ between studies. Of all sets of models that at
    least `FEWEST` of the `blocks` share, the one with the most scores is taken; the table is empty
    if there is none.
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


def mean_ranks(table: pd.DataFrame) -> pd.Series:
    """Return each model's mean rank over the studies; 1 is the best, ties share their rank."""
    return table.rank(axis="columns", ascending=False).mean()


def friedman(table: pd.DataFrame) -> float:
    """Return the p-value of Friedman's test that no model differs.

    Demšar (2006, Statistical comparisons of classifiers over multiple data sets, Journal of Machine
    Learning Research 7).
    """
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*(table[model] for model in table.columns)).pvalue)


def ranking(boards: Sequence[Leaderboard]) -> Ranking:
    """Return the models ranked over the studies, and which studies and models are not ranked."""
    ranked = blocks(boards)
    found = scores(boards)
    rows, header, p = [], [], 1.0
    if not found.empty:
        first = next(board.result for board in ranked if board.result.name == found.index[0])
        header = ["Study", *(wording.model_title(first, str(model)) for model in found.columns)]
        rows = [[plain(study), *map(number, row)] for study, row in found.iterrows()]
        rows.append(["mean rank", *(f"{rank:.2f}" for rank in mean_ranks(found))])
        p = friedman(found)
    shown = [board for board in ranked if board.result.name in found.index]
    return Ranking(
        rows=rows,
        header=header,
        n_models=found.shape[1],
        n_studies=len(found),
        p=p,
        shared_corpora=[
            title(corpus)
            for corpus in sorted({name for board in shown for name in board.corpora})
            if sum(corpus in board.corpora for board in shown) > 1
        ],
        transductive=[
            plain(board.result.name)
            for board in boards
            if _comparable(board) and wording.is_transductive(board.result)
        ],
        same_clips=[(plain(best.result.name), others) for best in ranked
                    if (others := _of_the_same_clips(best, boards))],
        incomplete=[plain(board.result.name) for board in ranked if board not in shown],
        unranked_models=sorted(
            {
                wording.model_title(board.result, model)
                for board in ranked
                for model in _scores(board)
                if model not in found.columns
            }
        ),
        measured=[_measured(board) for board in ranked],
    )  # fmt: skip


def _of_the_same_clips(best: Leaderboard, boards: Sequence[Leaderboard]) -> list[str]:
    return [
        plain(board.result.name)
        for board in boards
        if _eligible(board) and board is not best and clips_of(board) == clips_of(best)
    ]


def _measured(board: Leaderboard) -> str:
    models = [wording.model_title(board.result, model) for model in _scores(board)]
    return f"{plain(board.result.name)} ({', '.join(models)})"


def _cv_score(board: Leaderboard) -> float:
    return board.selected[SPEAKER_INDEPENDENT].score


def _eligible(board: Leaderboard) -> bool:
    return _comparable(board) and not wording.is_transductive(board.result)


def _comparable(board: Leaderboard) -> bool:
    return (
        SPEAKER_INDEPENDENT in board.protocols
        and not board.result.generated
        and not wording.is_changed(board.result)
    )


def _scores(board: Leaderboard) -> dict[str, float]:
    """Return the speaker-independent UAR of each model except the baseline and ensembles."""
    found = {
        model: board.evaluation(SPEAKER_INDEPENDENT, model) for model in board.result.study.models
    }
    return {
        model: part.scores[METRIC].value
        for model, part in found.items()
        if part is not None and model != BASELINE
    }
