"""Models: unfitted scikit-learn estimators by name.

An entry builds a pipeline in which everything that learns from data stands, the scaler too, so that
it is fitted inside the fold. Its last step is the classifier whose parameters a study names, or
wraps it as its ``estimator``. Beside them a study may name what comes before it: see `preparing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError, unknown
from benchmark.study import BASELINE, Model, Range

EXTRAS = {"deep": ("torch", "skorch", "safetensors"), "fast": ("sklearnex",)}
"""What an extra of this package brings."""

INTELEX = "scikit-learn-intelex"

SET_BY_US = {"random_state", "n_jobs", "verbose", "shape"}
"""Parameters that a study can't name."""

SELECT = "select"
"""The parameter of what comes before the classifier: how many features are kept."""


@dataclass(frozen=True)
class Facts:
    """What is known of training rows beside their features and emotions, and when to stop learning.

    Attributes
    ----------
    fold : ndarray of int, shape (n_rows,)
        The inner fold of the row's clip: parts that may be kept apart under the protocol.
    genders : ndarray of str, shape (n_rows,)
    stop : ndarray of bool, shape (n_rows,)
        Rows that decide when to stop learning, and are not learned from.
    thresholds : mapping of int to float
        By epoch, the score on those rows without which learning ends there.
    """

    fold: NDArray[np.intp]
    genders: NDArray[np.str_]
    stop: NDArray[np.bool_]
    thresholds: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class ModelKind:
    """One entry of the registry.

    Attributes
    ----------
    title, description : str
        For people.
    build : callable
        Makes the unfitted pipeline.
    searched : callable or None
        What the search fits in its place: the same by a faster engine, or without probabilities.
        Winners are fitted by `build`.
    extra : str
        The extra without which the model can't be fitted; empty for none.
    searched_extra : str
        The extra without which `searched` is not used; empty for none.
    searched_by : str
        What fits `searched` with that extra, for people.
    decides : bool
        Whether `searched` decides without probabilities.
    by_epochs : bool
        Whether it learns by epochs, and stops by a fold that it does not learn from.
    version : int
        Raised whenever its fits change, so that no stored trial of the old ones is taken up.
    tell : callable or None
        Tells the unfitted pipeline what is known of the training rows, and returns what its last
        step's ``fit`` is given beside them.
    """

    title: str
    description: str
    build: Callable[[], Any]
    searched: Callable[[], Any] | None = None
    extra: str = ""
    searched_extra: str = ""
    searched_by: str = ""
    decides: bool = False
    by_epochs: bool = False
    version: int = 1
    tell: Callable[[Any, Facts], dict[str, Any]] | None = None


def _pipeline(*steps: Any) -> Any:
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*steps)


def _scaled(classifier: Any) -> Any:
    from sklearn.preprocessing import StandardScaler

    return _pipeline(StandardScaler(), classifier)


def _majority() -> Any:
    from sklearn.dummy import DummyClassifier

    return _pipeline(DummyClassifier(strategy="prior"))


def _logistic_regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return _scaled(LogisticRegression(max_iter=1000))


def _lda() -> Any:
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.preprocessing import StandardScaler

    # A rotation alone, after which there are no more numbers than rows: the covariance of thousands
    # of features takes minutes, and what it decides when shrunk lies in the space of the rows.
    rotation = PCA(svd_solver="full")
    return _pipeline(StandardScaler(), rotation, LinearDiscriminantAnalysis("eigen", shrinkage=0.3))


def _lda_fast() -> Any:
    from benchmark.models.quick_lda import QuickLDA

    return _scaled(QuickLDA("eigen", shrinkage=0.3))


def _gradient_boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.preprocessing import FunctionTransformer

    # It would take a missing number for one, and stop by rows drawn without regard to speakers.
    check = FunctionTransformer(validate=True)
    return _pipeline(check, HistGradientBoostingClassifier(early_stopping=False))


