"""Leaderboards: every model of a study under every protocol, computed from its result alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import (
    RESAMPLES,
    Difference,
    Evaluation,
    Score,
    bootstrap_seed,
    evaluate,
    paired_difference,
)
from benchmark.evaluation.looks import Look, Place, places
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result, Winner, selected
from benchmark.evaluation.significance import ALPHA, ClipTest, adjusted, compare_on_clips
from benchmark.evaluation.subgroups import Division, divisions
from benchmark.evaluation.text import TextAssociation, text_associations
from benchmark.study import BASELINE, Claims, derive_seed

SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT = "speaker-dependent", "speaker-independent"
METRIC = "uar"

Verdict = Literal["consistent", "below", "not comparable"]
"""What a reported figure can be, beside ours."""

WITHIN = 1.96
"""Standard errors by which our figure may fall short of the reported one and be consistent with it:
the limit of a 95 % interval. As only a shortfall counts, one faithful reproduction in 40 is called
``below``."""

SELECTED_PER_FOLD = "nested_choice"
"""Name of the model that is selected on each outer fold, where folds select different models."""


@dataclass(frozen=True)
class Standing:
    """One model on a leaderboard.

    Attributes
    ----------
    model : str
        Its name in the study.
    evaluations : dict of str to Evaluation
        By protocol.
    gaps : dict of str to Score
        The SD-SI gap by metric, on the clips tested under both protocols; empty without such clips
        or one of the protocols.
    pooled_gaps : dict of str to Score
        The same of the metric on all rows together.
    """

    model: str
    evaluations: dict[str, Evaluation]
    gaps: dict[str, Score]
    pooled_gaps: dict[str, Score]


@dataclass(frozen=True)
class Selection:
    """The model with the best CV score under a protocol; no test row takes part in the selection.

    Attributes
    ----------
    protocol : str
    model : str
        `SELECTED_PER_FOLD` if the outer folds select different models.
    score : float
        Its CV score, the mean over outer folds if there are several.
    by_part : dict of str to Winner
        The winner selected on each part of the protocol; the key of a protocol without parts is "".
    """

    protocol: str
    model: str
    score: float
    by_part: dict[str, Winner]

    @property
    def parts(self) -> dict[str, Winner]:
        """The winners by outer fold or corpus; empty for a protocol with one test side."""
        return {} if list(self.by_part) == [""] else self.by_part


@dataclass(frozen=True)
class Comparison:
    """One model against the selected one, on the same test clips of the leading protocol.

    Attributes
    ----------
    model : str
        Its name in the study.
    test : ClipTest
        The selected model less this one, by `METRIC`.
    p : float or None
        The p value of the test, adjusted for the number of comparisons (Holm); None if there are
        too few speakers for a test.
    """

    model: str
    test: ClipTest
    p: float | None

    @property
    def significant(self) -> bool:
        """Whether the two models differ significantly."""
        return self.p is not None and self.p < ALPHA


class Rank(NamedTuple):
    """First and last of the ranks that some models share."""

    first: int
    last: int


@dataclass(frozen=True)
class Summary:
    """What takes long to compute of a leaderboard; see `evaluation.summaries`.

    Attributes
    ----------
    standings : tuple of Standing
    comparisons : tuple of Comparison
    texts : tuple of TextAssociation
    selected_gap : Difference or None
    """

    standings: tuple[Standing, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    texts: tuple[TextAssociation, ...] = ()
    selected_gap: Difference | None = None


@dataclass(frozen=True)
class Leaderboard:
    """A study's models, best first.

    Attributes
    ----------
    result : Result
        What it is computed from.
    protocols : tuple of str
        In the study's order.
    standings : tuple of Standing
        By their score under the `leading` protocol.
    selected : dict of str to Selection
        By protocol.
    looks : mapping of str to Place
        Which look at its test clips this is, by protocol; only where looks are recorded.
    stored : Summary or None
        What was computed before, and is not computed again.
    """

    result: Result
    protocols: tuple[str, ...]
    standings: tuple[Standing, ...]
    selected: dict[str, Selection]
    looks: Mapping[str, Place] = field(default_factory=dict)
    stored: Summary | None = None

    @property
    def summary(self) -> Summary:
        """What takes long to compute, to be stored."""
        return Summary(self.standings, self.comparisons, self.texts, self.selected_gap)

    @property
    def corpora(self) -> list[str]:
        """The corpora that have test rows, by name."""
        names = {
            name
            for standing in self.standings
            for part in standing.evaluations.values()
            for name in part.corpora
        }
        return sorted(names)

    @property
    def has_gap(self) -> bool:
        """Whether the study is both speaker-dependent and speaker-independent."""
        return SPEAKER_DEPENDENT in self.protocols and SPEAKER_INDEPENDENT in self.protocols

    @property
    def leading(self) -> str:
        """The protocol that decides the order: speaker-independent, or the study's first."""
        return _leading(self.protocols)

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The selected model against each other one under the leading protocol, in board order.

        The reference is the model with the best CV score. The best on the test clips would be
        selected by what the tests look at, and p would be too small. The baseline takes no part.
        """
        if self.stored is not None:
            return self.stored.comparisons
        seed, protocol = self.result.study.seed, self.leading
        rows = self.result.predictions[self.result.predictions["protocol"] == protocol]
        by_model = dict(iter(rows.groupby("model", sort=False)))
        reference = self.selected[protocol].model
        others = [
            one.model
            for one in self.standings
            if one.model not in (reference, BASELINE) and protocol in one.evaluations
        ]
        tests = [
            compare_on_clips(
                by_model[reference],
                by_model[other],
                self.result.emotions,
                METRIC,
                (
                    bootstrap_seed(seed, stream(protocol)),
                    derive_seed(seed, "swaps", stream(protocol), other),
                ),
            )
            for other in others
        ]
        return tuple(map(Comparison, others, tests, adjusted([test.p for test in tests])))

    @cached_property
    def ranks(self) -> dict[str, Rank]:
        """The rank of each model under the leading protocol, except the baseline's.

        Models that the tests can't tell from the selected one share its rank. Those that are
        significantly better, or worse, stand before or after; they are not compared with each
        other, and share theirs as well.
        """
        selected = self.selected[self.leading].model
        if not any(one.model == selected for one in self.standings):
            return {}
        different = [one for one in self.comparisons if one.significant]
        better = [one.model for one in different if one.test.statistic < 0]
        worse = [one.model for one in different if one.test.statistic > 0]
        alike = [selected, *(one.model for one in self.comparisons if not one.significant)]
        found: dict[str, Rank] = {}
        for group in (better, alike, worse):
            rank = Rank(len(found) + 1, len(found) + len(group))
            found |= dict.fromkeys(group, rank)
        return found

    @cached_property
    def selected_gap(self) -> Difference | None:
        """The SD-SI gap of the selected models, on the clips tested under both protocols."""
        if self.stored is not None:
            return self.stored.selected_gap
        if not self.has_gap:
            return None
        rows = self.result.predictions
        sides = [
            rows[(rows["protocol"] == protocol) & (rows["model"] == self.selected[protocol].model)]
            for protocol in (SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT)
        ]
        return _gap(sides[0], sides[1], self.result)

    @cached_property
    def gap_clips(self) -> int:
        """Number of clips tested under both protocols of the SD-SI gap."""
        return len(set.intersection(*self._tested)) if self.has_gap else 0

    @property
    def gap_restricted(self) -> bool:
        """Whether the SD-SI gap is of fewer clips than the two scores."""
        return self.has_gap and any(one != self._tested[0] for one in self._tested)

    @cached_property
    def _tested(self) -> list[set[str]]:
        """The test clips of the two protocols of the SD-SI gap."""
        rows = self.result.predictions
        return [
            set(rows.loc[rows["protocol"] == protocol, "clip"].unique())
            for protocol in (SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT)
        ]

    @cached_property
    def divisions(self) -> list[Division]:
        """The selected model's test clips under the leading protocol, divided into subgroups."""
        predictions, protocol = self.result.predictions, self.leading
        own = (predictions["protocol"] == protocol) & (
            predictions["model"] == self.selected[protocol].model
        )
        seed = bootstrap_seed(self.result.study.seed, stream(protocol), "groups")
        return divisions(predictions[own], self.result.clips, self.result.emotions, METRIC, seed)

    @cached_property
    def texts(self) -> tuple[TextAssociation, ...]:
        """The association of sentence and emotion in each corpus whose sentences are known."""
        if self.stored is not None:
            return self.stored.texts
        return tuple(text_associations(self.result))

    def evaluation(self, protocol: str, model: str) -> Evaluation | None:
        """Return a model's figures under a protocol; None if there are none."""
        for standing in self.standings:
            if standing.model == model:
                return standing.evaluations.get(protocol)
        return None

    def selected_evaluation(self, protocol: str) -> Evaluation:
        """Return the figures of the selected model under a protocol."""
        evaluation = self.evaluation(protocol, self.selected[protocol].model)
        if evaluation is None:
            msg = f"{self.result.name}: no predictions of the selected model under {protocol}"
            raise LookupError(msg)
        return evaluation


