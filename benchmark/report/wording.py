"""Names of models, protocols and corpora in words, and the sentences that several pages share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from benchmark.data.protocols import PROTOCOLS, protocol_of
from benchmark.data.protocols.given import DEV, SPLIT
from benchmark.data.record import CorpusRecord
from benchmark.evaluation.calibration import BINS
from benchmark.evaluation.intervals import FEWEST_SPEAKERS, RESAMPLES, Evaluation, Score
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
from benchmark.evaluation.overlap import Overlap, overlap
from benchmark.evaluation.results import Result
from benchmark.evaluation.significance import ALPHA, FEWEST_SWAPPED, POWER, SWAPS
from benchmark.evaluation.text import TIED
from benchmark.models import MODELS
from benchmark.report.markdown import (
    NO_BREAK,
    NOTHING,
    code,
    count,
    counted,
    figure,
    listed,
    number,
    plain,
    signed,
    title,
)
from benchmark.report.template import render
from benchmark.study import BASELINE, Claims, Study

SHOWN_SPEAKERS = 8
"""Speakers whose own figures fit into a cell of a table."""

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


def row_title(board: Leaderboard, model: str) -> str:
    """Return the title of a leaderboard's row, which says under which protocols it is selected."""
    name = model_title(board.result, model)
    where = [one for one, selection in board.selected.items() if selection.model == model]
    if not where or model == SELECTED_PER_FOLD:
        return name
    columns = [protocol_words(protocol).column for protocol in where]
    under = "" if len(where) == len(board.protocols) else f" {listed(columns)}"
    return f"{name} (selected{under})"


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
        + f", {count(corpus.missing_labels)} labels missing" * bool(corpus.missing_labels)
        for name, corpus in corpora.items()
        if corpus.incomplete
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
        Protocol, model and score: SD and SI, or all protocols of a study without both.
    gap : Score or None
        The SD–SI gap of the selected models; None without clips tested under both protocols.
    own_gaps : tuple of Score
        The smallest and the largest SD–SI gap of one model, if the selected models differ.
    gap_by_corpus : tuple of (str, float)
        That gap within each corpus, by title; empty for one corpus, or if the two protocols test
        other clips.
    few_speakers : tuple of str
        Titles of the corpora whose speakers the intervals hold fixed.
    chance : float
        UAR of a constant prediction.
    """

    selected: tuple[tuple[ProtocolWords, str, Score], ...]
    gap: Score | None
    own_gaps: tuple[Score, ...]
    gap_by_corpus: tuple[tuple[str, float], ...]
    few_speakers: tuple[str, ...]
    chance: float


def headline_facts(board: Leaderboard) -> Headline:
    """Return the main result of a study."""
    both = (SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT)
    shown = both if board.has_gap else board.protocols
    selected = tuple(
        (
            protocol_words(protocol),
            named(board.result, board.selected[protocol].model),
            board.selected_evaluation(protocol).scores[METRIC],
        )
        for protocol in shown
    )
    gap = board.selected_gap
    own: list[Score] = []
    if gap and len({board.selected[protocol].model for protocol in both}) > 1:
        own = [one.gaps[METRIC] for one in board.standings if one.gaps]
        own.sort(key=lambda score: score.value)
    return Headline(
        selected=selected,
        gap=gap.scores[METRIC] if gap else None,
        own_gaps=(own[0], own[-1]) if len(own) > 1 else (),
        gap_by_corpus=_gap_by_corpus(board),
        few_speakers=_few_speakers(board),
        chance=chance_level(board.selected_evaluation(board.leading)),
    )


def _gap_by_corpus(board: Leaderboard) -> tuple[tuple[str, float], ...]:
    if len(board.corpora) < 2 or board.selected_gap is None or board.gap_restricted:
        return ()
    sides = [
        board.selected_evaluation(protocol).corpora
        for protocol in (SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT)
    ]
    values = [{name: part.scores[METRIC].value for name, part in side.items()} for side in sides]
    return tuple((title(name), values[0][name] - values[1][name]) for name in board.corpora)


def _few_speakers(board: Leaderboard) -> tuple[str, ...]:
    """Return the corpora whose speakers an interval over several corpora holds fixed."""
    evaluation = board.selected_evaluation(board.leading)
    if len(evaluation.corpora) < 2 or evaluation.scores[METRIC].interval is None:
        return ()
    return tuple(map(title, evaluation.small))


def chance_level(evaluation: Evaluation) -> float:
    """Return the UAR of any constant prediction: the mean over corpora of 1 / their emotions."""
    present = [part.emotions_present for part in evaluation.corpora.values()]
    return sum(1 / number for number in present) / len(present)


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
    def intervals(self) -> str:
        """Whose speakers the intervals resample, and whose they hold fixed."""
        sampled: list[str] = []
        small: list[str] = []
        for name, part in self.evaluation.corpora.items():
            speakers = counted(part.speakers, "speaker")
            places = small if name in self.evaluation.small else sampled
            places.append(f"{title(name)} ({speakers})")
        if not sampled:
            return f"no intervals: too few speakers in {listed(small)}"
        if not small:
            within = " within corpora" if len(sampled) > 1 else ""
            return f"intervals over speakers{within}"
        return (
            f"intervals over the speakers of {listed(sampled)}; too few for that, the speakers of "
            f"{listed(small)} are held fixed"
        )

    @property
    def estimand(self) -> str:
        """What a score is the mean of; empty for one corpus."""
        several = len(self.evaluation.corpora) > 1
        return f"mean over {len(self.evaluation.corpora)} corpora" if several else ""


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


@dataclass(frozen=True)
class GivenSides:
    """What the clips tell about a protocol whose sides the corpora state.

    Attributes
    ----------
    words : ProtocolWords
    overlap : Overlap
        Who is on both sides.
    has_dev : bool
        Whether the training side has dev clips.
    """

    words: ProtocolWords
    overlap: Overlap
    has_dev: bool


def given_sides(board: Leaderboard) -> list[GivenSides]:
    """Return what the clips tell about each protocol whose sides the corpora state."""
    clips = board.result.clips
    splits = [] if clips is None or SPLIT not in clips else clips[SPLIT].str.lower()
    return [
        GivenSides(protocol_words(name), overlap(board.result, name), bool({*splits} & {*DEV}))
        for name in board.protocols
        if protocol_of(name).inner_protocol is not None
    ]


def context(board: Leaderboard) -> dict[str, Any]:
    """Return the variables that the templates of a study share."""
    result = board.result
    return constants() | {
        "board": board,
        "result": result,
        "study": result.study,
        "headline": headline_facts(board),
        "sides": test_sides(board),
        "associations": board.texts,
        "given_sides": given_sides(board),
        "leading": protocol_words(board.leading),
        "search_metric": METRICS[result.study.search.metric].utility_title,
        "corpora": used_corpora(result),
        "auxiliary": auxiliary_corpora(result),
        "n_used": sum(one.used for one in result.data.corpora.values() if not one.auxiliary),
        "changed": is_changed(result),
        "normalisation": normalisation(result.study),
        "found_of": found_of,
        "model": partial(model_title, result),
        "named": partial(named, result),
        "verdict": verdict,
        "cited": cited,
        "inner_folds": inner_folds(result),
        "estimand": estimand(board),
        "detectable": detectable(board),
        "listed_speakers": listed_speakers,
    }


def inner_folds(result: Result) -> str:
    """Return how many inner folds the training sides have: ``3 inner folds``, or a range."""
    numbers = {len(split.folds) for split in result.data.splits.values()}
    fewest, most = min(numbers), max(numbers)
    shown = counted(most, "inner fold")
    return shown if fewest == most else f"{fewest} to {shown}"


def constants() -> dict[str, Any]:
    """Return the variables that are the same for all studies."""
    return {
        "ALPHA": ALPHA, "BINS": BINS, "NB": NO_BREAK,
        "FEWEST_SPEAKERS": FEWEST_SPEAKERS, "FEWEST_SWAPPED": FEWEST_SWAPPED,
        "POWER": POWER, "RESAMPLES": RESAMPLES, "SWAPS": SWAPS, "TIED": TIED,
        "METRICS": METRICS, "PROTOCOLS": PROTOCOLS,
        "protocol": protocol_words,
        "metric": METRICS[METRIC].title, "WITHIN": WITHIN,
    }  # fmt: skip


def banners(board: Leaderboard) -> str:
    """Return the alert boxes of a study."""
    return render("partials/banners", **context(board))


def headline(board: Leaderboard) -> str:
    """Return the main result of a study in a few sentences."""
    return render("partials/headline", **context(board))


def settings_line(board: Leaderboard) -> str:
    """Return the clips, emotions and features of a study in one line."""
    return render("partials/settings", **context(board))


def leaderboard_note(board: Leaderboard) -> str:
    """Return the note below a leaderboard."""
    return render("partials/leaderboard_note", **context(board))


def estimand(board: Leaderboard) -> str:
    """Return the metric of the leaderboard, named as the mean over corpora if there are several."""
    metric = METRICS[METRIC].title
    return f"{metric}, mean over corpora" if len(board.corpora) > 1 else metric


def cell(evaluation: Evaluation | None, metric: str, bold: bool = False) -> str:
    """Return a score with its interval; that of a small corpus with its speakers' own figures."""
    if evaluation is None:
        return NOTHING
    score = evaluation.scores[metric]
    shown = figure(score, bold)
    several = 1 < len(evaluation.by_speaker) <= SHOWN_SPEAKERS
    if score.interval or len(evaluation.corpora) > 1 or not several:
        return shown
    own = (f"{one[metric]:.2f}".replace("-", "−") for one in evaluation.by_speaker.values())
    return f"{shown} ({', '.join(own)})"


