"""The page of a study."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from benchmark.data.record import CorpusRecord
from benchmark.evaluation.intervals import Evaluation, Score
from benchmark.evaluation.leaderboard import METRIC, SPEAKER_INDEPENDENT, Leaderboard, claims
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result, Versions, Winner, of_split, split_name
from benchmark.report import (
    calibration,
    differences,
    folds,
    learning_curves,
    selection_bias,
    significance,
    subgroups,
    wording,
)
from benchmark.report.markdown import (
    ALIKE,
    NO_BREAK,
    NOTHING,
    address,
    capitalised,
    claimed,
    code,
    count,
    counted,
    details,
    figure,
    link,
    listed,
    number,
    plain,
    table,
    title,
)
from benchmark.study import BASELINE

LONG = 40
"""A table of more rows is folded."""

SHOWN = 8
"""How many names a line shows before it says how many more there are."""


def study_page(board: Leaderboard, figures: Sequence[str]) -> str:
    """Return a study's page.

    Parameters
    ----------
    board : Leaderboard
    figures : sequence of str
        File names of the figures that lie in ``figures/<name>/``.
    """
    result = board.result
    parts = [
        f"# {plain(result.study.question)}",
        wording.settings_line(result),
        *wording.banners(result),
        wording.headline(board),
        _picture(result, "gap.png", "UAR of each model by protocol"),
        *_leaderboard(board),
        *_claims(board),
        *_per_corpus(board),
        *_chosen(board),
        *folds.section(board),
        *differences.section(board),
        *significance.section(board),
        *subgroups.section(board),
        *calibration.section(board),
        *learning_curves.section(result),
        *_search(board, figures),
        *selection_bias.section(board),
        *_data(result),
        *_again(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _picture(result: Result, name: str, alt: str) -> str:
    return f"![{alt}]({address('figures', result.name, name)})"


def _cells(board: Leaderboard, model: str, metric: str) -> list[str]:
    """Return a model's figure under each protocol, bold where it is the chosen model."""
    cells = []
    for protocol in board.protocols:
        evaluation = board.evaluation(protocol, model)
        bold = board.selected[protocol].model == model
        cells.append(figure(evaluation.scores[metric] if evaluation else None, bold))
    return cells


def marked_cells(board: Leaderboard, model: str) -> list[str]:
    """Return a model's figure under each protocol, marked where it can't be told from the best."""
    alike = any(not contest.significant for contest in board.comparisons if contest.model == model)
    return [
        f"{cell}{NO_BREAK}{ALIKE}" if alike and protocol == board.leading else cell
        for protocol, cell in zip(board.protocols, _cells(board, model, METRIC), strict=True)
    ]


def _head(metric: str) -> str:
    return capitalised(METRICS[metric].title)


def _means(board: Leaderboard, model: str, metric: str) -> list[str]:
    parts = [board.evaluation(protocol, model) for protocol in board.protocols]
    return [figure(part.mean_over_corpora[metric] if part else None) for part in parts]


def _leaderboard(board: Leaderboard) -> Iterator[str]:
    yield "## Leaderboard"
    columns = [wording.protocol_words(protocol).column for protocol in board.protocols]
    several = len(board.corpora) > 1
    header = ["Model", *(f"UAR, {column}" for column in columns), *["Gap"] * board.has_gap]
    header += [f"Mean over corpora, {column}" for column in columns] * several
    rows = [
        [
            wording.model_title(board.result, standing.model),
            *marked_cells(board, standing.model),
            *[figure(standing.gaps.get(METRIC))] * board.has_gap,
            *_means(board, standing.model, METRIC) * several,
        ]
        for standing in board.standings
    ]
    yield table(header, rows)
    notes = [wording.protocol_note(board, protocol) for protocol in board.protocols]
    mean = (
        "Mean over corpora: UAR within each corpus, each corpus counting once." if several else ""
    )
    gap = "Gap: known minus unseen, both sides resampled independently." if board.has_gap else ""
    yield wording.sentences(
        [
            "UAR: the mean of the emotions' recalls.",
            *notes,
            gap,
            mean,
            wording.chosen_note(board),
            wording.alike_note(board),
        ]
    )
    yield "The same predictions by the other metrics:"
    others = [metric for metric in METRICS if metric != METRIC]
    yield table(
        [
            "Model",
            *(f"{_head(metric)}, {column}" for metric in others for column in columns),
        ],
        [
            [
                wording.model_title(board.result, one.model),
                *(c for metric in others for c in _cells(board, one.model, metric)),
            ]
            for one in board.standings
        ],
    )
    brief = [wording.protocol_note(board, protocol, brief=True) for protocol in board.protocols]
    yield wording.sentences([*brief, wording.intervals_note()])


