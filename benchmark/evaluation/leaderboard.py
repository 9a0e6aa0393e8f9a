"""Leaderboards: tables computed from results alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from benchmark.data.splits import stream
from benchmark.evaluation.metrics import Evaluation, Score, bootstrap_seed, evaluate, gap
from benchmark.evaluation.results import Result
from benchmark.evaluation.results import chosen as best_inside
from benchmark.evaluation.significance import ALPHA, ClipTest, compare_on_clips, holm
from benchmark.evaluation.subgroups import Division, divisions
from benchmark.study import BASELINE, derive_seed

KNOWN, UNSEEN = "speaker-dependent", "speaker-independent"
METRIC = "uar"

NESTED = "nested_choice"
"""On each outer fold the winner with the best inner score, where that is not always one model."""


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
        By metric: known minus unseen speakers; empty where the study has only one of the two.
    """

    model: str
    evaluations: dict[str, Evaluation]
    gaps: dict[str, Score]


@dataclass(frozen=True)
class Contest:
    """One model beside the chosen one, on the same test clips of the leading protocol.

    Attributes
    ----------
    model : str
        Its name in the study.
    test : ClipTest
        The chosen model less this one, by `METRIC`.
    p : float
        The test's, corrected for the number of contests (Holm).
    """

    model: str
    test: ClipTest
    p: float

    @property
    def alike(self) -> bool:
        """Whether the two can't be told apart."""
        return self.p >= ALPHA


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
        Best first on unseen speakers, or under the study's first protocol where it has none.
    chosen : dict of str to dict
        By protocol, the winner with the best inner score: the test rows had no part in the choice.
        Of a protocol with outer folds: its model (`NESTED` where folds choose different ones), its
        mean inner score, and ``by_part``, the winner chosen on each.
    """

    result: Result
    protocols: tuple[str, ...]
    standings: tuple[Standing, ...]
    chosen: dict[str, dict[str, Any]]

    @property
    def corpora(self) -> list[str]:
        """The corpora that have test rows, by name."""
        found = {
            name
            for standing in self.standings
            for part in standing.evaluations.values()
            for name in part.corpora
        }
        return sorted(found)

    @property
    def has_gap(self) -> bool:
        """Whether the study has both known and unseen speakers."""
        return KNOWN in self.protocols and UNSEEN in self.protocols

    @property
    def leading(self) -> str:
        """The protocol that decides the order: unseen speakers, or the study's first."""
        return UNSEEN if UNSEEN in self.protocols else self.protocols[0]

    @cached_property
    def contests(self) -> tuple[Contest, ...]:
        """The chosen model against each other one under the leading protocol, in board order.

        It is chosen on the inner folds. The best on the test clips would be chosen on what the
        tests look at: the luckiest of several that are alike, and p would be too small. The floor
        takes no part.
        """
        seed, protocol = self.result.settings["seed"], self.leading
        rows = self.result.predictions[self.result.predictions["protocol"] == protocol]
        by_model = dict(iter(rows.groupby("model", sort=False)))
        chosen = self.chosen[protocol]["model"]
        others = [
            one.model
            for one in self.standings
            if one.model not in (chosen, BASELINE) and protocol in one.evaluations
        ]
        tests = [
            compare_on_clips(
                by_model[chosen],
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
        corrected = holm([test.p for test in tests])
        return tuple(map(Contest, others, tests, corrected))

    @cached_property
    def divisions(self) -> list[Division]:
        """The chosen model's test clips under the leading protocol, divided by what is known."""
        predictions, protocol = self.result.predictions, self.leading
        mine = (predictions["protocol"] == protocol) & (
            predictions["model"] == self.chosen[protocol]["model"]
        )
        seed = bootstrap_seed(self.result.settings["seed"], stream(protocol), "groups")
        return divisions(predictions[mine], self.result.clips, self.result.emotions, METRIC, seed)

    def evaluation(self, protocol: str, model: str) -> Evaluation | None:
        """Return a model's figures under a protocol; None where there are none."""
        for standing in self.standings:
            if standing.model == model:
                return standing.evaluations.get(protocol)
        return None

    def chosen_evaluation(self, protocol: str) -> Evaluation:
        """Return the figures of the chosen model under a protocol."""
        evaluation = self.evaluation(protocol, self.chosen[protocol]["model"])
        if evaluation is None:
            msg = f"{self.result.name}: no predictions of the chosen model under {protocol}"
            raise LookupError(msg)
        return evaluation


@dataclass(frozen=True)
class Claim:
    """What the source says of a model, beside what was measured by its own protocol and metric.

    Attributes
    ----------
    model : str
        Its name in the study.
    claimed : float
        The source's figure.
    measured : Score or None
        Ours under the source's protocol; None where the study did not measure it.
    unseen : Score or None
        Ours with unseen speakers, where the source's protocol is another one.
    lost : Score or None
        The first less the second, both sides resampled independently.
    standard_error : float or None
        Of an accuracy as high as the claim on as many test clips, were they drawn independently:
        the binomial one. None for other metrics, and where nothing was measured.
    """

    model: str
    claimed: float
    measured: Score | None
    unseen: Score | None
    lost: Score | None
    standard_error: float | None

    @property
    def reached(self) -> bool:
        """Whether our figure is the source's or better."""
        return self.measured is not None and self.measured.value >= self.claimed

    @property
    def within(self) -> bool:
        """Whether the source's figure lies inside our interval."""
        return self.measured is not None and (
            self.measured.low <= self.claimed <= self.measured.high
        )


def leaderboard(result: Result) -> Leaderboard:
    """Return the leaderboard of a result: every model under every protocol, best first."""
    seed = result.settings["seed"]
    chosen = {protocol: _choose(result, protocol) for protocol in _protocols(result)}
    result = _with_nested(result, chosen)
    evaluations: dict[str, dict[str, Evaluation]] = {}
    for (protocol, model), rows in result.predictions.groupby(["protocol", "model"], sort=False):
        part = evaluate(rows, result.emotions, bootstrap_seed(seed, stream(str(protocol))))
        evaluations.setdefault(str(model), {})[str(protocol)] = part
    protocols = tuple(chosen)
    standings = [
        Standing(model, parts, _gaps(parts) if model != BASELINE else {})
        for model, parts in evaluations.items()
    ]
    leading = UNSEEN if UNSEEN in protocols else protocols[0]
    standings.sort(key=lambda standing: _rank(standing, leading))
    return Leaderboard(result, protocols, tuple(standings), chosen)


def claims(board: Leaderboard) -> list[Claim]:
    """Return the source's claims beside our figures, the highest first; none without claims."""
    claimed = board.result.settings.get("claims")
    if not claimed:
        return []
    rows = [_claim(board, claimed, model) for model in claimed["values"]]
    return sorted(rows, key=lambda claim: (-claim.claimed, claim.model))


def _claim(board: Leaderboard, claimed: dict[str, Any], model: str) -> Claim:
    protocol, metric, value = claimed["protocol"], claimed["metric"], claimed["values"][model]
    evaluation = board.evaluation(protocol, model)
    measured = evaluation.scores[metric] if evaluation else None
    elsewhere = board.evaluation(UNSEEN, model) if protocol != UNSEEN else None
    unseen = elsewhere.scores[metric] if elsewhere else None
    error = None
    if evaluation and metric == "accuracy":
        error = math.sqrt(value * (1 - value) / evaluation.clips)
    lost = gap(measured, unseen) if measured and unseen else None
    return Claim(model, value, measured, unseen, lost, error)


def _gaps(parts: dict[str, Evaluation]) -> dict[str, Score]:
    if KNOWN not in parts or UNSEEN not in parts:
        return {}
    known, unseen = parts[KNOWN].scores, parts[UNSEEN].scores
    return {metric: gap(known[metric], unseen[metric]) for metric in known}


def _rank(standing: Standing, protocol: str) -> tuple[float, str]:
    evaluation = standing.evaluations.get(protocol)
    return (-evaluation.scores[METRIC].value if evaluation else math.inf, standing.model)


def _protocols(result: Result) -> list[str]:
    """Return the protocols that were measured, in the study's order."""
    present = set(result.predictions["protocol"])
    named = [name for name in result.settings["split"]["protocols"] if name in present]
    return named + sorted(present - set(named))


def _choose(result: Result, protocol: str) -> dict[str, Any]:
    """Return the winner with the best inner score under a protocol, or of each of its parts."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for winner in result.winners:
        if winner["protocol"] == protocol:
            parts.setdefault(winner.get("part", ""), []).append(winner)
    by_part = {part: best_inside(winners) for part, winners in parts.items()}
    if list(by_part) == [""]:
        return by_part[""]
    models = {winner["model"] for winner in by_part.values()}
    return {
        "protocol": protocol,
        "model": models.pop() if len(models) == 1 else NESTED,
        "score": float(np.mean([winner["score"] for winner in by_part.values()])),
        "by_part": by_part,
    }


def _with_nested(result: Result, choices: dict[str, dict[str, Any]]) -> Result:
    """Return a result in which what was chosen on each outer fold answers as one model, too."""
    predictions, out_of_fold = [result.predictions], [result.out_of_fold]
    for protocol, choice in choices.items():
        if choice["model"] == NESTED:
            rows = result.predictions[result.predictions["protocol"] == protocol]
            models = {part: winner["model"] for part, winner in choice["by_part"].items()}
            mine = rows["model"] == rows["part"].map(models)
            predictions.append(rows[mine].assign(model=NESTED))
            if result.out_of_fold is not None:  # of each part it holds the chosen model alone
                learned = result.out_of_fold[result.out_of_fold["protocol"] == protocol]
                out_of_fold.append(learned.assign(model=NESTED))
    if len(predictions) == 1:
        return result
    return replace(
        result,
        predictions=pd.concat(predictions, ignore_index=True),
        out_of_fold=None if result.out_of_fold is None else pd.concat(out_of_fold),
    )
