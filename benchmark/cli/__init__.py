"""The command line: arguments and exit status only.

Whatever is heavy is imported by the command that needs it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.errors import BenchmarkError, unknown

if TYPE_CHECKING:
    from benchmark.console import Console
    from benchmark.evaluation.results import Result
    from benchmark.project import Job, Project, Sources
    from benchmark.study import Study

USER_ERROR = 2
INTERRUPTED = 130  # as a shell has it for Ctrl-C

DISK_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
}

app = typer.Typer(
    name="python -m benchmark",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Which speech emotion recognition model really works, and by how much. "
    "Start with `run-study`: it needs no download and takes about a minute.",
)

StudyArgument = Annotated[
    str | None,
    typer.Argument(
        help="A study file, or the name of one in studies/. Without it: the quickstart, on "
        "generated speech.",
        show_default=False,
    ),
]
CorporaOption = Annotated[
    Path | None,
    typer.Option(
        "--corpora",
        envvar="SER_CORPORA",
        metavar="DIR",
        help="A folder that holds a folder for each corpus: DIR/ravdess, DIR/tess, DIR/savee.",
    ),
]
CorpusOption = Annotated[
    list[str] | None,
    typer.Option(
        "--corpus",
        metavar="NAME=DIR",
        help="Where one corpus lies; csv=table.csv for a table of your own. Can be repeated.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change the study for this run, for example --set search.trials=10. The result is "
        "kept apart from the study's own. Can be repeated.",
    ),
]
IncompleteOption = Annotated[
    bool,
    typer.Option(
        "--allow-incomplete",
        help="Go on with clips missing, or many that can't be used; the report shows it.",
    ),
]
MissingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-missing",
        metavar="CORPUS",
        help="Leave this corpus out where it is missing or not complete; every page says so. Can "
        "be repeated.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Processes; by default all cores. No result depends on it."
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Extract and fit on the workers of a Dask cluster: tcp://HOST:8786, tls://HOST:8786, "
        "a scheduler file (.json), or `config` for the scheduler of Dask's own configuration. No "
        "result depends on it.",
    ),
]
ProjectOption = Annotated[
    Path,
    typer.Option(
        "--project",
        metavar="DIR",
        help="The folder for features_cache/, reports/, optuna.db and mlflow.db.",
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="WHICH",
        help="An alias or a version of MLflow's registered model, or the file of a model's card, "
        "features_cache/STUDY/SPLIT/models/MODEL.json.",
    ),
]
HERE = Path()


def _show_version(wanted: bool) -> None:
    if wanted:
        from benchmark import __version__

        typer.echo(f"ser-benchmark {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None: ...


@app.command("run-study")
def run_study(
    study: StudyArgument = None,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    changes: SetOption = None,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Your own training table, in place of corpora and features."
        ),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Your own test table; goes with --train.")
    ] = None,
    allow_incomplete: IncompleteOption = False,
    allow_missing: MissingOption = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.25,
            help="End after so many minutes with what is found by then; only features that are not "
            "known yet may take longer. Models share the time; the result is kept apart and says "
            "what was cut; its trials count for the next run.",
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where finished trials are kept: any Optuna storage URL. By default optuna.db in "
            "the project's folder.",
        ),
    ] = None,
    project: ProjectOption = HERE,
) -> None:
    """Run a study: features, search, ensemble, evaluation, report.

    Interrupt it whenever you like: the same command goes on where it was. Every trial is an MLflow
    run (`python -m benchmark ui`); MLFLOW_TRACKING_URI is obeyed.

    - `run-study`: the quickstart, on generated speech, in about a minute
    - `run-study capstone --corpora ~/corpora`: a study on recordings
    - `run-study capstone --set search.trials=10`: the same, changed for this run
    """
    with _plainly() as console:
        own, missing = _own(train, test), tuple(allow_missing or ())
        asked = _read(study, changes)
        sources = _sources(project, corpora, corpus, allow_incomplete, missing, own)
        from benchmark import pipeline

        job = _job(project, sources, changes, workers, storage, cluster)
        result = pipeline.run_study(asked, replace(job, minutes=minutes), console)
        _summarise(result, job.project, console)


@app.command()
def extract(
    study: StudyArgument = None,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    changes: SetOption = None,
    allow_incomplete: IncompleteOption = False,
    allow_missing: MissingOption = None,
    workers: WorkersOption = None,
    cluster: ClusterOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Run the feature stage of a study alone: train.csv and test.csv for each of its protocols."""
    with _plainly() as console:
        missing = tuple(allow_missing or ())
        asked = _read(study, changes)
        sources = _sources(project, corpora, corpus, allow_incomplete, missing)
        from benchmark import pipeline

        job = _job(project, sources, changes, workers, None, cluster)
        prepared = pipeline.extract_study(asked, job, console)
        for tables in prepared.splits:
            for side, table in (("train", tables.train), ("test", tables.test)):
                path = tables.folder / f"{side}.csv"
                console.print(f"{path}: {len(table.rows)} rows, {len(table.columns)} features")


