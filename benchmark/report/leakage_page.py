"""The page of inflated scores: what each mistake adds to a figure, from stored anatomies alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmark.engine.files import write_bytes, write_text
from benchmark.evaluation.metrics import METRICS, Score
from benchmark.leakage.leaks import MISTAKES
from benchmark.leakage.scores import Height, Heights
from benchmark.leakage.stored import Anatomy, Comparison, Staircase, Step, read_anatomies
from benchmark.models import MODELS
from benchmark.report.leakage_figure import Scene, Stair, staircase_figure
from benchmark.report.markdown import (
    NO_BREAK,
    NOTHING,
    address,
    banner,
    capitalised,
    claimed,
    code,
    counted,
    figure,
    interval,
    link,
    listed,
    number,
    plain,
    signed,
    table,
    title,
)
from benchmark.report.wording import intervals_note, sentences

NAME = "anatomy.md"
"""The page's file."""

FIGURES = ("figures", "anatomy")
"""The folder of its pictures, below the page's own."""

HONEST = "honest: speakers never heard"
SPEAKERS = {"apart": "kept apart", "shared": "on both sides"}


@dataclass(frozen=True)
class Case:
    """A staircase of a study, with its heights.

    Attributes
    ----------
    anatomy : Anatomy
    staircase : Staircase
    heights : Heights
        Of all runs of the anatomy.
    """

    anatomy: Anatomy
    staircase: Staircase
    heights: Heights

    @property
    def model(self) -> str:
        """The model, as within a sentence."""
        return model_title(self.staircase.model)

    @property
    def metric(self) -> str:
        """The metric's title."""
        return METRICS[self.staircase.metric].title

    @property
    def own(self) -> bool:
        """Whether it is the study's own winner, and not that of its source."""
        return self.staircase.published is None

    @property
    def name(self) -> str:
        """Whose staircase it is: the study's, or its source's."""
        if self.own:
            return self.anatomy.name
        source: str = self.anatomy.settings["claims"]["source"]
        return source

    @property
    def picture(self) -> str:
        """The file of its figure."""
        kind = "" if self.own else "_published"
        return f"{self.anatomy.name}_{self.staircase.model}{kind}.png"

    @cached_property
    def levels(self) -> list[Height]:
        """The height of each step."""
        return [self.level(step) for step in self.staircase.steps]

    def level(self, step: Step) -> Height:
        """Return the height of a step."""
        return self.heights.level(step.runs, self.staircase.metric)

    def rise(self, lower: int, upper: int) -> Score:
        """Return by how much one step stands above another, by their places."""
        steps = self.staircase.steps
        found = self.heights.difference(steps[lower].runs, steps[upper].runs, self.staircase.metric)
        return found.mean


def write_page(reports: Path) -> Path | None:
    """Write the page and its figures from what `reports/anatomy` holds; None where it is empty.

    Parameters
    ----------
    reports : Path
        The folder of all pages.

    Raises
    ------
    BenchmarkError
        If a stored anatomy can't be read.
    """
    cases = [_cases(anatomy) for anatomy in read_anatomies(reports / "anatomy")]
    folder = reports.joinpath(*FIGURES)
    drawn = {case.picture: draw(case) for part in cases for case in part}
    for stale in folder.glob("*.png"):
        if stale.name not in drawn:
            stale.unlink()
    if not cases:
        (reports / NAME).unlink(missing_ok=True)
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in drawn.items():
        write_bytes(folder / name, content)
    write_text(reports / NAME, anatomy_page(cases))
    return reports / NAME


def _cases(anatomy: Anatomy) -> list[Case]:
    heights = Heights(anatomy)
    return [Case(anatomy, staircase, heights) for staircase in anatomy.staircases]


def draw(case: Case) -> bytes:
    """Return a staircase's picture."""
    anatomy, staircase = case.anatomy, case.staircase
    stairs = [
        Stair(_label(anatomy, step), level.mean.value, level.draws)
        for step, level in zip(staircase.steps, case.levels, strict=True)
    ]
    if anatomy.draws > 1 and case.own:
        last = case.levels[-1].draws
        stairs.append(
            Stair(f"+ luckiest of {anatomy.draws} splits reported", max(last), (max(last),))
        )
    generated = ", generated speech" if anatomy.data["generated"] else ""
    scene = Scene(
        heading=f"{case.name}{generated}: {case.model}",
        metric=case.metric,
        guessing=1 / len(anatomy.emotions),
        published=staircase.published,
    )
    return staircase_figure(stairs, scene)


