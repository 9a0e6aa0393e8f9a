"""Model cards: what a stored model is, how it was made, and its test scores.

The fitted models of a study are in ``features_cache/<study>/<split>/models/``: a skops file with a
card (JSON) beside it, a calibrator (skops) and the calibrated predictions of the test clips
(Parquet). A card is made from results and the calibrator alone; a model is loaded only through its
card.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import pandas as pd
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from benchmark.data.prepared import Prepared
from benchmark.data.protocols import PROTOCOLS, protocol_of
from benchmark.data.protocols.cross_corpus import CROSS_CORPUS
from benchmark.engine.digests import DIGEST, with_digest, without_digest
from benchmark.engine.environment import __version__
from benchmark.engine.files import write_bytes, write_text
from benchmark.engine.registry import check_installed
from benchmark.errors import BenchmarkError, shortened, unknown
from benchmark.evaluation import intervals
from benchmark.evaluation.calibration import calibration
from benchmark.evaluation.conditions import UnderCondition, under_conditions
from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.overlap import speaker_independent
from benchmark.evaluation.parquet import to_parquet
from benchmark.evaluation.results import CLIP, Result, Winner, of_split
from benchmark.features import FEATURE_SETS, FeatureSet, feature_set
from benchmark.hints import command
from benchmark.models import MODELS
from benchmark.models.calibrator import WITHIN, Calibrator, FittedCalibrator
from benchmark.models.stored import dump, load
from benchmark.project import Project, study_files
from benchmark.report.markdown import listed
from benchmark.report.wording import model_title, protocol_words
from benchmark.study import digest_of

FORMAT = 3


def plain_name(file: str) -> str:
    """Return a file name; ValueError if it has a folder."""
    if Path(file).name != file or file in {"", ".."} or "\0" in file:
        raise ValueError("must be a file name without a folder")
    return file


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Score(_Part):
    """A test score with its 95 % confidence interval, None where speakers are too few for one."""

    value: float
    low: float | None
    high: float | None


class ProtocolScores(_Part):
    """Test scores of a model under one protocol, by metric; sizes are those of the test side.

    Scores are means over corpora. The confidence intervals resample speakers within corpora, except
    those of the corpora in `fixed`, which have too few. Under `conditions` is the UAR on the same
    clips, changed by a simulation: of the selected model, or of those selected on the outer folds,
    where this model is the selected one of its fold.
    """

    protocol: str
    title: str
    speaker_independent: bool
    clips: int
    speakers: int
    fixed: tuple[str, ...] = ()
    scores: dict[str, Score]
    conditions: dict[str, Score] = {}


class Features(_Part):
    """The features that a model takes.

    Attributes
    ----------
    columns : int
        Number of columns.
    normalise : str or None
        Group whose statistics normalise the features.
    versions : dict of str to str
        Of the packages of an extra that compute the features.
    weights : dict of str to str
        Digests of the files of pretrained networks, by feature set; empty in cards of early
        versions.
    digest : str
        Of the whole recipe, the names of the columns included.
    """

    name: str
    version: int
    sample_rate_hz: int
    columns: int
    normalise: str | None = None
    versions: dict[str, str] = {}
    weights: dict[str, str] = {}
    digest: str


class Calibration(_Part):
    """How the probabilities of a model are calibrated, and when a recording is unlike its training.

    Attributes
    ----------
    held_out_clips : int
        Training clips whose out-of-fold predictions the calibrator was fitted on.
    speaker_independent : bool
        Whether these are predictions of unseen speakers.
    left_out : tuple of str
        Titles of the corpora whose clips were also predicted after training without them.
    temperature, growth : float
        The temperature of a recording is temperature * distance ** growth.
    within : float
        Fraction of the held-out clips, each corpus of equal weight, whose distance is at most 1.
    test_clips : int
    test_unlike : float
        Fraction of the test clips beyond the limit.
    test_error_raw, test_error : float
        Expected calibration error on the test clips, without the calibrator and with it.
    file, sha256 : str
        Name of the calibrator's file, which is beside the card, and its digest.
    """

    held_out_clips: int
    speaker_independent: bool
    left_out: tuple[str, ...]
    temperature: float
    growth: float
    within: float
    test_clips: int
    test_unlike: float
    test_error_raw: float
    test_error: float
    file: str
    sha256: str

    @field_validator("file")
    @classmethod
    def _has_no_folder(cls, file: str) -> str:
        return plain_name(file)

    @property
    def words(self) -> str:
        """How the probabilities were calibrated, in sentences."""
        speakers = "unseen speakers" if self.speaker_independent else "speakers also in training"
        corpora = f", and on {listed(self.left_out)}, each left out of training" * bool(
            self.left_out
        )
        return (
            f"Probabilities are calibrated on {self.held_out_clips:,} held-out clips of "
            f"{speakers}{corpora}. The temperature is {self.temperature:.2f} at distance 1 and "
            f"grows with the distance to the power of {self.growth:.2f}. {self.within:.0%} of the "
            "held-out clips, each corpus with the same weight, have a distance of at most 1; a "
            "recording beyond is called "
            f"unlike the training recordings ({self.test_unlike:.0%} of {self.test_clips:,} test "
            "clips). Expected calibration error on these test clips: "
            f"{self.test_error:.3f}, without calibration {self.test_error_raw:.3f}."
        )


class Cost(_Part):
    """What a prediction costs: CPU time of one core, once model and libraries are loaded.

    Decoding and resampling are included. The time depends on the machine; on another one, the
    parts keep roughly their proportions.

    Attributes
    ----------
    clip_s : float
        Length of the measured clip, generated speech without pauses.
    seconds : float
        CPU time for this clip.
    features_seconds : float
        The part of `seconds` that decoding and features take.
    per_second : float
        CPU time for each second of audio of a longer clip.
    processor : str
        Name of the processor that it was measured on.
    """

    clip_s: float
    seconds: float
    features_seconds: float
    per_second: float
    processor: str

    @property
    def words(self) -> str:
        """What a prediction costs, in a sentence."""
        return (
            f"A prediction for a clip of {self.clip_s:g} s takes {self.seconds:.2g} s of one core, "
            f"of which features {self.features_seconds:.2g} s; a longer clip takes "
            f"{self.per_second:.2g} s for each second of audio (CPU time, measured when the model "
            f"was promoted, on {self.processor})."
        )


class Card(_Part):
    """What a stored model is, how it was made, and its test scores.

    Attributes
    ----------
    changes : tuple of str
        How the run differed from the study file.
    split, model, title : str
        The split whose training side the model was fitted on, its name in the study, its title.
    emotions : tuple of str
        In the order of the probabilities.
    features : Features or None
        None if the model was fitted on a user's own tables.
    covariates : tuple of str
        Further inputs, which a recording does not contain.
    longest_clip_s : float or None
        Duration of the longest recording of the study; None in cards of early versions.
    generated : bool
        Whether any training recording is generated speech.
    data : str
        Digest of the clips, splits and inner folds. Models with equal digests are comparable.
    cv_score, cv_std : float
        Mean and standard deviation over the inner folds, of the metric of the model selection.
    measured : tuple of ProtocolScores
        One per protocol of the study. For another protocol than `split`'s, they are of the same
        model tuned and fitted on that protocol's training side.
    plugins : dict of str to str
        Versions of the packages of other authors whose models and features it takes.
    calibration : Calibration or None
        None in cards of early versions: the probabilities are those of the model.
    cost : Cost or None
        None until the model is promoted: a study's cards hold nothing that depends on the machine.
    file, sha256 : str
        Name of the model's file, which is beside the card, and its digest.
    """

    format: int
    study: str
    question: str
    changes: tuple[str, ...]
    split: str
    model: str
    title: str
    emotions: Annotated[tuple[str, ...], Field(min_length=1)]
    features: Features | None
    covariates: tuple[str, ...]
    corpora: tuple[str, ...]
    longest_clip_s: float | None = None
    generated: bool
    data: str
    metric: str
    cv_score: float
    cv_std: float
    measured: Annotated[tuple[ProtocolScores, ...], Field(min_length=1)]
    versions: dict[str, str]
    plugins: dict[str, str] = {}
    calibration: Calibration | None = None
    cost: Cost | None = None
    file: str
    sha256: str

    @field_validator("format")
    @classmethod
    def _is_current(cls, version: int) -> int:
        if version != FORMAT:
            raise ValueError(f"a card of format {version}; this version reads format {FORMAT}")
        return version

    @field_validator("file")
    @classmethod
    def _has_no_folder(cls, file: str) -> str:
        return plain_name(file)

    @model_validator(mode="after")
    def _has_scores(self) -> Self:
        needed = {"uar", "accuracy", self.metric}
        incomplete = [one.protocol for one in self.measured if not needed <= one.scores.keys()]
        if incomplete:
            raise ValueError(
                f"{listed(sorted(needed))} must be measured under {listed(incomplete)}"
            )
        return self

    @property
    def protocol(self) -> str:
        """The protocol of `split`."""
        return self.split.partition("/")[0]

    @property
    def speaker_independent(self) -> bool:
        """Whether the protocol of `split` keeps speakers apart."""
        return any(m.speaker_independent for m in self.measured if m.protocol == self.protocol)

    @property
    def reference(self) -> str:
        """Short identifier: study/split/model@digest."""
        return f"{self.study}/{self.split}/{self.model}@{self.sha256[:12]}"

    @property
    def trust(self) -> ProtocolScores:
        """The scores to expect for a new speaker: speaker-independent ones if measured."""
        return min(
            self.measured,
            key=lambda one: (not one.speaker_independent, one.protocol != self.protocol),
        )

    @property
    def cross_corpus(self) -> ProtocolScores | None:
        """The scores on corpora that are not in training; None if the study did not measure them.

        The model is the same one, tuned and fitted on the other corpora.
        """
        return next((one for one in self.measured if one.protocol == CROSS_CORPUS.name), None)

    @property
    def performance(self) -> str:
        """The UAR in a sentence, speaker-independent if that was measured, and cross-corpus."""
        protocol = (
            self.trust.title
            if self.trust.speaker_independent
            else "speaker-dependent; speaker-independent performance was not measured"
        )
        cross = self.cross_corpus
        further = f"; UAR {_uar(cross)}, {cross.title}" if cross and cross != self.trust else ""
        folds = " (models of all outer folds)" if "/" in self.split else ""
        synthetic = " It was trained on synthetic speech, not on people." if self.generated else ""
        return (
            f"UAR {_uar(self.trust)}, {protocol}{folds}{further}; chance level "
            f"{1 / len(self.emotions):.3f}. {self._under_conditions}{synthetic}"
        )

    @property
    def _under_conditions(self) -> str:
        """The UAR under the worst condition, in a sentence."""
        conditions = self.trust.conditions
        if not conditions:
            return "On telephone lines, codecs and noise, it was not measured."
        worst = min(conditions, key=lambda name: conditions[name].value)
        of = f", the worst of {len(conditions)} conditions" if len(conditions) > 1 else ""
        return f"Under simulated {worst}{of}: UAR {conditions[worst].value:.3f}."

    @property
    def calibrated(self) -> str:
        """How its probabilities were calibrated, in sentences."""
        if self.calibration is None:
            return "Its probabilities are not calibrated: they may be far too high."
        return self.calibration.words

    @property
    def costs(self) -> str:
        """What a prediction costs, in a sentence."""
        if self.cost is None:
            return "What a prediction costs was not measured: `promote` measures it."
        return self.cost.words

    def text(self) -> str:
        """Return the card as it is stored."""
        content = with_digest(self.model_dump(mode="json"))
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _uar(measured: ProtocolScores) -> str:
    """Return the UAR, with its confidence interval if there is one."""
    uar = measured.scores["uar"]
    if uar.low is None or uar.high is None:
        return f"{uar.value:.3f}"
    return f"{uar.value:.3f} {intervals.Interval(uar.low, uar.high)}"


def write_cards(
    result: Result,
    board: Leaderboard,
    prepared: Prepared,
    files: Mapping[tuple[str, str], Path],
    calibrators: Mapping[tuple[str, str], FittedCalibrator],
) -> None:
    """Write the card of each fitted model of a study, the baseline included, beside its file.

    Parameters
    ----------
    board : Leaderboard
        Of the result.
    prepared : Prepared
        What its models were fitted on.
    files, calibrators : mapping of (str, str)
        By split and model.
    """
    study, recipe, data = result.study, prepared.recipe, prepared.clips_digests
    plugins = MODELS.versions(study.models) | FEATURE_SETS.versions(study.features.split("+"))
    for winner in result.winners:
        split, model = winner.split, winner.model
        stored = files[split, model]
        card = Card(
            format=FORMAT,
            study=result.name,
            question=result.study.question,
            changes=tuple(change.text for change in result.changes),
            split=split,
            model=model,
            title=model_title(result, model),
            emotions=tuple(result.emotions),
            features=None if recipe is None else _features_of(recipe),
            covariates=tuple(result.study.covariates),
            corpora=tuple(c.title for c in result.data.corpora.values() if c.used),
            longest_clip_s=prepared.longest_clip_s,
            generated=result.generated,
            data=data[split],
            metric=result.study.search.metric,
            cv_score=winner.score,
            cv_std=winner.std,
            measured=_measured(board, winner),
            versions=result.versions.libraries,
            plugins=plugins,
            calibration=_write_calibrator(result, winner, calibrators[split, model], stored),
            file=stored.name,
            sha256=hashlib.sha256(stored.read_bytes()).hexdigest(),
        )
        write_text(stored.with_name(f"{model}.json"), card.text())


def _write_calibrator(
    result: Result, winner: Winner, fitted: FittedCalibrator, stored: Path
) -> Calibration:
    """Write a calibrator and the calibrated test predictions; return what the card says of it.

    Both are beside the model. The stored results hold the probabilities of the model itself.
    """
    calibrator = fitted.calibrator
    target = stored.with_name(f"{winner.model}.calibrator.skops")
    rows = of_split(result.predictions, winner.split)
    rows = rows[rows["model"] == winner.model]
    raw = rows[[f"p_{name}" for name in fitted.emotions]].to_numpy(dtype=np.float32)
    truth = np.searchsorted(fitted.emotions, rows["emotion"].to_numpy(dtype=np.str_))
    served = calibrator.calibrated(raw, fitted.test_distances)
    columns = pd.DataFrame(served, columns=[f"p_{name}" for name in fitted.emotions])
    table = rows[list(CLIP)].reset_index(drop=True).join(columns)
    table["distance"] = fitted.test_distances
    write_bytes(stored.with_name(f"{winner.model}.predictions.parquet"), to_parquet(table))
    protocol = winner.protocol
    return Calibration(
        held_out_clips=fitted.n_clips,
        speaker_independent=protocol in PROTOCOLS and PROTOCOLS[protocol].speaker_independent,
        left_out=tuple(result.data.corpora[name].title for name in fitted.left_out),
        temperature=calibrator.temperature,
        growth=calibrator.growth,
        within=WITHIN,
        test_clips=len(rows),
        test_unlike=float((fitted.test_distances > 1).mean()),
        test_error_raw=calibration(raw.astype(np.float64), truth).error,
        test_error=calibration(served.astype(np.float64), truth).error,
        file=target.name,
        sha256=dump(calibrator, target),
    )


def _features_of(recipe: dict[str, Any]) -> Features:
    """Return the card's short form of a recipe, whose columns may be thousands."""
    return Features(
        name=recipe["name"],
        version=recipe["version"],
        sample_rate_hz=recipe["sample_rate_hz"],
        columns=len(recipe["columns"]),
        normalise=recipe.get("normalise"),
        versions=recipe.get("versions", {}),
        weights={
            part["name"]: part["weights"]
            for part in recipe.get("parts", [recipe])
            if "weights" in part
        },
        digest=digest_of(recipe),
    )


