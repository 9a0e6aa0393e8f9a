"""What a prediction costs: measured by itself, and told wherever a model answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.console import Console
from benchmark.serving.command import introduce
from benchmark.serving.cost import measure_cost
from benchmark.serving.formats import to_json
from benchmark.serving.limits import Limits
from benchmark.serving.page import html
from benchmark.serving.rest.schema import introduction
from benchmark.tracking.cards import Card, Cost, read_card

COST = Cost(clip_s=3.0, seconds=0.12, features_seconds=0.11, per_second=0.04, processor="Abacus")
SENTENCE = (
    "A prediction for a clip of 3 s takes 0.12 s of one core, of which features 0.11 s; a longer "
    "clip takes 0.04 s for each second of audio (CPU time, measured when the model was promoted, "
    "on Abacus)."
)


@pytest.fixture
def card(small_card: Path) -> Card:
    return read_card(small_card)


@pytest.fixture
def promoted(card: Card) -> Card:
    return card.model_copy(update={"cost": COST})


def test_features_are_a_part_of_what_a_prediction_costs(small_card: Path) -> None:
    cost = measure_cost(small_card)
    assert 0 < cost.features_seconds <= cost.seconds
    assert cost.per_second > 0
    assert cost.clip_s == 3.0
    assert cost.processor


def test_page_rest_and_command_line_tell_it(
    promoted: Card, capfd: pytest.CaptureFixture[str]
) -> None:
    assert promoted.costs == SENTENCE
    assert SENTENCE in html.page(promoted, Limits(), ())
    assert SENTENCE in introduction(promoted, Limits(), "", token=False)
    introduce(promoted, Console())
    assert SENTENCE in " ".join(capfd.readouterr().err.split())
    assert json.loads(to_json(promoted, "predictions", ()))["cost"] == COST.model_dump()


def test_the_card_of_a_study_says_that_it_was_not_measured(card: Card) -> None:
    assert "was not measured" in html.page(card, Limits(), ())
    assert json.loads(to_json(card, "predictions", ()))["cost"] is None
