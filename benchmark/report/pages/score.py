"""The page of scored predictions: ``reports/scores/NAME.md``, with its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path, PurePath
from typing import Any

from benchmark.engine.files import write_text
from benchmark.evaluation.intervals import Evaluation
from benchmark.evaluation.leaderboard import METRIC
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.predictions import stem
from benchmark.evaluation.scoring import Extra, Scored
from benchmark.evaluation.subgroups import FEWEST_CLIPS, SPEAKER, Division, Group
from benchmark.features.contamination import contaminated_encoders, known_as_tuned
from benchmark.report import wording
from benchmark.report.figures import COLOURS, Drawn, draw, without_glyph
from benchmark.report.latex import float_of
from benchmark.report.markdown import (
    address,
    counted,
    figure,
    listed,
    number,
    plain,
    probability,
    title,
)
from benchmark.report.pages.glance import SCORES
from benchmark.report.records import evaluation_record, figure_record
from benchmark.report.sections.calibration import Reliability, reliability_figure
from benchmark.report.sections.conditions import (
    PICTURE,
    Conditioned,
    condition_header,
    condition_rows,
    conditions_figure,
    meanings,
)
from benchmark.report.sections.raters import AGREEMENT, agreement_rows
from benchmark.report.sections.selected_model import Confusion, confusion_figure
from benchmark.report.sections.subgroups import speakers_figure
from benchmark.report.study_page import reading_page
from benchmark.report.template import render

MOST_SPEAKERS = 60
"""More speakers are not drawn."""


@dataclass(frozen=True)
class ScorePage:
    """What the page of some predictions shows.

    Attributes
    ----------
    name : str
        Of the system, and of the page's file.
    protocol : str
        As its user states it; empty if unknown.
    scored : Scored
    command : str
        The command that makes the page again.
    fitted_here : bool
        Whether the system is the selected model of a study.
    """

    name: str
    protocol: str
    scored: Scored
    command: str
    fitted_here: bool = False

    @property
    def evaluation(self) -> Evaluation:
        """Scores of the predictions."""
        return self.scored.evaluation

    @cached_property
    def side(self) -> wording.TestSide:
        """The test clips, in the words of a leaderboard's note."""
        return _side(self.evaluation)

    @property
    def chance(self) -> float:
        """UAR of any constant prediction: the mean over corpora of 1 / their emotions."""
        return wording.chance_level(self.evaluation)

    @property
    def worst_speaker(self) -> tuple[Division, Group] | None:
        """The speaker with the lowest score; None with one speaker."""
        several = [one for one in self.speakers if len(one.groups) > 1]
        return _worst(several)

    @property
    def worst_group(self) -> tuple[Division, Group] | None:
        """The subgroup, other than a speaker, with the lowest score."""
        return _worst(self.others)

    @property
    def warnings(self) -> list[str]:
        """What is doubtful in the table, for the terminal."""
        answers = self.scored.predictions
        found = [f"speakers whose names are alike: {', '.join(one)}" for one in self.scored.alike]
        if self.contaminated:
            found.append(self.contaminated)
        if self.set_aside:
            found.append(f"set aside, without a majority of votes: {self.set_aside}")
        if answers.unanswered:
            clips = counted(len(answers.unanswered), "clip")
            found.append(f"{clips} without an answer; each counts as wrong")
        if answers.absent:
            clips = counted(len(answers.absent), "clip")
            found.append(f"{clips} of the list of clips without a row; they are left out")
        if answers.unlike:
            clips = counted(len(answers.unlike), "clip")
            found.append(
                f"{clips} whose prediction is not the emotion with the highest probability: the "
                "predictions are scored, without the probabilities"
            )
        if answers.never_true:
            found.append(f"predicted, but true of no clip: {', '.join(answers.never_true)}")
        if answers.never_predicted:
            found.append(f"never predicted: {', '.join(answers.never_predicted)}")
        found += [
            f"{one.corpus}: most clips have a sentence that is spoken with one emotion only"
            for one in self.scored.texts
            if one.tells_emotion
        ]
        found += [
            f"{name} predicts {listed(extra.emotions, 'or')} for "
            f"{counted(extra.predicted, 'common clip')}, which no such clip has; {other} cannot"
            for name, other, extra in self.extras
            if extra.predicted
        ]
        found += [
            f"under {condition}: {counted(clips, 'clip')} without an answer; each counts as wrong"
            for condition, clips in self.unanswered_under.items()
        ]
        speakers = answers.rows["speaker"].unique()
        drawn = without_glyph([self.name, *answers.emotions, *speakers, *answers.conditions])
        return [*found, drawn] if drawn else found

    @property
    def conditioned(self) -> Conditioned | None:
        """The system under all conditions; None without any."""
        under, recorded = list(self.scored.conditions), self.evaluation.scores[METRIC]
        return Conditioned(self.protocol, self.name, recorded, under) if under else None

    @property
    def unanswered_under(self) -> dict[str, int]:
        """Number of clips without an answer under each condition that has some."""
        conditions = self.scored.predictions.conditions.items()
        return {name: len(one.unanswered) for name, one in conditions if one.unanswered}

    @property
    def condition_header(self) -> list[str]:
        """The columns of `condition_rows`."""
        return condition_header([""])

    @property
    def condition_rows(self) -> list[list[str]]:
        """The table of scores by condition."""
        return condition_rows([self.conditioned]) if self.conditioned else []

    @property
    def meanings(self) -> list[tuple[str, str]]:
        """What the command `degrade` does under conditions of these names."""
        return meanings(self.scored.predictions.conditions)

    @property
    def other(self) -> str:
        """Name of the compared system: a study, or a table without its folders."""
        one = self.scored.comparison
        name = "" if one is None else PurePath(one.name).stem
        return name if one is None or name != self.name else one.name

    def named(self, clips: Iterable[str]) -> list[str]:
        """Return clips as the page names them: without the folders and suffix of a file."""
        return [stem(clip) for clip in clips]

    @property
    def extras(self) -> list[tuple[str, str, Extra]]:
        """The emotions that one of two compared systems has alone: its name, the other's, these."""
        one = self.scored.comparison
        if one is None:
            return []
        both = [(self.name, self.other, one.extra_here), (self.other, self.name, one.extra_there)]
        return [pair for pair in both if pair[2].emotions]

    @property
    def contaminated(self) -> str:
        """Which encoder, known by the system's name, was tuned on which scored corpora."""
        return contaminated_encoders(known_as_tuned(self.name), self.evaluation.corpora)

    @property
    def set_aside(self) -> str:
        """The clips without a majority of votes, with the reasons: ``2 clips (a tie of votes)``."""
        rated = self.scored.predictions.rated
        reasons = Counter() if rated is None else Counter(rated.set_aside.values())
        return listed([f"{counted(n, 'clip')} ({reason})" for reason, n in reasons.items()])

    @property
    def agreement(self) -> list[list[str]]:
        """A row for each corpus with votes, the columns `AGREEMENT`."""
        rated = self.scored.predictions.rated
        return [] if rated is None else agreement_rows(rated.agreement)

    @property
    def soft_rows(self) -> list[list[str]]:
        """The scores against the votes, with the columns `soft_header`."""
        soft = self.scored.soft
        if soft is None:
            return []
        parts = [*soft.corpora.values()] * (len(soft.corpora) > 1)
        rows = {
            "Soft macro F1": [soft.soft_f1, *(one.soft_f1 for one in parts)],
            "JS divergence (lower is better)": [
                soft.divergence,
                *(one.divergence for one in parts),
            ],
        }
        return [[name, *map(figure, scores)] for name, scores in rows.items()]

    @property
    def soft_header(self) -> list[str]:
        """The columns of `soft_rows`: corpora without votes are not among them."""
        return [] if self.scored.soft is None else _header(self.scored.soft.corpora)

    @property
    def speakers(self) -> list[Division]:
        """The divisions by speaker, one per corpus."""
        return [one for one in self.scored.divisions if one.by == SPEAKER]

    @property
    def others(self) -> list[Division]:
        """The divisions by gender and other facts."""
        return [one for one in self.scored.divisions if one.by != SPEAKER]

    def cells(self, metric: str) -> list[str]:
        """Return the score by a metric: the mean over corpora, then that of each corpus."""
        parts = self.evaluation.corpora.values()
        several = len(self.evaluation.corpora) > 1
        shown = [wording.cell(part, metric) for part in parts]
        return [figure(self.evaluation.scores[metric], bold=metric == METRIC), *shown * several]

    @property
    def header(self) -> list[str]:
        """The columns of the table of scores."""
        return _header(self.evaluation.corpora)

    @property
    def rows(self) -> list[list[str]]:
        """The table of scores, a row for each metric."""
        return [[metric.title, *self.cells(name)] for name, metric in METRICS.items()]


