"""A study file says exactly what it may say; anything else is refused in one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.features import OPTIONAL_FEATURE_SETS
from benchmark.features.encoders import ENCODERS
from benchmark.models import EXTRAS, MODELS, is_installed
from benchmark.study import EXAMPLES, Range, Study, derive_seed, effective, read_study
from benchmark.validation import check, read_checked
from tests.support.encoders import save_whisper

STUDIES = sorted((Path(__file__).parent.parent / "studies").glob("*.toml"))

SMALL = """
question = "Which?"
corpora = ["synthetic"]
emotions = ["angry", "sad"]
features = "means-184"
[search]
trials = 3
folds = 2
metric = "uar"
[models.mlp]
hidden_layer_sizes = [[8], [16]]
alpha = { low = 1e-4, high = 1.0, log = true }
max_iter = 50
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    """A study that is right as it stands."""
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_that_comes_with_the_project_is_accepted(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read_study(path)
    names = [part.partition(":")[0] for part in study.features.split("+")]
    sets = all(OPTIONAL_FEATURE_SETS[n].available for n in names if n in OPTIONAL_FEATURE_SETS)
    installed = is_installed(study.search.engine)
    if not (sets and installed and all(MODELS[name].available for name in study.models)):
        pytest.skip("names models or features of an extra that is not installed")
    for name in re.findall("embedding:([^@+]+)", study.features):
        save_whisper(tmp_path / name, n_layers=ENCODERS[name].n_layers)  # for the real one
    monkeypatch.setenv("SER_ENCODERS", str(tmp_path))
    study = check(study, str(path))
    assert study.name == path.stem
    assert study.question.endswith("?")


def test_no_two_studies_have_the_same_question() -> None:
    questions = [read_study(path).question for path in STUDIES]
    assert len(questions) == len(set(questions))


def test_entries_of_a_model_are_sorted_by_their_shape(study_file: Path) -> None:
    mlp = read_study(study_file).models["mlp"]
    assert mlp.space == {
        "hidden_layer_sizes": ([8], [16]),
        "alpha": Range(low=1e-4, high=1.0, log=True),
    }
    assert mlp.fixed == {"max_iter": 50}


def test_a_list_of_one_choice_is_a_fixed_list(study_file: Path) -> None:
    study_file.write_text(SMALL.replace("[[8], [16]]", "[[8, 16]]"))
    mlp = read_study(study_file).models["mlp"]
    assert list(mlp.space) == ["alpha"]
    assert mlp.fixed == {"max_iter": 50, "hidden_layer_sizes": [8, 16]}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ('x = "greed"', r"x must be a list of models, or one of greedy, stacking"),
        ("x = 5", r"\[ensembles\]: x: must be a list, not 5"),
        ('x = ["mlp"]', r"x needs two members or more"),
    ],
)
def test_an_invalid_ensemble_is_refused(study_file: Path, entry: str, words: str) -> None:
    study_file.write_text(f"{SMALL}\n[ensembles]\n{entry}\n")
    with pytest.raises(BenchmarkError, match=words):
        read_study(study_file)


def test_a_greedy_ensemble_of_trials_of_one_model_is_accepted(study_file: Path) -> None:
    study_file.write_text(f'{SMALL}\n[ensembles]\nx = "greedy"\n')
    assert check(read_study(study_file), "small").all_ensembles == {"x": "greedy"}


@pytest.mark.parametrize("more", ["", "[models.lda]\n"])
def test_a_stack_of_too_little_is_refused(study_file: Path, more: str) -> None:
    study_file.write_text(f'{SMALL}\n{more}[ensembles]\nx = "stacking"\n')
    with pytest.raises(BenchmarkError, match=r"needs .*search\.folds .*3 or more"):
        check(read_study(study_file), "small")


