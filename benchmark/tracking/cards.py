"""Model cards: what a stored model is, what made it, and how far to trust it.

Each winner of a study lies in ``features_cache/<study>/<split>/models/``, a skops file with a card
beside it. A card is plain data, made of results alone; a model is loaded only by its card.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from benchmark.data.protocols import PROTOCOLS
from benchmark.engine.files import write_text
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.leaderboard import Leaderboard, leaderboard
from benchmark.evaluation.results import Result
from benchmark.features import FeatureSet, feature_set
from benchmark.models.stored import load
from benchmark.report.markdown import listed
from benchmark.report.wording import model_title, protocol_words
from benchmark.study import digest_of

FORMAT = 1

AGAIN = "If a study made it, run that again: it writes its cards anew."


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Figure(_Part):
    """A measured figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Measured(_Part):
    """What was measured of a model on the test clips of one protocol.

    Attributes
    ----------
    protocol, title : str
        Its name, and in words.
    unseen_speakers : bool
        Whether the model had never heard the test speakers.
    clips, speakers : int
        On the test side.
    over : str
        What the intervals are over: speakers or clips.
    figures : dict of str to Figure
        By metric: uar, accuracy, macro_f1.
    """

    protocol: str
    title: str
    unseen_speakers: bool
    clips: int
    speakers: int
    over: str
    figures: dict[str, Figure]


class Card(_Part):
    """What a stored model is, what made it, and how far to trust it.

    Attributes
    ----------
    format : int
    study, question : str
        The study that made it.
    changes : tuple of str
        In what its run was not the study's own.
    split, model, title : str
        The protocol on whose training side it learned, its name in the study, and in words.
    emotions : tuple of str
        In the order of its probabilities.
    features : dict or None
        The recipe of the rows that it takes, `FeatureSet.recipe` with a digest for the names of
        its columns; None where a user's own tables were learned from, which no recording can be
        turned into.
    covariates : tuple of str
        What it takes besides, and no recording tells.
    corpora : tuple of str
        Titles of the corpora that it learned from.
    generated : bool
        Whether any of their recordings was made by code.
    data : str
        Digest of the clips, their sides and inner folds: models with the same can be compared.
    metric : str
        By which it was chosen.
    inner_score, inner_std : float
        That metric's mean and standard deviation over the inner folds of the training side.
    measured : tuple of Measured
        One a protocol of the study. Under another protocol than `split` it is the same kind of
        model, tuned and fitted on that protocol's training side.
    versions : dict
        Of the libraries that made it.
    file, sha256 : str
        The model's file, which lies beside the card, and its digest.
    """

    format: int
    study: str
    question: str
    changes: tuple[str, ...]
    split: str
    model: str
    title: str
    emotions: Annotated[tuple[str, ...], Field(min_length=1)]
    features: dict[str, Any] | None
    covariates: tuple[str, ...]
    corpora: tuple[str, ...]
    generated: bool
    data: str
    metric: str
    inner_score: float
    inner_std: float
    measured: Annotated[tuple[Measured, ...], Field(min_length=1)]
    versions: dict[str, str]
    file: str
    sha256: str

    @field_validator("file")
    @classmethod
    def _beside(cls, file: str) -> str:
        if Path(file).name != file or file in {"", ".."} or "\0" in file:
            raise ValueError("must be a file's name, without a folder")
        return file

    @model_validator(mode="after")
    def _figures(self) -> Self:
        needed = {"uar", "accuracy", self.metric}
        lacking = [one.protocol for one in self.measured if not needed <= one.figures.keys()]
        if lacking:
            raise ValueError(f"{listed(sorted(needed))} must be measured under {listed(lacking)}")
        return self

    @property
    def reference(self) -> str:
        """The model in a word: study/split/model and the first letters of its digest."""
        return f"{self.study}/{self.split}/{self.model}@{self.sha256[:12]}"

    @property
    def trust(self) -> Measured:
        """What to expect of a voice that the model has never heard, or the nearest to it known."""
        return min(self.measured, key=lambda m: (not m.unseen_speakers, m.protocol != self.split))

    def text(self) -> str:
        """Return the card as it is stored."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def write_cards(
    result: Result,
    recipe: dict[str, Any] | None,
    data: Mapping[str, str],
    files: Mapping[tuple[str, str], Path],
) -> None:
    """Write the card of each of a study's fitted models, the floor too, beside its file.

    Parameters
    ----------
    result : Result
    recipe : dict or None
        Of the features (`FeatureSet.recipe`); None where they are a user's own.
    data : mapping of str to str
        By split, the digest of its clips, sides and folds.
    files : mapping of (str, str) to Path
        By split and model.
    """
    board = leaderboard(result)
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
            features=None if recipe is None else _told(recipe),
            covariates=tuple(result.study.covariates),
            corpora=tuple(c.title for c in result.data.corpora.values() if c.used),
            generated=result.generated,
            data=data[split],
            metric=result.study.search.metric,
            inner_score=winner.score,
            inner_std=winner.std,
            measured=_measured(board, model),
            versions=result.versions.libraries,
            file=stored.name,
            sha256=hashlib.sha256(stored.read_bytes()).hexdigest(),
        )
        write_text(stored.with_name(f"{model}.json"), card.text())


def _told(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe as a card tells it: of up to thousands of columns their digest."""
    return recipe | {"columns": len(recipe["columns"]), "digest": digest_of(recipe)}