def listed_speakers(evaluation: Evaluation) -> list[tuple[str, list[str]]]:
    """Return each corpus without an interval, with its speakers in the order of their figures."""
    return [
        (title(name), [plain(one.partition("/")[2] or one) for one in part.by_speaker])
        for name, part in evaluation.corpora.items()
        if name in evaluation.small and 1 < len(part.by_speaker) <= SHOWN_SPEAKERS
    ]


def scores_of(board: Leaderboard, model: str, metric: str = METRIC) -> list[str]:
    """Return a model's score under each protocol, in bold if it is the selected model."""
    return [
        cell(
            board.evaluation(protocol, model), metric, bold=board.selected[protocol].model == model
        )
        for protocol in board.protocols
    ]


def detectable(board: Leaderboard) -> str:
    """Return in words what mean differences from the selected model the tests could detect."""
    found = [one.test.detectable for one in board.comparisons if one.test.detectable is not None]
    metric = METRICS[METRIC]
    if not found or min(found) >= metric.width:
        return "no difference, however large, could have been detected with so few speakers"
    ends = dict.fromkeys(map(number, (min(found), max(found))))
    by_pair = ", by pair of models" if len(ends) > 1 else ""
    return (
        f"a single test detects a mean difference over speakers of {' to '.join(ends)} "
        f"{metric.title}{by_pair}, with a probability of {POWER}"
    )