@dataclass(frozen=True)
class Claim:
    """The reported figure of a model, beside what was measured by the same protocol and metric.

    Attributes
    ----------
    model : str
        Its name in the study.
    claimed : float
        The source's figure.
    measured : Score or None
        Ours under the source's protocol, see `answer`; None if the study did not measure it.
    independent : Score or None
        Ours under the speaker-independent protocol, if the source's is another one.
    gap : Score or None
        `measured` less `independent`, on the clips tested under both protocols; None without any.
    standard_error : float or None
        Standard error of the difference of two figures as high as reported, each on its own draw of
        test clips; see `_sampling_error`. None under a protocol that does not draw clips at random.
    not_comparable : str
        Why the two figures can't be compared; empty if they can.
    greater_is_better : bool
        Of the metric.
    """

    model: str
    claimed: float
    measured: Score | None
    independent: Score | None
    gap: Score | None
    standard_error: float | None
    not_comparable: str = ""
    greater_is_better: bool = True

    @property
    def allowance(self) -> float | None:
        """By how much our figure may fall short and be consistent; None if there is no such number.

        Then the reported figure has to lie inside our interval.
        """
        return None if self.standard_error is None else WITHIN * self.standard_error

    @property
    def verdict(self) -> Verdict:
        """Whether our figure falls short of the reported one by more than sampling allows.

        A figure of ours that is better than reported is consistent: a claim is a lower limit of
        what its procedure can give. Under a protocol that draws clips at random, sampling allows
        `WITHIN` standard errors; under any other, the reported figure has to lie inside our
        interval over speakers.
        """
        if self.measured is None or self.not_comparable:
            return "not comparable"
        sign = 1 if self.greater_is_better else -1
        shortfall = sign * (self.claimed - self.measured.value)
        if shortfall <= 0:
            return "consistent"
        if self.allowance is not None:
            return "consistent" if shortfall <= self.allowance else "below"
        limits = self.measured.interval
        inside = limits is not None and limits.low <= self.claimed <= limits.high
        return "consistent" if inside else "below"