def _side(evaluation: Evaluation) -> wording.TestSide:
    words = wording.ProtocolWords("the scored clips", "clips", "")
    return wording.TestSide("", words, evaluation, 0, "")


def _worst(divisions: Iterable[Division]) -> tuple[Division, Group] | None:
    pairs = [(division, division.worst) for division in divisions]
    return min(pairs, key=lambda pair: pair[1].score.value, default=None)


def _header(corpora: Iterable[str]) -> list[str]:
    names = [title(name) for name in corpora]
    return ["Metric", "mean over corpora", *names] if len(names) > 1 else ["Metric", "Score"]


def figures(page: ScorePage) -> Drawn:
    """Return the figures of a page."""
    scored, evaluation = page.scored, page.evaluation
    several = len(evaluation.corpora) > 1
    panels = [
        Confusion(title(name) if several else page.name, part.confusion)
        for name, part in evaluation.corpora.items()
    ]
    drawn: dict[str, Callable[[], bytes]] = {
        "confusion.png": partial(confusion_figure, panels, evaluation.emotions, min(3, len(panels)))
    }
    if page.speakers and evaluation.speakers <= MOST_SPEAKERS:
        drawn["speakers.png"] = partial(speakers_figure, page.speakers, METRICS[METRIC].title)
    if scored.calibration is not None:
        drawn["calibration.png"] = partial(
            reliability_figure, [Reliability(page.name, scored.calibration, None)], "predictions"
        )
    if page.conditioned is not None:
        colour, words = COLOURS[0], f"{METRICS[METRIC].title} by condition"
        styles = [(colour, "o", page.name)]
        drawn[PICTURE] = partial(conditions_figure, [page.conditioned], styles, page.chance, words)
    return draw(drawn)


