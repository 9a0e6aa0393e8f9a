"""`Plan`: the search of one model on one split, and everything that decides its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from benchmark.engine.arrays import StoredArrays, load_arrays
from benchmark.models import MODELS, Model
from benchmark.search import pruning
from benchmark.search.portfolios import portfolio
from benchmark.search.samplers import SAMPLERS
from benchmark.study import ModelSettings, Search, digest_of

VERSION = 2  # of the code in this room that decides scores; raised when it changes

DECISIVE_LIBRARIES = ("numpy", "optuna", "scikit-learn", "scipy")
"""Libraries that decide scores, beside those that decide the training table and its digest."""


@dataclass(frozen=True)
class Plan:
    """The search of one model on one split.

    Attributes
    ----------
    study, split, model : str
        Names.
    stream : str
        Name of the split's random streams.
    spec : ModelSettings
        Fixed parameters, search space and initial parameters.
    search : Search
        Trials, sampler, engine, metric.
    seed : int
        The study's.
    emotions : tuple of str
        Sorted: the order of probabilities.
    n_folds : int
    arrays : StoredArrays
        The split's training table and its folds.
    origin : dict
        The recipe of the table in words and digests, so that a difference can be named.
    """

    study: str
    split: str
    stream: str
    model: str
    spec: ModelSettings
    search: Search
    seed: int
    emotions: tuple[str, ...]
    n_folds: int
    arrays: StoredArrays
    origin: Mapping[str, Any]

    @property
    def entry(self) -> Model:
        """The model's entry in the registry."""
        return MODELS[self.model]

    @property
    def ingredients(self) -> dict[str, Any]:
        """Everything that decides the scores of this search; not the number of trials."""
        # Limits on the number of trials change no score. The engine stands below as a version, and
        # a pruner only if it applies to this model.
        excluded = {"trials", "folds", "patience", "pruner", "engine"}
        excluded |= {"fit_timeout_s"} if self.search.fit_timeout_s is None else set()
        search = self.search.model_dump(mode="json", exclude=excluded)
        pruners = [*["asha"] * self.prunes_epochs, *["paired"] * self.prunes_folds]
        search |= {"pruner": "+".join(pruners)} if pruners else {}
        optional: dict[str, Any] = {}
        if self.prunes_epochs:
            optional["rungs"] = [*pruning.RUNGS, pruning.REDUCTION]
        if self.prunes_folds:
            optional["paired"] = [pruning.FEWEST, pruning.CHANCE]
        if self.spec.weights:
            data = load_arrays(self.arrays)
            optional["blocks"] = [data.block_names.tolist(), data.block_widths.tolist()]
        if self.portfolio:
            optional["portfolio"] = self.portfolio
        if self.entry.version > 1:
            optional["model version"] = self.entry.version
        return {
            **self.origin,
            "training table": self.arrays.identity,
            **{f"search.{key}": value for key, value in search.items()},
            "model": self.spec.model_dump(mode="json"),
            "seed": self.seed,
            "engine": self.entry.engine_version(self.search.engine),
            **optional,
            **{name: version(name) for name in DECISIVE_LIBRARIES},
            "search code": VERSION,
        }

    @property
    def title(self) -> str:
        """Name of the stored study: what a reader looks for, then the first letters of the key."""
        return f"{self.heading}{self.key[:8]}"

    @property
    def heading(self) -> str:
        """What the names of this model's stored studies on this split begin with."""
        return f"{self.study}: {self.model}, {self.split}, "

    @property
    def prefix(self) -> str:
        """The same of the stored studies of earlier versions."""
        return f"{self.study}/{self.split}/{self.model}/"

    @cached_property
    def key(self) -> str:
        """A digest of the ingredients, and of the order of parameters, which decides sampling."""
        return digest_of([self.split, self.model, self.ingredients])

    @property
    def prunes_epochs(self) -> bool:
        """Whether trials may be pruned by their first epochs."""
        return "asha" in self.search.pruner and self.entry.by_epochs

    @property
    def prunes_folds(self) -> bool:
        """Whether trials may be pruned by their first folds."""
        return "paired" in self.search.pruner

    @cached_property
    def portfolio(self) -> list[dict[str, Any]]:
        """Settings of other studies that are tried before the sampler's; empty if not requested."""
        if self.search.initial != "portfolio" or self.points:
            return []
        return portfolio(self.model, self.study, self.spec)

    @property
    def points(self) -> list[dict[str, Any]]:
        """The trials of a sampler that enumerates the space; empty for the others."""
        enumerate_space = SAMPLERS[self.search.sampler].points
        if enumerate_space is None:
            return []
        return enumerate_space(self.spec)[: self.search.trials]

    @property
    def n_trials(self) -> int:
        """The number of trials: one if nothing is searched."""
        return (len(self.points) or self.search.trials) if self.spec.space else 1