def _claims(board: Leaderboard) -> Iterator[str]:
    rows = claims(board)
    if not rows:
        return
    settings = board.result.study.claims
    assert settings is not None
    metric = _head(settings.metric)
    beside = any(claim.independent for claim in rows)
    yield "## What the source says, and what we measure"
    yield wording.claims_sentence(board)
    header = ["Model", f"{metric}, the source", f"{metric}, here", "Verdict"]
    header += [f"{metric}, here, {wording.protocol_words(SPEAKER_INDEPENDENT).column}"] * beside
    yield table(
        header,
        [
            [
                wording.model_title(board.result, claim.model),
                claimed(claim.claimed),
                figure(claim.measured),
                wording.verdict(claim),
                *[figure(claim.independent)] * beside,
            ]
            for claim in rows
        ],
        words=(0, 3),
    )
    measured = [p for p in (settings.protocol, SPEAKER_INDEPENDENT) if p in board.protocols]
    notes = [wording.protocol_note(board, p, brief=True) for p in dict.fromkeys(measured)]
    if settings.protocol not in board.protocols:
        notes.insert(0, f"The study does not run the source's protocol {code(settings.protocol)}.")
    yield wording.sentences([*notes, wording.verdict_note()])
    reasons = [
        f"- {capitalised(wording.model_title(board.result, claim.model))}: {plain(why)}"
        for claim in rows
        if (why := settings.why.get(claim.model))
    ]
    if reasons:
        yield "**Why, as far as is known**"
        yield "\n".join(reasons)
    if settings.note:
        yield f"**What explains a difference.** {plain(settings.note)}"


def _per_corpus(board: Leaderboard) -> Iterator[str]:
    if len(board.corpora) < 2:
        return
    yield "## By corpus"
    yield (
        "UAR within each corpus. In the pooled figure a corpus of many clips outvotes the others; "
        "in the mean over corpora each counts once."
    )
    for protocol in board.protocols:
        rows = []
        for standing in board.standings:
            evaluation = standing.evaluations.get(protocol)
            if evaluation is None:
                continue
            parts: list[Score | None] = [
                evaluation.corpora[name].scores[METRIC] if name in evaluation.corpora else None
                for name in board.corpora
            ]
            bold = wording.bold_of(board, protocol, standing)
            cells = [figure(part, bold) for part in [*parts, evaluation.mean_over_corpora[METRIC]]]
            rows.append([wording.model_title(board.result, standing.model), *cells])
        column = wording.protocol_words(protocol).column
        header = [f"UAR, {column}", *map(title, board.corpora), "mean over corpora"]
        yield table(header, rows)
        yield wording.sentences([wording.corpus_note(board, protocol)])


def _chosen(board: Leaderboard) -> Iterator[str]:
    yield "## The chosen model, emotion by emotion"
    metric = METRICS[board.result.study.search.metric].title
    for protocol in board.protocols:
        winner = board.selected[protocol]
        yield (
            f"- **{wording.protocol_words(protocol).column.capitalize()}**: "
            f"{wording.named(board.result, winner.model)}, chosen for the best {metric} on the "
            f"inner folds, {number(winner.score)}."
        )
    yield _picture(
        board.result, "confusion.png", "Confusion matrix of the chosen model by protocol"
    )
    yield wording.sentences(
        ["Each row: of 100 clips with that true emotion, how many were heard as what (test clips)."]
    )
    parts = {p: board.selected_evaluation(p) for p in board.protocols}
    yield _emotions(parts)
    yield wording.sentences([f"{wording.tested(board, p)}." for p in board.protocols])
    if len(board.corpora) > 1:
        yield details("The same within each corpus", "\n\n".join(_chosen_by_corpus(board, parts)))


def _emotions(parts: dict[str, Evaluation]) -> str:
    """Return the table of precision, recall and F1 of each emotion, given figures by protocol."""
    header = ["Emotion"]
    for protocol in parts:
        column = capitalised(wording.protocol_words(protocol).column)
        header += [f"{column}: precision", "recall", "F1", "clips"]
    emotions = next(iter(parts.values())).emotions
    columns = [_emotion_cells(part.per_emotion) for part in parts.values()]
    return table(
        header,
        [[plain(one), *(cell for column in columns for cell in column[one])] for one in emotions],
    )


