"""A study: one TOML file with one question, read once into frozen objects.

A study file holds names and numbers and cannot run code. `validation.check` compares its names with
the registries.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from benchmark.errors import BenchmarkError, mistakes, nearest, shortened, unknown
from benchmark.hints import command

Scalar = bool | int | float | str
LEARNED_ENSEMBLES = ("greedy", "stacking")
RENAMED_KEYS = {
    "first": "initial",
    "lookahead": "concurrent_trials",
    "fit_limit_s": "fit_timeout_s",
    "shares": "fractions",
    "mistakes": "leaks",
}
"""Keys of study files by the names that earlier versions gave them."""

BASELINE = "majority"
"""The baseline, a model of every study: it always predicts the most frequent emotion."""

WEIGHT = "weight."
"""Prefix of the parameters that weight feature sets: ``weight.functionals``."""

ENSEMBLE = "ensemble"
"""Name of the soft voting of all models, in a study without ensembles of its own."""

LeakName = Literal[
    "speakers-shared",
    "augmented-before-split",
    "oversampled-before-split",
    "scaled-on-everything",
    "selected-on-everything",
    "settings-by-test",
    "epoch-by-test",
    "best-of-seeds",
]


MOST_VALUES = 100_000
"""Values of a range with a step, and settings of a grid: as many as a search may have trials."""


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a repeated name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is repeated")
    return names


class Record(BaseModel):
    """Immutable data with named fields; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Range(Record):
    """Numbers from `low` to `high`, both included, in Optuna's own words."""

    low: int | float
    high: int | float
    log: bool = False
    """Whether values are drawn on the logarithmic scale."""
    step: int | float | None = None
    """Distance of the values from each other; None for any value."""

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low = {self.low} is above high = {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs low above 0, not {self.low}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step must be above 0, not {self.step}")
        if self.step is not None and self.high - self.low > MOST_VALUES * self.step:
            raise ValueError(
                f"step = {self.step} makes more than {MOST_VALUES:,} values from {self.low} to "
                f"{self.high}. Choose a larger step, or leave it out"
            )
        return self

    @property
    def whole(self) -> bool:
        """Whether the range holds whole numbers only."""
        return all(isinstance(v, int) for v in (self.low, self.high, self.step or 1))


def _different(choices: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse no choice, and a repeated one."""
    if not choices:
        raise ValueError("is an empty list of choices")
    if any(value in choices[:place] for place, value in enumerate(choices)):
        # 1, 1.0 and true are equal in Python but not in scikit-learn.
        raise ValueError("has two choices that are equal")
    return choices


Choices = Annotated[tuple[Any, ...], AfterValidator(_different)]
Space = dict[str, Range | Choices]


class ModelSettings(Record):
    """A model's table in a study: fixed parameters, search space and initial parameters."""

    initial: dict[str, Any] = {}
    fixed: dict[str, Any] = {}
    space: dict[str, Range | Choices] = {}

    @property
    def weights(self) -> tuple[str, ...]:
        """The feature sets that have a weight, as the study names them."""
        keys = dict.fromkeys((*self.initial, *self.fixed, *self.space))
        return tuple(key.removeprefix(WEIGHT) for key in keys if key.startswith(WEIGHT))

    @model_validator(mode="before")
    @classmethod
    def _sort_entries(cls, table: Any) -> Any:
        """Sort the keys of a flat table by their values: range, list of choices, or fixed value."""
        if not isinstance(table, dict) or set(table) == {"initial", "fixed", "space"}:
            return table
        if isinstance(table.get("first"), dict):
            raise ValueError("the key 'first' is now called 'initial'")
        entries = {key: value for key, value in table.items() if key != "initial"}
        ranges = {k: v for k, v in entries.items() if isinstance(v, dict)}
        choices = {k: tuple(v) for k, v in entries.items() if isinstance(v, list)}
        # A list of one choice is how a fixed value that is a list is written.
        choices, single = (
            {k: v for k, v in choices.items() if (len(v) == 1) is alone} for alone in (False, True)
        )
        fixed = {k: v for k, v in entries.items() if k not in ranges and k not in choices}
        fixed |= {name: values[0] for name, values in single.items()}
        return {"initial": table.get("initial", {}), "fixed": fixed, "space": ranges | choices}


BY_CORPUS = "corpus"
"""Inner folds that are the corpora of the training side."""


class Split(Record):
    """Protocols, and the size and number of their test sides."""

    protocols: tuple[str, ...] = Field(
        default=("speaker-dependent", "speaker-independent"), min_length=1
    )
    """Names of protocols; pages show them in this order."""
    test_size: float = Field(default=0.25, gt=0, lt=1)
    """Size of the test side without `folds`: a fraction of the clips, speakers or sentences."""
    folds: int | str | None = None
    """Outer folds in place of one test side of `test_size`: a number, ``leave-one-speaker-out``, or
    published folds such as ``emobox``. Each is tested once, after a search of its own. The
    speaker-dependent protocol draws as many."""
    repeats: int = Field(default=1, ge=1, le=100)
    """Repetitions of all draws and searches, with other seeds."""

    _distinct = field_validator("protocols")(_distinct)

    @field_validator("folds")
    @classmethod
    def _several_folds(cls, folds: int | str | None) -> int | str | None:
        if not isinstance(folds, str | None) and not 2 <= folds <= 100:
            raise ValueError("must be 2 to 100, or the name of published folds")
        return folds


class Search(Record):
    """The hyperparameter search."""

    trials: int = Field(ge=1, le=MOST_VALUES)
    """Trials of each model on each split; a model without search space has one."""
    folds: int | str
    """Inner folds of the training side: a number, or ``corpus``, which validates on each training
    corpus after training on the others."""
    metric: str
    """The metric whose mean over the inner folds selects: the CV score."""
    sampler: str = "tpe"
    """How hyperparameters are proposed: ``tpe``, ``random`` or ``grid``."""
    engine: Literal["scikit-learn", "intelex"] = "scikit-learn"
    """The library that fits models in the search: ``intelex``, scikit-learn-intelex, for those that
    it speeds up. Selected models are always fitted by scikit-learn."""
    concurrent_trials: int = Field(default=1, ge=1, le=64)
    """Trials of one model that run at the same time. It belongs to the study, not to the machine:
    any number of workers gives the same trials. With 1 the sampler knows all earlier trials, and
    folds and the searches of other models run in parallel."""
    pruner: Literal["none", "asha", "paired", "asha+paired"] = "none"
    """`asha` prunes networks by their first epochs; `paired` prunes trials of any model by their
    first folds, each against the same fold of the best trial."""
    patience: int | None = Field(default=None, ge=1)
    """Trials without improvement after which a model's search ends; None for all trials."""
    fit_timeout_s: float | None = Field(default=None, gt=0)
    """Time limit of the fit of one fold, after which its trial fails; None for no limit."""
    initial: Literal["study", "portfolio"] = "study"
    """Trials before the sampler's: the study's own; with `portfolio` also a few settings of each
    model that did well in other studies."""

    @model_serializer(mode="wrap")
    def _without_default(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `initial` by default: such a study is the same as before there was the key."""
        table: dict[str, Any] = plain(self)
        if self.initial == "study":
            table.pop("initial", None)
        return table

    @field_validator("folds")
    @classmethod
    def _several_folds(cls, folds: int | str) -> int | str:
        if folds != BY_CORPUS and not (isinstance(folds, int) and 2 <= folds <= 100):
            raise ValueError(f"must be 2 to 100, or {BY_CORPUS}")
        return folds


class Scale(Record):
    """The clips of a test speaker that set the scale of the speaker's features.

    With ``normalise = "corpus"``, the clips of a test corpus. Training speakers and corpora are
    always scaled by all their clips. Except with ``all`` and ``first``, a test clip never takes
    part in its own scale.
    """

    clips: Literal["all", "first", "neutral", "others", "skewed", "call"] = "all"
    """``all`` clips of the speaker; the ``first`` ones, the same for each test clip, in an order
    that is drawn once; the ``neutral`` ones, which must be known to be neutral; ``others``, drawn
    at random; a ``skewed`` draw of others, most of it of one emotion; or the rest of a ``call``
    that the test clip is part of, most of it of one emotion."""
    n_clips: int | None = Field(default=None, ge=2)
    """Number of first clips; else of clips that are drawn anew for each test clip, None for all
    others. Of a call, its clips with the test clip."""
    fraction_of_one_emotion: float | None = Field(default=None, gt=0, lt=1)
    """Of a skewed draw or a call; which emotion is drawn too."""
    n_prior_clips: int = Field(default=0, ge=0)
    """Number of clips for which the statistics of the training speakers count beside those drawn:
    they shrink the scale of few clips towards that of a training speaker."""

    @model_validator(mode="after")
    def _complete(self) -> Scale:
        if self.clips in ("all", "neutral") and self.n_clips is not None:
            raise ValueError(f'clips = "{self.clips}" takes no n_clips; remove it')
        if self.clips == "all" and self.n_prior_clips:
            raise ValueError('clips = "all" takes no n_prior_clips; remove it')
        if self.clips == "first" and self.n_clips is None:
            raise ValueError('clips = "first" needs n_clips')
        mixed = self.clips in ("skewed", "call")
        if mixed and None in (self.n_clips, self.fraction_of_one_emotion):
            raise ValueError(f'clips = "{self.clips}" needs n_clips and fraction_of_one_emotion')
        if not mixed and self.fraction_of_one_emotion is not None:
            raise ValueError('fraction_of_one_emotion needs clips = "skewed" or clips = "call"')
        return self

    @property
    def n_drawn(self) -> int | None:
        """Number of clips that are drawn for a test clip; None for all that there are."""
        return self.n_clips and self.n_clips - (self.clips == "call")

    @property
    def words(self) -> str:
        """The clips in words."""
        drawn = "all" if self.n_clips is None else f"{self.n_clips} random"
        mix = f"{100 * (self.fraction_of_one_emotion or 0):.0f} % of one emotion"
        prior = f" and training statistics as {self.n_prior_clips} more"
        words = {
            "all": "all clips",
            "first": f"first {self.n_clips} clips",
            "neutral": "other neutral clips",
            "others": f"{drawn} other clips",
            "skewed": f"{self.n_clips} other clips, {mix}",
            "call": f"rest of a call of {self.n_clips} clips, {mix}",
        }[self.clips]
        return words + prior * (self.n_prior_clips > 0)


class LearningCurves(Record):
    """Fractions of the training clips on which each winner is refitted."""

    fractions: tuple[float, ...] = Field(default=(0.1, 0.33, 0.66, 1.0), min_length=2)

    @field_validator("fractions")
    @classmethod
    def _rising(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < fraction <= 1 for fraction in fractions) or list(fractions) != sorted(
            set(fractions)
        ):
            raise ValueError("must be rising numbers above 0 and at most 1")
        return fractions


class Claims(BaseModel):
    """Figures that the source of a study reports, one per model, with its protocol and metric.

    Attributes
    ----------
    source : str
        Name of the source, and its repository or authors.
    address, read : str
        Where the source was read, and the date of reading: ``2026-11-28``, or ``2026-11``.
    protocol, metric : str
        Of the reported figures.
    test_clips : int or None
        Test clips of the source; None for as many as one test side of ours has.
    note : str
        What else a reader needs to know of the source.
    why : dict of str to str
        By model: a likely reason of a difference.
    not_comparable : dict of str to str
        By model: why its figure can't be compared with ours, for example unknown features.
    leaks : dict of str to tuple of str
        By model: the data leaks of the source, which only the command `leakage` reads. They are
        not part of results.
    values : dict of str to float
        By model: the reported figure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    address: str = ""
    read: str = ""
    protocol: str
    metric: str
    test_clips: int | None = Field(default=None, ge=1)
    note: str = ""
    why: dict[str, str] = {}
    not_comparable: dict[str, str] = {}
    leaks: dict[str, tuple[LeakName, ...]] = Field(default={}, exclude=True)
    values: dict[str, float] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _gather_values(cls, table: Any) -> Any:
        """Read every other key as a model with its figure."""
        if not isinstance(table, dict) or "values" in table:
            return table
        if "mistakes" in table:
            raise ValueError("the key 'mistakes' is now called 'leaks'")
        named = set(cls.model_fields) - {"values"}
        values = {key: value for key, value in table.items() if key not in named}
        return {k: v for k, v in table.items() if k in named} | {"values": values}

    @field_validator("address")
    @classmethod
    def _on_the_web(cls, address: str) -> str:
        if address and not re.fullmatch(r"https?://[^\s<>()|]+", address):
            raise ValueError("must be an address such as https://example.org/page")
        return address

    @field_validator("read")
    @classmethod
    def _a_date(cls, read: str) -> str:
        try:
            if read:
                date.fromisoformat(f"{read}-01" if re.fullmatch(r"\d{4}-\d\d", read) else read)
        except ValueError as error:
            raise ValueError("must be a date such as 2026-11-28 or 2026-11") from error
        return read

    @field_validator("not_comparable")
    @classmethod
    def _with_reasons(cls, reasons: dict[str, str]) -> dict[str, str]:
        for model, reason in reasons.items():
            if not reason.strip():
                raise ValueError(f"{model} needs a reason")
        return reasons


class Study(Record):
    """One question, and everything that decides its answer.

    Attributes
    ----------
    name : str
        The file's stem.
    question : str
        The research question, as a sentence.
    corpora, emotions : tuple of str
        The study uses the clips of these corpora with these emotions.
    auxiliary : tuple of str
        Further corpora for training only: their clips are in the training part of every split and
        inner fold, without augmented copies.
    features : str
        A feature set, or several joined by ``+``.
    sample_rate_hz : int or None
        Sample rate to which recordings are resampled first; None for that of the feature set.
    rename : dict of str to str
        Emotions that count as another one: ``anxious`` as ``fearful``.
    covariates : tuple of str
        Facts about a clip used as further features: ``gender``.
    augment : tuple of str
        Augmented copies of each training clip of `corpora`, each a chain such as ``stretch+pitch``.
    conditions : tuple of str
        Chains of augmentations under which the selected models are measured again on the test
        clips, such as ``telephone+snr=10``. They take no part in fits and selection.
    normalise : str
        Clips whose statistics standardise the features, without labels: ``speaker`` or ``corpus``
        (transductive: a test speaker's other clips are used), or ``none`` (inductive: one clip is
        enough).
    scale : Scale or None
        The clips that set the scale of a test speaker, or of a test corpus; None for all clips.
    seed : int
        All randomness derives from it.
    split : Split
        Protocols and outer folds: the table ``[split]``.
    search : Search
        The hyperparameter search: the table ``[search]``.
    models : dict of str to ModelSettings
        A table ``[models.NAME]`` for each model, in the order in which pages show them: ranges,
        lists of choices and fixed values.
    ensembles : dict of str to tuple of str, or to str
        By name: the models for soft voting; ``greedy`` for greedy ensemble selection from the
        trials of all models; or ``stacking``. Without any, soft voting of all models.
    compare : tuple of (str, str)
        Pairs of models to compare on the same clips and folds.
    learning_curves : LearningCurves or None
        Learning curves of each model; None for none.
    claims : Claims or None
        Figures that the source of the study reports.
    """

    name: str
    question: str
    corpora: tuple[str, ...] = Field(min_length=1)
    auxiliary: tuple[str, ...] = ()
    emotions: tuple[str, ...] = Field(min_length=2)
    features: str
    sample_rate_hz: int | None = Field(default=None, ge=4000, le=192_000)
    rename: dict[str, str] = {}
    covariates: tuple[Literal["gender"], ...] = ()
    augment: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    normalise: Literal["none", "speaker", "corpus"] = "none"
    scale: Scale | None = None
    seed: int = Field(default=0, ge=0, lt=2**32)
    split: Split = Split()
    search: Search
    models: dict[str, ModelSettings] = Field(min_length=1)
    ensembles: dict[str, tuple[str, ...] | str] = {}
    compare: tuple[tuple[str, str], ...] = ()
    learning_curves: LearningCurves | None = None
    claims: Claims | None = None

    _distinct = field_validator(
        "corpora", "auxiliary", "emotions", "covariates", "augment", "conditions"
    )(_distinct)

    @field_validator("ensembles")
    @classmethod
    def _several_voters(cls, ensembles: dict[str, Any]) -> dict[str, Any]:
        for name, members in ensembles.items():
            if isinstance(members, str):
                if members not in LEARNED_ENSEMBLES:
                    raise ValueError(
                        f"{name} must be a list of models, or one of {', '.join(LEARNED_ENSEMBLES)}"
                    )
            elif len(_distinct(members)) < 2:
                raise ValueError(f"{name} needs two members or more")
        return ensembles

    @field_validator("scale")
    @classmethod
    def _scale_of_groups(cls, scale: Scale | None, info: ValidationInfo) -> Scale | None:
        if scale is not None and info.data.get("normalise") == "none":
            raise ValueError(
                'needs normalise = "speaker" or normalise = "corpus"; set one, or remove [scale]'
            )
        return scale

    @property
    def all_ensembles(self) -> dict[str, tuple[str, ...] | str]:
        """The ensembles by name; by default soft voting of all models but the baseline.

        Each is the models that vote, or the name of a learned ensemble, ``greedy`` or ``stacking``.
        """
        everyone = tuple(name for name in self.models if name != BASELINE)
        if self.ensembles or len(everyone) < 2:
            return dict(self.ensembles)
        return {ENSEMBLE: everyone}

    def settings(self) -> dict[str, Any]:
        """The study as plain data, for results and digests.

        Without conditions, their key is left out: such a study is the same as before there were
        any.
        """
        return self.model_dump(mode="json", exclude=None if self.conditions else {"conditions"})


EXAMPLES: dict[str, Any] = {
    "question": "Which model has the highest UAR?",
    "corpora": ["ravdess"],
    "emotions": ["angry", "happy", "neutral", "sad"],
    "features": "functionals",
    "search": {"trials": 20, "folds": 3, "metric": "uar"},
    "models": {"logistic_regression": {}},
}
"""What a study cannot do without, with values that are allowed."""

DEPTHS = {"search": 2, "split": 2, "models": 3}
"""Number of keys that lead to a value of a table; without an entry, a table is one value."""


@dataclass(frozen=True)
class Draft:
    """A study file as far as it can be read, so that all its mistakes can be told at once.

    Attributes
    ----------
    study : Study
        With `EXAMPLES` or the default values in place of faulty parts.
    problems : tuple of str
        What is wrong, each in one line.
    faulty : frozenset of str
        Keys that were replaced: ``features``, ``search.metric``, ``models.mlp.alpha``.
    """

    study: Study
    problems: tuple[str, ...]
    faulty: frozenset[str]


def read_study(path: Path, overrides: tuple[str, ...] = ()) -> Study:
    """Return the study of a TOML file, changed by overrides of the form ``search.trials=10``.

    Raises
    ------
    BenchmarkError
        If the file can't be read, is not TOML, or has an unknown key or a wrong value.
    """
    draft = draft_study(path, overrides)
    if draft.problems:
        raise mistakes(source(path, overrides), draft.problems)
    return draft.study


def draft_study(path: Path, overrides: tuple[str, ...] = ()) -> Draft:
    """Return the study of a TOML file as far as it can be read, with all mistakes.

    Raises
    ------
    BenchmarkError
        If the file can't be read or is not TOML, or an override is wrong.
    """
    table = _read_toml(path)
    for override in overrides:
        _override(table, override)
    _flatten_weights(table)
    problems = []
    if "name" in table:
        problems.append("a study's name is its file's stem; remove the key 'name'.")
    faulty: set[str] = set()
    while True:
        table["name"] = path.stem
        try:
            study = Study.model_validate(table)
        except ValidationError as error:
            for problem in _problems(error):
                problems.append(problem.text)
                faulty |= _mend(table, problem)
        else:
            return Draft(study, tuple(problems), frozenset(faulty))


def source(path: Path, overrides: tuple[str, ...]) -> str:
    """Return what is to blame for a mistake: the file and its overrides."""
    return f"{path}{''.join(f' --set {shortened(override)}' for override in overrides)}"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        _check_values(table)
        return table
    except OSError as error:
        raise BenchmarkError(
            f"{path}: can't read the study file ({error.strerror}). "
            f"{command('list')} shows all studies."
        ) from error
    except (ValueError, RecursionError) as error:  # of TOML, its encoding, its numbers, its nesting
        raise BenchmarkError(f"{path}: not valid TOML: {_reason(error)}.") from error


DEEPEST = 20
"""Tables and lists in each other that a study file may have; ours have five."""


def _check_values(value: Any, key: str = "", depth: int = 0) -> None:
    """Refuse what TOML does not have: whole numbers beyond 64 bits; and endless nesting."""
    if depth > DEEPEST:
        raise ValueError(f"{shortened(key)} nests more than {DEEPEST} tables or lists")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{shortened(key)}: a whole number must fit into 64 bits")
    if isinstance(value, dict):
        for name, below in value.items():
            _check_values(below, f"{key}.{name}" if key else name, depth + 1)
    elif isinstance(value, list):
        for below in value:
            _check_values(below, key, depth + 1)


def _reason(error: Exception) -> str:
    """Return why text is not TOML."""
    if isinstance(error, RecursionError):
        return f"it nests more than {DEEPEST} tables or lists"
    return "a number has thousands of digits" if "digits" in str(error) else str(error)


def _flatten_weights(table: dict[str, Any]) -> None:
    """Make each weight a parameter: TOML reads ``weight.functionals`` as a table in a table."""
    models = table.get("models")
    tables = models.values() if isinstance(models, dict) else ()
    settings = [one for one in tables if isinstance(one, dict)]
    for one in (*settings, *(each.get("initial") for each in settings)):
        if isinstance(one, dict) and "weight" in one:
            one |= dict(_flattened("weight", one.pop("weight")))


def _flattened(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the values below a key, and their dotted keys: a name may have dots of its own."""
    if isinstance(value, dict) and value.keys().isdisjoint(Range.model_fields):
        for name, below in value.items():
            yield from _flattened(f"{key}.{name}", below)
    else:
        yield key, value


def _mend(table: dict[str, Any], problem: Problem) -> set[str]:
    """Correct a misspelt key, or replace or remove a faulty value; return the key of the latter."""
    depth = None if problem.meant else DEPTHS.get(problem.place[0], 1)
    *parents, key = problem.place[:depth]
    allowed = EXAMPLES
    for parent in parents:
        # A table with two mistakes may be gone by now.
        table, allowed = table.get(parent, {}), allowed.get(parent, {})
    if problem.meant:
        table.setdefault(problem.meant, table.pop(key, None))
        return set()
    if key in allowed or parents == ["models"]:  # the name of a model is right, its table is not
        table[key] = copy.deepcopy(allowed.get(key, {}))
    else:
        table.pop(key, None)
    return {".".join([*parents, key])}


def _override(table: dict[str, Any], text: str) -> None:
    """Set one value in a study's table; the value is TOML, and a bare word is a string."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise BenchmarkError(
            f"--set {text}: expected KEY=VALUE, for example --set search.trials=10."
        )
    try:
        parsed = _value(value)
        _check_values(parsed, key, len(parts))
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"--set {shortened(text)}: {_reason(error)}.") from error
    *parents, last = parts
    for part in parents:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise BenchmarkError(f"--set {text}: {part!r} is a value, not a table.")
    table[last] = parsed


def _value(text: str) -> Any:
    """Return a value of TOML; other text is a string."""
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    return table["value"] if len(table) == 1 else text.strip()


WORDS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "string_type": "must be text in quotes",
    "too_short": "needs {min_length} or more",
    "literal_error": "must be {expected}",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "dict_type": "must be a table",
}
"""Our words for what pydantic finds, by its name for it."""


class Problem(NamedTuple):
    """A mistake in a study file.

    Attributes
    ----------
    place : tuple of str
        The keys that lead to it.
    text : str
        A line about it.
    meant : str or None
        The key that a misspelt one stands for.
    """

    place: tuple[str, ...]
    text: str
    meant: str | None = None


def _problems(error: ValidationError) -> Iterator[Problem]:
    """Yield what pydantic found, in the words of the study file."""
    found: dict[tuple[str, ...], Any] = {}
    # A value that may be of two types fails as both, as one of them by its type alone.
    for one in sorted(error.errors(), key=lambda one: one["type"].endswith("_type")):
        place = _place(one["loc"])
        if not any(known[: len(place)] == place for known in found):
            found[place] = one
    meant = {
        place: _meant(place) for place, one in found.items() if one["type"] == "extra_forbidden"
    }
    corrected = {(*place[:-1], key) for place, key in meant.items()}
    for place, one in found.items():
        if one["type"] != "missing" or place not in corrected:
            where = f"[{'.'.join(place[:-1])}]: " if len(place) > 1 else ""
            yield Problem(place, where + _text(place, one), meant.get(place))


def _meant(place: tuple[str, ...]) -> str | None:
    """Return the key that a misspelt one stands for; None if no key of the table is like it."""
    keys = _keys_at(place[:-1])
    key = nearest(place[-1], keys, RENAMED_KEYS)
    return key if key in keys else None


def _place(loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """Return the keys of a study file that lead to what pydantic's location names."""
    return tuple(
        str(part)
        for part in loc
        if not str(part).startswith(("space", "Range", "func", "tuple["))
        and part not in ("int", "str")
    )


def _text(place: tuple[str, ...], found: Any) -> str:
    """Return what is wrong with a key, and what is allowed."""
    key = place[-1]
    if found["type"] == "extra_forbidden":
        return str(unknown("key", key, _keys_at(place[:-1]), "", RENAMED_KEYS))
    if found["type"] == "missing":
        return f"the key {key!r} is missing.{_example(place)}"
    message = WORDS.get(found["type"], found["msg"].removeprefix("Value error, "))
    message = message.format(**found.get("ctx", {}))
    if isinstance(found["input"], dict) or not message.startswith(("must", "needs")):
        return f"{key}: {message}."
    return f"{key}: {message}, not {shortened(json.dumps(found['input'], default=str))}."


def _example(place: tuple[str, ...]) -> str:
    """Return how a missing key may be written; empty if there is no example."""
    examples = EXAMPLES
    for parent in place[:-1]:
        examples = examples.get(parent, {})
    key, value = place[-1], examples.get(place[-1])
    if value is None:
        return ""
    if key == "models":
        return f" Add a table for each model, for example [models.{next(iter(value))}]."
    if isinstance(value, dict):
        lines = ", ".join(f"{name} = {json.dumps(one)}" for name, one in value.items())
        return f" Add the table [{key}], for example with {lines}."
    return f" Add it, for example {key} = {json.dumps(value)}."


def _keys_at(place: tuple[str, ...]) -> list[str]:
    """Return the keys that the table at `place` of a study file may have."""
    tables: dict[str, type[BaseModel]] = {
        "split": Split,
        "search": Search,
        "scale": Scale,
        "learning_curves": LearningCurves,
        "claims": Claims,
    }
    if not place:
        return [name for name in Study.model_fields if name != "name"]
    return list(tables.get(place[0], Range).model_fields)


def effective(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return overrides as they count: the last of each key, sorted."""
    last = {text.partition("=")[0].strip(): text.partition("=")[2].strip() for text in overrides}
    return tuple(f"{key}={value}" for key, value in sorted(last.items()))


def digest_of(content: Any) -> str:
    """Return a digest of plain data, 32 hexadecimal digits; the order of keys counts."""
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def derive_seed(seed: int, *purpose: object) -> int:
    """Return a seed for one purpose: a whole number below 2**32 that no other purpose has.

    Parameters
    ----------
    seed : int
        The study's.
    *purpose
        What it is for, for example protocol, model, trial number and fold.
    """
    text = json.dumps([seed, *purpose], default=str)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
