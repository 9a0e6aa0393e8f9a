"""The page on a study's recordings: what there is, what it sounds like, what is odd about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.engine.files import write_bytes, write_text
from benchmark.report import data_figures
from benchmark.report.markdown import (
    NOTHING,
    address,
    banner,
    capitalised,
    code,
    count,
    counted,
    details,
    listed,
    number,
    plain,
    table,
    title,
)

PAIRS_SHOWN = 10
ODD_SHOWN = 20  # of one kind in one corpus
NAMES_SHOWN = 12

SAME = {
    "speaker": "the same speaker",
    "corpus": "the same corpus",
    "emotion": "the same emotion",
    "emotion_elsewhere": "the same emotion, other speakers alone",
}
"""What `explore.neighbours` counts, in words."""

ODD_KINDS = {
    "sample_rate_hz": "other sample rate",
    "channels": "other number of channels",
    "container": "not what its ending says",
    "clipped": "clipped",
    "quiet": "very quiet",
    "short": "very short",
    "long": "very long",
}
"""What a recording can be beside its corpus, in the order of the page."""


@dataclass(frozen=True)
class CorpusFacts:
    """What was found of one corpus.

    Attributes
    ----------
    name, title : str
    official : int or None
        Clips of a complete copy; None where nobody says.
    found, used : int
        Clips that are there, and those with the study's emotions that can be used.
    missing : tuple of str
        Names of official clips that are not there.
    set_aside : tuple of (str, str)
        Audio files that are no clips of the corpus, with the reason.
    generated : bool
        Whether code made the recordings.
    left_out : bool
        Whether the corpus, not complete, is no part of what is shown.
    """

    name: str
    title: str
    official: int | None
    found: int
    used: int
    missing: tuple[str, ...]
    set_aside: tuple[tuple[str, str], ...]
    generated: bool
    left_out: bool = False


@dataclass(frozen=True)
class Odd:
    """One recording that is not like the others of its corpus: a kind of `ODD_KINDS`, and what."""

    clip: str
    corpus: str
    kind: str
    what: str


@dataclass(frozen=True)
class FeatureFacts:
    """Which features say nothing, or what another says.

    Attributes
    ----------
    columns : tuple of str
        All features.
    constant : tuple of str
        Those that hardly vary.
    correlated : tuple of (str, str, float)
        Pairs with their correlation, the strongest first.
    remaining : int
        How many features are left without the constant ones and without any that is strongly
        correlated with one before it that is left.
    """

    columns: tuple[str, ...]
    constant: tuple[str, ...]
    correlated: tuple[tuple[str, str, float], ...]
    remaining: int


@dataclass(frozen=True)
class Example:
    """One clip to be shown: its samples are mono, float32, without silent ends."""

    emotion: str
    clip: str
    speaker: str
    statement: str
    samples: NDArray[np.float32]
    sample_rate_hz: int


@dataclass(frozen=True)
class Survey:
    """All that the page shows.

    Attributes
    ----------
    name, question, features : str
        Of the study.
    changes : tuple of str
        In what these are not the study's own data.
    emotions : tuple of str
        The study's, sorted.
    corpora : tuple of CorpusFacts
    clips : DataFrame
        A row a usable clip, as `explore.clip_table` makes it.
    unusable : tuple of (str, str)
        Clips that can't be used, and why.
    duplicates : tuple of tuples of str
        Clips that are the same recording.
    odd : tuple of Odd
    neighbours : DataFrame
        As `explore.neighbours` makes it.
    explained : DataFrame
        As `explore.explained_variance` makes it.
    feature_facts : FeatureFacts
    examples : tuple of Example
        One an emotion.
    plane : DataFrame
        Clips with their places `x` and `y` in two dimensions.
    """

    name: str
    question: str
    features: str
    changes: tuple[str, ...]
    emotions: tuple[str, ...]
    corpora: tuple[CorpusFacts, ...]
    clips: pd.DataFrame
    unusable: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, ...], ...]
    odd: tuple[Odd, ...]
    neighbours: pd.DataFrame
    explained: pd.DataFrame
    feature_facts: FeatureFacts
    examples: tuple[Example, ...]
    plane: pd.DataFrame


def write_data_page(survey: Survey, folder: Path) -> Path:
    """Write ``<name>_data.md`` and ``figures/<name>_data/*.png`` below a folder; return the page.

    The same survey gives the same bytes.
    """
    figures = folder / "figures" / f"{survey.name}_data"
    figures.mkdir(parents=True, exist_ok=True)
    names = [corpus.name for corpus in survey.corpora if corpus.used]
    drawn = {
        "plane.png": data_figures.plane_figure(survey.plane, survey.emotions),
        "durations.png": data_figures.durations_figure(survey.clips, names),
        "voices.png": data_figures.voices_figure(survey.clips, names, survey.emotions),
        "examples.png": data_figures.examples_figure(survey.examples),
    }
    for name, content in drawn.items():
        write_bytes(figures / name, content)
    page = folder / f"{survey.name}_data.md"
    write_text(page, data_page(survey))
    return page


def data_page(survey: Survey) -> str:
    """Return the page of a study's recordings."""
    parts = [
        f"# What the data of {code(survey.name)} are like",
        _under_the_title(survey),
        *_banners(survey),
        _finding(survey),
        _picture(survey, "plane", "The clips in two dimensions, by emotion, speaker and corpus"),
        _about_the_plane(survey),
        _neighbour_table(survey),
        "## Clips",
        *_clips(survey),
        "## Durations",
        *_durations(survey),
        "## Loudness and pitch",
        *_voices(survey),
        "## One clip of each emotion",
        _picture(survey, "examples", "Waveform, spectrogram and MFCC of one clip of each emotion"),
        _about_the_examples(survey),
        "## Features",
        *_features(survey.feature_facts, survey.features),
        "## Duplicates and odd recordings",
        *_odd(survey),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _under_the_title(survey: Survey) -> str:
    corpora = listed([title(name) for name in _corpora(survey)])
    clips = counted(len(survey.clips), "clip")
    speakers = counted(survey.clips["speaker"].nunique(), "speaker")
    return (
        f"{clips} of {speakers} in {corpora} · {len(survey.emotions)} emotions: "
        f"{listed([plain(emotion) for emotion in survey.emotions])} · features "
        f"{code(survey.features)}\n\nThe study asks: {plain(survey.question)}"
    )


def _banners(survey: Survey) -> list[str]:
    boxes = []
    there = [title(name) for name in _corpora(survey)]
    generated = [title(corpus.name) for corpus in survey.corpora if corpus.generated]
    if generated:
        boxes.append(
            banner(
                "CAUTION",
                f"Generated speech ({listed(generated)}): nothing here says anything of people.",
            )
        )
    for corpus in survey.corpora:
        if corpus.left_out:
            whole = f" of {count(corpus.official)}" if corpus.official else ""
            boxes.append(
                banner(
                    "CAUTION",
                    f"{title(corpus.name)} was left out: {count(corpus.found)}{whole} clips were "
                    f"there. All that follows is of {listed(there)} alone.",
                )
            )
    if survey.changes:
        changes = "; ".join(code(change) for change in survey.changes)
        boxes.append(banner("WARNING", f"Not the study's own data: {changes}."))
    return boxes


def _finding(survey: Survey) -> str:
    """Say by neighbours how much more alike one speaker's clips are than one emotion's."""
    shares, chance = survey.neighbours.loc[""], survey.neighbours.loc["chance"]
    text = (
        "By these features, the clip nearest to another is by the same speaker in "
        f"**{_per_cent(shares['speaker'])}** of cases (one drawn at random: "
        f"{_per_cent(chance['speaker'])}) and has the same emotion in "
        f"**{_per_cent(shares['emotion'])}**."
    )
    if np.isnan(shares["emotion_elsewhere"]):
        return text + " There is one speaker alone, so nothing can be said of unseen speakers."
    return text + (
        f" Among the clips of other speakers alone, the nearest has the same emotion in "
        f"**{_per_cent(shares['emotion_elsewhere'])}** (at random: "
        f"{_per_cent(chance['emotion_elsewhere'])}). A split at random leaves each test clip its "
        "own speaker's clips to be recognised by; a split by speakers takes them away."
    )


def _about_the_plane(survey: Survey) -> str:
    drawn, clips = len(survey.plane), len(survey.clips)
    which = f"{count(drawn)} of the {count(clips)} clips" if drawn < clips else "All clips"
    return (
        f"<sub>{which}, the same points in each panel. Clips that are alike by their features lie "
        "close together: features standardised, brought to their first 50 principal components and "
        "laid out by t-SNE, in which distances between far groups mean nothing.</sub>"
    )


def _neighbour_table(survey: Survey) -> str:
    shares, corpora = survey.neighbours, _corpora(survey)
    named = {"": "all clips", **{name: title(name) for name in corpora}}
    if len(corpora) == 1:
        shares, named = shares.drop(columns="corpus"), {"": "all clips"}
    named["chance"] = "a clip drawn at random"
    header = ["The nearest clip has", *(SAME[str(column)] for column in shares.columns)]
    rows = [[words, *map(_per_cent, shares.loc[name])] for name, words in named.items()]
    about = (
        "<sub>Nearest by Euclidean distance of the standardised features, among all clips of the "
        "study; copies of the same recording do not count. Rows are by the corpus of the clip that "
        "is asked about.</sub>"
    )
    return f"{table(header, rows)}\n\n{about}"


def _clips(survey: Survey) -> Iterable[str]:
    clips, corpora = survey.clips, _corpora(survey)
    by_emotion = pd.crosstab(clips["corpus"], clips["emotion"]).reindex(
        index=corpora, columns=list(survey.emotions), fill_value=0
    )
    yield _count_table("Corpus", by_emotion)
    by_gender = pd.crosstab(clips["corpus"], clips["gender"]).reindex(index=corpora)
    yield _count_table("Corpus", by_gender)
    yield _found_table(survey)
    yield details("By speaker", _speaker_table(survey))


def _count_table(first: str, counts: pd.DataFrame) -> str:
    """Return counts with their sums; the last row is left out where there is one row alone."""
    rows = [[title(str(name)), *map(count, row), count(sum(row))] for name, row in _rows(counts)]
    if len(counts) > 1:
        sums = [int(value) for value in counts.sum()]
        rows.append(["**all**", *map(count, sums), f"**{count(sum(sums))}**"])
    return table([first, *(plain(name) for name in counts.columns), "all"], rows)


def _rows(counts: pd.DataFrame) -> list[tuple[object, list[int]]]:
    return [
        (name, [int(value) for value in row])
        for name, row in zip(counts.index, counts.to_numpy(), strict=True)
    ]


def _found_table(survey: Survey) -> str:
    rows = []
    for corpus in survey.corpora:
        clips = survey.clips[survey.clips["corpus"] == corpus.name]
        kinds = (clips["container"] + " " + clips["encoding"]).value_counts()
        kinds = kinds.reindex(sorted(kinds.index, key=lambda kind: (-kinds[kind], kind)))
        rates = sorted(set(clips["sample_rate_hz"]))
        rows.append(
            [
                title(corpus.name),
                count(corpus.official) if corpus.official else NOTHING,
                count(corpus.found),
                count(corpus.used),
                count(clips["speaker"].nunique()),
                ", ".join(f"{kind} ({count(files)})" for kind, files in kinds.items()) or NOTHING,
                ", ".join(count(rate) for rate in rates) or NOTHING,
            ]
        )
    header = ("Corpus", "official", "found", "used", "speakers", "files", "sample rates (Hz)")
    about = (
        "<sub>Used: those with the study's emotions that can be decoded. Files: container and "
        "encoding, as the file's own bytes say.</sub>"
    )
    return f"{table(header, rows, words=(0, 5))}\n\n{about}"


def _speaker_table(survey: Survey) -> str:
    rows = []
    for speaker, clips in survey.clips.groupby("speaker", sort=True):
        emotions = clips["emotion"].value_counts()
        rows.append(
            [
                code(speaker),
                plain(clips["gender"].iloc[0]),
                count(len(clips)),
                *(count(int(emotions.get(emotion, 0))) for emotion in survey.emotions),
                f"{clips['duration_s'].median():.2f}",
                _decimals(clips["level_db"].median(), 1),
                _decimals(clips["pitch_hz"].median(), 0),
            ]
        )
    header = ["Speaker", "gender", "clips", *(plain(emotion) for emotion in survey.emotions)]
    header += ["duration (s)", "level (dB)", "pitch (Hz)"]
    about = "<sub>Duration of the file, level and pitch: medians over clips.</sub>"
    return f"{table(header, rows, words=(0, 1))}\n\n{about}"


def _durations(survey: Survey) -> Iterable[str]:
    yield _picture(survey, "durations", "Durations of the clips by corpus")
    rows = []
    for corpus in _corpora(survey):
        clips = survey.clips[survey.clips["corpus"] == corpus]
        for name, values in (("file", clips["duration_s"]), ("speech", clips["trimmed_s"])):
            known = values.dropna()
            marks = [known.min(), known.median(), known.quantile(0.95), known.max()]
            rows.append([title(corpus), name, *(f"{mark:.2f}" for mark in marks)])
    header = ("Corpus", "what", "shortest (s)", "median (s)", "95 % below (s)", "longest (s)")
    yield table(header, rows, words=(0, 1))
    hours = survey.clips["duration_s"].sum() / 3600
    yield (
        f"<sub>All files together: {hours:.1f} hours. Speech: without the silent ends, 60 dB below "
        "the loudest frame.</sub>"
    )


def _voices(survey: Survey) -> Iterable[str]:
    yield _explained(survey.explained)
    yield _picture(survey, "voices", "Loudness and pitch by emotion, gender and corpus")
    clips = survey.clips
    corpora, genders = _corpora(survey), sorted(set(clips["gender"]))
    level = _spread_table(clips, "level_db", "corpus", corpora, survey.emotions, 1)
    pitch = _spread_table(clips, "pitch_hz", "gender", genders, survey.emotions, 0)
    yield f"Level in dB of full scale:\n\n{level}"
    yield f"Pitch in Hz:\n\n{pitch}"
    yield (
        "<sub>Medians over clips, and in brackets the middle half of them. Level: the mean RMS of "
        "a clip's frames in dB of full scale, silent ends cut off. Pitch: the median over a clip's "
        f"voiced frames (YIN). {_unvoiced(clips)}</sub>"
    )


def _unvoiced(clips: pd.DataFrame) -> str:
    unvoiced = int(clips["pitch_hz"].isna().sum())
    if not unvoiced:
        return "Every clip has voiced frames."
    return f"{capitalised(counted(unvoiced, 'clip'))} without voiced frames left out."


def _explained(explained: pd.DataFrame) -> str:
    level, pitch = explained.loc["level_db"], explained.loc["pitch_hz"]
    return (
        f"Who speaks accounts for {_per_cent(level['speaker'])} of the variance of loudness and "
        f"{_per_cent(pitch['speaker'])} of that of pitch; the emotion for "
        f"{_per_cent(level['emotion'])} and {_per_cent(pitch['emotion'])} (correlation ratio, each "
        "taken alone; pitch in semitones)."
    )


def _spread_table(
    clips: pd.DataFrame,
    quantity: str,
    group: str,
    groups: Sequence[str],
    emotions: Sequence[str],
    decimals: int,
) -> str:
    """Return medians and quartiles by emotion, a column a group."""
    rows = []
    for emotion in emotions:
        cells = []
        for name in groups:
            wanted = (clips["emotion"] == emotion) & (clips[group] == name)
            values = clips.loc[wanted, quantity].dropna()
            if values.empty:
                cells.append(NOTHING)
                continue
            low, middle, high = (
                _decimals(values.quantile(share), decimals) for share in (0.25, 0.5, 0.75)
            )
            cells.append(f"{middle} [{low}, {high}]")
        rows.append([plain(emotion), *cells])
    return table(["Emotion", *(title(name) for name in groups)], rows)


def _about_the_examples(survey: Survey) -> str:
    speakers = list(dict.fromkeys(example.speaker for example in survey.examples))
    words = {(example.speaker, example.statement) for example in survey.examples}
    if len(words) > 1:
        alike = "As few speakers and words as have all emotions"
    else:
        alike = "The same speaker" + (" and words" if survey.examples[0].statement else "")
    names = [f"{plain(example.emotion)} {code(example.clip)}" for example in survey.examples]
    return (
        f"<sub>{alike} ({listed([code(speaker) for speaker in speakers])}): {', '.join(names)}. "
        "Both ends are cut off where they are 25 dB below the loudest frame; waveforms are scaled "
        "to their own peaks. Spectrogram: 128 mel bands, from 70 dB below the clip's loudest "
        "(black) to the loudest. MFCC: each standardised over the frames of all these clips; red "
        "is above its mean, blue below.</sub>"
    )


def _features(facts: FeatureFacts, feature_set: str) -> Iterable[str]:
    all_features = counted(len(facts.columns), "feature")
    constant = (
        f"{counted(len(facts.constant), 'is', 'are')} near-constant"
        if facts.constant
        else "none is near-constant"
    )
    pairs = counted(len(facts.correlated), "pair")
    yield (
        f"Of the {all_features} of {code(feature_set)}, {constant}; {pairs} are strongly "
        f"correlated (|r| above 0.95). Without the near-constant ones and one of each such pair, "
        f"**{count(facts.remaining)}** would remain."
    )
    if facts.constant:
        yield f"Near-constant: {_some([code(name) for name in facts.constant])}."
    if facts.correlated:
        rows = [
            [code(first), code(second), number(correlation)]
            for first, second, correlation in facts.correlated[:PAIRS_SHOWN]
        ]
        yield table(("Feature", "Feature", "r"), rows, words=(0, 1))
        shown = min(PAIRS_SHOWN, len(facts.correlated))
        yield f"<sub>The {counted(shown, 'strongest pair')}.</sub>".replace("The 1 ", "The ")
    yield (
        "<sub>Near-constant: a standard deviation below a millionth of the largest value, or one "
        "value in more than 99 % of the clips. Which of a pair would go: the later one, in the "
        "order of the feature set.</sub>"
    )


def _odd(survey: Survey) -> Iterable[str]:
    yield _duplicates(survey)
    corpora = _corpora(survey)
    counts = pd.DataFrame(
        [
            [sum(odd.corpus == name and odd.kind == kind for odd in survey.odd) for name in corpora]
            for kind in ODD_KINDS
        ],
        index=list(ODD_KINDS),
        columns=corpora,
    )
    sizes = survey.clips["corpus"].value_counts()
    rows = [
        [
            ODD_KINDS[str(kind)],
            *(_of(value, int(sizes[name])) for name, value in zip(corpora, row, strict=True)),
        ]
        for kind, row in _rows(counts)
    ]
    yield table(["Recordings", *(title(name) for name in corpora)], rows)
    yield (
        "<sub>Other: than most recordings of the corpus. Clipped: ten samples or more at full "
        "scale. Very quiet, short or long: a modified z-score beyond 3.5 within the corpus "
        "(Iglewicz & Hoaglin 1993; duration by its logarithm).</sub>"
    )
    if survey.odd:
        yield details("Which they are", _odd_lists(survey))
    yield _left_out(survey)


def _duplicates(survey: Survey) -> str:
    if not survey.duplicates:
        return "No two clips are the same recording, sample by sample."
    emotion = survey.clips.set_index("clip")["emotion"]
    lines = []
    for names in survey.duplicates:
        labels = {emotion[name] for name in names}
        note = f" (**labelled {listed(sorted(labels))}**)" if len(labels) > 1 else ""
        lines.append(f"- {listed([code(name) for name in names])}{note}")
    groups = counted(len(lines), "group of clips is", "groups of clips are")
    text = f"{capitalised(groups)} the same recording, sample by sample"
    if len(lines) <= NAMES_SHOWN:
        return f"{text}:\n\n" + "\n".join(lines)
    return f"{text}.\n\n" + details("Which they are", "\n".join(lines))


def _odd_lists(survey: Survey) -> str:
    lines = []
    for kind, words in ODD_KINDS.items():
        for corpus in _corpora(survey):
            those = [odd for odd in survey.odd if (odd.kind, odd.corpus) == (kind, corpus)]
            if those:
                names = [f"{code(odd.clip)} ({plain(odd.what)})" for odd in those]
                shown = _some(names, ODD_SHOWN)
                lines.append(f"- {capitalised(words)}, {title(corpus)}: {shown}")
    return "\n".join(lines)


def _left_out(survey: Survey) -> str:
    """Return what is no part of the study: clips that can't be used, are missing or set aside."""
    lines = [f"- {code(clip)} can't be used: {plain(reason)}" for clip, reason in survey.unusable]
    for corpus in survey.corpora:
        name = title(corpus.name)
        if corpus.missing:
            names = _some([code(clip) for clip in corpus.missing])
            lines.append(f"- {name}: {counted(len(corpus.missing), 'clip')} missing: {names}")
        for reason in sorted({reason for _, reason in corpus.set_aside}):
            files = [code(file) for file, why in corpus.set_aside if why == reason]
            lines.append(
                f"- {name}: {counted(len(files), 'file')} set aside, {plain(reason)}: "
                f"{_some(files)}"
            )
    if not lines:
        return "Every clip can be used, none is missing, and no file had to be set aside."
    return "Left out:\n\n" + "\n".join(lines)


def _corpora(survey: Survey) -> list[str]:
    return [corpus.name for corpus in survey.corpora if corpus.used]


def _picture(survey: Survey, name: str, words: str) -> str:
    return f"![{words}]({address('figures', f'{survey.name}_data', f'{name}.png')})"


def _some(names: Sequence[str], shown: int = NAMES_SHOWN) -> str:
    """Return names in a row, the first of them where they are many."""
    if len(names) <= shown:
        return ", ".join(names)
    return f"{', '.join(names[:shown])} and {count(len(names) - shown)} more"


def _of(part: int, whole: int) -> str:
    """Return a count with its share; a dash for none."""
    return f"{count(part)} ({_per_cent(part / whole)})" if part else NOTHING


def _per_cent(share: Any) -> str:
    if np.isnan(share):
        return NOTHING
    text = f"{100 * share:.0f}"
    return f"{'< 1' if text == '0' and share else text}\N{NO-BREAK SPACE}%"


def _decimals(value: Any, digits: int) -> str:
    return NOTHING if np.isnan(value) else f"{value:.{digits}f}".replace("-", "−")
