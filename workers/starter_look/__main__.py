"""Train, judge and export the starter look.

    PYTHONPATH=workers python -m starter_look

Every stage goes on from its checkpoint in the work folder; a finished stage is not done again.
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

PACKAGE = Path(__file__).parent.parent
STARTER = PACKAGE / "spinbot_workers" / "starter" / "look"
IMAGES = PACKAGE.parent / "docs" / "images"


@dataclass(frozen=True)
class Size:
    """How long each stage trains, in steps, and on how much."""

    vae: int = 3000
    text: int = 1600
    unet: int = 8500
    latents: int = 14_000
    decoder: int = 1000
    judge: int = 700
    captions: int = 200
    mouths: int = 20
    denoise: int = 20


TINY = Size(vae=2, text=2, unet=2, latents=16, decoder=1, judge=2, captions=2, mouths=1, denoise=2)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="starter_look", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stage", nargs="?", default="all", choices=["train", "judge", "evaluate", "all"])
    parser.add_argument("--work", type=Path, default=Path("build/starter-look"), help="checkpoints")
    parser.add_argument("--out", type=Path, default=STARTER, help="the folder that ships")
    parser.add_argument("--images", type=Path, default=IMAGES, help="contact sheets")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="a few steps of everything, to see that it runs")
    for field, value in Size().__dict__.items():
        parser.add_argument(f"--{field}", type=int, default=None, help=f"default {value}")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    base = TINY if chosen.tiny else Size()
    size = Size(**{key: getattr(chosen, key) or value for key, value in base.__dict__.items()})
    chosen.work.mkdir(parents=True, exist_ok=True)
    if chosen.stage in ("train", "all"):
        train(chosen.work, chosen.out, size)
    if chosen.stage in ("judge", "evaluate", "all"):
        evaluate(chosen.work, chosen.out, chosen.images, size, judge_only=chosen.stage == "judge")


def train(work: Path, out: Path, size: Size) -> None:
    """All three models, then the folder that ships."""
    from starter_look.export import checksums, export, renew_card
    from starter_look.text import build_tokenizer, train_text
    from starter_look.unet import train_unet
    from starter_look.vae import sharpen_decoder, train_vae

    started = time.perf_counter()
    tokenizer = build_tokenizer()
    text = train_text(work, tokenizer, steps=size.text)
    vae = train_vae(work, steps=size.vae)
    unet, text = train_unet(work, vae, tokenizer, text, steps=size.unet, count=size.latents)
    vae = sharpen_decoder(work, copy.deepcopy(vae), steps=size.decoder)
    export(out, vae=vae, unet=unet, text=text, tokenizer=tokenizer)
    renew_card(out)
    print(f"trained in {(time.perf_counter() - started) / 60:.0f} min\n" + "\n".join(checksums(out)), flush=True)


def evaluate(work: Path, out: Path, images: Path, size: Size, *, judge_only: bool) -> None:
    """Print the figures of the card and draw the contact sheets."""
    from spinbot_workers.look.engine import Look
    from starter_look import evaluate as e

    judge = e.train_judge(work, steps=size.judge)
    _say("judge on held-out drawings", e.judge_on_drawings(judge, 50 if size.judge < 10 else 1000))
    if judge_only:
        return
    look = Look.load("starter", starter=out, device="cpu")
    figures, drawn = e.judge_captions(judge, look, size.captions, steps=size.denoise)
    _say(f"{size.captions} held-out captions", {name: figures[name] for name in e.JUDGED})
    _say("the rest", {name: value for name, value in figures.items() if name not in e.JUDGED})
    e.contact_sheet([picture for _, picture in drawn[:40]], 8, images / "look-captions.png")
    mouths, blinks, pictures = e.judge_mouths(judge, look, size.mouths, steps=size.denoise)
    _say(f"{size.mouths} portraits redrawn", {"mouths": mouths, "blinks": blinks})
    e.contact_sheet(pictures[: 8 * 8], 8, images / "look-mouths.png")
    pictures = [
        look.portrait(words, seed=seed, steps=size.denoise, guidance=2.5, on_step=lambda *_: None)
        for words in FREE_PROMPTS
        for seed in range(4)
    ]
    e.contact_sheet(pictures, 8, images / "look-free-prompts.png")


FREE_PROMPTS = (
    "a friendly red robot in the kitchen",
    "two green dragons",
    "",
    "an astronaut cat with headphones in space",
    "my grandmother with glasses and a scarf",
    "a blue robot king says hello",
)


def _say(what: str, figures: dict[str, float]) -> None:
    print(what + ": " + ", ".join(f"{name} {value:.1%}" for name, value in figures.items()), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