def rank(board: Leaderboard, model: str) -> str:
    """Return a model's rank under the leading protocol: ``1–3`` if three models share it."""
    shared = board.ranks.get(model)
    if shared is None:
        return NOTHING
    first, last = shared
    return str(first) if first == last else f"{first}–{last}"


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


def is_transductive(result: Result) -> bool:
    """Whether statistics of other clips of the test speakers or corpora are used."""
    return result.study.normalise != "none"


def normalisation(study: Study) -> str:
    """Return how the features of a study are normalised; empty for an inductive study."""
    if study.normalise == "none":
        return ""
    tested = {"speaker": "speakers", "corpus": "corpora"}[study.normalise]
    source = f", scale of test {tested}: {study.scale.words}" if study.scale else ""
    return f"normalised by {study.normalise}{source}"


def learned_from(result: Result) -> str:
    """Return the features of a study, its augmentation and its auxiliary corpora."""
    parts = [code(result.study.features)]
    if chains := [code(chain) for chain in result.study.augment]:
        parts.append(f"augmented by {listed(chains)}")
    if further := auxiliary_corpora(result):
        parts.append(f"auxiliary {listed(further)}")
    return ", ".join(parts)


def scaled_from(result: Result) -> str:
    """Return the features of a study as `learned_from` does, with their normalisation."""
    parts = (learned_from(result), normalisation(result.study))
    return ", ".join(part for part in parts if part)


def sentences(parts: Iterable[str]) -> str:
    """Return sentences as one small paragraph."""
    return f"<sub>{' '.join(part for part in parts if part)}</sub>"
