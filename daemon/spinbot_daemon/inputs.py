"""What a job is to learn from: gathered, copied under names of ours, and looked at before the job exists."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from spinbot.errors import BadInput, TooLarge
from spinbot.jobs import Input

MAX_FILES = 1000
CHUNK = 1 << 20
PARTS = ("found", "named")


class Source(Protocol):
    """A file somebody gave us. `name` is what they called it: shown, never used as a path.

    One that was `named` outright must be sound or picture, whatever it is called; of a folder's files those count
    that look like it.
    """

    @property
    def name(self) -> str: ...

    @property
    def named(self) -> bool: ...

    def open(self) -> BinaryIO: ...


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine."""

    path: Path
    named: bool

    @property
    def name(self) -> str:
        return str(self.path)

    def open(self) -> BinaryIO:
        return self.path.open("rb")


@dataclass(frozen=True)
class Upload:
    """A file that came in the request; `file` is its spool on the disk."""

    name: str
    file: BinaryIO
    named: bool

    def open(self) -> BinaryIO:
        self.file.seek(0)
        return self.file


def gather(paths: Sequence[str]) -> list[LocalFile]:
    """The files behind `paths`; of a folder all its visible files, and with a file the `.txt` of the same stem.

    Raises:
        BadInput: naming the path and its fault.
    """
    found: dict[Path, bool] = {}
    for text in paths:
        named = not os.path.isdir(text) if "\0" not in text else True
        for path in _files_of(text):
            found[path] = named or found.get(path, False)
    if len(found) > MAX_FILES:
        raise BadInput(f"{len(found):,} files", hint=f"at most {MAX_FILES:,} at a time")
    return [LocalFile(path, named) for path, named in found.items()]


def _files_of(text: str) -> Iterator[Path]:
    path = Path(text)
    shown = text if len(text) < 200 else text[:200] + "…"
    if not text or "\0" in text or not path.is_absolute():
        raise BadInput(f"{shown!r} is not a whole path", hint="the daemon has another working folder: begin it with /")
    try:
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
            if not files:
                raise BadInput(f"{shown}: no files in this folder", hint="pass a folder with sound or pictures")
            yield from files
            return
        if not path.exists():
            raise BadInput(f"{shown}: no such file")
        if not path.is_file():
            raise BadInput(f"{shown} is not a regular file")
    except OSError as error:
        raise BadInput(f"{shown}: {error.strerror}") from error
    yield path
    if (words := path.with_suffix(".txt")) != path and words.is_file():
        yield words


def stage(sources: Sequence[Source], folder: Path, *, limit: int) -> list[Input]:
    """Copy `sources` into `folder` as named/01.wav, named/01.txt, found/02.png …; one stem keeps one number.

    Args:
        limit: bytes in all.

    Raises:
        BadInput, TooLarge, OSError (disk full).
    """
    numbers: dict[tuple[str, int], int] = {}
    taken: set[str] = set()
    staged: list[Input] = []
    left = limit
    for part in PARTS:
        (folder / part).mkdir()
    for source in sources:
        file = _our_name(source.name, numbers, taken)
        taken.add(file)
        try:
            stream = source.open()
        except OSError as error:
            raise BadInput(f"{source.name}: {error.strerror}") from error
        size, digest = _copy(stream, folder / PARTS[source.named] / file, source.name, left)
        if size == 0:
            raise BadInput(f"{source.name} is empty")
        left -= size
        staged.append(Input(file=file, name=_display(source.name), sha256=digest))
    if not staged:
        raise BadInput("no files", hint="pass the files to learn from")
    return staged


def _our_name(name: str, numbers: dict[tuple[str, int], int], taken: set[str]) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    suffix = path.suffix.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,8}", path.suffix) else ""
    turn = 0
    while True:  # the same name twice in one upload: a number each
        key = (str(path.with_suffix("")) if path.name else name, turn)
        number = numbers.setdefault(key, len(numbers) + 1)
        if (file := f"{number:02d}{suffix}") not in taken:
            return file
        turn += 1


def _copy(stream: BinaryIO, path: Path, name: str, limit: int) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with stream, path.open("wb") as copy:
        while chunk := _read(stream, name):
            size += len(chunk)
            if size > limit:
                raise TooLarge(
                    f"with {_display(name)} the files are too large", hint="SPINBOT_MAX_UPLOAD_MB sets the limit"
                )
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    return size, digest.hexdigest()


def _read(stream: BinaryIO, name: str) -> bytes:
    """A fault in reading is the input's, unlike one in writing the copy."""
    try:
        return stream.read(CHUNK)
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror}") from error


def _display(name: str) -> str:
    """The last part of what the user called it, fit to be shown and logged."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c if c.isprintable() else "?" for c in last)[:200] or "?"


def with_words(staged: Sequence[Input], files: Sequence[str]) -> tuple[Input, ...]:
    """Those of `staged` named in `files`, each with the `.txt` of its number."""
    stems = {PurePosixPath(file).stem for file in files}
    return tuple(
        item
        for item in staged
        if item.file in files or (item.file.endswith(".txt") and PurePosixPath(item.file).stem in stems)
    )


def staged_at(folder: Path, item: Input) -> Path:
    """Where `stage` put it."""
    return next(path for part in PARTS if (path := folder / part / item.file).exists())


def link_file(source: Path, target: Path) -> None:
    """`target` shares the bytes of `source`, or has its own where there are no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def link_tree(source: Path, target: Path) -> None:
    """A copy that shares the files: inputs never change, and checkpoints are replaced, never written into."""
    shutil.copytree(source, target, copy_function=lambda old, new: link_file(Path(old), Path(new)), dirs_exist_ok=True)


def sync_folder(path: Path) -> None:
    """Have the names in `path` on the disk, not only the files."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
