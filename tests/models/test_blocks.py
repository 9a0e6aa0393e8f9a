"""Weights of feature sets: blocks of columns count alike, times the weight of their set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import StandardScaler

from benchmark.data.tables import IDENTITY, Table, training_arrays
from benchmark.errors import BenchmarkError
from benchmark.features import feature_set
from benchmark.features.recipe import Block
from benchmark.models import MODELS, FitContext
from benchmark.models import stored as storage
from benchmark.models.block_scaler import block_scaler
from benchmark.models.single_row import for_single_rows
from benchmark.search.fitting import fit_rows
from benchmark.study import Range
from benchmark.validation import read_checked
from tests.support.bench import needing_extras

BLOCKS = (Block("functionals", 6), Block("dynamics", 20), Block("whisper", 30), Block("whisper", 3))
N_COLUMNS = 59
WEIGHTED = [name for name in MODELS if MODELS[name].available and MODELS[name].standardises]
STUDY = """
question = "Which?"
corpora = ["synthetic"]
emotions = ["angry", "sad"]
features = "functionals+dynamics"
covariates = ["gender"]
[search]
trials = 3
folds = 3
metric = "uar"
[models.lda]
shrinkage = [0.1, 0.3]
"""


def clips(n_rows: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Rows of three emotions, which each block tells apart a little."""
    rng = np.random.default_rng(0)
    emotion = np.arange(n_rows) % 3
    centres = rng.normal(size=(3, N_COLUMNS))
    values = rng.normal(size=(n_rows, N_COLUMNS)) * 2 + centres[emotion]
    return (values * 10.0 ** rng.integers(-2, 3, N_COLUMNS)).astype(np.float32), np.array(
        ["angry", "happy", "sad"]
    )[emotion]


def fitted(name: str, engine: str | None = None, **params: object) -> object:
    """A model fitted on the clips, with weights such as ``functionals=2``."""
    X, y = clips()
    weights = {f"weight.{key}": value for key, value in params.items()}
    model = MODELS[name]
    context = FitContext(
        np.arange(len(X)) // 3 % 3, np.full(len(X), "female"), np.zeros(len(X), bool), {}
    )
    return model.fit(model.build(weights, 0, engine=engine, blocks=BLOCKS), X, y, context)


def variances(weights: dict[str, float]) -> list[float]:
    """The total variance of each block that is left."""
    scaler = block_scaler(BLOCKS, weights)
    scaled = scaler.fit_transform(clips()[0])
    used = [block.width for block, factor in zip(BLOCKS, scaler.factors, strict=True) if factor]
    parts = np.split(scaled.var(axis=0), np.cumsum(used)[:-1])
    return [float(part.sum()) for part in parts]


def test_each_block_counts_by_the_square_of_its_weight_whatever_its_width() -> None:
    assert variances({"functionals": 2}) == pytest.approx([4, 1, 1, 1])
    assert variances({"functionals": 1, "whisper": 0.5}) == pytest.approx([1, 1, 0.25, 0.25])


def test_sets_joined_by_a_plus_are_one_block() -> None:
    parts = variances({"functionals+dynamics": 3})
    assert parts == pytest.approx([9 * 6 / 26, 9 * 20 / 26, 1, 1])


def test_a_set_of_weight_zero_is_left_out() -> None:
    scaled = block_scaler(BLOCKS, {"whisper": 0}).fit_transform(clips()[0])
    assert scaled.shape[1] == 26


def test_blocks_that_each_weigh_the_root_of_their_width_are_plainly_standardised() -> None:
    blocks = BLOCKS[:3]
    X = clips()[0][:, :56]
    roots = {block.name: block.width**0.5 for block in blocks}
    plain = StandardScaler().fit_transform(X)
    np.testing.assert_allclose(block_scaler(blocks, roots).fit_transform(X), plain, rtol=1e-6)


def test_a_broken_value_is_clipped() -> None:
    X, _ = clips()
    scaler = block_scaler(BLOCKS, {"functionals": 6**0.5}).fit(X)
    X[0, 0], X[1, 0] = 1e9, -1e9
    assert scaler.transform(X)[:2, 0] == pytest.approx([8, -8])


def test_rows_of_another_width_than_the_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="40 features, but the blocks have 59"):
        block_scaler(BLOCKS, {"functionals": 2}).fit(clips()[0][:, :40])


@pytest.mark.parametrize("name", needing_extras(MODELS))
def test_without_a_weight_blocks_change_nothing(name: str) -> None:
    alone, beside = MODELS[name].build({}, 0), MODELS[name].build({}, 0, blocks=BLOCKS)
    assert repr(beside) == repr(alone)


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_model_of_weighted_sets_is_stored_and_answers_as_before(
    name: str, tmp_path: Path
) -> None:
    X, y = clips()
    model = fitted(name, functionals=2, dynamics=0)
    assert (model.predict(X) == y).mean() > 0.8
    changed = X.copy()
    changed[:, 6:26] = 7.0
    np.testing.assert_array_equal(model.predict_proba(changed), model.predict_proba(X))
    digest = storage.dump(model, tmp_path / "model.skops")
    again = storage.load(tmp_path / "model.skops", digest)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    single = for_single_rows(again).predict_proba(X[:1].astype(np.float64))
    np.testing.assert_allclose(single, model.predict_proba(X[:1].astype(np.float64)), rtol=1e-12)


