"""Predictions of any system: a table with a row for each clip, checked, as `evaluate` takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.corpora.raters import (
    Agreement,
    Votes,
    agreement,
    majority,
    read_votes,
    vote_columns,
    why_undecided,
)
from benchmark.corpora.segments import named_segments
from benchmark.data.tables import OTHER_NAMES
from benchmark.engine.table_file import our_names
from benchmark.errors import BenchmarkError, unknown
from benchmark.features import AS_RECORDED

NO_ANSWER = "no answer"
"""Column of the clips that a system did not answer: each counts as a wrong prediction."""

PREFIX = "p_"
REQUIRED = ("clip", "speaker", "emotion")
IDENTITY = (*REQUIRED, "corpus", "gender")
CONDITION = "condition"
"""Column of the condition under which a clip was predicted: a clip has a row for each of them."""

ONE_CORPUS = "all"
"""Name of the corpus of a table without a column ``corpus``."""

OUTCOMES = {
    *("correct", "uncertainty", "confidence", "score", "start", "end", "side", "fold", "part"),
    "class_label",
    *(name for names in OTHER_NAMES.values() for name in names),
}
"""Columns that tell of the answers or of the splits: no clips are divided by them."""

SUM_WITHIN = 0.02
"""How far the probabilities of a clip may be from a sum of 1, by rounding."""

MOST_UNLIKE = 1 / 3
"""Fraction of clips whose prediction may differ from the highest probability. A tenth of those of
scikit-learn's SVC do, since its probabilities are a model of their own. With more than this, the
columns are of two systems."""


@dataclass(frozen=True)
class Rated:
    """What raters say of the clips of a table.

    Attributes
    ----------
    votes : DataFrame
        A row for each clip with votes, a column for each emotion.
    agreement : dict of str to Agreement
        By corpus, of all clips with votes.
    set_aside : dict of str to str
        Why the votes of a clip do not tell its emotion, in a table without it: such clips are not
        scored.
    """

    votes: pd.DataFrame
    agreement: dict[str, Agreement]
    set_aside: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Predictions:
    """The predictions of one system.

    Attributes
    ----------
    rows : DataFrame
        One row per clip: clip, corpus, speaker, gender, emotion, then p_<emotion> for each of
        `emotions`. A prediction without probabilities has probability 1.
    emotions : tuple of str
        All that are true or predicted, sorted; `NO_ANSWER` is the last one if a clip has no answer.
    facts : DataFrame
        clip, then the further columns of the table, by which clips can be divided.
    probabilities : bool
        Whether the system gave probabilities.
    folds : ndarray of str, shape (n_clips,), or None
        In which each clip was tested; None for a table that does not tell.
    unlike : tuple of str
        Clips whose stated prediction is not the emotion with the highest probability. If there are
        some, probabilities count as not given.
    rated : Rated or None
        None for a table without votes.
    conditions : mapping of str to Predictions
        Of the same clips under conditions, such as a telephone line, in the order of the table. All
        else is of the clips as recorded.
    absent : tuple of str
        Clips that the user's list of clips has, and the table has not.
    """

    rows: pd.DataFrame
    emotions: tuple[str, ...]
    facts: pd.DataFrame
    probabilities: bool
    folds: NDArray[np.str_] | None = None
    unlike: tuple[str, ...] = ()
    rated: Rated | None = None
    conditions: Mapping[str, Predictions] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    @property
    def unanswered(self) -> list[str]:
        """The clips without an answer."""
        if NO_ANSWER not in self.emotions:
            return []
        return list(self.rows.loc[self.rows[PREFIX + NO_ANSWER] == 1, "clip"])

    @property
    def never_true(self) -> list[str]:
        """Emotions that are predicted, but that no clip has: each such prediction is wrong."""
        present = {*self.rows["emotion"], NO_ANSWER}
        return [emotion for emotion in self.emotions if emotion not in present]

    @property
    def never_predicted(self) -> list[str]:
        """Emotions of the clips that are no class of the system."""
        columns = self.rows[[PREFIX + emotion for emotion in self.emotions]]
        possible = (columns > 0).any()
        present = set(self.rows["emotion"])
        return [one for one in self.emotions if one in present and not possible[PREFIX + one]]


def check_predictions(
    table: pd.DataFrame,
    where: str = "predictions",
    *,
    columns: Mapping[str, str] | None = None,
    clips: pd.DataFrame | None = None,
    all_known: bool = True,
) -> Predictions:
    """Return the predictions that a table holds.

    Parameters
    ----------
    table : DataFrame
        One row per clip: clip, speaker, emotion (the true one), and either prediction or a
        probability of each emotion, p_<emotion> or <emotion>. If a few predictions are not the
        emotion with the highest probability, they count, and the probabilities do not. Optionally
        corpus, gender, statement, votes (see `read_votes`; without a column emotion, their majority
        is the true one), condition, and any column to divide the clips by. An empty prediction is
        no answer. With conditions, each clip has a row for each, and one as recorded, whose
        condition is empty or "as recorded".
    where : str
        Its file, for messages.
    columns : mapping of str to str, or None
        The table's own name of a column, by ours; those of `OTHER_NAMES` are known.
    clips : DataFrame or None
        What the table does not tell of its clips, by ``clip``: a name, or the stem of its file.
    all_known : bool
        Whether a clip that is not among `clips` is an error. If not, and there is one, nothing is
        taken from them.

    Raises
    ------
    BenchmarkError
        If a column is missing or a row is wrong; it names both and says what is allowed.
    """
    table = _as_text(table if table.index.is_unique else table.reset_index(drop=True))
    columns = _label_of_pipeline(table, columns or {})
    table = _segmented(_named(table, columns, where), where)
    absent: tuple[str, ...] = ()
    if clips is not None:
        known = _segmented(_named(_as_text(clips), {}, where), "--clips")
        table = _joined(table, known, where, all_known)
        absent = tuple(known.loc[~known["clip"].isin(table["clip"]), "clip"]) if all_known else ()
    parts = _by_condition(table, where)
    recorded = _checked(parts.pop(AS_RECORDED), where)
    heard = {name: _checked(part, f"{where}, condition {name}") for name, part in parts.items()}
    for name, one in heard.items():
        _check_same_clips(recorded.rows, one.rows, f"{where}, condition {name}")
    return replace(recorded, conditions=heard, absent=tuple(dict.fromkeys(absent)))


def _segmented(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return a table in which several segments of one file have names of their own.

    A file under several conditions is no such file, unless it has several segments under one.
    """
    of_clip = [name for name in ("clip", CONDITION) if name in table]
    if "clip" not in table or not table.duplicated(of_clip).any():
        return table
    return named_segments(where, table, "clip")


