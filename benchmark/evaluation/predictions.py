"""Predictions of any system: a table with a row for each clip, checked, as `evaluate` takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import pandas as pd

from benchmark.errors import BenchmarkError, unknown

NO_ANSWER = "no answer"
"""Column of the clips that a system did not answer: each counts as a wrong prediction."""

OTHER_NAMES = {
    "clip": ("file", "path", "filename", "file_name", "audio"),
    "emotion": ("truth", "label", "true_label", "y_true"),
    "prediction": ("predicted", "pred", "predicted_label", "y_pred"),
}
"""Names that common tools give to the columns; Nkululeko writes file, truth and predicted."""

PREFIX = "p_"
REQUIRED = ("clip", "speaker", "emotion")
IDENTITY = (*REQUIRED, "corpus", "gender")
ONE_CORPUS = "all"
"""Name of the corpus of a table without a column ``corpus``."""

SUM_WITHIN = 0.02
"""How far the probabilities of a clip may be from a sum of 1, by rounding."""


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
    """

    rows: pd.DataFrame
    emotions: tuple[str, ...]
    facts: pd.DataFrame
    probabilities: bool

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
) -> Predictions:
    """Return the predictions that a table holds.

    Parameters
    ----------
    table : DataFrame
        One row per clip: clip, speaker, emotion (the true one), and either prediction or a
        probability of each emotion, p_<emotion> or <emotion>. Optionally corpus, gender, statement,
        and any column to divide the clips by. An empty prediction is no answer.
    where : str
        Its file, for messages.
    columns : mapping of str to str, or None
        The table's own name of a column, by ours; those of `OTHER_NAMES` are known.
    clips : DataFrame or None
        What the table does not tell of its clips, by ``clip``: a name, or the stem of its file.

    Raises
    ------
    BenchmarkError
        If a column is missing or a row is wrong; it names both and says what is allowed.
    """
    if not table.index.is_unique:
        table = table.reset_index(drop=True)
    table = _named(table, columns or {}, where)
    if clips is not None:
        table = _joined(table, clips, where)
    rows = _identity(table, where)
    answers, probabilities = _answers(table, rows["emotion"], where)
    _refuse_other_cases({*rows["emotion"], *answers}, where)
    found = _ordered({*rows["emotion"], *answers})
    used = {*IDENTITY, "prediction", "augmentation", *_probability_columns(table, rows["emotion"])}
    facts = table[[name for name in table if name not in used]].astype(str)
    facts.insert(0, "clip", rows["clip"])
    return Predictions(
        rows.assign(**{PREFIX + one: answers.get(one, 0.0) for one in found}).reset_index(
            drop=True
        ),
        found,
        facts.reset_index(drop=True),
        probabilities,
    )


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
    text = {name: table[name].astype(str).str.strip() for name in IDENTITY if name in table}
    for name in REQUIRED:
        if (empty := text[name] == "").any():
            raise _wrong(table, empty, where, name, "the cell is empty.")
    if (twice := text["clip"].duplicated()).any():
        name = text["clip"][twice].iloc[0]
        raise _wrong(table, twice, where, "clip", f"{name} is listed twice. Keep one row per clip.")
    corpora = text.get("corpus", pd.Series(ONE_CORPUS, index=table.index))
    return pd.DataFrame(
        {
            "clip": text["clip"],
            "corpus": corpora,
            "speaker": _speakers(corpora, text["speaker"], alone="corpus" not in text),
            "gender": text.get("gender", pd.Series("unknown", index=table.index)),
            "emotion": text["emotion"],
        }
    )


def _named(table: pd.DataFrame, columns: Mapping[str, str], where: str) -> pd.DataFrame:
    """Return a table with our names of its columns."""
    names = {str(name).strip().lower(): name for name in table.columns}
    renamed: dict[str, str] = {}
    for ours, theirs in columns.items():
        if theirs not in table:
            raise unknown("column", theirs, map(str, table.columns), where)
        renamed[theirs] = ours
    for ours in (*IDENTITY, "prediction", "statement"):
        known = next((names[one] for one in (ours, *OTHER_NAMES.get(ours, ())) if one in names), "")
        if ours not in columns and known and known not in renamed:
            renamed[known] = ours
    return table.rename(columns=renamed)


