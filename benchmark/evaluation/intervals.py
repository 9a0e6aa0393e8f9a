"""Figures with their intervals: means over corpora, speakers resampled within each corpus.

Corpora are fixed: a study names them, it does not draw them. Speakers are a sample of each corpus's
population, so they are resampled within it, whole. An interval is Student's t on the logit scale:
the standard error is that of the bootstrap resamples of each corpus, the degrees of freedom count
speakers (Welch). A corpus of fewer than `FEWEST_SPEAKERS` speakers has no interval, and a mean over
corpora holds its speakers fixed. tests/simulations/coverage.md tells by design how often these
intervals hold the truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.evaluation.metrics import (
    METRICS,
    Counts,
    Floats,
    Metric,
    counts_by,
    f1_scores,
    precisions,
    recalls,
)
from benchmark.study import derive_seed

RESAMPLES = 20_000
"""Resamples of each corpus: with as many, both printed digits of a limit stand."""

LEVEL = 0.95
FEWEST_SPEAKERS = 6
"""With fewer speakers a corpus has no interval.

Whatever the distribution of speakers, the range from the worst of n speakers to the best holds the
median speaker with a probability of 1 - 2 ** (1 - n): 94 % for five, 97 % for six. With fewer than
six an interval of 95 % would owe it to an assumed shape of that distribution, which so few cannot
check (see also tests/simulations/coverage.md)."""

BLOCK = 1_000
"""Resamples computed at a time, so that their counts fit into a processor's cache."""


class Interval(NamedTuple):
    """The limits of a confidence interval."""

    low: float
    high: float

    def __str__(self) -> str:
        """Return the limits with two decimals, rounded outwards: they hold their own figure.

        >>> str(Interval(0.352, 0.413))
        '[0.35, 0.42]'
        """
        exact = 1e-6  # 0.29 times 100 is below 29, by rounding
        low, high = math.floor(100 * self.low + exact), math.ceil(100 * self.high - exact)
        return f"[{low / 100:.2f}, {high / 100:.2f}]"


@dataclass(frozen=True)
class Score:
    """A figure with its 95 % interval.

    Attributes
    ----------
    value : float
        The figure on the rows themselves.
    error : float or None
        Its standard error; None where speakers are too few for an interval.
    freedom : float
        The degrees of freedom of Student's t.
    fixed : tuple of str
        Corpora whose speakers are held fixed, because they are fewer than `FEWEST_SPEAKERS`: the
        interval is for these speakers of theirs, and for any speakers of the others.
    lowest, highest : float
        The range of the figure. The interval is computed on the logit scale of this range, which it
        cannot leave (DiCiccio & Efron 1996, Bootstrap confidence intervals, Statistical Science 11,
        on transformations): near its ends a figure is skewed, and Student's t around the figure
        itself would hold the truth 90 times of 100.
    percentiles : Interval or None
        The percentiles of the resamples: the more usual interval, as a check.
    """

    value: float
    error: float | None = None
    freedom: float = 1.0
    fixed: tuple[str, ...] = ()
    lowest: float = 0.0
    highest: float = 1.0
    percentiles: Interval | None = None

    @cached_property
    def interval(self) -> Interval | None:
        """The interval; None where speakers are too few for one."""
        if self.error is None:
            return None
        from scipy.stats import t

        width = self.highest - self.lowest
        inside = (self.value - self.lowest) / width
        if self.error == 0 or not 0 < inside < 1:
            return Interval(self.value, self.value)
        reach = float(t.ppf((1 + LEVEL) / 2, self.freedom)) * self.error / width
        reach /= inside * (1 - inside)
        centre = np.log(inside / (1 - inside))
        low, high = 1 / (1 + np.exp([reach - centre, -reach - centre]))
        return Interval(float(self.lowest + width * low), float(self.lowest + width * high))

    def __str__(self) -> str:
        """Return the figure and its interval: ``0.612 [0.55, 0.67]``."""
        return f"{self.value:.3f}" if self.interval is None else f"{self.value:.3f} {self.interval}"

    @property
    def negated(self) -> Score:
        """The negative figure with its interval."""
        ends = self.percentiles
        return replace(
            self,
            value=-self.value,
            lowest=-self.highest,
            highest=-self.lowest,
            percentiles=None if ends is None else Interval(-ends.high, -ends.low),
        )


