"""Commands on runs and models: ui, promote, predict, serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark import hints
from benchmark.cli.options import (
    CURRENT_FOLDER,
    FinishedStudyArgument,
    JsonOption,
    ModelOption,
    ProjectOption,
    WorkersOption,
)
from benchmark.cli.status import USER_ERROR, command_console
from benchmark.errors import BenchmarkError


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the most recent study in the browser.")
    ] = False,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Serve the MLflow UI of the runs, on this machine only, until Ctrl-C.

    Plain `mlflow ui` in the project's folder shows the same.

    - `ui --open`: in the browser, as soon as it is ready
    - `ui --port 5001`
    """
    with command_console() as console:
        import webbrowser

        from benchmark.engine.signals import STDERR, child, ended_by_signals
        from benchmark.tracking import ui as mlflow_ui
        from benchmark.tracking.store import tracking_uri

        uri = tracking_uri(project)
        command, environment = mlflow_ui.ui_command(uri, project, port)
        addresses = mlflow_ui.ui_addresses(uri, port)
        console.info("The MLflow UI starts ...")
        try:
            with ended_by_signals(), child(command, environment, project, STDERR) as process:
                mlflow_ui.wait_for_ui(process, port)
                for study, address in addresses:
                    console.print(f"{study}: {address}")
                console.print(f"registered models: http://127.0.0.1:{port}/#/models")
                console.info(
                    "The MLflow UI is ready. Its telemetry is off, although a banner may ask. "
                    "Press Ctrl-C to stop it."
                )
                if open_browser and addresses:
                    webbrowser.open(addresses[0][1])
                raise typer.Exit(process.wait())
        except KeyboardInterrupt:
            console.info("The MLflow UI has stopped.")


def promote(
    study: FinishedStudyArgument,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="A model of the study. Default: the selected model (best CV score).",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="The split whose training side the model was fitted on. Default: "
            "speaker-independent, if the study has it.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace the champion even by a model that is no better."),
    ] = False,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Register a study's selected model in MLflow and make it the champion, which is served.

    A model replaces the champion if its CV score on the same clips is higher. Test scores are not
    used. What a prediction costs on this machine is measured and stored with it.

    - `promote capstone`: the selected model, speaker-independent
    - `promote capstone --model mlp --split speaker-dependent`: another model
    """
    with command_console() as console:
        from benchmark.project import Project
        from benchmark.tracking.cards import find_card, read_card

        name = Path(study).stem
        if name in {"", ".."}:
            raise BenchmarkError(f"promote {study}: a folder; give the name of a study.")
        folder = Project(project).features_cache / name
        card = find_card(folder, study, split, model)  # refused before heavy imports
        from benchmark.serving.command import introduce
        from benchmark.serving.cost import measure_cost
        from benchmark.tracking import model_registry
        from benchmark.tracking.store import ARTIFACTS, tracking_uri

        introduce(read_card(card), console)
        console.info("Measuring what a prediction costs ...")
        cost, uri = measure_cost(card), tracking_uri(project)
        done = model_registry.promote(card, cost, uri, project / ARTIFACTS, force=force)
        console.info(done.card.costs)
        state = "new" if done.new else "already registered"
        console.print(
            f"{model_registry.REGISTERED} version {done.version} ({state}). {done.reason}"
        )
        if done.champion:
            console.info(f"Use it: {hints.command('predict FILE')}, {hints.command('serve')}.")


def predict(
    recordings: Annotated[
        list[str],
        typer.Argument(
            help="Recordings, folders of recordings, or tables with a column `path`, and perhaps "
            "`start` and `end`.",
            show_default=False,
        ),
    ],
    timeline: Annotated[
        bool,
        typer.Option(
            "--timeline", help="Predict windows of 3 s every second, each channel separately."
        ),
    ] = False,
    as_json: JsonOption = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a CSV file, print no table.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Figure of a timeline, .png or .svg. Default: RECORDING_timeline.png in the "
            "current folder.",
        ),
    ] = None,
    model: ModelOption = "champion",
    workers: WorkersOption = None,
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Predict the emotion of recordings, and print how reliable the model is.

    - `predict call.wav clips/ list.csv`: a table
    - `predict clips/ --csv predictions.csv`: many files
    - `predict --timeline call.wav`: a long recording over time, with a figure; the channels of a
      stereo file are predicted separately

    Exit status 2 if a file could not be used; the other files are predicted.
    """
    with command_console() as console:
        from benchmark.engine.processes import Workers, available_cores
        from benchmark.project import Project
        from benchmark.serving import command
        from benchmark.serving.batch import find_files
        from benchmark.tracking.cards import read_card
        from benchmark.tracking.model_registry import resolve

        if picture is not None and not timeline:
            raise BenchmarkError(
                f"--picture {picture}: only timelines have a figure. Add --timeline."
            )
        parts = find_files(recordings)
        output = command.Output(as_json, csv, picture)
        command.check_output(output, [*map(Path, recordings), *(part.file for part in parts)])
        card = resolve(model, project)
        command.introduce(read_card(card), console)
        cache = Project(project).features_cache
        with Workers(workers or available_cores()) as pool:
            if timeline:
                complete = command.predict_over_time(parts, card, output, pool, console)
            else:
                complete = command.predict(parts, card, output, cache, pool, console)
        if not complete:
            raise typer.Exit(USER_ERROR)


HostOption = Annotated[
    str,
    typer.Option(
        help="Address to listen on. Any address but this machine's own needs a token "
        "(SER_TOKEN or --token-file)."
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File whose first line is the token that requests must send as "
        "`Authorization: Bearer TOKEN`. Alternative: the environment variable SER_TOKEN.",
    ),
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        help="A host name of the service besides its address. Can be repeated.",
    ),
]


def serve(
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 8000,
    token_file: TokenOption = None,
    allow_host: AllowHostOption = None,
    upload_mb: Annotated[float, typer.Option(min=0.001, help="Largest request body in MiB.")] = 32,
    clip_seconds: Annotated[
        float, typer.Option(min=0.1, help="Longest recording to predict, in seconds.")
    ] = 60,
    timeline_seconds: Annotated[
        float, typer.Option(min=0.1, help="Longest recording of a timeline, in seconds.")
    ] = 900,
    concurrent: Annotated[
        int, typer.Option(min=1, help="Concurrent requests; a further one gets status 429.")
    ] = 16,
    request_seconds: Annotated[
        float, typer.Option(min=0.1, help="Time limit of a request in seconds.")
    ] = 30,
    memory_mb: Annotated[
        int, typer.Option(min=64, help="Memory limit of a recording in a worker, in MiB.")
    ] = 1024,
    workers: WorkersOption = None,
    model: ModelOption = "champion",
    project: ProjectOption = CURRENT_FOLDER,
) -> None:
    """Serve a model as a REST API and a web page with a microphone, until Ctrl-C.

    By default only this machine can connect. To expose the service, set a token of at least 16
    characters and put a TLS proxy in front of it. Uploads are not stored, and no other host is
    contacted. Needs the extra `serve`.

    - `serve --port 8080`
    """
    with command_console() as console:
        from benchmark.engine.processes import available_cores
        from benchmark.serving import server
        from benchmark.serving.limits import Limits
        from benchmark.tracking.model_registry import resolve

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
            token=server.read_token(token_file),
            hosts=tuple(allow_host or ()),
            limits=limits,
            workers=workers or available_cores(),
        )
        server.serve(resolve(model, project), options, console)
