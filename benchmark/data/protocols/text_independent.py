"""Text-independent: no test sentence occurs in training.

The names are those of Atmaja and Sasou (arXiv 2210.14501), who found that a sentence not in
training costs more than a speaker not in training.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmark.data.protocols.identities import SENTENCE, identities
from benchmark.data.protocols.protocol import INNER, OUTER, Folds, Mask, Positions, Protocol
from benchmark.data.protocols.speaker_dependent import divide_clips
from benchmark.data.protocols.speaker_independent import divide_speakers, hold_out_speakers
from benchmark.errors import BenchmarkError

SENTENCE_GROUPS = 3
"""Groups of sentences that cross the folds of speakers.

Two leave half of the sentences to learn from; each further group multiplies the searches. Three
leave two thirds, and divide SAVEE evenly: a third of the clips of each emotion are in each group.
"""


def divide_sentences(
    clips: pd.DataFrame, n_folds: int, seed: int, folds_of: Folds = INNER
) -> Positions:
    """Deal the sentences of each corpus to folds, so that these have alike clips of each emotion.

    A corpus with fewer sentences than folds lies in as many as it has. If no corpus has as many,
    there are fewer folds. A training side with one sentence of each corpus is divided into inner
    folds by clips, since no other sentence is left to validate on.
    """
    sentences = _sentences(clips)
    counts = sentences.groupby("corpus")["sentence"].nunique().sort_index()
    if counts.max() < 2 and folds_of is INNER:
        return divide_clips(clips, n_folds, seed, folds_of)
    if counts.max() < 2:
        raise BenchmarkError(
            f"{folds_of.of} has one sentence only of {', '.join(counts.index)}, so no other "
            'sentence is left to test on. Take split.protocols = ["speaker-independent"].'
        )
    n_folds = min(n_folds, int(counts.max()))
    rng = np.random.default_rng((seed, n_folds))
    fold = np.full(len(clips), -1, dtype=np.intp)
    for corpus, count in counts.sort_values(ascending=False, kind="stable").items():
        members = (sentences["corpus"] == corpus).to_numpy()
        load = np.bincount(fold[fold >= 0], minlength=n_folds)
        emptiest = np.argsort(load, kind="stable")[:count]
        fold_of = _dealt(sentences[members], emptiest, rng)
        fold[members] = sentences.loc[members, "sentence"].map(fold_of)
    return fold


def sentence_groups(clips: pd.DataFrame, seed: int) -> Positions:
    """Return the group of each clip's sentence; one group if each corpus has one sentence only."""
    sentences = _sentences(clips)
    if sentences.groupby("corpus")["sentence"].nunique().max() < 2:
        return np.zeros(len(clips), dtype=np.intp)
    return divide_sentences(clips, SENTENCE_GROUPS, seed, OUTER)


def hold_out_sentences(clips: pd.DataFrame, test_size: float, seed: int) -> Mask:
    """Draw a share of each corpus's sentences, those of equal emotions evenly: at least one."""
    drawn: Mask = divide_sentences(clips, max(2, round(1 / test_size)), seed, OUTER) == 0
    return drawn


def hold_out_both(clips: pd.DataFrame, test_size: float, seed: int) -> Mask:
    """Draw test speakers, and of their clips those of one group of sentences."""
    sentences = divide_sentences(clips, SENTENCE_GROUPS, seed, OUTER)
    both: Mask = hold_out_speakers(clips, test_size, seed) & (sentences == 0)
    return both


def _dealt(
    sentences: pd.DataFrame, folds: Positions, rng: np.random.Generator
) -> dict[str, np.intp]:
    """Return the fold of each sentence: the one with the fewest clips of its emotions.

    Sentences of most emotions are dealt first, those of the same emotions in random order.
    """
    clips = pd.crosstab(sentences["sentence"], sentences["emotion"])
    emotions = clips.gt(0).apply(lambda row: tuple(clips.columns[row]), axis=1)
    alike = sorted(
        emotions.groupby(emotions).groups.items(), key=lambda one: (-len(one[0]), one[0])
    )
    dealt = np.zeros((len(folds), clips.shape[1]), dtype=np.int64)
    fold_of = {}
    for _, names in alike:
        for name in rng.permutation(sorted(names)):
            own = clips.loc[name].to_numpy()
            of_its_emotions = dealt[:, own > 0].sum(axis=1)
            place = np.lexsort((dealt.sum(axis=1), of_its_emotions))[0]
            dealt[place] += own
            fold_of[str(name)] = folds[place]
    return fold_of


def _sentences(clips: pd.DataFrame) -> pd.DataFrame:
    """Return sentence, corpus and emotion of each clip; those that share a recording are one."""
    unknown = clips[clips[SENTENCE] == ""] if SENTENCE in clips else clips
    if len(unknown):
        raise BenchmarkError(
            f"the sentence of {len(unknown)} clips is unknown, the first {unknown['clip'].iloc[0]}."
            " Leave their corpus out, or name each sentence in a column statement of your table."
        )
    names = identities(clips, SENTENCE)
    corpora = clips.groupby(names)["corpus"].min()
    return pd.DataFrame(
        {
            "sentence": names,
            "corpus": corpora.loc[names].to_numpy(),
            "emotion": clips["emotion"].to_numpy(),
        }
    )


TEXT_INDEPENDENT = Protocol(
    name="text-independent",
    title="text-independent",
    abbreviation="TI",
    description="no test sentence occurs in training, but test speakers do; sentences are drawn "
    "within each corpus (Atmaja and Sasou, arXiv 2210.14501)",
    tested_on="sentences not in training, of speakers that also occur in training",
    divide=divide_sentences,
    hold_out=hold_out_sentences,
    kept_apart=("statement",),
)

SPEAKER_TEXT_INDEPENDENT = Protocol(
    name="speaker+text-independent",
    title="speaker+text-independent",
    abbreviation="STI",
    description="neither the test speaker nor the test sentence occurs in training: folds of "
    "speakers are crossed with groups of sentences (Atmaja and Sasou, arXiv 2210.14501)",
    tested_on="speakers and sentences not in training",
    divide=divide_speakers,
    crossed_with=sentence_groups,
    hold_out=hold_out_both,
    kept_apart=("speaker", "statement"),
    stream="speaker+text",
)
