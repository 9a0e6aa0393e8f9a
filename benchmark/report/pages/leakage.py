"""The page of the leakage ablation: facts for ``templates/leakage.md.j2``, from stored records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

from benchmark.engine.files import write_text
from benchmark.evaluation.intervals import Score
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import read_result
from benchmark.leakage.leaks import LEAKS
from benchmark.leakage.scores import AblationScores, MeanScore
from benchmark.leakage.stored import FOLDER, Ablation, Cumulative, Step, read_ablations
from benchmark.leakage.text import read_text_ablations
from benchmark.models import MODELS
from benchmark.report.figures import Drawn, draw
from benchmark.report.leakage_figure import Bar, Frame, waterfall_figure
from benchmark.report.markdown import NO_BREAK, address, interval, number, plain, signed, title
from benchmark.report.measured import registered, spoken
from benchmark.report.pages.text_ablation import TextCase, features_figure
from benchmark.report.template import render
from benchmark.report.wording import constants

NAME = "leakage.md"
"""File of the page."""

FIGURES = ("figures", "leakage")
"""Folder of its figures, below that of the page."""

LEAK_FREE = "no leak (speaker-independent)"


class LargestStep(NamedTuple):
    """The leak that adds most."""

    title: str
    value: float


class SingleLeakRow(NamedTuple):
    """A row of the table of single leaks."""

    title: str
    shared_speakers: bool
    clean: Score
    leaky: Score
    difference: Score
    range: str


@dataclass(frozen=True)
class Case:
    """Cumulative leaks of one model, with their scores.

    Attributes
    ----------
    ablation : Ablation
    cumulative : Cumulative
    scores : AblationScores
        Of all runs of the ablation.
    split_anew : bool
        Whether the study has been run on other splits since.
    """

    ablation: Ablation
    cumulative: Cumulative
    scores: AblationScores
    split_anew: bool

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.ablation.name

    @property
    def left_out(self) -> list[str]:
        """Titles of the corpora that are left out."""
        return [title(name) for name in self.ablation.data.left_out]

    @property
    def page(self) -> str:
        """Address of the study's page."""
        return address(f"{self.name}.md")

    @property
    def own(self) -> bool:
        """Whether this is the study's selected model, not that of a reported figure."""
        return self.cumulative.reported is None

    @property
    def source(self) -> str:
        """The source of a reported figure; the study's name for its own selected model."""
        claims = self.ablation.study.claims
        return self.name if self.own or claims is None else claims.source

    @property
    def model(self) -> str:
        """The model as a noun within a sentence."""
        name = self.cumulative.model
        words = MODELS[name].title if name in MODELS else title(name)
        first, space, rest = words.partition(" ")
        whole = f"{first.lower() if first[1:].islower() else first}{space}{rest}"
        head, comma, kind = whole.partition(", ")
        return f"{head} ({kind})" if comma else whole

    @property
    def calibrated(self) -> bool:
        """Whether the study calibrates a model that is searched without probabilities."""
        name = self.cumulative.model
        return name in MODELS and MODELS[name].labels_only

    @property
    def metric(self) -> str:
        """Title of the metric."""
        return METRICS[self.cumulative.metric].title

    @property
    def sign(self) -> int:
        """1, or -1 if smaller values of the metric are better."""
        return 1 if METRICS[self.cumulative.metric].greater_is_better else -1

    @property
    def picture(self) -> str:
        """File of the figure."""
        suffix = "" if self.own else "_published"
        return f"{self.name}_{self.cumulative.model}{suffix}.png"

    @property
    def alternative_text(self) -> str:
        """Text of the figure for readers who cannot see it."""
        steps = "; ".join(
            f"{self.label(step)} {number(level.mean.value)}"
            for step, level in zip(self.cumulative.steps, self.levels, strict=True)
        )
        return f"Scores of {self.source}, {self.model}: {steps}"

    @cached_property
    def levels(self) -> list[MeanScore]:
        """The score of each step."""
        metric = self.cumulative.metric
        return [self.scores.score(step.runs, metric) for step in self.cumulative.steps]

    def difference(self, lower: int, upper: int) -> Score:
        """Return the score of one step minus that of another, by their indices."""
        steps = self.cumulative.steps
        return self.scores.difference(
            steps[lower].runs, steps[upper].runs, self.cumulative.metric
        ).mean

    @property
    def shared_speakers(self) -> Score:
        """Effect of shared speakers, the first leak."""
        return self.difference(0, 1)

    @property
    def other_leaks(self) -> Score:
        """Effect of all leaks after the first."""
        return self.difference(1, len(self.cumulative.steps) - 1)

    @property
    def other_titles(self) -> list[str]:
        """Titles of all leaks after the first."""
        return [LEAKS[step.leak].title for step in self.cumulative.steps[2:]]

    @property
    def largest(self) -> LargestStep:
        """The leak that adds most."""
        steps = self.cumulative.steps
        added = {n: self.difference(n - 1, n).value for n in range(1, len(steps))}
        largest = max(added, key=lambda n: self.sign * added[n])
        return LargestStep(self.leak_title(steps[largest].leak), added[largest])

    @property
    def shortfall(self) -> float:
        """By how much the score with all leaks is worse than the reported figure."""
        return self.sign * ((self.cumulative.reported or 0.0) - self.levels[-1].mean.value)

    @property
    def single_leaks(self) -> Iterator[SingleLeakRow]:
        """Each single leak with its scores."""
        metric = self.cumulative.metric
        for one in self.ablation.single:
            difference = self.scores.difference(one.clean, one.leaky, metric)
            low, high = min(difference.by_split), max(difference.by_split)
            yield SingleLeakRow(
                title=self.leak_title(one.leak),
                shared_speakers=one.shared_speakers,
                clean=self.scores.score(one.clean, metric).mean,
                leaky=self.scores.score(one.leaky, metric).mean,
                difference=difference.mean,
                range=f"{signed(low)} to {signed(high)}".replace(" ", NO_BREAK),
            )

    @property
    def n_settings(self) -> int:
        """Number of settings among which the test set selected."""
        return max((len(run.by_setting) for run in self.ablation.runs), default=0)

    @property
    def command(self) -> str:
        """The command that computes this ablation."""
        ablation = self.ablation
        command = f"python -m benchmark leakage {self.name}"
        if not ablation.data.generated:
            own = ablation.study.corpora == ("csv",)
            command += " --corpus csv=TABLE.csv" if own else " --corpora DIR"
        command += f" --draws {ablation.n_draws} --seeds {ablation.n_seeds}"
        command += f" --settings {self.n_settings}" if self.n_settings else ""
        return command + ("" if ablation.single else " --published-only")

    def label(self, step: Step) -> str:
        """Return a step in a few words."""
        return f"+ {self.leak_title(step.leak)}" if step.leak else LEAK_FREE

    def leak_title(self, leak: str) -> str:
        """Return the title of a leak, with the number of seeds."""
        return LEAKS[leak].title.replace("several seeds", f"{self.ablation.n_seeds} seeds")