@dataclass(frozen=True)
class Evaluation:
    """All figures of one model on one set of test rows.

    Attributes
    ----------
    emotions : tuple of str
        The order of rows and columns of `confusion`.
    confusion : ndarray of shape (n_emotions, n_emotions)
        Clips by true (row) and predicted (column) emotion.
    clips, speakers : int
        How many there are among the rows.
    effective_speakers : float
        Number of equally large speakers with the same information; see `effective`.
    scores : dict of str to Score
        By name in `METRICS`: the mean over corpora of the metric within each corpus.
    pooled : dict of str to Score
        The metric on all rows together, for sources that report it so; `scores` in one corpus.
    by_speaker : dict of str to dict of str to float
        Each speaker's own figures, by metric.
    corpora : dict of str to Evaluation
        The same within each corpus, by name; empty within one.
    """

    emotions: tuple[str, ...]
    confusion: Counts
    clips: int
    speakers: int
    effective_speakers: float
    scores: dict[str, Score]
    pooled: dict[str, Score]
    by_speaker: dict[str, dict[str, float]]
    corpora: dict[str, Evaluation] = field(default_factory=dict)

    @property
    def small(self) -> tuple[str, ...]:
        """The corpora with too few speakers for an interval."""
        return tuple(
            name
            for name, part in self.corpora.items()
            if not enough(part.speakers, part.effective_speakers)
        )

    @property
    def emotions_present(self) -> int:
        """Number of emotions that the rows have."""
        return int((self.confusion.sum(axis=1) > 0).sum())

    @property
    def per_emotion(self) -> pd.DataFrame:
        """Precision, recall, F1 and support (clips), a row an emotion."""
        return pd.DataFrame(
            {
                "precision": precisions(self.confusion),
                "recall": recalls(self.confusion),
                "f1": f1_scores(self.confusion),
                "support": self.confusion.sum(axis=-1),
            },
            index=pd.Index(self.emotions, name="emotion"),
        )


@dataclass(frozen=True)
class Difference:
    """The difference of two sets of predictions by each metric.

    Attributes
    ----------
    scores : dict of str to Score
        Of the means over corpora.
    pooled : dict of str to Score
        Of the metric on all rows together.
    """

    scores: dict[str, Score]
    pooled: dict[str, Score]


def evaluate(
    predictions: pd.DataFrame, emotions: Sequence[str], seed: int, resamples: int = RESAMPLES
) -> Evaluation:
    """Return all figures of one model on one set of test rows, over corpora and in each of them.

    Standard errors are of a cluster bootstrap, stratified by corpus: whole speakers are drawn with
    replacement (Efron & Tibshirani 1993, An Introduction to the Bootstrap; Field & Welsh 2007,
    Bootstrapping clustered data), since the clips of one speaker are alike.

    Parameters
    ----------
    predictions : DataFrame of shape (n_rows, ...)
        Rows of one protocol and model: clip, corpus, speaker, emotion, and p_<emotion> for each.
    emotions : sequence of str
        The study's emotions.
    seed : int
        From `bootstrap_seed`. Models evaluated with the same seed see the same speakers drawn.
    resamples : int
        Of each corpus; fewer for simulations, which average over many data sets.

    Raises
    ------
    BenchmarkError
        If there are no rows, or one has an emotion that is not among `emotions`.
    """
    corpora = _strata([predictions], emotions, seed, resamples)
    whole = _evaluation(corpora, emotions)
    if len(corpora) == 1:
        return replace(whole, corpora={corpora[0].corpus: whole})
    parts = {one.corpus: _evaluation([one], emotions) for one in corpora}
    return replace(whole, corpora=parts)


def score_of(predictions: pd.DataFrame, emotions: Sequence[str], metric: str, seed: int) -> Score:
    """Return the mean over corpora of one metric, as `evaluate` does, without all other figures.

    Parameters
    ----------
    predictions : DataFrame of shape (n_rows, ...)
    emotions : sequence of str
    metric : str
        A name in `METRICS`.
    seed : int
        From `bootstrap_seed`.

    Raises
    ------
    BenchmarkError
        As `evaluate`.
    """
    return _mean(_strata([predictions], emotions, seed, RESAMPLES), METRICS[metric])


def paired_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    emotions: Sequence[str],
    seed: int,
    resamples: int = RESAMPLES,
) -> Difference:
    """Return the difference of two sets of predictions for the same speakers, resampled together.

    Parameters
    ----------
    first, second : DataFrame of shape (n_rows, ...)
        As `evaluate` takes them, of the same speakers.
    emotions : sequence of str
    seed : int
        From `bootstrap_seed`.
    resamples : int
        As `evaluate` takes it.

    Raises
    ------
    BenchmarkError
        If the two have different speakers.
    """
    if set(first["speaker"].unique()) != set(second["speaker"].unique()):
        raise BenchmarkError("A paired difference needs the same speakers on both sides.")
    corpora = _strata([first, second], emotions, seed, resamples)
    return Difference(
        {name: _mean(corpora, metric) for name, metric in METRICS.items()},
        {name: _pooled(corpora, metric) for name, metric in METRICS.items()},
    )