@app.command()
def explore(
    study: StudyArgument = None,
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    changes: SetOption = None,
    allow_incomplete: IncompleteOption = False,
    allow_missing: MissingOption = None,
    workers: WorkersOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Look at a study's recordings before any fit: reports/NAME_data.md, with pictures."""
    with _plainly() as console:
        missing = tuple(allow_missing or ())
        asked = _read(study, changes)
        sources = _sources(project, corpora, corpus, allow_incomplete, missing)
        from benchmark.data.exploration import explore_study

        page = explore_study(asked, _job(project, sources, changes, workers, None), console)
        console.print(str(page))


@app.command()
def anatomy(
    study: Annotated[
        str, typer.Argument(help="A study that has run, by name.", show_default=False)
    ],
    corpora: CorporaOption = None,
    corpus: CorpusOption = None,
    draws: Annotated[
        int, typer.Option(min=1, max=100, help="Splits on which all is run; the mean counts.")
    ] = 5,
    seeds: Annotated[
        int, typer.Option(min=2, max=1000, help="Seeds of which the best on the test is reported.")
    ] = 20,
    settings: Annotated[
        int,
        typer.Option(
            min=2, max=1000, help="Settings, as the study tried them, of which the test chooses."
        ),
    ] = 10,
    published_only: Annotated[
        bool,
        typer.Option(
            "--published-only", help="Take the source's figures apart alone, not the winner's."
        ),
    ] = False,
    workers: WorkersOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Run a study's winner again with the mistakes that papers make: how a score is inflated.

    Speakers on both sides; copies made, emotions filled up, scaler fitted or features selected
    before the split; settings, epoch or seed chosen on the test rows. Each alone, then one upon
    another: a staircase from the honest score to the flattering one, in reports/anatomy.md. Where
    `[claims.leaks]` tells what a study's source did wrong, its figure is taken apart as well.

    No figure of it can enter a leaderboard. Interrupt it whenever you like: finished fits are kept.

    - `anatomy quickstart --draws 2 --seeds 5`: on generated speech, in a minute or two
    - `anatomy capstone --corpora ~/corpora`: on recordings; long, as each draw takes many fits
    - `anatomy prediction_api_later --published-only`: its source's figure alone, in minutes
    """
    with _plainly() as console:
        sources = _sources(project, corpora, corpus, False)
        asked = _read(study, None)
        from benchmark.leakage.ablation import Extent, dissect
        from benchmark.leakage.stored import write_anatomy
        from benchmark.report.leakage_page import write_page

        job = _job(project, sources, None, workers, None)
        extent = Extent(draws, seeds, settings, published_only)
        found = dissect(asked, extent, job, console)
        write_anatomy(found, job.project.reports / "anatomy")
        console.print(str(write_page(job.project.reports)))


@app.command()
def report(project: ProjectOption = HERE) -> None:
    """Write all pages of reports/ again from stored results, without fitting anything."""
    with _plainly() as console:
        from benchmark import pipeline
        from benchmark.project import Project
        from benchmark.report.leakage_page import write_page

        for page in pipeline.write_reports(Project(project), console):
            console.print(str(page))
        dissected = write_page(Project(project).reports)
        if dissected is not None:
            console.print(str(dissected))


@app.command("list")
def list_all(
    corpora: CorporaOption = None, corpus: CorpusOption = None, project: ProjectOption = HERE
) -> None:
    """List studies, corpora (present? complete?), features, augmentations, models, protocols."""
    with _plainly() as console:
        from benchmark.data.splits import PROTOCOLS
        from benchmark.features import AUGMENTATIONS, FAMILIES, FEATURE_SETS
        from benchmark.models import MODELS

        studies = [(path.stem, _question(path)) for path in _study_files()]
        console.table("studies", ("name", "question"), studies, words=True)
        rows = _presence(_sources(project, corpora, corpus, False))
        console.table("corpora", ("name", "here", "what it is"), rows, words=True)
        sets = [(f.name, str(len(f.columns)), f.description) for f in FEATURE_SETS.values()]
        sets += [(f.title, f"extra `{f.extra}`", f.description) for f in FAMILIES.values()]
        console.table(
            "feature sets; join them with +",
            ("name", "numbers", "what they measure"),
            sets,
            words=True,
        )
        changes = [
            (a.name, f"{a.name}={a.amount:g} ({a.unit})", a.description)
            for a in AUGMENTATIONS.values()
        ]
        console.table(
            "augmentations; chain them with +",
            ("name", "default", "what it does"),
            changes,
            words=True,
        )
        kinds = [(name, kind.description) for name, kind in MODELS.items()]
        console.table("models", ("name", "what it is"), kinds, words=True)
        rules = [(name, rule.description) for name, rule in PROTOCOLS.items()]
        console.table("protocols", ("name", "who may be on both sides"), rules, words=True)


@app.command()
def fetch(
    corpus: Annotated[str, typer.Argument(help="A corpus; only ravdess can be fetched.")],
    into: Annotated[
        Path, typer.Option("--into", metavar="DIR", help="The folder below which it is unpacked.")
    ] = Path("corpora"),
) -> None:
    """Download a corpus, check its digest and unpack it; for the others, say where to get them."""
    with _plainly() as console:
        from benchmark.corpora.fetch import fetch as fetch_corpus

        with console.bars() as bars:
            folder = fetch_corpus(corpus, into, progress=bars.add(f"fetching {corpus}", 0).update)
        console.print(f"{folder}")
        console.info(f"Use it with --corpora {into}, or set SER_CORPORA={into}.")


@app.command()
def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of this machine alone.")] = 5000,
    project: ProjectOption = HERE,
) -> None:
    """Show the runs in MLflow's own pages, on this machine alone, until Ctrl-C."""
    with _plainly() as console:
        import subprocess

        from benchmark.tracking.runs import tracking_uri, ui_addresses, ui_command

        uri = tracking_uri(project)
        command, environment = ui_command(uri, project, port)
        console.info("MLflow's pages will be ready in a few seconds; Ctrl-C ends them.")
        for study, address in ui_addresses(uri, project, port):
            console.print(f"{study}: {address}")
        address = f"http://127.0.0.1:{port}/#/models"
        console.print(f"promoted models: {address}")
        process = subprocess.run(command, env=environment, cwd=project, check=False)
        raise typer.Exit(process.returncode)


@app.command()
def promote(
    study: Annotated[str, typer.Argument(help="A study that has run, by name.")],
    model: Annotated[
        str | None,
        typer.Option(help="A model of it, by its name there; by default the winner.", metavar="M"),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="S",
            help="On whose training side it learned: speaker-independent or speaker-dependent. By default the one with "
            "unseen speakers.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Make it champion though it does not beat the present.")
    ] = False,
    project: ProjectOption = HERE,
) -> None:
    """Make a study's winner the champion of MLflow's model registry: the model that answers.

    The winner is the model with the best score on the inner folds; a champion is replaced by a
    model that beats it there, on the same clips. No test row chooses.

    - `promote capstone`: its winner on unseen speakers
    - `promote capstone --model mlp --split speaker-dependent`: another of its models
    """
    with _plainly() as console:
        from benchmark.project import Project
        from benchmark.serving.command import introduce
        from benchmark.tracking import model_registry
        from benchmark.tracking.cards import find_card, read_card
        from benchmark.tracking.runs import ARTIFACTS, tracking_uri

        name = Path(study).stem
        card = find_card(Project(project).features_cache / name, name, split, model)
        introduce(read_card(card), console)
        done = model_registry.promote(card, tracking_uri(project), project / ARTIFACTS, force=force)
        state = "new" if done.new else "registered before"
        console.print(
            f"{model_registry.REGISTERED} version {done.version} ({state}). {done.reason}"
        )
        if done.champion:
            console.info("Ask it: `python -m benchmark predict FILE`, `python -m benchmark serve`.")


@app.command()
def predict(
    recordings: Annotated[
        list[str],
        typer.Argument(
            help="Recordings, folders of recordings, and tables (.csv) with a column path.",
            show_default=False,
        ),
    ],
    timeline: Annotated[
        bool,
        typer.Option(
            "--timeline", help="Emotion over time: windows of 3 s every second, channel by channel."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, every bit of each probability, no table.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a table there instead.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Where a timeline is drawn, .png or .svg; by default RECORDING_timeline.png in "
            "the current folder.",
        ),
    ] = None,
    model: ModelOption = "champion",
    workers: WorkersOption = None,
    project: ProjectOption = HERE,
) -> None:
    """Say which emotion recordings show, and how far to trust that.

    - `predict call.wav clips/ list.csv`: a table
    - `predict clips/ --csv predictions.csv`: many files
    - `predict --timeline call.wav`: a long one over time, with a picture; stereo as agent (left)
      and customer (right)

    Exit status 2 if a file could not be used; the others are answered all the same.
    """
    with _plainly() as console:
        from benchmark.engine.processes import Workers, available_cores
        from benchmark.project import Project
        from benchmark.serving import command
        from benchmark.serving.batch import find_files
        from benchmark.tracking.cards import read_card

        if picture is not None and not timeline:
            raise BenchmarkError(f"--picture {picture}: only a timeline is drawn. Add --timeline.")
        files = find_files(recordings)
        output = command.Output(as_json, csv, picture)
        command.check_output(output, [*map(Path, recordings), *files])
        card = _card(model, project)
        command.introduce(read_card(card), console)
        cache = Project(project).features_cache
        with Workers(workers or available_cores()) as pool:
            if timeline:
                complete = command.predict_over_time(files, card, output, pool, console)
            else:
                complete = command.predict(files, card, output, cache, pool, console)
        if not complete:
            raise typer.Exit(USER_ERROR)


@app.command()
def serve(
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen at. Any but this machine's own needs a token: SER_TOKEN "
            "or --token-file."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Whose first line whoever asks must show: `Authorization: Bearer ...`. The "
            "environment variable SER_TOKEN does as well.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A name that the service goes by besides its address. Can be repeated.",
        ),
    ] = None,
    upload_mb: Annotated[float, typer.Option(min=0.001, help="Of one request, in MiB.")] = 32,
    clip_seconds: Annotated[float, typer.Option(min=0.1, help="Of a recording to predict.")] = 60,
    timeline_seconds: Annotated[float, typer.Option(min=0.1, help="Of one in windows.")] = 900,
    concurrent: Annotated[
        int, typer.Option(min=1, help="Requests at once; one more is asked to come again.")
    ] = 16,
    request_seconds: Annotated[float, typer.Option(min=0.1, help="For one request.")] = 30,
    memory_mb: Annotated[
        int, typer.Option(min=64, help="That a recording may take of a worker, in MiB.")
    ] = 1024,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Processes that predict; by default all cores."),
    ] = None,
    model: ModelOption = "champion",
    project: ProjectOption = HERE,
) -> None:
    """Answer over REST and on a web page with a microphone, on this machine alone, until Ctrl-C.

    Nothing that is uploaded is kept, and no outside host is asked for anything. Needs the extra
    `serve`: pip install "ser-benchmark[serve]".
    """
    with _plainly() as console:
        from benchmark.engine.processes import available_cores
        from benchmark.serving import server
        from benchmark.serving.limits import Limits

        limits = Limits(
            upload_bytes=int(upload_mb * 2**20),
            clip_s=clip_seconds,
            timeline_s=timeline_seconds,
            concurrent=concurrent,
            request_s=request_seconds,
            memory_bytes=memory_mb * 2**20,
        )
        options = server.Options(
            host=host,
            port=port,
            token=_token(token_file),
            hosts=tuple(allow_host or ()),
            limits=limits,
            workers=workers or available_cores(),
        )
        server.serve(_card(model, project), options, console)