def _label(anatomy: Anatomy, step: Step) -> str:
    """Return a step in a few words."""
    if not step.mistake:
        return HONEST
    return f"+ {mistake_title(anatomy, step.mistake)}"


def mistake_title(anatomy: Anatomy, mistake: str) -> str:
    """Return a mistake in a few words, with the number of choices that the test rows had."""
    words = MISTAKES[mistake].title
    return words.replace("several seeds", f"{anatomy.seeds} seeds")


def model_title(model: str) -> str:
    """Return a model as within a sentence."""
    words = MODELS[model].title if model in MODELS else title(model)
    first, space, rest = words.partition(" ")
    whole = f"{first.lower() if first[1:].islower() else first}{space}{rest}"
    head, comma, kind = whole.partition(", ")
    return f"{head} ({kind})" if comma else whole


def anatomy_page(studies: Sequence[Sequence[Case]]) -> str:
    """Return the page of all anatomies."""
    own = [cases[0] for cases in studies]
    published = [case for cases in studies for case in cases if not case.own]
    parts = [
        "# Anatomy of an inflated score",
        "How does a model that recognises little of an unknown speaker come to a figure of nine "
        f"out of ten? {_what_is_run(own)}: **a staircase from the honest score to the flattering "
        "one**. Same recordings, same features, same model, same settings; only what is learned "
        "from and what is tested changes.",
        banner(
            "IMPORTANT",
            "No figure of this page is a result. The mistakes are made by the command `anatomy` "
            "alone, and nothing that it makes can enter a leaderboard.",
        ),
        "\n".join(f"- {_headline(case)}" for case in own),
        *_published_section(published),
        *(part for cases in studies for part in _study_section(cases)),
        *_mistakes_section(own),
        *_notes_section(own),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what_is_run(cases: Sequence[Case]) -> str:
    """Return what is run again, of a study's own model and of its source's."""
    source = "with the mistakes that the source itself tells of, one upon another"
    own = [case for case in cases if case.own]
    if not own:
        return f"Here models with published figures are run again {source}"
    alone = [plain(case.anatomy.name) for case in cases if not case.own]
    models = "a study's best model is" if len(own) == 1 else "each study's best model is"
    text = (
        f"Here {models} run again with the mistakes that papers and notebooks make, each alone and "
        "then one upon another"
    )
    return f"{text}; of {listed(alone)} the source's figure alone, {source}" if alone else text


def _headline(case: Case) -> str:
    """Return in a sentence from where to where a staircase leads, and which step is the highest."""
    steps = case.staircase.steps
    rises = {steps[n].mistake: case.rise(n - 1, n).value for n in range(1, len(steps))}
    highest = max(rises, key=lambda name: rises[name])
    kind = " (generated speech)" if case.anatomy.data["generated"] else ""
    return (
        f"[{plain(case.anatomy.name)}](#{_anchor(case.anatomy.name)}){kind}: the {case.model} "
        f"climbs from {case.metric} **{number(case.levels[0].mean.value)}** to "
        f"**{number(case.levels[-1].mean.value)}**. The highest step, "
        f"{mistake_title(case.anatomy, highest)}, is {signed(rises[highest])}."
    )


def _anchor(name: str) -> str:
    """Return the address of a study's section within the page, as GitHub makes it."""
    return name.lower()


def _published_section(cases: Sequence[Case]) -> Iterator[str]:
    """Yield the published figures beside what is left of them."""
    if not cases:
        return
    yield "## Published figures, taken apart"
    yield (
        "Figures whose source tells how it split, copied, scaled and chose. We make its mistakes, "
        "and take them away again."
    )
    header = [
        "System", "Model", "The source says", "Ours, with its mistakes",
        "Ours, random split without them", "Ours, unseen speakers", "What its mistakes add",
    ]  # fmt: skip
    yield table(header, [_published_row(case) for case in cases], (0, 1))
    yield "\n".join(f"- {_published_sentence(case)}" for case in cases)


def _published_row(case: Case) -> list[str]:
    claims = case.anatomy.settings["claims"]
    published = case.staircase.published
    return [
        link(plain(claims["source"]), f"{case.anatomy.name}.md"),
        case.model,
        f"{case.metric} {claimed(published)}" if published is not None else NOTHING,
        figure(case.levels[-1].mean, bold=True),
        figure(case.levels[1].mean),
        figure(case.levels[0].mean),
        _difference(case.rise(1, len(case.levels) - 1)),
    ]


def _published_sentence(case: Case) -> str:
    """Return how much of a published figure is known speakers, how much mistakes, what is left."""
    published = case.staircase.published or 0.0
    steps = case.staircase.steps
    last = len(steps) - 1
    reached, honest = case.levels[-1].mean.value, case.levels[0].mean.value
    made = [MISTAKES[step.mistake].title for step in steps[2:]]
    noun, these = (
        ("mistake", "is this mistake") if len(made) == 1 else ("mistakes", "are these mistakes")
    )
    short = published - reached
    miss = (
        f"is reached ({number(reached)} here)"
        if short <= 0
        else f"is missed by {number(short)} here ({number(reached)})"
    )
    told = (
        f"**{plain(case.name)}, {case.model}.** With its {noun} ({listed(made)}) the printed "
        f"{claimed(published)} {miss}. Of ours, {_difference(case.rise(1, last))} {these}, and "
        f"{_difference(case.rise(0, 1))} are speakers that it knew; {number(honest)} is what it "
        f"does with a speaker it has never heard."
    )
    return " ".join(part for part in (told, _left_out(case.anatomy), _lacking(case)) if part)


def _left_out(anatomy: Anatomy) -> str:
    """Return which recordings of the source are lacking here; empty where none are."""
    names = listed([title(name) for name in anatomy.data["left_out"]])
    return f"The source's clips of the {names} corpus are lacking here." if names else ""


def _lacking(case: Case) -> str:
    """Return the mistakes that a model can't make, with the reasons; empty where there are none."""
    reasons = [
        f"{MISTAKES[name].title} ({plain(why)})" for name, why in case.staircase.lacking.items()
    ]
    return f"Not made: {listed(reasons)}." if reasons else ""


def _study_section(cases: Sequence[Case]) -> Iterator[str]:
    """Yield a study's staircases and the table of each mistake alone."""
    own = cases[0]
    anatomy = own.anatomy
    yield f"## {plain(anatomy.name)}"
    yield _study_line(own)
    yield from _banners(anatomy)
    yield _picture(own)
    yield from (_picture(case) for case in cases[1:])
    if not anatomy.alone:
        yield sentences([_again(anatomy)])
        return
    yield "**Each mistake alone**, beside the same experiment done right:"
    header = ["Mistake", "Speakers", "Done right", "Done wrong", "Difference", "Over the draws"]
    rows = [_alone_row(own, comparison) for comparison in anatomy.alone]
    yield table(header, rows, (0, 1))
    yield sentences([_lacking(own), *_study_notes(own)])


def _study_line(case: Case) -> str:
    anatomy = case.anatomy
    best = ", the single model with the best score on the inner folds of unseen speakers"
    chosen = best if case.own else ""
    return (
        f"Study [{plain(anatomy.name)}]({address(f'{anatomy.name}.md')}) · "
        f"{counted(anatomy.data['clips'], 'clip')} of "
        f"{counted(anatomy.data['speakers'], 'speaker')} · "
        f"{counted(len(anatomy.emotions), 'emotion')} · features "
        f"{code(anatomy.settings['features'])} · {case.model}{chosen} · "
        f"{counted(anatomy.draws, 'draw')} of the split"
    )


def _banners(anatomy: Anatomy) -> Iterator[str]:
    if anatomy.data["generated"]:
        yield banner(
            "WARNING",
            "**Generated speech.** These voices are made by code. The figures show that "
            "everything works; they say nothing of how well people's emotions are recognised.",
        )
    if anatomy.data["left_out"]:
        names = listed([title(name) for name in anatomy.data["left_out"]])
        yield banner(
            "CAUTION",
            f"**{names} corpus was left out**, as in the study's own run: no full copy was there.",
        )


def _picture(case: Case) -> str:
    steps = "; ".join(
        f"{_label(case.anatomy, step)} {number(level.mean.value)}"
        for step, level in zip(case.staircase.steps, case.levels, strict=True)
    )
    alternative = f"Staircase of {case.name}, {case.model}: {steps}"
    return f"![{plain(alternative)}]({address(*FIGURES, case.picture)})"


def _alone_row(case: Case, comparison: Comparison) -> list[str]:
    metric = case.staircase.metric
    right, wrong = (
        case.heights.level(runs, metric) for runs in (comparison.right, comparison.wrong)
    )
    difference = case.heights.difference(comparison.right, comparison.wrong, metric)
    low, high = min(difference.draws), max(difference.draws)
    return [
        mistake_title(case.anatomy, comparison.mistake),
        SPEAKERS[comparison.speakers],
        figure(right.mean),
        figure(wrong.mean),
        _difference(difference.mean),
        f"{signed(low)} to {signed(high)}".replace(" ", NO_BREAK),
    ]


def _difference(score: Score) -> str:
    """Return a difference with its sign and interval."""
    return f"{signed(score.value)} {interval(score)}"


def _study_notes(case: Case) -> list[str]:
    anatomy = case.anatomy
    honest = case.levels[0]
    copies = listed([code(chain) for chain in anatomy.data["augment"]])
    own = "the study's own" if anatomy.settings["augment"] else "the study has none of its own"
    decides = case.staircase.model in MODELS and MODELS[case.staircase.model].decides
    plainly = ", where it is calibrated, which moves a few answers" if decides else ""
    notes = [
        f"{case.metric}, means over the draws. The first draw is the study's own split: "
        f"{number(honest.draws[0])} here, {number(anatomy.data['measured'])} in its result"
        f"{plainly}.",
        f"Speakers: whether the experiment done right keeps them apart. Copies: {copies} ({own}).",
    ]
    if anatomy.draws > 1:
        low, high = min(honest.draws), max(honest.draws)
        notes.append(
            f"The honest score goes from {number(low)} to {number(high)} over the draws: whoever "
            "tells of the luckiest split alone is that much off."
        )
    return [*notes, _choices(case), _again(anatomy)]


def _choices(case: Case) -> str:
    """Return between how many settings the test rows chose."""
    chosen = [run.by_setting for run in case.anatomy.runs if run.by_setting]
    if not chosen:
        return ""
    return f"Settings: the winner's and {len(chosen[0]) - 1} more that the study tried."


def _again(anatomy: Anatomy) -> str:
    command = f"python -m benchmark anatomy {anatomy.name}"
    if not anatomy.data["generated"]:
        own = anatomy.settings["corpora"] == ["csv"]
        command += " --corpus csv=TABLE.csv" if own else " --corpora DIR"
    command += f" --draws {anatomy.draws}"
    settings = max((len(run.by_setting) for run in anatomy.runs), default=0)
    command += f" --seeds {anatomy.seeds}" + (f" --settings {settings}" if settings else "")
    command += "" if anatomy.alone else " --published-only"
    return f"Again: {code(command)}."


def _mistakes_section(cases: Sequence[Case]) -> Iterator[str]:
    """Yield a paragraph a mistake."""
    yield "## The mistakes, and how to see them"
    for name, mistake in MISTAKES.items():
        measured = [text for case in cases for text in _measured(case, name)]
        found = f" **Measured alone:** {'; '.join(measured)}." if measured else ""
        yield (
            f"**{capitalised(mistake.title)}.** {mistake.habit} *Why it flatters:* "
            f"{mistake.flatters} *In a notebook:* {mistake.seen} *Here:* {mistake.prevented}{found}"
        )


def _measured(case: Case, mistake: str) -> Iterator[str]:
    """Yield what a mistake alone adds in a study, under the split in which it is made."""
    found = [one for one in case.anatomy.alone if one.mistake == mistake]
    for comparison in found:
        where = ", speakers kept apart" if comparison.speakers == "apart" else ""
        where = where or ", speakers on both sides"
        difference = case.heights.difference(
            comparison.right, comparison.wrong, case.staircase.metric
        )
        shown = f"{plain(case.anatomy.name)}{where if len(found) > 1 else ''}"
        yield f"{shown} {_difference(difference.mean)}"


def _notes_section(cases: Sequence[Case]) -> Iterator[str]:
    """Yield how all this was measured."""
    yield "## How it was measured"
    yield (
        "A *draw* is a split with a seed of its own; each experiment is run on every draw, and its "
        "score is the mean. A mistake's difference is that of the same model on the same draws, "
        f"done wrong less done right. {intervals_note()} Here the speakers are those that the "
        "draws of an experiment test, and of a difference those of the experiment that tests "
        "fewer. One resample counts a speaker as often in every draw and on both sides of a "
        "difference, so that what two experiments share cancels."
    )
    yield (
        "Settings are the winner's, as the study chose them on the inner folds of its own split; "
        "those of a published figure are the best that it found under the source's protocol. "
        "In further draws some test clips were among those folds, so the honest scores lean to the "
        "flattering side there, if to any. Where rows are made before the split, rows are split, "
        "copies are tested too, and a row that SMOTE made counts for the speaker of the recording "
        "nearest to it. A step that lowers the score is drawn hatched. The selection of features "
        "stands in the tables alone: to do without half of them costs more than it flatters, and "
        "who sees that takes it back."
    )
