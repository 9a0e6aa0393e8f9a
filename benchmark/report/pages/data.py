"""The page on a study's recordings: the facts of ``templates/data.md.j2``, and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmark.data.exploration import Exploration
from benchmark.data.record import CorpusRecord
from benchmark.engine.files import write_text
from benchmark.report import data_figures
from benchmark.report.figures import Drawn, draw
from benchmark.report.markdown import (
    NOTHING,
    address,
    code,
    count,
    decimals,
    percent,
    plain,
    table,
    title,
)
from benchmark.report.template import render

NEIGHBOUR_COLUMNS = {
    "speaker": "the same speaker",
    "corpus": "the same corpus",
    "emotion": "the same emotion",
    "emotion_elsewhere": "the same emotion (other speakers only)",
}

OUTLIER_WORDS = {
    "sample_rate": "different sample rate",
    "channels": "different number of channels",
    "extension": "wrong file extension",
    "clipped": "clipped",
    "quiet": "very quiet",
    "short": "very short",
    "long": "very long",
}
"""Kinds of `exploration.OUTLIER_KINDS` in the order of the page."""


class CorpusRow(NamedTuple):
    """A corpus in the table of files."""

    name: str
    facts: CorpusRecord
    formats: str
    rates: str


class Excluded(NamedTuple):
    """Files of a corpus that are excluded for the same reason, or clips that are missing."""

    corpus: str
    noun: str
    reason: str
    files: Sequence[str]


def write_data_page(study: Exploration, folder: Path) -> Path:
    """Write ``<name>_data.md`` and ``figures/<name>_data/*.png`` below a folder; return the page.

    The same exploration gives the same bytes.
    """
    corpora = study.used_corpora
    drawn = draw(
        {
            "plane.png": partial(data_figures.map_figure, study.map, study.emotions),
            "durations.png": partial(data_figures.durations_figure, study.clips, corpora),
            "voices.png": partial(data_figures.voices_figure, study.clips, corpora, study.emotions),
            "examples.png": partial(data_figures.examples_figure, study.examples),
        }
    )
    drawn.write(folder / "figures" / f"{study.name}_data")
    page = folder / f"{study.name}_data.md"
    write_text(page, data_page(study, drawn))
    return page


def data_page(study: Exploration, drawn: Drawn) -> str:
    """Return the page on a study's recordings, with its figures."""
    clips, corpora = study.clips, study.used_corpora
    genders = sorted(set(clips["gender"]))
    columns = [name for name in NEIGHBOUR_COLUMNS if name != "corpus" or len(corpora) > 1]
    return (
        render(
            "data",
            study=study,
            facts=study.feature_facts,
            figures=address("figures", f"{study.name}_data"),
            drawn=drawn,
            n_clips=len(clips),
            n_mapped=len(study.map),
            n_speakers=clips["speaker"].nunique(),
            n_unvoiced=int(clips["pitch_hz"].isna().sum()),
            hours=clips["duration_s"].sum() / 3600,
            corpora=[title(name) for name in corpora],
            emotions=[plain(name) for name in study.emotions],
            genders=[title(name) for name in genders],
            generated=[title(name) for name, corpus in study.corpora.items() if corpus.generated],
            left_out={name: c for name, c in study.corpora.items() if c.left_out},
            overall=study.neighbours.loc[""],
            chance=study.neighbours.loc["chance"],
            neighbour_columns=[NEIGHBOUR_COLUMNS[name] for name in columns],
            neighbour_rows=_neighbour_rows(study, columns),
            clips_by_emotion=_count_table(study, "emotion", study.emotions),
            clips_by_gender=_count_table(study, "gender", genders),
            corpus_rows=[_corpus_row(*corpus, clips) for corpus in study.corpora.items()],
            speaker_rows=list(_speaker_rows(study)),
            duration_rows=list(_duration_rows(study)),
            level=study.explained.loc["level_db"],
            pitch=study.explained.loc["pitch_hz"],
            level_rows=_quartile_rows(study, "level_db", "corpus", corpora, 1),
            pitch_rows=_quartile_rows(study, "pitch_hz", "gender", genders, 0),
            examples_alike=len({(one.speaker, one.statement) for one in study.examples}) == 1,
            example_speakers=[
                code(s) for s in dict.fromkeys(one.speaker for one in study.examples)
            ],
            duplicates=_duplicates(study),
            outlier_rows=_outlier_rows(study),
            outliers=list(_outlier_lists(study)),
            excluded=list(_excluded(study)),
        )
        + "\n"
    )


def _neighbour_rows(study: Exploration, columns: Sequence[str]) -> list[list[str]]:
    corpora = {name: title(name) for name in study.used_corpora}
    rows = {
        "": "all clips",
        **(corpora if len(corpora) > 1 else {}),
        "chance": "chance (random clip)",
    }
    return [
        [words, *map(percent, study.neighbours.loc[name, list(columns)])]
        for name, words in rows.items()
    ]


def _count_table(study: Exploration, column: str, names: Sequence[str]) -> str:
    """Return the clips of each corpus by a column, with sums if there are several corpora."""
    counts = pd.crosstab(study.clips["corpus"], study.clips[column])
    counts = counts.reindex(index=study.used_corpora, columns=list(names), fill_value=0)
    rows = [
        [title(str(corpus)), *map(count, row), count(sum(row))]
        for corpus, row in zip(counts.index, counts.to_numpy().tolist(), strict=True)
    ]
    if len(counts) > 1:
        sums = counts.sum().tolist()
        rows.append(["**all**", *map(count, sums), f"**{count(sum(sums))}**"])
    return table(["Corpus", *map(plain, names), "all"], rows)


def _corpus_row(name: str, corpus: CorpusRecord, clips: pd.DataFrame) -> CorpusRow:
    here = clips[clips["corpus"] == name]
    formats = (here["container"] + " " + here["encoding"]).value_counts()
    ordered = sorted(formats.items(), key=lambda item: (-item[1], str(item[0])))
    return CorpusRow(
        name=name,
        facts=corpus,
        formats=", ".join(f"{kind} ({count(files)})" for kind, files in ordered),
        rates=", ".join(map(count, sorted(set(here["sample_rate_hz"])))),
    )


def _speaker_rows(study: Exploration) -> Iterator[list[str]]:
    for speaker, clips in study.clips.groupby("speaker", sort=True):
        emotions = clips["emotion"].value_counts()
        yield [
            code(speaker),
            plain(clips["gender"].iloc[0]),
            count(len(clips)),
            *(count(int(emotions.get(emotion, 0))) for emotion in study.emotions),
            decimals(clips["duration_s"].median(), 2),
            decimals(clips["level_db"].median(), 1),
            decimals(clips["pitch_hz"].median(), 0),
        ]


def _duration_rows(study: Exploration) -> Iterator[list[str]]:
    for corpus in study.used_corpora:
        clips = study.clips[study.clips["corpus"] == corpus]
        for part, column in (("file", "duration_s"), ("speech", "trimmed_s")):
            known = clips[column].dropna()
            marks = [known.min(), known.median(), known.quantile(0.95), known.max()]
            yield [title(corpus), part, *(decimals(mark, 2) for mark in marks)]


def _quartile_rows(
    study: Exploration, quantity: str, group: str, groups: Sequence[str], digits: int
) -> list[list[str]]:
    """Return medians and quartiles, a row per emotion and a column per group."""
    rows = []
    for emotion in study.emotions:
        cells = []
        for name in groups:
            wanted = (study.clips["emotion"] == emotion) & (study.clips[group] == name)
            quartiles = study.clips.loc[wanted, quantity].dropna().quantile([0.25, 0.5, 0.75])
            low, median, high = (decimals(value, digits) for value in quartiles)
            cells.append(NOTHING if median == NOTHING else f"{median} [{low}, {high}]")
        rows.append([plain(emotion), *cells])
    return rows


def _duplicates(study: Exploration) -> list[tuple[Sequence[str], list[str]]]:
    """Return groups of identical clips with their labels."""
    emotion = study.clips.set_index("clip")["emotion"]
    return [(clips, sorted({emotion[clip] for clip in clips})) for clips in study.duplicates]


def _outlier_rows(study: Exploration) -> list[list[str]]:
    sizes = study.clips["corpus"].value_counts()
    rows = []
    for kind, words in OUTLIER_WORDS.items():
        cells = []
        for corpus in study.used_corpora:
            n = sum((one.corpus, one.kind) == (corpus, kind) for one in study.outliers)
            cells.append(f"{count(n)} ({percent(n / sizes[corpus])})" if n else NOTHING)
        rows.append([words, *cells])
    return rows


def _outlier_lists(study: Exploration) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the outliers of each kind and corpus."""
    for kind, words in OUTLIER_WORDS.items():
        for corpus in study.used_corpora:
            clips = [
                f"{code(one.clip)} ({plain(one.note)})"
                for one in study.outliers
                if (one.kind, one.corpus) == (kind, corpus)
            ]
            if clips:
                yield words, corpus, clips


def _excluded(study: Exploration) -> Iterator[Excluded]:
    """Yield missing clips and excluded files by corpus and reason."""
    for name, corpus in study.corpora.items():
        if corpus.missing:
            yield Excluded(name, "clip", "missing", corpus.missing)
        for reason in sorted({reason for _, reason in corpus.set_aside}):
            files = [file for file, why in corpus.set_aside if why == reason]
            yield Excluded(name, "file", f"excluded, {reason}", files)