def _random_forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.preprocessing import FunctionTransformer

    # Trees don't care for scale, and would take a missing number for a number: it is refused first.
    return _pipeline(FunctionTransformer(validate=True), RandomForestClassifier())


def _random_forest_fast() -> Any:
    from sklearnex.ensemble import RandomForestClassifier

    return _pipeline(RandomForestClassifier())


def _mlp() -> Any:
    from sklearn.neural_network import MLPClassifier

    return _scaled(MLPClassifier())


def _mlp_fast() -> Any:
    from benchmark.models.quick_mlp import QuickMLP

    return _scaled(QuickMLP())


def _mlp_unscaled() -> Any:
    from sklearn.neural_network import MLPClassifier

    return _pipeline(MLPClassifier())


def _svc() -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    return _scaled(CalibratedClassifierCV(SVC(), ensemble=False))


def _svc_plain() -> Any:
    from sklearn.svm import SVC

    return _scaled(SVC())


def _calibrate_by_fold(pipeline: Any, facts: Facts) -> dict[str, Any]:
    """Calibrate on the study's own folds, which keep speakers and copies together."""
    from sklearn.model_selection import PredefinedSplit

    if hasattr(pipeline[-1], "cv"):
        pipeline[-1].set_params(cv=PredefinedSplit(facts.fold))
    return {}


def _gender_first_logistic_regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    from benchmark.models.gender_first import GenderFirst

    return _scaled(GenderFirst(LogisticRegression(max_iter=1000)))


def _gender_first_mlp() -> Any:
    from sklearn.neural_network import MLPClassifier

    from benchmark.models.gender_first import GenderFirst

    return _scaled(GenderFirst(MLPClassifier()))


def _tell_genders(_pipeline: Any, facts: Facts) -> dict[str, Any]:
    return {"genders": facts.genders}


def _conv1d() -> Any:
    from benchmark.models.deep import Conv1d

    return _pipeline(Conv1d())


def _conv1d_pairs() -> Any:
    from benchmark.models.deep import Conv1dPairs

    return _pipeline(Conv1dPairs())


def _cnn_2d() -> Any:
    from benchmark.models.deep import Cnn2d

    return _pipeline(Cnn2d())


def _cnn_1d() -> Any:
    from benchmark.models.deep import Cnn1d

    return _pipeline(Cnn1d())


def _cnn_lstm() -> Any:
    from benchmark.models.deep import CnnLstm

    return _pipeline(CnnLstm())


def _stop_early(_pipeline: Any, facts: Facts) -> dict[str, Any]:
    return {"validation": facts.stop, "thresholds": facts.thresholds}


def _network(title: str, description: str, build: Callable[[], Any]) -> ModelKind:
    """Return the entry of a network; each standardises its rows itself."""
    return ModelKind(title, description, build, extra="deep", by_epochs=True, tell=_stop_early)


