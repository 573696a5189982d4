"""Which mouth shape each video frame shows: what is said by the phonemes, how far open by the loudness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from spinbot_workers.voice.speak import Phoneme, Speech

Mouth = Literal["closed", "small", "round", "open", "wide", "teeth", "smile"]
MOUTHS: tuple[Mouth, ...] = ("closed", "small", "round", "open", "wide", "teeth", "smile")

CLOSED = frozenset("mbp")
"""Lips meet, however loud the sound."""
TEETH = frozenset("szʃʒfvθðtdɾ")
ROUND = frozenset("ouwʊɔʉɒ")
VOICED_WIDE = frozenset("iɪeɛj")
QUIET = 0.12
"""Below this share of the speech's own loud level the mouth is closed."""
AHEAD = 0.04
"""Seconds a mouth is ahead of its sound: lips move before they are heard."""


def mouth_per_frame(speech: Speech, *, fps: int) -> list[Mouth]:
    """One mouth for each of ceil(seconds * fps) frames; the last half second, when silent, is a smile."""
    loud = loudness(speech.samples, sample_rate=speech.sample_rate, fps=fps)
    mouths = [
        mouth(_phoneme_at(speech.phonemes, (index + 0.5) / fps + AHEAD), float(level))
        for index, level in enumerate(loud)
    ]
    return _settled(mouths)


def mouth(symbol: str, level: float) -> Mouth:
    """The shape for one IPA symbol ("" where unknown) at `level` in [0, 1] of the speech's loud level."""
    if level < QUIET or (symbol and symbol[0] in CLOSED):
        return "closed"
    if symbol and symbol[0] in TEETH:
        return "teeth" if level < 0.6 else "small"
    if symbol and symbol[0] in ROUND:
        return "small" if level < 0.3 else "round"
    if level < 0.35:
        return "small"
    return "wide" if level > 0.75 and not (symbol and symbol[0] in VOICED_WIDE) else "open"


def loudness(samples: npt.NDArray[np.float32], *, sample_rate: int, fps: int) -> npt.NDArray[np.float64]:
    """RMS in each video frame over the 95th percentile of all frames, clipped to [0, 1].

    Args:
        samples: (n,) in [-1, 1].

    Returns:
        (ceil(n / sample_rate * fps),); zeros for silence.
    """
    count = int(np.ceil(len(samples) / sample_rate * fps))
    edges = np.minimum(np.arange(count + 1) * sample_rate // fps, len(samples))
    power = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    rms = np.sqrt((power[edges[1:]] - power[edges[:-1]]) / np.maximum(1, np.diff(edges)))
    peak = float(np.percentile(rms, 95)) if count else 0.0
    level: npt.NDArray[np.float64] = np.clip(rms / peak, 0, 1) if peak > 0 else np.zeros(count)
    return level


def _phoneme_at(phonemes: list[Phoneme], time: float) -> str:
    return next((p.symbol for p in phonemes if p.start <= time < p.end), "")


def _settled(mouths: list[Mouth]) -> list[Mouth]:
    """Without shapes of a single frame between two alike: they flicker. A closed one stays: it is a p or an m."""
    calm = list(mouths)
    for index in range(1, len(mouths) - 1):
        if calm[index - 1] == mouths[index + 1] != mouths[index] != "closed":
            calm[index] = calm[index - 1]
    return calm
