"""The terminal as a page that is drawn anew: for `top` and `jobs --watch`."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spinbot.errors import BadInput, DaemonUnreachable
from spinbot_cli.client import Client

EVERY = 1.0
"""Seconds between two looks at the daemon."""
ARROWS = {"\x1b[A": "k", "\x1b[B": "j", "\x1bOA": "k", "\x1bOB": "j"}


def keep_showing(client: Client, lines: Callable[[], list[str]]) -> None:
    """Draw what `lines` gives, until Ctrl-C or q."""
    from rich.live import Live
    from rich.text import Text

    with keys() as pressed, Live(screen=True, auto_refresh=False) as live:
        shown = Text("")
        while True:
            try:
                shown = Text("\n".join(lines()), no_wrap=True)
                live.update(shown, refresh=True)
            except DaemonUnreachable:
                live.update(Text.assemble(("reconnecting\n", "yellow"), shown), refresh=True)
            if pressed(EVERY) == "q":
                return


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """`pressed(seconds)`: the key that is pressed within that time, or "". Arrows are j and k.

    Raises:
        BadInput: stdin or stdout is no terminal.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput("this needs a terminal", hint="pass --once, or --json, in a script")
    import termios
    import tty

    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)

    def pressed(seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([handle], [], [], left)[0]:
                return ""
            typed = os.read(handle, 16).decode(errors="ignore")
            if not typed:
                return "q"  # the terminal is gone
            return ARROWS.get(typed, typed[0])
        return ""

    tty.setcbreak(handle)
    try:
        yield pressed
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
