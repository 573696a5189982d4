"""The fine-tuning step: what one clip and its words teach the base voice about a new speaker."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from spinbot_workers.voice.model import HOP, SAMPLE_RATE, spectrogram

LEARNED = ("flow.", "posterior_encoder.", "waveform_decoder.")
"""Learned parts. The text encoder and the durations stay the base voice's: trained on a minute of speech they
forget how words sound."""


@dataclass(frozen=True)
class Recipe:
    """What was found to work; see docs/voice.md for what did not."""

    learning_rate: float = 2e-4
    slow: float = 0.25
    """Share of the learning rate for the flow and the posterior encoder."""
    batch: int = 2
    frames: int = 128
    """Latent frames of a clip that are decoded in a step: sound is what costs, and neighbours teach the same."""
    kl: float = 1.0
    mel: float = 10.0
    average: float = 0.98
    """Decay of the moving average of the weights, which is what is kept."""


@dataclass(frozen=True)
class Example:
    """A clip as the model takes it: ids (T_text,), samples (n,), spectrum (513, T)."""

    ids: torch.Tensor
    samples: torch.Tensor
    spectrum: torch.Tensor


def example(ids: Sequence[int], samples: torch.Tensor) -> Example:
    whole = samples[: len(samples) // HOP * HOP]
    return Example(torch.tensor(ids, device=samples.device), whole, spectrogram(whole[None])[0])


def parameter_groups(vits: Any, recipe: Recipe) -> list[dict[str, Any]]:
    """Freezes what is not LEARNED; the decoder learns fastest."""
    vits.requires_grad_(False)
    groups: list[dict[str, Any]] = []
    for part, share in ((vits.waveform_decoder, 1.0), (vits.flow, recipe.slow), (vits.posterior_encoder, recipe.slow)):
        part.requires_grad_(True)
        groups.append({"params": list(part.parameters()), "lr": recipe.learning_rate * share, "share": share})
    return groups


@dataclass(frozen=True)
class Losses:
    """Of one step; `kl` in nats a latent frame, `mel` in natural-log units."""

    loss: torch.Tensor
    kl: torch.Tensor
    mel: torch.Tensor


def losses(vits: Any, batch: Sequence[Example], recipe: Recipe, dice: random.Random) -> Losses:
    """Draws segments with `dice` and noise from torch's generator; differentiable in the LEARNED parts."""
    kl = torch.zeros((), device=batch[0].samples.device)
    segments: list[torch.Tensor] = []  # (192, frames)
    targets: list[torch.Tensor] = []  # (frames * HOP,)
    for item in batch:
        latents, divergence = _latents(vits, item)
        kl = kl + divergence / len(batch)
        length = latents.shape[2]
        frames = min(recipe.frames, length)
        start = dice.randint(0, length - frames)
        pad = recipe.frames - frames
        segments.append(torch.nn.functional.pad(latents[0, :, start : start + frames], (0, pad)))
        targets.append(torch.nn.functional.pad(item.samples[start * HOP : (start + frames) * HOP], (0, pad * HOP)))
    with half(kl.device):
        sound = vits.waveform_decoder(torch.stack(segments))  # (B, 1, frames * HOP)
    mel = mel_distance(sound.float()[:, 0], torch.stack(targets))
    return Losses(recipe.kl * kl + recipe.mel * mel, kl.detach(), mel.detach())


def half(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware has it: 1.6 times as fast on such a processor, and slower than float32 on others."""
    capable = torch.cuda.is_bf16_supported() if device.type == "cuda" else _bf16_processor()
    return torch.autocast(device.type, torch.bfloat16, enabled=capable and device.type in ("cpu", "cuda"))


@cache
def _bf16_processor() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported())


def _latents(vits: Any, item: Example) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents of the sound (1, 192, T), and how far they are from what the words let expect: KL, nats a frame."""
    device = item.spectrum.device
    lengths = torch.tensor([item.spectrum.shape[1]], device=device)
    with torch.no_grad():
        _, means, log_scales, _ = vits.text_encoder(
            item.ids[None], torch.tensor([len(item.ids)], device=device), lang_emb=None
        )
    with half(device):
        latents, _, log_scale, mask = vits.posterior_encoder(item.spectrum[None], lengths)
        flowed = vits.flow(latents, mask)
    latents, log_scale, flowed = latents.float(), log_scale.float(), flowed.float()
    path = alignment(flowed.detach(), means, log_scales)  # (1, T_text, T)
    means, log_scales = means @ path, log_scales @ path  # (1, 192, T)
    divergence = log_scales - log_scale - 0.5 + 0.5 * (flowed - means) ** 2 * torch.exp(-2.0 * log_scales)
    return latents, divergence.sum(dim=1).mean()


@torch.no_grad()
def alignment(flowed: torch.Tensor, means: torch.Tensor, log_scales: torch.Tensor) -> torch.Tensor:
    """(B, T_text, T) zeros and ones: the monotonic path of greatest likelihood (the paper, section 2.2.1)."""
    from monotonic_alignment_search import maximum_path

    precision = torch.exp(-2 * log_scales)
    likelihood = (
        (-0.5 * math.log(2 * math.pi) - log_scales).sum(1)[:, :, None]
        + precision.transpose(1, 2) @ (-0.5 * flowed**2)
        + (means * precision).transpose(1, 2) @ flowed
        - (0.5 * means**2 * precision).sum(1)[:, :, None]
    )
    path: torch.Tensor = maximum_path(likelihood, torch.ones_like(likelihood))
    return path


def mel_distance(sound: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of log mel spectra at three resolutions; both (B, n)."""
    total = torch.zeros((), device=sound.device)
    for size in (512, 1024, 2048):
        total = total + (_log_mel(sound, size) - _log_mel(target, size)).abs().mean() / 3
    return total


def _log_mel(samples: torch.Tensor, size: int) -> torch.Tensor:
    window, filters = _mel_parts(size, samples.device)
    spectrum = torch.stft(samples, size, size // 4, size, window, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    return torch.log((filters @ torch.sqrt(power + 1e-9)).clamp_min(1e-5))


@cache
def _mel_parts(size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    from librosa.filters import mel

    filters = torch.from_numpy(mel(sr=SAMPLE_RATE, n_fft=size, n_mels=min(80, size // 12)))
    return torch.hann_window(size, device=device), filters.to(device)


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate: five steps of warm-up, then a cosine to a twentieth."""
    if step < 5:
        return (step + 1) / 5
    return 0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * (step - 5) / max(1, steps - 5)))


def batches(count: int, recipe: Recipe, *, seed: int, step: int) -> Iterator[int]:
    """Indices of the clips of `step`: each clip comes once before any comes again, in an order of the seed's."""
    for place in range(step * recipe.batch, (step + 1) * recipe.batch):
        order = list(range(count))
        random.Random(f"{seed}-{place // count}").shuffle(order)
        yield order[place % count]
