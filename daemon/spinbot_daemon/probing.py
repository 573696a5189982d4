"""Looking at inputs before a job is made of them: in a process of its own, under limits, never in the daemon."""

from __future__ import annotations

import json
import logging
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spinbot.errors import BadInput, SpinbotError

SECONDS = 120
MEMORY = 4 << 30
"""Address space of the process, bytes: a decompression bomb ends there."""

log = logging.getLogger(__name__)


class WorkersMissing(SpinbotError):
    """The light install has no decoders."""

    http_status = 503


@dataclass(frozen=True)
class Found:
    """File names, as they were given, by what is in them."""

    audio: tuple[str, ...]
    pictures: tuple[str, ...]


def probe(folder: Path, names: Mapping[str, str], *, max_minutes: float) -> Found:
    """What is in the files that `stage` put into `folder`.

    Args:
        names: our file name -> what the user called it, for messages.

    Raises:
        BadInput: naming the file and its fault.
    """
    files = [name for name in names if not name.endswith(".txt")]
    if not files:
        only = ", ".join(list(names.values())[:3])
        raise BadInput(f"{only}: neither sound nor pictures", hint="pass recordings or pictures")
    command = [sys.executable, "-m", "spinbot_workers.probe", "--max-minutes", f"{max_minutes:g}"]
    paths = [str(path) for path in sorted((folder / "named").iterdir()) if path.suffix != ".txt"]
    if any((folder / "found").iterdir()):
        paths.append(str(folder / "found"))  # of a folder the reader takes what looks like sound or pictures
    code, out, err = _run([*command, *paths])
    if code not in (0, 2):
        raise _crashed(code, err, files, names)
    try:
        answer = json.loads(out)
    except ValueError:
        raise _crashed(code, err, files, names) from None
    if code == 2:
        raise BadInput(_in_their_words(answer["error"], folder, names), hint=answer.get("hint", ""))
    return Found(_files(answer.get("audio", [])), _files(answer.get("pictures", [])))


def _run(command: Sequence[str]) -> tuple[int, str, str]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    )
    if sys.platform == "linux":
        resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (SECONDS, SECONDS))
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise BadInput(f"the files could not be read within {SECONDS} s", hint="pass fewer or shorter files") from None
    return process.returncode, out, err


def _crashed(code: int, err: str, files: Sequence[str], names: Mapping[str, str]) -> SpinbotError:
    log.error("probe ended with %d: %s", code, err[-2000:])
    if "ModuleNotFoundError" in err:
        return WorkersMissing(
            "the packages that read sound and pictures are not installed", hint="pip install 'spinbot[workers]'"
        )
    shown = ", ".join(names[file] for file in files[:3]) + (" …" if len(files) > 3 else "")
    return BadInput(f"{shown} could not be read: the reader gave up ({code})", hint="convert it to wav, flac or png")


def _in_their_words(message: str, folder: Path, names: Mapping[str, str]) -> str:
    message = message.replace(f"{folder}/named/", "").replace(f"{folder}/found/", "")
    message = message.replace(str(folder / "found"), "the folder")
    for ours, theirs in names.items():
        message = message.replace(ours, theirs)
    return message


def _files(answer: list[object]) -> tuple[str, ...]:
    paths = [str(item["path"]) if isinstance(item, dict) else str(item) for item in answer]
    return tuple(Path(path).name for path in paths)
