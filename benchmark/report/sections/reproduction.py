"""The command that makes a result again, and the versions that decide its figures."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from benchmark.evaluation.leaderboard import Leaderboard
from benchmark.evaluation.results import Result
from benchmark.report import wording
from benchmark.report.markdown import address
from benchmark.report.sections.section import Section


@dataclass(frozen=True)
class Facts:
    """How to make a result again.

    Attributes
    ----------
    command, results : str
        Command line; address of the stored tables.
    fast : list of str
        Titles of the models that scikit-learn-intelex fitted in the search.
    """

    command: str
    results: str
    fast: list[str]


def _facts(board: Leaderboard) -> Facts:
    result = board.result
    fast = [
        wording.model_title(result, model)
        for model, engine in result.versions.engines.items()
        if engine.startswith("scikit-learn-intelex")
    ]
    return Facts(run_command(result), address("results", result.name), fast)


def run_command(result: Result) -> str:
    """Return the command that makes a result again; DIR stands for the corpora's folder."""
    parts = [f"python -m benchmark run-study {shlex.quote(result.study.name)}"]
    corpora = result.data.corpora
    read = {*result.study.corpora, *result.study.auxiliary}
    if any(not corpora[name].generated for name in read & corpora.keys() - {"csv"}):
        parts.append("--corpora DIR")
    if "csv" in read:
        parts.append("--corpus csv=TABLE.csv")
    if result.own_tables:
        parts[1:] = ["--train TRAIN.csv --test TEST.csv"]
    unusable = any(change.kind == "unusable" for change in result.changes)
    missing = [one for one in corpora.values() if one.incomplete]
    if unusable or missing:
        parts.append("--allow-incomplete")
    left_out = [name for name, one in corpora.items() if one.left_out]
    parts += [f"--allow-missing {shlex.quote(name)}" for name in left_out]
    parts += [one.text for one in result.changes if one.kind == "allowed"]
    parts += [f"--minutes {one.value}" for one in result.changes if one.kind == "budget"]
    overrides = [one.value for one in result.changes if one.kind == "override"]
    return " ".join([*parts, *(f"--set {shlex.quote(override)}" for override in overrides)])


SECTION = Section("reproduction", _facts)