def _by_condition(table: pd.DataFrame, where: str) -> dict[str, pd.DataFrame]:
    """Return the rows of the clips as recorded, and those under each condition, in their order."""
    if CONDITION not in table or table.empty:
        return {AS_RECORDED: table}
    named = table[CONDITION].replace("", AS_RECORDED)
    if AS_RECORDED not in set(named):
        raise BenchmarkError(
            f"{where}: no row is of a clip as recorded, with which conditions are compared. Leave "
            f"the column {CONDITION!r} empty there, or write {AS_RECORDED!r}. Conditions: "
            f"{', '.join(named.unique()[:8])}."
        )
    rows = table.drop(columns=CONDITION)
    return {str(name): rows[named == name] for name in named.unique()}


def _check_same_clips(recorded: pd.DataFrame, heard: pd.DataFrame, where: str) -> None:
    """Refuse a condition that lacks a clip, has others, or contradicts the clips as recorded."""
    expected, found = (rows.set_index("clip") for rows in (recorded, heard))
    for some, others, problem in (
        (expected, found, "has no row under this condition"),
        (found, expected, "has no row as recorded"),
    ):
        lacking = some.index.difference(others.index)
        if len(lacking):
            more = f", as {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
            raise BenchmarkError(
                f"{where}: clip {lacking[0]} {problem}{more}. Each clip needs a row for each "
                f"condition and one as recorded; a column that divides clips needs another name."
            )
    found = found.loc[expected.index]
    for column in ("emotion", "speaker", "corpus"):
        if (differs := found[column] != expected[column]).any():
            clip = differs.idxmax()
            raise BenchmarkError(
                f"{where}: clip {clip}: the {column} is {found.loc[clip, column]!r}, and "
                f"{expected.loc[clip, column]!r} as recorded. A condition does not change it."
            )