@contextmanager
def _plainly() -> Iterator[Console]:
    """Give a command its console; say a mistake in one line, and end with the right status."""
    from benchmark.console import Console

    console = Console()
    try:
        yield console
    except BenchmarkError as error:
        console.error(str(error))
        raise typer.Exit(USER_ERROR) from error
    except KeyboardInterrupt as stop:
        console.info("Stopped. Finished work is saved; the same command resumes it.")
        raise typer.Exit(INTERRUPTED) from stop
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        file = Path(str(error.filename or ""))
        place = f"{file.parent if file.name.startswith('.') else file}: " if file.name else ""
        console.error(
            f"{place}{error.strerror}. Finished work is saved. Free disk space or use another "
            "folder, then run the same command again."
        )
        raise typer.Exit(USER_ERROR) from error


def _sources(
    project: Path,
    corpora: Path | None,
    corpus: list[str] | None,
    allow_incomplete: bool,
    allow_missing: tuple[str, ...] = (),
    tables: tuple[Path, Path] | None = None,
) -> Sources:
    from benchmark.corpora import CORPORA
    from benchmark.project import Project, Sources

    given: dict[str, Path] = {}
    for text in corpus or []:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise BenchmarkError(
                f"--corpus {text}: expected NAME=DIR, for example ravdess=~/ravdess."
            )
        if name not in CORPORA:
            raise unknown("corpus", name, CORPORA, "--corpus")
        given[name] = Path(path).expanduser()
    return Sources(
        cache=Project(project).features_cache,
        root=corpora.expanduser() if corpora else None,
        given=given,
        tables=tables,
        allow_incomplete=allow_incomplete,
        allow_missing=allow_missing,
    )


