"""Portfolios: a few good settings of each model, which a search tries before it samples.

They were chosen by their CV scores in the stored searches of other studies, never of the study at
hand, by tests/performance/portfolios.py, which writes portfolios.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.search.samplers import storable
from benchmark.study import ModelSettings, Range, Record

FILE = Path(__file__).with_suffix(".json")

Setting = dict[str, Any]


class Portfolio(Record):
    """The portfolio of one model.

    Attributes
    ----------
    settings : tuple of dict
        The best one first.
    without : dict of str to tuple of dict
        By study that took part in the choice: the settings chosen without it.
    """

    settings: tuple[Setting, ...]
    without: dict[str, tuple[Setting, ...]] = {}

    def of(self, study: str) -> tuple[Setting, ...]:
        """Return the settings that were chosen without a study."""
        return self.without.get(study, self.settings)


@cache
def read_portfolios() -> Mapping[str, Portfolio]:
    """Return the portfolios by model."""
    table = json.loads(FILE.read_text(encoding="utf-8"))
    return {model: Portfolio.model_validate(one) for model, one in table.items()}


def portfolio(model: str, study: str, spec: ModelSettings) -> list[Setting]:
    """Return a model's portfolio within its space, as Optuna stores it; without repetitions.

    A number outside a range becomes the nearest one inside. What a setting does not say, or what is
    no choice of the space, is left to the sampler.
    """
    found: list[Setting] = []
    stored = read_portfolios().get(model)
    for setting in stored.of(study) if stored else ():
        inside = {
            name: value
            for name, entry in spec.space.items()
            if name in setting
            for value in _nearest(entry, setting[name])
        }
        if inside and inside not in found:
            found.append(inside)
    return found


def _nearest(entry: Range | tuple[Any, ...], value: Any) -> list[Any]:
    """Return the value of a space that is nearest to another one; none if there is none."""
    if not isinstance(entry, Range):
        return [storable(one) for one in entry if storable(one) == storable(value)]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    inside = min(max(value, entry.low), entry.high)
    if entry.step is not None or entry.whole:
        step = entry.step or 1
        inside = entry.low + step * int((inside - entry.low) / step + 0.5)
        inside -= step * (inside > entry.high)
    return [int(inside) if entry.whole else float(inside)]
