"""The page of unseen speakers: our best beside published figures on the same folds and classes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.evaluate import METRICS
from benchmark.models import FLOOR
from benchmark.report import words
from benchmark.report.leaderboard import METRIC, UNSEEN, Leaderboard
from benchmark.report.markdown import (
    NOTHING,
    capitalised,
    code,
    figure,
    link,
    listed,
    number,
    plain,
    signed,
    table,
    title,
)
from benchmark.results import Result

NAME = "unseen_speakers.md"
"""The page's file."""

SPEED = "speed.json"
"""Clips a second by feature set, on two cores; written by tests/performance/feature_speed.py."""


@dataclass(frozen=True)
class Published:
    """A figure that somebody has published for unseen speakers.

    Attributes
    ----------
    system : str
        What was measured.
    uar, accuracy, macro_f1 : float or None
    how : str
        Features and normalisation, where they decide what the figure can be compared with.
    source : str
    exactly : bool
        Whether it is on the same folds.
    """

    system: str
    uar: float
    accuracy: float | None
    macro_f1: float | None
    how: str
    source: str
    exactly: bool = True


EMOBOX = "Ma et al. 2024, EmoBox"


def _emobox(system: str, uar: float, accuracy: float, macro_f1: float) -> Published:
    return Published(system, uar, accuracy, macro_f1, "frozen network, small head", EMOBOX)


@dataclass(frozen=True)
class Task:
    """Clips, emotions and folds on which figures can be compared.

    Attributes
    ----------
    corpus : str
    emotions : int
    folds : str
        As studies name them; all that test the same speakers together.
    published : tuple of Published
    """

    corpus: str
    emotions: int
    folds: tuple[str, ...]
    published: tuple[Published, ...]

    def holds(self, result: Result) -> bool:
        """Whether a study is of this task."""
        settings = result.settings
        return (
            settings["corpora"] == [self.corpus]
            and len(settings["emotions"]) == self.emotions
            and settings["split"].get("folds") in self.folds
            and UNSEEN in settings["split"]["protocols"]
            and not result.generated
        )


TASKS = (
    Task(
        "ravdess",
        8,
        ("emobox",),
        (
            _emobox("Whisper large v3", 0.7532, 0.7587, 0.7519),
            _emobox("WavLM large", 0.7200, 0.7222, 0.7142),
            _emobox("HuBERT large", 0.7000, 0.7029, 0.6954),
            _emobox("wav2vec 2.0 base", 0.5433, 0.5540, 0.5399),
            Published(
                "ResLSTM-SER", 0.623, None, None,
                "MFCC and chroma, normalised over all the data; five other folds of speakers",
                "arXiv 2606.03359", exactly=False,
            ),
        ),
    ),
    Task(
        "savee",
        7,
        ("emobox", "leave-one-speaker-out"),
        (
            _emobox("Whisper large v3", 0.7407, 0.7724, 0.7531),
            _emobox("HuBERT large", 0.7191, 0.7505, 0.7183),
            _emobox("WavLM large", 0.6674, 0.7080, 0.6637),
            _emobox("wav2vec 2.0 base", 0.4489, 0.4983, 0.4207),
        ),
    ),
)  # fmt: skip
"""What is compared; a corpus with published figures is one more entry."""


def compared(boards: Sequence[Leaderboard]) -> bool:
    """Whether any study is of one of the tasks with published figures."""
    return any(task.holds(board.result) for task in TASKS for board in boards)


def unseen_page(boards: Sequence[Leaderboard], folder: Path) -> str:
    """Return the page; empty where no study is of one of its tasks.

    Parameters
    ----------
    boards : sequence of Leaderboard
    folder : Path
        The pages', where `SPEED` may lie.
    """
    path = folder / SPEED
    speed = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    sections = [
        part
        for task in TASKS
        for own in [[board for board in boards if task.holds(board.result)]]
        if own
        for part in _section(task, own, speed)
    ]
    if not sections:
        return ""
    parts = [
        "# Unseen speakers: our best beside what is published",
        "Every figure here is of speakers that nothing was learned from, on the folds that the "
        "rows beside it use. Ours choose features' settings, models and weights on inner folds "
        "alone; each clip is tested once. **One clip** needs nothing but the recording itself. "
        "**Normalised by speaker** needs several clips of a speaker, as in a call, without labels: "
        "figures of the two kinds answer different questions and stand apart.",
        *sections,
    ]
    return "\n\n".join(parts) + "\n"


