"""The page's own HTML: what the model is, what it hears, and what went wrong."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from benchmark.features.audio import SILENCE_PEAK
from benchmark.report.data_figures import emotion_colours
from benchmark.serving.analysis import Heard
from benchmark.serving.limits import Limits
from benchmark.serving.predictor import Prediction
from benchmark.serving.timeline import Timeline, Window, channel_title
from benchmark.tracking.cards import Card, Figure, Measured

LIVE_S, EVERY_S = 3.0, 1.0
"""How much of a voice that still speaks is heard, and how often."""

WAVE_HEIGHT = 60
WAVE_POINTS = 240
"""Of the waveform's picture: fewer than a phone is wide."""


def header(card: Card) -> str:
    """Return what the model is and how often it is right on voices that it has never heard."""
    return (
        '<header class="model"><h1><span class="wide">Voice to emotion: </span>'
        f'{escape(card.title)}</h1><p class="what">{_learned(card)}</p>'
        f'<p class="trust">{_trust(card)}</p></header>'
    )


def _learned(card: Card) -> str:
    """Return from what a model has learned; on a phone only that it was no human voice."""
    corpora = escape(", ".join(card.corpora))
    knows = f"; knows {len(card.emotions)} emotions."
    if card.generated:
        return (
            "<b>Learned from voices made by code, not people</b>"
            f'<span class="wide"> ({corpora}){knows}</span>'
        )
    return f'<span class="wide">Learned from {corpora}{knows}</span>'


def _trust(card: Card) -> str:
    guessing = f"guessing gets {_percent(1 / len(card.emotions))}"
    unseen = [measured for measured in card.measured if measured.unseen_speakers]
    if not unseen:
        return (
            "How often it is right on <b>voices it has never heard</b> is not known: its study did "
            f"not measure it ({guessing})."
        )
    uar = card.trust.figures["uar"]
    return (
        f"On <b>voices it has never heard</b> it is right about <b>{uar.value * 10:.0f} times in "
        f"10</b>: {_percent(uar.value)}, 95&nbsp;% interval {_interval(uar)}; {guessing}."
    )


def _interval(figure: Figure) -> str:
    return f"{figure.low * 100:.1f}–{_percent(figure.high)}"


def _percent(share: float, digits: int = 1) -> str:
    return f"{share * 100:.{digits}f}&nbsp;%"


def about(card: Card) -> str:
    """Return the model's card in words and figures, folded."""
    rows = "".join(_measured(measured) for measured in card.measured)
    facts = {
        "Question of its study": card.question,
        "Model": f"{card.title}, trained on the split {card.split}",
        "Reference": card.reference,
        "Emotions": ", ".join(card.emotions),
        "Features": f"{card.features['name']}, {card.features['columns']} numbers a recording"
        if card.features
        else "",
        "Learned from": ", ".join(card.corpora),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items())
    return (
        '<details class="about"><summary>About this model and this page</summary>'
        "<p>Your recordings are worked on by the computer that serves this page and are not kept. "
        "A model hears how a voice sounds, not what a person feels; decide nothing about anybody "
        "by it.</p>"
        f"<dl>{listed}</dl>"
        '<div class="wide"><table><caption>Measured on test recordings that it had not learned '
        "from. UAR: how often it is right, averaged over the emotions. In brackets the "
        "95&nbsp;% interval.</caption>"
        "<tr><th>speakers</th><th>recordings</th><th>UAR</th><th>accuracy</th></tr>"
        f"{rows}</table></div></details>"
    )


def _measured(measured: Measured) -> str:
    figures = "".join(
        f"<td>{_percent(figure.value)} ({_interval(figure)})</td>"
        for figure in (measured.figures["uar"], measured.figures["accuracy"])
    )
    who = f"{escape(measured.title)}, {measured.speakers}"
    return f"<tr><th>{who}</th><td>{measured.clips}</td>{figures}</tr>"


def waiting() -> str:
    """Return the place of the answers; one that changes is read aloud."""
    hint = '<p class="hint">The answer will be shown here.</p>'
    return f'<div class="said" aria-live="polite">{hint}</div>'


def problem(reason: str) -> str:
    """Return why there is no answer."""
    return f'<p class="problem" role="alert"><b>No answer.</b> {escape(reason)}</p>'


def voice(limits: Limits, samples: Iterable[str]) -> str:
    """Return what takes a voice; `page.js` makes it work.

    Parameters
    ----------
    limits : Limits
    samples : iterable of str
        Emotions of the generated voices to click.
    """
    buttons = "".join(
        f'<button data-sample="{escape(emotion)}">{escape(emotion)}</button>' for emotion in samples
    )
    return (
        f'<div class="drop" data-bytes="{limits.upload_bytes}" data-seconds="{limits.clip_s:g}" '
        f'data-live-seconds="{LIVE_S:g}" data-every-seconds="{EVERY_S:g}">'
        '<input type="file" id="voice-file" accept="audio/*,.wav,.flac,.ogg,.mp3,.aiff">'
        '<label for="voice-file">Choose a recording</label><span>or drop it here</span></div>'
        '<div class="speak"><button class="record" aria-pressed="false" data-start="Record" '
        'data-stop="Stop and hear">Record</button><button class="live" aria-pressed="false" '
        'data-start="Live" data-stop="Stop">Live</button><meter max="1" value="0" '
        'aria-label="Level of the microphone"></meter></div><p class="status" role="status"></p>'
        f'<h2>Or try a voice made by code</h2><div class="samples">{buttons}</div>'
    )


