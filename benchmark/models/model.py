"""`Model`, the entry of the registry: all facts about a model, and how to build it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import unknown
from benchmark.features.recipe import Block
from benchmark.hints import install
from benchmark.study import WEIGHT, ModelSettings, Range

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

EXTRAS = {"deep": ("torch", "skorch", "safetensors"), "intelex": ("sklearnex",)}
"""The packages of each extra that models or search engines need."""

RESERVED = {"random_state", "n_jobs", "verbose", "shape"}
"""Parameters that a study cannot set."""

SELECT = "select"
"""The parameter of the feature selection before the classifier."""


@dataclass(frozen=True)
class FitContext:
    """What is known of training rows beside their features and emotions.

    Attributes
    ----------
    fold : ndarray of int, shape (n_rows,)
        The inner fold of each row's clip.
    genders : ndarray of str, shape (n_rows,)
    validation : ndarray of bool, shape (n_rows,)
        Rows for early stopping; the model does not learn from them.
    thresholds : mapping of int to float
        By epoch, the score on the validation rows below which training is pruned.
    """

    fold: NDArray[np.intp]
    genders: NDArray[np.str_]
    validation: NDArray[np.bool_]
    thresholds: Mapping[int, float]


def has_no_random_state(classifier: Any) -> bool:
    """Whether a classifier draws no random numbers, since it has no ``random_state``."""
    return "random_state" not in classifier.get_params()


@dataclass(frozen=True)
class Model:
    """One entry of the registry `MODELS`.

    The callables are functions of a module, so that an entry can be sent to a worker process.

    Attributes
    ----------
    name : str
        The key in studies and in `MODELS`.
    title, description : str
        For pages and the command ``list``.
    pipeline : callable
        Returns the unfitted pipeline. Its last step is the classifier whose parameters a study
        sets, or wraps it as ``estimator``.
    search_pipeline : callable or None
        Returns the pipeline that the search fits instead: faster, or without probabilities. The
        selected model is always fitted by `pipeline`.
    engines : mapping of str to callable
        By the name of a search engine other than scikit-learn, the pipeline that it fits instead.
    fit_params : callable or None
        Receives the unfitted pipeline and a `FitContext`; may set parameters of the pipeline, and
        returns keyword arguments for ``fit`` of its last step.
    is_deterministic : callable
        Whether a classifier with its parameters is fitted without random numbers.
    by_epochs : bool
        Whether the model learns by epochs, with early stopping on an inner fold.
    labels_only : bool
        Whether `search_pipeline` predicts labels without probabilities.
    selects_features : bool
        Whether a study may set `SELECT`, the number of features that are kept.
    reserved : tuple of str
        Parameters of the classifier that a study cannot set, beside `RESERVED`.
    min_folds : int
        The fewest inner folds: a model that stops early or is calibrated needs a third one.
    extra : str
        The extra that the model needs, a key of `EXTRAS`; empty for none.
    libraries : tuple of str
        Distributions whose versions decide a fit.
    trusted_types : tuple of str
        Types in the stored model beside those that skops trusts: plain records of numbers.
    relative_cost : float
        Roughly how long a fit takes, in fits of LDA. With a time budget, models start in its order;
        from then on their costs are measured.
    version : int
        Raised whenever fits change, so that stored trials of the older fits are not reused.
    """

    name: str
    title: str
    description: str
    pipeline: Callable[[], Pipeline]
    search_pipeline: Callable[[], Pipeline] | None = None
    engines: Mapping[str, Callable[[], Pipeline]] = field(default_factory=dict)
    fit_params: Callable[[Pipeline, FitContext], dict[str, Any]] | None = None
    is_deterministic: Callable[[Any], bool] = has_no_random_state
    by_epochs: bool = False
    labels_only: bool = False
    selects_features: bool = True
    reserved: tuple[str, ...] = ()
    min_folds: int = 2
    extra: str = ""
    libraries: tuple[str, ...] = ("scikit-learn",)
    trusted_types: tuple[str, ...] = ()
    relative_cost: float = 100.0
    version: int = 1

    @property
    def available(self) -> bool:
        """Whether the extra that the model needs is installed."""
        return is_installed(self.extra)

    def build(
        self,
        params: Mapping[str, Any],
        seed: int,
        *,
        engine: str | None = None,
        shape: tuple[int, int] | None = None,
        blocks: Sequence[Block] = (),
    ) -> Pipeline:
        """Return the unfitted pipeline.

        Parameters
        ----------
        params : mapping
            Parameters of the classifier by scikit-learn's names. ``select`` puts a feature
            selection before it: the features with the highest F value of an analysis of variance
            over the emotions; of fewer features it keeps all. ``weight.functionals`` weights a
            feature set: with any weight a `BlockScaler` takes the place of the scaler.
        seed : int
            The classifier's ``random_state``, if it has one.
        engine : str or None
            The study's search engine for a fit of the search; None for the model that is kept.
        shape : tuple of int, or None
            (n_frames, n_coefficients) of features over time.
        blocks : sequence of Block
            The blocks of the features, for their weights.
        """
        searched = self.search_pipeline or self.pipeline
        pipeline = (self.pipeline if engine is None else self.engines.get(engine, searched))()
        weights = {key: value for key, value in params.items() if key.startswith(WEIGHT)}
        own = {key: value for key, value in params.items() if key not in weights}
        if weights:
            from benchmark.models.block_scaler import block_scaler

            by_name = {key.removeprefix(WEIGHT): value for key, value in weights.items()}
            pipeline.steps[0] = ("blockscaler", block_scaler(blocks, by_name))
        if self.selects_features and SELECT in own:
            from sklearn.feature_selection import SelectKBest, f_classif

            # After the step that scales or checks the features, if there is one.
            selection = SelectKBest(f_classif, k=own.pop(SELECT))
            pipeline.steps.insert(min(1, len(pipeline) - 1), (SELECT, selection))
        classifier = _classifier(pipeline)
        ours = {"random_state": seed, "shape": shape}
        accepted = classifier.get_params()
        own |= {name: value for name, value in ours.items() if name in accepted}
        classifier.set_params(**own)
        return pipeline

    def fit(
        self,
        pipeline: Pipeline,
        values: NDArray[Any],
        emotions: NDArray[np.str_],
        context: FitContext,
    ) -> Pipeline:
        """Fit a pipeline of this model and return it."""
        params = {} if self.fit_params is None else self.fit_params(pipeline, context)
        step = pipeline.steps[-1][0]
        return pipeline.fit(values, emotions, **{f"{step}__{key}": params[key] for key in params})

    def engine_version(self, engine: str | None = None) -> str:
        """Return the libraries that fit this model, with their versions.

        Without local parts, since 2.13.0+cpu and 2.13.0+cu130 compute the same numbers.
        """
        names = self.libraries if engine not in self.engines else (ENGINES[str(engine)],)
        return ", ".join(f"{name} {version(name).partition('+')[0]}" for name in names)

    def refits_slower(self, engine: str) -> bool:
        """Whether the search fits another, faster pipeline than `pipeline`."""
        return self.search_pipeline is not None or engine in self.engines

    def problems(self, settings: ModelSettings) -> Iterator[str]:
        """Yield what is wrong with a model's table in a study: its extra, each name, each value."""
        place = f"[models.{self.name}]"
        if not self.available:
            yield (
                f"{place}: needs the extra `{self.extra}`, which is not installed. Install it, "
                f"{install(self.extra)}, or remove the model from the study."
            )
            return
        classifier = _classifier(self.pipeline())
        reserved = RESERVED.union(self.reserved)
        allowed = [key for key in classifier.get_params(deep=False) if key not in reserved]
        allowed += [SELECT] if self.selects_features else []
        allowed += [f"{WEIGHT}NAME"] if self.standardises else []
        for key in dict.fromkeys((*settings.initial, *settings.fixed, *settings.space)):
            if key not in allowed and not key.startswith(WEIGHT):
                yield str(unknown("parameter", key, allowed, place))
        yield from (f"{place}: {problem}" for problem in self._weight_problems(settings))
        refusals = (self._refusal(params) for params in _examples(settings, allowed))
        yield from (f"{place}: {refusal}" for refusal in dict.fromkeys(refusals) if refusal)

    def _weight_problems(self, settings: ModelSettings) -> Iterator[str]:
        """Yield what is wrong with the weights of feature sets, whatever sets there are."""
        weights, table = [f"{WEIGHT}{name}" for name in settings.weights], settings.model_dump()
        if not weights:
            return
        if not self.standardises:
            yield f"{weights[0]}: the model does not standardise features. Remove it."
        if any(SELECT in part for part in table.values()):
            yield f"{weights[0]} and {SELECT} exclude each other. Remove one of them."
        names = [name for joined in settings.weights for name in joined.split("+")]
        if twice := [name for name in names if names.count(name) > 1]:
            yield f"{twice[0]} has two weights. Remove one of them."
        for key in weights:
            if settings.initial and key not in settings.initial and key not in settings.fixed:
                yield f"initial: needs {key}, too, which is searched. Add it."
            if wrong := [value for value in _values(settings, key) if not _is_weight(value)]:
                yield f"{key}: must be a number from 0 on, not {json.dumps(wrong[0])}."

    @property
    def standardises(self) -> bool:
        """Whether the pipeline standardises features first, so that their sets may be weighted."""
        from sklearn.preprocessing import StandardScaler

        return isinstance(self.pipeline()[0], StandardScaler)

    def _refusal(self, params: Mapping[str, Any]) -> str:
        """Return why fit would refuse parameters; empty if it takes them."""
        pipeline = self.build(params, 0)
        classifier = _classifier(pipeline)
        try:
            # scikit-learn calls these first in fit: the ranges and words that it accepts.
            for step in (*pipeline[:-1], classifier):
                step._validate_params()
        except (TypeError, ValueError) as error:
            message = str(error).replace(f" of {type(classifier).__name__}", "")
            return message.replace("'k' parameter of SelectKBest", f"'{SELECT}' parameter")
        return ""