def _emotion_cells(per_emotion: pd.DataFrame) -> dict[str, list[str]]:
    return {
        str(emotion): [
            number(row["precision"]), number(row["recall"]), number(row["f1"]),
            count(int(row["support"])),
        ]
        for emotion, row in per_emotion.iterrows()
    }  # fmt: skip


def _chosen_by_corpus(board: Leaderboard, parts: dict[str, Evaluation]) -> Iterator[str]:
    alt = "Confusion matrices of the chosen model within each corpus"
    yield _picture(board.result, "confusion_by_corpus.png", alt)
    for name in board.corpora:
        yield f"**{title(name)}**"
        yield _emotions(
            {p: part.corpora[name] for p, part in parts.items() if name in part.corpora}
        )


def _search(board: Leaderboard, figures: Sequence[str]) -> Iterator[str]:
    result = board.result
    search = result.study.search
    vote = " A soft vote is taken on each fold from its members' out-of-fold probabilities."
    vote = vote if wording.has_vote(result) else ""
    vote += (
        " An ensemble that learns which answers to trust is scored on each fold by what it learns "
        "on the others."
        if wording.learns(result)
        else ""
    )
    yield "## The search"
    grid = search.sampler == "grid"
    trials = "every combination" if grid else counted(search.trials, "trial")
    yield (
        f"Sampler {code(search.sampler)}, {trials} a model and protocol; a trial's score is its "
        f"mean {METRICS[search.metric].title} over "
        f"{counted(search.folds, 'inner fold')} of the training side, which follow the outer "
        f"protocol.{vote}"
    )
    winners = [winner for winner in result.winners if winner.model != BASELINE]
    cut = bool((result.trials["state"] == "pruned").any())
    epochs = any(winner.epochs for winner in winners)
    header = ["Model", "Protocol", "Trials", "Failed", *["Cut"] * cut, "Best trial"]
    header += ["Inner score", *["Epochs"] * epochs, "Best parameters"]
    rows = [_search_row(result, winner, cut=cut, epochs=epochs) for winner in winners]
    shown = table(header, rows, (0, 1, len(header) - 1))
    many = len(rows) > LONG
    yield details(f"The winners of all {len(rows)} searches", shown) if many else shown
    notes = ["Inner score: mean over the folds ± their standard deviation."]
    notes += ["Cut: stopped early, as they fell behind."] * cut
    notes += [
        "Epochs: how many the winner learned on the whole training side. In the search each "
        "network stopped by a fold of its own, and so learned from one fold less than the others."
    ] * epochs
    notes += [
        "An SVM's inner score is of its decisions, its test figures are of its calibrated "
        "probabilities."
    ] * ("svc" in result.study.models)
    yield wording.sentences(notes)
    yield from _first_trials(result)
    yield from _failures(result)
    for model in result.study.models:
        name = f"search_{model}.png"
        if name in figures:
            shown = wording.model_title(result, model)
            yield _picture(result, name, f"Search history and parameter importance: {shown}")
    if any(name.startswith("search_") for name in figures):
        yield wording.sentences(
            [
                "History: a dot a trial, the line is the best so far. Importance: Optuna's "
                "PED-ANOVA, over the trials that lie wholly in the searched space, where there are "
                "at least ten of them and two parameters."
            ]
        )


def _first_trials(result: Result) -> Iterator[str]:
    """Yield what became of the settings that the study names to be tried first."""
    named = [name for name, spec in result.study.models.items() if spec.initial]
    first = result.trials[(result.trials["trial"] == 0) & result.trials["model"].isin(named)]
    if first.empty:
        return
    yield "Trial 0 of these is a setting that the study names, tried before the search:"
    yield table(
        ["Model", "Protocol", "Inner score", "Parameters"],
        [
            [
                wording.model_title(result, row["model"]),
                plain(split_name(row["protocol"], row.get("part", ""))),
                _inner_score(row["score"], row["std"])
                if row["state"] == "complete"
                else plain(row["state"]),
                _settings(json.loads(row["params"])),
            ]
            for row in first.to_dict("records")
        ],
        words=(0, 1, 3),
    )


def _inner_score(score: float, spread: float | None) -> str:
    if spread is None or pd.isna(spread):
        return number(score)
    return f"{number(score)}{NO_BREAK}±{NO_BREAK}{number(spread)}"


