"""The judge: a classifier that has seen drawings only, and what it says of the pictures the look makes."""

from __future__ import annotations

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from spinbot_workers.look.engine import MOUTHS, Look
from starter_look.robots import WORDS, Robot, caption, draw_lots
from starter_look.text import labels
from starter_look.training import train
from starter_look.vae import drawings_of

JUDGED = ("color", "backdrop", "head", "eyes", "mouth")
HELD_OUT = 55_000_000  # no training draws from seeds at and above this


class Judge(nn.Module):
    """Names every attribute of a picture. Everything has its fixed place, so it need not pool."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 24), (24, 48), (48, 64), (64, 64)):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 64, 256), nn.ReLU(), nn.Dropout(0.1))
        self.answers = nn.ModuleList(nn.Linear(256, len(table)) for table in WORDS.values())

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """`pictures`: (B, 3, 256, 256) in [-1, 1]."""
        seen = self.body(F.avg_pool2d(pictures, 2))  # (B, 256)
        return [answer(seen) for answer in self.answers]


def spoiled(x: Tensor) -> Tensor:
    """A little blur, noise and drift of colour: what a codec does, without ever showing the judge a codec."""
    if torch.rand(()) < 0.5:
        kernel = torch.full((3, 1, 3, 3), 1 / 9)
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), "replicate"), kernel, groups=3)
    x = x + 0.05 * torch.rand(()) * torch.randn_like(x)
    return x * (1 + 0.06 * torch.randn(len(x), 3, 1, 1)) + 0.04 * torch.randn(len(x), 3, 1, 1)


def train_judge(work: Path, *, steps: int, batch: int = 32) -> Judge:
    """Train the judge on drawings; resumes from `work`."""
    torch.manual_seed(0)
    judge = Judge()

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = random.Random(20_000_000 + step)
        robots = [draw_lots(rng) for _ in range(batch)]
        answers, true = judge(spoiled(drawings_of(robots))), labels(robots)
        loss = torch.stack([F.cross_entropy(answer, true[:, i]) for i, answer in enumerate(answers)]).mean()
        right = torch.stack([answer.argmax(1) == true[:, i] for i, answer in enumerate(answers)]).float()
        return loss, {"loss": float(loss.detach()), "right": float(right.mean())}

    for _ in train("judge", judge, loss_of, steps=steps, peak=2e-3, checkpoint=work / "judge.pt", weight_decay=0.01):
        pass
    return judge.eval()


def named(judge: Judge, pictures: Tensor) -> list[dict[str, str]]:
    """What the judge sees in each picture."""
    with torch.inference_mode():
        answers = judge(pictures)
    tables = {name: list(table) for name, table in WORDS.items()}
    return [
        {name: tables[name][int(answers[i][row].argmax())] for i, name in enumerate(WORDS)}
        for row in range(len(pictures))
    ]


def share_right(robots: list[Robot], seen: list[dict[str, str]]) -> dict[str, float]:
    return {
        name: sum(getattr(robot, name) == view[name] for robot, view in zip(robots, seen, strict=True)) / len(robots)
        for name in WORDS
    }


def held_out(count: int, salt: int = 0) -> list[Robot]:
    """Robots no training saw, eyes open."""
    rng = random.Random(HELD_OUT + salt)
    robots = []
    while len(robots) < count:
        robot = draw_lots(rng)
        if robot.lids == "open":
            robots.append(robot)
    return robots


def judge_on_drawings(judge: Judge, count: int = 1000) -> dict[str, float]:
    robots = held_out(count, salt=1)
    seen = [view for i in range(0, count, 50) for view in named(judge, drawings_of(robots[i : i + 50]))]
    return share_right(robots, seen)


def tensor(pictures: list[Image.Image]) -> Tensor:
    import numpy as np

    return torch.stack(
        [torch.from_numpy(np.array(p.convert("RGB"))).permute(2, 0, 1).float() / 127.5 - 1 for p in pictures]
    )


def judge_captions(
    judge: Judge, look: Look, count: int, *, steps: int = 20, guidance: float = 2.5
) -> tuple[dict[str, float], list[tuple[str, Image.Image]]]:
    """Held-out captions drawn by the look: share of each attribute right, and the pictures."""
    robots = held_out(count)
    drawn = []
    for index, robot in enumerate(robots):
        words = caption(robot, random.Random(HELD_OUT + index), full=True)
        made = look.pipe(
            words,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(index),
        ).images[0]
        drawn.append((words, made))
    return share_right(robots, named(judge, tensor([picture for _, picture in drawn]))), drawn


def judge_mouths(
    judge: Judge, look: Look, count: int, *, steps: int = 20, guidance: float = 2.5
) -> tuple[float, float, list[Image.Image]]:
    """Share of redrawn mouths and of blinks that are right, and the pictures, row by row."""
    right = blinks = 0
    pictures = []
    for index, robot in enumerate(held_out(count, salt=2)):
        rng = random.Random(HELD_OUT + index)
        scene = caption(robot, rng, full=True).rsplit(", ", 1)[0]
        portrait = look.portrait(scene, seed=index, steps=steps, guidance=guidance, on_step=_ignore)
        made = look.mouths(portrait, scene, seed=index, steps=steps, guidance=guidance, on_step=_ignore)
        row = [made[name] for name in MOUTHS]
        blink = look.blink(portrait, scene, seed=index, steps=steps, guidance=guidance, on_step=_ignore)
        seen = named(judge, tensor([*row, blink] if blink else row))
        right += sum(view["mouth"] == name for view, name in zip(seen, MOUTHS, strict=False))
        blinks += bool(blink) and seen[-1]["lids"] == "shut"
        pictures += [*row, blink or portrait]
    return right / (count * len(MOUTHS)), blinks / count, pictures


def _ignore(step: int, total: int, preview: Image.Image | None) -> None:
    pass


def contact_sheet(pictures: list[Image.Image], columns: int, path: Path, size: int = 192) -> None:
    """Pictures in rows, as a palette PNG, which is small for flat drawings."""
    rows = (len(pictures) + columns - 1) // columns
    whole = Image.new("RGB", (columns * size, rows * size), "white")
    for index, picture in enumerate(pictures):
        small = picture.resize((size, size), Image.Resampling.LANCZOS)
        whole.paste(small, (index % columns * size, index // columns * size))
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.quantize(256).save(path, optimize=True)
