"""How alike two voices sound, by the speaker encoder that the package resemblyzer carries.

Only its weights are used: importing the package pulls in a voice activity detector that needs a compiler and
setuptools' long gone pkg_resources. Silence is trimmed by loudness here instead.

Paper: Wan, Wang, Papir, Lopez Moreno 2018, "Generalized End-to-End Loss for Speaker Verification".
Source: resemblyzer/voice_encoder.py, resemblyzer/audio.py.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spinbot.errors import JobFailed
from spinbot_workers.voice.audio import SAMPLE_RATE, Samples, resample

RATE = 16_000
PART = 160
"""Frames of 10 ms that are embedded at once; the parts of a long recording are averaged."""
EVERY = 77
LOUDNESS = -30.0
"""dBFS that quieter recordings are raised to."""


class Encoder(nn.Module):
    """(B, PART, 40) mel power -> (B, 256) unit vectors with no negative numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(mels)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


def similarity(one: Samples, other: Samples) -> float:
    """Cosine of two speaker embeddings, in [0, 1]; two recordings of one speaker give about 0.9.

    Args:
        one, other: (n,) mono float32 at SAMPLE_RATE, of about two seconds or more.
    """
    return float(np.dot(embedding(one), embedding(other)))


@torch.no_grad()
def embedding(samples: Samples) -> npt.NDArray[np.float32]:
    """(256,) unit vector of who speaks."""
    wave = _spoken(resample(samples, SAMPLE_RATE, RATE))
    frames = int(np.ceil((len(wave) + 1) / 160))
    starts = list(range(0, max(1, frames - PART + EVERY + 1), EVERY))
    if len(starts) > 1 and (len(wave) - starts[-1] * 160) / (PART * 160) < 0.75:
        starts.pop()
    padded = np.pad(wave, (0, max(0, (starts[-1] + PART) * 160 - len(wave))))
    mel = _mel(torch.from_numpy(padded))  # (frames, 40)
    parts = _encoder()(torch.stack([mel[start : start + PART] for start in starts]))
    mean = parts.mean(dim=0)
    return np.asarray((mean / mean.norm()).numpy(), dtype=np.float32)


def _mel(wave: torch.Tensor) -> torch.Tensor:
    spectrum = torch.stft(
        wave, 400, 160, 400, torch.hann_window(400), center=True, pad_mode="constant", return_complex=True
    )
    return (_filters() @ spectrum.abs().square()).T


def _spoken(wave: Samples) -> Samples:
    """Raised to LOUDNESS, pauses of more than 0.2 s taken out."""
    rms = float(np.sqrt((wave.astype(np.float64) ** 2).mean()))
    if rms == 0.0:
        return wave
    wave = wave * np.float32(max(1.0, 10 ** ((LOUDNESS - 20 * np.log10(rms)) / 20)))
    window = RATE * 3 // 100
    count = len(wave) // window
    if count < 10:
        return wave
    level = np.sqrt((wave[: count * window].reshape(count, window).astype(np.float64) ** 2).mean(axis=1))
    loud = level > 0.05 * np.percentile(level, 95)
    near = np.convolve(loud, np.ones(7), mode="same") > 0.5
    kept = np.repeat(near, window)
    return np.asarray(wave[: count * window][kept], dtype=np.float32) if kept.any() else wave


@cache
def _filters() -> torch.Tensor:
    from librosa.filters import mel

    return torch.from_numpy(mel(sr=RATE, n_fft=400, n_mels=40))


@cache
def _encoder() -> Encoder:
    found = find_spec("resemblyzer")
    if found is None or not found.submodule_search_locations:
        raise JobFailed("resemblyzer is not installed, and it measures voices", hint="pip install resemblyzer")
    weights = Path(next(iter(found.submodule_search_locations))) / "pretrained.pt"
    encoder = Encoder()
    # weights_only: tensors, no code; `similarity_*` in the file belong to its training loss
    state = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
    encoder.load_state_dict({name: value for name, value in state.items() if not name.startswith("similarity")})
    return encoder.eval()
