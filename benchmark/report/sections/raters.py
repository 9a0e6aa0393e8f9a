"""Agreement of raters, and scores against the distribution of their votes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from benchmark.corpora.raters import UNDECIDED, Agreement
from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import bootstrap_seed
from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.votes import SoftScores, soft_scores, vote_counts
from benchmark.report import wording
from benchmark.report.markdown import NOTHING, count, figure, number, percent, title
from benchmark.report.sections.section import Section

AGREEMENT = ["Corpus", "Rated clips", "Votes per clip", "Unanimous", "Krippendorff's alpha"]


@dataclass(frozen=True)
class Facts:
    """What raters say of a study's clips, and of its models.

    Attributes
    ----------
    agreement : list of list of str
        A row per corpus, the columns `AGREEMENT`.
    undecided : dict of str to int
        Clips whose votes have no majority, by corpus.
    header : list of str
    rows : list of list of str
        A row per model: soft macro F1, then Jensen-Shannon divergence, by protocol.
    unrated : int
        Test clips without votes for the study's emotions.
    outside : float
        Fraction of the test clips' votes that are for other emotions than the study's.
    """

    agreement: list[list[str]]
    undecided: dict[str, int]
    header: list[str]
    rows: list[list[str]]
    unrated: int
    outside: float

    @property
    def agreement_header(self) -> list[str]:
        """The columns of `agreement`."""
        return AGREEMENT


def agreement_rows(by_corpus: Mapping[str, Agreement]) -> list[list[str]]:
    """Return a row for each corpus, with the columns `AGREEMENT`."""
    return [
        [
            title(corpus),
            count(one.clips),
            " to ".join(dict.fromkeys(map(count, (one.fewest, one.most)))),
            NOTHING if one.unanimous is None else percent(one.unanimous),
            NOTHING if one.alpha is None else number(one.alpha),
        ]
        for corpus, one in by_corpus.items()
    ]


def _facts(board: Leaderboard) -> Facts | None:
    result, corpora = board.result, board.result.data.corpora
    votes = vote_counts(result.clips, result.study.rename)
    if votes is None:
        return None
    tested = votes.reindex(result.predictions["clip"].unique(), fill_value=0)
    inside = tested.reindex(columns=pd.Index(result.emotions), fill_value=0).sum(axis=1)
    reasons = {name: [why for _, why in one.set_aside] for name, one in corpora.items()}
    undecided = {name: sum(why in UNDECIDED for why in own) for name, own in reasons.items()}
    rated = {name: one.agreement for name, one in corpora.items() if one.agreement is not None}
    columns = [wording.protocol_words(protocol).column for protocol in board.protocols]
    total = int(tested.to_numpy().sum())
    return Facts(
        agreement_rows(rated),
        {name: clips for name, clips in undecided.items() if clips},
        [
            "Model",
            *(f"{name}, {c}" for name in ("Soft macro F1", "JS divergence") for c in columns),
        ],
        _rows(board, votes),
        int((inside == 0).sum()),
        1 - float(inside.sum()) / total if total else 0.0,
    )


def _rows(board: Leaderboard, votes: pd.DataFrame) -> list[list[str]]:
    """Return a row for each model of the leaderboard."""
    rows = []
    for standing in board.standings:
        scores = [_scores(board, standing.model, protocol, votes) for protocol in board.protocols]
        cells = [None if one is None else one.soft_f1 for one in scores]
        cells += [None if one is None else one.divergence for one in scores]
        rows.append([wording.row_title(board, standing.model), *map(figure, cells)])
    return rows


def _scores(
    board: Leaderboard, model: str, protocol: str, votes: pd.DataFrame
) -> SoftScores | None:
    """Return the scores of a model under a protocol; None if it was not measured or not rated."""
    own = board.result.predictions
    own = own[(own["protocol"] == protocol) & (own["model"] == model)]
    if own.empty:
        return None
    seed = bootstrap_seed(board.result.study.seed, stream(protocol))
    return soft_scores(own, votes, board.result.emotions, seed)


SECTION = Section("raters", _facts)