def leaderboard(
    result: Result, looks: Sequence[Look] = (), summary: Summary | None = None
) -> Leaderboard:
    """Return the leaderboard of a result: every model under every protocol, best first.

    Parameters
    ----------
    result : Result
    looks : sequence of Look
        All recorded looks at test clips, also those of other studies.
    summary : Summary or None
        Its stored summary; None to compute everything.
    """
    selections = {protocol: _selection(result, protocol) for protocol in _protocols(result)}
    looked = places(result, looks)
    result = _with_selected_per_fold(result, selections)
    if summary is not None:
        return Leaderboard(
            result, tuple(selections), summary.standings, selections, looked, summary
        )
    evaluations: dict[str, dict[str, Evaluation]] = {}
    for (protocol, model), rows in result.predictions.groupby(["protocol", "model"], sort=False):
        seed = bootstrap_seed(result.study.seed, stream(str(protocol)))
        part = evaluate(rows, result.emotions, seed)
        evaluations.setdefault(str(model), {})[str(protocol)] = part
    protocols = tuple(selections)
    standings = [
        _standing(result, model, parts, gap=model != BASELINE)
        for model, parts in evaluations.items()
    ]
    standings.sort(key=lambda standing: _rank(standing, _leading(protocols)))
    return Leaderboard(result, protocols, tuple(standings), selections, looked)


