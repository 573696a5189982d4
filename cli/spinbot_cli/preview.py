"""The picture that is forming, in the terminal: kitty or sixel graphics where it has them, half-blocks elsewhere."""

from __future__ import annotations

import io
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from spinbot_cli.client import Client

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

ROWS = 16
FEWEST_ROWS = 6
SECONDS_BETWEEN = 0.5
BESIDE = 6
"""Rows of the terminal left to bars and notes."""


class Picture:
    """What was last fetched, as rich draws it."""

    def __init__(self, client: Client, console: Console) -> None:
        self._client = client
        self._console = console
        self._fetched = 0.0
        self._shown = ""
        self._renderable = _renderable()  # the terminal is asked before the bars move on it
        self.drawn: RenderableType | None = None

    def show(self, url: str, moment: str, *, at_once: bool = False) -> bool:
        """Fetch the picture at `url` as it is at `moment` (an event's id). Whether another one is to be seen."""
        now = time.monotonic()
        if moment == self._shown or (now - self._fetched < SECONDS_BETWEEN and not at_once):
            return False
        from spinbot.errors import SpinbotError

        try:
            data = self._client.raw("GET", url, None, {})
        except SpinbotError:  # a preview is a courtesy: the bars go on, and say when the daemon is gone
            return False
        self._fetched, self._shown = now, moment
        self.drawn = self._draw(data)
        return self.drawn is not None

    def _draw(self, data: bytes) -> RenderableType | None:
        from PIL import Image, UnidentifiedImageError

        rows = min(ROWS, self._console.height - BESIDE)
        if rows < FEWEST_ROWS or self._console.width < 2 * FEWEST_ROWS:
            return None
        try:
            picture = Image.open(io.BytesIO(data)).convert("RGB")
        except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
            return None
        columns = min(self._console.width - 2, round(2 * rows * picture.width / picture.height))
        drawn: RenderableType = self._renderable(picture, width=columns, height=rows)
        return drawn


def wanted(console: Console) -> bool:
    """Whether the terminal can show a picture: it has 256 colours or more, and letters beyond ASCII."""
    return (
        console.is_terminal
        and console.color_system in ("256", "truecolor")
        and not os.environ.get("NO_COLOR")
        and (console.encoding or "").lower().startswith("utf")
        and (not _is_terminal(sys.__stdout__) or _may_be_asked())
    )


def _may_be_asked() -> bool:
    """Whether the terminal's answers reach us: a process in the background is stopped when it reads."""
    return _is_terminal(sys.__stdin__) and os.tcgetpgrp(0) == os.getpgrp()


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _renderable() -> Any:
    """What this terminal has. The library asks the terminal, over stdout and stdin, when it is imported."""
    # It warns of a terminal that does not answer, through stderr, which draws the picture anew, which asks again.
    logging.getLogger("textual_image").setLevel(logging.CRITICAL)
    from textual_image import renderable

    return renderable.Image if _is_terminal(sys.__stdout__) else renderable.HalfcellImage
