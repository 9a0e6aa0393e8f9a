"""Models: unfitted scikit-learn estimators by name.

An entry builds a pipeline in which everything that learns from data stands, the scaler too, so that
it is fitted inside the fold. Its last step is the classifier whose parameters a study names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from benchmark.errors import BenchmarkError, unknown
from benchmark.study import Model, Range

FLOOR = "majority"
"""Every study has it: what one gets without listening."""

ENSEMBLE = "ensemble"
"""The name under which the soft vote stands among the models of a result."""


@dataclass(frozen=True, slots=True)
class ModelKind:
    """One entry of the registry.

    Attributes
    ----------
    title, description : str
        For people.
    build : callable
        Makes the unfitted pipeline.
    build_fast : callable or None
        The same algorithm by another engine for the search alone, where that is installed; winners
        are fitted by `build`, so that a stored model needs nothing but scikit-learn.
    """

    title: str
    description: str
    build: Callable[[], Any]
    build_fast: Callable[[], Any] | None = None


def _scaled(classifier: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), classifier)


def _majority() -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.pipeline import make_pipeline

    return make_pipeline(DummyClassifier(strategy="prior"))


def _logistic_regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return _scaled(LogisticRegression(max_iter=1000))


def _random_forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline

    return make_pipeline(RandomForestClassifier())  # trees don't care for scale


def _random_forest_fast() -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearnex.ensemble import RandomForestClassifier

    return make_pipeline(RandomForestClassifier())


def _mlp() -> Any:
    from sklearn.neural_network import MLPClassifier

    return _scaled(MLPClassifier())


MODELS: dict[str, ModelKind] = {
    FLOOR: ModelKind(
        "Majority class",
        "always the most frequent emotion: the floor under every study",
        _majority,
    ),
    "logistic_regression": ModelKind(
        "Logistic regression",
        "multinomial logistic regression on standardised features",
        _logistic_regression,
    ),
    "random_forest": ModelKind(
        "Random forest",
        "bagged decision trees; searched by scikit-learn-intelex where the extra `fast` is",
        _random_forest,
        _random_forest_fast,
    ),
    "mlp": ModelKind(
        "MLP",
        "multi-layer perceptron on standardised features",
        _mlp,
    ),
}


def build(name: str, params: Mapping[str, Any], seed: int, *, fast: bool = False) -> Any:
    """Return an unfitted pipeline of model `name` with parameters of its last step.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    params : mapping
        Parameters of the classifier by scikit-learn's names.
    seed : int
        Its ``random_state``, where it has one.
    fast : bool
        Whether to take the faster engine of the search; see `engine`.
    """
    kind = MODELS[name]
    pipeline = (kind.build_fast if fast and kind.build_fast else kind.build)()
    classifier = pipeline[-1]
    classifier.set_params(**params)
    if "random_state" in classifier.get_params():
        classifier.set_params(random_state=seed)
    return pipeline


def has_fast_engine(name: str) -> bool:
    """Whether the search fits this model by scikit-learn-intelex on this machine."""
    return MODELS[name].build_fast is not None and find_spec("sklearnex") is not None


def engine(name: str) -> str:
    """Return what fits this model in the search, with its version; part of a search's identity."""
    from importlib.metadata import version

    package = "scikit-learn-intelex" if has_fast_engine(name) else "scikit-learn"
    return f"{package} {version(package)}"


def check_parameters(name: str, model: Model, where: str) -> None:
    """Refuse parameters that the model does not have, and values that it would refuse when fitted.

    Raises
    ------
    BenchmarkError
        For the first wrong name or value.
    """
    classifier = MODELS[name].build()[-1]
    allowed = [
        key for key in classifier.get_params() if key not in {"random_state", "n_jobs", "verbose"}
    ]
    for key in (*model.first, *model.fixed, *model.space):
        if key not in allowed:
            raise unknown("parameter", key, allowed, f"{where}: [models.{name}]")
    for params in (model.first, model.fixed, *_examples(model)):
        candidate = MODELS[name].build()[-1].set_params(**params)
        try:
            # What scikit-learn itself calls first in fit: the ranges and words that it accepts.
            candidate._validate_params()
        except ValueError as error:
            message = str(error).replace(f" of {type(classifier).__name__}", "")
            raise BenchmarkError(f"{where}: [models.{name}]: {message}") from error


def _examples(model: Model) -> list[dict[str, Any]]:
    """Return each end of each range and each choice, alone."""
    return [
        {key: value}
        for key, entry in model.space.items()
        for value in ((entry.low, entry.high) if isinstance(entry, Range) else entry)
    ]