def _measured(board: Leaderboard, winner: Winner) -> tuple[ProtocolScores, ...]:
    model = winner.model
    evaluations = {protocol: board.evaluation(protocol, model) for protocol in board.protocols}
    return tuple(
        ProtocolScores(
            protocol=protocol,
            title=_title(protocol, independent),
            speaker_independent=independent,
            clips=evaluation.clips,
            speakers=evaluation.speakers,
            fixed=evaluation.small,
            scores={name: _score(score) for name, score in evaluation.scores.items()},
            conditions={
                one.condition: _score(one.score) for one in _conditions(board, protocol, winner)
            },
        )
        for protocol, evaluation in evaluations.items()
        for independent in [speaker_independent(board.result, protocol)]
        if evaluation is not None
    )


def _conditions(board: Leaderboard, protocol: str, winner: Winner) -> list[UnderCondition]:
    """Return what is selected under a protocol under each condition; nothing for other models."""
    selection = board.selected[protocol]
    of_fold = selection.by_part.get(winner.part) if protocol == winner.protocol else None
    selected = selection.model if of_fold is None else of_fold.model
    return under_conditions(board, protocol) if selected == winner.model else []


def _score(score: intervals.Score) -> Score:
    low, high = score.interval or (None, None)
    return Score(value=score.value, low=low, high=high)


