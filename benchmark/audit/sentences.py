"""Checks of what is said: sentences that tell the emotion, and sentences on both sides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmark.audit.effect import effect_of
from benchmark.audit.evidence import Check, Evidence, Finding, keeps_apart
from benchmark.evaluation.text import association

STATEMENT = "statement"


def telling_sentences(evidence: Evidence) -> Iterator[Finding]:
    """Yield corpora whose sentences tell the emotion of most clips."""
    spoken = evidence.clips[evidence.clips[STATEMENT] != ""]
    for corpus, rows in spoken.groupby("corpus"):
        found = association(str(corpus), rows[STATEMENT], rows["emotion"])
        if found.tells_emotion:
            yield Finding(
                "telling-sentences",
                "doubt",
                str(corpus),
                f"{100 * found.tied:.0f} % of the clips have a sentence that is spoken with one "
                f"emotion only (Cramér's V {found.cramers_v:.2f}). A model that knows the sentence "
                "can name the emotion without hearing how it is spoken.",
                "Test on sentences that are not in training: protocol speaker+text-independent.",
            )


def shared_sentences(evidence: Evidence) -> Iterator[Finding]:
    """Yield protocols in which sentences are on both sides."""
    sentences = (evidence.clips["corpus"] + "\0" + evidence.clips[STATEMENT]).to_numpy()
    known = (evidence.clips[STATEMENT] != "").to_numpy()
    for protocol, splits in evidence.protocols.items():
        left_out = [
            split.train & known & np.isin(sentences, sentences[split.test]) for split in splits
        ]
        n_known = sum(
            int((split.test & known & np.isin(sentences, sentences[split.train])).sum())
            for split in splits
        )
        if not n_known:
            continue
        n_tested = sum(int(split.test.sum()) for split in splits)
        promised = keeps_apart(protocol, STATEMENT)
        yield Finding(
            "shared-sentences",
            "leak" if promised else "note",
            protocol,
            f"{n_known:,} of {n_tested:,} test clips have a sentence that is in training, too.",
            "Say so beside the figure; text-independent protocols measure what a new sentence "
            "costs.",
            effect_of(evidence, splits, left_out),
        )


def _needs_sentences(evidence: Evidence) -> str:
    return "" if evidence.known(STATEMENT) else "sentences (a column statement)"


def _needs_both(evidence: Evidence) -> str:
    return _needs_sentences(evidence) or ("" if evidence.splits else "training and test sides")


CHECKS = (
    Check(
        "telling-sentences", "Sentences that tell the emotion", telling_sentences, _needs_sentences
    ),
    Check("shared-sentences", "Sentences on both sides", shared_sentences, _needs_both),
)
