"""The site's pages besides those of docs/: reports, SECURITY.md, notebooks and generated reference.

Pages are written for GitHub, with links between files of the repository. This file maps the links
to the site's pages, or to the repository where the site has no page.
"""

from __future__ import annotations

import json
import posixpath
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import griffe
import typer
from mkdocs.structure.files import File
from pydantic import BaseModel
from pydantic_core import to_json

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import benchmark  # noqa: E402
from benchmark import study  # noqa: E402
from benchmark.cli import app  # noqa: E402
from benchmark.report.markdown import code, table  # noqa: E402

if TYPE_CHECKING:
    import click
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page
    from pydantic.fields import FieldInfo

ELSEWHERE = {"SECURITY.md": "explanation/security.md"}
"""Files outside docs/ and reports/ that are pages of the site."""

SHOWN = (".md", ".png", ".svg", ".csv", ".jsonl")
"""Files of reports/ that the site has."""

ALERTS = {
    "NOTE": "note", "TIP": "tip", "IMPORTANT": "info", "WARNING": "warning", "CAUTION": "danger",
}  # fmt: skip
"""Material's box for each of GitHub's."""

FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
ALERT = re.compile(r"^> \[!(\w+)\]\n((?:^>.*\n?)+)", re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
GENERATED = re.compile(r"^<!-- generated: (.+) -->$", re.MULTILINE)
LIST = re.compile(r"tuple\[(.+?), \.\.\.\]")
TEST = re.compile(r"^<!-- test: .+ -->\n", re.MULTILINE)

TABLES = {
    "Study": "The file",
    "Split": "[split]",
    "Search": "[search]",
    "Scale": "[scale]",
    "Range": "A range of a model's table",
    "LearningCurves": "[learning_curves]",
    "Claims": "[claims]",
}
"""The parts of a study file by their classes in `benchmark.study`."""


LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}
"""Signs of the limits of a value, by pydantic's names for them."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the addresses of pyproject.toml, and add the page of each study to the navigation."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    config.repo_url, config.site_url = urls["Repository"], urls["Documentation"]
    config.repo_name = config.repo_url.removeprefix("https://github.com/")
    studies = sorted(path.name for path in (ROOT / "reports/results").glob("[!.]*"))
    for title, suffix in (("Studies", ""), ("Recordings", "_data")):
        pages = [{name: f"reports/{name}{suffix}.md"} for name in studies if "@" not in name]
        present = [one for one in pages if all((ROOT / page).is_file() for page in one.values())]
        config.nav[-1]["Results"].append({title: present})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reports with their figures, the notebooks and the pages of the root."""
    for path in sorted((ROOT / "reports").rglob("*")):
        if path.suffix in SHOWN and "results" not in path.parts and "@" not in path.as_posix():
            uri = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    for name, uri in ELSEWHERE.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / name)))
    for path in sorted((ROOT / "docs/notebooks").glob("*.ipynb")):
        uri = f"notebooks/{path.stem}.md"
        files.append(File.generated(config, uri, content=notebook_page(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page as the site needs it: generated parts, boxes, details and links."""
    uri = page.file.src_uri
    if uri == "README.md":
        page.meta["hide"] = ["navigation"]
    parts = FENCE.split(TEST.sub("", markdown))
    for place in range(0, len(parts), 2):  # between blocks of code
        text = GENERATED.sub(lambda found: PARTS[found[1]](), parts[place])
        text = ALERT.sub(_box, text).replace("<details>", '<details markdown="1">')
        parts[place] = LINK.sub(lambda found: _address(found[1], uri, config, files), text)
    return "".join(parts)


def notebook_page(path: Path) -> str:
    """Return a notebook as Markdown, without outputs."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = []
    for cell in cells:
        source = "".join(cell["source"])
        texts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    texts.append(f"This page is the notebook [{path.name}]({path.name}), without its outputs.")
    return "\n\n".join(texts) + "\n"


def _box(found: re.Match[str]) -> str:
    lines = [line.removeprefix(">").strip() for line in found[2].splitlines()]
    body = "\n".join(f"    {line}" for line in lines)
    return f'!!! {ALERTS[found[1]]} ""\n\n{body}\n'


def _address(target: str, uri: str, config: MkDocsConfig, files: Files) -> str:
    """Return the address on the site of a link between files of the repository."""
    source = {shown: name for name, shown in ELSEWHERE.items()}.get(uri, _in_repository(uri))
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    shown = ELSEWHERE.get(file, file.removeprefix("docs/"))
    if shown.endswith(".ipynb") and not uri.startswith("notebooks/"):
        shown = shown.removesuffix(".ipynb") + ".md"
    if files.get_file_from_path(shown):
        return posixpath.relpath(shown, posixpath.dirname(uri) or ".")
    if (ROOT / file).exists():
        return f"{config.repo_url}/blob/main/{file}"
    return target


def _in_repository(uri: str) -> str:
    return uri if uri.startswith("reports/") else f"docs/{uri}"


def study_keys() -> str:
    """Return a table of the keys of each part of a study file."""
    module = griffe.load("benchmark.study", search_paths=[str(ROOT)])
    return "\n\n".join(f"### {title}\n\n{_keys(module[name])}" for name, title in TABLES.items())


def _keys(record: griffe.Class) -> str:
    """Return what a class of `benchmark.study` says of itself, and a table of its fields."""
    introduction, *_ = sections = record.docstring.parse("numpy")
    meanings = {
        key.strip(): attribute.description
        for section in sections
        if section.kind is griffe.DocstringSectionKind.attributes
        for attribute in section.value
        for key in attribute.name.split(",")
    }
    rows = []
    for key, field in getattr(study, record.name).model_fields.items():
        if key != "name":  # the file's stem
            own = record.members[key].docstring
            meaning = own.value if own else meanings.get(key, "")
            rows.append([code(key), _values(field, record[key]), " ".join(meaning.split())])
    return f"{introduction.value}\n\n{table(['key', 'value', 'meaning'], rows, words=range(3))}"


def _values(field: FieldInfo, attribute: griffe.Attribute) -> str:
    """Return the type of a key, its limits and its default."""
    kind = LIST.sub(r"list[\1]", str(attribute.annotation)).replace(" | ", " or ")
    limits = [
        f"{sign} {getattr(limit, name)}"
        for limit in field.metadata
        for name, sign in LIMITS.items()
        if hasattr(limit, name)
    ]
    if field.is_required():
        default = "required"
    elif field.default is None or isinstance(field.default, BaseModel):
        default = ""
    else:
        default = f"default {code(to_json(field.default).decode())}"
    return "; ".join(part for part in (code(kind), ", ".join(limits), default) if part)


def commands() -> str:
    """Return each command with its description, arguments and options."""
    group = typer.main.get_command(app)
    shown = {name: one for name, one in sorted(group.commands.items()) if not one.hidden}
    return "\n\n".join(_command(name, one) for name, one in shown.items())


def _command(name: str, command: click.Command) -> str:
    context = command.make_context(name, [], resilient_parsing=True)
    records = [one.get_help_record(context) for one in command.params]
    rows = [[code(option), help_.replace("|", "\\|")] for option, help_ in filter(None, records)]
    usage = " ".join(["python -m benchmark", name, *command.collect_usage_pieces(context)])
    return (
        f"### {name}\n\n{command.help}\n\n```text\n{usage}\n```\n\n"
        f"{table(['option', 'meaning'], rows, words=range(2))}"
    )


def functions() -> str:
    """Return the directives that show each public function."""
    names = [name for name in benchmark.__all__ if name != "__version__"]
    return "\n\n".join(f"::: benchmark.{name}" for name in names)


def results() -> str:
    """Return the directives that show the classes of a stored result."""
    names = ("Result", "Winner", "Versions")
    return "\n\n".join(f"::: benchmark.evaluation.results.{name}" for name in names)


PARTS: dict[str, Callable[[], str]] = {
    "study keys": study_keys, "commands": commands, "functions": functions, "results": results,
}  # fmt: skip
"""The generated parts of pages, by their names in ``<!-- generated: NAME -->``."""
