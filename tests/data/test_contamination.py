"""A test on what an encoder was tuned on is refused, and on every page if it is allowed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.corpora import CORPORA
from benchmark.features.contamination import (
    TUNED,
    contaminated_encoders,
    known_as_tuned,
    tuned_encoders,
)
from benchmark.features.encoders import ENCODERS
from tests.support.bench import SMALL_STUDY, Bench, make_bench, refused_line

STUDY = """
question = "Which emotion is it?"
corpora  = ["savee"]
emotions = ["angry", "sad"]
features = "{features}"

[search]
trials = 1
folds  = 2
metric = "uar"

[models.logistic_regression]
"""


@pytest.mark.parametrize(
    ("features", "corpora"),
    [
        ("embedding:emotion2vec/emotion2vec_plus_large@pool=mean+std", {"ravdess", "savee", "jl"}),
        ("table:data/savee_emotion2vec-plus-base_mean.parquet", {"ravdess", "savee"}),
        ("table:emotion2vec+base.csv+functionals", {"ravdess", "savee"}),
        ("functionals+table:Emotion2Vec_Plus.npy", {"ravdess", "savee"}),
        ("embedding:ehcalabres/wav2vec2-lg-xlsr-en-speech-emotion-recognition", {"ravdess"}),
        ("embedding:me/wav2vec2-lg-xlsr-en-speech-emotion-recognition-tess", {"ravdess", "tess"}),
        ("embedding:audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim", {"msp_podcast"}),
        ("embedding:superb/hubert-large-superb-er@layers=2", {"iemocap"}),
        ("means-184+embedding:me/hubert-RAVDESS_2", {"ravdess"}),
        ("embedding:me/WavLM-IEMOCAP-CremaD", {"iemocap", "cremad"}),
        ("embedding:me/wav2vec2_msp-podcast-v1.7", {"msp_podcast"}),
        ("embedding:out/wav2vec2-ravdess/checkpoint-500", {"ravdess"}),
        (f"embedding:/hub/models--me--hubert-tess/snapshots/{'0a' * 20}", {"tess"}),
    ],
)
def test_an_encoder_tuned_on_corpora_is_known_by_its_name(features: str, corpora: set[str]) -> None:
    found = {corpus for encoder in tuned_encoders(features) for corpus in encoder.corpora}
    assert corpora <= found
    assert all(contaminated_encoders(tuned_encoders(features), [one]) for one in corpora)


@pytest.mark.parametrize(
    "features",
    [
        "functionals+dynamics",
        "table:ravdess_whisper.parquet",  # a table of a corpus, as tables are
        "table:data/emotion2vec_base.parquet",  # learnt without labels
        "embedding:/data/ravdess/whisper-base@layers=3",
        "embedding:me/hubert-large-resd",  # another corpus than ESD
        "embedding:me/tessera-base",
        *(f"embedding:{one.hub}" for one in ENCODERS.values() if not one.tuned_on),
        *(f"embedding:{name}@layers=1" for name, one in ENCODERS.items() if not one.tuned_on),
    ],
)
def test_another_encoder_is_not_suspected(features: str) -> None:
    assert list(tuned_encoders(features)) == []


def test_what_is_known_of_encoders_is_said_by_our_names() -> None:
    for encoder in TUNED:
        assert set(encoder.corpora) <= set(CORPORA), encoder.name
        assert list(known_as_tuned(f"me_{encoder.name}-v2")), encoder.name


@pytest.mark.parametrize("corpus", ["SAVEE", "savee", "MSP-Podcast"])
def test_a_corpus_is_the_same_however_a_table_writes_it(corpus: str) -> None:
    tuned = list(known_as_tuned("emotion2vec_plus_base"))
    assert f"tuned on emotion labels of {corpus} (https://" in contaminated_encoders(
        tuned, [corpus]
    )
    assert contaminated_encoders(tuned, ["csv"]) == ""


@pytest.mark.parametrize("command", ["run-study", "extract"])
def test_it_is_refused_before_recordings_are_looked_for(command: str, tmp_path: Path) -> None:
    table = tmp_path / "emotion2vec_plus_base.csv"
    table.write_text("clip,x\nDC_a01,1\n")
    study = tmp_path / "tuned.toml"
    study.write_text(STUDY.format(features=f"functionals+table:{table}"))
    line = refused_line(command, str(study), "--project", str(tmp_path / "project"))
    assert "the encoder emotion2vec_plus was tuned on emotion labels of savee" in line
    assert line.endswith("To run nevertheless: --allow contaminated; every page then says so.")
    assert not (tmp_path / "project").exists()


@pytest.fixture
def tuned(tones: Path, tmp_path: Path) -> Bench:
    """The small study on recordings that a table says are SAVEE's, and features of emotion2vec+."""
    table = pd.read_csv(tones).assign(corpus="SAVEE")
    table["path"] = [str(tones.parent / name) for name in table["path"]]
    table.to_csv(tmp_path / "table.csv", index=False)
    rng = np.random.default_rng(0)
    code = pd.factorize(table["emotion"])[0]
    features = pd.DataFrame({"clip": table["path"], "x": code + rng.normal(size=len(code))})
    own = tmp_path / "emotion2vec_plus_base.csv"
    features.assign(y=rng.normal(size=len(code))).to_csv(own, index=False)
    text = SMALL_STUDY.replace('"mfcc-stats"', f'"table:{own}"').replace('"noise"', "")
    return make_bench(tmp_path / "bench", tmp_path / "table.csv", text)


def test_a_run_that_is_allowed_says_so_wherever_its_figures_stand(tuned: Bench) -> None:
    refused = tuned.run(check=False)
    assert refused.returncode == 2
    assert "was tuned on emotion labels of SAVEE" in refused.stderr
    done = tuned.run("--allow", "contaminated", "--set", "search.trials=1", "--workers", "1")
    reports = tuned.project / "reports"
    (page,) = reports.glob("small@*.md")
    assert "changed run:" in done.stderr
    assert "--allow contaminated" in done.stderr
    assert "**Contaminated encoder.**" in page.read_text()
    assert "`--allow contaminated`" in (reports / "README.md").read_text()
    cards = list((tuned.project / "features_cache").glob("small@*/**/models/*.json"))
    assert cards
    assert all("--allow contaminated" in json.loads(card.read_text())["changes"] for card in cards)


@pytest.mark.parametrize("name", ["emotion2vec+ large", "savee_whisper"])
def test_scored_predictions_of_such_an_encoder_get_a_note(name: str, tmp_path: Path) -> None:
    emotions = ["angry", "happy", "sad"]
    rows = [
        {"clip": f"{who}-{n}", "corpus": "savee", "speaker": who, "emotion": emotions[n % 3]}
        for who in "abcdefgh"
        for n in range(6)
    ]
    frame = pd.DataFrame(rows)
    frame.assign(prediction=frame["emotion"]).to_csv(tmp_path / f"{name}.csv", index=False)
    arguments = ["score", str(tmp_path / f"{name}.csv"), "--project", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "reports" / "scores" / f"{name}.md").read_text()
    marked = name.startswith("emotion2vec")
    assert ("was tuned on emotion labels of savee" in done.output) is marked
    assert ("**Contaminated encoder.**" in page) is marked