def _title(protocol: str, independent: bool) -> str:
    """Return a protocol's title, which says what only the given sides tell of the speakers."""
    title, stated = protocol_words(protocol).title, protocol_of(protocol).speaker_independent
    return f"{title}, speaker-independent" if independent and not stated else title


def read_card(path: Path) -> Card:
    """Return the card in a file.

    Raises
    ------
    BenchmarkError
        If the file can't be read, is not a card, or has another format.
    """
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it is not a table of names and values")
        # A wrong entry is named before the digest of all.
        card = Card.model_validate({key: content[key] for key in content if key != DIGEST})
        without_digest(content)
        return card
    except OSError as error:
        raise BenchmarkError(f"{path}: can't read the model card ({error.strerror}).") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole card"
        raise BenchmarkError(
            f"{path}: not a model card: {place}: {first['msg']}. If a study made it, run the study "
            "again: it writes its cards anew."
        ) from error
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(
            f"{path}: not a model card: {error}. If a study made it, run the study again: it "
            "writes its cards anew."
        ) from error


def feature_set_of(card: Card, where: str) -> FeatureSet:
    """Return the feature set that a model takes.

    Raises
    ------
    BenchmarkError
        If this version can't compute it, or the model needs more than one recording contains.
    """
    features, model = card.features, f"{where}: {card.reference}"
    check_installed(card.plugins, model)
    if features is None:
        raise BenchmarkError(
            f"{model} was fitted on a user's own tables of features, which can't be computed from "
            "a recording."
        )
    if card.covariates:
        raise BenchmarkError(
            f"{model} also takes {', '.join(card.covariates)}, which a recording does not contain. "
            "Promote a model of a study without covariates."
        )
    if features.normalise is not None:
        raise BenchmarkError(
            f"{model} takes features normalised by {features.normalise}, which needs more than one "
            "recording. Promote a model of a study without `normalise`."
        )
    try:
        own = feature_set(features.name)
        if own.shape is None and not own.weights:
            own = feature_set(features.name, features.sample_rate_hz)
        reason = _difference(_features_of(own.recipe()), features)
    except BenchmarkError as error:
        reason = str(error)
    if reason:
        by = card.versions.get("ser-benchmark")
        other = "" if by == __version__ else f" It was made by ser-benchmark {by}."
        raise BenchmarkError(
            f"{model} takes features {features.name} version {features.version}, which can't be "
            f"computed here: {reason}{other}"
        )
    return own