MODELS: dict[str, ModelKind] = {
    BASELINE: ModelKind(
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
        searched=_random_forest_fast,
        searched_extra="fast",
        searched_by=INTELEX,
    ),
    "lda": ModelKind(
        "LDA",
        "linear discriminant analysis on standardised features, its covariance shrunk; searched "
        "sooner where the extra `fast` is",
        _lda,
        searched=_lda_fast,
        searched_extra="fast",
        searched_by="quick LDA",
    ),
    "gradient_boosting": ModelKind(
        "Gradient boosting",
        "decision trees on binned features, each correcting those before it",
        _gradient_boosting,
    ),
    "mlp": ModelKind(
        "MLP",
        "multi-layer perceptron on standardised features; searched sooner where the extra `fast` "
        "is",
        _mlp,
        searched=_mlp_fast,
        searched_extra="fast",
        searched_by="quick MLP",
    ),
    "mlp_unscaled": ModelKind(
        "MLP, unscaled",
        "multi-layer perceptron on features as they are",
        _mlp_unscaled,
    ),
    "svc": ModelKind(
        "SVM",
        "support vector machine on standardised features; calibrated once its settings are found",
        _svc,
        searched=_svc_plain,
        decides=True,
        tell=_calibrate_by_fold,
    ),
    "gender_first_logistic_regression": ModelKind(
        "Gender-first logistic regression",
        "a logistic regression for each gender, weighted by how likely the voice is of it",
        _gender_first_logistic_regression,
        tell=_tell_genders,
    ),
    "gender_first_mlp": ModelKind(
        "Gender-first MLP",
        "an MLP for each gender, weighted by how likely the voice is of it",
        _gender_first_mlp,
        tell=_tell_genders,
    ),
    "conv1d": _network(
        "Conv1D",
        "convolutions with batch normalisation over the row of numbers (extra `deep`)",
        _conv1d,
    ),
    "conv1d_pairs": _network(
        "Conv1D in pairs",
        "pairs of convolutions over the row of numbers, then a dense layer (extra `deep`)",
        _conv1d_pairs,
    ),
    "cnn_2d": _network(
        "CNN, 2-D",
        "convolutions over the picture of coefficients by frames (extra `deep`)",
        _cnn_2d,
    ),
    "cnn_1d": _network(
        "CNN, 1-D",
        "convolutions over time (extra `deep`)",
        _cnn_1d,
    ),
    "cnn_lstm": _network(
        "CNN-LSTM",
        "convolutions over time, then an LSTM (extra `deep`)",
        _cnn_lstm,
    ),
}


def _named(pipeline: Any) -> Any:
    """Return the classifier whose parameters a study names: the last step, or what it wraps."""
    return pipeline[-1].get_params(deep=False).get("estimator", pipeline[-1])


def build(
    name: str,
    params: Mapping[str, Any],
    seed: int,
    *,
    searching: bool = False,
    shape: tuple[int, int] | None = None,
) -> Any:
    """Return an unfitted pipeline of model `name` with parameters of its classifier.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    params : mapping
        Parameters of the classifier by scikit-learn's names, and those of `preparing`.
    seed : int
        Its ``random_state``, where it has one.
    searching : bool
        Whether to take what the search fits; see `ModelKind`.
    shape : tuple of int, or None
        (n_frames, n_coefficients) of features over time, for models that make use of it.
    """
    kind = MODELS[name]
    pipeline = (kind.searched if searching and kind.searched and _usable(kind) else kind.build)()
    before = preparing(name)
    _prepare(pipeline, {key: value for key, value in params.items() if key in before})
    classifier = _named(pipeline)
    ours = {"random_state": seed, "shape": shape}
    there = classifier.get_params()
    named = {key: value for key, value in params.items() if key not in before}
    classifier.set_params(**named, **{key: value for key, value in ours.items() if key in there})
    return pipeline


def preparing(name: str) -> tuple[str, ...]:
    """Return the parameters of what comes before a model's classifier, fitted with it in the fold.

    ``select`` keeps so many features, those with the highest F value of an analysis of variance
    over the emotions; of fewer features it keeps all.
    """
    return () if name == BASELINE or MODELS[name].by_epochs else (SELECT,)


def _prepare(pipeline: Any, params: Mapping[str, Any]) -> None:
    """Put before the classifier what a study names; a pipeline that it does not stays as it is."""
    from sklearn.feature_selection import SelectKBest, f_classif

    if SELECT in params:
        # First stands what scales or checks the features, where there is such a step.
        selection = SelectKBest(f_classif, k=params[SELECT])
        pipeline.steps.insert(min(1, len(pipeline) - 1), (SELECT, selection))


def learn(
    name: str, pipeline: Any, values: NDArray[Any], emotions: NDArray[np.str_], facts: Facts
) -> Any:
    """Fit a pipeline of model `name`, with what is known of the rows, and return it."""
    tell = MODELS[name].tell
    step = pipeline.steps[-1][0]
    told = {} if tell is None else tell(pipeline, facts)
    return pipeline.fit(values, emotions, **{f"{step}__{key}": told[key] for key in told})


