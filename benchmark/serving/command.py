"""What ``predict`` does: files are answered, then shown, printed or written as was asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmark.console import Console, escape_control
from benchmark.engine.files import write_bytes, write_text
from benchmark.engine.processes import Workers
from benchmark.errors import BenchmarkError
from benchmark.serving import answers
from benchmark.serving.answers import Answer, FileTimeline
from benchmark.serving.batch import predict_files, timeline_files
from benchmark.serving.predictor import Predictor
from benchmark.tracking.cards import Card, read_card


@dataclass(frozen=True)
class Output:
    """How answers are told.

    Attributes
    ----------
    as_json : bool
        Print JSON in place of a table.
    csv : Path or None
        Write a table there in place of showing it.
    picture : Path or None
        Where a timeline is drawn; by default in the current folder, after the recording.
    """

    as_json: bool = False
    csv: Path | None = None
    picture: Path | None = None


def check_output(output: Output, named: Iterable[Path]) -> None:
    """Refuse places that can't or shouldn't be written to, before any work is done for them.

    Parameters
    ----------
    output : Output
    named : iterable of Path
        Recordings and tables, which no answer may overwrite.

    Raises
    ------
    BenchmarkError
        If a place is in no folder, or is something other than a file of answers.
    """
    kept = {os.path.realpath(path) for path in named}
    for target in (output.csv, output.picture):
        if target is None:
            continue
        if not target.parent.is_dir():
            raise BenchmarkError(f"{target}: there is no folder {target.parent}. Make it first.")
        if target.is_symlink() or (target.exists() and not target.is_file()):
            raise BenchmarkError(
                f"{target}: is there already, and is no plain file. Name another; standard output "
                "gets the answers where no file is named."
            )
        if os.path.realpath(target) in kept:
            raise BenchmarkError(f"{target}: was named to be read. Write the answers elsewhere.")


def predict(
    files: Sequence[Path],
    card: Path,
    output: Output,
    cache: Path,
    workers: Workers,
    console: Console,
) -> bool:
    """Tell which emotion each recording shows; return whether all could be used.

    Parameters
    ----------
    files : sequence of Path
        From `files.find_files`.
    card : Path
        Of the model.
    output : Output
    cache : Path
        Folder of the features cache.
    workers : Workers
    console : Console

    Raises
    ------
    BenchmarkError
        If the model can't be loaded.
    """
    told = read_card(card)
    found = predict_files(files, card, cache, workers, console)
    if output.as_json:
        console.output.out(answers.to_json(told, found), highlight=False, end="")
    if output.csv is not None:
        _write(output.csv, answers.to_csv(found, told.emotions), console)
    elif not output.as_json:
        console.table("predictions", answers.COLUMNS, answers.table_rows(found), words=True)
    return _said_of_unusable(found, console)


def predict_over_time(
    files: Sequence[Path], card: Path, output: Output, workers: Workers, console: Console
) -> bool:
    """Tell which emotions recordings show over time, and draw them; return whether all could be.

    Parameters are those of `predict`; windows are not cached.

    Raises
    ------
    BenchmarkError
        As `predict` does, and for one picture of several recordings.
    """
    if output.picture is not None and len(files) > 1:
        raise BenchmarkError(
            f"--picture {output.picture}: there are {len(files)} recordings, each of which has a "
            "picture of its own. Leave the option out, or name one recording."
        )
    form = _form(output.picture)
    told = read_card(card)
    found = timeline_files(files, Predictor.load(card), workers, console)
    if output.as_json:
        console.output.out(answers.timelines_to_json(told, found), highlight=False, end="")
    if output.csv is not None:
        _write(output.csv, answers.timelines_to_csv(found, told.emotions), console)
    elif not output.as_json:
        for one in found:
            if one.timeline is not None:
                rows = answers.timeline_rows(one.timeline)
                console.table(one.file, answers.TIMELINE_COLUMNS, rows, words=True)
    for one, target in zip(found, _pictures(files, output.picture), strict=True):
        if one.timeline is not None:
            heading = escape_control(Path(one.file).name)
            drawn = answers.picture(one.timeline, told.emotions, heading=heading, form=form)
            write_bytes(target, drawn)
            console.info(f"picture: {target}")
    return _said_of_unusable(found, console)


def introduce(card: Card, console: Console) -> None:
    """Say which model answers and how far to trust it."""
    console.info(f"model: {card.title} ({card.reference})")
    console.info(trust_sentence(card), style="bold")


def trust_sentence(card: Card) -> str:
    """Return how often a model is right, on speakers it has never heard where that was measured."""
    trust = card.trust
    figure = trust.figures["uar"]
    learned = " It learned from generated speech, not from people." if card.generated else ""
    heard = (
        "on speakers it has never heard"
        if trust.unseen_speakers
        else "on speakers it knows; on others it was not measured"
    )
    return (
        f"UAR {figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}] {heard}; guessing gives "
        f"{1 / len(card.emotions):.3f}.{learned}"
    )


def _said_of_unusable(found: Sequence[Answer | FileTimeline], console: Console) -> bool:
    unusable = [one for one in found if one.reason]
    for one in unusable:
        console.warning(f"{one.file}: {one.reason}")
    if unusable:
        console.info(
            f"{len(unusable)} of {len(found)} files could not be used; the others are answered.",
            style="bold red",
        )
    return not unusable


def _form(picture: Path | None) -> Literal["png", "svg"]:
    ending = ".png" if picture is None else picture.suffix.lower()
    if ending not in {".png", ".svg"}:
        raise BenchmarkError(f"--picture {picture}: must end in .png or .svg.")
    return "svg" if ending == ".svg" else "png"


def _pictures(files: Sequence[Path], picture: Path | None) -> list[Path]:
    """Return where each recording's timeline is drawn; two of one name don't share a picture."""
    if picture is not None:
        return [picture]
    taken: dict[str, int] = {}
    targets = []
    for file in files:
        taken[file.stem] = taken.get(file.stem, 0) + 1
        number = f"_{taken[file.stem]}" if taken[file.stem] > 1 else ""
        targets.append(Path(f"{file.stem}_timeline{number}.png"))
    return targets


def _write(target: Path, text: str, console: Console) -> None:
    write_text(target, text)
    console.info(f"table: {target}")
