"""The page of unseen speakers: our best beside published figures on the same folds and classes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import Evaluation, bootstrap_seed, evaluate
from benchmark.evaluation.leaderboard import (
    METRIC,
    SELECTED_PER_FOLD,
    SPEAKER_INDEPENDENT,
    Leaderboard,
)
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result, Winner
from benchmark.report import wording
from benchmark.report.markdown import (
    NOTHING,
    capitalised,
    code,
    counted,
    figure,
    link,
    listed,
    number,
    plain,
    signed,
    table,
    title,
)
from benchmark.study import BASELINE

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
        """Whether a result is a study of this task, as its file has it, each clip tested once."""
        study = result.study
        return (
            study.corpora == (self.corpus,)
            and len(study.emotions) == self.emotions
            and not study.rename
            and study.split.folds in self.folds
            and study.split.repeats == 1
            and SPEAKER_INDEPENDENT in study.split.protocols
            and not result.generated
            and not wording.is_changed(result)
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

NEEDS = {"none": "one clip", "speaker": "normalised by speaker"}
"""What our figures need of a speaker, by how a study normalises."""


class Kind(NamedTuple):
    """What stands apart: figures that need other clips, or that learned from other corpora too.

    Attributes
    ----------
    normalise : str
        A key of `NEEDS`.
    learned_also : tuple of str
        Titles of the auxiliary corpora.
    """

    normalise: str
    learned_also: tuple[str, ...]

    @property
    def title(self) -> str:
        """In a row's first cell, after a colon."""
        further = f", {listed(self.learned_also)} learned from too" if self.learned_also else ""
        return f"{NEEDS[self.normalise]}{further}"


@dataclass(frozen=True)
class Ours:
    """What our studies of one kind reach together, each outer fold answered by the best inside.

    Attributes
    ----------
    kind : Kind
    answering : tuple of Leaderboard
        For each outer fold, the study whose chosen model has the best score on its inner folds.
    choices : tuple of dict
        That model, as the winner of the fold.
    """

    kind: Kind
    answering: tuple[Leaderboard, ...]
    choices: tuple[Winner, ...]

    @cached_property
    def evaluation(self) -> Evaluation:
        """The figures of all these answers; where one study answers every fold, its own."""
        first = self.answering[0].result
        answers = [
            rows[(rows["part"] == choice.part) & (rows["model"] == choice.model)]
            for board, choice in zip(self.answering, self.choices, strict=True)
            for rows in [
                board.result.predictions[
                    board.result.predictions["protocol"] == SPEAKER_INDEPENDENT
                ]
            ]
        ]
        seed = bootstrap_seed(first.study.seed, stream(SPEAKER_INDEPENDENT))
        return evaluate(pd.concat(answers, ignore_index=True), first.emotions, seed)

    @property
    def folds(self) -> dict[str, int]:
        """How many outer folds each study answers, by its name; the most first."""
        return dict(Counter(board.result.name for board in self.answering).most_common())

    @property
    def results(self) -> list[Result]:
        """The studies that answer, in the order of `folds`."""
        by_name = {board.result.name: board.result for board in self.answering}
        return [by_name[name] for name in self.folds]


def best_inside(kind: Kind, boards: Sequence[Leaderboard]) -> tuple[Ours, list[Leaderboard]]:
    """Return what studies of one kind reach together, and those left out for their other folds."""
    choices = [_choices(board) for board in boards]
    folds = max(choices, key=len)
    whole = [
        (board, found)
        for board, found in zip(boards, choices, strict=True)
        if set(found) == set(folds)
    ]
    answers = [
        max(((board, found[fold]) for board, found in whole), key=lambda one: one[1].score)
        for fold in folds
    ]
    answering, chosen = zip(*answers, strict=True)
    together = [board for board, _ in whole]
    return Ours(kind, answering, chosen), [board for board in boards if board not in together]


def _choices(board: Leaderboard) -> dict[tuple[str, ...], Winner]:
    """Return a study's chosen winner of each outer fold by the fold's test speakers.

    Folds of other names can be the same, ``f1`` and ``savee/DC``.
    """
    splits = board.result.data.splits
    return {
        tuple(sorted(splits[winner.split].test.speakers)): winner
        for winner in board.selected[SPEAKER_INDEPENDENT].by_part.values()
    }


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
        "Every figure here is of speakers that nothing was learned from, on the same folds, except "
        "where a row says otherwise. Ours choose study, features' settings, models and weights "
        "fold by fold, on inner folds alone; each clip is tested once. **One clip** needs nothing "
        "but the recording itself. **Normalised by speaker** scales features by the mean and "
        "spread of all clips of the speaker, every emotion among them, the tested ones too, "
        f"without labels{_clips_a_speaker(boards)}: figures of the two kinds answer different "
        "questions and stand apart. So do those that **learned from another corpus too**, which is "
        "never tested; a frozen network has heard far more, of other recordings.",
        *sections,
    ]
    return "\n\n".join(parts) + "\n"