def claims(board: Leaderboard) -> list[Claim]:
    """Return the source's claims beside our figures, the best first; none without claims."""
    reported = board.result.study.claims
    if reported is None:
        return []
    rows = [_claim(board, reported, model) for model in reported.values]
    sign = -1 if METRICS[reported.metric].greater_is_better else 1
    return sorted(rows, key=lambda claim: (sign * claim.claimed, claim.model))


def _claim(board: Leaderboard, reported: Claims, model: str) -> Claim:
    protocol, metric, value = reported.protocol, reported.metric, reported.values[model]
    evaluation = board.evaluation(protocol, model)
    measured = answer(evaluation, metric) if evaluation else None
    elsewhere = (
        board.evaluation(SPEAKER_INDEPENDENT, model) if protocol != SPEAKER_INDEPENDENT else None
    )
    independent = answer(elsewhere, metric) if elsewhere else None
    standing = next((one for one in board.standings if one.model == model), None)
    paired = standing.pooled_gaps if standing and protocol == SPEAKER_DEPENDENT else {}
    error = None
    if evaluation and protocol == SPEAKER_DEPENDENT:
        theirs = reported.test_clips or _clips_of_a_side(board.result, protocol)
        error = _sampling_error(evaluation, metric, value, theirs)
    return Claim(
        model=model,
        claimed=value,
        measured=measured,
        independent=independent,
        gap=paired.get(metric),
        standard_error=error,
        not_comparable=_not_comparable(board.result, reported, model, measured, error),
        greater_is_better=METRICS[metric].greater_is_better,
    )


def answer(evaluation: Evaluation, metric: str) -> Score:
    """Return our figure that answers a claim: sources report figures over all their test clips."""
    return evaluation.pooled[metric]


def _clips_of_a_side(result: Result, protocol: str) -> float:
    """Return the mean number of test clips over the splits of a protocol."""
    splits = result.data.splits.items()
    sides = [split.test.clips for name, split in splits if name.partition("/")[0] == protocol]
    return float(np.mean(sides))


def _sampling_error(evaluation: Evaluation, metric: str, value: float, theirs: float) -> float:
    """Return the standard error of the difference of two figures on two draws of test clips.

    Of an accuracy p it is binomial, sqrt(p (1 - p) (1/n + 1/m)) with n clips of ours and m of the
    source: sqrt(2 p (1 - p) / n) for two sides of one size. Of any other metric it is that of our
    clips, drawn with replacement, scaled in the same way.

    Parameters
    ----------
    evaluation : Evaluation
        Ours.
    metric : str
    value : float
        The reported figure.
    theirs : float
        Test clips of the source.
    """
    both = 1 / evaluation.clips + 1 / theirs
    if metric == "accuracy":
        return math.sqrt(value * (1 - value) * both)
    counts = evaluation.confusion
    total = int(counts.sum())
    rng = np.random.default_rng(bootstrap_seed(0, "claims", metric))
    drawn = rng.multinomial(total, counts.ravel() / total, size=RESAMPLES)
    draws = METRICS[metric].of_counts(drawn.reshape(RESAMPLES, *counts.shape))
    return float(np.std(draws)) * math.sqrt(both * evaluation.clips)


