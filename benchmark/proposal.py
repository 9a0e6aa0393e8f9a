"""A study proposed from recordings: what they hold decides emotions, protocols and folds.

The rules of `RULES` propose protocols and warn; a further rule is one function and its entry there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmark import study as settings
from benchmark.console import Console
from benchmark.corpora import CORPORA, Recordings, describe_presence
from benchmark.data.guards import check_clips
from benchmark.data.prepare import by_corpus, clip_frame, read_named, study_splits
from benchmark.data.protocols.given import FOLD, GIVEN, SPLIT
from benchmark.data.protocols.identities import SENTENCE
from benchmark.data.splits import draw_splits
from benchmark.engine.files import write_text
from benchmark.errors import BenchmarkError, shortened
from benchmark.evaluation.text import TextAssociation, association
from benchmark.project import Project, Sources, study_files
from benchmark.report.markdown import counted, listed, percent, title
from benchmark.report.template import render_toml
from benchmark.validation import read_checked

SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT = "speaker-dependent", "speaker-independent"
LEAVE_ONE_SPEAKER_OUT = "leave-one-speaker-out"

FEWEST_CLIPS = 6
"""Clips of an emotion in each corpus: two for each of three inner folds."""

FEW_SPEAKERS = 10
"""Up to so many speakers, each is tested alone."""

FEWEST_SPEAKERS = 3
"""For speaker-independent figures: one to test on, and two for the inner folds."""

FEWEST_FOR_INTERVAL = 6
"""Speakers of a corpus below which a figure has no confidence interval."""

N_OUTER, N_INNER = (5, 4, 3, 2), (3, 2)
"""Numbers of folds, the preferred one first."""

SEED = 0


@dataclass(frozen=True)
class CorpusFacts:
    """What a corpus holds.

    Attributes
    ----------
    name : str
    clips, speakers : int
    clips_of_speaker : tuple of int
        The fewest and the most clips of a speaker.
    emotions : dict of str to int
        Number of clips.
    text : TextAssociation or None
        Over the proposed emotions; None if the sentence of a clip is unknown.
    """

    name: str
    clips: int
    speakers: int
    clips_of_speaker: tuple[int, int]
    emotions: dict[str, int]
    text: TextAssociation | None


@dataclass(frozen=True)
class Folds:
    """Folds that the clips allow: of a protocol, outer ones by number or name, and inner ones."""

    protocol: str
    outer: int | str
    inner: int


@dataclass(frozen=True)
class Found:
    """What rules decide by: the clips of the proposed emotions, facts by corpus, and the folds."""

    clips: pd.DataFrame
    corpora: tuple[CorpusFacts, ...]
    folds: Folds

    @property
    def n_speakers(self) -> int:
        """Number of speakers."""
        return int(self.clips["speaker"].nunique())

    def allows(self, protocol: str) -> bool:
        """Whether the clips can be split under a protocol into the proposed folds."""
        return _can_draw(self.clips, Folds(protocol, self.folds.outer, self.folds.inner))


@dataclass(frozen=True)
class Advice:
    """A protocol with the reason for it; without a protocol, a warning."""

    text: str
    protocol: str = ""


@dataclass(frozen=True)
class Proposal:
    """A study that the recordings allow, with the reason of each choice.

    Attributes
    ----------
    name, question : str
    sources : tuple of str
        The study's corpora: names in `CORPORA`. A table may hold several.
    found : Found
    rename : dict of str to str
        Emotions that differ from another one by case only.
    left_out : dict of str to str
        Emotions that are not proposed, with the reason.
    advice : tuple of Advice
        The protocols and warnings of all rules.
    """

    name: str
    question: str
    sources: tuple[str, ...]
    found: Found
    rename: dict[str, str]
    left_out: dict[str, str]
    advice: tuple[Advice, ...]

    @property
    def emotions(self) -> list[str]:
        """The proposed emotions, sorted."""
        return sorted(set(self.found.clips["emotion"]))

    @property
    def protocols(self) -> list[Advice]:
        """The proposed protocols."""
        return [one for one in self.advice if one.protocol]

    @property
    def warnings(self) -> list[str]:
        """What a reader of the figures must know."""
        return [one.text for one in self.advice if not one.protocol]


def propose(name: str, corpora: Sequence[str], sources: Sources, console: Console) -> Proposal:
    """Return the study that the recordings of some corpora suggest.

    Parameters
    ----------
    name : str
        Of the study.
    corpora : sequence of str
        Names in `CORPORA`; empty for all that ``--corpus`` gives.

    Raises
    ------
    BenchmarkError
        If no corpus is named, recordings are missing, a guard finds something, or the clips allow
        no split.
    """
    recordings = read_named(_named(corpora, sources), sources, console)
    clips, rename = _alike_renamed(_frame(recordings))
    frequent, rare = _frequent(clips)
    kept, folds, lacking = _folds(frequent)
    names = by_corpus(recordings, recordings)
    found = Found(kept, tuple(_facts(corpus, clips, kept) for corpus in names), folds)
    advice = tuple(one for rule in RULES for one in rule(found))
    protocols = [one.protocol for one in advice if one.protocol]
    check_clips(kept, protocols, sources.allow)
    question = _question(found, protocols)
    return Proposal(name, question, tuple(recordings), found, rename, rare | lacking, advice)


def write_study(proposal: Proposal, project: Project) -> Path:
    """Write a proposed study to studies/NAME.toml, once it is validated; return the file.

    Raises
    ------
    BenchmarkError
        If a study of this name exists, or the name can't be one.
    """
    path = new_path(proposal.name, project)
    text = render_toml("study", proposal=proposal, why_folds=_why_folds(proposal.found))
    with TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        write_text(draft, text)
        study_splits(read_checked(draft), proposal.found.clips, ())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
    return path


def new_path(name: str, project: Project) -> Path:
    """Return the file of a new study.

    Raises
    ------
    BenchmarkError
        If a study of this name exists, or the name can't be one.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):
        raise BenchmarkError(
            f"new: {shortened(name)!r} can't be the name of a study. Use letters, digits, - and "
            "_, at most 100, for example my_study."
        )
    path = project.folder / "studies" / f"{name}.toml"
    existing = path if path.exists() else study_files().get(name)
    if existing is not None:
        raise BenchmarkError(
            f"new: {existing} exists already and is not overwritten. Choose another name, or move "
            "the file away."
        )
    return path


