"""Names of models, protocols and corpora in words, and the sentences that several pages share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from benchmark.data.protocols import PROTOCOLS, protocol_of
from benchmark.data.record import CorpusRecord
from benchmark.evaluation.calibration import BINS
from benchmark.evaluation.intervals import FEWEST_SPEAKERS, RESAMPLES, Evaluation, Score, gap
from benchmark.evaluation.leaderboard import (
    METRIC,
    SELECTED_PER_FOLD,
    SPEAKER_DEPENDENT,
    SPEAKER_INDEPENDENT,
    WITHIN,
    Claim,
    Leaderboard,
)
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.evaluation.significance import ALPHA, FEWEST_SWAPPED, SWAPS
from benchmark.evaluation.text import TIED, text_associations
from benchmark.models import MODELS
from benchmark.report.markdown import (
    ALIKE,
    CLIPS,
    NO_BREAK,
    code,
    count,
    figure,
    listed,
    number,
    plain,
    signed,
    title,
)
from benchmark.report.template import render
from benchmark.study import BASELINE, Claims

READING = "reading.md"
"""The page that explains the terms and tables of all pages."""


class ProtocolWords(NamedTuple):
    """A protocol in words: its title, its name in a table's header, and its definition."""

    title: str
    column: str
    meaning: str

    @property
    def label(self) -> str:
        """The title, followed by the abbreviation if there is one."""
        return self.title if self.column == self.title else f"{self.title} ({self.column})"


def protocol_words(name: str) -> ProtocolWords:
    """Return a protocol, or a split with its part, in the words of its entry."""
    protocol, _, part = name.partition("/")
    entry, end = protocol_of(protocol), f", {plain(part)}" if part else ""
    return ProtocolWords(
        plain(entry.title) + end, plain(entry.abbreviation) + end, plain(entry.description)
    )


def model_title(result: Result, model: str) -> str:
    """Return the short title of a model or an ensemble, for tables and figures."""
    if model == SELECTED_PER_FOLD:
        return "selected per outer fold"
    if learning_method(result, model) == "greedy":
        return "greedy ensemble selection"
    members = members_of(result, model)
    if not members:
        return _registered_title(model)
    kind = "stacking" if learning_method(result, model) else "soft voting"
    searched = set(result.study.models) - {BASELINE}
    if len(members) > 2 and set(members) == searched:
        return f"{kind} of all models"
    return f"{kind} of {' + '.join(_registered_title(member) for member in members)}"


def named(result: Result, model: str) -> str:
    """Return a model as a noun phrase for a sentence; an ensemble names all its members."""
    if model == SELECTED_PER_FOLD:
        return "the model selected on each outer fold"
    members = members_of(result, model)
    method = learning_method(result, model)
    if method == "greedy":
        return "greedy ensemble selection"
    if members:
        kind = "stacking" if method else "soft voting"
        return f"{kind} of {listed([_registered_title(member) for member in members])}"
    return f"the {_registered_title(model)}{' baseline' if model == BASELINE else ''}"


def members_of(result: Result, model: str) -> list[str]:
    """Return the members of an ensemble; empty for a single model."""
    for winner in result.winners:
        if winner.model == model and winner.members:
            return list(winner.members)
    members = result.study.ensembles.get(model, ())
    everyone = [name for name in result.study.models if name != BASELINE]
    return everyone if isinstance(members, str) else list(members)


def learning_method(result: Result, model: str) -> str:
    """Return how an ensemble learns from its members' predictions; empty for all others."""
    method = result.study.ensembles.get(model, "")
    return method if isinstance(method, str) else ""


def _registered_title(model: str) -> str:
    """Return the registry's title in lower case; the name of a model that is not registered."""
    kind = MODELS.get(model)
    if kind is None:
        return title(model)
    first, space, rest = kind.title.partition(" ")
    # An abbreviation keeps its capitals: MLP, Conv1D, CNN + LSTM.
    first = first.lower() if re.fullmatch("[A-Z][a-z-]+", first) else first
    # In a list of models, a comma would split a title in two.
    head, comma, variant = f"{first}{space}{rest}".partition(", ")
    return plain(f"{head} ({variant})" if comma else head)


def used_corpora(result: Result) -> list[str]:
    """Return the titles of the tested corpora that are not left out."""
    corpora = result.data.corpora.items()
    return [title(name) for name, one in corpora if not one.auxiliary and not one.left_out]


