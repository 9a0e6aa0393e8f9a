"""The command ``predict``: predictions are shown, printed as JSON, or written to files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark.console import Console
from benchmark.engine.files import write_bytes, write_text
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError, escape_control
from benchmark.serving import formats
from benchmark.serving.batch import Part, predict_files, timeline_files
from benchmark.serving.formats import FileResult
from benchmark.serving.predictor import Prediction, Predictor
from benchmark.serving.timeline import Timeline
from benchmark.tracking.cards import Card, read_card


@dataclass(frozen=True)
class Output:
    """Where predictions go.

    Attributes
    ----------
    as_json : bool
        Print JSON instead of a table.
    csv : Path or None
        CSV file, written instead of a table.
    picture : Path or None
        File for the figure of a timeline; by default in the current folder, named after the
        recording.
    """

    as_json: bool = False
    csv: Path | None = None
    picture: Path | None = None


def check_output(output: Output, inputs: Iterable[Path]) -> None:
    """Refuse output files that cannot or must not be written, before any work.

    The inputs are recordings and tables, which are never overwritten.

    Raises
    ------
    BenchmarkError
        If the folder of an output file is missing, or the path is an input or not a regular file.
    """
    protected = {os.path.realpath(path) for path in inputs}
    for target in (output.csv, output.picture):
        if target is None:
            continue
        if not target.parent.is_dir():
            raise BenchmarkError(f"{target}: no folder {target.parent}. Create it first.")
        if target.is_symlink() or (target.exists() and not target.is_file()):
            raise BenchmarkError(
                f"{target}: exists and is not a regular file. Choose another file, or leave the "
                "option out to print to standard output."
            )
        if os.path.realpath(target) in protected:
            raise BenchmarkError(f"{target}: is an input. Choose another output file.")


def predict(
    parts: Sequence[Part],
    card: Path,
    output: Output,
    cache: Path,
    workers: Workers,
    console: Console,
) -> bool:
    """Predict the emotion of recordings; return whether all could be used.

    `parts` are those of `batch.find_files`, and `cache` is the folder of the features cache.

    Raises
    ------
    BenchmarkError
        If the model cannot be loaded.
    """
    model = read_card(card)
    predictions = predict_files(parts, card, cache, workers, console)
    if output.as_json:
        _print_json(formats.to_json(model, "predictions", predictions), console)
    if output.csv is not None:
        _write(output.csv, formats.to_csv(predictions, model.emotions), console)
    elif not output.as_json:
        rows = formats.table_rows(predictions)
        console.table("predictions", formats.COLUMNS, rows, words=True)
    hinted: dict[str, list[str]] = {}
    for one in predictions:
        if one.result is not None and one.result.hint:
            hinted.setdefault(one.result.hint, []).append(one.title)
    for hint, titles in hinted.items():
        others = f" and {len(titles) - 1:,} others" if len(titles) > 1 else ""
        console.info(f"{titles[0]}{others}: {hint} (--timeline)")
    return _report_unusable(predictions, console)


def predict_over_time(
    parts: Sequence[Part], card: Path, output: Output, workers: Workers, console: Console
) -> bool:
    """Predict and draw the timelines of recordings; return whether all could be used.

    The features of windows are not cached.

    Raises
    ------
    BenchmarkError
        If the model cannot be loaded, or one figure is requested for several recordings.
    """
    if output.picture is not None and len(parts) > 1:
        raise BenchmarkError(
            f"--picture {output.picture}: one file for the figures of {len(parts)} recordings. "
            "Leave the option out, or name one recording."
        )
    form = _picture_format(output.picture)
    predictor = Predictor.load(card)
    model = predictor.card
    timelines = timeline_files(parts, predictor, workers, console)
    if output.as_json:
        _print_json(formats.to_json(model, "timelines", timelines), console)
    if output.csv is not None:
        _write(output.csv, formats.timelines_to_csv(timelines, model.emotions), console)
    elif not output.as_json:
        for one in timelines:
            if one.result is not None:
                rows = formats.timeline_rows(one.result)
                console.table(one.file, formats.TIMELINE_COLUMNS, rows, words=True)
    for one, target in zip(timelines, _picture_paths(parts, output.picture), strict=True):
        if one.result is not None:
            heading = escape_control(Path(one.file).name)
            picture = formats.figure(one.result, model.emotions, heading=heading, form=form)
            write_bytes(target, picture)
            console.info(f"picture: {target}")
    return _report_unusable(timelines, console)


def introduce(card: Card, console: Console) -> None:
    """Print which model predicts, its measured performance, and what a prediction costs."""
    console.info(f"model: {card.title} ({card.reference}) of {', '.join(card.emotions)}")
    console.info(card.performance, style="bold")
    if card.calibration is None:
        console.info(card.calibrated)
    if card.cost is not None:
        console.info(card.costs)


def _report_unusable(
    results: Sequence[FileResult[Prediction | Timeline]], console: Console
) -> bool:
    unusable = [one for one in results if one.reason]
    for one in unusable:
        console.warning(f"{one.title}: {one.reason}")
    if unusable:
        console.warning(f"{len(unusable)} of {len(results)} files could not be used.")
    return not unusable


def _picture_format(picture: Path | None) -> Literal["png", "svg"]:
    suffix = ".png" if picture is None else picture.suffix.lower()
    if suffix not in {".png", ".svg"}:
        raise BenchmarkError(f"--picture {picture}: must end in .png or .svg.")
    return "svg" if suffix == ".svg" else "png"


def _picture_paths(parts: Sequence[Part], picture: Path | None) -> list[Path]:
    """Return a file for the figure of each recording; files of the same name are numbered."""
    if picture is not None:
        return [picture]
    counts: dict[str, int] = {}
    paths = []
    for stem in (part.file.stem for part in parts):
        counts[stem] = counts.get(stem, 0) + 1
        number = f"_{counts[stem]}" if counts[stem] > 1 else ""
        paths.append(Path(f"{stem}_timeline{number}.png"))
    return paths


def _print_json(text: str, console: Console) -> None:
    console.output.out(text, highlight=False, end="")


def _write(target: Path, text: str, console: Console) -> None:
    write_text(target, text)
    console.info(f"table: {target}")