def write_page(reports: Path) -> Path | None:
    """Write the page and its figures from the records below a folder; None if there are none.

    Parameters
    ----------
    reports : Path
        Folder of all pages; the records are in ``leakage/`` below it.

    Raises
    ------
    BenchmarkError
        If a record is unreadable.
    """
    studies = [_cases(ablation, reports) for ablation in read_ablations(reports / FOLDER)]
    texts = [TextCase(ablation) for ablation in read_text_ablations(reports / FOLDER)]
    waterfalls = {one.picture: partial(leaks_figure, one) for cases in studies for one in cases}
    of_text = {one.picture: partial(features_figure, one) for one in texts if one.picture}
    drawn = draw(waterfalls | of_text)
    drawn.write(reports.joinpath(*FIGURES))
    if not studies and not texts:
        (reports / NAME).unlink(missing_ok=True)
        return None
    write_text(reports / NAME, leakage_page(studies, texts, drawn))
    return reports / NAME


def _cases(ablation: Ablation, reports: Path) -> list[Case]:
    scores = AblationScores(ablation)
    folder = reports / "results" / ablation.name
    stored = (folder / "study.json").is_file()
    split_anew = stored and read_result(folder).study.split != ablation.study.split
    return [Case(ablation, cumulative, scores, split_anew) for cumulative in ablation.cumulative]


def leaks_figure(case: Case) -> bytes:
    """Return the figure of cumulative leaks."""
    ablation, steps = case.ablation, case.cumulative.steps
    bars = [
        Bar(case.label(step), level.mean.value, level.by_split)
        for step, level in zip(steps, case.levels, strict=True)
    ]
    if ablation.n_draws > 1 and case.own:
        best = max(case.levels[-1].by_split, key=lambda score: case.sign * score)
        bars.append(Bar(f"+ best of {ablation.n_draws} splits", best, (best,)))
    speech = ", synthetic speech" if ablation.data.generated else ""
    metric = METRICS[case.cumulative.metric]
    frame = Frame(
        heading=f"{case.source}{speech}: {case.model}",
        metric=metric.title,
        low=metric.low,
        high=metric.high,
        chance=metric.chance(len(ablation.emotions)),
        reported=case.cumulative.reported,
    )
    return waterfall_figure(bars, frame)


def leakage_page(studies: Sequence[Sequence[Case]], texts: Sequence[TextCase], drawn: Drawn) -> str:
    """Return the page of all ablations, given the cases of each study, and those of text."""
    first = [cases[0] for cases in studies]
    return (
        render(
            "leakage",
            studies=studies,
            texts=texts,
            speech=registered(case.ablation.study.corpora[0] for case in texts),
            spoken=spoken,
            first=first,
            own=[case for case in first if case.own],
            reported=[case for cases in studies for case in cases if not case.own],
            reported_only=[plain(case.name) for case in first if not case.own],
            titles={name: leak.title for name, leak in LEAKS.items()},
            effects={
                name: [text for case in first for text in _effects(case, name)] for name in LEAKS
            },
            drawn=drawn,
            figures=address(*FIGURES),
            **constants(),
        )
        + "\n"
    )


def _effects(case: Case, leak: str) -> Iterator[str]:
    """Yield the measured effects of a single leak in a study, one for each protocol."""
    found = [one for one in case.ablation.single if one.leak == leak]
    for one in found:
        protocol = ""
        if len(found) > 1:
            protocol = f", {'shared' if one.shared_speakers else 'disjoint'} speakers"
        effect = case.scores.difference(one.clean, one.leaky, case.cumulative.metric).mean
        yield f"{plain(case.name)}{protocol} {signed(effect.value)} {interval(effect)}"