def _joined(table: pd.DataFrame, clips: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return a table with what another one tells of its clips."""
    if "clip" not in table:
        raise _no_column("clip", table, where)
    known = clips.drop_duplicates("clip").set_index("clip")
    names = table["clip"].astype(str)
    if not names.isin(known.index).all():
        names = _by_stem(names, known.index, where, table)
    if "emotion" in table and "emotion" in known:
        there = names.map(known["emotion"]).astype(str)
        here = table["emotion"].astype(str).str.strip()
        if (differs := (here != there) & (there != "")).any():
            row = differs.idxmax()
            raise _wrong(
                table, differs, where, "emotion",
                f"{here[row]!r}, but {there[row]!r} where the clips are listed. Use their names of "
                "the emotions, or check the clips.",
            )  # fmt: skip
    added = [name for name in known if name not in table]
    return table.assign(clip=names, **{name: names.map(known[name]).fillna("") for name in added})


def _by_stem(names: pd.Series, known: pd.Index, where: str, table: pd.DataFrame) -> pd.Series:
    """Return the clips that files are of, by the stem of a file's name, which must be unique."""
    stems: dict[str, list[str]] = {}
    for clip in known:
        stems.setdefault(stem(clip), []).append(clip)
    found = [stems.get(stem(name), []) for name in names]
    unsure = np.array([len(one) != 1 for one in found])
    if unsure.any():
        at = int(unsure.argmax())
        clip = names.iloc[at]
        why = f"could be {' or '.join(found[at][:3])}" if found[at] else "is not among the clips"
        raise _wrong(
            table, pd.Series(unsure, index=table.index), where, "clip",
            f"{clip!r} {why}. Write the names of the clips as they stand there.",
        )  # fmt: skip
    return pd.Series([one[0] for one in found], index=names.index)


def stem(name: str) -> str:
    r"""Return the name of a file without folders and suffix, for either kind of slash.

    Examples
    --------
    >>> stem(r"C:\ravdess\Actor_01\03-01-01-01-01-01-01.wav")
    '03-01-01-01-01-01-01'
    """
    return PurePath(name.replace("\\", "/")).stem


def _speakers(corpora: pd.Series, speakers: pd.Series, *, alone: bool) -> pd.Series:
    """Return speakers that are told apart between corpora: ``ravdess/01``."""
    if alone:
        return speakers
    whole = [
        name if name.startswith(f"{corpus}/") else f"{corpus}/{name}"
        for corpus, name in zip(corpora, speakers, strict=True)
    ]
    return pd.Series(whole, index=speakers.index)


def _probability_columns(table: pd.DataFrame, emotions: pd.Series) -> list[str]:
    """Return the columns of probabilities: all ``p_<emotion>``, or those named as emotions."""
    prefixed = [str(name) for name in table if str(name).startswith(PREFIX)]
    present = set(emotions)
    return prefixed or [str(name) for name in table if str(name) in present]


def _answers(
    table: pd.DataFrame, emotions: pd.Series, where: str
) -> tuple[dict[str, np.ndarray], bool]:
    """Return the probability of each answer, and whether the system gave probabilities."""
    columns = _probability_columns(table, emotions)
    if not columns and "prediction" not in table:
        raise BenchmarkError(
            f"{where}: no column 'prediction' and no probabilities (p_<emotion>). Columns: "
            f"{', '.join(map(str, table.columns))}."
        )
    if not columns:
        predicted = table["prediction"].fillna("").astype(str).str.strip().replace("", NO_ANSWER)
        return {one: (predicted == one).to_numpy(float) for one in sorted(set(predicted))}, False
    values = table[columns].replace("", np.nan).apply(pd.to_numeric, errors="coerce")
    empty = table[columns].isin(["", np.nan]).all(axis=1)
    _check_probabilities(table, values, empty, where)
    names = [name.removeprefix(PREFIX) for name in columns]
    if "prediction" in table:
        highest = pd.Series(names, index=columns)[values[~empty].idxmax(axis=1)].to_numpy()
        stated = table.loc[~empty, "prediction"].astype(str).str.strip()
        if (differs := (stated != highest)).any():
            row = differs.idxmax()
            at = int(np.argmax(differs.to_numpy()))
            raise _wrong(
                table, pd.Series(table.index == row, index=table.index), where, "prediction",
                f"{stated[row]!r}, but the highest probability is that of {highest[at]!r}. Remove "
                "the column prediction, or the probabilities.",
            )  # fmt: skip
    answers = {
        name: values[column].fillna(0.0).to_numpy(float)
        for name, column in zip(names, columns, strict=True)
    }
    if empty.any():
        answers[NO_ANSWER] = empty.to_numpy(float)
    return answers, True


def _check_probabilities(
    table: pd.DataFrame, values: pd.DataFrame, empty: pd.Series, where: str
) -> None:
    """Refuse what is no distribution over emotions."""
    for column in values:
        wrong = ~empty & ~values[column].between(0, 1)
        if wrong.any():
            cell = table.loc[wrong.idxmax(), column]
            raise _wrong(
                table, wrong, where, str(column),
                f"{str(cell)!r} is not a probability between 0 and 1.",
            )  # fmt: skip
    sums = values.sum(axis=1)
    unlike = ~empty & ((sums - 1).abs() > SUM_WITHIN)
    if unlike.any():
        raise _wrong(
            table, unlike, where, f"{values.columns[0]} to {values.columns[-1]}",
            f"the probabilities sum to {sums[unlike.idxmax()]:.3f}, not to 1. Give a distribution "
            "over the emotions, or a column prediction alone.",
        )  # fmt: skip


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
        f"p_<emotion>. Columns: {', '.join(map(str, table.columns))}. The command score takes "
        "other names by --column, and what is not in the table by --clips."
    )


def _wrong(
    table: pd.DataFrame, rows: pd.Series, where: str, column: str, problem: str
) -> BenchmarkError:
    """Return the error for the first of some rows, with the number of the others."""
    more = int(rows.sum()) - 1
    others = f" {more:,} more such rows." if more else ""
    return BenchmarkError(f"{where}: row {rows.idxmax()}, column {column!r}: {problem}{others}")
