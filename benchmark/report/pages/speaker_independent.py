"""Best speaker-independent results beside published figures on the same folds and emotions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmark.data.protocols import stream
from benchmark.engine.digests import without_digest
from benchmark.errors import BenchmarkError
from benchmark.evaluation.intervals import Evaluation, bootstrap_seed, evaluate
from benchmark.evaluation.leaderboard import (
    METRIC,
    SELECTED_PER_FOLD,
    SPEAKER_INDEPENDENT,
    Leaderboard,
)
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result, Winner
from benchmark.evaluation.text import TextAssociation
from benchmark.features import names_of
from benchmark.features.encoders import ENCODERS
from benchmark.report import wording
from benchmark.report.markdown import (
    NOTHING,
    capitalised,
    counted,
    figure,
    link,
    listed,
    number,
    plain,
    signed,
)
from benchmark.report.template import render
from benchmark.study import BASELINE

NAME = "speaker_independent.md"
"""File name of the page."""

SECONDS = "seconds.json"
"""File of seconds a clip by feature set; written by tests/performance/feature_seconds.py."""


@dataclass(frozen=True)
class Published:
    """A published speaker-independent result.

    Attributes
    ----------
    system : str
    scores : dict of str to float
        By metric.
    method : str
        Features, classifier and normalisation.
    source, address : str
        Authors or name, and where it was read.
    read : str
        Date of reading.
    encoder : str
        Name of its encoder among `ENCODERS`, whose number of parameters is shown.
    """

    system: str
    scores: dict[str, float]
    method: str
    source: str
    address: str
    read: str
    encoder: str


EMOBOX = ("Ma et al. 2024, EmoBox", "https://arxiv.org/abs/2406.07162", "2026-11")
"""Source, address and date of reading."""


EMOBOX_METHOD = "frozen pretrained network, small classifier"

# Name and encoder of the networks of EmoBox.
WHISPER = ("Whisper large v3", "whisper-large-v3")
WAVLM = ("WavLM large", "wavlm-large")
HUBERT = ("HuBERT large", "hubert-large")
WAV2VEC = ("wav2vec 2.0 base", "wav2vec2-base")


def _emobox(network: tuple[str, str], uar: float, accuracy: float, macro_f1: float) -> Published:
    system, encoder = network
    scores = {"uar": uar, "accuracy": accuracy, "macro_f1": macro_f1}
    return Published(system, scores, EMOBOX_METHOD, *EMOBOX, encoder)


@dataclass(frozen=True)
class Setup:
    """Corpus, emotions and folds on which results are comparable.

    Attributes
    ----------
    corpus : str
    emotions : int
    folds : tuple of str
        Names of fold definitions with the same test speakers per fold.
    published : tuple of Published
    """

    corpus: str
    emotions: int
    folds: tuple[str, ...]
    published: tuple[Published, ...]

    def matches(self, result: Result) -> bool:
        """Whether a result is of this setup, unchanged, with each clip tested once."""
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


SETUPS = (
    Setup(
        "ravdess",
        8,
        ("emobox",),
        (
            _emobox(WHISPER, 0.7532, 0.7587, 0.7519),
            _emobox(WAVLM, 0.7200, 0.7222, 0.7142),
            _emobox(HUBERT, 0.7000, 0.7029, 0.6954),
            _emobox(WAV2VEC, 0.5433, 0.5540, 0.5399),
        ),
    ),
    Setup(
        "savee",
        7,
        ("emobox", "leave-one-speaker-out"),
        (
            _emobox(WHISPER, 0.7407, 0.7724, 0.7531),
            _emobox(HUBERT, 0.7191, 0.7505, 0.7183),
            _emobox(WAVLM, 0.6674, 0.7080, 0.6637),
            _emobox(WAV2VEC, 0.4489, 0.4983, 0.4207),
        ),
    ),
)  # fmt: skip
"""The setups with published results; add an entry for a further corpus."""

SHOWN = ("uar", "accuracy", "macro_f1")
"""The metrics of the published results."""


class Kind(NamedTuple):
    """Results that are comparable among themselves.

    Attributes
    ----------
    normalisation : str
        See `wording.normalisation`; empty for inductive results.
    auxiliary : tuple of str
        Titles of the auxiliary corpora.
    """

    normalisation: str
    auxiliary: tuple[str, ...]

    @property
    def title(self) -> str:
        """The kind in words."""
        further = f", auxiliary corpus {listed(self.auxiliary)}" if self.auxiliary else ""
        if not self.normalisation:
            return f"inductive{further}"
        return f"transductive ({self.normalisation}){further}"


@dataclass(frozen=True)
class BestResult:
    """The result of all studies of one kind, with study and model selected on each outer fold.

    Attributes
    ----------
    kind : Kind
    boards : tuple of Leaderboard
        For each outer fold, the study whose selected model has the best CV score.
    winners : tuple of Winner
        That model, as fitted for the fold.
    """

    kind: Kind
    boards: tuple[Leaderboard, ...]
    winners: tuple[Winner, ...]

    @cached_property
    def evaluation(self) -> Evaluation:
        """The scores over the predictions of all outer folds."""
        first = self.boards[0].result
        selected = []
        for board, winner in zip(self.boards, self.winners, strict=True):
            rows = board.result.predictions
            own = (rows["protocol"] == SPEAKER_INDEPENDENT) & (rows["part"] == winner.part)
            selected.append(rows[own & (rows["model"] == winner.model)])
        seed = bootstrap_seed(first.study.seed, stream(SPEAKER_INDEPENDENT))
        return evaluate(pd.concat(selected, ignore_index=True), first.emotions, seed)

    @property
    def folds(self) -> dict[str, int]:
        """Number of outer folds by selected study, in descending order."""
        return dict(Counter(board.result.name for board in self.boards).most_common())

    @property
    def results(self) -> list[Result]:
        """The selected studies, in the order of `folds`."""
        by_name = {board.result.name: board.result for board in self.boards}
        return [by_name[name] for name in self.folds]


def select_per_fold(
    kind: Kind, boards: Sequence[Leaderboard]
) -> tuple[BestResult, list[Leaderboard]]:
    """Return the best result of studies of one kind, and the studies with other outer folds."""
    winners = [_winners_by_speakers(board) for board in boards]
    folds = max(winners, key=len)
    comparable = [
        (board, found)
        for board, found in zip(boards, winners, strict=True)
        if set(found) == set(folds)
    ]
    best = [
        max(((board, found[fold]) for board, found in comparable), key=lambda one: one[1].score)
        for fold in folds
    ]
    selected, chosen = zip(*best, strict=True)
    together = [board for board, _ in comparable]
    return BestResult(kind, selected, chosen), [one for one in boards if one not in together]


def _winners_by_speakers(board: Leaderboard) -> dict[tuple[str, ...], Winner]:
    """Return the selected winner of each outer fold by the fold's test speakers.

    Equal folds may have different names: ``f1`` and ``savee/DC``.
    """
    splits = board.result.data.splits
    return {
        tuple(sorted(splits[winner.split].test.speakers)): winner
        for winner in board.selected[SPEAKER_INDEPENDENT].by_part.values()
    }


def has_comparison(boards: Sequence[Leaderboard]) -> bool:
    """Whether any study is of a setup with published results."""
    return any(setup.matches(board.result) for setup in SETUPS for board in boards)


@dataclass(frozen=True)
class Comparison:
    """The inductive or the transductive results of a setup.

    Attributes
    ----------
    inductive : bool
    rows : list of list of str
        Ours and the published results, the best first.
    steps : list of list of str
        A row per model of each study, by CV score.
    """

    inductive: bool
    rows: list[list[str]]
    steps: list[list[str]]


@dataclass(frozen=True)
class Section:
    """One setup on the page.

    Attributes
    ----------
    corpus : str
    n_emotions : int
    folds : str
    clips_per_speaker : int
    comparisons : list of Comparison
        The inductive results first.
    left_out : list of str
        Our studies with other outer folds.
    speakers : list of list of str
        The names of the speakers whose figures are listed, because they are few; else empty.
    associations : list of TextAssociation
        Of sentence and emotion, in the corpus.
    """

    corpus: str
    n_emotions: int
    folds: str
    clips_per_speaker: int
    comparisons: list[Comparison]
    left_out: list[str]
    speakers: list[list[str]]
    associations: tuple[TextAssociation, ...]


def speaker_independent_page(boards: Sequence[Leaderboard], folder: Path) -> str:
    """Return the page; empty if no study is of one of the setups.

    Parameters
    ----------
    boards : sequence of Leaderboard
    folder : Path
        Folder of the pages, with or without the file `SECONDS`.
    """
    seconds = _read_seconds(folder / SECONDS)
    sections = [
        _section(setup, own, seconds)
        for setup in SETUPS
        if (own := [board for board in boards if setup.matches(board.result)])
    ]
    if not sections:
        return ""
    facts: dict[str, Any] = {
        "sections": sections,
        "metrics": [capitalised(METRICS[name].title) for name in SHOWN],
    }
    return render("pages/speaker_independent", **facts) + "\n"


def _read_seconds(path: Path) -> dict[str, float]:
    """Return the seconds in a file; none if there is no file."""
    if not path.exists():
        return {}
    try:
        return without_digest(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(
            f"{path}: the measured seconds can't be read ({error}). Restore the file from version "
            "control, or delete it."
        ) from error


def _section(setup: Setup, boards: Sequence[Leaderboard], seconds: Mapping[str, float]) -> Section:
    by_kind: dict[Kind, list[Leaderboard]] = {}
    for board in boards:
        by_kind.setdefault(_kind(board), []).append(board)
    found = [select_per_fold(kind, by_kind[kind]) for kind in sorted(by_kind)]
    tested = boards[-1].selected_evaluation(SPEAKER_INDEPENDENT)
    return Section(
        corpus=setup.corpus,
        n_emotions=setup.emotions,
        folds=str(boards[0].result.study.split.folds),
        clips_per_speaker=tested.clips // tested.speakers,
        comparisons=[
            one
            for inductive in (True, False)
            if (
                one := _comparison(setup, boards, [ours for ours, _ in found], seconds, inductive)
            ).rows
        ],
        left_out=[board.result.name for _, others in found for board in others],
        speakers=[names for _, names in wording.listed_speakers(tested)],
        associations=boards[0].texts,
    )


def _comparison(
    setup: Setup,
    boards: Sequence[Leaderboard],
    best: Sequence[BestResult],
    seconds: Mapping[str, float],
    inductive: bool,
) -> Comparison:
    """Return the results of one kind; a transductive one never stands among inductive ones."""
    rows = [
        (ours.evaluation.scores[METRIC].value, _own_row(ours, seconds))
        for ours in best
        if inductive is not bool(ours.kind.normalisation)
    ]
    if inductive:  # as far as the sources say
        rows += [(one.scores[METRIC], _published_row(one)) for one in setup.published]
    rows.sort(key=lambda row: -row[0])
    own = [one for one in boards if wording.is_transductive(one.result) is not inductive]
    steps = sorted((step for board in own for step in _steps(board)), key=lambda step: step[0])
    return Comparison(inductive, [row for _, row in rows], [row for _, row in steps])


def _kind(board: Leaderboard) -> Kind:
    study = board.result.study
    return Kind(wording.normalisation(study), tuple(wording.auxiliary_corpora(board.result)))


def _own_row(ours: BestResult, seconds: Mapping[str, float]) -> list[str]:
    results = ours.results
    (within,) = ours.evaluation.corpora.values()
    features = [result.study.features for result in results]
    return [
        f"**Ours: {ours.kind.title}**",
        *(wording.cell(within, metric, bold=True) for metric in SHOWN),
        _parameters(features),
        _seconds(features, seconds),
        _method(ours),
        listed([link(f"study {plain(one.name)}", f"{one.name}.md") for one in results]),
    ]


def _method(ours: BestResult) -> str:
    """Return features and model; with several studies, on how many folds each was selected."""
    models = {winner.model for winner in ours.winners}
    model = models.pop() if len(models) == 1 else SELECTED_PER_FOLD
    first, *others = ours.results
    named = wording.named(first, model)
    if not others:
        return f"{wording.learned_from(first)}; {named}"
    counts = [
        f"{plain(one.name)} ({wording.learned_from(one)}) on "
        f"{counted(ours.folds[one.name], 'fold')}"
        for one in ours.results
    ]
    return f"study selected per outer fold: {listed(counts)}; {named}"


def _published_row(one: Published) -> list[str]:
    shown = [number(one.scores[name]) if name in one.scores else NOTHING for name in SHOWN]
    parameters = _millions(ENCODERS[one.encoder].n_parameters)
    return [plain(one.system), *shown, parameters, NOTHING, plain(one.method), _cited(one)]


def _parameters(features: Sequence[str]) -> str:
    """Return the parameters of the encoders of the largest feature set; a dash if unknown."""
    numbers = [n_parameters(name) for name in features]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return NOTHING
    return _millions(max(known)) if any(known) else "none"


def n_parameters(features: str) -> int | None:
    """Return the number of parameters of the encoders of a feature set; None if unknown.

    Examples
    --------
    >>> n_parameters("functionals+dynamics"), n_parameters("table:embeddings.parquet")
    (0, None)
    >>> n_parameters("embedding:whisper-base@pool=mean+std+embedding:openai/whisper-base")
    20590592
    """
    parts = [part.partition(":") for part in names_of(features)]
    if any(kind == "table" for kind, _, _ in parts):
        return None
    names = {argument.partition("@")[0] for kind, _, argument in parts if kind == "embedding"}
    known = {one for one in ENCODERS.values() if names & {one.name, one.hub}}
    if names - {name for one in known for name in (one.name, one.hub)}:
        return None
    return sum(one.n_parameters for one in known)


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.0f} M"


def _seconds(features: Sequence[str], seconds: Mapping[str, float]) -> str:
    """Return the seconds a clip of the slowest feature set; a dash if one was not measured."""
    known = [seconds[name] for name in features if name in seconds]
    return f"{max(known):.2g}" if len(known) == len(features) else NOTHING


def _cited(one: Published) -> str:
    return f"[{plain(one.source)}]({one.address}), read {one.read}"


def _steps(board: Leaderboard) -> Iterator[tuple[float, list[str]]]:
    """Yield each model of a study with its CV score, as a row."""
    result = board.result
    for standing in board.standings:
        if standing.model == BASELINE or SPEAKER_INDEPENDENT not in standing.evaluations:
            continue
        winners: Collection[Winner] = (
            board.selected[SPEAKER_INDEPENDENT].by_part.values()
            if standing.model == SELECTED_PER_FOLD
            else [
                winner
                for winner in result.winners
                if (winner.protocol, winner.model) == (SPEAKER_INDEPENDENT, standing.model)
            ]
        )
        cv_score = float(np.mean([winner.score for winner in winners]))
        test = standing.evaluations[SPEAKER_INDEPENDENT].scores[METRIC]
        row = [
            wording.scaled_from(result),
            wording.model_title(result, standing.model),
            number(cv_score),
            figure(test),
            signed(test.value - cv_score),
        ]
        yield cv_score, row
