"""The pages agree with the stored predictions, computed again independently of the package.

The figures are computed by `tests/support/recomputed.py`, which defines them with pandas and
scikit-learn alone; like that file, this one imports nothing of the package. A printed figure agrees
if it is the computed one to the last printed digit. A table, row or sentence that is not found is
an error.

Intervals are not computed again. It is checked that each contains its figure, and that there is
none where each corpus has fewer than six speakers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from statistics import fmean, stdev

import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support

from tests.support import recomputed
from tests.support.recomputed import (
    BASELINE,
    METRICS,
    NAMES,
    PER_FOLD,
    SD,
    SI,
    Claim,
    Figure,
    Study,
    score,
    stored,
)

PROJECT = Path(__file__).parents[2]
REPORTS = PROJECT / "reports"
ENOUGH_SPEAKERS = 6
"""Fewer speakers of a corpus have no interval."""

READING = (REPORTS / "reading.md").read_text(encoding="utf-8")
PROTOCOLS = dict(re.findall(r"^- \*\*.+?\*\* \((.+?), protocol `(.+?)`\)", READING, re.MULTILINE))
"""The protocol of each abbreviation, as the page for readers defines them."""


# What the pages print.

NUMBER = r"−?\d\.\d{3}"
INTERVAL = r"\[(?P<low>−?\d\.\d\d),\s(?P<high>−?\d\.\d\d)\]"
MARKED = r"^(.+?)( \(selected(?: ([^()]+))?\))?$"
CELL = re.compile(
    rf"(?P<bold>\*\*)?(?P<value>{NUMBER})(?:\*\*)?(?: {INTERVAL})?(?: \((?P<own>[\d., ]+)\))?"
)
COLUMN = "|".join(sorted(map(re.escape, PROTOCOLS), key=len, reverse=True))


def as_float(printed: str) -> float:
    return float(printed.replace("−", "-").replace(",", ""))


def section(page: str, heading: str) -> str:
    """Return the part of a page below a heading of the second level."""
    parts = f"\n{page}".split(f"\n## {heading}\n")
    assert len(parts) == 2, f"{len(parts) - 1} sections have the heading {heading!r}"
    return parts[1].partition("\n## ")[0]


def tables(text: str, *first: str) -> list[pd.DataFrame]:
    """Return the tables whose header begins with these cells; there is at least one."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", f"{text}\n", re.MULTILINE):
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
        header, _, *rows = [[cell.strip() for cell in line] for line in lines]
        if tuple(header[: len(first)]) == first:
            found.append(pd.DataFrame(rows, columns=header))
    assert found, f"no table begins with {first}"
    return found


def single(pattern: str, text: str) -> re.Match[str]:
    """Return the only match of a pattern."""
    (match,) = re.finditer(pattern, text, re.MULTILINE)
    return match


@dataclass
class Audit:
    """Printed figures that were compared with recomputed ones, and those that disagree."""

    n_figures: int = 0
    n_facts: int = 0
    wrong: list[str] = field(default_factory=list)

    def same(self, what: str, printed: object, computed: object) -> None:
        """Compare a fact: a count, a name, a mark."""
        self.n_facts += 1
        if printed != computed:
            self.wrong.append(f"{what}: {printed} is printed, {computed} is right")

    def number(self, what: str, printed: str, computed: float) -> None:
        """Compare a number to its last printed digit."""
        self.n_figures += 1
        half = 0.5 * 10 ** -len(printed.partition(".")[2])
        if not abs(as_float(printed) - computed) <= half + 1e-9:  # an exact half may go either way
            self.wrong.append(f"{what}: {printed} is printed, {computed:.5f} is right")

    def cell(
        self, what: str, printed: str, figure: Figure | None, bold: bool | None = None
    ) -> None:
        """Compare a figure, and what stands beside it: an interval or the speakers' figures."""
        match = CELL.fullmatch(printed)
        if match is None or figure is None:
            self.same(what, printed, "–" if figure is None else f"{figure.value:.3f}")
            return
        self.number(what, match["value"], figure.value)
        if bold is not None:
            self.same(f"{what}, bold", bool(match["bold"]), bold)
        if match["low"]:
            inside = as_float(match["low"]) <= as_float(match["value"]) <= as_float(match["high"])
            self.same(f"{what}, interval contains the figure", inside, True)
            enough = figure.most_speakers >= ENOUGH_SPEAKERS
            self.same(f"{what}, speakers suffice for the interval", enough, True)
        elif figure.own or match["own"]:
            own = (match["own"] or "").split(", ")
            self.same(f"{what}, number of speakers", len(own), len(figure.own))
            for one, value in zip(own, figure.own, strict=False):
                self.number(f"{what}, speaker", one or "nan", value)

    def settle(self) -> None:
        assert self.wrong == []
        assert self.n_figures + self.n_facts > 0


def protocols_of(header: Iterable[str], metric: str) -> dict[str, str]:
    """Return the protocol of each column of a metric."""
    start = f"{metric}, "
    return {one: PROTOCOLS[one.removeprefix(start)] for one in header if one.startswith(start)}


@cache
def page_of(name: str) -> str:
    return (REPORTS / f"{name}.md").read_text(encoding="utf-8")


