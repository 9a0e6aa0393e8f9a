"""Validation of a study before any work: all names exist, and all parts fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.corpora import CORPORA, known_emotions
from benchmark.data.outer_folds import OUTER_FOLDS
from benchmark.data.protocols import PROTOCOLS, RENAMED_PROTOCOLS
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.features import FeatureSet, feature_set, parse_chain
from benchmark.features.extract import no_copies
from benchmark.features.recipe import RECORDING
from benchmark.models import MODELS, check_engine
from benchmark.search.samplers import SAMPLERS
from benchmark.study import BASELINE, ModelSettings, Study

PAGES = ("README", "claims", "leakage", "reading", "scale", "speaker_independent", "speaker_scale")
"""Names of pages over all studies, which a study cannot have."""

DATA_PAGE = "_data"
"""Suffix of the page on a study's recordings."""


def check(study: Study, where: str) -> Study:
    """Return a study with the baseline among its models.

    Raises
    ------
    BenchmarkError
        For the first name that is not registered, or value that is not allowed.
    """
    if study.name in PAGES or study.name.endswith(DATA_PAGE):
        raise BenchmarkError(
            f"{where}: this name belongs to another page of reports/; rename the file."
        )
    _check_names("corpus", study.corpora, CORPORA, f"{where}: corpora")
    _check_names("corpus", study.auxiliary, CORPORA, f"{where}: auxiliary")
    for name in study.auxiliary:
        if name in study.corpora:
            raise BenchmarkError(
                f"{where}: auxiliary: {name} is also in corpora, but an auxiliary corpus is never "
                "tested. Remove it from one of the two."
            )
    _check_names(
        "protocol",
        study.split.protocols,
        PROTOCOLS,
        f"{where}: [split] protocols",
        RENAMED_PROTOCOLS,
    )
    if isinstance(study.split.folds, str):
        place = f"{where}: [split] folds, which may be a number too"
        _check_names("name of outer folds", (study.split.folds,), OUTER_FOLDS, place)
    _check_names("metric", (study.search.metric,), METRICS, f"{where}: [search] metric")
    _check_names("sampler", (study.search.sampler,), SAMPLERS, f"{where}: [search] sampler")
    check_engine(study.search.engine, where)
    _check_names("model", study.models, MODELS, f"{where}: [models]")
    for chain in study.augment:
        try:
            parse_chain(chain)
        except BenchmarkError as error:
            raise BenchmarkError(f"{where}: augment: {error}") from error
    _check_emotions(study, where)
    try:
        features = feature_set(study.features, study.sample_rate_hz)
    except BenchmarkError as error:
        raise BenchmarkError(f"{where}: {error}") from error
    _check_own_tables(study, features, where)
    if study.covariates and features.shape is not None:
        raise BenchmarkError(
            f"{where}: covariates: {study.features} has features over time, to which a single "
            "number cannot be added. Choose another feature set, or remove covariates."
        )
    for name, spec in study.models.items():
        _check_model(study, name, spec, where)
    _check_ensembles_and_claims(study, where)
    baseline = {} if BASELINE in study.models else {BASELINE: ModelSettings()}
    return study.model_copy(update={"models": baseline | study.models})


def _check_own_tables(study: Study, features: FeatureSet, where: str) -> None:
    """Refuse what own tables of features can't have: augmented copies, and a sample rate."""
    if study.augment and features.tables:
        raise BenchmarkError(f"{where}: {no_copies(features)}")
    if study.sample_rate_hz is not None and features.measured is RECORDING:
        raise BenchmarkError(
            f"{where}: sample_rate_hz: nothing is computed of the recordings, since all features "
            "are of your own tables. Remove the key."
        )


def _check_model(study: Study, name: str, spec: ModelSettings, where: str) -> None:
    """Refuse a model whose parameters are wrong, or that does not fit into this study."""
    MODELS[name].check_settings(spec, where)
    points = SAMPLERS[study.search.sampler].points
    if points is not None:
        points(spec)
    if study.auxiliary and MODELS[name].labels_only:
        raise BenchmarkError(
            f"{where}: [models.{name}] is calibrated on inner folds, which clips of auxiliary "
            "corpora do not belong to. Remove the model, or remove auxiliary."
        )
    fewest = MODELS[name].min_folds
    if study.search.folds < fewest:
        raise BenchmarkError(
            f"{where}: [models.{name}] needs a fold for early stopping or calibration; set "
            f"search.folds to {fewest} or more."
        )


def _check_ensembles_and_claims(study: Study, where: str) -> None:
    """Refuse ensembles, comparisons and claims with models that the study does not have."""
    voters = [name for name in study.models if name != BASELINE]
    for vote, members in study.ensembles.items():
        if not isinstance(members, str):
            _check_names("member", members, voters, f"{where}: [ensembles] {vote}")
        elif members == "stacking" and (len(voters) < 2 or study.search.folds < 3):
            raise BenchmarkError(
                f"{where}: [ensembles] {vote}: stacking needs two models beside the baseline, and "
                "search.folds of 3 or more. Add to them, or make it greedy."
            )
        if vote in MODELS or not vote.isidentifier():
            raise BenchmarkError(
                f"{where}: [ensembles] {vote}: must be an identifier such as forest_and_mlp, "
                "not the name of a model."
            )
    predicting = (*study.models, *study.all_ensembles)
    for first, second in study.compare:
        _check_names("model", (first, second), predicting, f"{where}: compare")
        if first == second:
            raise BenchmarkError(f"{where}: compare: {first} is compared with itself.")
    if study.claims is not None:
        place = f"{where}: [claims]"
        _check_names(
            "protocol", (study.claims.protocol,), study.split.protocols, place, RENAMED_PROTOCOLS
        )
        _check_names("metric", (study.claims.metric,), METRICS, f"{place} metric")
        _check_names("model", study.claims.values, predicting, place)
        _check_names("model", study.claims.why, study.claims.values, f"{place} why")
        _check_names(
            "model", study.claims.not_comparable, study.claims.values, f"{place} not_comparable"
        )
        _check_names("model", study.claims.leaks, study.claims.values, f"{place} leaks")


def _check_names(
    kind: str, names: Any, allowed: Any, where: str, renamed: Mapping[str, str] | None = None
) -> None:
    for name in names:
        if name not in allowed:
            raise unknown(kind, name, allowed, where, renamed)


def _check_emotions(study: Study, where: str) -> None:
    """Refuse an emotion that none of the corpora has; a user's own table may have any."""
    if "csv" in study.corpora:
        return
    _check_names("emotion", study.emotions, known_emotions(), f"{where}: emotions")
    original = {emotion for name in study.corpora for emotion in CORPORA[name].emotions}
    aside = {emotion for name in study.auxiliary for emotion in CORPORA[name].emotions}
    _check_names("emotion", study.rename, original | aside, f"{where}: [rename]")
    there = {study.rename.get(emotion, emotion) for emotion in original}
    for emotion in study.emotions:
        if emotion not in there:
            raise BenchmarkError(
                f"{where}: emotions: {emotion} is in none of {', '.join(study.corpora)}, which "
                f"have {', '.join(sorted(there))}."
            )
