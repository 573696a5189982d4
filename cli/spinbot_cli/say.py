"""Results on stdout, everything else on stderr. Plain text, no rich: this is imported by every command."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

from spinbot.errors import SpinbotError


def out(text: str) -> None:
    """A result, for a person or a pipe."""
    print(text, flush=True)


def document(value: Any) -> None:
    """A result for a program: one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=not speaks_unicode(sys.stdout.encoding)), flush=True)


def tell(text: str) -> None:
    """A line for the person, beside the results."""
    print(text, file=sys.stderr, flush=True)


def complain(error: SpinbotError) -> None:
    tell(f"{_red('error:')} {error}")
    if error.hint:
        tell(f"hint: {error.hint}")


def _red(text: str) -> str:
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[1;31m{text}\x1b[0m" if coloured else text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns as wide as their content; on a terminal the last one is cut where the line ends."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10_000
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return [text if len(text) <= limit else text[: max(1, limit - 1)] + ellipsis(sys.stdout.encoding) for text in texts]


def speaks_unicode(encoding: str | None) -> bool:
    return (encoding or "").lower().startswith("utf")


def ellipsis(encoding: str | None) -> str:
    return "…" if speaks_unicode(encoding) else "~"


def survive_old_terminals() -> None:
    """A letter that the terminal does not have is shown as its number, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not speaks_unicode(stream.encoding):
            stream.reconfigure(errors="backslashreplace")


def duration(seconds: float) -> str:
    """`42` is `0:42`, `3700` is `1:01:40`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def ago(moment: float) -> str:
    """`3 min ago`, from Unix time."""
    passed = max(0.0, time.time() - moment)
    for size, word in ((86_400, "d"), (3600, "h"), (60, "min")):
        if passed >= size:
            return f"{int(passed // size)} {word} ago"
    return f"{int(passed)} s ago"


def size(count: float) -> str:
    """Bytes, for people: `61.3 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
