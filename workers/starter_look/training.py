"""What the three trainings share: one thread, a seed, a checkpoint to go on from, a line of progress."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def learning_rate(step: int, steps: int, peak: float, warmup: int = 100) -> float:
    """Linear warm-up, then cosine down to 2 % of `peak`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; a killed training never leaves half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    os.replace(partial, path)


def train(
    name: str,
    model: nn.Module,
    loss_of: Callable[[int], tuple[Tensor, dict[str, float]]],
    *,
    steps: int,
    peak: float,
    checkpoint: Path,
    every: int = 200,
    ema: nn.Module | None = None,
    ema_decay: float = 0.999,
    weight_decay: float = 0.0,
) -> Iterator[int]:
    """Run `steps` steps of AdamW on `model`, going on from `checkpoint`; yields after each checkpoint.

    Args:
        loss_of: loss and figures of step number i; it seeds itself from i, so a resumed run sees what an
            unbroken one would have seen.
        ema: a copy of the model that follows it slowly.
    """
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=peak,
        betas=(0.9, 0.98),
        weight_decay=weight_decay,
    )
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        if ema is not None:
            ema.load_state_dict(state["ema"])
        first = int(state["step"])
    started, figures = time.perf_counter(), {}
    model.train()
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak)
        torch.manual_seed(step)
        loss, now = loss_of(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if ema is not None:
            with torch.no_grad():
                keep = min(ema_decay, (step + 1) / (step + 10))
                for slow, fast in zip(ema.parameters(), model.parameters(), strict=True):
                    slow.lerp_(fast, 1 - keep)
        figures = {key: figures.get(key, value) * 0.98 + value * 0.02 for key, value in now.items()}
        done = step + 1
        if done % 50 == 0 or done == steps:
            pace = (done - first) / (time.perf_counter() - started)
            line = " ".join(f"{key} {value:.4f}" for key, value in figures.items())
            print(f"{name} {done}/{steps} {line} {pace:.2f} it/s eta {(steps - done) / pace:.0f} s", flush=True)
        if done % every == 0 or done == steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": done}
            if ema is not None:
                state["ema"] = ema.state_dict()
            save(checkpoint, state)
            yield done