def auxiliary_corpora(result: Result) -> list[str]:
    """Return the titles of the corpora that are in training only."""
    corpora = result.data.corpora.items()
    return [title(name) for name, one in corpora if one.auxiliary and not one.left_out]


def partial_data(result: Result) -> str:
    """Return in a few words which data are missing; empty for a study with all its data."""
    corpora = result.data.corpora
    notes = []
    if any(corpus.left_out for corpus in corpora.values()):
        notes.append(f"measured on {listed(used_corpora(result))} only")
    notes += [
        f"{title(name)} incomplete: {found_of(corpus)} clips"
        for name, corpus in corpora.items()
        if corpus.missing and not corpus.left_out
    ]
    return "; ".join([*notes, *["on generated speech"] * result.generated])


def found_of(corpus: CorpusRecord) -> str:
    """Return the number of clips found and the number of a complete corpus."""
    expected = corpus.official or corpus.found + len(corpus.missing)
    return f"{count(corpus.found)} of {count(expected)}"


def is_changed(result: Result) -> bool:
    """Whether the run differs from the study file."""
    return bool(result.changes) or "@" in result.name


@dataclass(frozen=True)
class Headline:
    """The main result of a study.

    Attributes
    ----------
    selected : tuple of (ProtocolWords, str, Score)
        Protocol, model and score: SD and SI, or the first protocol of a study without both.
    gap : Score or None
        The SD–SI gap of the selected models.
    chance : float
        UAR of a constant prediction.
    """

    selected: tuple[tuple[ProtocolWords, str, Score], ...]
    gap: Score | None
    chance: float


def headline_facts(board: Leaderboard) -> Headline:
    """Return the main result of a study."""
    both = (SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT)
    shown = both if board.has_gap else board.protocols[:1]
    selected = tuple(
        (
            protocol_words(protocol),
            named(board.result, board.selected[protocol].model),
            board.selected_evaluation(protocol).scores[METRIC],
        )
        for protocol in shown
    )
    difference = gap(selected[0][2], selected[1][2]) if board.has_gap else None
    return Headline(selected, difference, 1 / len(board.result.emotions))


@dataclass(frozen=True)
class TestSide:
    """The test clips of a protocol.

    Attributes
    ----------
    protocol : str
    words : ProtocolWords
    evaluation : Evaluation
        Of any model: all are tested on the same clips.
    folds : int
        Outer folds; 0 for a single test side.
    scheme : str
        Name of published outer folds; empty for others.
    """

    protocol: str
    words: ProtocolWords
    evaluation: Evaluation
    folds: int
    scheme: str

    @property
    def unequal(self) -> bool:
        """Whether some speakers have far more clips than others."""
        return self.evaluation.effective_speakers <= 0.9 * self.evaluation.speakers

    @property
    def corpus_units(self) -> str:
        """The resampling units of the intervals within each corpus."""
        units: dict[str, list[str]] = {}
        for name, part in self.evaluation.corpora.items():
            speakers = f"{part.speakers} speaker{'s' if part.speakers != 1 else ''}"
            units.setdefault(part.over, []).append(f"{title(name)} ({speakers})")
        return listed([f"{unit} in {listed(units[unit])}" for unit in sorted(units, reverse=True)])


def test_sides(board: Leaderboard) -> list[TestSide]:
    """Return the test clips of each protocol."""
    sides = []
    for protocol in board.protocols:
        standing = next(one for one in board.standings if protocol in one.evaluations)
        folds = len(board.selected[protocol].parts)
        scheme = board.result.study.split.folds
        published = protocol == SPEAKER_INDEPENDENT and folds and isinstance(scheme, str)
        evaluation = standing.evaluations[protocol]
        name = str(scheme) if published else ""
        sides.append(TestSide(protocol, protocol_words(protocol), evaluation, folds, name))
    return sides


def context(board: Leaderboard) -> dict[str, Any]:
    """Return the variables that the templates of a study share."""
    result = board.result
    return constants() | {
        "board": board,
        "result": result,
        "study": result.study,
        "headline": headline_facts(board),
        "sides": test_sides(board),
        "associations": list(text_associations(result)),
        "leading": protocol_words(board.leading),
        "search_metric": METRICS[result.study.search.metric].utility_title,
        "corpora": used_corpora(result),
        "auxiliary": auxiliary_corpora(result),
        "n_used": sum(one.used for one in result.data.corpora.values() if not one.auxiliary),
        "changed": is_changed(result),
        "found_of": found_of,
        "model": partial(model_title, result),
        "named": partial(named, result),
        "verdict": verdict,
        "cited": cited,
    }