def _own(train: Path | None, test: Path | None) -> tuple[Path, Path] | None:
    if train is None and test is None:
        return None
    if train is None or test is None:
        raise BenchmarkError("--train and --test go together: give both tables, or neither.")
    return train, test


def _read(study: str | None, changes: list[str] | None) -> Study:
    path = _find(study or "quickstart")
    # What is imported is never garbage, and looking for some makes up a fifth of the time to a
    # refusal: at every import, and once more as the process ends.
    gc.disable()
    try:
        from benchmark.study import read_study
        from benchmark.validation import check

        return check(read_study(path, tuple(changes or ())), str(path))
    finally:
        gc.freeze()
        gc.enable()


def _job(
    project: Path,
    sources: Sources,
    changes: list[str] | None,
    workers: int | None,
    storage: str | None,
    cluster: str | None = None,
) -> Job:
    from benchmark.engine.processes import available_cores
    from benchmark.project import Job, Project
    from benchmark.study import effective

    return Job(
        project=Project(project),
        sources=sources,
        overrides=effective(changes or ()),
        workers=workers or available_cores(),
        storage=storage,
        cluster=cluster,
    )


def _token(file: Path | None) -> str | None:
    """Return the token that is asked of others: a file's first line, or SER_TOKEN's."""
    # Taken away, so that no process that decodes what others send has it.
    told = os.environ.pop("SER_TOKEN", "")
    if file is None:
        return told or None
    try:
        token = file.expanduser().read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"--token-file {file}: can't be read ({error}).") from error
    if not token:
        raise BenchmarkError(f"--token-file {file}: its first line is empty; it must be the token.")
    return token


