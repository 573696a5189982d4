"""Looking at pictures before anything is learned from them."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from spinbot.errors import BadInput

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
SMALLEST = 64
"""Pixels on the shorter side."""
LARGEST = 50_000_000
"""Pixels in all: what a phone takes, and less than a bomb."""


def inspect_picture(path: Path) -> tuple[int, int]:
    """Width and height, after decoding it once.

    Raises:
        BadInput: missing, empty, not a picture, truncated, too small or too large.
    """
    try:
        if path.stat().st_size == 0:
            raise BadInput(f"{path} is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                width, height = picture.size
                if width * height > LARGEST:
                    raise BadInput(
                        f"{path} has {width} x {height} pixels; the limit is {LARGEST // 1_000_000} million",
                        hint="make it smaller",
                    )
                if min(width, height) < SMALLEST:
                    raise BadInput(f"{path} is {width} x {height}; a look needs {SMALLEST} pixels on each side")
                picture.load()
    except UnidentifiedImageError as error:
        raise BadInput(f"{path} is not a picture that can be read", hint="png, jpeg or webp") from error
    except Image.DecompressionBombError as error:
        raise BadInput(f"{path} has far over {LARGEST // 1_000_000} million pixels", hint="make it smaller") from error
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's decoders raise any of these on damaged data
        raise BadInput(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    return width, height
