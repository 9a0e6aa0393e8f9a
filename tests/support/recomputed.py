"""The definition of the published figures, with pandas and scikit-learn alone.

This file imports nothing of the package. It reads `predictions.parquet`, `study.json` and
`trials.csv` of a study.

- The predicted emotion is the most probable one, the first of equals in alphabetical order.
- A score is a metric within each corpus, on the test clips of all outer folds together, then the
  mean over corpora. Recalls and F1 scores are averaged over the emotions that the clips have.
- The selected model has the best CV score of its split. If outer folds select different models,
  "selected per outer fold" has on each fold the predictions of the model selected there.
- The SD–SI gap is the difference of two scores on the clips tested under both protocols.
- A claim is compared with the metric on all test clips together (pooled over corpora).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from math import sqrt
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

RESULTS = Path(__file__).parents[2] / "reports" / "results"
NAMES = sorted(path.name for path in RESULTS.iterdir() if path.is_dir())

METRICS = ("UAR", "Accuracy", "Macro F1", "Weighted F1")
SD, SI = "speaker-dependent", "speaker-independent"
BASELINE = "majority"
PER_FOLD = "selected per outer fold"
LISTED_SPEAKERS = 8
"""So many speakers' own figures stand beside a figure without an interval."""


class Figure(NamedTuple):
    """A figure, and what decides whether it may have an interval."""

    value: float
    most_speakers: int  # of any corpus
    own: tuple[float, ...] = ()  # figures of the speakers, where one corpus has few of them


def metrics(rows: pd.DataFrame) -> dict[str, float]:
    """Return each metric on all rows together."""
    truth, predicted = rows["emotion"].to_numpy(), rows["predicted"].to_numpy()
    _, recalls, f1_scores, clips = precision_recall_fscore_support(
        truth, predicted, labels=sorted(set(truth)), zero_division=0
    )
    return {
        "UAR": recalls.mean(),
        "Accuracy": accuracy_score(truth, predicted),
        "Macro F1": f1_scores.mean(),
        "Weighted F1": (f1_scores * clips).sum() / clips.sum(),
    }


def pooled(rows: pd.DataFrame) -> dict[str, Figure]:
    """Return each metric on the clips of all corpora together."""
    most = int(rows.groupby("corpus")["speaker"].nunique().max())
    return {name: Figure(value, most) for name, value in metrics(rows).items()}


def by_corpus(rows: pd.DataFrame, *, listed: bool = False) -> dict[str, dict[str, Figure]]:
    """Return each metric within each corpus; if `listed`, with the figures of few speakers."""
    found = {}
    for name, part in rows.groupby("corpus"):
        figures = pooled(part)
        if listed and 1 < figures[METRICS[0]].most_speakers <= LISTED_SPEAKERS:
            own = pd.DataFrame([metrics(speaker) for _, speaker in part.groupby("speaker")])
            figures = {key: one._replace(own=tuple(own[key])) for key, one in figures.items()}
        found[str(name)] = figures
    return found


def mean_over_corpora(corpora: Mapping[str, Mapping[str, Figure]]) -> Mapping[str, Figure]:
    """Return the mean over corpora of each metric: each corpus has the same weight."""
    if len(corpora) == 1:
        return next(iter(corpora.values()))
    found = {name: [one[name] for one in corpora.values()] for name in METRICS}
    return {
        name: Figure(fmean(one.value for one in parts), max(one.most_speakers for one in parts))
        for name, parts in found.items()
    }


def score(rows: pd.DataFrame, *, listed: bool = False) -> Mapping[str, Figure]:
    """Return the mean over corpora of each metric within each corpus; `listed` as above."""
    return mean_over_corpora(by_corpus(rows, listed=listed))


class Claim(NamedTuple):
    """A reported figure, and ours under the protocol of the source and speaker-independent."""

    protocol: str
    reported: float
    measured: Figure | None
    independent: Figure | None  # None if this is the protocol of the source
    gap: Figure | None
    comparable: bool
    allowance: float | None  # what sampling allows of a shortfall, where clips are drawn at random

    @property
    def consistent(self) -> bool:
        """Whether our figure is not below the reported one by more than sampling allows."""
        assert self.measured is not None
        assert self.allowance is not None, "the definition lacks claims of other protocols"
        return self.measured.value >= self.reported - self.allowance