def test_a_renamed_emotion_counts_as_one_of_the_study(study_file: Path) -> None:
    renamed = SMALL.replace('"sad"]', '"gloomy"]') + '[rename]\nsad = "gloomy"\n'
    study_file.write_text(renamed.replace("gloomy", "calm"))
    assert check(read_study(study_file), "small").rename == {"sad": "calm"}


def test_a_network_needs_a_third_fold_to_stop_by(study_file: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra `deep`")
    study_file.write_text(SMALL + "[models.cnn_1d]\n")
    with pytest.raises(BenchmarkError, match=r"search\.folds to 3 or more"):
        check(read_study(study_file), "small")


def test_a_missing_extra_is_named_with_the_way_to_install_it(
    study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXTRAS, "deep", ("no_such_package",))
    study_file.write_text(SMALL + "[models.cnn_1d]\n")
    with pytest.raises(BenchmarkError, match=r"\[models.cnn_1d\].*`deep`.*pip install"):
        check(read_study(study_file), "small")


def test_the_baseline_is_part_of_every_study(study_file: Path) -> None:
    assert list(check(read_study(study_file), "small").models) == ["majority", "mlp"]


def test_a_model_that_is_calibrated_by_folds_is_refused_beside_auxiliary_corpora(
    study_file: Path,
) -> None:
    text = SMALL.replace("features", 'auxiliary = ["tess"]\nfeatures', 1).replace(
        "folds = 2", "folds = 3"
    )
    study_file.write_text(text + "[models.svc]\n")
    with pytest.raises(BenchmarkError, match=r"\[models.svc\] is calibrated on inner folds"):
        check(read_study(study_file), "small")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("trials = 3", "trails = 3", ["trails", "Did you mean 'trials'?", "[search]"]),
        ("question", "qestion", ["qestion", "Did you mean 'question'?"]),
        ("trials = 3", "trials = 0", ["trials: must be at least 1, not 0"]),
        ("trials = 3", 'trials = "many"', ["trials: must be a whole number, not \"many\""]),
        ('metric = "uar"', 'metric = "war"', ["unknown metric 'war'", "Did you mean 'uar'?"]),
        ('metric = "uar"', "", ["metric", "missing"]),
        ('["synthetic"]', '["sinthetic"]', ["sinthetic", "Did you mean 'synthetic'?"]),
        ('["synthetic"]', "[]", ["corpora: needs 1 or more"]),
        ("features", 'auxiliary = ["tesss"]\nfeatures', ["auxiliary", "Did you mean 'tess'?"]),
        ("features", 'auxiliary = ["synthetic"]\nfeatures', ["synthetic is also in corpora"]),
        ('"sad"', '"sadd"', ["emotion 'sadd'", "Did you mean 'sad'?"]),
        ('"sad"', '"calm"', ["calm is in none of synthetic"]),
        ('"sad"', '"angry"', ["angry is repeated"]),
        ("means-184", "means-148", ["feature set 'means-148'", "Did you mean 'means-184'?"]),
        ("[models.mlp]", "[models.mpl]", ["model 'mpl'", "Did you mean 'mlp'?"]),
        ("alpha =", "alhpa =", ["parameter 'alhpa'", "Did you mean 'alpha'?", "[models.mlp]"]),
        ("low = 1e-4", "low = 2.0", ["low = 2.0 is above high = 1.0"]),
        ("low = 1e-4", "low = 0.0", ["log needs low above 0"]),
        ("log = true", "logg = true", ["logg", "Did you mean 'log'?"]),
        ("max_iter = 50", "max_iter = -5", ["max_iter", "-5"]),
        ("[[8], [16]]", "[]", ["hidden_layer_sizes", "empty list"]),
        ("[search]", '[split]\nprotocols = ["speaker"]\n[search]', ["'speaker-independent'"]),
        ("[search]", "[split]\ntest_size = 1.5\n[search]", ["test_size: must be below 1"]),
        ("[search]", '[ensembles]\ntwo = ["mlp", "svm"]\n[search]', ["member 'svm'"]),
        ("[search]", '[ensembles]\nsvc = ["mlp", "mlp"]\n[search]', ["mlp is repeated"]),
        ("[search]", '[ensembles]\ntwo = ["mlp"]\n[search]', ["two needs two members or more"]),
        ("features", 'compare = [["mlp", "mlp"]]\nfeatures', ["mlp is compared with itself"]),
        ("[search]", '[ensembles]\n"a/b" = ["mlp", "mlp"]\n[search]', ["mlp is repeated"]),
        ("[models.mlp]", "[models.svc]\n[models.mlp]", ["[models.svc]", "folds to 3 or more"]),
        ("features", 'compare = [["mlp", "svc"]]\nfeatures', ["compare", "model 'svc'"]),
        ("features", 'covariates = ["age"]\nfeatures', ["covariates", "'gender'"]),
        ("[search]", '[rename]\nangri = "sad"\n[search]', ["[rename]", "Did you mean 'angry'?"]),
        ("folds = 2", 'folds = "corpora"', ["folds", "must be 2 to 100, or corpus"]),
        ("folds = 2", 'folds = 2\npruner = "median"', ["pruner", "'paired'"]),
        ("[search]", "[learning_curves]\nfractions = [1.0, 0.5]\n[search]", ["rising numbers"]),
        ("means-184", 'mfcc-frames-13"\nsample_rate_hz = 16000 #', ["at another rate"]),
        ("means-184", 'mfcc-frames-13"\ncovariates = ["gender"] #', ["features over time"]),
        ("folds = 2", "folds = 2\nsampler = \"tep\"", ["sampler 'tep'", "Did you mean 'tpe'?"]),
        ("folds = 2", "folds = 2\nsampler = \"grid\"", ["grid", "alpha", "without a step"]),
        ("[search]", "[split]\nprotocols = []\n[search]", ["protocols: needs 1 or more"]),
        ("[search]", '[split]\nprotocols = ["random", "random"]\n[search]', ["is repeated"]),
        ("features", "seed = 5000000000\nfeatures", ["seed: must be below 4294967296"]),
        ("[[8], [16]]", "[8, 8.0]", ["two choices that are equal"]),
        ("[search]", "[search", ["not valid TOML"]),
        ("features", 'augment = ["nosie"]\nfeatures', ["nosie", "noise"]),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_in_one_line_that_names_it(
    study_file: Path, before: str, after: str, words: list[str]
) -> None:
    study_file.write_text(SMALL.replace(before, after, 1))
    with pytest.raises(BenchmarkError) as refusal:
        check(read_study(study_file), str(study_file))
    message = str(refusal.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def problems_of(study_file: Path, text: str) -> list[str]:
    """The lines about the mistakes of a study file, without the first, which counts them."""
    study_file.write_text(text)
    with pytest.raises(BenchmarkError) as refusal:
        read_checked(study_file)
    heading, *lines = str(refusal.value).split("\n  ")
    assert heading == f"{study_file}: {len(lines)} mistakes."
    return lines


def test_all_mistakes_of_a_study_are_told_at_once(study_file: Path) -> None:
    text = (
        SMALL.replace("question", "qestion")
        .replace('features = "means-184"\n', "")
        .replace('"sad"', '"sadd"')
        .replace("trials = 3", "trails = 0")
        .replace('"uar"', '"war"')
        .replace("low = 1e-4", "lo = 1e-4")
        .replace("max_iter = 50", 'max_iter = -5\n[models.lad]\n[ensembles]\na = ["mlp", "lda"]')
    )
    told = [
        line.partition(". Allowed")[0].partition("? Allowed")[0]
        for line in problems_of(study_file, text)
    ]
    assert told == [
        "the key 'features' is missing. Add it, for example features = \"functionals\".",
        "[search]: unknown key 'trails'. Did you mean 'trials'",
        "[models.mlp.alpha]: unknown key 'lo'. Did you mean 'low'",
        "unknown key 'qestion'. Did you mean 'question'",
        "[search]: trials: must be at least 1, not 0.",
        "[search] metric: unknown metric 'war'. Did you mean 'uar'",
        "[models]: unknown model 'lad'. Did you mean 'lda'",
        "emotions: unknown emotion 'sadd'. Did you mean 'sad'",
        told[-1],
    ]
    assert "'max_iter' parameter" in told[-1]


def test_an_empty_study_is_told_what_it_needs_with_an_example_of_each(study_file: Path) -> None:
    lines = problems_of(study_file, "")
    examples = [line.partition("for example ")[2] for line in lines]
    assert examples == [
        'question = "Which model has the highest UAR?".',
        'corpora = ["ravdess"].',
        'emotions = ["angry", "happy", "neutral", "sad"].',
        'features = "functionals".',
        'with trials = 20, folds = 3, metric = "uar".',
        "[models.logistic_regression].",
    ]


def test_the_examples_of_missing_keys_are_a_study_that_is_accepted() -> None:
    study = Study.model_validate({"name": "example", **EXAMPLES})
    assert check(study, "example").emotions == ("angry", "happy", "neutral", "sad")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("search = 5", "search: must be a table, not 5."),
        ("[rename]\na = 1", "[rename]: a: must be text in quotes, not 1."),
        ('[scale]\nclps = "all"\nclips = "some"', "[scale]: unknown key 'clps'. Did you mean"),
        ("[models]\nmlp = 5\nlda = 6", "[models]: lda: "),
        ("name = 'x'", "a study's name is its file's stem; remove the key 'name'."),
        ('[split]\nfolds = []\nfold = 3', "[split]: unknown key 'fold'. Did you mean"),
    ],
)  # fmt: skip
def test_a_mistake_among_many_is_told_whatever_the_others_are(
    study_file: Path, text: str, words: str
) -> None:
    assert [line for line in problems_of(study_file, text) if line.startswith(words)]


