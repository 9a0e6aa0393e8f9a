"""What a study's page measures: population, estimand, folds and seeds, from the result alone.

All functions return Markdown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmark.corpora import CORPORA
from benchmark.data.protocols import protocol_of
from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.report import wording
from benchmark.report.markdown import code, count, counted, listed, plain, title

SPEECH = dict.fromkeys(("", "user's own"), "recordings of a user's own")
"""Words for kinds of speech; any other kind is named as it is: acted speech."""


@dataclass(frozen=True)
class Measured:
    """What a page measures, in a phrase each.

    Attributes
    ----------
    population, sentences, estimand, folds, seeds : str
    """

    population: str
    sentences: str
    estimand: str
    folds: str
    seeds: str


def measured(board: Leaderboard) -> Measured:
    """Return what the page of a study measures."""
    return Measured(
        population=population(board.result),
        sentences=sentences(board),
        estimand=estimand(board),
        folds=folds(board),
        seeds=seeds(board.result),
    )


def population(result: Result) -> str:
    """Return kind of speech, languages, and number of speakers of the tested corpora."""
    spoken_by = [result.data.corpora[name].speakers for name in tested(result)]
    known = [number for number in spoken_by if number is not None]
    total = f"; {counted(sum(known), 'speaker')}" if len(known) == len(spoken_by) else ""
    return spoken({name: _facts(result, name) for name in tested(result)}) + total


def spoken(corpora: Mapping[str, tuple[str, str]]) -> str:
    """Return kind of speech and language of corpora, given by name, in words."""
    kinds: dict[str, list[str]] = {}
    for name, (speech, language) in corpora.items():
        tongue = plain(language) or "language not stated"
        words = title(name) if speech == "generated" else f"{tongue} in {title(name)}"
        kinds.setdefault(SPEECH.get(speech, f"{speech} speech"), []).append(words)
    return "; ".join(f"{kind}: {listed(words)}" for kind, words in kinds.items())


def registered(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return kind of speech and language of corpora by name; empty for a user's own."""
    entries = {name: CORPORA.get(name) for name in names}
    return {
        name: ("", "") if entry is None else (entry.speech, entry.language)
        for name, entry in entries.items()
    }


def sentences(board: Leaderboard) -> str:
    """Return the number of different sentences by corpus, as far as the clips tell."""
    numbers = {one.corpus: one.sentences for one in board.texts}
    words = [
        f"{count(numbers[name])} in {title(name)}" if name in numbers else
        f"not recorded in {title(name)}"
        for name in tested(board.result)
    ]  # fmt: skip
    return listed(words)


def estimand(board: Leaderboard) -> str:
    """Return what the headline figures estimate."""
    several = len(board.corpora) > 1
    metric = METRICS[METRIC].title
    within = " within each corpus, averaged over corpora with equal weight," if several else ""
    targets = [
        f"on {plain(protocol_of(name).tested_on)} ({wording.protocol_words(name).column})"
        for name in board.protocols
    ]
    small = [title(name) for name in board.selected_evaluation(board.leading).small]
    speakers = f" and the speakers of {listed(small)}" if small else ""
    fixed = f"; the corpora{speakers} are fixed" if several else ""
    more = ""
    if board.result.study.normalise != "none":
        more = (
            "; transductive: the features of a test clip are normalised with clips of its "
            f"{board.result.study.normalise}, by default all, itself included"
        )
    return f"{metric}{within} of the model selected by its CV score, {listed(targets)}{fixed}{more}"


def folds(board: Leaderboard) -> str:
    """Return how often and on how many clips each protocol tests, and on how many it trains."""
    parts = []
    for side in wording.test_sides(board):
        clips = counted(side.evaluation.clips, "clip")
        trained = f"trained on {_training_clips(board.result, side.protocol)}"
        if side.folds:
            scheme = f" ({code(side.scheme)})" if side.scheme else ""
            splits = f"{counted(side.folds, 'split')}{scheme}, {clips}"
            parts.append(f"{side.words.column}: {splits}, each {trained}")
        else:
            parts.append(f"{side.words.column}: one test side of {clips}, {trained}")
    inner = wording.inner_folds(board.result)
    return f"{'; '.join(parts)}; selection on {inner} of each training side"


def _training_clips(result: Result, protocol: str) -> str:
    """Return the number of clips of a protocol's training sides, or the fewest and the most."""
    numbers = [
        split.train.clips
        for name, split in result.data.splits.items()
        if name.partition("/")[0] == protocol
    ]
    ends = dict.fromkeys(map(count, (min(numbers), max(numbers))))
    return f"{' to '.join(ends)} clips"


def seeds(result: Result) -> str:
    """Return the seed of a study, and how often all is repeated with others."""
    repeats, seed = result.study.split.repeats, result.study.seed
    if repeats == 1:
        return f"one, {seed}: the spread over seeds is not measured"
    return f"{repeats} repetitions, with seeds derived from {seed}"


def tested(result: Result) -> list[str]:
    """Return the names of the tested corpora."""
    corpora = result.data.corpora.items()
    return [name for name, one in corpora if not one.auxiliary and not one.left_out]


def _facts(result: Result, name: str) -> tuple[str, str]:
    """Return kind of speech and language; of early results, as the registry states them."""
    record = result.data.corpora[name]
    if record.speech or name not in CORPORA:
        return record.speech, record.language
    return registered([name])[name]