def answer(heard: Heard, limits: Limits, played: bytes | None = None) -> str:
    """Return what was heard in a recording: bars, and a waveform with the emotions over time.

    By which name its user knows the recording, only the browser can tell.

    Parameters
    ----------
    heard : Heard
    limits : Limits
    played : bytes, optional
        The recording, where the browser does not have it.
    """
    if heard.prediction is None:
        whole = (
            f'<p class="hint">Longer than {limits.clip_s:g} s: it is heard window by window, not '
            "as a whole.</p>"
        )
    else:
        whole = bars(heard.prediction)
    together = ", channels together" if heard.timeline.channels > 1 else ""
    facts = f"{heard.timeline.duration_s:.1f} s{together}"
    return (
        f'<section class="answer"><p class="facts">{facts}</p>{whole}{over_time(heard)}'
        f"{_player(played)}{_table(heard.timeline)}</section>"
    )


def bars(prediction: Prediction, ranked: bool = True) -> str:
    """Return the probabilities as bars, the largest first or each in its own place."""
    shown = list(prediction.probabilities.items())
    if ranked:
        shown.sort(key=lambda item: -item[1])
    rows = "".join(
        f"<li{' class=first' if emotion == prediction.emotion else ''}>"
        f'<span class="name">{escape(emotion)}</span>'
        f'<span class="track"><span class="bar" style="width:{probability:.2%}"></span></span>'
        f'<data class="percent" value="{probability}">{_percent(probability, 0)}</data></li>'
        for emotion, probability in shown
    )
    return (
        f'<h2 class="emotion">{escape(prediction.emotion)}</h2>'
        f'<ol class="bars" aria-label="Probability of each emotion">{rows}</ol>'
    )


def _player(played: bytes | None) -> str:
    """Return a player; of what the browser sent, `page.js` gives it the sound."""
    if played is None:
        return '<audio class="replay" controls aria-label="The recording"></audio>'
    data = base64.b64encode(played).decode()
    return f'<audio controls aria-label="The recording" src="data:audio/wav;base64,{data}"></audio>'


def over_time(heard: Heard) -> str:
    """Return each channel's waveform over the emotions of its windows."""
    timeline = heard.timeline
    emotions = sorted({window.emotion for window in timeline.windows if window.emotion})
    colours = emotion_colours(emotions)
    channels = "".join(
        _channel(timeline, number, peaks, colours) for number, peaks in enumerate(timeline.envelope)
    )
    key = "".join(
        f'<span><i style="background:{colours[emotion]}"></i>{escape(emotion)}</span>'
        for emotion in emotions
    )
    return (
        f'<figure class="timeline">{channels}'
        f'<div class="axis"><span>0 s</span><span>{timeline.duration_s / 2:.1f} s</span>'
        f"<span>{timeline.duration_s:.1f} s</span></div>"
        f'<figcaption class="key">{key}</figcaption></figure>'
    )


def _channel(
    timeline: Timeline, number: int, peaks: Sequence[float], colours: dict[str, str]
) -> str:
    title = channel_title(number, timeline.channels)
    caption = f'<p class="channel">{escape(title)}</p>' if title else ""
    strip = "".join(
        f'<i style="left:{start / timeline.duration_s:.3%};'
        f"width:{(end - start) / timeline.duration_s:.3%};"
        f'background:{colours.get(window.emotion, "transparent")}"></i>'
        for start, end, window in timeline.moments(number)
    )
    return f'{caption}{_wave(peaks)}<div class="strip" aria-hidden="true">{strip}</div>'


def _wave(envelope: Sequence[float]) -> str:
    width = max(1, -(-len(envelope) // WAVE_POINTS))
    peaks = [max(envelope[start : start + width]) for start in range(0, len(envelope), width)]
    loudest = max([*peaks, SILENCE_PEAK])
    middle = WAVE_HEIGHT / 2
    heights = [max(0.5, peak / loudest * (middle - 1)) for peak in peaks]
    path = "".join(
        f"M{place + 0.5} {middle - height:.1f}V{middle + height:.1f}"
        for place, height in enumerate(heights)
    )
    return (
        f'<svg class="wave" viewBox="0 0 {len(peaks)} {WAVE_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="Waveform"><path d="{path}"/></svg>'
    )


def _table(timeline: Timeline) -> str:
    rows = "".join(
        f"<tr><td>{window.start_s:.1f} to {window.end_s:.1f} s</td>"
        f"<td>{escape(channel_title(window.channel, timeline.channels))}</td>"
        f"<td>{escape(window.emotion or window.reason)}</td>"
        f"<td>{_certainty(window)}</td></tr>"
        for window in timeline.windows
    )
    return (
        '<details class="windows"><summary>Emotion over time, as a table</summary><table>'
        "<tr><th>window</th><th>channel</th><th>emotion</th><th>probability</th></tr>"
        f"{rows}</table></details>"
    )


def _certainty(window: Window) -> str:
    return _percent(window.probabilities[window.emotion], 0) if window.emotion else ""


def live(prediction: Prediction) -> str:
    """Return what is heard in the last seconds of a voice that speaks."""
    return f'<section class="answer">{_LIVE}{bars(prediction, ranked=False)}</section>'


def quiet(reason: str) -> str:
    """Return that nothing is heard at present."""
    return (
        f'<section class="answer">{_LIVE}<p class="hint">Listening: {escape(reason)}</p></section>'
    )


_LIVE = f'<p class="facts">Live: the last {LIVE_S:g} s</p>'
