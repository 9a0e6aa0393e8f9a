"""Pretrained speech encoders by name: repository, commit, size, licence and training data.

Importing this module imports nothing heavy: lists, checks and downloads read it without the extra.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.engine.files import user_path

FOLDER_VARIABLE = "SER_ENCODERS"
"""Environment variable of the folder in which each network has a folder of its name."""

ENGLISH_960_H = "960 h of read English without labels (LibriSpeech)"
ENGLISH_60000_H = "60,000 h of read English without labels (Libri-Light)"
ENGLISH_94000_H = "94,000 h of English without labels (Libri-Light, GigaSpeech, VoxPopuli)"
TRANSCRIBED_680000_H = "680,000 h of speech in 97 languages with transcripts, from the web"


@dataclass(frozen=True)
class Encoder:
    """A published network of which the encoder is used.

    Attributes
    ----------
    name : str
        Name in study files, after ``embedding:``.
    hub : str
        Its repository on the Hugging Face Hub.
    revision : str
        Commit of the repository, so that the weights never change.
    sample_rate_hz : int
        Sample rate of its input.
    n_layers, width : int
        Number of layers after the input layer, and size of a hidden state.
    n_parameters : int
        Parameters of the encoder alone.
    download_mb : int
        Size of the weights to download (1 MB = 10^6 bytes), with a decoder where there is one.
    licence : str
        Of the weights, as their page on the hub states or links it, by its SPDX name.
    trained_on : str
        What it learnt from, in plain words.
    tuned_on : tuple of str
        Corpora, by our names, on whose emotion labels it was tuned.
    """

    name: str
    hub: str
    revision: str
    sample_rate_hz: int
    n_layers: int
    width: int
    n_parameters: int
    download_mb: int
    licence: str
    trained_on: str
    tuned_on: tuple[str, ...] = ()


ENCODERS: dict[str, Encoder] = {
    encoder.name: encoder
    for encoder in (
        Encoder(
            name="whisper-tiny.en",
            hub="openai/whisper-tiny.en",
            revision="87c7102498dcde7456f24cfd30239ca606ed9063",
            sample_rate_hz=16_000,
            n_layers=4,
            width=384,
            n_parameters=8_208_384,
            download_mb=151,
            licence="Apache-2.0",
            trained_on="438,000 h of English speech with transcripts, from the web",
        ),
        Encoder(
            name="whisper-base",
            hub="openai/whisper-base",
            revision="e37978b90ca9030d5170a5c07aadb050351a65bb",
            sample_rate_hz=16_000,
            n_layers=6,
            width=512,
            n_parameters=20_590_592,
            download_mb=290,
            licence="Apache-2.0",
            trained_on=TRANSCRIBED_680000_H,
        ),
        Encoder(
            name="whisper-small",
            hub="openai/whisper-small",
            revision="973afd24965f72e36ca33b3055d56a652f456b4d",
            sample_rate_hz=16_000,
            n_layers=12,
            width=768,
            n_parameters=88_154_112,
            download_mb=967,
            licence="Apache-2.0",
            trained_on=TRANSCRIBED_680000_H,
        ),
        Encoder(
            name="whisper-large-v3",
            hub="openai/whisper-large-v3",
            revision="06f233fe06e710322aca913c1bc4249a0d71fce1",
            sample_rate_hz=16_000,
            n_layers=32,
            width=1280,
            n_parameters=636_968_960,
            download_mb=3087,
            licence="Apache-2.0",
            trained_on="5,000,000 h of speech from the web, a fifth with transcripts of their own, "
            "the rest transcribed by an earlier Whisper",
        ),
        Encoder(
            name="wavlm-base-plus",
            hub="microsoft/wavlm-base-plus",
            revision="4c66d4806a428f2e922ccfa1a962776e232d487b",
            sample_rate_hz=16_000,
            n_layers=12,
            width=768,
            n_parameters=94_381_936,
            download_mb=378,
            licence="CC-BY-SA-3.0",
            trained_on=ENGLISH_94000_H,
        ),
        Encoder(
            name="wavlm-large",
            hub="microsoft/wavlm-large",
            revision="c1423ed94bb01d80a3f5ce5bc39f6026a0f4828c",
            sample_rate_hz=16_000,
            n_layers=24,
            width=1024,
            n_parameters=315_453_120,
            download_mb=1262,
            licence="CC-BY-SA-3.0",
            trained_on=ENGLISH_94000_H,
        ),
        Encoder(
            name="hubert-base",
            hub="facebook/hubert-base-ls960",
            revision="dba3bb02fda4248b6e082697eee756de8fe8aa8a",
            sample_rate_hz=16_000,
            n_layers=12,
            width=768,
            n_parameters=94_371_712,
            download_mb=378,
            licence="Apache-2.0",
            trained_on=ENGLISH_960_H,
        ),
        Encoder(
            name="hubert-large",
            hub="facebook/hubert-large-ll60k",
            revision="ff022d095678a2995f3c49bab18a96a9e553f782",
            sample_rate_hz=16_000,
            n_layers=24,
            width=1024,
            n_parameters=315_438_720,
            download_mb=1262,
            licence="Apache-2.0",
            trained_on=ENGLISH_60000_H,
        ),
        Encoder(
            name="wav2vec2-base",
            hub="facebook/wav2vec2-base",
            revision="0b5b8e868dd84f03fd87d01f9c4ff0f080fecfe8",
            sample_rate_hz=16_000,
            n_layers=12,
            width=768,
            n_parameters=94_371_712,
            download_mb=380,
            licence="Apache-2.0",
            trained_on=ENGLISH_960_H,
        ),
        Encoder(
            name="wav2vec2-large-robust",
            hub="facebook/wav2vec2-large-robust",
            revision="2493a2c576276145c3e066d9243b0e391fab673a",
            sample_rate_hz=16_000,
            n_layers=24,
            width=1024,
            n_parameters=315_438_720,
            download_mb=1270,
            licence="Apache-2.0",
            trained_on="read, recorded and telephone English without labels (Libri-Light, Common "
            "Voice, Switchboard, Fisher)",
        ),
        Encoder(
            name="wav2vec2-large-robust-12-ft-emotion-msp-dim",
            hub="audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim",
            revision="6eba34a2485ea31cb03600241787c3a5edab8626",
            sample_rate_hz=16_000,
            n_layers=12,
            width=1024,
            n_parameters=164_284_032,
            download_mb=661,
            licence="CC-BY-NC-SA-4.0",
            trained_on="as wav2vec2-large-robust, of which it has 12 layers, tuned to arousal, "
            "dominance and valence",
            tuned_on=("msp_podcast",),
        ),
    )
}
"""Encoders by name. Parameters are counted in the architecture of each by transformers 5."""


def folders(name: str) -> Iterator[Path]:
    """Yield the folders that a name in a study may mean: its own path, then in `FOLDER_VARIABLE`.

    The name of one of our encoders is no path.
    """
    if name not in ENCODERS:
        yield user_path(name).resolve()
    if root := os.environ.get(FOLDER_VARIABLE):
        yield (user_path(root) / name).resolve()
