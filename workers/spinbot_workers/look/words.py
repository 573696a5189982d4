"""What the starter look knows of itself: its words and the places of its face. No torch here."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from spinbot.errors import JobFailed

FACTS = "starter.json"
WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
SMALL = frozenset(
    [
        *("a", "an", "the", "and", "or", "with", "without", "on", "in", "at", "of", "to", "by", "for", "from"),
        *("is", "are", "was", "it", "its", "this", "that", "his", "her", "their", "who", "which", "as"),
    ]
)
"""Words that say nothing to draw: no one needs to hear that the starter look does not know them."""


class Facts(NamedTuple):
    """Boxes are (left, top, right, bottom) in fractions of the picture."""

    words: frozenset[str]
    mouth_box: tuple[float, float, float, float]
    eyes_box: tuple[float, float, float, float]
    size: int


@lru_cache(maxsize=4)
def facts(starter: Path) -> Facts:
    """Raises JobFailed when the starter look is not where it should be."""
    path = starter / FACTS
    try:
        raw = json.loads(path.read_text("utf-8"))
        return Facts(frozenset(raw["words"]), tuple(raw["mouth_box"]), tuple(raw["eyes_box"]), int(raw["size"]))
    except (OSError, ValueError, KeyError) as error:
        raise JobFailed(f"the starter look is not complete: {path}: {error}", hint="install spinbot again") from error


def unknown_words(prompt: str, starter: Path) -> list[str]:
    """The words of `prompt` that the starter look never learned, each once, in their order."""
    known = facts(starter).words
    words = dict.fromkeys(word.lower() for word in WORD.findall(prompt))
    return [word for word in words if word not in known and word not in SMALL]


def known_part(prompt: str, starter: Path) -> str:
    """`prompt` without the words the starter look never learned: they could only add noise to the picture."""
    known = facts(starter).words
    kept = WORD.sub(lambda match: match[0] if match[0].lower() in known else "", prompt)
    kept = re.sub(r"[^\w\s,'-]+", " ", kept)
    pieces = (re.sub(r"\s+", " ", piece).strip() for piece in kept.split(","))
    return ", ".join(piece for piece in pieces if piece)
