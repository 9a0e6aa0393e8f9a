"""A figure that could not be drawn is named on every kind of page, and takes nothing with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.report.figures import Drawn
from benchmark.report.pages import leakage, speaker_scale, unseen_corpora
from benchmark.report.pages.leakage import leakage_page
from benchmark.report.pages.speaker_scale import CurveScores, scale_page
from benchmark.report.pages.text_ablation import TextCase
from benchmark.report.pages.unseen_corpora import MeasuredCases, unseen_corpora_page
from benchmark.speaker_scale.stored import read_curves
from benchmark.unseen_corpora.stored import read_measurements
from tests.support.figures import stored_figures

REPORTS = Path(__file__).parents[3] / "reports"


def of_text(drawn: Drawn) -> str:
    folder = REPORTS / leakage.FOLDER
    return leakage_page([], [TextCase(one) for one in leakage.read_text_ablations(folder)], drawn)


def of_scales(drawn: Drawn) -> str:
    curves = read_curves(REPORTS / speaker_scale.FOLDER)
    return scale_page([CurveScores(one) for one in curves], drawn)


def of_unseen_corpora(drawn: Drawn) -> str:
    measured = read_measurements(REPORTS / unseen_corpora.FOLDER)
    return unseen_corpora_page([MeasuredCases(one) for one in measured], drawn)


@pytest.mark.parametrize(
    ("page", "folder"),
    [
        (of_text, leakage.FIGURES),
        (of_scales, speaker_scale.FIGURES),
        (of_unseen_corpora, unseen_corpora.FIGURES),
    ],
)
def test_a_page_over_several_studies_names_the_figure_that_failed(
    page: Callable[[Drawn], str], folder: tuple[str, ...]
) -> None:
    whole = stored_figures(REPORTS.joinpath(*folder))
    shown = page(whole)
    failing = next(name for name in whole.figures if f"{name})" in shown)
    others = {name: content for name, content in whole.figures.items() if name != failing}
    lines = page(Drawn(others, {failing: "MemoryError"})).splitlines()
    changed = [
        line for line, before in zip(lines, shown.splitlines(), strict=True) if line != before
    ]
    assert changed == [f"**The figure `{failing}` could not be drawn:** MemoryError"]


def test_labels_that_leave_no_room_for_a_figure_leave_the_page_of_predictions_whole(
    tmp_path: Path,
) -> None:
    emotions = ["m" * 400, "sad"] * 30
    clips = pd.DataFrame(
        {"clip": range(60), "emotion": emotions, "prediction": [*emotions[1:], "sad"]}
    )
    clips.assign(speaker=clips["clip"] // 10).to_csv(tmp_path / "mine.csv", index=False)
    outcome = CliRunner().invoke(
        app, ["score", str(tmp_path / "mine.csv"), "--project", str(tmp_path)]
    )
    assert outcome.exit_code == 0, outcome.output
    page = (tmp_path / "reports/scores/mine.md").read_text(encoding="utf-8")
    assert "**The figure `confusion.png` could not be drawn:** UserWarning: " in page
    assert "](mine/speakers.png)" in page