def _checked(table: pd.DataFrame, where: str) -> Predictions:
    """Return the predictions of clips with one row each."""
    table, rated = _rated(table, where)
    rows = _identity(table, where)
    answers = _answers(table, rows["emotion"], where)
    found = _ordered({*rows["emotion"], *answers.of})
    _refuse_other_cases({*found, *(() if rated is None else rated.votes)}, where)
    aside = {*IDENTITY, *answers.columns, *OUTCOMES, *vote_columns(table, where), "prediction"}
    facts = table[[name for name in table if name.lower() not in aside and name not in aside]]
    facts.insert(0, "clip", rows["clip"])
    rows = rows.assign(**{PREFIX + one: answers.of.get(one, 0.0) for one in found})
    return Predictions(
        rows.reset_index(drop=True),
        found,
        facts.reset_index(drop=True),
        answers.given,
        folds=table["fold"].to_numpy(dtype=np.str_) if "fold" in table else None,
        unlike=tuple(rows.loc[answers.unlike, "clip"]),
        rated=rated,
    )


def _rated(table: pd.DataFrame, where: str) -> tuple[pd.DataFrame, Rated | None]:
    """Return the rows of a table whose emotion is known, and what raters say of all."""
    votes = read_votes(table, where)
    if votes is None or "clip" not in table:
        return table, None
    rated = _votes(table, votes)
    if "emotion" in table:
        return table, rated
    why = pd.Series([why_undecided(own) for own in votes], index=table.index)
    table = table.assign(emotion=[majority(own) or "" for own in votes])
    undecided = why != ""
    if undecided.all():
        raise _wrong(undecided, where, vote_columns(table, where)[0], f"{why.iloc[0]}.")
    reasons = dict(zip(table.loc[undecided, "clip"], why[undecided], strict=True))
    return table[~undecided], replace(rated, set_aside=reasons)


def _votes(table: pd.DataFrame, votes: Sequence[Votes]) -> Rated:
    counts = pd.DataFrame([dict(own) for own in votes], index=pd.Index(table["clip"]))
    counts = counts.fillna(0).astype(np.int64).sort_index(axis=1)
    corpora = table.get("corpus", pd.Series(ONE_CORPUS, index=table.index))
    by_corpus = {
        str(corpus): agreement(own for own, of in zip(votes, corpora, strict=True) if of == corpus)
        for corpus in sorted(set(corpora))
    }
    known = {corpus: one for corpus, one in by_corpus.items() if one is not None}
    return Rated(counts[counts.sum(axis=1) > 0], known)


def _as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with each cell as stripped text, and an absent one empty."""
    columns = [_texts(column) for _, column in table.items()]
    return pd.concat([table.iloc[:, :0], *columns], axis=1).rename(columns=str)


def _texts(column: pd.Series) -> pd.Series:
    if not isinstance(column.dtype, pd.StringDtype):
        column = column.map(str).where(column.notna(), "")
    return column.fillna("").str.strip()


def in_common(
    first: Predictions, second: Predictions
) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """Return the rows of two systems with a probability of each emotion of both, and these."""
    emotions = _ordered({*first.emotions, *second.emotions})
    sides = [
        one.rows.assign(**{PREFIX + name: 0.0 for name in emotions if name not in one.emotions})
        for one in (first, second)
    ]
    return sides[0], sides[1], emotions


def _ordered(emotions: set[str]) -> tuple[str, ...]:
    """Return emotions in their order: sorted, `NO_ANSWER` last."""
    return tuple(sorted(emotions, key=lambda emotion: (emotion == NO_ANSWER, emotion)))


def _identity(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return the columns that say what clip a row is of, checked."""
    for name in REQUIRED:
        if name not in table:
            raise _no_column(name, table, where)
    if table.empty:
        raise BenchmarkError(f"{where}: the table has no rows.")
    text = table[[name for name in IDENTITY if name in table]]
    for name in text:
        if name != "gender" and (empty := text[name] == "").any():
            raise _wrong(empty, where, name, "the cell is empty.")
    if "side" in table and (trained := table["side"] == "train").any():
        raise _wrong(trained, where, "side", "a training clip. Keep the rows of test clips.")
    if (twice := text["clip"].duplicated()).any():
        name = text["clip"][twice].iloc[0]
        raise _wrong(twice, where, "clip", f"{name} is listed twice. Keep one row per clip.")
    corpora = text.get("corpus", pd.Series(ONE_CORPUS, index=table.index))
    return pd.DataFrame(
        {
            "clip": text["clip"],
            "corpus": corpora,
            "speaker": _speakers(corpora, text["speaker"], alone="corpus" not in text),
            "gender": text["gender"].replace("", "unknown") if "gender" in text else "unknown",
            "emotion": text["emotion"],
        }
    )