def score_page(page: ScorePage, drawn: Drawn) -> str:
    """Return the text of a page."""
    return (
        render(
            "score",
            page=page,
            scored=page.scored,
            drawn=drawn,
            place=address(page.name),
            speakers_drawn=page.evaluation.speakers <= MOST_SPEAKERS,
            fewest_clips=FEWEST_CLIPS,
            AGREEMENT=AGREEMENT,
            listed_speakers=wording.listed_speakers(page.evaluation),
            **wording.constants(),
        )
        + "\n"
    )


def write_score(page: ScorePage, reports: Path, *, latex: bool = False) -> list[Path]:
    """Write the page and its figures below the folder of the reports; return what was written."""
    folder = reports / SCORES
    folder.mkdir(parents=True, exist_ok=True)
    drawn = figures(page)
    drawn.write(folder / page.name)
    if not (reports / wording.READING).exists():  # every page refers to it
        write_text(reports / wording.READING, reading_page())
    path = folder / f"{page.name}.md"
    write_text(path, score_page(page, drawn))
    if not latex:
        return [path]
    write_text(path.with_suffix(".tex"), score_latex(page))
    return [path, path.with_suffix(".tex")]


def score_latex(page: ScorePage) -> str:
    """Return the scores in LaTeX: by metric, or beside those of the other system by system.

    The caption states protocol, population and estimand, so that the table can stand alone.
    """
    comparison, header, rows = page.scored.comparison, page.header, page.rows
    evaluation = page.evaluation if comparison is None else comparison.own
    several = len(evaluation.corpora) > 1
    within = " within each corpus, averaged over corpora with equal weight" if several else ""
    corpora, chance = listed(list(map(title, evaluation.corpora))), wording.chance_level(evaluation)
    parts = [
        f"{plain(page.name)}: {counted(evaluation.clips, 'clip')} of "
        f"{counted(evaluation.speakers, 'speaker')}, {corpora}.",
        f"Estimand: metrics of these clips{within}.",
        f"Protocol: {page.protocol or 'not stated'}.",
        f"In brackets: 95 % confidence intervals; {_side(evaluation).intervals}.",
        f"Chance level of UAR {number(chance)}.",
    ]
    if comparison is not None:
        header = ["System", *(metric.title for metric in METRICS.values())]
        systems = {page.name: comparison.own, page.other: comparison.evaluation}
        rows = [
            [plain(name), *(figure(one.scores[metric]) for metric in METRICS)]
            for name, one in systems.items()
        ]
        test, left_out = comparison.test, comparison.only_here + comparison.only_there
        if left_out:
            parts.append(f"Left out: {counted(left_out, 'clip')} that one of the two lacks.")
        p = "" if test.p is None else f", p {probability(test.p)}"
        parts.append(
            f"Difference in UAR {figure(test.difference)}{p} (permutation test over "
            f"{counted(test.speakers, 'speaker')})."
        )
    return float_of(page.name, page.command, " ".join(parts), header, rows)


