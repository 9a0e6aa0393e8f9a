"""Checks of the labels: contradictions, features made from them, and balance."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.audit.evidence import SPEAKER, Check, Evidence, Finding, nothing
from benchmark.data.guards import telling_columns

UNBALANCED = 3.0
"""Ratio of the largest to the smallest number of clips above which balance is worth a note."""


def contradictions(evidence: Evidence) -> Iterator[Finding]:
    """Yield recordings that are there with two emotions or speakers."""
    known = evidence.clips[evidence.clips["samples"] != ""]
    for column in ("emotion", SPEAKER):
        several = known.groupby("samples")[column].nunique()
        wrong = known[known["samples"].isin(several.index[several > 1])]
        n_wrong = int((several > 1).sum())
        if len(wrong):
            rows = wrong.sort_values(["samples", "clip"])[["clip", column]]
            yield Finding(
                "contradicting-recordings",
                "leak",
                "",
                f"{n_wrong:,} {'recording has' if n_wrong == 1 else 'recordings have'} more than "
                f"one {column}.",
                "Remove the wrong ones.",
                None,
                ("Clip", column.capitalize()),
                tuple(tuple(map(str, row)) for row in rows.itertuples(index=False)),
            )


def label_columns(evidence: Evidence) -> Iterator[Finding]:
    """Yield features that alone tell the emotion of every row."""
    assert evidence.own is not None, "the check needs a table of features"
    columns, emotions = evidence.own.columns, evidence.clips["emotion"]
    telling = telling_columns(evidence.own.values, columns, emotions)
    if telling:
        yield Finding(
            "label-columns",
            "leak",
            "",
            f"{len(telling):,} of {len(columns):,} features alone tell the emotion of "
            "every row, as the label itself does.",
            "Remove what is made from the label.",
            None,
            ("Feature",),
            tuple((name,) for name in telling),
        )


def balance(evidence: Evidence) -> Iterator[Finding]:
    """Yield corpora in which emotions or speakers have very different numbers of clips."""
    for corpus, rows in evidence.clips.groupby("corpus"):
        for column in ("emotion", SPEAKER):
            numbers = rows[column].value_counts()
            if numbers.max() > UNBALANCED * numbers.min():
                yield Finding(
                    "balance",
                    "note",
                    str(corpus),
                    f"Clips of {_article(column)}: from {numbers.min():,} "
                    f"({numbers.index[-1]}) to {numbers.max():,} ({numbers.index[0]}).",
                    "Report UAR; accuracy mostly depends on the emotions with most clips."
                    if column == "emotion"
                    else "Intervals by speaker take the unequal numbers into account.",
                    None,
                    (column.capitalize(), "Clips"),
                    tuple((str(name), f"{number:,}") for name, number in numbers.items()),
                )


def _article(column: str) -> str:
    return "an emotion" if column == "emotion" else f"a {column}"


def _needs_own_features(evidence: Evidence) -> str:
    return "" if evidence.own is not None else "a table of your own features"


CHECKS = (
    Check("contradicting-recordings", "One recording, two labels", contradictions, nothing),
    Check("label-columns", "Features that are the label", label_columns, _needs_own_features),
    Check("balance", "Balance of emotions and speakers", balance, nothing),
)
