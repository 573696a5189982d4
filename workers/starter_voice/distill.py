"""Learn the posterior encoder that the base voice's ONNX lacks, by distillation.

The teacher speaks; its latents z are known. The student reads the spectrogram of that speech and says N(m, s); the
loss is the negative log-likelihood of z. No recording of anybody is needed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from spinbot.files import new_file
from spinbot_workers.voice.finetune import half
from spinbot_workers.voice.starter import from_onnx, onnx_path
from starter_voice.corpus import disguised, spoken


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    sentences: int = 500
    steps: int = 6000
    seed: int = 0
    batch: int = 6
    frames: int = 128
    learning_rate: float = 6e-4
    checkpoint_every: int = 250


@dataclass(frozen=True)
class Outcome:
    """Negative log-likelihoods a latent dimension on held-out sentences, plain and disguised; CPU seconds."""

    plain: float
    disguised: float
    first_loss: float
    last_loss: float
    cpu_seconds: float


def distill(plan: Plan, *, work: Path, out: Path, say: Callable[[str], None] = print) -> Outcome:
    """Train, going on from `work`'s last checkpoint, and write the student to `out` as fp16."""
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(plan.seed)
    teacher = from_onnx(onnx_path())  # its posterior encoder is random: the student
    pairs = spoken(
        teacher, plan.sentences, seed=plan.seed, file=work / f"corpus-{plan.sentences}-{plan.seed}.safetensors", say=say
    )
    held_out, pairs = pairs[: max(1, len(pairs) // 25)], pairs[max(1, len(pairs) // 25) :]
    pairs = [pair for pair in pairs if pair[0].shape[1] >= plan.frames]

    student = teacher.posterior_encoder
    optimizer = torch.optim.AdamW(student.parameters(), lr=plan.learning_rate, betas=(0.8, 0.99), weight_decay=0.01)
    start, cpu, first, recent = _resume(work / "student.safetensors", student, optimizer)
    student.train()
    began = time.process_time()
    for step in range(start, plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * _schedule(step, plan.steps)
        dice = random.Random(plan.seed * 1_000_003 + step)  # of the step, so that a resumed run is the same run
        torch.manual_seed(plan.seed * 1_000_003 + step)
        spectra, latents = _batch(pairs, plan, dice)  # (B, 513, T), (B, 192, T)
        with half(spectra.device):
            mean, log_scale = _read(student, spectra)
        loss = likelihood(latents, mean.float(), log_scale.float())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        first = loss.item() if first is None else first
        recent = loss.item() if recent is None else 0.98 * recent + 0.02 * loss.item()
        if (step + 1) % plan.checkpoint_every == 0 or step + 1 == plan.steps:
            spent = cpu + time.process_time() - began
            _checkpoint(work / "student.safetensors", student, optimizer, step + 1, spent, first, recent)
            write_weights(student, out)
            plain, hidden = judge(student, held_out, seed=plan.seed)
            say(
                f"step {step + 1} of {plan.steps}: loss {recent:.3f}, held out {plain:.3f}, disguised {hidden:.3f}, "
                f"{spent:.0f} CPU s"
            )
    write_weights(student, out)
    plain, hidden = judge(student, held_out, seed=plan.seed)
    assert first is not None
    assert recent is not None
    return Outcome(plain, hidden, first, recent, cpu + time.process_time() - began)


def likelihood(latents: torch.Tensor, mean: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of `latents` under N(mean, exp(log_scale)), per number; all (B, 192, T)."""
    return (log_scale + 0.5 * ((latents - mean) * torch.exp(-log_scale)) ** 2 + 0.9189385).mean()


@torch.no_grad()
def judge(student: Any, pairs: list[tuple[torch.Tensor, torch.Tensor]], *, seed: int) -> tuple[float, float]:
    """Likelihood on whole held-out sentences, as spoken and disguised (the same disguises each time)."""
    student.eval()
    dice, sums = random.Random(seed), [0.0, 0.0]
    for spectrum, latents in pairs:
        for index, seen in enumerate((spectrum.float(), disguised(spectrum.float(), dice))):
            mean, log_scale = _read(student, seen[None])
            sums[index] += float(likelihood(latents.float()[None], mean, log_scale)) / len(pairs)
    student.train()
    return sums[0], sums[1]


def write_weights(student: Any, out: Path) -> None:
    """The student as fp16 safetensors."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with new_file(out) as temporary:
        save_file({name: value.half().contiguous() for name, value in student.state_dict().items()}, temporary)


def _batch(
    pairs: list[tuple[torch.Tensor, torch.Tensor]], plan: Plan, dice: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    spectra, latents = [], []
    for _ in range(plan.batch):
        spectrum, z = dice.choice(pairs)
        begin = dice.randint(0, spectrum.shape[1] - plan.frames)
        spectra.append(disguised(spectrum[:, begin : begin + plan.frames].float(), dice))
        latents.append(z[:, begin : begin + plan.frames].float())
    return torch.stack(spectra), torch.stack(latents)


def _read(student: Any, spectra: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    _, mean, log_scale, _ = student(spectra, torch.full((spectra.shape[0],), spectra.shape[2]))
    return mean, log_scale


def _schedule(step: int, steps: int) -> float:
    """Warm-up over 3 %, then cosine to a fiftieth."""
    warm = max(1, steps * 3 // 100)
    if step < warm:
        return (step + 1) / warm
    cosine = torch.cos(torch.tensor((step - warm) / max(1, steps - warm) * torch.pi)).item()
    return 0.02 + 0.98 * (0.5 + 0.5 * cosine)


def _checkpoint(
    file: Path, student: Any, optimizer: torch.optim.Optimizer, step: int, cpu: float, first: float, recent: float
) -> None:
    tensors = {f"student.{name}": value for name, value in student.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
    about = {"step": str(step), "cpu": str(cpu), "first": str(first), "recent": str(recent)}
    with new_file(file) as temporary:
        save_file({name: value.contiguous() for name, value in tensors.items()}, temporary, metadata=about)


def _resume(
    file: Path, student: Any, optimizer: torch.optim.Optimizer
) -> tuple[int, float, float | None, float | None]:
    if not file.exists():
        return 0, 0.0, None, None
    with safe_open(file, "pt") as stored:
        about = stored.metadata()
    tensors = load_file(file)
    student.load_state_dict(
        {name.removeprefix("student."): value for name, value in tensors.items() if name.startswith("student.")}
    )
    states: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            states.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(about["step"]), float(about["cpu"]), float(about["first"]), float(about["recent"])