def _search_row(result: Result, winner: Winner, *, cut: bool, epochs: bool) -> list[str]:
    trials = of_split(result.trials, winner.split)
    mine = trials[trials["model"] == winner.model]
    ended = mine["state"].value_counts()
    searched = winner.trial is not None
    counts = [len(mine), int(ended.get("failed", 0)), *[int(ended.get("pruned", 0))] * cut]
    learned = winner.epochs
    return [
        wording.model_title(result, winner.model),
        plain(winner.split),
        *(count(one) if searched else NOTHING for one in counts),
        str(winner.trial) if searched else NOTHING,
        _inner_score(winner.score, winner.std),
        *[count(learned) if learned else NOTHING] * epochs,
        _parameters(result, winner),
    ]


def _parameters(result: Result, winner: Winner) -> str:
    if winner.members:
        return _members(result, winner)
    return _settings(winner.params)


def _settings(params: dict[str, Any]) -> str:
    return code(", ".join(f"{k}={_value(v)}" for k, v in params.items()) or "none")


def _members(result: Result, winner: Winner) -> str:
    """Return in words who answers in an ensemble, and how."""
    titles = [wording.model_title(result, member) for member in winner.members]
    if winner.weights:
        rows = zip(titles, winner.trials, winner.weights, strict=True)
        return f"votes by trial: {listed([f'{model} {t} × {w}' for model, t, w in rows])}"
    if wording.how_learned(result, winner.model):
        return f"logistic regression on the log-probabilities of {listed(titles)}"
    return f"vote of {listed(titles)}"


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _failures(result: Result) -> Iterator[str]:
    failed = result.trials[result.trials["state"] == "failed"]
    if failed.empty:
        return
    rows = [
        [
            wording.model_title(result, str(model)),
            plain(protocol),
            _shortened([str(n) for n in part["trial"]]),
            plain(reason),
        ]
        for (protocol, model, reason), part in failed.groupby(
            ["protocol", "model", "reason"], sort=False
        )
    ]
    yield f"{counted(len(failed), 'trial')} failed:"
    yield table(["Model", "Protocol", "Trials", "Reason"], rows, words=range(4))


def _data(result: Result) -> Iterator[str]:
    yield "## The data"
    yield table(
        ["Corpus", "Title", "Licence", "Official clips", "Found", "Used", "Speakers"],
        [_corpus_row(name, corpus) for name, corpus in result.data.corpora.items()],
        words=range(3),
    )
    yield wording.sentences(
        [
            "Found: clips of the corpus that were there. Used: those of the study's emotions that "
            "could be used; speakers are theirs."
        ]
    )
    yield _clips(result)
    yield from _left_out(result)
    yield from _splits(result)


def _corpus_row(name: str, corpus: CorpusRecord) -> list[str]:
    home, official = corpus.home_page, corpus.official
    return [
        f"[{title(name)}]({home})" if home else title(name),
        plain(corpus.title),
        plain(corpus.licence) or NOTHING,
        NOTHING if official is None else count(official),
        count(corpus.found),
        count(corpus.used),
        NOTHING if corpus.speakers is None else count(corpus.speakers),
    ]


def _clips(result: Result) -> str:
    """Return the table of used clips: a row a corpus and gender, a column an emotion."""
    clips = pd.DataFrame([one.model_dump() for one in result.data.counts])
    counts = clips.pivot_table(
        index=["corpus", "gender"], columns="emotion", values="clips", aggfunc="sum", fill_value=0
    ).reindex(columns=result.emotions, fill_value=0)
    rows = [
        [title(corpus), plain(gender), *(count(int(n)) for n in row), count(int(row.sum()))]
        for (corpus, gender), row in zip(counts.index.to_list(), counts.to_numpy(), strict=True)
    ]
    total = counts.sum()
    rows.append(["all", "", *(count(int(n)) for n in total), count(int(total.sum()))])
    return table(["Clips", "Gender", *map(plain, result.emotions), "all"], rows, words=range(2))


def _left_out(result: Result) -> Iterator[str]:
    """Yield what was there and took no part, or should have been there, with reasons."""
    lines = []
    for key, corpus in result.data.corpora.items():
        name = title(key)
        if corpus.missing:
            missing = [code(clip) for clip in corpus.missing]
            lines.append(f"{name}: **{count(len(missing))} missing**: {_shortened(missing)}.")
        for reason, names in _by_reason(corpus.set_aside).items():
            files = counted(len(names), "file")
            lines.append(f"{name}: {files} set aside ({plain(reason)}): {_shortened(names)}.")
        unusable = [one for one in result.data.unusable if one.corpus == key]
        recordings = {one.clip for one in unusable if not one.augmentation}
        if corpus.left_out:
            lines.append(f"{name}: left out, with the {counted(corpus.found, 'clip')} found.")
            continue
        other = corpus.found - corpus.used - len(recordings)
        if other:
            lines.append(f"{name}: {counted(other, 'clip')} of other emotions.")
    lines += [
        f"Can't be used, {plain(reason)}: {', '.join(names)}."
        for reason, names in _by_reason(_unusable(result)).items()
    ]
    lines += [
        f"The same samples, kept on the same side: {listed([code(clip) for clip in group])}."
        for group in result.data.duplicates
    ]
    yield "**What was left out, and why**"
    yield "\n".join(f"- {line}" for line in lines) if lines else "Nothing was left out."