def _card(which: str, project: Path) -> Path:
    """Return the card of a model: a file, or that of an alias or a version of the registry."""
    from benchmark.project import Project
    from benchmark.tracking import model_registry
    from benchmark.tracking.runs import ARTIFACTS, tracking_uri

    if which.endswith(".json"):
        return Path(which).expanduser()
    cache = Project(project).features_cache / "registry"
    return model_registry.find(tracking_uri(project), project / ARTIFACTS, cache, which)


def _study_folders() -> list[Path]:
    """Return where studies lie: the current folder's, then those that came with the package."""
    package = Path(__file__).parent.parent
    return [Path("studies"), package.parent / "studies", package / "studies"]


def _study_files() -> list[Path]:
    found: dict[str, Path] = {}
    for folder in _study_folders():
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return [found[name] for name in sorted(found)]


def _find(study: str) -> Path:
    """Return the file of a study that is given by path or by name."""
    path = Path(study).expanduser()
    for candidate in (path, path.with_suffix(".toml")):
        if candidate.is_file():
            return candidate
    for folder in _study_folders():
        named = folder / f"{path.stem}.toml"
        if named.is_file() and path.parent in {Path(), Path("studies")}:
            return named
    if path.suffix == ".toml" or path.name != study:
        raise BenchmarkError(f"{study}: there is no such file. `list` shows the studies there are.")
    raise unknown("study", study, [path.stem for path in _study_files()])


