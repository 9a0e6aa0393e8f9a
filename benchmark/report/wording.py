"""The sentences of the pages: what was found, what a table shows, and what to beware of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from benchmark.data.protocols import protocol_of
from benchmark.data.record import CorpusRecord
from benchmark.evaluation.intervals import Evaluation, Score, gap
from benchmark.evaluation.leaderboard import (
    METRIC,
    SELECTED_PER_FOLD,
    SPEAKER_DEPENDENT,
    SPEAKER_INDEPENDENT,
    Claim,
    Leaderboard,
    Standing,
    claims,
)
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.results import Result
from benchmark.evaluation.significance import ALPHA
from benchmark.models import MODELS
from benchmark.report.markdown import (
    ALIKE,
    CLIPS,
    banner,
    capitalised,
    claimed,
    code,
    count,
    counted,
    figure,
    listed,
    number,
    plain,
    signed,
    title,
)
from benchmark.study import BASELINE

WHAT_DIFFERS = "What differs"
"""The title of the section that compares every model with the chosen one."""


class Protocol(NamedTuple):
    """A protocol in words: a column's head, where a model stands, and who is on both sides."""

    column: str
    place: str
    meaning: str


def protocol_words(name: str) -> Protocol:
    """Return a protocol in words, from its entry in the registry."""
    entry = protocol_of(name)
    return Protocol(plain(entry.title), plain(entry.tested_on), plain(entry.description))


def model_title(result: Result, model: str) -> str:
    """Return a model in a few words, for tables and plots; an ensemble says whose it is."""
    if model == SELECTED_PER_FOLD:
        return "the best inside, fold by fold"
    if how_learned(result, model) == "greedy":
        return "greedy ensemble"
    members = members_of(result, model)
    if not members:
        return _registered_title(model)
    kind = "stack" if how_learned(result, model) else "soft vote"
    searched = set(result.study.models) - {BASELINE}
    if len(members) > 2 and set(members) == searched:
        return f"{kind} of all winners"
    return f"{kind} of {' + '.join(_registered_title(member) for member in members)}"


def named(result: Result, model: str) -> str:
    """Return a model as a sentence has it; a vote or a stack names all its members."""
    if model == SELECTED_PER_FOLD:
        return "the model that is best on the inner folds of each outer fold"
    how = how_learned(result, model)
    if how == "greedy":
        return "the greedy ensemble"
    members = members_of(result, model)
    if members:
        kind = "stack" if how else "soft vote"
        return f"the {kind} of {listed([_registered_title(member) for member in members])}"
    return (
        f"the {_registered_title(model)}" if model != BASELINE else "always the commonest emotion"
    )


def members_of(result: Result, model: str) -> list[str]:
    """Return the models whose winners answer under this name; empty for one that is no ensemble."""
    for winner in result.winners:
        if winner.model == model and winner.members:
            return list(winner.members)
    members = result.study.ensembles.get(model, ())
    everyone = [name for name in result.study.models if name != BASELINE]
    return everyone if isinstance(members, str) else list(members)


def how_learned(result: Result, model: str) -> str:
    """Return how an ensemble learns from its members' answers; empty for all else."""
    how = result.study.ensembles.get(model, "")
    return how if isinstance(how, str) else ""


def learns(result: Result) -> bool:
    """Whether any ensemble learns which answers to trust."""
    return any(how_learned(result, winner.model) for winner in result.winners)


def has_vote(result: Result) -> bool:
    """Whether any winners vote, each with the same weight."""
    together = [winner.model for winner in result.winners if winner.members]
    return any(not how_learned(result, model) for model in together)


def _registered_title(model: str) -> str:
    """Return the registry's title, as within a sentence; a model no longer there by its name."""
    kind = MODELS.get(model)
    if kind is None:
        return title(model)
    first, space, rest = kind.title.partition(" ")
    # An abbreviation keeps its capitals: MLP, Conv1D, CNN + LSTM.
    first = first.lower() if re.fullmatch("[A-Z][a-z-]+", first) else first
    # In a list of models a comma would part a title in two.
    head, comma, kind_of_it = f"{first}{space}{rest}".partition(", ")
    return plain(f"{head} ({kind_of_it})" if comma else head)


def used_corpora(result: Result) -> list[str]:
    """Return the titles of the corpora that are asked about: all but those that were left out."""
    return [title(name) for name, corpus in _asked_about(result) if not corpus.left_out]


def _asked_about(result: Result) -> list[tuple[str, CorpusRecord]]:
    corpora = result.data.corpora
    return [(name, corpus) for name, corpus in corpora.items() if not corpus.auxiliary]


def learned_also(result: Result) -> list[str]:
    """Return the titles of the corpora that are learned from and never tested."""
    corpora = result.data.corpora
    return [
        title(name) for name, corpus in corpora.items() if corpus.auxiliary and not corpus.left_out
    ]


