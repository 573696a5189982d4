"""The frames of a talking head: the right mouth, a blink now and then, a little sway."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from spinbot_workers.video.lips import Mouth

if TYPE_CHECKING:
    from spinbot_workers.look.engine import Box

SMALLEST = 512
"""Pixels. A smaller picture is enlarged to this, for players blur what they enlarge themselves."""
ZOOM = 1.05
"""The picture is this much larger than the frame, so that swaying shows no edge."""
BLINK_SECONDS = 0.16
BLINK_PAUSE = (2.0, 5.0)


@dataclass(frozen=True)
class Face:
    """A portrait and its variants, all of one size. `blink` has its eyes closed, in `eyes`."""

    portrait: Image.Image
    mouths: Mapping[str, Image.Image]
    blink: Image.Image | None
    eyes: Box | None


def frames(face: Face, mouths: Sequence[Mouth], *, fps: int, seed: int) -> Iterator[Image.Image]:
    """One RGB frame for each of `mouths`, of even width and height. The same seed gives the same frames."""
    width, height = frame_size(face.portrait)
    chance = random.Random(seed)
    blinks = _blinks(len(mouths), fps, chance)
    phases = [chance.uniform(0, 2 * math.pi) for _ in range(3)]
    pictures: dict[tuple[Mouth, bool], Image.Image] = {}
    for index, mouth in enumerate(mouths):
        key = (mouth, blinks[index])
        if key not in pictures:
            pictures[key] = _enlarged(_picture(face, *key), width, height)
        yield _swayed(pictures[key], width, height, index / fps, phases)


def frame_size(portrait: Image.Image) -> tuple[int, int]:
    """At least SMALLEST on the shorter side, even, as yuv420p wants."""
    scale = max(1.0, SMALLEST / min(portrait.size))
    return round(portrait.width * scale / 2) * 2, round(portrait.height * scale / 2) * 2


def _picture(face: Face, mouth: Mouth, eyes_closed: bool) -> Image.Image:
    picture = face.mouths.get(mouth, face.portrait)
    if not eyes_closed or face.blink is None or face.eyes is None:
        return picture
    picture = picture.copy()
    box = face.eyes.pixels(picture.size)
    picture.paste(face.blink.crop(box), box)
    return picture


def _enlarged(picture: Image.Image, width: int, height: int) -> Image.Image:
    size = (round(width * ZOOM), round(height * ZOOM))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _swayed(picture: Image.Image, width: int, height: int, time: float, phases: Sequence[float]) -> Image.Image:
    """Rotated by up to 0.6 degrees and moved by up to 0.8 % about the neck, at about a breath's pace."""
    angle = math.radians(0.6) * math.sin(2 * math.pi * time / 3.7 + phases[0])
    right = 0.008 * width * math.sin(2 * math.pi * time / 5.3 + phases[1])
    down = 0.006 * height * math.sin(2 * math.pi * time / 2.9 + phases[2])
    cos, sin = math.cos(angle), math.sin(angle)
    pivot_x, pivot_y = picture.width / 2, picture.height * 0.9
    offset_x, offset_y = (picture.width - width) / 2 + right, (picture.height - height) / 2 + down
    # PIL wants the way back: where in `picture` each pixel of the frame comes from
    matrix = (
        cos,
        -sin,
        pivot_x + cos * (offset_x - pivot_x) - sin * (offset_y - pivot_y),
        sin,
        cos,
        pivot_y + sin * (offset_x - pivot_x) + cos * (offset_y - pivot_y),
    )
    return picture.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def _blinks(count: int, fps: int, chance: random.Random) -> list[bool]:
    closed = [False] * count
    at = chance.uniform(0.6, 2.0)
    while (start := int(at * fps)) < count:
        for index in range(start, min(count, start + max(2, round(BLINK_SECONDS * fps)))):
            closed[index] = True
        at += chance.uniform(*BLINK_PAUSE)
    return closed
