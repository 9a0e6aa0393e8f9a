"""Labels of several raters: read from a table, their majority, and how far they agree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import pandas as pd

Votes = Mapping[str, int]
"""How many raters of a clip chose each emotion; those that nobody chose are left out."""

COLUMN = "votes"
FACT = "votes_"
"""The votes for an emotion are the fact ``votes_<emotion>`` of a clip."""

RATER = re.compile(r"rater(?:[ _.-]?\d+|[ _.-].+)", re.IGNORECASE)
"""Columns with the labels of one rater: ``rater_1``, ``rater2``, ``rater_ann``."""

NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?%?")

UNDECIDED = NO_VOTES, TIE, NO_MAJORITY = "no votes", "a tie of votes", "no majority of votes"
"""Why the votes for a clip give no label."""


@dataclass(frozen=True)
class Agreement:
    """How far the raters of some clips agree.

    Attributes
    ----------
    clips : int
        Those with votes, with or without a majority.
    fewest, most : int
        Votes per clip.
    unanimous : float or None
        Fraction of clips with one emotion, among those of two votes or more; None without any.
    alpha : float or None
        See `krippendorff_alpha`.
    """

    clips: int
    fewest: int
    most: int
    unanimous: float | None
    alpha: float | None


def read_votes(table: pd.DataFrame, where: object) -> list[Votes] | None:
    """Return the votes for the clip of each row; None if the table has none.

    They are in columns of raters (see `RATER`; an empty cell is no vote), in a column ``votes``,
    or in a column ``votes_<emotion>`` for each emotion, as `FACT` has it. A cell of ``votes`` lists
    emotions or their numbers, ``angry angry sad`` or ``angry:2 sad:1``; in a column that has a
    semicolon anywhere, semicolons separate them in place of blanks.

    Parameters
    ----------
    table : DataFrame
        Cells are text; the index is the number of the row.
    where : object
        Its file, for messages.

    Raises
    ------
    BenchmarkError
        If a cell is not a vote; it names row and column.
    """
    columns = vote_columns(table, where)
    if not columns:
        return None
    votes: list[Counter[str]] = [Counter() for _ in range(len(table))]
    for name in columns:
        read = _reader(name, table[name])
        for own, row, cell in zip(votes, table.index, table[name], strict=True):
            try:
                own.update(read(cell))
            except ValueError as error:
                raise BenchmarkError(f"{where}: row {row}, column {name!r}: {error}") from None
    _refuse_other_cases(votes, where)
    return [+own for own in votes]


def vote_columns(names: Iterable[str], where: object) -> list[str]:
    """Return the columns of a table that hold votes, as `read_votes` takes them.

    Raises
    ------
    BenchmarkError
        If there are columns of two kinds.
    """
    names = list(names)
    kinds = [
        [name for name in names if RATER.fullmatch(name)],
        [name for name in names if name.lower() == COLUMN],
        [name for name in names if name.startswith(FACT) and name != FACT],
    ]
    found = [columns for columns in kinds if columns]
    if len(found) > 1:
        shown = " and ".join(repr(columns[0]) for columns in found)
        raise BenchmarkError(f"{where}: columns {shown} both hold votes. Keep one of the two.")
    return found[0] if found else []


def _reader(name: str, cells: pd.Series) -> Callable[[str], Votes]:
    """Return the function that reads a cell of a column of votes."""
    if RATER.fullmatch(name):
        return _of_rater
    if name.lower() == COLUMN:
        separator = ";" if cells.str.contains(";", regex=False).any() else None
        return lambda cell: _listed(cell.split(separator))
    return lambda cell: _counted(name.removeprefix(FACT), cell or "0")


def _of_rater(cell: str) -> dict[str, int]:
    if NUMBER.fullmatch(cell):
        raise ValueError(
            f"{cell!r} is a number. Columns of raters hold emotions, as words; rename any other "
            "column that begins with 'rater'."
        )
    return {cell: 1} if cell else {}


def _listed(words: Iterable[str]) -> Counter[str]:
    """Return the votes that the parts of a cell list."""
    votes: Counter[str] = Counter()
    for word in filter(None, map(str.strip, words)):
        emotion, colon, number = word.rpartition(":")
        if "," in word or NUMBER.fullmatch(word):
            raise ValueError(
                f"{word!r} is not a vote. Allowed: angry angry sad, or angry:2 sad:1; emotions "
                "of several words need semicolons between votes."
            )
        votes.update(_counted(emotion.strip(), number.strip()) if colon else {word: 1})
    return votes


def _counted(emotion: str, number: str) -> dict[str, int]:
    if not emotion or not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise ValueError(
            f"{number!r} is not a number of votes for {emotion!r}. Allowed: whole numbers, as in "
            "angry:2 sad:1."
        )
    return {emotion: int(number)}


def _refuse_other_cases(votes: Iterable[Votes], where: object) -> None:
    """Refuse emotions that differ by case only: their votes would count apart."""
    by_case: dict[str, str] = {}
    for emotion in sorted({emotion for own in votes for emotion in own}):
        other = by_case.setdefault(emotion.casefold(), emotion)
        if other != emotion:
            raise BenchmarkError(
                f"{where}: votes for {other!r} and {emotion!r} differ by case only. Write one of "
                "them."
            )


def majority(votes: Votes) -> str | None:
    """Return the emotion that more than half of the votes are for; None without one.

    Examples
    --------
    >>> majority({"angry": 2, "sad": 1}), majority({"angry": 2, "sad": 1, "happy": 1})
    ('angry', None)
    """
    most = max(votes, key=votes.__getitem__, default="")
    return most if most and 2 * votes[most] > sum(votes.values()) else None


def why_undecided(votes: Votes) -> str:
    """Return the reason why votes have no majority; empty if they have one."""
    if majority(votes):
        return ""
    most = max(votes.values(), default=0)
    if not most:
        return NO_VOTES
    return TIE if list(votes.values()).count(most) > 1 else NO_MAJORITY


def agreement(votes: Iterable[Votes]) -> Agreement | None:
    """Return how far the raters of clips agree; None if no clip has votes."""
    rated = [own for own in votes if own]
    if not rated:
        return None
    numbers = [sum(own.values()) for own in rated]
    several = [len(own) == 1 for own, number in zip(rated, numbers, strict=True) if number > 1]
    unanimous = sum(several) / len(several) if several else None
    return Agreement(len(rated), min(numbers), max(numbers), unanimous, krippendorff_alpha(rated))


def krippendorff_alpha(votes: Sequence[Votes]) -> float | None:
    """Return Krippendorff's alpha for nominal data: 1 for full agreement, 0 for that of chance.

    It is 1 - (n - 1) * sum over clips of (n_u ** 2 - sum of n_uc ** 2) / (n_u - 1), divided by
    n ** 2 - sum of n_c ** 2, where n_uc votes for clip u are for emotion c, and sums are over clips
    of two votes or more (Krippendorff 2011, Computing Krippendorff's alpha-reliability; Hayes &
    Krippendorff 2007, Answering the call for a standard reliability measure for coding data).

    Parameters
    ----------
    votes : sequence of mapping
        Clips may have different numbers of raters.

    Returns
    -------
    float or None
        None if no clip has two votes, or all such votes are for one emotion.

    Examples
    --------
    >>> krippendorff_alpha([{"sad": 2}, {"angry": 2}, {"sad": 1, "angry": 1}])
    0.4444444444444444
    """
    several = [own for own in votes if sum(own.values()) > 1]
    totals: Counter[str] = Counter()
    for own in several:
        totals.update(own)
    n = sum(totals.values())
    by_chance = n**2 - sum(number**2 for number in totals.values())
    if not by_chance:
        return None
    observed = 0.0
    for own in several:
        rated = sum(own.values())
        observed += (rated**2 - sum(number**2 for number in own.values())) / (rated - 1)
    return 1 - (n - 1) * observed / by_chance
