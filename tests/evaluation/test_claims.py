"""A reported figure is consistent with ours, below it, or not comparable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmark.evaluation.intervals import Score
from benchmark.evaluation.leaderboard import Claim, answer, claims, leaderboard
from benchmark.evaluation.results import Result
from tests.support.results import SMALL, make


def claim_of(reported: float, result: Result | None = None, **more: Any) -> Claim:
    table = {"source": "A", "protocol": "speaker-dependent", "metric": "accuracy", **more}
    drawn = make(**SMALL | {"claims": table | {"mlp": reported}}) if result is None else result
    (claim,) = claims(leaderboard(drawn))
    return claim


def ours() -> float:
    measured = claim_of(0.5).measured
    assert measured is not None
    return measured.value


def clips() -> int:
    evaluation = leaderboard(make(**SMALL)).evaluation("speaker-dependent", "mlp")
    assert evaluation is not None
    return evaluation.clips


def test_the_error_of_an_accuracy_is_binomial_on_two_draws_of_one_size() -> None:
    error = claim_of(0.9).standard_error
    assert error == pytest.approx(np.sqrt(2 * 0.9 * 0.1 / clips()))


def test_a_source_with_fewer_test_clips_allows_a_larger_difference() -> None:
    error = claim_of(0.9, test_clips=100).standard_error
    assert error == pytest.approx(np.sqrt(0.9 * 0.1 * (1 / clips() + 1 / 100)))


def test_a_shortfall_within_sampling_is_consistent_and_a_larger_one_is_below() -> None:
    allowed = claim_of(ours()).allowance
    assert allowed is not None
    assert claim_of(ours() + 0.8 * allowed).verdict == "consistent"
    assert claim_of(ours() + 1.2 * allowed).verdict == "below"


def test_a_figure_of_ours_that_is_higher_is_consistent_however_much() -> None:
    assert claim_of(0.05).verdict == "consistent"


def test_two_draws_of_one_system_are_called_below_about_one_time_in_forty() -> None:
    rng = np.random.default_rng(0)
    theirs, mine = rng.binomial(1000, 0.85, size=(2, 4000)) / 1000
    verdicts = [
        Claim(
            "mlp", claimed, Score(measured), independent=None, gap=None,
            standard_error=float(np.sqrt(2 * claimed * (1 - claimed) / 1000)),
        ).verdict
        for claimed, measured in zip(theirs, mine, strict=True)
    ]  # fmt: skip
    assert verdicts.count("below") / len(verdicts) == pytest.approx(0.025, abs=0.007)


def test_another_metric_has_the_error_of_resampled_test_clips() -> None:
    accuracy = claim_of(ours()).standard_error
    uar = claim_of(0.9, metric="uar").standard_error
    assert uar == pytest.approx(accuracy, rel=0.15)


def test_under_a_protocol_that_keeps_speakers_apart_our_interval_decides() -> None:
    apart = {"protocol": "speaker-independent", "metric": "uar"}
    low = claim_of(0.01, **apart)
    assert low.standard_error is None
    assert low.measured is not None
    limits = low.measured.interval
    assert limits is not None
    assert claim_of((low.measured.value + limits.high) / 2, **apart).verdict == "consistent"
    assert claim_of(limits.high + 0.01, **apart).verdict == "below"


def test_a_study_declares_what_is_not_comparable() -> None:
    claim = claim_of(0.05, not_comparable={"mlp": "its features are not known."})
    assert claim.verdict == "not comparable"
    assert claim.not_comparable == "its features are not known"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"left_out": True}, "a corpus is missing here"),
        ({"missing": ("tess/a",)}, "a corpus is incomplete here"),
    ],
)
def test_a_claim_on_a_corpus_that_is_not_whole_is_not_comparable(
    found: dict[str, Any], reason: str
) -> None:
    table = {"source": "A", "protocol": "speaker-dependent", "metric": "accuracy", "mlp": 0.05}
    result = make(**SMALL | {"claims": table})
    result.data.corpora["tess"] = result.data.corpora["tess"].model_copy(update=found)
    claim = claim_of(0.05, result)
    assert claim.verdict == "not comparable"
    assert claim.not_comparable == reason


def test_a_claim_is_answered_by_our_figure_over_all_test_clips() -> None:
    evaluation = leaderboard(make(**SMALL)).evaluation("speaker-dependent", "mlp")
    assert evaluation is not None
    correct = np.trace(evaluation.confusion) / evaluation.confusion.sum()
    assert answer(evaluation, "accuracy").value == pytest.approx(correct)