def _clips_a_speaker(boards: Sequence[Leaderboard]) -> str:
    """Return how many clips of a speaker that is, by corpus."""
    tested = {
        task.corpus: board.selected_evaluation(SPEAKER_INDEPENDENT)
        for task in TASKS
        for board in boards
        if task.holds(board.result)
    }
    counts = [f"{one.clips // one.speakers} in {title(name)}" for name, one in tested.items()]
    return f" ({listed(counts)})"


def _section(
    task: Task, boards: Sequence[Leaderboard], speed: Mapping[str, float]
) -> Iterator[str]:
    folds = next(board.result.study.split.folds for board in boards)
    yield f"## {title(task.corpus)}, {task.emotions} emotions, folds {code(folds)}"
    by_kind: dict[Kind, list[Leaderboard]] = {}
    for board in boards:
        if _normalised(board) in NEEDS:
            by_kind.setdefault(_kind(board), []).append(board)
    found = [best_inside(kind, by_kind[kind]) for kind in sorted(by_kind)]
    rows = [(ours.evaluation.scores[METRIC].value, _own_row(ours, speed)) for ours, _ in found]
    rows += [(one.uar, _published_row(one)) for one in task.published]
    rows.sort(key=lambda row: -row[0])
    header = ["System", *(capitalised(metric.title) for metric in METRICS.values())]
    header += ["Clips/s, 2 cores", "How", "Source"]
    yield table(header, [row for _, row in rows], words=(0, 5, 6))
    yield wording.sentences(
        [
            "**Bold**: ours; each outer fold is answered by the study, and the model of it, with "
            "the best score on the inner folds.",
            wording.intervals_note(),
            "Clips/s: measuring the features alone, decoding included.",
            *(f"{one.system} was measured on other folds." for one in task.published
              if not one.exactly),
            *(f"Study {plain(board.result.name)} is left out of ours: it has other outer folds."
              for _, lacking in found for board in lacking),
        ]
    )  # fmt: skip
    yield "**What each step brought**"
    steps = [step for board in boards for step in _steps(board)]
    steps.sort(key=lambda step: step[0])
    header = ["Features", "Normalised", "Model"]
    header += ["UAR, inner folds", "UAR, outer folds", "Outer less inner"]
    yield table(header, [step[1] for step in steps], words=(0, 1, 2))
    yield wording.sentences(
        [
            "Inner: mean over the outer folds of the winner's score on the inner folds, by which "
            "everything is chosen. Outer: all test clips, once."
        ]
    )


def _normalised(board: Leaderboard) -> str:
    return str(board.result.study.normalise)


def _kind(board: Leaderboard) -> Kind:
    return Kind(_normalised(board), tuple(wording.auxiliary_corpora(board.result)))


def _own_row(ours: Ours, speed: Mapping[str, float]) -> list[str]:
    results = ours.results
    clips_a_second = [speed.get(str(result.study.features)) for result in results]
    known = [clips for clips in clips_a_second if clips is not None]
    return [
        f"**Ours: {ours.kind.title}**",
        *(figure(ours.evaluation.scores[metric], bold=True) for metric in METRICS),
        f"{min(known):.0f}" if len(known) == len(results) else NOTHING,
        _how(ours),
        listed([link(f"study {plain(one.name)}", f"{one.name}.md") for one in results]),
    ]


def _how(ours: Ours) -> str:
    """Return features and model of our figure; where several studies answer, who how often."""
    models = {choice.model for choice in ours.choices}
    model = models.pop() if len(models) == 1 else SELECTED_PER_FOLD
    result, *others = ours.results
    named = wording.named(result, model)
    if not others:
        return f"{wording.learned_from(result)}; {named}"
    shares = [
        f"{plain(one.name)} ({wording.learned_from(one)}) on "
        f"{counted(ours.folds[one.name], 'fold')}"
        for one in ours.results
    ]
    return f"fold by fold: {listed(shares)}; {named}"


def _published_row(one: Published) -> list[str]:
    values = [getattr(one, name, None) for name in METRICS]
    shown = [NOTHING if value is None else number(value) for value in values]
    return [plain(one.system), *shown, NOTHING, plain(one.how), plain(one.source)]


def _steps(board: Leaderboard) -> Iterator[tuple[float, list[str]]]:
    """Yield each model of a study by its inner score: a row of the table of steps."""
    result = board.result
    for standing in board.standings:
        if standing.model == BASELINE or SPEAKER_INDEPENDENT not in standing.evaluations:
            continue
        winners = (
            board.selected[SPEAKER_INDEPENDENT].by_part.values()
            if standing.model == SELECTED_PER_FOLD
            else [
                winner
                for winner in result.winners
                if (winner.protocol, winner.model) == (SPEAKER_INDEPENDENT, standing.model)
            ]
        )
        inside = float(np.mean([winner.score for winner in winners]))
        outside = standing.evaluations[SPEAKER_INDEPENDENT].scores[METRIC]
        yield (
            inside,
            [
                wording.learned_from(result),
                {"none": "no"}.get(_normalised(board), f"by {_normalised(board)}"),
                wording.model_title(result, standing.model),
                number(inside),
                figure(outside),
                signed(outside.value - inside),
            ],
        )