def _named(corpora: Sequence[str], sources: Sources) -> tuple[str, ...]:
    """Return the corpora of a new study: those named, otherwise those given by ``--corpus``.

    Raises
    ------
    BenchmarkError
        If a name is unknown, or there is none.
    """
    for name in corpora:
        if name not in CORPORA:
            raise CORPORA.unknown(name, "--use")
    names = tuple(dict.fromkeys(corpora or sources.given))
    if names:
        return names
    there = [
        name
        for name in CORPORA
        if describe_presence(name, root=sources.root, given=sources.given, cache=sources.cache)
    ]
    raise BenchmarkError(
        "new: no corpus is named. Give a table of your own recordings with --corpus csv=table.csv, "
        f"or name corpora, for example --use {there[-1]}. Present: {', '.join(there)}."
    )


def _can_draw(clips: pd.DataFrame, folds: Folds) -> bool:
    """Whether clips can be split into folds: each part of each fold has all emotions."""
    rule = settings.Split(protocols=(folds.protocol,), folds=folds.outer)
    try:
        draw_splits(folds.protocol, clips, rule, folds.inner, SEED)
    except BenchmarkError:
        return False
    return True


def _frame(recordings: Mapping[str, Recordings]) -> pd.DataFrame:
    """Return one row per clip; equal files, and equal segments of them, count as one recording."""
    clips = [clip for found in recordings.values() for clip in found.clips]
    digest_of = {path: _digest(path) for path in {clip.path for clip in clips}}
    return clip_frame(clips, [f"{digest_of[clip.path]} {clip.segment}" for clip in clips])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _alike_renamed(clips: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return clips whose emotions differ by more than case, and what was renamed to what."""
    counts = clips["emotion"].value_counts()
    rename: dict[str, str] = {}
    for _, names in counts.groupby(counts.index.str.casefold()):
        first, *others = sorted(names.index, key=lambda name: (-names[name], name))
        rename |= dict.fromkeys(sorted(others), first)
    return clips.assign(emotion=clips["emotion"].replace(rename)), rename


def _frequent(clips: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the clips of emotions with enough clips in every corpus, and why others are not."""
    counts = pd.crosstab(clips["emotion"], clips["corpus"])
    left_out = {}
    for emotion, row in counts.iterrows():
        absent = [str(corpus) for corpus in row.index[row == 0]]
        rare = [f"{counted(n, 'clip')} in {c}" for c, n in row.items() if n < FEWEST_CLIPS]
        if absent:
            left_out[str(emotion)] = f"not in {listed(absent)}; [rename] can map it to another one"
        elif rare:
            left_out[str(emotion)] = f"{listed(rare)}, fewer than {FEWEST_CLIPS}"
    if len(counts) - len(left_out) < 2:
        reasons = "; ".join(f"{emotion}: {reason}" for emotion, reason in left_out.items())
        raise BenchmarkError(
            "new: a study needs two emotions with enough clips in every corpus. Left out: "
            f"{reasons or 'none'}. Add recordings, or name fewer corpora."
        )
    return clips[~clips["emotion"].isin(left_out)].reset_index(drop=True), left_out


def _folds(clips: pd.DataFrame) -> tuple[pd.DataFrame, Folds, dict[str, str]]:
    """Return the proposed clips, the first folds that they allow, and which emotions can't be kept.

    Speakers are kept apart if they can be. An emotion that some speakers lack is left out only if
    no folds have it in every part.
    """
    n_speakers = clips["speaker"].nunique()
    for protocol in (SPEAKER_INDEPENDENT, SPEAKER_DEPENDENT):
        kept, lacking = clips, dict[str, str]()
        while len(set(kept["emotion"])) > 1:
            for folds in _candidates(protocol, n_speakers):
                if _can_draw(kept, folds):
                    return kept, folds, lacking
            emotion, n_having = _rarest(kept)
            if n_having == n_speakers:
                break
            lacking[emotion] = (
                f"only {n_having} of {n_speakers} speakers have it, too few for folds of speakers "
                "that all have it"
            )
            kept = kept[kept["emotion"] != emotion].reset_index(drop=True)
    raise BenchmarkError(
        "new: the clips can't be split so that each part has all emotions, even into two folds of "
        "clips. Add recordings."
    )


def _candidates(protocol: str, n_speakers: int) -> Iterator[Folds]:
    """Yield folds, the preferred ones first."""
    outer: list[int | str] = list(N_OUTER)
    if protocol == SPEAKER_INDEPENDENT:
        if n_speakers < FEWEST_SPEAKERS:
            return
        if n_speakers <= FEW_SPEAKERS:
            outer.insert(0, LEAVE_ONE_SPEAKER_OUT)
    yield from (Folds(protocol, one, inner) for one in outer for inner in N_INNER)


def _rarest(clips: pd.DataFrame) -> tuple[str, int]:
    """Return the emotion that the fewest speakers have, of these the one with the fewest clips."""
    emotions = clips.groupby("emotion")["speaker"].agg(["nunique", "size"])
    rarest = emotions.sort_values(["nunique", "size"], kind="stable").iloc[0]
    return str(rarest.name), int(rarest["nunique"])


def _facts(corpus: str, clips: pd.DataFrame, kept: pd.DataFrame) -> CorpusFacts:
    own, used = (table[table["corpus"] == corpus] for table in (clips, kept))
    of_speaker = own["speaker"].value_counts()
    return CorpusFacts(
        name=corpus,
        clips=len(own),
        speakers=len(of_speaker),
        clips_of_speaker=(int(of_speaker.min()), int(of_speaker.max())),
        emotions={str(name): int(n) for name, n in own.groupby("emotion").size().items()},
        text=association(corpus, used[SENTENCE], used["emotion"])
        if (used[SENTENCE] != "").all()
        else None,
    )


def _speakers_apart(found: Found) -> Iterator[Advice]:
    """Propose speaker-independent figures, or say why there are none."""
    if found.folds.protocol == SPEAKER_INDEPENDENT:
        yield Advice(
            "no test speaker is in training, as in use with new speakers", SPEAKER_INDEPENDENT
        )
        few = [one.name for one in found.corpora if one.speakers < FEWEST_FOR_INTERVAL]
        if few:
            yield Advice(
                f"{listed(few)}: fewer than {FEWEST_FOR_INTERVAL} speakers. Figures hold for these "
                "speakers and have no confidence interval over others."
            )
    elif found.n_speakers < FEWEST_SPEAKERS:
        yield Advice(
            f"{counted(found.n_speakers, 'speaker')}: a speaker-independent figure needs "
            f"{FEWEST_SPEAKERS}, one to test on and two for the inner folds. Figures of this study "
            "hold for its speakers only, and are too high for others. Add speakers."
        )
    else:
        yield Advice(
            "No speaker-independent figure: no folds of speakers have all emotions in each part. "
            "Figures of this study hold for its speakers only, and are too high for others. Record "
            "the same emotions of each speaker."
        )


def _speakers_shared(found: Found) -> Iterator[Advice]:
    """Propose speaker-dependent figures."""
    if found.allows(SPEAKER_DEPENDENT):
        gap = found.folds.protocol == SPEAKER_INDEPENDENT
        yield Advice(
            "test speakers are in training too"
            + (", as in many published figures; the difference is the SD–SI gap" if gap else ""),
            SPEAKER_DEPENDENT,
        )


def _sentences(found: Found) -> Iterator[Advice]:
    """Keep sentences apart if they tell the emotion, and warn of it."""
    telling = [one.text for one in found.corpora if one.text and one.text.tells_emotion]
    wanted = {
        SPEAKER_INDEPENDENT: ("speaker+text-independent", "text-independent"),
        SPEAKER_DEPENDENT: ("text-independent",),
    }[found.folds.protocol]
    apart = next((name for name in wanted if telling and found.allows(name)), "")
    for text in telling:
        yield Advice(
            f"{text.corpus}: the sentence tells the emotion. {percent(text.tied)} of the clips "
            "have a sentence that is spoken with one emotion only (Cramér's V of sentence and "
            f"emotion {text.cramers_v:.2f}). Figures partly measure the text"
            + (
                f", except those of {apart}."
                if apart
                else ", and no split with all emotions keeps sentences apart. Recordings of each "
                "sentence with several emotions would show by how much."
            )
        )
    if apart:
        yield Advice("no test sentence is in training either, so that text does not help", apart)


def _corpora_apart(found: Found) -> Iterator[Advice]:
    """Propose cross-corpus figures where there are several corpora."""
    if len(found.corpora) > 1 and found.allows("cross-corpus"):
        yield Advice("each corpus is tested after training on the others", "cross-corpus")


def _given(found: Found) -> Iterator[Advice]:
    """Propose the partition that the recordings state."""
    stated = [name for name in (SPLIT, FOLD) if name in found.clips and found.clips[name].any()]
    if stated and found.allows(GIVEN.name):
        yield Advice(f"the sides that the column {stated[0]} states", GIVEN.name)


RULES: tuple[Callable[[Found], Iterator[Advice]], ...] = (
    _speakers_shared,
    _speakers_apart,
    _sentences,
    _corpora_apart,
    _given,
)
"""The rules, in the order of their protocols in the study."""


def _why_folds(found: Found) -> str:
    """Return the reason for the outer folds."""
    n, outer = found.n_speakers, found.folds.outer
    if found.folds.protocol == SPEAKER_DEPENDENT:
        return f"outer folds: each clip is tested once, in one of {outer} folds."
    if outer == LEAVE_ONE_SPEAKER_OUT:
        return (
            f"{n} speakers, not more than {FEW_SPEAKERS}: each is tested alone, by models of all "
            f"others, in {n} outer folds."
        )
    if n <= FEW_SPEAKERS:
        return (
            f"{n} speakers, of whom not each has clips of all emotions: {outer} outer folds of "
            "several speakers, each tested once."
        )
    return f"{n} speakers, too many to test each alone: {outer} outer folds, each tested once."


def _question(found: Found, protocols: Sequence[str]) -> str:
    names = [one.name for one in found.corpora]
    of = listed(["our own recordings" if name == "csv" else title(name) for name in names])
    gap = {SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT} <= set(protocols)
    n_emotions = found.clips["emotion"].nunique()
    return f"How high is {found.folds.protocol} UAR on {n_emotions} emotions of {of}" + (
        ", and how large is the SD–SI gap?" if gap else "?"
    )