def _difference(here: Features, stored: Features) -> str:
    """Return how features computed here differ from those of a model; empty if they are equal."""
    if here == stored.model_copy(update={"weights": here.weights}):  # the digest includes them
        return ""
    for name, digest in here.weights.items():
        if stored.weights.get(name, digest) != digest:
            return (
                f"the weights of {name} on this machine have the digest {digest}, those of the "
                f"model {stored.weights[name]}. Put the weights there that the model was fitted "
                f"with ({command('fetch')} has those of named encoders), or run the study "
                "again and promote its selected model."
            )
    for name, version in stored.versions.items():
        if here.versions.get(name) != version:
            return (
                f"{name} {here.versions.get(name)} is installed, the model was fitted with "
                f"{version}. Install it (pip install {name}=={version})."
            )
    return "their recipe has changed. Run the study again and promote its selected model."


def load_model(path: Path) -> tuple[Card, Any]:
    """Return the card in a file, and the fitted model beside it.

    Raises
    ------
    BenchmarkError
        If either can't be read, the model is not the card's, or its features can't be computed
        here; see `models.stored.load`.
    """
    card = read_card(path)
    feature_set_of(card, str(path))
    model = load(path.with_name(card.file), card.sha256)
    if not hasattr(model, "predict_proba") or not hasattr(model, "classes_"):
        raise BenchmarkError(
            f"{path}: {card.file} holds a {type(model).__name__}, which predicts no emotions. Run "
            "the study again: it fits a damaged model again."
        )
    if len(model.classes_) != len(card.emotions):
        raise BenchmarkError(
            f"{path}: the model has {len(model.classes_)} emotions, the card {len(card.emotions)}."
        )
    return card, model


