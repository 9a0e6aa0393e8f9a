"""Studies of the same clips together: the score of the selected model under each protocol.

Inductive and transductive studies have a table each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmark.data.protocols import stream
from benchmark.evaluation.external import External
from benchmark.evaluation.intervals import FEWEST_SPEAKERS, Evaluation, bootstrap_seed, evaluate
from benchmark.evaluation.leaderboard import (
    METRIC,
    SPEAKER_DEPENDENT,
    SPEAKER_INDEPENDENT,
    Leaderboard,
)
from benchmark.features.contamination import contaminated_encoders, known_as_tuned
from benchmark.report import wording
from benchmark.report.markdown import NOTHING, counted, link, plain, table

COLUMNS = (SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT, "cross-corpus", "given")
"""The protocols with a column of their own."""

SCORES = "scores"
"""Folder of the pages of scored predictions."""

Clips = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Group:
    """Studies of the same clips.

    Attributes
    ----------
    corpora : tuple of str
        Titles.
    n_emotions : int
    inductive, transductive : str
        The table of each kind of study; empty without one.
    external : str
        The table of systems that were not fitted here; empty without one.
    """

    corpora: tuple[str, ...]
    n_emotions: int
    inductive: str
    transductive: str
    external: str


def clips_of(board: Leaderboard) -> Clips:
    """Return the corpora and emotions of a study, which define its clips."""
    return tuple(sorted(wording.used_corpora(board.result))), tuple(board.result.emotions)


def groups(boards: Sequence[Leaderboard], externals: Sequence[External] = ()) -> list[Group]:
    """Return the studies of real speech by clips, the largest group first; none of one study.

    With `externals`, each group also has the systems that were scored on its clips.
    """
    by_clips: dict[Clips, list[Leaderboard]] = {}
    for board in boards:
        if not board.result.generated:
            by_clips.setdefault(clips_of(board), []).append(board)
    if sum(map(len, by_clips.values())) < 2 and not externals:
        return []
    return [
        Group(corpora, len(emotions), *_tables(group), external_table(group, externals))
        for (corpora, emotions), group in sorted(by_clips.items(), key=lambda one: -len(one[1]))
    ]


def _tables(boards: Sequence[Leaderboard]) -> tuple[str, str]:
    """Return the tables of the inductive and of the transductive studies."""
    kinds = [
        [board for board in boards if wording.is_transductive(board.result) is kind]
        for kind in (False, True)
    ]
    inductive, transductive = (glance_table(kind) if kind else "" for kind in kinds)
    return inductive, transductive


def glance_table(boards: Sequence[Leaderboard]) -> str:
    """Return the table of studies of one kind, the best speaker-independent score first.

    The scores of a column are on the clips that all its studies tested.
    """
    shown = [name for name in COLUMNS if any(name in board.protocols for board in boards)]
    scores = [f"UAR, {wording.protocol_words(name).column}" for name in shown]
    header = ["Study", *scores, "Selected model", "Features"]
    compared = {name: compared_evaluations(boards, name) for name in shown}
    order = compared.get(SPEAKER_INDEPENDENT, {})
    rows = [
        [
            link(plain(board.result.name), f"{board.result.name}.md"),
            *(_cell(compared[name].get(board.result.name)) for name in shown),
            wording.model_title(board.result, board.selected[board.leading].model),
            _features(board),
        ]
        for board in sorted(
            boards, key=lambda board: _value(order.get(board.result.name)), reverse=True
        )
    ]
    return table(header, rows, words=(0, len(header) - 2, len(header) - 1))


def external_table(boards: Sequence[Leaderboard], externals: Sequence[External]) -> str:
    """Return the table of the systems that were scored on the clips of some studies.

    Their scores are on the clips that all these studies tested under the stated protocol. A system
    that lacks some of them has no score; one with none of them, or another truth, is left out.
    """
    rows = []
    for one in externals:
        tested = [_selected_rows(board, one.protocol) for board in boards
                  if one.protocol in board.protocols]  # fmt: skip
        if not tested:
            continue
        common = set.intersection(*(set(own["clip"]) for own in tested))
        truth = tested[0].drop_duplicates("clip").set_index("clip")["emotion"]
        own = one.rows[one.rows["clip"].isin(common)]
        if own.empty or (own["emotion"].to_numpy() != truth[own["clip"]].to_numpy()).any():
            continue
        if len(own) < len(common):
            shown = f"lacks {counted(len(common) - len(own), 'clip')}"
        else:
            seed = bootstrap_seed(boards[0].result.study.seed, stream(one.protocol))
            shown = _cell(evaluate(own, one.emotions, seed))
        column = wording.protocol_words(one.protocol).column
        contaminated = contaminated_encoders(known_as_tuned(one.name), set(own["corpus"]))
        system = link(plain(one.name), SCORES, f"{one.name}.md")
        system += " (contaminated encoder)" if contaminated else ""
        rows.append([system, column, shown])
    return table(["System", "Protocol, as stated", "UAR"], rows, words=range(2)) if rows else ""


def note_facts(boards: Sequence[Leaderboard]) -> dict[str, Any]:
    """Return the variables of the template of the note."""
    return {
        "speaker_independent": any(SPEAKER_INDEPENDENT in board.protocols for board in boards),
        "transductive": any(wording.is_transductive(board.result) for board in boards),
        "FEWEST_SPEAKERS": FEWEST_SPEAKERS,
    }


def _features(board: Leaderboard) -> str:
    features = wording.scaled_from(board.result)
    missing = wording.partial_data(board.result)
    return f"{features}; {missing}" if missing else features


def compared_evaluations(boards: Sequence[Leaderboard], protocol: str) -> dict[str, Evaluation]:
    """Return the figures of each study's selected model on the clips that all studies tested.

    By name of the study; empty if the studies that have the protocol share no test clip.
    """
    rows = {board.result.name: _selected_rows(board, protocol) for board in boards
            if protocol in board.protocols}  # fmt: skip
    clips = [set(own["clip"].unique()) for own in rows.values()]
    common = set.intersection(*clips) if clips else set()
    if not common:
        return {}
    found = {}
    for board in boards:
        if board.result.name in rows:
            own = rows[board.result.name]
            if len(common) == own["clip"].nunique():
                found[board.result.name] = board.selected_evaluation(protocol)
                continue
            seed = bootstrap_seed(board.result.study.seed, stream(protocol))
            part = own[own["clip"].isin(common)]
            found[board.result.name] = evaluate(part, board.result.emotions, seed)
    return found


def _selected_rows(board: Leaderboard, protocol: str) -> pd.DataFrame:
    rows = board.result.predictions
    own = (rows["protocol"] == protocol) & (rows["model"] == board.selected[protocol].model)
    return rows[own]


def _value(evaluation: Evaluation | None) -> float:
    return evaluation.scores[METRIC].value if evaluation else -1.0


def _cell(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return NOTHING
    shown = wording.cell(evaluation, METRIC)
    return f"{shown}, {counted(evaluation.speakers, 'speaker')}"
