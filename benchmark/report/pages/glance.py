"""All studies at a glance: a table for each set of clips, what its chosen models reach in a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmark.evaluation.leaderboard import (
    METRIC,
    SPEAKER_DEPENDENT,
    SPEAKER_INDEPENDENT,
    Leaderboard,
)
from benchmark.report import wording
from benchmark.report.markdown import (
    NOTHING,
    counted,
    figure,
    link,
    listed,
    plain,
    table,
)

COLUMNS = (SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT, "cross-corpus")
"""The protocols that have a column of their own."""

Clips = tuple[tuple[str, ...], tuple[str, ...]]


def clips_of(board: Leaderboard) -> Clips:
    """Return the corpora and emotions of a study, which say what its clips are."""
    return tuple(sorted(wording.used_corpora(board.result))), tuple(board.result.emotions)


def section(boards: Sequence[Leaderboard]) -> Iterator[str]:
    """Yield the section: the studies of the same clips together, those with most studies first."""
    groups: dict[Clips, list[Leaderboard]] = {}
    for board in boards:
        if not board.result.generated:
            groups.setdefault(clips_of(board), []).append(board)
    if sum(map(len, groups.values())) < 2:
        return
    yield "## At a glance"
    for (corpora, emotions), group in sorted(groups.items(), key=lambda one: -len(one[1])):
        yield f"**{counted(len(emotions), 'emotion')} of {listed(corpora)}**"
        yield glance(group)
    yield wording.sentences([_note(boards)])


def glance(boards: Sequence[Leaderboard], folder: str = "") -> str:
    """Return the table of some studies, by their figure on unseen speakers.

    Parameters
    ----------
    boards : sequence of Leaderboard
        Of the same clips.
    folder : str
        The pages' folder as seen from the page that shows the table; empty for the same folder.
    """
    shown = [name for name in COLUMNS if any(name in board.protocols for board in boards)]
    header = ["Study", "Features", "Chosen model"]
    header += [f"UAR, {wording.protocol_words(name).column}" for name in shown]
    ranked = sorted(boards, key=_unseen, reverse=True)
    where = folder.split("/") if folder else []
    rows = [
        [
            link(plain(board.result.name), *where, f"{board.result.name}.md"),
            _features(board),
            wording.model_title(board.result, board.selected[board.leading].model),
            *(_cell(board, name) for name in shown),
        ]
        for board in ranked
    ]
    return table(header, rows, words=range(3))


def alike(boards: Sequence[Leaderboard], name: str, folder: str) -> str:
    """Return the table of all studies of the clips of one of them, with what it says; or nothing.

    Parameters
    ----------
    boards : sequence of Leaderboard
        Changed runs take no part.
    name : str
        A study's.
    folder : str
        As `glance` takes it.
    """
    own = [board for board in boards if not wording.is_changed(board.result)]
    wanted = {clips_of(board) for board in own if board.result.name == name}
    group = [board for board in own if clips_of(board) in wanted]
    if not group:
        return ""
    return f"{glance(group, folder)}\n\n{wording.sentences([_note(group)])}"


def _features(board: Leaderboard) -> str:
    by = board.result.study.normalise
    scaled = [] if by == "none" else [f"**normalised by {by}**"]
    told = ", ".join([wording.learned_from(board.result), *scaled])
    lacking = wording.partial_data(board.result)
    return f"{told}; {lacking}" if lacking else told


def _note(boards: Sequence[Leaderboard]) -> str:
    parts = [
        "Each figure is of the model with the best UAR on that column's inner folds; the model "
        f"named is that of {wording.protocol_words(SPEAKER_INDEPENDENT).column}, where a study has them."
    ]
    if any(board.result.study.normalise != "none" for board in boards):
        parts.append(
            "Normalised by speaker: features are scaled by mean and spread of all clips of the "
            "speaker, without labels, so that a speaker needs several."
        )
    return " ".join([*parts, wording.intervals_note()])


def _unseen(board: Leaderboard) -> float:
    if SPEAKER_INDEPENDENT not in board.protocols:
        return -1.0
    return board.selected_evaluation(SPEAKER_INDEPENDENT).scores[METRIC].value


def _cell(board: Leaderboard, protocol: str) -> str:
    if protocol not in board.protocols:
        return NOTHING
    evaluation = board.selected_evaluation(protocol)
    return f"{figure(evaluation.scores[METRIC])}, {counted(evaluation.speakers, 'speaker')}"