def test_what_hangs_on_a_mistake_is_not_told(study_file: Path) -> None:
    text = SMALL.replace("[models.mlp]", "[models.mpl]") + '[ensembles]\ntwo = ["mlp", "lda"]\n'
    study_file.write_text(text)
    with pytest.raises(BenchmarkError) as refusal:
        read_checked(study_file)
    assert "member" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_override_changes_one_value(study_file: Path) -> None:
    study = read_study(study_file, ("search.trials=7", "features=mfcc-stats", "seed = 3"))
    assert (study.search.trials, study.features, study.seed) == (7, "mfcc-stats", 3)


@pytest.mark.parametrize("name", ["README", "claims", "small_data"])
def test_a_study_whose_page_would_be_another_page_is_refused(name: str, study_file: Path) -> None:
    study = read_study(study_file).model_copy(update={"name": name})
    with pytest.raises(BenchmarkError, match="rename the file"):
        check(study, "small")


@pytest.mark.parametrize("override", ["search.trials", "=3", "question.words=3", "search..x=1"])
def test_a_wrong_override_is_refused(study_file: Path, override: str) -> None:
    with pytest.raises(BenchmarkError, match="--set"):
        read_study(study_file, (override,))


def test_of_two_overrides_of_one_key_the_last_counts() -> None:
    assert effective(("seed=1", "a = 2", "seed=2")) == ("a=2", "seed=2")
    assert effective(("seed=1", "seed=2")) != effective(("seed=2", "seed=1"))


