"""Every command and snippet of the tutorials runs, in the order of the page.

The quickstart's study is smaller here: a project's own studies/ comes before that of the package.
Six of its twelve speakers stand in for own recordings.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmark.corpora.clip import Recordings
from tests.docs.pages import DOCS, ROOT, Reader, blocks

SMALLER = {
    '["angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised"]': (
        '["angry", "neutral", "sad"]'
    ),
    '"means-184"': '"mfcc-stats"',
    'augment  = ["noise"]': "",
    "folds     = 3": "folds     = 2",
    "trials = 5": "trials = 1",
    "folds  = 3": "folds  = 2",
    "max_iter = 100": "max_iter = 20",
    "n_estimators = [50, 100]": "n_estimators = [10, 20]",
}
"""Changes of the quickstart's study."""


@pytest.fixture(scope="module")
def reader(generated: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A reader who has followed the quickstart, as the other tutorials expect."""
    folder = tmp_path_factory.mktemp("reader")
    study = (ROOT / "studies/quickstart.toml").read_text()
    for before, after in SMALLER.items():
        assert before in study
        study = study.replace(before, after)
    home = generated.clips[0].path.parents[1]
    shutil.copytree(home, folder / "features_cache/synthetic" / home.name)
    (folder / "studies").mkdir()
    (folder / "studies/quickstart.toml").write_text(study)
    reader = Reader(folder, home=folder)
    reader.follow("tutorials/quickstart.md")
    return reader


def test_the_quickstart_leaves_a_page_of_the_study(reader: Reader) -> None:
    assert (reader.folder / "reports/quickstart.md").is_file()


def test_own_recordings_get_a_study_and_a_page(reader: Reader, tmp_path: Path) -> None:
    for speaker in reader.folder.glob("features_cache/synthetic/*/spk0[1-6]"):
        shutil.copytree(speaker, tmp_path / speaker.relative_to(reader.folder))
    Reader(tmp_path, home=tmp_path).follow("tutorials/own_corpus.md")
    assert len(list((tmp_path / "reports").glob("my_study@*.md"))) == 1


def test_predictions_of_a_paper_are_scored_and_audited(reader: Reader) -> None:
    reader.follow("tutorials/paper.md")
    assert (reader.folder / "reports/audit/paper.md").is_file()
    assert "quickstart" in (reader.folder / "reports/scores/repeated.md").read_text()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_a_model_is_served(reader: Reader) -> None:
    pytest.importorskip("multipart", reason="needs the extra `serve`")
    reader.follow("tutorials/serving.md")


def test_ravdess_from_the_list_to_the_audit(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "corpora").symlink_to(recordings.resolve())
    Reader(tmp_path, home=tmp_path).follow("tutorials/ravdess.md")
    assert (tmp_path / "reports/mini_project.md").is_file()


def test_each_tutorial_is_followed_here() -> None:
    tutorials = {f"tutorials/{path.name}" for path in (DOCS / "tutorials").glob("*.md")}
    text = Path(__file__).read_text()
    assert all(f'follow("{name}")' in text for name in tutorials)


@pytest.mark.parametrize("page", sorted((DOCS / "tutorials").glob("*.md")), ids=lambda p: p.stem)
def test_a_block_that_is_not_run_says_why(page: Path) -> None:
    allowed = ("", "background", "status 1")
    for block in blocks(page):
        assert block.how in allowed or block.how.startswith("skip, ")
