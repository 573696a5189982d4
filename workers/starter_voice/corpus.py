"""What the student learns from: the teacher's speech, and the latents it was decoded from."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from spinbot.files import new_file
from spinbot_workers.voice.model import spectrogram
from spinbot_workers.voice.phonemes import read
from starter_voice.texts import sentences


def spoken(
    teacher: Any, count: int, *, seed: int, file: Path, say: Callable[[str], None]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pairs of spectrogram (513, T) and latents (192, T), fp16, of `count` sentences; kept in `file`.

    Speed, liveliness and length noise vary from sentence to sentence, so that the student sees more of the
    latent space than the voice's own manner of reading.
    """
    if not file.exists():
        dice = random.Random(seed)
        torch.manual_seed(seed)
        tensors: dict[str, torch.Tensor] = {}
        for number, text in enumerate(sentences(count, seed=seed)):
            if (sentence := read(text)) is None:
                continue
            teacher.length_scale = dice.uniform(0.8, 1.35)
            teacher.inference_noise_scale = dice.uniform(0.3, 1.0)
            teacher.inference_noise_scale_dp = dice.uniform(0.3, 1.0)
            with torch.inference_mode():
                out = teacher.inference(torch.tensor([sentence.ids]))
                latents = out["z"][0]  # (192, T)
                spectrum = spectrogram(out["model_outputs"][0])[0]  # (513, T)
            tensors[f"{number:05d}.z"] = latents.half().contiguous()
            tensors[f"{number:05d}.spec"] = spectrum.half().contiguous()
            if number % 50 == 49:
                say(f"spoken {number + 1} of {count} sentences")
        file.parent.mkdir(parents=True, exist_ok=True)
        with new_file(file) as temporary:
            save_file(tensors, temporary)
    with safe_open(file, "pt") as stored:
        names = sorted(name.removesuffix(".z") for name in stored.keys() if name.endswith(".z"))  # noqa: SIM118
        return [(stored.get_tensor(f"{name}.spec"), stored.get_tensor(f"{name}.z")) for name in names]


def disguised(spectrum: torch.Tensor, dice: random.Random) -> torch.Tensor:
    """(513, T) magnitudes as another throat, room and microphone might have made them, with the same timing.

    A stretched frequency axis is a higher or deeper voice with a shorter or longer throat. The latents to be found
    stay the teacher's: the student learns to hear *what* is said, in the terms of the base voice, and so the flow and
    the text encoder fit a new speaker from the first step. Equalisation, level and noise floor are the microphone's.
    """
    bins = spectrum.shape[0]
    if dice.random() < 0.6:
        factor = 2.0 ** dice.uniform(-0.5, 0.6)
        place = torch.arange(bins) / factor
        low = place.floor().long().clamp(max=bins - 1)
        high = (low + 1).clamp(max=bins - 1)
        share = (place - low).clamp(0, 1)[:, None]
        inside = (place <= bins - 1)[:, None]
        spectrum = torch.where(inside, spectrum[low] * (1 - share) + spectrum[high] * share, spectrum[-1:] * 0.3)
    knots = torch.tensor([dice.gauss(0, 4) for _ in range(8)])  # dB
    gain = torch.nn.functional.interpolate(knots[None, None], size=bins, mode="linear", align_corners=True)[0, 0]
    gain = gain + dice.uniform(-14, 10)
    spectrum = spectrum * (10 ** (gain / 20))[:, None]
    floor = 10 ** dice.uniform(-4, -1.3)
    return (spectrum**2 + (floor * torch.rand_like(spectrum)) ** 2 + 1e-6).sqrt()