def partial_data(result: Result) -> str:
    """Return in a few words what a study lacked; empty for one that had all its data."""
    corpora = result.data.corpora
    notes = []
    if any(corpus.left_out for corpus in corpora.values()):
        notes.append(f"measured on {listed(used_corpora(result))} alone")
    notes += [
        f"{title(name)} incomplete: {found_of(corpus)} clips"
        for name, corpus in corpora.items()
        if corpus.missing and not corpus.left_out
    ]
    return "; ".join([*notes, *["on generated speech"] * result.generated])


def found_of(corpus: CorpusRecord) -> str:
    """Return how many clips of a corpus were there, of how many."""
    expected = corpus.official or corpus.found + len(corpus.missing)
    return f"{count(corpus.found)} of {count(expected)}"


def is_changed(result: Result) -> bool:
    """Whether a run is not the study's own, as the command line changed something."""
    return bool(result.changes) or "@" in result.name


def banners(result: Result) -> list[str]:
    """Return the boxes at the top of a page: what its figures are not."""
    boxes = []
    if result.generated:
        boxes.append(
            banner(
                "WARNING",
                "**Generated speech.** These voices are made by code. The figures show that "
                "everything works; they say nothing of how well people's emotions are recognised.",
            )
        )
    boxes += [_corpus_banner(result, name) for name in result.data.corpora]
    if result.changes:
        boxes.append(
            banner(
                "IMPORTANT",
                f"**Changed run.** This is not the study {code(result.study.name)} as its "
                f"file has it, but with {listed([code(change.text) for change in result.changes])}.",
            )
        )
    if result.unfinished is not None:
        boxes.append(_time_banner(result))
    return [box for box in boxes if box]


def _time_banner(result: Result) -> str:
    """Return the box of a run that had a budget of time: what it did not come to."""
    cut = [
        f"{model_title(result, one.model)} ({one.protocol}) "
        f"{one.completed} of {one.requested} trials"
        for one in result.unfinished or ()
    ]
    measured = {winner.model for winner in result.winners}
    lacking = [m for m in result.study.models if m not in measured]
    if not cut:
        return banner("NOTE", "**The time was enough**: every search had all its trials.")
    without = f" Without a figure: {listed(lacking)}." if lacking else ""
    return banner("CAUTION", f"**Cut by time**: {listed(cut)}.{without}")


def _corpus_banner(result: Result, name: str) -> str:
    """Return a box for a corpus that is not complete, left out or not; empty for one that is."""
    corpus = result.data.corpora[name]
    if corpus.left_out:
        return banner(
            "CAUTION",
            f"**{title(name)} corpus was left out**: {found_of(corpus)} clips were there. "
            f"All figures are of {listed(used_corpora(result))} alone.",
        )
    if corpus.missing:
        return banner(
            "CAUTION",
            f"**Incomplete corpus.** {title(name)}: {found_of(corpus)} clips were there. "
            "Figures of a part can't stand beside figures of the whole.",
        )
    return ""


def headline(board: Leaderboard) -> str:
    """Return what was found, in a sentence or two."""
    if board.has_gap:
        return f"{_gap_sentence(board)} {_guessing(board)}"
    protocol = board.protocols[0]
    words = protocol_words(protocol)
    chosen = board.selected[protocol].model
    score = board.selected_evaluation(protocol).scores[METRIC]
    return (
        f"On {words.place}, {named(board.result, chosen)} reaches UAR "
        f"{figure(score, bold=True)}. {_guessing(board)}"
    )


def _gap_sentence(board: Leaderboard) -> str:
    models = [
        named(board.result, board.selected[protocol].model)
        for protocol in (SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT)
    ]
    scores = [
        board.selected_evaluation(protocol).scores[METRIC]
        for protocol in (SPEAKER_DEPENDENT, SPEAKER_INDEPENDENT)
    ]
    before, after = (figure(score, bold=True) for score in scores)
    known, unseen = (
        protocol_words(SPEAKER_DEPENDENT).place,
        protocol_words(SPEAKER_INDEPENDENT).place,
    )
    if models[0] == models[1]:
        found = f"On {known}, {models[0]} reaches UAR {before}; on {unseen}, {after}"
    else:
        found = (
            f"On {known}, the best model ({models[0]}) reaches UAR {before}; "
            f"on {unseen}, the best ({models[1]}) reaches {after}"
        )
    return f"{found}: {_difference(gap(*scores))}"


def _difference(lost: Score) -> str:
    """Return what the step from known to unseen speakers costs, no surer than its interval is."""
    if lost.low > 0:
        return f"a gap of {figure(lost, bold=True)}."
    if lost.high < 0:
        return f"unseen speakers are no harder here; the difference is {figure(lost)}."
    return f"the difference, {figure(lost)}, can't be told from none."