def _not_comparable(
    result: Result, reported: Claims, model: str, measured: Score | None, error: float | None
) -> str:
    """Return why a claim can't be compared with our figure; empty if it can."""
    if measured is None:
        return "not measured here"
    stated = reported.not_comparable.get(model, "").strip().rstrip(".")
    corpora = result.data.corpora.values()
    if any(one.left_out for one in corpora):
        return stated or "a corpus is missing here"
    if any(one.incomplete for one in corpora):
        return stated or "a corpus is incomplete here"
    if error is None and measured.interval is None:
        return stated or "too few speakers here for an interval"
    return stated


def _leading(protocols: tuple[str, ...]) -> str:
    return SPEAKER_INDEPENDENT if SPEAKER_INDEPENDENT in protocols else protocols[0]


def _standing(result: Result, model: str, parts: dict[str, Evaluation], *, gap: bool) -> Standing:
    found = None
    if gap and SPEAKER_DEPENDENT in parts and SPEAKER_INDEPENDENT in parts:
        rows = result.predictions[result.predictions["model"] == model]
        dependent = rows[rows["protocol"] == SPEAKER_DEPENDENT]
        found = _gap(dependent, rows[rows["protocol"] == SPEAKER_INDEPENDENT], result)
    return Standing(model, parts, found.scores if found else {}, found.pooled if found else {})


def _gap(dependent: pd.DataFrame, independent: pd.DataFrame, result: Result) -> Difference | None:
    """Return the SD-SI gap on the clips that both sides have; None if there are none."""
    dependent = dependent[dependent["clip"].isin(independent["clip"])]
    independent = independent[independent["clip"].isin(dependent["clip"])]
    if not len(dependent):
        return None
    seed = bootstrap_seed(result.study.seed, "gap")
    return paired_difference(dependent, independent, result.emotions, seed)


def _rank(standing: Standing, protocol: str) -> tuple[float, str]:
    evaluation = standing.evaluations.get(protocol)
    return (-evaluation.scores[METRIC].value if evaluation else math.inf, standing.model)


def _protocols(result: Result) -> list[str]:
    """Return the protocols that were measured, in the study's order."""
    present = set(result.predictions["protocol"].unique())
    named = [name for name in result.study.split.protocols if name in present]
    return named + sorted(present - set(named))


def _selection(result: Result, protocol: str) -> Selection:
    """Return the model with the best CV score under a protocol, or on each of its parts."""
    parts: dict[str, list[Winner]] = {}
    for winner in result.winners:
        if winner.protocol == protocol:
            parts.setdefault(winner.part, []).append(winner)
    by_part = {part: selected(winners) for part, winners in parts.items()}
    models = {winner.model for winner in by_part.values()}
    return Selection(
        protocol=protocol,
        model=models.pop() if len(models) == 1 else SELECTED_PER_FOLD,
        score=float(np.mean([winner.score for winner in by_part.values()])),
        by_part=by_part,
    )


def _with_selected_per_fold(result: Result, selections: dict[str, Selection]) -> Result:
    """Return a result in which the models selected per outer fold stand as one model, too."""
    predictions, out_of_fold = [result.predictions], [result.out_of_fold]
    for protocol, selection in selections.items():
        if selection.model == SELECTED_PER_FOLD:
            rows = result.predictions[result.predictions["protocol"] == protocol]
            models = {part: winner.model for part, winner in selection.by_part.items()}
            own = rows["model"] == rows["part"].map(models)
            predictions.append(rows[own].assign(model=SELECTED_PER_FOLD))
            if result.out_of_fold is not None:  # it holds the selected model of each part alone
                learned = result.out_of_fold[result.out_of_fold["protocol"] == protocol]
                out_of_fold.append(learned.assign(model=SELECTED_PER_FOLD))
    if len(predictions) == 1:
        return result
    return replace(
        result,
        predictions=pd.concat(predictions, ignore_index=True),
        out_of_fold=None if result.out_of_fold is None else pd.concat(out_of_fold),
    )