@pytest.mark.parametrize("n_rows", [45, 90], ids=["more columns than rows", "more rows"])
@pytest.mark.parametrize("shrinkage", [0.003, 0.03, 0.1])
def test_the_lda_of_the_search_is_the_stored_one_to_rounding(shrinkage: float, n_rows: int) -> None:
    X, y = clips(n_rows)
    params = {"shrinkage": shrinkage, "weight.functionals+dynamics": 4, "weight.whisper": 0.1}
    stored, fast = (
        MODELS["lda"].build(params, 0, engine=engine, blocks=BLOCKS).fit(X, y)
        for engine in (None, "scikit-learn")
    )
    rows = clips(200)[0]
    np.testing.assert_allclose(fast.predict_proba(rows), stored.predict_proba(rows), atol=1e-9)


def test_fits_of_a_search_weight_the_blocks_of_the_table() -> None:
    import pandas as pd

    X, y = clips()
    rows = pd.DataFrame(dict.fromkeys(IDENTITY, ""), index=range(len(X))).assign(emotion=y)
    table = Table(rows, X, tuple(f"c{number}" for number in range(N_COLUMNS)), blocks=BLOCKS)
    data = training_arrays(table, np.arange(len(X)) % 3)
    everything = np.ones(len(X), dtype=bool)
    model = fit_rows(data, MODELS["lda"], {"weight.dynamics": 2.0}, 0, everything)
    assert model[0].widths == (6, 20, 30, 3)
    assert model[0].factors[1] == pytest.approx(2 / 20**0.5)


def test_the_scaler_can_be_fitted_on_all_rows_as_a_leak() -> None:
    X, _ = clips()
    scaler = block_scaler(BLOCKS, {"functionals": 2})
    assert isinstance(scaler, StandardScaler)
    frozen = FrozenEstimator(scaler.fit(X))
    np.testing.assert_array_equal(frozen.transform(X), scaler.transform(X))


def test_weights_are_parameters_named_after_their_set(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(
        STUDY + "weight.functionals = [0, 1, 2]\n"
        "weight.dynamics = { low = 0.5, high = 4.0, log = true }\n"
        'weight."gender" = 1.5\n'
        "initial = { shrinkage = 0.1, weight.functionals = 1, weight.dynamics = 1 }\n"
    )
    lda = read_checked(tmp_path / "w.toml").models["lda"]
    assert lda.space["weight.functionals"] == (0, 1, 2)
    assert lda.space["weight.dynamics"] == Range(low=0.5, high=4.0, log=True)
    assert lda.fixed == {"weight.gender": 1.5}
    assert lda.initial["weight.dynamics"] == 1
    assert set(lda.weights) == {"functionals", "dynamics", "gender"}


def test_an_override_and_the_name_of_a_joined_block_reach_the_model(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_text(STUDY)
    override = "models.lda.weight.functionals+dynamics=[1, 2]"
    lda = read_checked(tmp_path / "w.toml", (override,)).models["lda"]
    assert lda.space["weight.functionals+dynamics"] == (1, 2)


REFUSED = {
    "weight.functional = 2": "weight: unknown feature set 'functional'. Did you mean 'functionals'",
    "weight.whisper-tiny.en = 2": "unknown feature set 'whisper-tiny.en'. Allowed: func",
    'weight."gender+eyes" = [1, 2]': "unknown feature set 'eyes'. Allowed: functionals, dynamics",
    "weight.functionals = [1, -1]": "weight.functionals: must be a number from 0 on, not -1",
    "weight.functionals = true": "weight.functionals: must be a number from 0 on, not true",
    'weight.functionals = "much"': 'weight.functionals: must be a number from 0 on, not "much"',
    "weight.functionals = { lo = 1, high = 2 }": "unknown key 'lo'. Did you mean 'low'",
    "weight = 2": "unknown parameter 'weight'. Did you mean 'weight.NAME'",
    'weight.dynamics = 1\nweight."dynamics+gender" = 2': "dynamics has two weights",
    "weight.dynamics = 2\nselect = 100": "weight.dynamics and select exclude each other",
    "weight.dynamics = [1, 2]\ninitial = { shrinkage = 0.1 }": "initial: needs weight.dynamics",
    "[models.random_forest]\nweight.dynamics = 2": "does not standardise features. Remove it",
}


@pytest.mark.parametrize(("lines", "words"), REFUSED.items(), ids=REFUSED)
def test_a_weight_that_cannot_be_is_refused_in_one_line(
    tmp_path: Path, lines: str, words: str
) -> None:
    (tmp_path / "w.toml").write_text(STUDY + lines)
    with pytest.raises(BenchmarkError) as refused:
        read_checked(tmp_path / "w.toml")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_own_tables_have_the_name_of_their_file_as_a_weight(tmp_path: Path) -> None:
    (tmp_path / "wavlm.csv").write_text("clip,a,b\none,1,2\ntwo,3,5\n")
    blocks = feature_set(f"functionals+table:{tmp_path / 'wavlm.csv'}").blocks
    assert [block.name for block in blocks] == ["functionals", "wavlm"]
    assert blocks[1].width == 2