ENGINES = {"scikit-learn": "scikit-learn", "intelex": "scikit-learn-intelex"}
"""The distribution of each engine that ``[search] engine`` can name."""


def engine_problem(engine: str) -> str:
    """Return what to install for a search engine; empty if it is installed."""
    if is_installed(engine):
        return ""
    return (
        f"[search] engine: {engine} needs {ENGINES[engine]}, which is not installed. "
        f'Install it, {install(engine)}, or set engine to "scikit-learn".'
    )


def is_installed(extra: str) -> bool:
    """Whether the packages of an extra are installed; True for a name that is no extra."""
    return all(find_spec(package) is not None for package in EXTRAS.get(extra, ()))


def unscaled(classifier: Any) -> Pipeline:
    """Return a pipeline of a classifier alone."""
    from sklearn.pipeline import make_pipeline

    return make_pipeline(classifier)


def scaled(classifier: Any) -> Pipeline:
    """Return a pipeline that standardises features before a classifier."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), classifier)


def finite(classifier: Any) -> Pipeline:
    """Return a pipeline that refuses NaN before a classifier that would take it for a number."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(validate=True), classifier)


def _classifier(pipeline: Pipeline) -> Any:
    """Return the classifier whose parameters a study sets: the last step, or what it wraps."""
    return pipeline[-1].get_params(deep=False).get("estimator", pipeline[-1])


def _values(settings: ModelSettings, key: str) -> list[Any]:
    """Return the values of a parameter: each choice, and the ends of a range."""
    entry = settings.space.get(key, ())
    ends = [entry.low, entry.high] if isinstance(entry, Range) else list(entry)
    return ends + [part[key] for part in (settings.fixed, settings.initial) if key in part]


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _examples(settings: ModelSettings, allowed: Collection[str]) -> list[dict[str, Any]]:
    """Return parameters that cover the ends of each range, each choice and the initial ones."""
    values = {
        key: (entry.low, entry.high) if isinstance(entry, Range) else entry
        for key, entry in settings.space.items()
        if key in allowed
    }
    fixed = {key: value for key, value in settings.fixed.items() if key in allowed}
    first = {key: value for key, value in settings.initial.items() if key in allowed}
    plain = {**fixed, **{key: choices[0] for key, choices in values.items()}}
    changed = [{**plain, key: value} for key, choices in values.items() for value in choices]
    return [plain, *([{**fixed, **first}] if first else []), *changed]