def _named(table: pd.DataFrame, columns: Mapping[str, str], where: str) -> pd.DataFrame:
    """Return a table with our names of its columns."""
    ours_known = (*IDENTITY, "prediction", "statement", CONDITION)
    for ours, theirs in columns.items():
        if ours not in ours_known:
            raise unknown("column", ours, ours_known, "--column")
        if theirs not in table:
            raise unknown("column", theirs, table.columns, where)
    if len(set(columns.values())) < len(columns):
        raise BenchmarkError(f"--column: one column of {where} can't have two names.")
    # A column that has the name of another one's part stands back for it.
    taken = [name for name in table if name.lower() in columns and name not in columns.values()]
    table = table.drop(columns=taken)
    given = {theirs: ours for ours, theirs in columns.items()}
    others = {
        ours: (ours, *OTHER_NAMES.get(ours, ())) for ours in ours_known if ours not in columns
    }
    free = [name for name in table if name not in given]
    return table.rename(columns=our_names(free, others) | given)


def _label_of_pipeline(table: pd.DataFrame, columns: Mapping[str, str]) -> Mapping[str, str]:
    """Return the given names of columns, with ``label`` as prediction if a pipeline wrote it.

    A pipeline of Hugging Face writes label and score; without a score, a label is the true emotion.
    """
    answers = {name: (name, *OTHER_NAMES.get(name, ())) for name in ("prediction", "score")}
    named = our_names(table.columns, answers | {"label": ("label",)})
    theirs = {ours: name for name, ours in named.items()}
    if {"prediction", "label", "score"} & theirs.keys() != {"label", "score"}:
        return columns
    label = theirs["label"]
    labels = set(table[label])
    probabilities = any(name in labels or name.startswith(PREFIX) for name in table)
    if probabilities or label in columns.values():
        return columns
    return {"prediction": label, **columns}


def _joined(table: pd.DataFrame, clips: pd.DataFrame, where: str, all_known: bool) -> pd.DataFrame:
    """Return a table with what another one tells of its clips."""
    for one, place in ((table, where), (clips, "--clips")):
        if "clip" not in one:
            raise _no_column("clip", one, place)
    others = {"prediction", CONDITION, *OTHER_NAMES["clip"]}
    answers = [name for name in clips if name in others or name.startswith(PREFIX)]
    clips = clips.drop(columns=answers).drop_duplicates()
    if (twice := clips["clip"].duplicated()).any():
        name = clips["clip"][twice].iloc[0]
        raise _wrong(twice, "--clips", "clip", f"{name} is listed twice, with other facts.")
    known = clips.set_index("clip")
    names = table["clip"].copy()
    others = ~names.isin(known.index)
    if others.any():
        found = _by_stem(names[others], known.index, where, all_known)
        if found is None:
            return table
        names[others] = found
    if "emotion" in table and "emotion" in known:
        there = names.map(known["emotion"])
        if (differs := (table["emotion"] != there) & (there != "")).any():
            row = differs.idxmax()
            raise _wrong(
                differs, where, "emotion",
                f"{table['emotion'][row]!r}, but {there[row]!r} where the clips are listed. Use "
                "their names of the emotions, or check the clips.",
            )  # fmt: skip
    added = [name for name in known if name not in table]
    return table.assign(clip=names, **{name: names.map(known[name]) for name in added})


def _by_stem(names: pd.Series, known: pd.Index, where: str, all_known: bool) -> pd.Series | None:
    """Return the clips that files are of, by the stem of a file's name, which must be unique.

    None if one is of no clip, and that is no error.
    """
    stems: dict[str, list[str]] = {}
    for clip in known:
        stems.setdefault(stem(clip), []).append(clip)
    found = [stems.get(stem(name), []) for name in names]
    unsure = pd.Series([len(one) != 1 for one in found], index=names.index)
    if unsure.any() and not all_known:
        return None
    if unsure.any():
        at = int(unsure.to_numpy().argmax())
        why = f"could be {' or '.join(found[at][:3])}" if found[at] else "is not among the clips"
        raise _wrong(
            unsure, where, "clip",
            f"{names.iloc[at]!r} {why}. Write the names of the clips as they stand there.",
        )  # fmt: skip
    return pd.Series([one[0] for one in found], index=names.index)


