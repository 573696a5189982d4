"""Saying things in a learned voice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from spinbot.errors import BadInput, JobFailed
from spinbot_workers.voice.audio import Samples
from spinbot_workers.voice.model import HOP, SAMPLE_RATE, load_vits
from spinbot_workers.voice.phonemes import BEGIN, END, Sentence, sentences

PAUSE = 0.25
"""Seconds between sentences."""
SPEEDS = (0.25, 4.0)
LOUD = 0.9


@dataclass(frozen=True)
class Phoneme:
    """One IPA symbol and when it sounds; `start` and `end` in seconds of the speech."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True)
class Speech:
    """`samples`: (n,) mono float32 in [-1, 1]."""

    samples: Samples
    sample_rate: int
    phonemes: list[Phoneme]


class Speaker:
    """A voice, loaded."""

    def __init__(self, vits: Any, *, device: str = "cpu") -> None:
        self._vits = vits.to(device).eval()
        self._device = device

    @classmethod
    def load(cls, voice: Path | None, *, starter: Path, device: str) -> Speaker:
        """The voice in folder `voice`, or the starter voice for None.

        Raises:
            JobFailed: the folder is gone or damaged, or was learned on another starter voice.
        """
        vits = load_vits(starter)
        if voice is not None:
            wear(vits, voice / "model.safetensors")
        return cls(vits, device=device)

    @torch.inference_mode()
    def say(
        self,
        text: str,
        *,
        seed: int,
        speed: float = 1.0,
        on_step: Callable[[int, int], None] = lambda step, total: None,
    ) -> Speech:
        """Speak `text` sentence by sentence; `on_step(spoken, of)` may raise to stop in between.

        The same seed gives the same speech. Each sentence draws from a seed of its own, so that an edit at the end of
        a text does not change its beginning.

        Raises:
            BadInput: there is nothing to say, or `speed` is outside SPEEDS.
        """
        if not SPEEDS[0] <= speed <= SPEEDS[1]:
            raise BadInput(f"speed {speed:g} is outside {SPEEDS[0]:g} to {SPEEDS[1]:g}")
        todo = sentences(text)
        on_step(0, len(todo))
        waves: list[Samples] = []
        phonemes: list[Phoneme] = []
        begin = 0.0
        for number, sentence in enumerate(todo):
            wave, durations = self._one(sentence, seed=seed + number, speed=speed)
            phonemes += timed(sentence, durations, begin=begin)
            pause = np.zeros(int(PAUSE / speed * SAMPLE_RATE) if number + 1 < len(todo) else 0, dtype=np.float32)
            waves += [wave, pause]
            begin += (len(wave) + len(pause)) / SAMPLE_RATE
            on_step(number + 1, len(todo))
        return Speech(_level(np.concatenate(waves)), SAMPLE_RATE, phonemes)

    def _one(self, sentence: Sentence, *, seed: int, speed: float) -> tuple[Samples, Sequence[int]]:
        self._vits.length_scale = 1.0 / speed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # Coqui draws from the global generator
            out = self._vits.inference(torch.tensor([sentence.ids], device=self._device))
        wave = out["model_outputs"][0, 0].float().cpu().numpy()
        durations = out["durations"][0, 0].int().tolist()  # latent frames of each symbol
        return wave, durations


def wear(vits: Any, weights: Path) -> None:
    """Put a learned voice's tensors over the starter's, in place. Raises JobFailed when they do not fit."""
    try:
        changed = {name: tensor.float() for name, tensor in load_file(weights).items()}
    except (OSError, SafetensorError) as error:
        raise JobFailed(f"{weights} cannot be read: {error}", hint="train the voice again") from error
    if unknown := changed.keys() - vits.state_dict().keys():
        raise JobFailed(f"{weights} is not a voice for this starter: {min(unknown)}", hint="train the voice again")
    vits.load_state_dict(changed, strict=False)


def timed(sentence: Sentence, durations: Sequence[int], *, begin: float) -> list[Phoneme]:
    """The symbols that sound, with their times; a blank's frames go to the symbol before it."""
    found: list[Phoneme] = []
    frame = 0
    for symbol, frames in zip(sentence.symbols, durations, strict=True):
        start, frame = frame, frame + int(frames)
        end_time = begin + frame * HOP / SAMPLE_RATE
        if symbol == "" and found:
            found[-1] = Phoneme(found[-1].symbol, found[-1].start, end_time)
        elif symbol not in ("", BEGIN, END, "ˈ", "ˌ"):
            found.append(Phoneme(symbol, begin + start * HOP / SAMPLE_RATE, end_time))
        elif found:  # a stress mark takes a frame or two as well
            found[-1] = Phoneme(found[-1].symbol, found[-1].start, end_time)
    return found


def _level(samples: Samples) -> Samples:
    """Raised or lowered so that the loudest sample is LOUD; silence stays silence."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples * np.float32(LOUD / peak) if peak > 1e-4 else samples
