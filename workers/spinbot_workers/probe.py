"""`python -m spinbot_workers.probe FILE-OR-FOLDER...`: what is in these files, and will it do?

The daemon runs this for every request to learn, in a short-lived process with limits, since decoders meet hostile
files here. One JSON document on stdout; exit 0 when all is well, 2 when something is refused.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: each thread takes address space

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from spinbot.errors import BadInput
from spinbot_workers.pictures import SUFFIXES as PICTURES
from spinbot_workers.pictures import inspect_picture
from spinbot_workers.polyglots import refuse_polyglot
from spinbot_workers.voice.audio import LONGEST_MINUTES, check_total, inspect

SOUNDS = frozenset(
    {".wav", ".flac", ".mp3", ".m4a", ".ogg", ".oga", ".opus", ".aac", ".aif", ".aiff", ".au", ".caf", ".w64", ".wma"}
    | {".amr", ".mp4", ".mov", ".mkv", ".webm", ".3gp"}
)
"""Suffixes taken from a folder. A file that is named outright is tried whatever it is called."""


def probe(paths: list[Path], *, max_minutes: float = LONGEST_MINUTES) -> dict[str, list[Any]]:
    """The sounds, the pictures, and what was left aside among `paths` and the files of their folders.

    Raises:
        BadInput: names the file and the fault.
    """
    sounds, pictures, ignored = sort(paths)
    if not sounds and not pictures:
        names = ", ".join(str(path) for path in paths)
        raise BadInput(
            f"{names} holds no sound and no pictures", hint="pass recordings (wav, flac, mp3, m4a, ogg) or pictures"
        )
    for path in (*sounds, *pictures):
        _refuse(path)
    recordings = [inspect(path, max_minutes=max_minutes) for path in sounds]
    if recordings:
        check_total(recordings, max_minutes=max_minutes)
    sizes = [(path, *inspect_picture(path)) for path in pictures]
    return {
        "audio": [
            {
                "path": str(item.path),
                "seconds": round(item.seconds, 3),
                "sampleRate": item.sample_rate,
                "channels": item.channels,
            }
            for item in recordings
        ],
        "pictures": [{"path": str(path), "width": width, "height": height} for path, width, height in sizes],
        "ignored": [str(path) for path in ignored],
    }


def _refuse(path: Path) -> None:
    try:
        refuse_polyglot(path)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from error


def sort(paths: list[Path]) -> tuple[list[Path], list[Path], list[Path]]:
    """Sounds, pictures and the rest, in the order given; a folder's files in order of their names."""
    sounds: list[Path] = []
    pictures: list[Path] = []
    ignored: list[Path] = []
    for path in paths:
        if not path.exists():
            raise BadInput(f"{path} does not exist")
        if path.is_dir():
            for file in sorted(path.iterdir()):
                if not file.name.startswith("."):
                    suffix = file.suffix.lower()
                    kind = sounds if suffix in SOUNDS else pictures if suffix in PICTURES else ignored
                    (ignored if file.is_dir() else kind).append(file)
        elif path.suffix.lower() in PICTURES:
            pictures.append(path)
        elif path.suffix.lower() == ".txt":
            ignored.append(path)
        else:
            sounds.append(path)
    described = {path.with_suffix("") for path in [*sounds, *pictures]}
    texts = {path for path in ignored if path.suffix.lower() == ".txt" and path.with_suffix("") in described}
    return sounds, pictures, [path for path in ignored if path not in texts]


def main() -> int:
    parser = argparse.ArgumentParser(prog="spinbot_workers.probe", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--max-minutes", type=float, default=LONGEST_MINUTES)
    args = parser.parse_args()
    try:
        answer: dict[str, Any] = probe(args.paths, max_minutes=args.max_minutes)
    except BadInput as error:
        answer = {"error": str(error), "hint": error.hint}
    except MemoryError:
        names = ", ".join(str(path) for path in args.paths)
        answer = {"error": f"{names} takes more memory to read than is allowed", "hint": "pass smaller files"}
    json.dump(answer, sys.stdout)
    return 2 if "error" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
