"""From trained parts to the folder that ships: diffusers' layout, fp16, and what the engine must know."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from starter_look.draw import EYES_BOX, MOUTH_BOX, SIZE
from starter_look.text import known_words
from starter_look.unet import sampler


def export(
    out: Path,
    *,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    text: CLIPTextModel,
    tokenizer: CLIPTokenizer,
) -> None:
    """Write the pipeline and `starter.json` into `out`; a model card that is there stays."""
    pipe = StableDiffusionPipeline(
        vae=copy.deepcopy(vae).half(),
        text_encoder=copy.deepcopy(text).half(),
        tokenizer=tokenizer,
        unet=copy.deepcopy(unet).half(),
        scheduler=sampler(),
        safety_checker=None,  # it can draw nothing but robots
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(out, safe_serialization=True)
    facts = {
        "size": SIZE,
        "mouth_box": [edge / SIZE for edge in MOUTH_BOX],
        "eyes_box": [edge / SIZE for edge in EYES_BOX],
        "words": known_words(),
    }
    (out / "starter.json").write_text(json.dumps(facts, indent=1) + "\n")


def load(folder: Path) -> StableDiffusionPipeline:
    """The shipped pipeline, as a user loads it."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def checksums(folder: Path) -> list[str]:
    """Lines for the card: `sha256 <hex>  <file>`."""
    return [
        f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}"
        for path in sorted(folder.rglob("*.safetensors"))
    ]


def renew_card(folder: Path) -> None:
    """Put the checksums of what is there into the card. Its figures are for a person to renew."""
    card = folder / "MODEL_CARD.md"
    if card.exists():
        kept = [line for line in card.read_text().splitlines() if not line.startswith("sha256 ")]
        card.write_text("\n".join([*kept, *checksums(folder)]) + "\n")