def _section(
    task: Task, boards: Sequence[Leaderboard], speed: Mapping[str, float]
) -> Iterator[str]:
    folds = next(board.result.settings["split"]["folds"] for board in boards)
    yield f"## {title(task.corpus)}, {task.emotions} emotions, folds {code(folds)}"
    kinds = (("none", "One clip"), ("speaker", "Normalised by speaker"))
    best = {
        kind: max(own, key=_inside)
        for kind, _ in kinds
        if (own := [board for board in boards if _normalised(board) == kind])
    }
    rows = [
        (board.chosen_evaluation(UNSEEN).scores[METRIC].value, _own_row(board, name, speed))
        for kind, name in kinds
        if (board := best.get(kind))
    ]
    rows += [(one.uar, _published_row(one)) for one in task.published]
    rows.sort(key=lambda row: -row[0])
    header = ["System", *(capitalised(metric.title) for metric in METRICS.values())]
    header += ["Clips/s, 2 cores", "How", "Source"]
    yield table(header, [row for _, row in rows], words=(0, 5, 6))
    yield words.sentences(
        [
            "**Bold**: ours, the study whose chosen models are best on the inner folds.",
            words.intervals_note(),
            *(f"{one.system} was measured on other folds." for one in task.published
              if not one.exactly),
        ]
    )  # fmt: skip
    yield "**What each step brought**"
    steps = [step for board in boards for step in _steps(board)]
    steps.sort(key=lambda step: step[0])
    header = ["Features", "Normalised", "Model"]
    header += ["UAR, inner folds", "UAR, outer folds", "Outer less inner"]
    yield table(header, [step[1] for step in steps], words=(0, 1, 2))
    yield words.sentences(
        [
            "Inner: mean over the outer folds of the winner's score on the inner folds, by which "
            "everything is chosen. Outer: all test clips, once."
        ]
    )


def _normalised(board: Leaderboard) -> str:
    return str(board.result.settings.get("normalise", "none"))


def _inside(board: Leaderboard) -> float:
    """Return the inner score by which a study is chosen among those of its kind."""
    return float(board.chosen[UNSEEN]["score"])


def _own_row(board: Leaderboard, name: str, speed: Mapping[str, float]) -> list[str]:
    result = board.result
    evaluation = board.chosen_evaluation(UNSEEN)
    features = str(result.settings["features"])
    how = f"{_learned_from(result)}; {words.named(result, board.chosen[UNSEEN]['model'])}"
    return [
        f"**Ours: {name.lower()}**",
        *(figure(evaluation.scores[metric], bold=True) for metric in METRICS),
        f"{speed[features]:.0f}" if features in speed else NOTHING,
        how,
        link(f"study {plain(result.name)}", f"{result.name}.md"),
    ]


def _learned_from(result: Result) -> str:
    """Return a study's features, and the copies that it makes of training clips."""
    features = code(result.settings["features"])
    copies = [code(chain) for chain in result.settings.get("augment", [])]
    return f"{features}, copies by {listed(copies)}" if copies else features


def _published_row(one: Published) -> list[str]:
    values = [one.uar, one.accuracy, one.macro_f1]
    shown = [NOTHING if value is None else number(value) for value in values]
    return [plain(one.system), *shown, NOTHING, plain(one.how), plain(one.source)]


def _steps(board: Leaderboard) -> Iterator[tuple[float, list[str]]]:
    """Yield each model of a study by its inner score: a row of the table of steps."""
    result = board.result
    for standing in board.standings:
        winners = [
            winner
            for winner in result.winners
            if (winner["protocol"], winner["model"]) == (UNSEEN, standing.model)
        ]
        if standing.model == FLOOR or not winners:
            continue
        inside = float(np.mean([winner["score"] for winner in winners]))
        outside = standing.evaluations[UNSEEN].scores[METRIC]
        yield (
            inside,
            [
                _learned_from(result),
                {"none": "no"}.get(_normalised(board), f"by {_normalised(board)}"),
                words.model_title(result, standing.model),
                number(inside),
                figure(outside),
                signed(outside.value - inside),
            ],
        )