def independent_difference(first: Score, second: Score) -> Score:
    """Return the difference of two scores on different speakers."""
    width = first.highest - first.lowest
    value = first.value - second.value
    if first.error is None or second.error is None:
        return Score(value, lowest=-width, highest=width)
    error, freedom = combined([first.error, second.error], [first.freedom, second.freedom])
    return Score(value, error, freedom, lowest=-width, highest=width)


def bootstrap_seed(seed: int, *names: str) -> int:
    """Return a seed for the resamples of one thing, derived from the study's seed and its names."""
    return derive_seed(seed, "bootstrap", *names)


def effective(clips: NDArray[np.int64]) -> float:
    """Return the effective number of speakers with these numbers of clips.

    It is the effective sample size of unequal weights, the square of their sum over the sum of
    their squares (Kish 1965, Survey Sampling): eight speakers, one of them with three quarters of
    the clips, count as 1.7.

    Examples
    --------
    >>> effective(np.array([60, 60, 60]))
    3.0
    """
    return float(clips.sum() ** 2 / np.square(clips).sum())


def enough(speakers: int, effective_speakers: float) -> bool:
    """Whether speakers suffice for an interval, by their number and that of `effective`."""
    return speakers >= FEWEST_SPEAKERS and round(effective_speakers) >= FEWEST_SPEAKERS


def resample_groups(by_group: Counts, seed: int, resamples: int) -> Iterator[Counts]:
    """Yield the counts of some draws of as many groups as there are, in blocks.

    The first axis of `by_group` is the groups; the same seed draws the same groups, whatever is
    counted.
    """
    # Numbers of clips are exact as floats, whose product of matrices is the fast one.
    for drawn in resample_sums(by_group.astype(np.float64), seed, resamples):
        yield np.rint(drawn).astype(np.int64)


def resample_sums(by_group: Floats, seed: int, resamples: int) -> Iterator[Floats]:
    """Yield the sums over some draws of as many groups as there are; see `resample_groups`."""
    n_groups, *shape = by_group.shape
    flat = by_group.reshape(n_groups, -1)
    times = _times(n_groups, seed, resamples)
    for start in range(0, resamples, BLOCK):
        drawn = times[start : start + BLOCK].astype(np.float64) @ flat
        yield drawn.reshape(-1, *shape)


@lru_cache(maxsize=8)
def _times(n_groups: int, seed: int, resamples: int) -> NDArray[np.uint16]:
    """Return how often each resample contains each group, of shape (resamples, n_groups)."""
    rng = np.random.default_rng(seed)
    times = np.empty((resamples, n_groups), dtype=np.uint16)
    for block in np.split(times, range(BLOCK, resamples, BLOCK)):
        # Counting drawn groups takes a tenth of the time of multinomial draws of many groups.
        drawn = rng.integers(n_groups, size=block.shape)
        drawn += n_groups * np.arange(len(block))[:, None]
        block[:] = np.bincount(drawn.ravel(), minlength=block.size).reshape(block.shape)
    return times


def standard_error(draws: Floats, effective_speakers: float) -> float:
    """Return the standard error of a figure from its resamples.

    The standard deviation of resamples of n speakers is too small by a factor of sqrt((n - 1) / n)
    (Hesterberg 2015, What teachers should know about the bootstrap, The American Statistician 69).
    n is the effective number of speakers, since a speaker with most of the clips decides most of
    the figure.
    """
    return float(np.std(draws) * np.sqrt(effective_speakers / (effective_speakers - 1)))