def constants() -> dict[str, Any]:
    """Return the variables that are the same for all studies."""
    return {
        "ALIKE": ALIKE, "ALPHA": ALPHA, "BINS": BINS, "CLIPS": CLIPS, "NB": NO_BREAK,
        "FEWEST_SPEAKERS": FEWEST_SPEAKERS, "FEWEST_SWAPPED": FEWEST_SWAPPED,
        "RESAMPLES": RESAMPLES, "SWAPS": SWAPS, "TIED": TIED,
        "METRICS": METRICS, "PROTOCOLS": PROTOCOLS,
        "protocol": protocol_words,
        "metric": METRICS[METRIC].title, "WITHIN": WITHIN,
        "base": "",
    }  # fmt: skip


def banners(board: Leaderboard) -> str:
    """Return the alert boxes of a study: generated speech, incomplete data, a changed run."""
    return render("partials/banners", **context(board))


def headline(board: Leaderboard) -> str:
    """Return the main result of a study in a few sentences."""
    return render("partials/headline", **context(board))


def settings_line(board: Leaderboard) -> str:
    """Return the clips, emotions and features of a study in one line."""
    return render("partials/settings", **context(board))


def leaderboard_note(board: Leaderboard, folder: str = "") -> str:
    """Return the note below a leaderboard; `folder` leads from the page to that of the reports."""
    return render("partials/leaderboard_note", **context(board) | {"base": folder})


def intervals_note() -> str:
    """Return how confidence intervals are computed."""
    return render("partials/intervals", **constants())


def scores_of(board: Leaderboard, model: str, metric: str = METRIC) -> list[str]:
    """Return a model's score under each protocol, in bold if it is the selected model."""
    cells = []
    for protocol in board.protocols:
        evaluation = board.evaluation(protocol, model)
        bold = board.selected[protocol].model == model
        cells.append(figure(evaluation.scores[metric] if evaluation else None, bold))
    return cells


def marked_scores(board: Leaderboard, model: str) -> list[str]:
    """Return a model's UAR under each protocol, marked if not significantly different."""
    alike = any(not one.significant for one in board.comparisons if one.model == model)
    return [
        f"{cell}{NO_BREAK}{ALIKE}" if alike and protocol == board.leading else cell
        for protocol, cell in zip(board.protocols, scores_of(board, model), strict=True)
    ]


def verdict(claim: Claim) -> str:
    """Return the verdict on a claim, with the difference and what sampling allows of it."""
    if claim.verdict == "not comparable":
        return f"{claim.verdict} ({plain(claim.not_comparable)})"
    allowed = (
        "limit: our interval"
        if claim.allowance is None
        else f"sampling allows {number(claim.allowance)}"
    )
    return f"{_verdict(claim)} ({_difference(claim)}; {allowed})"


def brief_verdict(claim: Claim) -> str:
    """Return the verdict on a claim, with the difference only."""
    if claim.verdict == "not comparable":
        return claim.verdict
    return f"{_verdict(claim)} ({_difference(claim)})"


def _verdict(claim: Claim) -> str:
    """Return the verdict in words: an error rate that is worse than reported is above it."""
    worse = "below" if claim.greater_is_better else "above"
    return f"**{worse}**" if claim.verdict == "below" else claim.verdict


def _difference(claim: Claim) -> str:
    """Return the measured figure minus the reported one."""
    difference = claim.measured.value - claim.claimed if claim.measured else 0.0
    return "less than 0.001" if number(difference) == "0.000" and difference else signed(difference)


def cited(source: Claims) -> str:
    """Return a source's name with a link to its address, and the date of reading."""
    name = plain(source.source)
    if source.address:
        name = f"[{name}]({source.address})"
    return f"{name}, read {source.read}" if source.read else name


def learned_from(result: Result) -> str:
    """Return the features of a study, its augmentation and its auxiliary corpora."""
    parts = [code(result.study.features)]
    if chains := [code(chain) for chain in result.study.augment]:
        parts.append(f"augmented by {listed(chains)}")
    if further := auxiliary_corpora(result):
        parts.append(f"auxiliary {listed(further)}")
    return ", ".join(parts)


def sentences(parts: Iterable[str]) -> str:
    """Return sentences as one small paragraph."""
    return f"<sub>{' '.join(part for part in parts if part)}</sub>"
