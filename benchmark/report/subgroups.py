"""The section on whom the chosen model serves: its scores by speaker and other groups."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.evaluation.intervals import Score
from benchmark.evaluation.leaderboard import METRIC, Leaderboard
from benchmark.evaluation.metrics import METRICS
from benchmark.evaluation.subgroups import FEWEST_CLIPS, SPEAKER, Division, Group
from benchmark.report import wording
from benchmark.report.markdown import (
    address,
    count,
    counted,
    details,
    figure,
    interval,
    listed,
    number,
    plain,
    table,
    title,
)

PICTURE = "speakers.png"


def speakers(board: Leaderboard) -> list[Division]:
    """Return each corpus's speakers with clips enough."""
    return [one for one in board.divisions if one.by == SPEAKER]


def section(board: Leaderboard) -> Iterator[str]:
    """Yield the section; a sentence where no group has clips enough."""
    result = board.result
    column = wording.protocol_words(board.leading).column
    chosen = wording.named(result, board.selected[board.leading].model)
    yield "## Whom it serves"
    if not board.divisions:
        yield (
            f"On {column}, no speaker or other group has {FEWEST_CLIPS} clips of enough emotions: "
            "nothing can be said of any."
        )
        return
    yield f"{METRICS[METRIC].title} of {chosen} on {column}, by what is known of the test clips."
    lines = [_line(one) for one in board.divisions]
    yield "\n".join(f"- {line}" for line in lines)
    if speakers(board):
        place = address("figures", result.name, PICTURE)
        yield f"![{METRICS[METRIC].title} of each test speaker]({place})"
    header = ["Corpus", "By", "Group", "Clips", "Speakers", METRICS[METRIC].title]
    rows = [_row(one, group) for one in board.divisions for group in one.groups]
    yield details("Every group", table(header, rows, words=range(3)))
    yield wording.sentences(_notes(board))


def _line(one: Division) -> str:
    """Return what a division shows, in a sentence."""
    where = f"**{title(one.corpus)}, by {one.by}**"
    if one.gap is not None:
        first, second = (f"{plain(group.name)} {figure(group.score)}" for group in one.groups)
        return f"{where}: {first}, {second}; {_difference(one.gap)}"
    ordered = sorted(one.groups, key=lambda group: group.score.value)
    worst, best = ordered[0], ordered[-1]
    if worst is best:
        return f"{where}: {plain(best.name)} {figure(best.score)}."
    return f"{where}: from {_named(worst)} to {_named(best)}, {counted(len(one.groups), one.by)}."


def _named(group: Group) -> str:
    return f"{number(group.score.value)} ({plain(group.name)})"


def _difference(score: Score) -> str:
    told = "" if score.low > 0 or score.high < 0 else ", which can't be told from none"
    return f"difference {number(score.value)} {interval(score)}{told}."


def _row(one: Division, group: Group) -> list[str]:
    return [
        title(one.corpus),
        one.by,
        plain(group.name),
        count(group.clips),
        count(group.speakers),
        figure(group.score),
    ]


def _notes(board: Leaderboard) -> Iterator[str]:
    yield f"Groups of a corpus are compared on emotions of which each has {FEWEST_CLIPS} clips."
    for one in board.divisions:
        present = {emotion for emotion in board.result.emotions if emotion not in one.emotions}
        lacking = sorted(present & _emotions_of(board, one.corpus))
        if lacking:
            names = listed([plain(emotion) for emotion in lacking])
            yield f"{title(one.corpus)} by {one.by}: without {names}."
        if one.left_out:
            groups = counted(one.left_out, "group")
            yield f"{title(one.corpus)} by {one.by}: {groups} of fewer clips left out."
    if any(one.paired for one in board.divisions):
        yield "Where both groups have the same speakers, the same are drawn for both."
    if any(one.gap is not None and not one.paired for one in board.divisions):
        yield "Groups of different speakers are resampled independently."
    yield "A speaker's interval is over clips."
    if board.result.clips is None:
        yield "Statement and intensity of the clips are not stored with this result."


def _emotions_of(board: Leaderboard, corpus: str) -> set[str]:
    rows = board.result.predictions
    tested = (rows["protocol"] == board.leading) & (rows["corpus"] == corpus)
    return set(rows.loc[tested, "emotion"])