def stem(name: str) -> str:
    r"""Return the name of a file without folders and suffix, for either kind of slash.

    Examples
    --------
    >>> stem(r"C:\ravdess\Actor_01\03-01-01-01-01-01-01.wav")
    '03-01-01-01-01-01-01'
    """
    path = PurePath(name.replace("\\", "/"))
    return path.name if path.suffix[1:].isdigit() else path.stem  # a segment ends in its seconds


def _speakers(corpora: pd.Series, speakers: pd.Series, *, alone: bool) -> pd.Series:
    """Return speakers that are told apart between corpora: ``ravdess/01``."""
    if alone:
        return speakers
    whole = [
        name if name.startswith(f"{corpus}/") else f"{corpus}/{name}"
        for corpus, name in zip(corpora, speakers, strict=True)
    ]
    return pd.Series(whole, index=speakers.index)


@dataclass(frozen=True)
class _Answers:
    """The probability of each answer, by the answer.

    Attributes
    ----------
    of : dict of str to ndarray
    given : bool
        Whether the system gave probabilities, and its predictions agree with them.
    unlike : Series of bool
        Clips whose prediction is not the emotion with the highest probability.
    columns : set of str
        Of the probabilities.
    """

    of: dict[str, np.ndarray]
    given: bool
    unlike: pd.Series
    columns: set[str]


def _answers(table: pd.DataFrame, emotions: pd.Series, where: str) -> _Answers:
    """Return the answers of a table, checked."""
    stated = table.get("prediction")
    columns = _probability_columns(table, emotions, stated)
    if not columns and stated is None:
        raise BenchmarkError(
            f"{where}: no column 'prediction' (or {', '.join(OTHER_NAMES['prediction'])}) and no "
            f"probabilities (p_<emotion>). Columns: {', '.join(table.columns)}. The command score "
            "takes other names by --column, for example --column prediction=NAME."
        )
    unlike = pd.Series(data=False, index=table.index)
    answers: dict[str, np.ndarray] = {}
    if columns:
        probabilities = table[list(columns)].rename(columns=columns)
        answers, unlike = _of_probabilities(probabilities, stated, where)
    if not columns or unlike.any():
        assert stated is not None
        predicted = stated.replace("", NO_ANSWER)
        answers = {one: (predicted == one).to_numpy(float) for one in sorted(set(predicted))}
    _refuse_other_cases({*emotions, *answers}, where)
    given = sorted(set(answers) - {NO_ANSWER})
    if not given:
        raise BenchmarkError(f"{where}: no clip has an answer.")
    if not set(given) & set(emotions):
        raise BenchmarkError(
            f"{where}: no predicted emotion ({', '.join(given[:8])}) is one of the true ones "
            f"({', '.join(sorted(set(emotions))[:8])}). {_alike(table, given)}"
        )
    return _Answers(answers, bool(columns) and not unlike.any(), unlike, set(columns))


def _alike(table: pd.DataFrame, given: list[str]) -> str:
    """Return what to do where predictions and true emotions have no name in common.

    Notebooks keep the emotions in words beside the codes that a LabelEncoder gives them.
    """
    written = {name.lower().replace(" ", "_"): name for name in table}
    for name in OTHER_NAMES["emotion"]:
        if name in written and set(given) <= set(table[written[name]]):
            return f"The column {written[name]!r} has them: add --column emotion={written[name]}."
    return "Write both alike."