def test_a_missing_study_file_is_refused_with_a_way_on(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="benchmark list"):
        read_study(tmp_path / "none.toml")


def test_seeds_of_two_purposes_differ_and_stay_the_same() -> None:
    seeds = [derive_seed(0, "ask", number) for number in range(100)]
    assert len(set(seeds)) == 100
    assert seeds[0] == derive_seed(0, "ask", 0) != derive_seed(1, "ask", 0)
    assert all(0 <= seed < 2**32 for seed in seeds)


CLAIMED = (
    SMALL
    + """
[claims]
source = "Somebody"
protocol = "speaker-dependent"
metric = "accuracy"
mlp = 0.99
[claims.leaks]
mlp = ["augmented-before-split"]
"""
)


def test_the_leaks_of_a_source_are_not_settings_of_the_study(study_file: Path) -> None:
    study_file.write_text(CLAIMED)
    study = read_study(study_file)
    assert study.claims is not None
    assert study.claims.leaks == {"mlp": ("augmented-before-split",)}
    assert "mistakes" not in study.settings()["claims"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('[split]\nprotocols = ["random"]\n[search]', "speaker-dependent"),
        ('[split]\nprotocols = ["corpus-pairs"]\n[search]', "cross-corpus-pairs"),
        ("[search]\nlookahead = 2", "concurrent_trials"),
        ("[search]\nfit_limit_s = 2", "fit_timeout_s"),
        ("[learning_curves]\nshares = [0.5, 1.0]\n[search]", "fractions"),
        ("[models.logistic_regression]\nfirst = { C = 1.0 }\n[search]", "initial"),
    ],
)
def test_a_name_of_an_earlier_version_is_refused_with_the_new_one(
    study_file: Path, old: str, new: str
) -> None:
    study_file.write_text(SMALL.replace("[search]", old, 1))
    with pytest.raises(BenchmarkError, match=f"now called '{new}'"):
        check(read_study(study_file), str(study_file))