def score_record(page: ScorePage, path: Path) -> dict[str, Any]:
    """Return all figures of a page, and its path, as plain data, for JSON."""
    scored, evaluation = page.scored, page.evaluation
    comparison, calibration = scored.comparison, scored.calibration
    rated, soft = scored.predictions.rated, scored.soft
    return {
        "name": page.name,
        "page": str(path),
        "protocol": page.protocol or None,
        "emotions": list(evaluation.emotions),
        **evaluation_record(evaluation),
        "corpora": {name: evaluation_record(part) for name, part in evaluation.corpora.items()},
        "per_emotion": evaluation.per_emotion.to_dict("index"),
        "confusion": evaluation.confusion.tolist(),
        "subgroups": [
            {
                "corpus": one.corpus,
                "by": one.by,
                "emotions": list(one.emotions),
                "groups": {group.name: figure_record(group.score) for group in one.groups},
            }
            for one in scored.divisions
        ],
        "calibration": None
        if calibration is None
        else {
            "ece": calibration.error,
            "ece_by_chance": calibration.error_by_chance,
            "brier": calibration.brier,
            "log_loss": calibration.log_loss,
        },
        "raters": None
        if rated is None
        else {
            "agreement": {name: asdict(one) for name, one in rated.agreement.items()},
            "set_aside": rated.set_aside,
            "soft_macro_f1": None if soft is None else figure_record(soft.soft_f1),
            "js_divergence": None if soft is None else figure_record(soft.divergence),
        },
        "conditions": [
            {
                "condition": one.condition,
                "score": figure_record(one.score),
                "difference": figure_record(one.difference),
                "unanswered": page.unanswered_under.get(one.condition, 0),
            }
            for one in scored.conditions
        ],
        "comparison": None
        if comparison is None
        else {
            "against": comparison.name,
            "clips": comparison.own.clips,
            "difference": figure_record(comparison.test.difference),
            "mean_over_speakers": comparison.test.statistic,
            "p": comparison.test.p,
            "detectable": comparison.test.detectable,
            "only_here": asdict(comparison.extra_here),
            "only_there": asdict(comparison.extra_there),
        },
        "contaminated": page.contaminated,
        "unanswered": scored.predictions.unanswered,
        "never_true": scored.predictions.never_true,
        "never_predicted": scored.predictions.never_predicted,
        "speakers_alike": [list(group) for group in scored.alike],
        "sentences": {
            one.corpus: {"tied": one.tied, "cramers_v": one.cramers_v} for one in scored.texts
        },
    }