@dataclass(frozen=True)
class _Stratum:
    """The rows of one corpus: a table per side, one or two of them to be subtracted.

    Attributes
    ----------
    corpus : str
    sides : list of DataFrame
    emotions : sequence of str
    speakers : list of str
    counts : ndarray of shape (n_speakers, n_sides, n_emotions, n_emotions)
    others : ndarray of shape (n_sides, n_emotions, n_emotions)
        Counts of the other corpora.
    seed, resamples : int
    """

    corpus: str
    sides: list[pd.DataFrame]
    emotions: Sequence[str]
    speakers: list[str]
    counts: Counts
    others: Counts
    seed: int
    resamples: int

    @property
    def total(self) -> Counts:
        """Counts over all speakers."""
        return np.asarray(self.counts.sum(axis=0))

    @cached_property
    def effective(self) -> float:
        """The effective number of speakers, by their rows on both sides."""
        return effective(self.counts.sum(axis=(1, 2, 3)))

    @property
    def sampled(self) -> bool:
        """Whether the speakers suffice to resample them."""
        return enough(len(self.speakers), self.effective)

    @cached_property
    def draws(self) -> _Draws:
        """The figures, or their differences, on each resample of the speakers."""
        within: dict[str, list[Floats]] = {name: [] for name in METRICS}
        pooled: dict[str, list[Floats]] = {name: [] for name in METRICS}
        for drawn in resample_groups(self.counts, self.seed, self.resamples):
            for name, metric in METRICS.items():
                within[name].append(difference(metric, drawn))
                if self.others.any():
                    pooled[name].append(difference(metric, drawn + self.others))
        joined = [
            {name: np.concatenate(parts) for name, parts in kind.items() if parts}
            for kind in (within, pooled)
        ]
        return _Draws(*joined)

    @cached_property
    def clips(self) -> _Clips:
        """The cells of the confusion counts that the clips are in."""
        size = len(self.emotions)
        order = pd.Index(self.emotions)
        columns = [f"p_{emotion}" for emotion in self.emotions]
        clips = pd.concat([rows[["clip", "speaker", "emotion"]] for rows in self.sides])
        clips = clips.drop_duplicates("clip")
        names = pd.Index(clips["clip"])
        speakers = pd.Index(self.speakers).get_indexer(pd.Index(clips["speaker"]))
        return _Clips(
            of_rows=[names.get_indexer(pd.Index(rows["clip"])) for rows in self.sides],
            cells=[
                order.get_indexer(pd.Index(rows["emotion"])) * size
                + rows[columns].to_numpy().argmax(axis=1)
                for rows in self.sides
            ],
            groups=speakers * size + order.get_indexer(pd.Index(clips["emotion"])),
        )

    def clip_error(self, total: Counts, metric: Metric) -> float:
        """Return the standard error due to the choice of clips of these very speakers.

        By the delta method: each clip moves the metric on `total` by what one more clip in its cell
        adds, and clips vary within speaker and emotion.
        """
        size = len(self.emotions)
        one_more = np.eye(size * size, dtype=np.int64).reshape(-1, size, size)
        effects = np.zeros(len(self.clips.groups))
        for side, counts in enumerate(total):
            moved = metric.of_counts(counts + one_more) - metric.of_counts(counts)
            rows = moved[self.clips.cells[side]] * (1 - 2 * side)
            effects += np.bincount(self.clips.of_rows[side], rows, len(effects))
        n = np.bincount(self.clips.groups)
        sums, squares = (np.bincount(self.clips.groups, effects**power) for power in (1, 2))
        several = n > 1
        off = (squares - sums**2 / np.maximum(n, 1))[several]
        return float(np.sqrt(np.maximum(off, 0.0) @ (n[several] / (n[several] - 1))))


class _Draws(NamedTuple):
    """Figures on each resample by metric: within the corpus, and of all corpora pooled."""

    within: dict[str, Floats]
    pooled: dict[str, Floats]


class _Clips(NamedTuple):
    """The clips of a corpus, and by side its rows.

    Attributes
    ----------
    of_rows : list of ndarray
        By side: the clip of each row.
    cells : list of ndarray
        By side: the cell of the confusion counts that each row is in.
    groups : ndarray of shape (n_clips,)
        Speaker and emotion of each clip.
    """

    of_rows: list[NDArray[np.int64]]
    cells: list[NDArray[np.int64]]
    groups: NDArray[np.int64]


def difference(metric: Metric, counts: Counts) -> Floats:
    """Return the metric of one side, or the difference of two; `counts` ends with (sides, e, e)."""
    values = metric.of_counts(counts)
    return values[..., 0] if values.shape[-1] == 1 else values[..., 0] - values[..., 1]


def _strata(
    sides: Sequence[pd.DataFrame], emotions: Sequence[str], seed: int, resamples: int
) -> list[_Stratum]:
    """Return the rows by corpus, in the order of their names."""
    if not all(map(len, sides)):
        raise BenchmarkError("There are no predictions to evaluate.")
    found = []
    for corpus in sorted(sides[0]["corpus"].unique()):
        own = [rows[rows["corpus"] == corpus] for rows in sides]
        speakers = pd.Index(sorted(own[0]["speaker"].unique()))
        counts = np.zeros((len(speakers), len(sides), len(emotions), len(emotions)), dtype=np.int64)
        for side, rows in enumerate(own):
            numbers = speakers.get_indexer(pd.Index(rows["speaker"]))
            counts[:, side] = counts_by(numbers, rows, emotions)
        name = str(corpus)
        part = bootstrap_seed(seed, name)
        none = np.zeros_like(counts[0])
        found.append(
            _Stratum(name, own, emotions, [*map(str, speakers)], counts, none, part, resamples)
        )
    total = np.sum([one.total for one in found], axis=0)
    return [replace(one, others=total - one.total) for one in found]