def _measured(board: Leaderboard, model: str) -> tuple[Measured, ...]:
    found = [(protocol, board.evaluation(protocol, model)) for protocol in board.protocols]
    return tuple(
        Measured(
            protocol=protocol,
            title=protocol_words(protocol).column,
            unseen_speakers=protocol in PROTOCOLS and PROTOCOLS[protocol].speaker_independent,
            clips=evaluation.clips,
            speakers=evaluation.speakers,
            over=evaluation.over,
            figures={
                name: Figure(value=score.value, low=score.low, high=score.high)
                for name, score in evaluation.scores.items()
            },
        )
        for protocol, evaluation in found
        if evaluation is not None
    )


def read_card(path: Path) -> Card:
    """Return the card of a file.

    Raises
    ------
    BenchmarkError
        If it can't be read, is no card, or is one of another format.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("format") != FORMAT:
            raise BenchmarkError(
                f"{path}: a card of format {content.get('format')}; this version reads format "
                f"{FORMAT}. Run its study again and promote it with this version."
            )
        return Card.model_validate(content)
    except OSError as error:
        raise BenchmarkError(f"{path}: can't read the model's card ({error.strerror}).") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "all of it"
        reason = f"{place}: {first['msg']}"
        raise BenchmarkError(f"{path}: not a model's card: {reason}. {AGAIN}") from error
    except (ValueError, RecursionError) as error:
        raise BenchmarkError(f"{path}: not a model's card: {error}. {AGAIN}") from error


def recipe_of(card: Card, where: str) -> FeatureSet:
    """Return the feature set whose rows a model takes.

    Raises
    ------
    BenchmarkError
        If it was made by a recipe that this version does not make, or takes what no recording
        tells.
    """
    if card.features is None:
        raise BenchmarkError(
            f"{where}: {card.reference} learned from a user's own tables of features; no recording "
            "can be turned into a row of them."
        )
    if card.covariates:
        raise BenchmarkError(
            f"{where}: {card.reference} also takes {', '.join(card.covariates)}, which no "
            "recording tells. Promote a model of a study without covariates."
        )
    by = card.features.get("normalise")
    if by is not None:
        raise BenchmarkError(
            f"{where}: {card.reference} learned from features normalised by {by}, which one "
            "recording alone does not tell. Promote a model of a study without `normalise`."
        )
    name = str(card.features.get("name"))
    ours, why = _made_here(name, card.features.get("sample_rate_hz"))
    if ours is None or _told(ours.recipe()) != card.features:
        raise BenchmarkError(
            f"{where}: {card.reference} takes features {name} version "
            f"{card.features.get('version')}, which this version of the benchmark does not make"
            f"{why}. It was made by ser-benchmark {card.versions.get('ser-benchmark')}: install "
            "that, or run the study again and promote its winner."
        )
    return ours


def _made_here(name: str, rate_hz: object) -> tuple[FeatureSet | None, str]:
    """Return the feature set of a name at a rate, as this version makes it, or why it can't."""
    try:
        own = feature_set(name)
        if isinstance(rate_hz, int) and own.shape is None and not own.weights:
            return feature_set(name, rate_hz), ""
    except BenchmarkError as error:
        return None, f" ({error})"
    return own, ""


def load_model(path: Path) -> tuple[Card, Any]:
    """Return the card of a file, and the fitted model that lies beside it.

    Raises
    ------
    BenchmarkError
        If either can't be read, the model is not the one of the card, or its rows can't be made
        here; see `models.storage.load`.
    """
    card = read_card(path)
    recipe_of(card, str(path))
    model = load(path.with_name(card.file), card.sha256)
    if len(model.classes_) != len(card.emotions):
        raise BenchmarkError(
            f"{path}: the model tells apart {len(model.classes_)} emotions, and its card names "
            f"{len(card.emotions)}."
        )
    return card, model


def find_card(folder: Path, study: str, split: str | None, model: str | None) -> Path:
    """Return the card of a model of a study that has run: of its winner, or of the one named.

    The winner is the model with the best score on the inner folds, so that no test row chooses.

    Parameters
    ----------
    folder : Path
        features_cache/<study>.
    study : str
    split, model : str or None
        By default the split with unseen speakers where there is one, and its winner.

    Raises
    ------
    BenchmarkError
        If there is no such model here.
    """
    cards = {path: read_card(path) for path in sorted(folder.glob("*/models/*.json"))}
    if not cards:
        raise BenchmarkError(
            f"{folder}: no fitted models of study {study!r} are here. Run it first, "
            f"`python -m benchmark run-study {study}`; trials of an earlier run are taken up."
        )
    splits = sorted({card.split for card in cards.values()}, key=_shares_speakers)
    chosen = split or splits[0]
    if chosen not in splits:
        raise unknown("split", chosen, splits, f"promote {study}")
    there = {card.model: path for path, card in cards.items() if card.split == chosen}
    if model is None:
        return max(there.values(), key=lambda path: cards[path].inner_score)
    if model not in there:
        raise unknown("model", model, there, f"promote {study}, split {chosen}")
    return there[model]


def _shares_speakers(split: str) -> bool:
    return not PROTOCOLS[split].speaker_independent
