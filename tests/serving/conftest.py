"""Fixtures of the service's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bench import Bench


@pytest.fixture(scope="session")
def small_card(finished: Bench) -> Path:
    """The card of the small study's logistic regression, which answers fastest."""
    return finished.card(model="logistic_regression")
