"""The pictures a look is learned from: read, checked, captioned, brought to the model's size."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from spinbot.errors import BadInput
from spinbot.manifests import Source

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
SMALLEST = 64
DEFAULT_CAPTION = "a robot"


@dataclass(frozen=True)
class Example:
    """One picture and its words. `pixels` is (3, size, size) float32 in [-1, 1]."""

    source: Source
    caption: str
    pixels: Tensor


def read_examples(
    pictures: list[Path], *, captions: Mapping[Path, str] | None, caption: str | None, size: int
) -> list[Example]:
    """Read every picture, upright, cropped to a centred square of `size`.

    Args:
        captions: words for single pictures; goes before the `.txt` beside a picture, which goes before
            `caption`, which goes before "a robot".

    Raises:
        BadInput: no pictures, or one that is damaged, not a picture, or under 64 pixels; names the file.
    """
    if not pictures:
        raise BadInput("no pictures to learn from", hint="a look needs 1 picture at least, 8 to 20 are good")
    return [
        Example(
            Source(name=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest()),
            (captions or {}).get(path) or _beside(path) or caption or DEFAULT_CAPTION,
            _pixels(path, size),
        )
        for path in pictures
    ]


def _beside(path: Path) -> str:
    text = path.with_suffix(".txt")
    if not text.is_file():
        return ""
    try:
        return " ".join(text.read_text("utf-8").split())
    except UnicodeDecodeError as error:
        raise BadInput(f"caption {text.name} is not UTF-8 text", hint="save it as UTF-8, or delete it") from error


def _pixels(path: Path, size: int) -> Tensor:
    try:
        with Image.open(path) as opened:
            picture = _flat(ImageOps.exif_transpose(opened))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path.name} is not a picture that can be read: {error}", hint="use PNG or JPEG") from error
    if min(picture.size) < SMALLEST:
        raise BadInput(f"{path.name} is {picture.width}x{picture.height}; a picture needs {SMALLEST} pixels each way")
    picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1


def _flat(picture: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white."""
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        solid = picture.convert("RGBA")
        ground = Image.new("RGBA", solid.size, "white")
        return Image.alpha_composite(ground, solid).convert("RGB")
    return picture.convert("RGB")