def _guessing(board: Leaderboard) -> str:
    emotions = board.result.emotions
    guess = f"Guessing among {counted(len(emotions), 'emotion')} gives {number(1 / len(emotions))}."
    return f"{guess} Best means best on the inner folds." if _differ(board) else guess


def _differ(board: Leaderboard) -> bool:
    return len({winner.model for winner in board.selected.values()}) > 1


def chosen_note(board: Leaderboard) -> str:
    """Return how the chosen models were chosen, and why the choice is fair."""
    metric = METRICS[board.result.study.search.metric].title
    return (
        f"**Bold**: the model with the best {metric} on the inner folds of that column's training "
        "side. The test clips had no part in the choice and were looked at once."
        f"{_nested_note(board)}"
    )


def _nested_note(board: Leaderboard) -> str:
    """Return what stands in the row of the model that is chosen fold by fold."""
    if all(choice.model != SELECTED_PER_FOLD for choice in board.selected.values()):
        return ""
    return (
        " The best inside, fold by fold: each outer fold is answered by the model with the best "
        f"{METRICS[board.result.study.search.metric].title} on its own inner folds."
    )


def alike_note(board: Leaderboard) -> str:
    """Return what the mark means that stands behind a model's figure; empty without any."""
    if not any(not contest.significant for contest in board.comparisons):
        return ""
    column = protocol_words(board.leading).column
    return (
        f"{ALIKE}: on {column}, can't be told from the model in bold (p {ALPHA} or more; see "
        f"{WHAT_DIFFERS})."
    )


def protocol_note(board: Leaderboard, protocol: str, *, brief: bool = False) -> str:
    """Return who is tested under a protocol, and what its intervals are over."""
    meaning = protocol_words(protocol).meaning
    shown = f": {meaning}" if meaning and not brief else ""
    return f"{tested(board, protocol)}{shown}; intervals over {_unit(board, protocol)}."


def _unit(board: Leaderboard, protocol: str) -> str:
    """Return what a protocol's intervals are over, and how many equal speakers its own count as."""
    evaluation = _any_evaluation(board, protocol)
    if evaluation.effective_speakers > 0.9 * evaluation.speakers:
        return evaluation.over
    worth = (
        f"as some have far more clips, {evaluation.speakers} speakers count as "
        f"{evaluation.effective_speakers:.1f}"
    )
    return f"{evaluation.over} ({worth})"


def corpus_note(board: Leaderboard, protocol: str) -> str:
    """Return who is tested under a protocol, and what the intervals within each corpus are over."""
    over = corpus_units(_any_evaluation(board, protocol))
    return f"{tested(board, protocol)}; intervals over {over}."


def tested(board: Leaderboard, protocol: str) -> str:
    """Return a protocol with its number of test clips and speakers."""
    evaluation = _any_evaluation(board, protocol)
    clips, speakers = (
        counted(evaluation.clips, "test clip"),
        counted(evaluation.speakers, "speaker"),
    )
    column = capitalised(protocol_words(protocol).column)
    return (
        f"{column} (protocol {code(protocol)}, {clips} of {speakers}{_in_folds(board, protocol)})"
    )


def _in_folds(board: Leaderboard, protocol: str) -> str:
    """Return in how many outer folds a protocol tests; empty for a single test side."""
    folds = board.selected[protocol].parts
    if not folds:
        return ""
    named = board.result.study.split.folds
    published = protocol == SPEAKER_INDEPENDENT and isinstance(named, str)
    return f" in {counted(len(folds), 'fold')}" + (f", {code(named)}" if published else "")


def _any_evaluation(board: Leaderboard, protocol: str) -> Evaluation:
    """Return the figures of any model: all are tested on the same clips."""
    standing = next(one for one in board.standings if protocol in one.evaluations)
    return standing.evaluations[protocol]


def corpus_units(evaluation: Evaluation) -> str:
    """Return what the intervals within each corpus are over."""
    parts = [
        (f"{title(name)} ({counted(part.speakers, 'speaker')})", part.over)
        for name, part in evaluation.corpora.items()
    ]
    speakers = [name for name, over in parts if over == "speakers"]
    clips = [name for name, over in parts if over == "clips"]
    phrases = [f"speakers in {listed(speakers)}"] if speakers else []
    phrases += [f"clips in {listed(clips)}"] if clips else []
    return listed(phrases)


def intervals_note() -> str:
    """Return how intervals are made."""
    return (
        "Intervals are 95 %: Student's t on the standard error of 2,000 bootstrap resamples of "
        "whole speakers, its degrees of freedom one less than there are speakers (than they count "
        "as, where some have far more clips). Where they count as fewer than three, clips are "
        f"resampled, which can't show how speakers differ; such an interval is marked {CLIPS}."
    )