def _unusable(result: Result) -> list[tuple[str, str]]:
    return [
        (f"{one.clip} ({one.augmentation})" if one.augmentation else one.clip, one.reason)
        for one in result.data.unusable
    ]


def _by_reason(pairs: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name, reason in pairs:
        reasons.setdefault(reason, []).append(code(name))
    return reasons


def _shortened(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {count(more)} more" if more > 0 else "")


def _splits(result: Result) -> Iterator[str]:
    sides = [
        [
            plain(protocol), side, count(part.rows), count(part.clips),
            count(len(part.speakers)), code(part.digest[:12]),
        ]
        for protocol, split in result.data.splits.items()
        for side, part in (("train", split.train), ("test", split.test))
    ]  # fmt: skip
    yield "**The tables of each protocol**"
    yield table(["Protocol", "Side", "Rows", "Clips", "Speakers", "Digest"], sides, words=range(2))
    unseen = result.data.splits.get(SPEAKER_INDEPENDENT)
    if unseen:
        speakers = [plain(speaker) for speaker in unseen.test.speakers]
        yield f"Unseen test speakers: {', '.join(speakers)}."
    folds = [
        [
            plain(protocol), str(place), count(fold.train_clips),
            count(fold.validation_clips), count(len(fold.validation_speakers)),
        ]
        for protocol, split in result.data.splits.items()
        for place, fold in enumerate(split.folds)
    ]  # fmt: skip
    header = ["Protocol", "Fold", "Training clips", "Validation clips", "Validation speakers"]
    yield details("Inner folds", table(header, folds))


def _again(result: Result) -> Iterator[str]:
    yield "## Run it again"
    yield f"```sh\n{run_command(result)}\n```"
    fast = [
        wording.model_title(result, model)
        for model, engine in result.versions.engines.items()
        if engine.startswith("scikit-learn-intelex")
    ]
    engines = f" In the search, {listed(fast)} was fitted by scikit-learn-intelex." if fast else ""
    again = " The page is then made again from that changed run."
    changed = again if wording.is_changed(result) else ""
    yield (
        "The same recordings, code and versions give this page to the byte, on any number of "
        f"cores; an interrupted run goes on where it was.{engines}{changed} "
        f"{link('Every trial and every prediction', 'results', result.name)} is stored: "
        "`python -m benchmark report` makes all pages from them without fitting."
    )
    versions = [[plain(name), plain(version)] for name, version in _versions(result.versions)]
    yield details(
        "Versions that decide the figures", table(["", "Version"], versions, words=range(2))
    )


def run_command(result: Result) -> str:
    """Return the command that makes a result again; DIR stands for the corpora's folder."""
    parts = [f"python -m benchmark run-study {shlex.quote(result.study.name)}"]
    corpora = result.data.corpora
    if any(not one.generated for name, one in corpora.items() if name != "csv"):
        parts.append("--corpora DIR")
    if "csv" in corpora:
        parts.append("--corpus csv=TABLE.csv")
    if result.own_tables:
        parts[1:] = ["--train TRAIN.csv --test TEST.csv"]
    unusable = any(change.kind == "unusable" for change in result.changes)
    missing = [one for one in corpora.values() if one.missing and not one.left_out]
    if unusable or missing:
        parts.append("--allow-incomplete")
    left_out = [name for name, one in corpora.items() if one.left_out]
    parts += [f"--allow-missing {shlex.quote(name)}" for name in left_out]
    parts += [f"--minutes {one.value}" for one in result.changes if one.kind == "budget"]
    overrides = [one.value for one in result.changes if one.kind == "override"]
    return " ".join([*parts, *(f"--set {shlex.quote(override)}" for override in overrides)])


def _versions(versions: Versions) -> Iterator[tuple[str, str]]:
    yield from versions.libraries.items()
    for model, engine in versions.engines.items():
        yield f"engines: {model}", engine
