"""Validation of a study before any work: all names exist, and all parts fit together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.corpora import CORPORA, known_emotions
from benchmark.data.covariates import with_covariate_blocks
from benchmark.data.outer_folds import OUTER_FOLDS
from benchmark.data.protocols import PROTOCOLS, RENAMED_PROTOCOLS
from benchmark.engine.registry import Registry
from benchmark.errors import BenchmarkError, mistakes, name_problem, unknown
from benchmark.evaluation.metrics import METRICS
from benchmark.features import chain_problems, feature_set
from benchmark.features.extract import no_copies
from benchmark.features.recipe import RECORDING
from benchmark.models import MODELS, engine_problem
from benchmark.search.samplers import SAMPLERS
from benchmark.study import BASELINE, ModelSettings, Study, draft_study, source

PAGES = (
    "README",
    "audits",
    "claims",
    "leakage",
    "reading",
    "scale",
    "speaker_independent",
    "speaker_scale",
    "unseen_corpora",
)
"""Names of pages over all studies, which a study cannot have."""

DATA_PAGE = "_data"
"""Suffix of the page on a study's recordings."""


def read_checked(path: Path, overrides: tuple[str, ...] = ()) -> Study:
    """Return the validated study of a TOML file, with the baseline among its models.

    Raises
    ------
    BenchmarkError
        If the file can't be read; for all its mistakes, a line for each.
    """
    draft = draft_study(path, overrides)
    problems = [*draft.problems, *_problems(draft.study, draft.faulty)]
    if problems:
        raise mistakes(source(path, overrides), problems)
    return _with_baseline(draft.study)


def check(study: Study, where: str) -> Study:
    """Return a study with the baseline among its models.

    Raises
    ------
    BenchmarkError
        For all names that are not registered and values that are not allowed, a line for each.
    """
    problems = list(_problems(study, frozenset()))
    if problems:
        raise mistakes(where, problems)
    return _with_baseline(study)


def _with_baseline(study: Study) -> Study:
    baseline = {} if BASELINE in study.models else {BASELINE: ModelSettings()}
    return study.model_copy(update={"models": baseline | study.models})


