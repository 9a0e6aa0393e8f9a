"""The figures of anybody's predictions: those that a study's page has after the fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.data.guards import alike
from benchmark.data.protocols import stream
from benchmark.engine.table_file import read_table
from benchmark.errors import BenchmarkError, unknown
from benchmark.evaluation.calibration import Calibration, calibration
from benchmark.evaluation.conditions import UnderCondition, under_condition
from benchmark.evaluation.intervals import Evaluation, bootstrap_seed, evaluate
from benchmark.evaluation.leaderboard import METRIC, SPEAKER_INDEPENDENT, Summary, leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.predictions import (
    NO_ANSWER,
    PREFIX,
    Predictions,
    check_predictions,
    in_common,
)
from benchmark.evaluation.results import Result, of_split, read_result
from benchmark.evaluation.significance import ClipTest, compare_on_clips
from benchmark.evaluation.subgroups import Division, divisions
from benchmark.evaluation.text import TextAssociation, association
from benchmark.evaluation.votes import SoftScores, soft_scores
from benchmark.hints import command
from benchmark.study import derive_seed


@dataclass(frozen=True)
class Extra:
    """Emotions that one of two compared systems has alone, so that no common clip is of them.

    Attributes
    ----------
    emotions : tuple of str
        True of its other clips, or predicted by it.
    predicted : int
        Predictions of these emotions for common clips; each is wrong.
    """

    emotions: tuple[str, ...]
    predicted: int


@dataclass(frozen=True)
class Comparison:
    """The scored predictions against others on the same clips.

    Attributes
    ----------
    name : str
        Of the others.
    evaluation : Evaluation
        Of the others, on the common clips.
    own : Evaluation
        Of the scored predictions, on the common clips.
    test : ClipTest
        Scored less others, by UAR.
    only_here, only_there : int
        Clips that one of the two lacks; the comparison leaves them out.
    extra_here, extra_there : Extra
        What only the scored predictions have, and only the others.
    """

    name: str
    evaluation: Evaluation
    own: Evaluation
    test: ClipTest
    only_here: int
    only_there: int
    extra_here: Extra
    extra_there: Extra


@dataclass(frozen=True, repr=False)
class Scored:
    """All figures of predictions.

    Attributes
    ----------
    predictions : Predictions
    evaluation : Evaluation
        Scores by metric (means over corpora), within each corpus, and of each speaker.
    divisions : tuple of Division
        Subgroups by speaker, gender and every further column of the table.
    calibration : Calibration or None
        Of the answered clips; None without probabilities.
    texts : tuple of TextAssociation
        Of sentence and emotion in each corpus whose sentences are known.
    alike : tuple of tuple of str
        Speakers whose names differ only in case, blanks, punctuation or leading zeros.
    soft : SoftScores or None
        Against the votes of raters; None without votes or probabilities.
    conditions : tuple of UnderCondition
        The same clips under conditions; all else is of the clips as recorded.
    comparison : Comparison or None
    protocol : str
        As the user states it, or that of a scored study; empty if unknown.
    """

    predictions: Predictions
    evaluation: Evaluation
    divisions: tuple[Division, ...]
    calibration: Calibration | None
    texts: tuple[TextAssociation, ...]
    alike: tuple[tuple[str, ...], ...]
    soft: SoftScores | None = None
    conditions: tuple[UnderCondition, ...] = ()
    comparison: Comparison | None = None
    protocol: str = ""

    def __repr__(self) -> str:
        """Return the scores in one line; all that is here fills pages."""
        scores = [f"{METRICS[name].title} {one}" for name, one in self.evaluation.scores.items()]
        return (
            f"<Scored: {self.evaluation.clips:,} clips, {self.evaluation.speakers:,} speakers: "
            f"{', '.join(scores)}>"
        )


@dataclass(frozen=True)
class Inputs:
    """What is scored, as the command line names it.

    Attributes
    ----------
    predictions : str
        A table, see `check_predictions`, or a study that was run.
    columns : mapping of str to str
        The tables' own names of columns, by ours.
    clips, against : str
        A table, or a study that was run: what is known of the clips, and what is compared. Empty
        for none.
    protocol : str
        As its user states it; empty if unknown.
    """

    predictions: str
    columns: Mapping[str, str] = field(default_factory=dict)
    clips: str = ""
    against: str = ""
    protocol: str = ""


def score_inputs(inputs: Inputs, results: Path) -> Scored:
    """Return all figures of a table of predictions.

    Parameters
    ----------
    inputs : Inputs
    results : Path
        Folder of the stored results of studies.

    Raises
    ------
    BenchmarkError
        If a table or a study is missing or wrong.
    """
    study, other = (_study(name, results) for name in (inputs.predictions, inputs.against))
    protocol = inputs.protocol or ("" if study is None else _leading(study))
    drawn_by = stream(protocol or SPEAKER_INDEPENDENT)
    base = next((one.study.seed for one in (other, study) if one), 0)  # as on the study's page
    seed = bootstrap_seed(base, drawn_by)
    clips = _clips(inputs.clips, other or study, results)

    def predictions_of(name: str, of: Result | None) -> Predictions:
        if of is not None:
            return selected_predictions(of, protocol)
        table, columns = read_table(Path(name)), inputs.columns
        if name == inputs.against:
            columns = {ours: theirs for ours, theirs in columns.items() if theirs in table}
        listed = bool(inputs.clips)
        return check_predictions(table, name, columns=columns, clips=clips, all_known=listed)

    predictions = predictions_of(inputs.predictions, study)
    scored = replace(score_predictions(predictions, seed), protocol=protocol)
    if not inputs.against:
        return scored
    others = predictions_of(inputs.against, other)
    seeds = (seed, derive_seed(base, "swaps", drawn_by))
    return replace(scored, comparison=compare_with(predictions, others, inputs.against, seeds))


def _clips(name: str, compared: Result | None, results: Path) -> pd.DataFrame | None:
    """Return what a named study or table tells of clips; without a name, what a compared one does.

    None if there is neither.
    """
    known = _study(name, results) if name else compared
    if known is not None:
        return known_clips(known)
    return read_table(Path(name)) if name else None


def _study(name: str, results: Path) -> Result | None:
    """Return the stored result of a study; None without a name, or if it is that of a table."""
    return None if not name or Path(name).is_file() else finished_study(name, results)


def finished_study(name: str, results: Path) -> Result:
    """Return the stored result of a study.

    Raises
    ------
    BenchmarkError
        If it was not run.
    """
    if not (results / name / "study.json").is_file():
        stored = sorted(path.parent.name for path in results.glob("*/study.json"))
        changed = [one for one in stored if one.startswith(f"{name}@")]
        near = changed or get_close_matches(name, stored)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise BenchmarkError(
            f"{name}: neither a table nor a study that was run; a study's result lies in "
            f"{results}.{hint}"
        )
    return read_result(results / name)


def _leading(result: Result) -> str:
    """Return the protocol whose figures come first: speaker-independent where it is one."""
    return leaderboard(result, summary=Summary()).leading


def score_predictions(predictions: Predictions, seed: int = 0) -> Scored:
    """Return all figures of predictions.

    Parameters
    ----------
    predictions : Predictions
    seed : int
        Of the resamples; see `bootstrap_seed`.
    """
    rows, emotions = predictions.rows, predictions.emotions
    facts = predictions.facts
    divided = divisions(rows, facts, emotions, METRIC, bootstrap_seed(seed, "groups"))
    texts: list[TextAssociation] = []
    if "statement" in facts:
        spoken = rows.assign(statement=facts["statement"].to_numpy())
        spoken = spoken[spoken["statement"] != ""]
        texts = [
            association(str(corpus), part["statement"], part["emotion"])
            for corpus, part in spoken.groupby("corpus")
        ]
    return Scored(
        predictions,
        evaluate(rows, emotions, seed),
        tuple(divided),
        _calibration(predictions) if predictions.probabilities else None,
        tuple(texts),
        tuple(alike(list(rows["speaker"].unique()))),
        soft_scores(rows, predictions.rated.votes, emotions, seed)
        if predictions.rated is not None and predictions.probabilities
        else None,
        tuple(_under_conditions(predictions, seed)),
    )


def _under_conditions(predictions: Predictions, seed: int) -> Iterator[UnderCondition]:
    for condition, heard in predictions.conditions.items():
        there, recorded, emotions = in_common(heard, predictions)
        yield under_condition(condition, there, recorded, emotions, seed)


def compare_with(
    predictions: Predictions, others: Predictions, name: str, seeds: tuple[int, int] = (0, 1)
) -> Comparison:
    """Return the difference of two systems on their common clips, with a permutation test.

    Parameters
    ----------
    predictions, others : Predictions
    name : str
        Of the others.
    seeds : (int, int)
        For the resamples and for the permutations.

    Raises
    ------
    BenchmarkError
        If no clip is common, or a common clip has another emotion or speaker there.
    """
    here, there, emotions = in_common(predictions, others)
    common = set(here["clip"]) & set(there["clip"])
    if not common:
        raise BenchmarkError(
            f"{name}: no clip is in both sets of predictions. Here {here['clip'].iloc[0]!r}, "
            f"there {there['clip'].iloc[0]!r}: write the clips' names alike."
        )
    first, second = (side[side["clip"].isin(common)].sort_values("clip") for side in (here, there))
    for column in ("emotion", "speaker", "corpus"):
        ours, theirs = first[column].to_numpy(), second[column].to_numpy()
        if (differs := ours != theirs).any():
            at = int(differs.argmax())
            raise BenchmarkError(
                f"{name}: clip {first['clip'].iloc[at]}: the {column} is {ours[at]!r} here and "
                f"{theirs[at]!r} there; {int(differs.sum()):,} such clips in all. Both need the "
                "same truth; --clips STUDY takes what a study knows of its clips."
            )
    theirs, own = (evaluate(side, emotions, seeds[0]) for side in (second, first))
    return Comparison(
        name,
        theirs,
        own,
        compare_on_clips(first, second, emotions, METRIC, seeds),
        len(here) - len(common),
        len(there) - len(common),
        _extra(predictions, others, own),
        _extra(others, predictions, theirs),
    )


def _extra(system: Predictions, other: Predictions, evaluation: Evaluation) -> Extra:
    alone = [one for one in system.emotions if one not in (*other.emotions, NO_ANSWER)]
    columns = [evaluation.emotions.index(emotion) for emotion in alone]
    return Extra(tuple(alone), int(evaluation.confusion[:, columns].sum()))


def _calibration(predictions: Predictions) -> Calibration:
    """Return the calibration of the answered clips."""
    emotions = [one for one in predictions.emotions if one != NO_ANSWER]
    rows = predictions.rows
    rows = rows[~rows["clip"].isin(predictions.unanswered)]
    values = rows[[PREFIX + emotion for emotion in emotions]].to_numpy(dtype=np.float64)
    truth = pd.Index(emotions).get_indexer(pd.Index(rows["emotion"]))
    return calibration(values / values.sum(axis=1, keepdims=True), np.asarray(truth, np.int64))


def known_clips(result: Result) -> pd.DataFrame:
    """Return what a stored result tells of its clips, for `check_predictions`."""
    names = ["clip", "corpus", "speaker", "gender", "emotion"]
    clips = result.predictions[names].drop_duplicates("clip")
    if result.clips is None:
        return clips
    return clips.merge(result.clips, on="clip", how="left").fillna("")


def selected_predictions(result: Result, protocol: str = "") -> Predictions:
    """Return the predictions of a study's selected model.

    Parameters
    ----------
    result : Result
    protocol : str
        Empty for speaker-independent, or the study's first protocol without it.

    Raises
    ------
    BenchmarkError
        If the study has no such protocol, or tests a clip several times under it.
    """
    board = leaderboard(result, summary=Summary())
    if protocol and protocol not in board.protocols:
        raise unknown("protocol", protocol, board.protocols, f"study {result.name}")
    protocol = protocol or board.leading
    own = board.result.predictions
    model = board.selected[protocol].model
    rows = own[(own["protocol"] == protocol) & (own["model"] == model)]
    if rows["clip"].duplicated().any():
        raise BenchmarkError(
            f"study {result.name}: {protocol} tests a clip several times, so that it has no single "
            "prediction. Choose another protocol with --protocol."
        )
    rows = rows.drop(columns=["protocol", "part", "model"], errors="ignore")
    where = f"study {result.name}, {protocol}"
    return check_predictions(rows, where, clips=known_clips(result), all_known=False)


def split_tables(result: Result) -> dict[str, pd.DataFrame]:
    """Return the splits of a stored result: by name, a table with a row for each clip.

    The columns are clip, corpus, speaker, gender, emotion, what else is known of the clip, side
    (``train`` or ``test``), and the inner fold of a training clip.

    Raises
    ------
    BenchmarkError
        If the result does not store all its training clips, as those of auxiliary corpora.
    """
    if result.out_of_fold is None:
        raise BenchmarkError(
            f"study {result.name}: the result does not store its training clips. Run the study "
            "again; finished trials are kept."
        )
    identity = ["clip", "corpus", "speaker", "gender", "emotion"]
    known = result.clips if result.clips is not None else pd.DataFrame({"clip": []}, dtype=str)
    tables = {}
    for name in dict.fromkeys(winner.split for winner in result.winners):
        test = of_split(result.predictions, name)[identity].drop_duplicates("clip")
        train = of_split(result.out_of_fold, name)[[*identity, "fold"]].drop_duplicates("clip")
        expected = result.data.splits[name].train.clips
        if len(train) != expected:
            raise BenchmarkError(
                f"study {result.name}: the result stores {len(train):,} of the {expected:,} "
                f"training clips of {name}; those of auxiliary corpora are not stored. Take them "
                f"from train.csv of {command(f'extract {result.study.name}')}."
            )
        both = pd.concat([train.assign(side="train"), test.assign(side="test")])
        both["fold"] = both["fold"].astype("Int64")
        tables[name] = both.merge(known, on="clip", how="left")
    return tables