def probabilities(model: Any, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a fitted model's answer to each row, the same whatever rows stand beside it.

    Sums of single precision come out otherwise in the last digits when a row is alone than when it
    stands among a thousand; those of double precision do too, but far behind the last digit of
    what is returned.

    Parameters
    ----------
    model : estimator
        Of this registry, or a soft vote over such.
    values : ndarray of float32, shape (n_rows, n_features)

    Returns
    -------
    ndarray of float32, shape (n_rows, n_emotions)
        In the sorted order of emotions.
    """
    answered: NDArray[np.float32] = model.predict_proba(values.astype(np.float64))
    return answered.astype(np.float32)


def _installed(extra: str) -> bool:
    return all(find_spec(package) is not None for package in EXTRAS.get(extra, ()))


def _usable(kind: ModelKind) -> bool:
    """Whether the search can fit what it would rather fit."""
    return kind.searched is not None and _installed(kind.searched_extra)


def fewest_folds(name: str) -> int:
    """Return with how many inner folds a model can be searched.

    One is validated, one is learned from, and a third tells when to stop or calibrates.
    """
    kind = MODELS[name]
    return 3 if kind.by_epochs or kind.decides else 2


def available(name: str) -> bool:
    """Whether the extra that a model needs is installed."""
    return _installed(MODELS[name].extra)


def engine(name: str) -> str:
    """Return what fits this model in the search, with its version; part of a search's identity."""
    from importlib.metadata import version

    kind = MODELS[name]
    if kind.extra == "deep":
        # The same numbers by any build of a release: 2.13.0+cpu, 2.13.0+cu130.
        return f"torch {version('torch').partition('+')[0]}, skorch {version('skorch')}"
    fitted = f"scikit-learn {version('scikit-learn')}"
    if not (kind.searched_by and _usable(kind)):
        return fitted
    if kind.searched_by == INTELEX:
        return f"{INTELEX} {version(INTELEX)}"
    return f"{fitted}, {kind.searched_by}"


def check_parameters(name: str, model: Model, where: str) -> None:
    """Refuse a model whose extra is missing, and parameters that it lacks or would refuse.

    Raises
    ------
    BenchmarkError
        For the missing extra, or the first wrong name or value.
    """
    place = f"{where}: [models.{name}]"
    if not available(name):
        extra = MODELS[name].extra
        raise BenchmarkError(
            f"{place}: needs the extra `{extra}`, which is not installed. Install it, "
            f'pip install -e ".[{extra}]", or take the model out of the study.'
        )
    classifier = _named(MODELS[name].build())
    allowed = [key for key in classifier.get_params(deep=False) if key not in SET_BY_US]
    allowed += preparing(name)
    for key in (*model.initial, *model.fixed, *model.space):
        if key not in allowed:
            raise unknown("parameter", key, allowed, place)
    for params in _examples(model):
        pipeline = build(name, params, 0)
        candidate = _named(pipeline)
        try:
            # What scikit-learn itself calls first in fit: the ranges and words that it accepts.
            for step in (*pipeline[:-1], candidate):
                step._validate_params()
        except (TypeError, ValueError) as error:
            message = str(error).replace(f" of {type(classifier).__name__}", "")
            message = message.replace("'k' parameter of SelectKBest", f"'{SELECT}' parameter")
            raise BenchmarkError(f"{place}: {message}") from error


def _examples(model: Model) -> list[dict[str, Any]]:
    """Return settings in which each end of each range and each choice occurs, and the first."""
    ends = {
        key: (entry.low, entry.high) if isinstance(entry, Range) else entry
        for key, entry in model.space.items()
    }
    plain = {**model.fixed, **{key: values[0] for key, values in ends.items()}}
    changed = [{**plain, key: value} for key, values in ends.items() for value in values]
    first = [{**model.fixed, **model.initial}] if model.initial else []
    return [plain, *first, *changed]