def _probability_columns(
    table: pd.DataFrame, emotions: pd.Series, stated: pd.Series | None
) -> dict[str, str]:
    """Return the emotion of each column of probabilities, by the column's name.

    They are all ``p_<emotion>``, or those named as emotions. With a column prediction, the latter
    may be something else, such as logits, and count only if they are a distribution.
    """
    prefixed = {one: one.removeprefix(PREFIX) for one in table if one.startswith(PREFIX)}
    prefixed.pop(PREFIX, None)
    if prefixed:
        return prefixed
    present = {*emotions, *(() if stated is None else stated)}
    named = {name: name for name in table if name in present}
    if not named or stated is None:
        return named
    values = _numbers(table[list(named)])
    whole = values.ge(0).all(axis=1) & ((values.sum(axis=1) - 1).abs() <= SUM_WITHIN)
    return named if (whole | (stated == "")).all() else {}


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Return the numbers of a table of text; a decimal comma is read as well."""
    return table.apply(lambda column: pd.to_numeric(column.str.replace(",", "."), errors="coerce"))


def _of_probabilities(
    table: pd.DataFrame, stated: pd.Series | None, where: str
) -> tuple[dict[str, np.ndarray], pd.Series]:
    """Return the probability of each answer from a table with a column for each emotion.

    Of several emotions with the highest probability, the stated prediction is the answer. The
    second is which clips have a prediction of lower probability; more than `MOST_UNLIKE` of them
    are refused.
    """
    values = _numbers(table)
    empty = (table == "").all(axis=1)
    advice = "" if stated is None else " Or remove the probabilities, to score the predictions."
    for emotion in values:
        if (wrong := ~empty & ~values[emotion].between(0, 1)).any():
            cell = table.loc[wrong.idxmax(), emotion]
            problem = f"{cell!r} is not a probability between 0 and 1.{advice}"
            raise _wrong(wrong, where, f"{PREFIX}{emotion}", problem)
    sums = values.sum(axis=1)
    if (unlike := ~empty & ((sums - 1).abs() > SUM_WITHIN)).any():
        raise _wrong(
            unlike, where, " + ".join(table.columns),
            f"the probabilities sum to {sums[unlike.idxmax()]:.3f}, not to 1. Give a distribution "
            "over all emotions that the system knows, each as p_<emotion>; a pipeline of Hugging "
            f"Face needs top_k=None.{advice}",
        )  # fmt: skip
    values = values.fillna(0.0)
    unlike = pd.Series(data=False, index=table.index)
    if stated is not None:
        highest = values.max(axis=1)
        for emotion in sorted(set(stated) - {""}):
            said = stated == emotion
            lower = said & (empty | (values[emotion] < highest if emotion in values else True))
            unlike |= lower
            values.loc[said & ~lower, emotion] = np.nextafter(highest[said & ~lower], 2)
        if (unlike & empty).any() or unlike.sum() > MOST_UNLIKE * len(table):
            row = (unlike & empty).idxmax() if (unlike & empty).any() else unlike.idxmax()
            best = "empty" if empty[row] else f"highest for {values.loc[row].idxmax()!r}"
            problem = f"{stated[row]!r}, but the probabilities are {best}.{advice}"
            raise _wrong(unlike, where, "prediction", problem)
    answers = {str(emotion): values[emotion].to_numpy(float) for emotion in values}
    if empty.any():
        answers[NO_ANSWER] = empty.to_numpy(float)
    if not (values > 0).any(axis=None):
        answers = {NO_ANSWER: np.ones(len(values))}
    return answers, unlike


def _refuse_other_cases(emotions: set[str], where: str) -> None:
    """Refuse emotions that differ by case only: as two classes, they would count as errors."""
    by_case: dict[str, str] = {}
    for emotion in sorted(emotions):
        other = by_case.setdefault(emotion.casefold(), emotion)
        if other != emotion:
            raise BenchmarkError(
                f"{where}: the emotions {other!r} and {emotion!r} differ by case only. Write one "
                "of them."
            )


def _no_column(name: str, table: pd.DataFrame, where: str) -> BenchmarkError:
    other = OTHER_NAMES.get(name, ())
    also = f" (or {', '.join(other)})" if other else ""
    return BenchmarkError(
        f"{where}: no column {name!r}{also}. Required: clip, speaker, emotion, and prediction or "
        f"p_<emotion>. Columns: {', '.join(table.columns) or 'none'}. The command score takes "
        "other names by --column, and what is not in the table by --clips."
    )


def _wrong(rows: pd.Series, where: str, column: str, problem: str) -> BenchmarkError:
    """Return the error for the first of some rows, with the number of the others."""
    more = int(rows.sum()) - 1
    others = f" {more:,} more such {'row' if more == 1 else 'rows'}." if more else ""
    return BenchmarkError(f"{where}: row {rows.idxmax()}, column {column!r}: {problem}{others}")