def _problems(study: Study, faulty: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with a study; nothing that hangs on a faulty key."""
    known = set(faulty)
    for rule in RULES:
        if any(_covers(place, need) for place in known for need in rule.reads):
            continue
        found = list(rule.problems(study))
        yield from found
        if found:
            known.add(rule.spoils)


def _covers(place: str, need: str) -> bool:
    """Whether a key is another one, or the table that holds it."""
    return f"{need}.".startswith(f"{place}.")


def _name(study: Study) -> Iterator[str]:
    if study.name in PAGES or study.name.endswith(DATA_PAGE):
        yield "this name belongs to another page of reports/; rename the file."
    if problem := name_problem(study.name):
        yield f"{problem}: rename the file."


def _corpora(study: Study) -> Iterator[str]:
    return _unregistered(CORPORA, study.corpora, "corpora")


def _auxiliary(study: Study) -> Iterator[str]:
    yield from _unregistered(CORPORA, study.auxiliary, "auxiliary")
    for name in study.auxiliary:
        if name in study.corpora:
            yield (
                f"auxiliary: {name} is also in corpora, but an auxiliary corpus is never tested. "
                "Remove it from one of the two."
            )


def _protocols(study: Study) -> Iterator[str]:
    return _unregistered(PROTOCOLS, study.split.protocols, "[split] protocols", RENAMED_PROTOCOLS)


def _folds(study: Study) -> Iterator[str]:
    if isinstance(study.split.folds, str):
        place = "[split] folds, which may be a number too"
        yield from _unknown("name of outer folds", (study.split.folds,), OUTER_FOLDS, place)


def _metric(study: Study) -> Iterator[str]:
    return _unregistered(METRICS, (study.search.metric,), "[search] metric")


def _sampler(study: Study) -> Iterator[str]:
    return _unregistered(SAMPLERS, (study.search.sampler,), "[search] sampler")


def _engine(study: Study) -> Iterator[str]:
    yield from filter(None, [engine_problem(study.search.engine)])


def _models(study: Study) -> Iterator[str]:
    return _unregistered(MODELS, study.models, "[models]")


def _chains(study: Study) -> Iterator[str]:
    for key, chains in _chains_by_key(study).items():
        yield from (f"{key}: {problem}" for problem in chain_problems(chains))


def _chains_by_key(study: Study) -> dict[str, tuple[str, ...]]:
    return {"augment": study.augment, "conditions": study.conditions}


def _renamed(study: Study) -> Iterator[str]:
    """Yield emotions that are renamed and that no corpus has; a user's table may have any."""
    if "csv" not in study.corpora:
        names = (*study.corpora, *study.auxiliary)
        there = {emotion for name in names for emotion in CORPORA[name].emotions}
        yield from _unknown("emotion", study.rename, there, "[rename]")


def _emotions(study: Study) -> Iterator[str]:
    """Yield emotions that none of the corpora has; a user's table may have any."""
    if "csv" in study.corpora:
        return
    yield from _unknown("emotion", study.emotions, known_emotions(), "emotions")
    original = {emotion for name in study.corpora for emotion in CORPORA[name].emotions}
    there = {study.rename.get(emotion, emotion) for emotion in original}
    for emotion in study.emotions:
        if emotion in known_emotions() and emotion not in there:
            yield (
                f"emotions: {emotion} is in none of {', '.join(study.corpora)}, which have "
                f"{', '.join(sorted(there))}."
            )


def _features(study: Study) -> Iterator[str]:
    try:
        features = feature_set(study.features, study.sample_rate_hz)
    except BenchmarkError as error:
        yield str(error)
        return
    for key, chains in _chains_by_key(study).items():
        if chains and features.tables:
            yield str(no_copies(features, key))
    if study.sample_rate_hz is not None and features.measured is RECORDING:
        yield (
            "sample_rate_hz: nothing is computed of the recordings, since all features are of your "
            "own tables. Remove the key."
        )
    if study.covariates and features.shape is not None:
        yield (
            f"covariates: {study.features} has features over time, to which a single number cannot "
            "be added. Choose another feature set, or remove covariates."
        )


def _settings(study: Study) -> Iterator[str]:
    for name, spec in study.models.items():
        if name in MODELS:
            yield from MODELS[name].problems(spec)


def _weights(study: Study) -> Iterator[str]:
    """Yield weights of feature sets that the study does not have."""
    blocks = feature_set(study.features, study.sample_rate_hz).blocks
    allowed = [block.name for block in with_covariate_blocks(blocks, study.covariates)]
    for model, settings in study.models.items():
        names = dict.fromkeys(name for key in settings.weights for name in key.split("+"))
        place = f"[models.{model}] weight"
        yield from _unknown("feature set", names, list(dict.fromkeys(allowed)), place)


def _grids(study: Study) -> Iterator[str]:
    points = SAMPLERS[study.search.sampler].points
    if points is None:
        return
    for name, spec in study.models.items():
        try:
            points(spec)
        except BenchmarkError as error:
            yield f"[models.{name}]: {error}"


def _labels(study: Study) -> Iterator[str]:
    for name in study.models:
        if study.auxiliary and name in MODELS and MODELS[name].labels_only:
            yield (
                f"[models.{name}] is calibrated on inner folds, which clips of auxiliary corpora "
                "do not belong to. Remove the model, or remove auxiliary."
            )


def _inner_folds(study: Study) -> Iterator[str]:
    folds = study.search.folds
    if not isinstance(folds, int):
        return  # the training sides tell how many
    for name in study.models:
        if name in MODELS and folds < MODELS[name].min_folds:
            yield (
                f"[models.{name}] needs a fold for early stopping or calibration; set search.folds "
                f"to {MODELS[name].min_folds} or more."
            )


def _ensembles(study: Study) -> Iterator[str]:
    folds = study.search.folds
    voters = [name for name in study.models if name != BASELINE]
    for vote, members in study.ensembles.items():
        if not isinstance(members, str):
            yield from _unknown("member", members, voters, f"[ensembles] {vote}")
        elif members == "stacking" and (len(voters) < 2 or not isinstance(folds, int) or folds < 3):
            yield (
                f"[ensembles] {vote}: stacking needs two models beside the baseline, and "
                "search.folds of 3 or more. Add to them, or make it greedy."
            )
        if problem := name_problem(vote):
            yield f"[ensembles]: {problem}."
        elif vote in MODELS or not vote.isidentifier():
            yield (
                f"[ensembles] {vote}: must be an identifier such as forest_and_mlp, not the name "
                "of a model."
            )


def _compared(study: Study) -> Iterator[str]:
    for first, second in study.compare:
        yield from _unknown("model", (first, second), _predicting(study), "compare")
        if first == second:
            yield f"compare: {first} is compared with itself."


def _claims(study: Study) -> Iterator[str]:
    claims, place = study.claims, "[claims]"
    if claims is None:
        return
    yield from _unknown(
        "protocol", (claims.protocol,), study.split.protocols, place, RENAMED_PROTOCOLS
    )
    yield from _unregistered(METRICS, (claims.metric,), f"{place} metric")
    yield from _unknown("model", claims.values, _predicting(study), place)
    for key, names in (
        ("why", claims.why),
        ("not_comparable", claims.not_comparable),
        ("leaks", claims.leaks),
    ):
        yield from _unknown("model", names, claims.values, f"{place} {key}")


def _predicting(study: Study) -> tuple[str, ...]:
    """Return the names of the models and ensembles of a study."""
    return (BASELINE, *(name for name in study.models if name != BASELINE), *study.all_ensembles)


def _unregistered(
    registry: Registry[Any],
    names: Iterable[str],
    where: str,
    renamed: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield a line for each name that no entry of a registry has."""
    absent = [name for name in names if name not in registry]
    yield from (str(registry.unknown(name, where, renamed)) for name in absent)


def _unknown(
    kind: str,
    names: Iterable[str],
    allowed: Collection[str],
    where: str,
    renamed: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Yield a line for each name that does not exist."""
    yield from (
        str(unknown(kind, name, allowed, where, renamed)) for name in names if name not in allowed
    )


class Rule(NamedTuple):
    """A rule for a part of a study.

    Attributes
    ----------
    problems : callable
        From a study to what is wrong, a line for each mistake.
    reads : tuple of str
        Keys that the rule relies on. If one of them is known to be wrong, nothing is said of what
        hangs on it.
    spoils : str
        The key on which no later rule can rely if a problem is found; empty for none.
    """

    problems: Callable[[Study], Iterator[str]]
    reads: tuple[str, ...] = ()
    spoils: str = ""


RULES = (
    Rule(_name),
    Rule(_corpora, ("corpora",), "corpora"),
    Rule(_auxiliary, ("corpora",), "auxiliary"),
    Rule(_protocols, (), "split.protocols"),
    Rule(_folds),
    Rule(_metric, ("search.metric",)),
    Rule(_sampler, (), "search.sampler"),
    Rule(_engine),
    Rule(_models, ("models",), "models"),
    Rule(_chains),
    Rule(_renamed, ("corpora", "auxiliary"), "rename"),
    Rule(_emotions, ("emotions", "corpora", "rename")),
    Rule(_features, ("features", "sample_rate_hz"), "features"),
    Rule(_settings),
    Rule(_weights, ("features", "sample_rate_hz", "models")),
    Rule(_grids, ("search.sampler",)),
    Rule(_labels),
    Rule(_inner_folds),
    Rule(_ensembles, ("models",)),
    Rule(_compared, ("models", "ensembles")),
    Rule(_claims, ("models", "ensembles", "split.protocols")),
)
"""All rules, in the order in which their problems are told."""