def check_search(audit: Audit, study: Study, page: str) -> dict[str, str]:
    """Check the CV score of each winner, and return the models by their titles on the page.

    The table of winners has the order of `study.json`, which tells the model of each title.
    """
    (table,) = [one for one in tables(section(page, "Search"), "Model", "Split") if "Trials" in one]
    winners = study.winners[study.winners["model"] != BASELINE]
    splits = winners["protocol"] + ("/" + winners["part"]).where(winners["part"] != "", "")
    audit.same("splits of the winners", list(table["Split"]), list(splits))
    for printed, computed in zip(table["CV score"], winners["score"], strict=True):
        audit.number("CV score", printed.split("\N{NO-BREAK SPACE}")[0], computed)
    pairs = set(zip(table["Model"], winners["model"], strict=True))
    titles = dict(pairs)
    audit.same("one title for each model", len(titles), len(pairs))
    for title, model in (("majority class", BASELINE), (PER_FOLD, PER_FOLD)):
        titles |= {title: model} if model in study.models else {}
    return titles


@cache
def titles_of(name: str) -> Mapping[str, str]:
    return check_search(Audit(), stored(name), page_of(name))


def by_model(audit: Audit, study: Study, table: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the rows of a leaderboard by model, whose title says where it is selected."""
    titles, rows = titles_of(study.name), {}
    for row in table.to_dict("records"):
        title, marked, columns = single(MARKED, row["Model"]).groups()
        model = titles[title]
        rows[model] = row
        selected = [one for one in study.protocols if study.selected[one] == model != PER_FOLD]
        where = [PROTOCOLS[one] for one in re.split(", | and ", columns or "") if one]
        where = where or list(study.protocols) * bool(marked)
        audit.same(f"{title}, selected", sorted(where), sorted(selected))
    audit.same("models", sorted(rows), sorted(titles.values()))
    return rows


def check_leaderboard(audit: Audit, study: Study, page: str) -> None:
    """Check UAR under each protocol, the SD–SI gap and the mark of the selected model."""
    table = tables(page, "Model", "Rank")[0]
    columns = protocols_of(table.columns, "UAR")
    audit.same("protocols", sorted(columns.values()), sorted(study.protocols))
    gap = [column for column in table if "gap" in column]
    audit.same("columns of the gap", len(gap), int({SD, SI} <= set(study.protocols)))
    pooled = [column for column in table if column.startswith("Pooled")]
    reported = [column for column in table if column.startswith("Reported")]
    for model, row in by_model(audit, study, table).items():
        for column, protocol in columns.items():
            chosen = study.selected[protocol] == model
            figure = study.scores(protocol, model)["UAR"]
            audit.cell(f"{row['Model']}, {column}", row[column], figure, chosen)
        for column in gap:
            value = study.gap(model, model)["UAR"] if model != BASELINE else None
            audit.cell(f"{row['Model']}, gap", row[column], value)
        claim = study.claims.get(model)
        for column in pooled:
            audit.cell(f"{row['Model']}, pooled", row[column], claim and claim.measured)
        for column in reported:
            if claim is None:
                audit.same(f"{row['Model']}, reported", row[column], "–")
            else:
                audit.number(f"{row['Model']}, reported", row[column], claim.reported)


def check_other_metrics(audit: Audit, study: Study, page: str) -> None:
    """Check the same predictions by the other metrics."""
    _, table = tables(section(page, "Leaderboard"), "Model")
    rows = by_model(audit, study, table)
    for metric in list(METRICS)[1:]:
        columns = protocols_of(table.columns, metric)
        audit.same(f"protocols, {metric}", sorted(columns.values()), sorted(study.protocols))
        for column, protocol in columns.items():
            for model, row in rows.items():
                figure = study.scores(protocol, model)[metric]
                chosen = study.selected[protocol] == model
                audit.cell(f"{model}, {column}", row[column], figure, chosen)


def check_corpora(audit: Audit, study: Study, page: str) -> None:
    """Check UAR within each corpus, and the mean over corpora."""
    tested = sorted(set.union(*({*study.side(one)["corpus"]} for one in study.protocols)))
    has_section = "\n## Results by corpus\n" in page
    audit.same("a section on corpora", has_section, len(tested) > 1)
    if not has_section:
        return
    text, checked = section(page, "Results by corpus"), []
    for name, protocol in PROTOCOLS.items():
        if protocol not in study.protocols:
            continue
        (table,) = tables(text, f"UAR, {name}")
        checked.append(protocol)
        *corpora, mean, percentile = table.columns[1:]
        names = [corpus.lower().replace(" ", "_") for corpus in corpora]
        audit.same("corpora", sorted(names), tested)
        models = {model for one, model in study.tested if one == protocol}
        titles = {t: m for t, m in titles_of(study.name).items() if m in models}
        audit.same("models", sorted(table.iloc[:, 0]), sorted(titles))
        for row in table.to_dict("records"):
            title = row[f"UAR, {name}"]
            chosen = study.selected[protocol] == titles[title]
            for column, corpus in [*zip(corpora, names, strict=True), (mean, "")]:
                figure = study.scores(protocol, titles[title], corpus)["UAR"]
                audit.cell(f"{title}, {name}, {column}", row[column], figure, chosen)
            check_contained(audit, f"{row[mean].partition(' ')[0]} {row[percentile]}")


def check_contained(audit: Audit, page: str) -> None:
    """Check that each interval contains the figure before it."""
    for one in re.finditer(rf"(?P<value>{NUMBER})(?:\*\*)? {INTERVAL}", page):
        low, value, high = (as_float(one[name]) for name in ("low", "value", "high"))
        audit.same(f"{one[0]} contains its figure", low <= value <= high, True)


def check_intervals(audit: Audit, study: Study, page: str) -> None:
    """Check all intervals; a page on corpora with few speakers has none."""
    check_contained(audit, page)
    sides = [study.side(protocol).groupby("corpus")["speaker"] for protocol in study.protocols]
    enough = max(speakers.nunique().max() for speakers in sides) >= ENOUGH_SPEAKERS
    audit.same("intervals", re.search(rf"{NUMBER}\S* {INTERVAL}", page) is not None, enough)


def check_headline(audit: Audit, study: Study, page: str) -> None:
    """Check the sentences at the top: scores of the selected models, gap, clips, chance level."""
    line = single(r"^.* reach(es)? UAR .*$", page)[0]
    scores = re.findall(rf"(\*\*{NUMBER}\*\*(?: \[[^]]*\])?),? [^\d\[*]+? \(({COLUMN})\)", line)
    both = {SD, SI} <= set(study.protocols)
    shown = [PROTOCOLS[column] for _, column in scores]
    audit.same(
        "protocols of the headline",
        shown,
        [SD, SI] if both else study.settings["split"]["protocols"],
    )
    for (printed, column), protocol in zip(scores, shown, strict=True):
        figure = study.scores(protocol, study.selected[protocol])["UAR"]
        audit.cell(f"headline, {column}", printed, figure and figure._replace(own=()))
    gap = study.gap(study.selected[SD], study.selected[SI])["UAR"] if both else None
    line = check_own_gaps(audit, study, line)
    line = check_gap_by_corpus(audit, study, line)
    printed_gap = re.findall(rf"gap\b[^.]*?(\**{NUMBER}\**(?: \[[^]]*\])?)", line)
    audit.same("gaps in the headline", len(printed_gap), int(gap is not None))
    for printed in printed_gap:
        audit.cell("headline, gap", printed, gap)
    if gap is not None:
        sides = [set(study.side(protocol)["clip"]) for protocol in (SD, SI)]
        clips = re.findall(r"on the ([\d,]+) clips? tested under both protocols", line)
        common = f"{len(sides[0] & sides[1]):,}"
        audit.same("clips of the gap", clips, [common] if sides[0] != sides[1] else [])
    emotions, chance = single(r"Chance level for (\d+) emotions?: ([\d.]+\d)\.", line).groups()
    audit.same("emotions", int(emotions), len(study.settings["emotions"]))
    present = study.side(study.leading).groupby("corpus")["emotion"].nunique()
    audit.number("chance level", chance, fmean(1 / present))
    corpora = re.findall(r"mean over (.*?), each with", line)
    several = len(study.corpora) > 1
    audit.same("corpora of the headline", len(corpora), int(several))
    for printed in corpora:
        names = re.split(r", | and ", printed.lower().replace(" and ", ", "))
        audit.same("corpora", [one.replace(" ", "_") for one in names], list(study.corpora))


def check_own_gaps(audit: Audit, study: Study, line: str) -> str:
    """Check the smallest and the largest gap of one model; return the line without them."""
    own = sorted(
        gap.value
        for model in study.models
        if model != BASELINE and (gap := study.gap(model, model)["UAR"])
    )
    printed = list(
        re.finditer(rf" The two models differ; [^.]*? is ({NUMBER}) to ({NUMBER})\.", line)
    )
    differ = (
        len({study.selected[protocol] for protocol in (SD, SI) if protocol in study.selected}) > 1
    )
    audit.same("the models' own gaps in the headline", len(printed), int(differ and len(own) > 1))
    for one in printed:
        audit.number("smallest gap of a model", one[1], own[0])
        audit.number("largest gap of a model", one[2], own[-1])
        line = line.replace(one[0], "")
    return line


def check_gap_by_corpus(audit: Audit, study: Study, line: str) -> str:
    """Check the gap of the selected models within each corpus; return the line without it."""
    stated = list(
        re.finditer(rf" By corpus, the difference is ((?:{NUMBER} in [^.]*?)+)\.(?!\d)", line)
    )
    sides = [set(study.side(protocol)["clip"]) for protocol in (SD, SI) if study.has_gap]
    expected = study.has_gap and len(study.corpora) > 1 and sides[0] == sides[1]
    audit.same("the gap by corpus in the headline", len(stated), int(expected))
    for one in stated:
        printed = re.findall(rf"({NUMBER}) in (\w+)", one[1])
        audit.same("corpora of the gap", len(printed), len(study.corpora))
        for value, name in printed:
            first, second = (
                study.scores(protocol, study.selected[protocol], name.lower())["UAR"]
                for protocol in (SD, SI)
            )
            assert first
            assert second
            audit.number(f"gap in {name}", value, first.value - second.value)
        line = line.replace(one[0], "")
    return line


def check_counts(audit: Audit, study: Study, page: str) -> None:
    """Check clips and speakers wherever a page states those of the study or of a test side."""
    corpora = study.corpora.values()
    for name, clips, emotions in re.findall(
        r"^Study `(.+?)` · ([\d,]+) clips? of .+? · (\d+) emotions?:", page, re.MULTILINE
    ):
        audit.same("study", name, study.name)
        audit.same("clips of the study", clips, f"{sum(one['used'] for one in corpora):,}")
        audit.same("emotions", int(emotions), len(study.settings["emotions"]))
    stated = re.findall(
        rf"\(({COLUMN})\): ([\d,]+) test clips? of ([\d,]+) speakers?(?: in (\d+) folds)?", page
    )
    audit.same("test sides", {PROTOCOLS[one[0]] for one in stated}, set(study.protocols))
    for column, clips, speakers, folds in stated:
        side = study.side(PROTOCOLS[column])
        audit.same(f"test clips, {column}", clips, f"{side['clip'].nunique():,}")
        audit.same(f"test speakers, {column}", speakers, f"{side['speaker'].nunique():,}")
        parts = set(side["part"]) - {""}
        audit.same(f"folds, {column}", int(folds or 0), len(parts))


def check_measured(audit: Audit, study: Study, page: str) -> None:
    """Check the clips and splits of the paragraph that says what a page measures."""
    line = single(r"^\*\*What this page measures\.\*\*.*$", page)[0]
    stated = re.findall(
        rf"\b({COLUMN}): (?:one test side of|(\d+) splits(?: \([^)]*\))?,) ([\d,]+) clips", line
    )
    audit.same("test sides", {PROTOCOLS[one[0]] for one in stated}, set(study.protocols))
    for column, splits, clips in stated:
        side = study.side(PROTOCOLS[column])
        audit.same(f"clips, {column}", clips, f"{side['clip'].nunique():,}")
        audit.same(f"splits, {column}", int(splits or 1), side["part"].nunique())
    speakers = single(r"; ([\d,]+) speakers?\. ", line)[1]
    total = sum(one["speakers"] for one in study.corpora.values())
    audit.same("speakers", speakers, f"{total:,}")


def check_selection(audit: Audit, study: Study, page: str) -> None:
    """Check the CV score of the selection against the scores of trials on the inner folds."""
    keys = ["protocol", *["part"] * ("part" in study.trials), "model"]
    complete = study.trials[study.trials["state"] == "complete"]
    best = complete.astype({"score": float}).groupby(keys)["score"].max()
    for winner in study.winners.to_dict("records"):
        mean_of_folds = fmean(winner["fold_scores"])
        audit.same("mean of the folds", winner["score"], pytest.approx(mean_of_folds))
        if not pd.isna(winner["trial"]):
            of_trials = best[tuple(winner[key] for key in keys)]
            audit.same("best trial", winner["score"], pytest.approx(of_trials))
    mean = study.selections.groupby("protocol")["score"].mean()
    stated = re.findall(
        rf"^- \*\*.+? \(({COLUMN})\)\*\*: .+, CV score \(.+?\) ({NUMBER})\.$",
        section(page, "Selected model"),
        re.MULTILINE,
    )
    audit.same("selections", {PROTOCOLS[one] for one, _ in stated}, set(study.protocols))
    for column, printed in stated:
        audit.number(f"CV score, {column}", printed, mean[PROTOCOLS[column]])


def check_emotions(audit: Audit, study: Study, page: str) -> None:
    """Check precision, recall and F1 of each emotion, by the selected model."""
    emotions = sorted(study.settings["emotions"])
    corpora = sorted(study.corpora)
    found = tables(section(page, "Selected model"), "Emotion")
    audit.same("tables", len(found), 1 + len(corpora) * (len(corpora) > 1))
    for table, corpus in zip(found, ["", *corpora], strict=False):
        audit.same("emotions", list(table["Emotion"]), emotions)
        for start in range(1, len(table.columns), 4):
            column = table.columns[start].removesuffix(": precision")
            protocol = PROTOCOLS[column]
            rows = study.tested[protocol, study.selected[protocol]]
            rows = rows[rows["corpus"] == corpus] if corpus else rows
            computed = precision_recall_fscore_support(
                rows["emotion"], rows["predicted"], labels=range(len(emotions)), zero_division=0
            )
            for place, values in enumerate(computed, start):
                for emotion, printed, value in zip(
                    emotions, table.iloc[:, place], values, strict=True
                ):
                    audit.number(f"{corpus} {emotion}, {column}", printed, value)


def check_outer_folds(audit: Audit, study: Study, page: str) -> None:
    """Check the selected model of each outer fold, its CV score and its test scores."""
    rows = study.selections[study.selections["part"] != ""]
    if rows.empty:
        audit.same("a section on outer folds", "\n## Outer folds\n" in page, False)
        return
    titles = titles_of(study.name)
    text = section(page, "Outer folds")
    printed_rows = pd.concat(tables(text, "Fold")).to_dict("records")
    scores: dict[str, list[float]] = {}
    for printed, row in zip(printed_rows, rows.to_dict("records"), strict=True):
        what = f"{row['protocol']}/{row['part']}"
        tested = study.tested[row["protocol"], row["model"]]
        own = tested[tested["part"] == row["part"]]
        audit.same(f"{what}, fold", printed["Fold"], f"`{row['part']}`")
        audit.same(f"{what}, selected", titles[printed["Selected model"]], row["model"])
        audit.number(f"{what}, CV score", printed["CV score"], row["score"])
        for column, counted in (("Test clips", "clip"), ("Test speakers", "speaker")):
            audit.same(f"{what}, {column}", printed[column], f"{own[counted].nunique():,}")
        found = score(own)
        scores.setdefault(row["protocol"], []).append(found["UAR"].value)
        for metric, figure in found.items():
            audit.cell(f"{what}, {metric}", printed[metric], figure)
    spreads = tables(text, "UAR over outer folds")
    for spread, protocol in zip(spreads, dict.fromkeys(rows["protocol"]), strict=True):
        models = {model for one, model in study.tested if one == protocol} - {BASELINE}
        audit.same(f"models, {protocol}", {titles[title] for title in spread.iloc[:, 0]}, models)
        for title, printed, lowest, highest in spread.itertuples(index=False):
            own = study.tested[protocol, titles[title]]
            of_folds = [score(fold)["UAR"].value for _, fold in own.groupby("part")]
            mean, _, deviation = printed.partition(" ± ")
            audit.number(f"{title}, mean over folds", mean, fmean(of_folds))
            if deviation:
                audit.number(f"{title}, spread over folds", deviation, stdev(of_folds))
            audit.number(f"{title}, lowest fold", lowest, min(of_folds))
            audit.number(f"{title}, highest fold", highest, max(of_folds))
    means = re.findall(
        rf"\(({COLUMN})\)\*\*: (\d+) outer folds?, .*? models ({NUMBER}), test UAR ({NUMBER})", text
    )
    audit.same("means over folds", {PROTOCOLS[one[0]] for one in means}, set(scores))
    for column, n_folds, cv_score, mean in means:
        own_folds = rows[rows["protocol"] == PROTOCOLS[column]]
        audit.same(f"folds, {column}", int(n_folds), len(own_folds))
        audit.number(f"mean CV score, {column}", cv_score, own_folds["score"].mean())
        audit.number(f"mean over folds, {column}", mean, fmean(scores[PROTOCOLS[column]]))


def check_claims(audit: Audit, study: Study, page: str) -> None:
    """Check the reported figures of a source, ours beside them, and the verdicts."""
    has_section = "\n## Comparison with the source\n" in page
    audit.same("a section on the source", has_section, bool(study.claims))
    if not has_section:
        return
    text, titles = section(page, "Comparison with the source"), titles_of(study.name)
    table = tables(text, "Model")[0]
    audit.same("claims", sorted(titles[one] for one in table["Model"]), sorted(study.claims))
    for title, reported, measured, verdict, *other in table.itertuples(index=False):
        claim = study.claims[titles[title]]
        audit.number(f"{title}, reported", reported, claim.reported)
        audit.cell(f"{title}, measured", measured, claim.measured)
        check_verdict(audit, claim, verdict)
        for printed in other:
            audit.cell(f"{title}, SI", printed, claim.independent)
        audit.same(f"{title}, columns", len(other), int(SI in study.protocols))
    comparable = [one for one in study.claims.values() if one.comparable]
    counts = re.findall(r"(\d+) of (\d+) comparable figures? (?:is|are) consistent", text)
    consistent = sum(one.consistent for one in comparable)
    right = [(str(consistent), str(len(comparable)))] * bool(comparable)
    audit.same("consistent", counts, right)
    best = max((one for one in study.claims.values() if one.measured), key=lambda one: one.reported)
    reported, here, si = single(
        rf"The best reported figure[^,]*, ([\d.]+) .*?, is ({NUMBER}\S*(?: \[[^]]*\])?) here"
        rf"(?: and ({NUMBER}(?: \[[^]]*\])?) speaker-independent)?",
        text,
    ).groups()
    audit.number("best claim", reported, best.reported)
    audit.cell("best claim, measured", here, best.measured)
    audit.cell("best claim, SI", si or "–", best.independent)


def check_verdict(audit: Audit, claim: Claim, verdict: str) -> None:
    """Check the verdict on a claim, the difference and what sampling allows."""
    audit.same("comparable", not verdict.startswith("not comparable"), claim.comparable)
    if not claim.comparable or claim.measured is None:
        return
    difference = claim.measured.value - claim.reported
    if claim.allowance is not None:
        right = "consistent" if difference >= -claim.allowance else "below"
        audit.same("verdict", verdict.partition(" (")[0].strip("*"), right)
    printed = single(rf"\(\+?({NUMBER}|less than 0.001)[;)]", verdict)[1]
    if printed.startswith("less"):
        audit.same(verdict, 0 < abs(difference) < 0.001, True)
    else:
        audit.number(f"{verdict}, difference", printed, difference)
    for allowed in re.findall(rf"sampling allows ({NUMBER})", verdict):
        audit.number(f"{verdict}, allowance", allowed, claim.allowance or 0.0)


Check = Callable[[Audit, Study, str], object]

CHECKS: dict[str, Check] = {
    "search": check_search,
    "selection": check_selection,
    "headline": check_headline,
    "counts": check_counts,
    "what the page measures": check_measured,
    "intervals": check_intervals,
    "leaderboard": check_leaderboard,
    "other metrics": check_other_metrics,
    "results by corpus": check_corpora,
    "comparison with the source": check_claims,
    "emotions": check_emotions,
    "outer folds": check_outer_folds,
}
"""The checks of a study's page."""


# Pages over all studies.


@cache
def published() -> list[str]:
    """Return the studies without changed settings; other runs do not count as their results."""
    return [name for name in NAMES if not stored(name).record["changes"]]


def check_all_studies(audit: Audit, page: str) -> None:
    """Check the section of each study on the leaderboard over all studies."""
    for name in published():
        text = section(page, f"[{name}]({name}.md)")
        for check in (check_leaderboard, check_headline, check_counts):
            check(audit, stored(name), text)


def check_studies_by_clips(audit: Audit, page: str) -> None:
    """Check the tables of all studies of the same clips."""
    text = section(page, "Studies by test clips")
    shown = check_shared_clips(audit, text)
    real_speech = [name for name in published() if not stored(name).generated]
    audit.same("studies", sorted(shown), real_speech)


def check_shared_clips(audit: Audit, text: str) -> list[str]:
    """Check the selected models of several studies on the clips that all of them tested."""
    shown, groups = [], []
    for table in tables(text, "Study"):
        names = [single(r"\((?:.*/)?(.+?)\.md\)$", cell)[1] for cell in table["Study"]]
        studies = [stored(name) for name in names]
        shown += names
        groups.append({clips_and_kind(one) for one in studies})
        audit.same("clips and kind of the studies", len(groups[-1]), 1)
        columns = protocols_of(table.columns, "UAR")
        measured = {SD, SI, "cross-corpus"} & set.union(*(one.protocols for one in studies))
        audit.same("protocols", set(columns.values()), measured)
        for name, title in zip(names, table["Selected model"], strict=True):
            model = stored(name).selected[stored(name).leading]
            audit.same(f"{name}, selected", titles_of(name)[title], model)
        for column, protocol in columns.items():
            having = [one for one in studies if protocol in one.protocols]
            common = set.intersection(*({*one.side(protocol)["clip"]} for one in having))
            for one, printed in zip(studies, table[column], strict=True):
                what = f"{one.name}, {column}"
                if one not in having or not common:
                    audit.cell(what, printed, None)
                    continue
                rows = one.tested[protocol, one.selected[protocol]]
                rows = rows[rows["clip"].isin(common)]
                value, speakers = single(r"^(.*), (\d+) speakers?$", printed).groups()
                audit.cell(what, value, score(rows, listed=True)["UAR"])
                audit.same(f"{what}, speakers", int(speakers), rows["speaker"].nunique())
    audit.same("tables of different studies", len(set.union(*groups)), len(groups))
    return shown


def clips_and_kind(one: Study) -> tuple[object, ...]:
    """Return what studies in one table have in common."""
    corpora, emotions = sorted(one.corpora), sorted(one.settings["emotions"])
    return tuple(corpora), tuple(emotions), one.settings["normalise"] == "none"


def check_all_claims(audit: Audit, page: str) -> None:
    """Check the table of all reported figures, the number of consistent ones and the means."""
    everything = {
        (name, model): claim for name in published() for model, claim in stored(name).claims.items()
    }
    (table,) = tables(page, "System", "Model", "Reported")
    keys = []
    for system, title, reported, measured, si, gap, verdict in table.itertuples(index=False):
        name = single(r"\((?:[^()]*/)?([^()/]+?)\.md\)$", system)[1]
        keys.append((name, titles_of(name)[title]))
        claim = everything[keys[-1]]
        audit.number(f"{title}, reported", reported.split()[-1], claim.reported)
        audit.cell(f"{title}, measured", measured, claim.measured)
        own = claim.protocol == SI
        audit.cell(f"{title}, SI", si, claim.measured if own else claim.independent)
        audit.cell(f"{title}, gap", gap, claim.gap)
        check_verdict(audit, claim, verdict)
    audit.same("claims", sorted(keys), sorted(everything))
    comparable = [one for one in everything.values() if one.comparable]
    counts = single(r"\*\*(\d+) of (\d+) comparable figures? (?:is|are) consistent", page).groups()
    consistent = sum(one.consistent for one in comparable)
    audit.same("consistent", counts, (str(consistent), str(len(comparable))))
    left_out = re.findall(r"(\d+) of (\d+) reported figures? (?:is|are) not comparable", page)
    n_claims, n_left_out = len(everything), len(everything) - len(comparable)
    audit.same("not comparable", left_out, [(str(n_left_out), str(n_claims))] * bool(n_left_out))
    triples: dict[str, list[tuple[float, float, float]]] = {}
    for (name, *_), one in everything.items():
        if one.comparable and one.measured and one.independent:
            values = (one.reported, one.measured.value, one.independent.value)
            triples.setdefault(name, []).append(values)
    *means, n_means = single(
        rf"Mean \w[\w ]*: ({NUMBER}) reported, \*\*({NUMBER})\*\* in .*? and \*\*({NUMBER})\*\* "
        r"speaker-independent \((\d+) comparable figures? measured",
        page,
    ).groups()
    audit.same("figures of the means", int(n_means), sum(map(len, triples.values())))
    for place, printed in enumerate(means):
        of_studies = [fmean(values[place] for values in one) for one in triples.values()]
        audit.number("mean of the claims", printed, fmean(of_studies))


def check_readme(audit: Audit, page: str) -> None:
    """Check the best results of the README: for each set of clips, the study and its score."""
    (table,) = tables(page, "Emotions and corpora", "Study")
    inductive = [
        one
        for one in map(stored, published())
        if SI in one.protocols and not one.generated and clips_and_kind(one)[2]
    ]
    best: dict[object, Study] = {}
    for one in sorted(inductive, key=cv_score):
        best[clips_and_kind(one)] = one
    shown = [single(r"\((?:.*/)?(.+?)\.md\)$", cell)[1] for cell in table["Study"]]
    audit.same("studies", sorted(shown), sorted(one.name for one in best.values()))
    for name, row in zip(shown, table.to_dict("records"), strict=True):
        one = stored(name)
        audit.same(f"{name}, selected", titles_of(name)[row["Selected model"]], one.selected[SI])
        value, speakers = single(r"^(.*), (\d+) speakers?$", row["UAR, SI"]).groups()
        rows = one.tested[SI, one.selected[SI]]
        audit.cell(name, value, score(rows, listed=True)["UAR"])
        audit.same(f"{name}, speakers", int(speakers), rows["speaker"].nunique())
        emotions = [part["emotion"].nunique() for _, part in rows.groupby("corpus")]
        audit.number(f"{name}, chance", row["Chance level"], fmean(1 / n for n in emotions))


def cv_score(one: Study) -> float:
    """Return the CV score of a study's selected model, speaker-independent."""
    found = one.selections if one.selected[SI] == PER_FOLD else one.winners
    own = found["protocol"] == SI
    if one.selected[SI] != PER_FOLD:
        own &= found["model"] == one.selected[SI]
    return float(found.loc[own, "score"].mean())


def check_best_results(audit: Audit, page: str) -> None:
    """Check our best speaker-independent results on published folds, and all steps to them."""
    sections = re.findall(r"^## ((.+), (\d+) emotions, folds `(.+)`)$", page, re.MULTILINE)
    for heading, corpus, n_emotions, folds in sections:
        text = section(page, heading)
        of_the_corpus = [
            one
            for one in map(stored, published())
            if one.settings["corpora"] == [corpus.lower()]
            and len(one.settings["emotions"]) == int(n_emotions)
            and isinstance(one.settings["split"]["folds"], str)
            and not one.settings["rename"]
            and SI in one.protocols
        ]
        setup = {
            frozenset(folds_of(one)["test_speakers"])
            for one in of_the_corpus
            if one.settings["split"]["folds"] == folds
        }
        audit.same(f"{heading}: outer folds", len(setup), 1)
        alike = [one for one in of_the_corpus if {*folds_of(one)["test_speakers"]} in setup]
        check_own_rows(audit, alike, text)
        check_steps(audit, alike, text)
    audit.same("sections", bool(sections), True)


def folds_of(one: Study) -> pd.DataFrame:
    """Return the selected winner of each speaker-independent outer fold, with its test speakers."""
    found = one.selections[one.selections["protocol"] == SI]
    splits = one.record["data"]["splits"]
    speakers = [tuple(sorted(splits[f"{SI}/{part}"]["test"]["speakers"])) for part in found["part"]]
    return found.assign(study=one.name, test_speakers=speakers)


def check_own_rows(audit: Audit, studies: list[Study], text: str) -> None:
    """Check the results of the study and model with the best CV score on each outer fold."""
    kinds: dict[str, list[Study]] = {}
    for one in studies:
        keys = ("normalise", "scale", "auxiliary")
        kinds.setdefault(repr([one.settings.get(key) for key in keys]), []).append(one)
    by_studies = {}
    for alike in kinds.values():
        folds = pd.concat([folds_of(one) for one in alike])
        folds = folds.sort_values("study", kind="stable").reset_index(drop=True)
        best = folds.loc[folds.groupby("test_speakers")["score"].idxmax()]
        tested = [stored(row.study).tested[SI, row.model] for row in best.itertuples()]
        rows = [own[own["part"] == part] for own, part in zip(tested, best["part"], strict=True)]
        by_studies[frozenset(best["study"])] = score(pd.concat(rows), listed=True)
    found = pd.concat(tables(text, "System"))
    ours = found[found["System"].str.startswith("**Ours")]
    linked = [frozenset(re.findall(r"\(([^()]+)\.md\)", cell)) for cell in ours["Source"]]
    audit.same("our results", sorted(map(sorted, linked)), sorted(map(sorted, by_studies)))
    for names, row in zip(linked, ours.to_dict("records"), strict=True):
        for metric in [metric for metric in METRICS if metric in row]:
            figure = by_studies[names][metric]
            audit.cell(f"{sorted(names)}, {metric}", row[metric], figure, bold=True)


def check_steps(audit: Audit, studies: list[Study], text: str) -> None:
    """Check CV score, test score and their difference of every model, by CV score."""
    for kind in ("Inductive", "Transductive"):
        steps = []
        for one in studies:
            if (one.settings["normalise"] == "none") != (kind == "Inductive"):
                continue
            for title, model in titles_of(one.name).items():
                if model != BASELINE and (SI, model) in one.tested:
                    winners = one.selections if model == PER_FOLD else one.winners
                    own = winners["model"] == model if model != PER_FOLD else True
                    cv_score = winners.loc[(winners["protocol"] == SI) & own, "score"].mean()
                    figure = one.scores(SI, model)["UAR"]
                    steps.append((cv_score, title, figure, one.settings["features"]))
        parts = text.split(f"\n**{kind} results by features and model**\n")
        audit.same(f"a table of {kind} steps", len(parts) - 1, int(bool(steps)))
        if not steps:
            continue
        table = tables(parts[1], "Features", "Model")[0]
        steps.sort(key=lambda step: step[0])
        for row, (cv_score, title, figure, features) in zip(
            table.itertuples(index=False), steps, strict=True
        ):
            assert figure is not None
            audit.same("model", row[1], title)
            audit.same(f"{title}, features", row[0].partition("`,")[0].strip("`"), features)
            audit.number(f"{title}, CV score", row[2], cv_score)
            audit.cell(f"{title}, UAR", row[3], figure._replace(own=()))
            audit.number(f"{title}, difference", row[4].lstrip("+"), figure.value - cv_score)


ACROSS = {
    "reports/README.md": (check_all_studies, check_studies_by_clips, check_contained),
    "reports/claims.md": (check_all_claims, check_contained),
    "reports/speaker_independent.md": (check_best_results, check_contained),
    "README.md": (check_readme, check_contained),
}
"""The checks of the pages over all studies."""


@cache
def shared_page(path: str) -> str:
    return (PROJECT / path).read_text(encoding="utf-8")


# The tests.


def audited(check: Check, name: str, page: str | None = None) -> Audit:
    audit = Audit()
    check(audit, stored(name), page_of(name) if page is None else page)
    return audit


def with_another_digit(page: str, place: int) -> str:
    return f"{page[:place]}{(int(page[place]) + 2) % 10}{page[place + 1 :]}"


def noticed(checks: Iterable[Callable[[Audit], object]]) -> bool:
    """Whether a check finds a figure wrong, or misses one."""
    for check in checks:
        audit = Audit()
        try:
            check(audit)
        except (AssertionError, KeyError, ValueError):
            return True
        if audit.wrong:
            return True
    return False


def test_there_are_studies_and_protocols_to_check() -> None:
    assert published()
    assert {SD, SI} <= set(PROTOCOLS.values())


def test_nothing_of_the_package_is_imported() -> None:
    for path in (Path(__file__), Path(recomputed.__file__)):
        assert not re.search(r"^\s*(from|import) benchmark\b", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", CHECKS)
def test_the_page_of_a_study_shows_the_recomputed_figures(part: str, name: str) -> None:
    audited(CHECKS[part], name).settle()


@pytest.mark.parametrize("path", ACROSS)
def test_a_page_over_all_studies_shows_the_recomputed_figures(path: str) -> None:
    for check in ACROSS[path]:
        audit = Audit()
        check(audit, shared_page(path))
        audit.settle()


@pytest.mark.parametrize("name", NAMES)
def test_all_models_are_tested_on_the_same_clips_and_on_outer_folds_once(name: str) -> None:
    one = stored(name)
    for (protocol, _), rows in one.tested.items():
        assert set(rows["clip"]) == set(one.side(protocol)["clip"])
        if protocol != "cross-corpus-pairs" and one.settings["split"]["repeats"] == 1:
            assert not rows["clip"].duplicated().any()
        if protocol in (SD, SI) and one.settings["split"]["folds"]:
            assert rows["clip"].nunique() == sum(c["used"] for c in one.corpora.values())


def test_a_figure_agrees_only_to_its_last_digit() -> None:
    audit = Audit()
    for computed in (0.3405, 0.341, 0.3415):  # an exact half may be rounded either way
        audit.number("", "0.341", computed)
    assert audit.wrong == []
    for computed in (0.34049, 0.34151, float("nan")):
        audit.number("", "0.341", computed)
    assert len(audit.wrong) == 3


def test_an_interval_without_its_figure_or_of_few_speakers_is_an_error() -> None:
    figure, audit = Figure(0.341, ENOUGH_SPEAKERS), Audit()
    audit.cell("", "0.341 [0.31, 0.37]", figure)
    assert audit.wrong == []
    audit.cell("", "0.341 [0.35, 0.37]", figure)
    audit.cell("", "0.341 [0.31, 0.37]", figure._replace(most_speakers=ENOUGH_SPEAKERS - 1))
    assert len(audit.wrong) == 2


PARTS = {
    "Leaderboard": ("leaderboard", "other metrics"),
    "Selected model": ("selection", "emotions"),
    "Results by corpus": ("results by corpus",),
    "Comparison with the source": ("comparison with the source",),
    "Outer folds": ("outer folds",),
}
"""The checks of each section in which every figure of a table or list is checked."""


@pytest.mark.parametrize("heading", PARTS)
def test_a_changed_digit_or_a_missing_row_is_noticed(heading: str) -> None:
    pages = {name: page_of(name) for name in NAMES if f"\n## {heading}\n" in page_of(name)}
    name = min(pages, key=lambda one: len(section(pages[one], heading)))
    checks = [CHECKS[part] for part in PARTS[heading]]
    assert not noticed(partial(check, study=stored(name), page=pages[name]) for check in checks)
    before, text = pages[name].split(f"\n## {heading}\n")
    changed = []
    for row in re.finditer(
        r"^(\| (?!:---).*|- \*\*.*)\n", text.partition("\n## ")[0], re.MULTILINE
    ):
        figures = list(re.finditer(NUMBER, row[0]))
        ends = [row.start() + figure.end() - 1 for figure in figures]
        changed += [with_another_digit(text, end) for end in ends]
        changed += [text[: row.start()] + text[row.end() :]] * bool(figures)
    assert changed
    for other in changed:
        page = f"{before}\n## {heading}\n{other}"
        assert noticed(partial(check, study=stored(name), page=page) for check in checks)


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_digit_of_the_headline_is_noticed(name: str) -> None:
    page = page_of(name)
    line = single(r"^.* reach(es)? UAR .*$", page)
    figures = list(re.finditer(NUMBER, line[0]))
    for figure in figures:
        other = with_another_digit(page, line.start() + figure.end() - 1)
        assert noticed([partial(check_headline, study=stored(name), page=other)])


@pytest.mark.parametrize("path", ACROSS)
def test_a_changed_digit_on_a_page_over_all_studies_is_noticed(path: str) -> None:
    page = shared_page(path)
    figures = list(re.finditer(rf"{NUMBER}(?=\*\*| \[)", page))
    for figure in figures[:: max(1, len(figures) // 3)]:
        other = with_another_digit(page, figure.end() - 1)
        assert noticed(partial(check, page=other) for check in ACROSS[path])