def _question(path: Path) -> str:
    from benchmark.study import read_study

    try:
        return read_study(path).question
    except BenchmarkError as error:
        return f"can't be read: {error}"


def _presence(sources: Sources) -> list[tuple[str, str, str]]:
    """Return for each corpus whether it is here and complete."""
    from benchmark.corpora import CORPORA, describe_shortfall, locate, read_corpus

    rows = []
    for name, corpus in CORPORA.items():
        if corpus.generated:
            state = f"generated when needed, {corpus.official_clips} clips"
        else:
            try:
                folder = locate(name, root=sources.root, given=sources.given, cache=sources.cache)
                state = describe_shortfall(corpus, read_corpus(name, folder)).partition(": ")[2]
            except BenchmarkError as error:
                state = (
                    "no; " + corpus.how_to_get if "does not exist" not in str(error) else str(error)
                )
        rows.append((name, state, f"{corpus.title}; {corpus.licence}"))
    return rows


def _summarise(result: Result, project: Project, console: Console) -> None:
    """Print the leaderboard, where everything lies and how to look further."""
    from benchmark.data.splits import PROTOCOLS
    from benchmark.engine.databases import without_user
    from benchmark.evaluation.leaderboard import leaderboard
    from benchmark.evaluation.metrics import METRICS
    from benchmark.report.markdown import figure
    from benchmark.report.wording import model_title

    board = leaderboard(result)
    metric = result.settings["search"]["metric"]
    rows = []
    for standing in board.standings:
        row = [model_title(result, standing.model)]
        for protocol in board.protocols:
            found = board.evaluation(protocol, standing.model)
            score = found.scores[metric] if found else None
            row.append(figure(score) if score else "")
        if board.has_gap:
            difference = standing.gaps.get(metric)
            row.append(f"{difference.value:+.3f}" if difference else "")
        rows.append(row)
    titles = [f"{METRICS[metric].title}, {PROTOCOLS[p].title}" for p in board.protocols]
    columns = ["model", *titles, *(["gap"] if board.has_gap else [])]
    kind = " (generated speech)" if result.generated else ""
    console.table(f"{result.name}{kind}: test rows, 95 % intervals", columns, rows)
    for label, path in (
        ("report", project.reports / f"{result.name}.md"),
        ("leaderboard", project.reports / "README.md"),
        ("predictions", project.results / result.name / "predictions.csv"),
        ("tables", project.features_cache / result.name),
    ):
        console.print(f"{label + ':':<13}{path}")
    if "MLFLOW_TRACKING_URI" in os.environ:
        console.print(f"{'runs:':<13}{without_user(os.environ['MLFLOW_TRACKING_URI'])}")
    else:
        elsewhere = f" --project {quote(str(project.folder))}" if project.folder != HERE else ""
        console.print(f"{'runs:':<13}python -m benchmark ui{elsewhere}")
