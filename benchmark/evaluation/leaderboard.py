"""Leaderboards: every model of a study under every protocol, computed from its result alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark.data.protocols import stream
from benchmark.evaluation.intervals import (
    Difference,
    Evaluation,
    Score,
    bootstrap_seed,
    evaluate,
    paired_difference,
)
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result, Winner, selected
from benchmark.evaluation.significance import ALPHA, ClipTest, adjusted, compare_on_clips
from benchmark.evaluation.subgroups import Division, divisions
from benchmark.study import BASELINE, Claims, derive_seed

SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT = "speaker-dependent", "speaker-independent"
METRIC = "uar"

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
    """

    result: Result
    protocols: tuple[str, ...]
    standings: tuple[Standing, ...]
    selected: dict[str, Selection]

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
    def detectable(self) -> float | None:
        """The smallest difference from the selected model that the tests could have told.

        The median over `comparisons`; None without a test.
        """
        found = [one.test.detectable for one in self.comparisons if one.test.detectable is not None]
        return float(np.median(found)) if found else None

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
        return len(set.intersection(*map(set, self._tested))) if self.has_gap else 0

    @property
    def gap_restricted(self) -> bool:
        """Whether the SD-SI gap is of fewer clips than the two scores."""
        return self.has_gap and any(set(one) != set(self._tested[0]) for one in self._tested)

    @cached_property
    def _tested(self) -> list[pd.Series]:
        """The test clips of the two protocols of the SD-SI gap."""
        rows = self.result.predictions
        return [
            rows.loc[rows["protocol"] == protocol, "clip"].drop_duplicates()
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
        Ours under the source's protocol; None if the study did not measure it.
    independent : Score or None
        Ours under the speaker-independent protocol, if the source's is another one.
    gap : Score or None
        `measured` less `independent`, on the clips tested under both protocols; None without any.
    standard_error : float or None
        Binomial standard error of an accuracy as high as the claim on as many test clips. None for
        other metrics, and if nothing was measured.
    greater_is_better : bool
        Of the metric.
    """

    model: str
    claimed: float
    measured: Score | None
    independent: Score | None
    gap: Score | None
    standard_error: float | None
    greater_is_better: bool = True

    @property
    def reached(self) -> bool:
        """Whether our figure is the source's or better."""
        if self.measured is None:
            return False
        better = self.measured.value - self.claimed
        return (better if self.greater_is_better else -better) >= 0

    @property
    def within(self) -> bool:
        """Whether the source's figure lies inside our interval."""
        if self.measured is None or self.measured.interval is None:
            return False
        return self.measured.interval.low <= self.claimed <= self.measured.interval.high


def leaderboard(result: Result) -> Leaderboard:
    """Return the leaderboard of a result: every model under every protocol, best first."""
    selections = {protocol: _selection(result, protocol) for protocol in _protocols(result)}
    result = _with_selected_per_fold(result, selections)
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
    return Leaderboard(result, protocols, tuple(standings), selections)


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
    measured = evaluation.pooled[metric] if evaluation else None
    elsewhere = (
        board.evaluation(SPEAKER_INDEPENDENT, model) if protocol != SPEAKER_INDEPENDENT else None
    )
    independent = elsewhere.pooled[metric] if elsewhere else None
    error = None
    if evaluation and metric == "accuracy":
        error = math.sqrt(value * (1 - value) / evaluation.clips)
    standing = next((one for one in board.standings if one.model == model), None)
    paired = standing.pooled_gaps if standing and protocol == SPEAKER_DEPENDENT else {}
    difference = paired.get(metric)
    greater = METRICS[metric].greater_is_better
    return Claim(model, value, measured, independent, difference, error, greater)


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
    present = set(result.predictions["protocol"])
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
