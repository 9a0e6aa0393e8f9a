"""Registries find the entries of installed packages, and refuse in one line what can't be used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark.engine import registry
from benchmark.engine.registry import Registry, check_installed
from benchmark.errors import BenchmarkError
from benchmark.models import MODELS, Model
from tests.support.plugins import environment, install_metadata

GROUP = "ser_benchmark.models"
CODE = """
from dataclasses import replace

from benchmark.models import MODELS

{name} = replace(MODELS["svc"], name="{name}", title="own")
"""

Plugin = Callable[..., None]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugin]:
    """A function that installs a package with one model; its module has another name each time."""
    list(MODELS)  # which the code of an entry uses; it must not look for this package
    monkeypatch.syspath_prepend(tmp_path)
    registry.all_entry_points.cache_clear()
    modules: list[str] = []

    def add(package: str, name: str, code: str, point: str = "") -> None:
        modules.append(f"code_of_{package}")
        (tmp_path / f"{modules[-1]}.py").write_text(code)
        points = {GROUP: {point or name: f"{modules[-1]}:{name}"}}
        install_metadata(tmp_path, package, "2.5", points)

    yield add
    registry.all_entry_points.cache_clear()
    for module in modules:
        sys.modules.pop(module, None)


def models() -> Registry[Model]:
    """Return a registry that has loaded nothing, with one model of our own."""
    return Registry("model", "models", Model, [MODELS["svc"]], reserved=["kept"])


def test_entries_of_packages_follow_our_own_with_their_versions(plugin: Plugin) -> None:
    plugin("beta", "second", CODE.format(name="second"))
    plugin("alpha", "first", CODE.format(name="first"))
    found = models()
    assert list(found) == ["svc", "first", "second"]
    assert found.versions(found) == {"alpha": "2.5", "beta": "2.5"}
    assert found.versions(["svc"]) == {}


def test_an_unknown_name_is_refused_with_the_packages_that_add_entries(plugin: Plugin) -> None:
    plugin("alpha", "first", CODE.format(name="first"))
    assert str(models().unknown("bayes", "study.toml")) == (
        "study.toml: unknown model 'bayes'. Allowed: svc, first. "
        "Installed packages with entry points of ser_benchmark.models: alpha 2.5."
    )
    near = "study.toml: unknown model 'frist'. Did you mean 'first'? Allowed: svc, first."
    assert str(models().unknown("frist", "study.toml")) == near


@pytest.mark.parametrize(
    ("name", "code", "point", "problem"),
    [
        ("own", "import no_such_library", "", "can't be loaded (code_of_alpha:own: ModuleNotFound"),
        ("own", "own = 1 / 0", "", "ZeroDivisionError: division by zero"),
        ("own", "raise OSError('two\\nlines')", "", "OSError: two lines"),
        ("own", "", "", "has no attribute 'own'"),
        ("own", "own = 3", "", "must be a Model, but code_of_alpha:own is of type int"),
        ("own", CODE.format(name="own"), "other", "is an entry of the name 'own'"),
        ("svc", CODE.format(name="svc"), "", "the benchmark itself has a model of this name"),
        ("kept", CODE.format(name="kept"), "", "the benchmark itself has a model of this name"),
    ],
)
def test_an_entry_that_can_not_be_used_is_refused_with_its_package(
    plugin: Plugin, name: str, code: str, point: str, problem: str
) -> None:
    plugin("alpha", name, code, point)
    found = models()
    for _ in range(2):  # a caught refusal leaves nothing half loaded
        with pytest.raises(BenchmarkError) as refused:
            list(found)
        message = str(refused.value)
        assert message.startswith(f"alpha 2.5: entry point {point or name!r} of {GROUP}")
        assert problem in message
        assert message.endswith("uninstall it: pip uninstall alpha.")
        assert "\n" not in message


def test_a_name_that_two_packages_give_is_refused(plugin: Plugin) -> None:
    plugin("alpha", "own", CODE.format(name="own"))
    plugin("beta", "own", CODE.format(name="own"))
    with pytest.raises(BenchmarkError, match=r"^beta 2\.5: .*'own'.*: alpha 2\.5 has a model of"):
        list(models())


def test_another_version_and_a_missing_package_are_refused(plugin: Plugin) -> None:
    plugin("alpha", "own", CODE.format(name="own"))
    check_installed({"alpha": "2.5"}, "results")
    with pytest.raises(BenchmarkError, match=r"results: made with the plug-in alpha 2\.4; 2\.5 is"):
        check_installed({"alpha": "2.4"}, "results")
    with pytest.raises(BenchmarkError, match="it is not installed"):
        check_installed({"no-such-package": "1.0"}, "results")


def test_a_plug_in_is_imported_only_when_its_registry_is_used(
    plugin: Plugin, tmp_path: Path
) -> None:
    plugin("alpha", "own", "raise SystemExit('imported')")
    program = (
        "import importlib, pkgutil, benchmark\n"
        "from contextlib import suppress\n"
        "found = pkgutil.walk_packages(benchmark.__path__, 'benchmark.')\n"
        "names = [one.name for one in found if not one.name.endswith('__main__')]\n"
        "for name in names:\n"
        "    with suppress(ModuleNotFoundError):  # an extra that is not installed\n"
        "        importlib.import_module(name)\n"
        "from benchmark.corpora import CORPORA\n"
        "print(len(names) > 100, len(CORPORA) > 10)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment(tmp_path),
    )
    assert ended.stdout == "True True\n", ended.stderr
