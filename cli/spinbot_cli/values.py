"""What people type for a length of time or a text, made into a value."""

from __future__ import annotations

import re
from pathlib import Path

from spinbot.errors import BadInput

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}


def seconds(text: str | None, option: str = "--timeout") -> float | None:
    """`90`, `90s`, `30m`, `1.5h` or `30d`, in seconds. Raises BadInput."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d|)\s*", text)
    if not found:
        raise BadInput(f"{option} {text!r} is not a length of time", hint="for example 90, 90s, 30m or 2h")
    return float(found[1]) * _UNITS[found[2]]


def text_or_file(value: str | None, option: str) -> str | None:
    """The text itself; `@words.txt`, or the path of a `.txt` that exists, stands for what is in that file."""
    if value is None:
        return None
    marked = value.startswith("@")
    path = Path(value[1:] if marked else value).expanduser()
    if not marked and not (len(value) < 4096 and path.suffix == ".txt" and path.is_file()):
        return value
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(f"{option}: cannot read {path}: {reason}") from error