def _evaluation(corpora: Sequence[_Stratum], emotions: Sequence[str]) -> Evaluation:
    speakers = np.concatenate([one.counts[:, 0] for one in corpora])
    names = [name for one in corpora for name in one.speakers]
    own = {name: metric.of_counts(speakers) for name, metric in METRICS.items()}
    scores = {name: _mean(corpora, metric) for name, metric in METRICS.items()}
    return Evaluation(
        emotions=tuple(emotions),
        confusion=speakers.sum(axis=0),
        clips=sum(int(one.sides[0]["clip"].nunique()) for one in corpora),
        speakers=len(speakers),
        effective_speakers=effective(speakers.sum(axis=(1, 2))),
        scores=scores,
        pooled={name: _pooled(corpora, metric) for name, metric in METRICS.items()}
        if len(corpora) > 1
        else scores,
        by_speaker={
            speaker: {name: float(values[place]) for name, values in own.items()}
            for place, speaker in enumerate(names)
        },
    )


def _mean(corpora: Sequence[_Stratum], metric: Metric) -> Score:
    """Return the mean over corpora of a metric, or of its difference, with its interval."""
    values = {one.corpus: float(difference(metric, one.total)) for one in corpora}
    errors, deviations = {}, []
    for one in corpora:
        if one.sampled:
            draws = one.draws.within[metric.name]
            errors[one.corpus] = standard_error(draws, one.effective) / len(corpora)
            deviations.append((draws - values[one.corpus]) / len(corpora))
        elif len(corpora) > 1:
            errors[one.corpus] = one.clip_error(one.total, metric) / len(corpora)
    return _score(corpora, metric, float(np.mean([*values.values()])), errors, deviations)


def _pooled(corpora: Sequence[_Stratum], metric: Metric) -> Score:
    """Return a metric on all rows together, or its difference, with its interval.

    The corpora are resampled one at a time: their contributions to the error are independent.
    """
    if len(corpora) == 1:
        return _mean(corpora, metric)
    total = corpora[0].total + corpora[0].others
    value = float(difference(metric, total))
    errors, deviations = {}, []
    for one in corpora:
        if one.sampled:
            draws = one.draws.pooled[metric.name]
            errors[one.corpus] = standard_error(draws, one.effective)
            deviations.append(draws - value)
        else:
            errors[one.corpus] = one.clip_error(total, metric)
    return _score(corpora, metric, value, errors, deviations)


def _score(
    corpora: Sequence[_Stratum],
    metric: Metric,
    value: float,
    errors: Mapping[str, float],
    deviations: Sequence[Floats],
) -> Score:
    """Return a figure with its interval from what each corpus adds to its error.

    Parameters
    ----------
    corpora : sequence of _Stratum
    metric : Metric
    value : float
    errors : mapping of str to float
        By corpus.
    deviations : sequence of ndarray
        Of the resamples of each corpus that is resampled.
    """
    paired = len(corpora[0].sides) == 2
    lowest, highest = (-metric.width, metric.width) if paired else (metric.low, metric.high)
    fixed = tuple(one.corpus for one in corpora if not one.sampled)
    if not deviations:
        return Score(value, fixed=fixed, lowest=lowest, highest=highest)
    freedoms = [
        one.effective - 1 if one.sampled else float(one.counts[:, 0].sum()) for one in corpora
    ]
    error, freedom = combined([errors[one.corpus] for one in corpora], freedoms)
    ends = np.quantile(value + np.sum(deviations, axis=0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    percentiles = Interval(*map(float, ends))
    return Score(value, error, freedom, fixed, lowest, highest, percentiles)


def combined(errors: Sequence[float], freedoms: Sequence[float]) -> tuple[float, float]:
    """Return standard error and degrees of freedom of a sum of independent figures.

    The degrees of freedom are Welch's (1947, The generalization of "Student's" problem, Biometrika
    34).
    """
    squares = np.square(errors)
    total = float(squares.sum())
    if total == 0:
        return 0.0, min(freedoms)
    return float(np.sqrt(total)), total**2 / float((squares**2 / freedoms).sum())