def verdict(claim: Claim) -> str:
    """Return whether a claim was reached, by how much, and what chance alone could do to it."""
    if claim.measured is None:
        return "not measured"
    notes = [_missed_by(claim), f"{'inside' if claim.within else 'outside'} our interval"]
    if claim.standard_error is not None:
        notes.append(f"standard error {number(claim.standard_error)}")
    return f"{_reached(claim)} ({', '.join(notes)})"


def brief_verdict(claim: Claim) -> str:
    """Return whether a claim was reached, and by how much."""
    return f"{_reached(claim)} ({_missed_by(claim)})" if claim.measured else "not measured"


def _reached(claim: Claim) -> str:
    return "reached" if claim.reached else "**not reached**"


def _missed_by(claim: Claim) -> str:
    """Return our figure less the claim."""
    difference = claim.measured.value - claim.claimed if claim.measured else 0.0
    if number(difference) == "0.000" and not claim.reached:
        return "by less than 0.001"
    return signed(difference)


def verdict_note() -> str:
    """Return what stands in the brackets of a verdict."""
    return (
        "Verdict: in brackets our figure less the claim, whether the claim lies inside our "
        "interval, and the binomial standard error of an accuracy as high as claimed on as many "
        "test clips: what chance alone does to it."
    )


def claims_sentence(board: Leaderboard) -> str:
    """Return how many of the source's claims were reached, and what is left of the best of them."""
    rows = claims(board)
    measured = [claim for claim in rows if claim.measured]
    if not measured:
        return ""
    settings = board.result.study.claims
    assert settings is not None
    metric = METRICS[settings.metric].title
    reached = sum(claim.reached for claim in rows)
    missing = len(rows) - len(measured)
    not_measured = f", {missing} not measured" if missing else ""
    best = measured[0]
    which = "Its best" if best == rows[0] else "The best that was measured"
    unseen = f", and {figure(best.independent)} on unseen speakers" if best.independent else ""
    return (
        f"Of {counted(len(rows), 'figure')} that {plain(settings.source)} gives, {reached} "
        f"{'is' if reached == 1 else 'are'} reached under its own protocol, "
        f"{code(settings.protocol)}{not_measured}. {which}, {claimed(best.claimed)} {metric} "
        f"({model_title(board.result, best.model)}), is {figure(best.measured)} here{unseen}."
    )


NORMALISED = {
    "speaker": ["**normalised by speaker** (needs several clips of a speaker)"],
    "corpus": ["**normalised by corpus** (needs many clips of the same kind)"],
}
"""What a study says of its features where one clip alone is not enough."""


def learned_from(result: Result) -> str:
    """Return a study's features, the copies that it makes of training clips, and other corpora."""
    parts = [code(result.study.features)]
    if copies := [code(chain) for chain in result.study.augment]:
        parts.append(f"copies by {listed(copies)}")
    if further := learned_also(result):
        parts.append(f"{listed(further)} too")
    return ", ".join(parts)


def settings_line(result: Result) -> str:
    """Return the study in a line: its name, clips, emotions, features and augmentation."""
    used = sum(corpus.used for _, corpus in _asked_about(result))
    corpora = used_corpora(result)
    emotions = [plain(emotion) for emotion in result.emotions]
    copies = [code(chain) for chain in result.study.augment]
    rate_hz = result.study.sample_rate_hz
    rate = f" at {count(rate_hz)} Hz" if rate_hz else ""
    made = [
        f"features {code(result.study.features)}{rate}",
        f"copies of the training clips with {listed(copies)}" if copies else "no augmentation",
    ]
    if further := learned_also(result):
        made.append(f"**{listed(further)} learned from too**, never tested")
    made += NORMALISED.get(result.study.normalise, [])
    made += [f"{plain(name)} as one more feature" for name in result.study.covariates]
    renamed = [f"{plain(a)} counts as {plain(b)}" for a, b in result.study.rename.items()]
    parts = [
        f"Study {code(result.name)}",
        f"{counted(used, 'clip')} of {listed(corpora)}",
        f"{counted(len(emotions), 'emotion')}: {listed(emotions)}"
        + (f" ({listed(renamed)})" if renamed else ""),
        *(["features of the user's own tables"] if result.own_tables else made),
    ]
    return " · ".join(part for part in parts if part)


def bold_of(board: Leaderboard, protocol: str, standing: Standing) -> bool:
    """Whether a model is the chosen one under a protocol."""
    return bool(board.selected[protocol].model == standing.model)


def sentences(parts: Iterable[str]) -> str:
    """Return sentences as one small paragraph."""
    return f"<sub>{' '.join(part for part in parts if part)}</sub>"