def test_a_leak_that_is_not_known_is_refused(study_file: Path) -> None:
    study_file.write_text(CLAIMED.replace("augmented-before-split", "augmented-too-early"))
    with pytest.raises(BenchmarkError, match="must be 'speakers-shared'"):
        read_study(study_file)


@pytest.mark.parametrize(
    ("key", "refusal"),
    [
        ('address = "example.org"', "address: must be an address such as https://"),
        ('read = "November 2026"', "read: must be a date such as 2026-11-28 or 2026-11"),
        ('read = "2026-13"', "read: must be a date such as"),
        ("test_clips = 0", "test_clips: must be at least 1"),
        ('not_comparable = { svc = "features" }', "not_comparable: unknown model 'svc'"),
        ('not_comparable = { mlp = " " }', "mlp needs a reason"),
    ],
)
def test_a_source_that_can_not_be_cited_or_compared_is_refused(
    study_file: Path, key: str, refusal: str
) -> None:
    study_file.write_text(CLAIMED.replace("mlp = 0.99", f"{key}\nmlp = 0.99"))
    with pytest.raises(BenchmarkError, match=refusal):
        check(read_study(study_file), str(study_file))


@pytest.mark.parametrize("read", ["2026-11-28", "2026-11"])
def test_a_source_has_an_address_and_a_date_of_reading(study_file: Path, read: str) -> None:
    cited = f'address = "https://example.org/a"\nread = "{read}"\nmlp = 0.99'
    study_file.write_text(CLAIMED.replace("mlp = 0.99", cited))
    claims = check(read_study(study_file), str(study_file)).claims
    assert claims is not None
    assert (claims.address, claims.read) == ("https://example.org/a", read)
    assert claims.values == {"mlp": 0.99}


def test_leaks_of_a_model_without_a_claim_are_refused(study_file: Path) -> None:
    leaks = CLAIMED.replace("[claims.leaks]\nmlp", "[claims.leaks]\nsvc")
    study_file.write_text(leaks)
    with pytest.raises(BenchmarkError, match="leaks: unknown model 'svc'"):
        check(read_study(study_file), str(study_file))


def test_an_engine_that_is_not_installed_is_refused_with_what_to_install(
    study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearnex", None)
    study_file.write_text(SMALL.replace("[search]", '[search]\nengine = "intelex"'))
    with pytest.raises(BenchmarkError, match=r"engine: intelex needs .*pip install -e .*intelex"):
        check(read_study(study_file), "small")
