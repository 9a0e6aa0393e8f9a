"""The studies that can be run, a line each: question, corpora, models, what they need, the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.corpora import CORPORA
from benchmark.engine.processes import available_cores
from benchmark.errors import BenchmarkError
from benchmark.features import OPTIONAL_FEATURE_SETS
from benchmark.models import MODELS
from benchmark.models.model import is_installed
from benchmark.project import Project, study_files
from benchmark.study import Study, read_study

FIT_S = 0.5
"""Typical seconds of a fit on 1,000 rows, by one core."""

NETWORK_FIT_S = 25.0
"""The same of a network that learns by epochs."""

CLIP_S = 0.02
"""Typical seconds of the features of a clip, by one core."""

ENCODER_CLIP_S = 0.3
"""The same of an encoder."""

NAMED_FOLDS = 5
"""How many outer folds the published ones are taken to have."""


@dataclass(frozen=True)
class StudyLine:
    """One study.

    Attributes
    ----------
    question : str
        Its research question; the reason if the file can't be read.
    corpora, models : tuple of str
    needs : tuple of str
        Extras of this package that it needs.
    missing : tuple of str
        Those that are not installed.
    minutes : float or None
        A rough estimate of its duration on this machine; None if the size of a corpus is unknown.
    run : bool
        Whether the project holds its result.
    path : Path
    """

    name: str
    question: str
    path: Path
    corpora: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    minutes: float | None = None
    run: bool = False

    @property
    def time(self) -> str:
        """The duration in words, of one digit; empty if it is unknown."""
        if self.minutes is None:
            return ""
        if self.minutes < 1:
            return "1 min"
        value, unit = (self.minutes, "min") if self.minutes < 90 else (self.minutes / 60, "h")
        digits = 10 ** (len(str(int(value))) - 1)
        return f"{round(value / digits) * digits:.0f} {unit}"

    @property
    def extras(self) -> str:
        """The extras in words: those that are missing are marked."""
        return ", ".join(
            f"{name} (not installed)" if name in self.missing else name for name in self.needs
        )


def study_lines(project: Project) -> list[StudyLine]:
    """Return a line for each study of the current folder and of the package."""
    return [_line(name, path, project) for name, path in study_files(project.folder).items()]


def _line(name: str, path: Path, project: Project) -> StudyLine:
    try:
        study = read_study(path)
    except BenchmarkError as error:
        return StudyLine(name, f"can't be read: {error}", path)
    extras = dict(_extras(study))
    return StudyLine(
        name=name,
        question=study.question,
        path=path,
        corpora=(*study.corpora, *study.auxiliary),
        models=tuple(study.models),
        needs=tuple(extras),
        missing=tuple(extra for extra, installed in extras.items() if not installed),
        minutes=_minutes(study),
        run=(project.results / name / "study.json").is_file(),
    )


def _extras(study: Study) -> Iterator[tuple[str, bool]]:
    """Yield each extra that a study needs, and whether it is installed."""
    for model in study.models:
        if extra := MODELS[model].extra:
            yield extra, MODELS[model].available
    for part in study.features.split("+"):
        optional = OPTIONAL_FEATURE_SETS.get(part.partition(":")[0])
        if optional is not None and optional.extra:
            yield optional.extra, optional.available
    if study.search.engine == "intelex":
        yield "intelex", is_installed("intelex")


def _minutes(study: Study) -> float | None:
    """Return how long a study takes, to a factor of two or three; None if nobody can know."""
    clips = _clips((*study.corpora, *study.auxiliary))
    if clips is None:
        return None
    copies = clips * (1 + len(study.augment))
    split, inner = study.split, study.search.folds
    folds = split.folds if isinstance(split.folds, int) else NAMED_FOLDS if split.folds else 1
    splits = len(split.protocols) * folds * split.repeats
    inner_folds = inner if isinstance(inner, int) else len(study.corpora)
    seconds = copies * (ENCODER_CLIP_S if "embedding:" in study.features else CLIP_S)
    for name, settings in study.models.items():
        fits = splits * inner_folds * (study.search.trials if settings.space else 1)
        per_row = (NETWORK_FIT_S if MODELS[name].by_epochs else FIT_S) / 1000
        seconds += fits * per_row * copies
    return seconds / available_cores() / 60


def _clips(corpora: Sequence[str]) -> int | None:
    sizes = [CORPORA[name].official_clips for name in corpora]
    return None if None in sizes else sum(size for size in sizes if size is not None)
