"""Toy sampler: an evolutionary algorithm of Optuna (NSGA-II)."""

from __future__ import annotations

import optuna

from benchmark.search.samplers import Sampler, Space


def evolution(seed: int, _space: Space) -> optuna.samplers.BaseSampler:
    """Return Optuna's sampler for one trial."""
    return optuna.samplers.NSGAIISampler(seed=seed, population_size=2)


TOY_EVOLUTION = Sampler(
    name="toy-evolution", description="Evolutionary algorithm (NSGA-II).", create=evolution
)
