"""Stored predictions of other systems stand beside the studies of the same clips."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.evaluation.external import FOLDER, External, read_externals, write_external
from benchmark.evaluation.leaderboard import Leaderboard, leaderboard
from benchmark.evaluation.predictions import check_predictions
from benchmark.evaluation.results import read_result
from benchmark.evaluation.summaries import read_summary
from benchmark.report.pages.glance import groups
from benchmark.report.pages.leaderboard import leaderboard_page

RESULTS = Path(__file__).parents[3] / "reports" / "results"
SI = "speaker-independent"


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    folder = RESULTS / "ravdess_inductive"
    return leaderboard(read_result(folder), (), read_summary(folder))


@pytest.fixture(scope="module")
def system(board: Leaderboard) -> External:
    """Predictions as an outsider has them: here those of one of our models."""
    rows = board.result.predictions
    own = rows[(rows["protocol"] == SI) & (rows["model"] == "mlp")]
    table = own.drop(columns=["protocol", "part", "model"])
    return External("their_mlp", SI, check_predictions(table).rows)


def test_their_score_is_that_of_the_same_predictions(board: Leaderboard, system: External) -> None:
    (group,) = groups([board], [system])
    evaluation = board.evaluation(SI, "mlp")
    assert evaluation is not None
    score = evaluation.scores["uar"].value
    assert f"| [their_mlp](scores/their_mlp.md) | SI | {score:.3f} [" in group.external
    page = leaderboard_page([board], (), [system])
    assert "External: predictions of systems that were not fitted here" in page
    assert group.external in page
    assert "their_mlp" not in leaderboard_page([board])


def test_a_system_that_lacks_clips_has_no_score(board: Leaderboard, system: External) -> None:
    part = External("part", SI, system.rows.iloc[3:])
    (group,) = groups([board], [part])
    assert "| [part](scores/part.md) | SI | lacks 3 clips |" in group.external


def test_an_encoder_tuned_on_these_clips_is_marked(board: Leaderboard, system: External) -> None:
    (group,) = groups([board], [External("emotion2vec_plus_large", SI, system.rows)])
    assert "(scores/emotion2vec_plus_large.md) (contaminated encoder) | SI |" in group.external


@pytest.mark.parametrize("change", ["clips", "truth", "protocol"])
def test_a_system_of_other_clips_or_another_truth_is_left_out(
    change: str, board: Leaderboard, system: External
) -> None:
    rows = system.rows
    other = {
        "clips": External("other", SI, rows.assign(clip="other/" + rows["clip"])),
        "truth": External("other", SI, rows.assign(emotion="sad")),
        "protocol": External("other", "cross-corpus", rows),
    }[change]
    assert groups([board], [other])[0].external == ""


def test_what_is_written_is_read(system: External, tmp_path: Path) -> None:
    write_external(system, tmp_path)
    (read,) = read_externals(tmp_path)
    assert (read.name, read.protocol, read.emotions) == (
        system.name,
        system.protocol,
        system.emotions,
    )
    pd.testing.assert_frame_equal(read.rows, system.rows)


def test_the_command_stores_predictions_with_a_stated_protocol(
    system: External, tmp_path: Path
) -> None:
    system.rows.iloc[:60].to_csv(tmp_path / "mine.csv", index=False)
    command = ["score", str(tmp_path / "mine.csv"), "--store", "--project", str(tmp_path)]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "--store needs --protocol" in refused.output
    first, second = (CliRunner().invoke(app, [*command, "--protocol", SI]) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "It replaces earlier predictions of mine." not in " ".join(first.output.split())
    assert "It replaces earlier predictions of mine." in " ".join(second.output.split())
    (stored,) = read_externals(tmp_path / "reports" / FOLDER)
    assert (stored.name, stored.protocol, len(stored.rows)) == ("mine", SI, 60)
    alone = CliRunner().invoke(app, ["report", "--project", str(tmp_path)])
    assert alone.exit_code == 2
    assert "mine will stand beside it." in " ".join(alone.output.split())


def test_a_protocol_that_nobody_knows_is_refused_even_if_nothing_is_stored(
    system: External, tmp_path: Path
) -> None:
    system.rows.iloc[:60].to_csv(tmp_path / "mine.csv", index=False)
    command = ["score", str(tmp_path / "mine.csv"), "--project", str(tmp_path)]
    refused = CliRunner().invoke(app, [*command, "--protocol", "speaker-independant"])
    assert refused.exit_code == 2
    assert "Did you mean 'speaker-independent'?" in " ".join(refused.output.split())