class Study:
    """A stored study.

    Attributes
    ----------
    tested : dict of (str, str) to DataFrame
        The test rows by protocol and model, with the model selected per outer fold.
    selections : DataFrame
        The winner with the best CV score on each split, the first of equals.
    selected : dict of str to str
        The selected model by protocol.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.record: dict[str, Any] = json.loads((RESULTS / name / "study.json").read_text("utf-8"))
        self.settings: dict[str, Any] = self.record["settings"]
        self.winners = pd.DataFrame(self.record["winners"])
        folds = ["part"] if "part" in self.winners else []
        self.winners["part"] = self.winners["part"].fillna("") if folds else ""
        emotions = sorted(self.settings["emotions"])
        probabilities = [f"p_{emotion}" for emotion in emotions]
        named = ["protocol", *folds, "model", "clip", "corpus", "speaker", "emotion"]
        rows = pd.read_parquet(
            RESULTS / name / "predictions.parquet", columns=named + probabilities
        )
        # Emotions by number: scikit-learn compares numbers faster than words.
        rows["emotion"] = pd.Index(emotions).get_indexer(rows["emotion"])
        rows["predicted"] = rows[probabilities].to_numpy().argmax(axis=1)
        rows = rows.drop(columns=probabilities).assign(part=rows["part"] if folds else "")
        self.protocols = set(rows["protocol"])

        models = self.winners[self.winners["model"] != BASELINE]
        best = models.groupby(["protocol", "part"], sort=False)["score"].idxmax()
        self.selections = models.loc[best]
        by_protocol = self.selections.groupby("protocol")["model"].unique()
        self.selected = {
            protocol: found[0] if len(found) == 1 else PER_FOLD
            for protocol, found in by_protocol.items()
        }
        varying = [protocol for protocol, model in self.selected.items() if model == PER_FOLD]
        per_fold = rows[rows["protocol"].isin(varying)].merge(
            self.selections[["protocol", "part", "model"]]
        )
        rows = pd.concat([rows, per_fold.assign(model=PER_FOLD)])
        self.tested = dict(iter(rows.groupby(["protocol", "model"], sort=False)))

    @property
    def trials(self) -> pd.DataFrame:
        """All trials of the searches."""
        return pd.read_csv(RESULTS / self.name / "trials.csv", keep_default_na=False)

    @property
    def models(self) -> set[str]:
        """All models, also the one that is selected per outer fold."""
        return {model for _, model in self.tested}

    @property
    def has_gap(self) -> bool:
        """Whether the study is both speaker-dependent and speaker-independent."""
        return {SD, SI} <= self.protocols

    @property
    def leading(self) -> str:
        """The protocol that decides the order of models."""
        return SI if SI in self.protocols else str(self.settings["split"]["protocols"][0])

    @property
    def corpora(self) -> dict[str, dict[str, Any]]:
        """The tested corpora."""
        found: dict[str, dict[str, Any]] = self.record["data"]["corpora"]
        absent = ("auxiliary", "left_out")
        return {name: one for name, one in found.items() if not any(map(one.get, absent))}

    @property
    def generated(self) -> bool:
        """Whether it is of synthetic speech."""
        return any(one.get("generated") for one in self.corpora.values())

    def side(self, protocol: str) -> pd.DataFrame:
        """Return the test rows of one of the models; all have the same clips."""
        return next(rows for (name, _), rows in self.tested.items() if name == protocol)

    @cache  # noqa: B019
    def by_corpus(self, protocol: str, model: str) -> dict[str, dict[str, Figure]]:
        """Return the figures of a model within each corpus; empty if it was not tested."""
        rows = self.tested.get((protocol, model))
        return {} if rows is None else by_corpus(rows, listed=True)

    def scores(self, protocol: str, model: str, corpus: str = "") -> Mapping[str, Figure | None]:
        """Return the scores of a model by metric: within one corpus, or the means over corpora."""
        corpora = self.by_corpus(protocol, model)
        if corpus:
            return corpora.get(corpus) or dict.fromkeys(METRICS)
        return mean_over_corpora(corpora) if corpora else dict.fromkeys(METRICS)

    @cache  # noqa: B019
    def gap(
        self,
        dependent: str,
        independent: str,
        of: Callable[[pd.DataFrame], Mapping[str, Figure]] = score,
    ) -> Mapping[str, Figure | None]:
        """Return the SD score of a model minus the SI score of a model, by metric."""
        first, second = self.tested.get((SD, dependent)), self.tested.get((SI, independent))
        if first is None or second is None or not (common := {*first["clip"]} & {*second["clip"]}):
            return dict.fromkeys(METRICS)
        one, other = (of(side[side["clip"].isin(common)]) for side in (first, second))
        return {
            name: Figure(one[name].value - other[name].value, one[name].most_speakers)
            for name in METRICS
        }

    @cached_property
    def claims(self) -> dict[str, Claim]:
        """The figures that the source reports, by model."""
        source = self.settings["claims"]
        return {model: self._claim(source, model) for model in source["values"]} if source else {}

    def _claim(self, source: dict[str, Any], model: str) -> Claim:
        protocol, reported = source["protocol"], source["values"][model]
        metric = next(one for one in METRICS if one.lower().replace(" ", "_") == source["metric"])
        ours, elsewhere = (self.tested.get((name, model)) for name in (protocol, SI))
        measured = None if ours is None else pooled(ours)[metric]
        independent = None if elsewhere is None or protocol == SI else pooled(elsewhere)[metric]
        allowance = None
        if ours is not None and protocol == SD and metric == "Accuracy":
            splits = self.record["data"]["splits"].items()
            sides = [one["test"]["clips"] for name, one in splits if name.split("/")[0] == protocol]
            theirs = source["test_clips"] or fmean(sides)
            both = 1 / ours["clip"].nunique() + 1 / theirs
            allowance = 1.96 * sqrt(reported * (1 - reported) * both)
        data = self.record["data"]["corpora"].values()
        complete = not any(one.get("left_out") or one.get("missing") for one in data)
        return Claim(
            protocol,
            reported,
            measured,
            independent,
            self.gap(model, model, pooled)[metric] if protocol == SD else None,
            measured is not None and complete and model not in source["not_comparable"],
            allowance,
        )


@cache
def stored(name: str) -> Study:
    """Return a stored study, read once."""
    return Study(name)
