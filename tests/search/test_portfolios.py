"""Portfolios: good first trials, chosen without the study at hand, and part of its identity."""

from __future__ import annotations

import json

import pytest

from benchmark.models import MODELS
from benchmark.project import study_files
from benchmark.search.portfolios import portfolio, read_portfolios
from benchmark.search.samplers import contains, distributions
from benchmark.study import ModelSettings, Study, read_study
from tests.performance.portfolios import chosen, searches


@pytest.mark.parametrize("model", read_portfolios())
def test_a_portfolio_has_two_to_five_settings(model: str) -> None:
    stored = read_portfolios()[model]
    chosen_from_any = (stored.settings, *stored.without.values())
    assert model in MODELS
    assert all(2 <= len(settings) <= 5 for settings in chosen_from_any if settings)


@pytest.mark.parametrize("model", read_portfolios())
def test_a_portfolio_is_what_the_stored_searches_of_the_other_studies_give(model: str) -> None:
    known, stored = searches(model), read_portfolios()[model]
    studies = {one.study for one in known}
    assert stored.without.keys() == studies
    assert list(stored.settings) == chosen(known)
    for study in studies:
        others = [one for one in known if one.study != study]
        assert list(stored.of(study)) == (chosen(others) if others else [])


@pytest.mark.parametrize("name", study_files())
def test_every_setting_lies_in_the_space_of_the_study(name: str) -> None:
    study = read_study(study_files()[name])
    for model, spec in study.models.items():
        space = distributions(spec)
        assert all(contains(space, setting) for setting in portfolio(model, name, spec))


def test_a_number_outside_the_space_becomes_its_nearest_and_repetitions_are_left_out() -> None:
    narrow = ModelSettings.model_validate({"C": {"low": 5.0, "high": 10.0}})
    assert portfolio("logistic_regression", "mine", narrow) == [{"C": 5.0}]
    assert portfolio("logistic_regression", "mine", ModelSettings()) == []


@pytest.mark.parametrize("name", study_files())
def test_a_study_without_a_portfolio_is_the_same_as_before_there_were_any(name: str) -> None:
    settings = read_study(study_files()[name]).settings()
    assert "initial" not in settings["search"]
    assert Study.model_validate(settings).settings() == settings


def test_a_portfolio_is_part_of_the_study_and_survives_its_stored_form() -> None:
    study = read_study(study_files()["quickstart"], ("search.initial=portfolio",))
    stored = json.loads(json.dumps(study.settings()))
    assert stored["search"]["initial"] == "portfolio"
    assert Study.model_validate(stored) == study