def load_calibrator(path: Path, card: Card) -> Calibrator | None:
    """Return the calibrator beside the card in a file; None for a card of an early version.

    Raises
    ------
    BenchmarkError
        If it can't be read, or is not the card's.
    """
    if card.calibration is None:
        return None
    found = load(path.with_name(card.calibration.file), card.calibration.sha256)
    if not isinstance(found, Calibrator) or len(found.frequencies) != len(card.emotions):
        raise BenchmarkError(f"{path}: {card.calibration.file} is not a calibrator of this model.")
    return found


def find_card(folder: Path, study: str, split: str | None, model: str | None) -> Path:
    """Return the card of a study's selected model, or of a named one.

    The selected model has the best CV score, so test scores do not decide.

    The default is a speaker-independent split if there is one, and its selected model. `folder` is
    features_cache/<study>, and `study` what the user wrote: its name, or its file.

    Raises
    ------
    BenchmarkError
        If there is no such model.
    """
    cards = {path: read_card(path) for path in sorted(folder.glob("**/models/*.json"))}
    if not cards:
        project = Project(folder.parent.parent)
        stored = {path.parent.name for path in project.results.glob("*/study.json")}
        known = {*study_files(project.folder), *_fitted_studies(folder.parent), *stored}
        if folder.name not in known and not Path(study).is_file():
            raise unknown("study", study, sorted(known), "promote")
        changed = sorted(name for name in known if name.startswith(f"{folder.name}@"))
        raise BenchmarkError(
            f"{folder}: no fitted models of study {study!r}. "
            + (
                f"Its changed runs have some: {shortened(', '.join(changed))}."
                if changed
                else f"Run it first: {command(f'run-study {study}')}, which resumes an earlier run."
            )
        )
    # Speaker-independent splits first, those that are one part of a protocol last.
    by_split = {card.split: card for card in cards.values()}
    splits = sorted(
        by_split,
        key=lambda name: (not by_split[name].speaker_independent, name != by_split[name].protocol),
    )
    split = split or splits[0]
    if split not in splits:
        raise unknown("split", split, splits, f"promote {study}")
    paths = {card.model: path for path, card in cards.items() if card.split == split}
    if model is None:
        return max(paths.values(), key=lambda path: cards[path].cv_score)
    if model not in paths:
        raise unknown("model", model, paths, f"promote {study}, split {split}")
    return paths[model]


def _fitted_studies(cache: Path) -> set[str]:
    """Return the names of the studies that have fitted models, changed studies included."""
    return {card.relative_to(cache).parts[0] for card in cache.glob("*/**/models/*.json")}
