"""A reporting sheet after REFORMS (Kapoor et al. 2024), filled in from the result alone."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.data.protocols import protocol_of
from benchmark.data.record import SplitRecord
from benchmark.evaluation.leaderboard import SELECTED_PER_FOLD, Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.report import wording
from benchmark.report.markdown import code, counted, listed, number, plain, title
from benchmark.report.measured import Measured, measured, tested
from benchmark.report.sections.reproduction import run_command
from benchmark.report.sections.section import Section


@dataclass(frozen=True)
class Facts:
    """The rows of the sheet.

    Attributes
    ----------
    rows : list of list of str
        Question and answer.
    """

    rows: list[list[str]]


def _facts(board: Leaderboard) -> Facts:
    facts, result = measured(board), board.result
    chance = wording.chance_level(board.selected_evaluation(board.leading))
    answers = {
        "Question": plain(result.study.question),
        "Population": f"{facts.population}; sentences: {facts.sentences}",
        "Speech outside the population": _outside(result),
        "Labels": _labels(result),
        "Data left out": _left_out(result),
        "Features": _features(result),
        "What was split how": _splits(board, facts),
        "What was tuned, on what": _tuned(result),
        "How often a test side was scored": _scored(board),
        "Estimand": facts.estimand,
        "Uncertainty": _uncertainty(board),
        "Baseline": f"majority class; chance level of UAR: {number(chance)}",
        "Leakage checks": _leakage(board),
        "Seeds": facts.seeds,
        "Software": _software(result),
        "Code and predictions": f"{code(run_command(result))}; every prediction is stored",
    }
    return Facts([[question, answer] for question, answer in answers.items()])


def _outside(result: Result) -> str:
    if result.generated:
        return "speech of people: generated speech shows that the program works, no more"
    kinds = {result.data.corpora[name].speech for name in tested(result)}
    other = [
        *["spontaneous speech"] * ("natural" not in kinds),
        *["acted speech"] * (kinds == {"natural"}),
        "other languages",
        "rooms and microphones",
    ]
    return f"{', '.join(other)}: not measured"


def _labels(result: Result) -> str:
    renamed = [f"{plain(old)} as {plain(new)}" for old, new in result.study.rename.items()]
    return (
        f"{counted(len(result.emotions), 'emotion')}: {listed(list(map(plain, result.emotions)))}"
        + (f"; counted as another: {listed(renamed)}" if renamed else "")
    )


def _left_out(result: Result) -> str:
    corpora = [one for one in result.data.corpora.values() if not one.left_out]
    without = [title(name) for name, one in result.data.corpora.items() if one.left_out]
    missing = sum(len(one.missing) for one in corpora)
    labels = sum(one.missing_labels for one in corpora)
    others = sum(one.found - one.used for one in corpora) - len(result.data.unusable)
    aside = sum(len(one.set_aside) for one in corpora)
    unusable = len(result.data.unusable)
    found = [
        *[f"{listed(without)} altogether"] * bool(without),
        *[f"{counted(others, 'clip')} of other emotions"] * (others > 0),
        *[counted(missing, "missing clip")] * bool(missing),
        *[counted(labels, "missing label")] * bool(labels),
        *[counted(unusable, "unusable clip or copy", "unusable clips or copies")] * bool(unusable),
        *[counted(aside, "file set aside", "files set aside")] * bool(aside),
    ]
    return f"{listed(found)}; listed under Data" if found else "none"


def _features(result: Result) -> str:
    if result.own_tables:
        return "of the user's own tables"
    parts = [
        wording.learned_from(result),
        *[f"with {listed(list(map(plain, result.study.covariates)))}"]
        * bool(result.study.covariates),
        "inductive: one clip is enough"
        if result.study.normalise == "none"
        else f"transductive: normalised by {result.study.normalise}, with other test clips",
        *[
            f"{code(name)} is the user's own table (digest of its content: {code(digest[:12])}), "
            "and whether its numbers were learned from test clips is not known here"
            for name, digest in result.data.tables.items()
        ],
    ]
    return "; ".join(parts)


def _splits(board: Leaderboard, facts: Measured) -> str:
    rules = [
        f"{words.column}: {words.meaning}"
        for words in map(wording.protocol_words, board.protocols)
        if words.meaning
    ]
    return ". ".join([*rules, facts.folds])


def _tuned(result: Result) -> str:
    search = result.study.search
    searched = [
        wording.model_title(result, name)
        for name, spec in result.study.models.items()
        if spec.space
    ]
    what = f"hyperparameters of {listed(searched)}" if searched else "no hyperparameter"
    first = ", after settings that did well in other studies" * (search.initial == "portfolio")
    trials = f" in up to {counted(search.trials, 'trial')} each ({plain(search.sampler)}{first})"
    return (
        f"{what}{trials if searched else ''}; model and ensembles: all by mean "
        f"{METRICS[search.metric].title} over {wording.inner_folds(result)} of the training side"
    )


def _scored(board: Leaderboard) -> str:
    models = [one for one in board.standings if one.model != SELECTED_PER_FOLD]
    looks = [
        f"{wording.protocol_words(name).column}: look {place.number} of {place.total}"
        for name, place in board.looks.items()
    ]
    return (
        f"in this run once, after the search, by each of {counted(len(models), 'model')}; test "
        "clips take no part in the selection. Looks at exactly these test clips, over all studies: "
        f"{'; '.join(looks) or 'not recorded'}"
    )


def _uncertainty(board: Leaderboard) -> str:
    units = [f"{side.intervals} ({side.words.column})" for side in wording.test_sides(board)]
    return f"95 % confidence: {listed(units)}"


def _leakage(board: Leaderboard) -> str:
    """Return what the stored splits show, and what the program rules out."""
    result = board.result
    apart = {
        name: split
        for name, split in result.data.splits.items()
        if protocol_of(name.partition("/")[0]).speaker_independent
    }
    parts = []
    if apart:
        shared = sum(map(_shared_speakers, apart.values()))
        parts.append(
            f"test speakers that also occur in training: {shared} (over "
            f"{counted(len(apart), 'split')} with speakers apart)"
        )
    parts += [
        "test speakers of the given partition that also occur in training: "
        f"{side.overlap.shared_speakers} of {side.overlap.speakers}"
        for side in wording.given_sides(board)
    ]
    groups = len(result.data.duplicates)
    parts.append(
        f"{counted(groups, 'group')} of clips with identical samples, each on one side"
        if groups
        else "no clips with identical samples"
    )
    if not result.own_tables:
        exception = ", but for the transductive normalisation" * (result.study.normalise != "none")
        parts.append(
            "models, their scalers and augmented copies see training clips only" + exception
        )
    return "; ".join(parts)


def _shared_speakers(split: SplitRecord) -> int:
    return len(set(split.train.speakers) & set(split.test.speakers))


def _software(result: Result) -> str:
    packages = result.versions.packages.items()
    return ", ".join(f"{plain(name)} {plain(version)}" for name, version in packages)


SECTION = Section("reporting_sheet", _facts)
