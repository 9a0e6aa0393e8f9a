"""Samplers of hyperparameters, and a model's search space in Optuna's terms."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmark.engine.registry import Registry
from benchmark.errors import BenchmarkError
from benchmark.study import MOST_VALUES, ModelSettings, Range

if TYPE_CHECKING:
    import optuna

Space: TypeAlias = "Mapping[str, optuna.distributions.BaseDistribution]"
"""The search space of a model, by parameter."""


@dataclass(frozen=True)
class Sampler:
    """One entry of the registry `SAMPLERS`.

    Attributes
    ----------
    name, description : str
        Name in study files, and how it samples, as a sentence.
    create : callable
        Returns Optuna's sampler for one trial, given a seed and the space.
    points : callable or None
        Returns all trials of a model's space, for a sampler that enumerates it; they are enqueued,
        and `create` only completes them. The study's number of trials is then ignored.
    """

    name: str
    description: str
    create: Callable[[int, Space], optuna.samplers.BaseSampler]
    points: Callable[[ModelSettings], list[dict[str, Any]]] | None = None


def _tpe(seed: int, space: Space) -> optuna.samplers.BaseSampler:
    import optuna

    class KnownSpaceSampler(optuna.samplers.TPESampler):
        """TPE with a given space, which it would otherwise infer from all trials each time."""

        def infer_relative_search_space(
            self, study: optuna.Study, trial: optuna.trial.FrozenTrial
        ) -> dict[str, optuna.distributions.BaseDistribution]:
            del study, trial
            return {name: space[name] for name in sorted(space) if not space[name].single()}

    return KnownSpaceSampler(seed=seed, multivariate=True, constant_liar=True)


def random_sampler(seed: int, _space: Space) -> optuna.samplers.BaseSampler:
    """Return Optuna's random sampler."""
    import optuna

    return optuna.samplers.RandomSampler(seed=seed)


def grid(spec: ModelSettings) -> list[dict[str, Any]]:
    """Return every combination of a space, as Optuna stores it.

    Raises
    ------
    BenchmarkError
        If a range has no step, so that its values cannot be enumerated, or there are more than
        `MOST_VALUES` combinations.

    Examples
    --------
    >>> grid(ModelSettings.model_validate({"C": {"low": 0.1, "high": 0.3, "step": 0.1}}))
    [{'C': 0.1}, {'C': 0.2}, {'C': 0.3}]
    """
    from sklearn.model_selection import ParameterGrid

    counts = {name: _n_values(name, entry) for name, entry in spec.space.items()}
    total = math.prod(counts.values())  # counted first: billions could not be listed
    if total > MOST_VALUES:
        widest = max(counts, key=lambda name: counts[name])
        raise BenchmarkError(
            f"sampler grid: {total:,} combinations, {counts[widest]:,} values of {widest} alone; "
            f"at most {MOST_VALUES:,} are allowed. Use larger steps or fewer values."
        )
    axes = {
        # Rounded: 0.1 + 2 * 0.1 is a little above 0.3.
        name: [round(entry.low + index * (entry.step or 1), 12) for index in range(counts[name])]
        if isinstance(entry, Range)
        else [storable(value) for value in entry]
        for name, entry in spec.space.items()
    }
    return list(ParameterGrid(axes))


def _n_values(name: str, entry: Range | Sequence[Any]) -> int:
    """Return the number of values of a parameter."""
    if not isinstance(entry, Range):
        return len(entry)
    if entry.step is None and not (entry.whole and not entry.log):
        raise BenchmarkError(
            f"sampler grid: {name} is a range without a step; add a step, or list its values."
        )
    return int((entry.high - entry.low) / (entry.step or 1) + 1e-9) + 1


SAMPLERS: Registry[Sampler] = Registry(
    "sampler",
    "samplers",
    Sampler,
    (
        Sampler("tpe", "Multivariate tree-structured Parzen estimator.", _tpe),
        Sampler("random", "Independent random parameters.", random_sampler),
        Sampler(
            "grid", "Every combination of the space, at most `trials`.", random_sampler, points=grid
        ),
    ),
)
"""By name in study files."""


def distributions(spec: ModelSettings) -> dict[str, optuna.distributions.BaseDistribution]:
    """Return a model's space as Optuna's distributions; see `storable` for choices."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    space: dict[str, optuna.distributions.BaseDistribution] = {}
    for name, entry in spec.space.items():
        if not isinstance(entry, Range):
            space[name] = CategoricalDistribution([storable(value) for value in entry])
        elif entry.whole:
            low, high, step = int(entry.low), int(entry.high), int(entry.step or 1)
            space[name] = IntDistribution(low, high, log=entry.log, step=step)
        else:
            space[name] = FloatDistribution(
                float(entry.low), float(entry.high), log=entry.log, step=entry.step
            )
    return space


def storable(value: Any) -> Any:
    """Return a choice as Optuna can store it: a list becomes JSON text."""
    scalar = value is None or isinstance(value, bool | int | float | str)
    return value if scalar else json.dumps(value)


def contains(space: Space, params: Mapping[str, Any]) -> bool:
    """Whether Optuna could sample these parameters from the space."""
    import optuna

    if not set(params) <= set(space):
        return False
    used = {name: space[name] for name in params}
    try:
        optuna.trial.create_trial(value=0.0, params=dict(params), distributions=used)
    except ValueError:
        return False
    return True
