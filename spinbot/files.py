"""Writing files so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spinbot.errors import SpinbotError


class DiskFull(OSError):
    """ENOSPC, with the path and the figures: what was wanted or written, and what is free."""

    def __init__(self, path: Path, figures: str) -> None:
        super().__init__(errno.ENOSPC, f"No space left on device ({figures})", str(path))


def check_room(path: Path, needed: int) -> None:
    """Before `needed` bytes are written to `path`. Raises DiskFull, OSError when its folder is gone."""
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise DiskFull(path, f"{megabytes(needed)} are needed, {megabytes(free)} are free")


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 10_000_000 else f"{size / 1e6:.1f} MB"


def write_atomic(path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
    """Replace `path` with `data`; parents are made. Raises OSError (disk full, read-only) with `path` intact."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path with `path`'s suffix in its folder; it becomes `path` when the block ends well.

    Raises:
        DiskFull: in the words of one who knows the path, whatever the library that wrote made of it.
        OSError: the folder is not there: it is not made, or a deleted one would come back half empty.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with _telling(path, temporary):
            yield temporary
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # a disk that fails here has already said so
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; it becomes `path` when the block ends well.

    A folder cannot be replaced in one step: an old one is renamed aside first, and back again should the
    second rename fail.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    os.chmod(temporary, 0o755)  # nosec B103
    try:
        with _telling(path, temporary):
            yield temporary
            _exchange(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, path: Path) -> None:
    aside = new.with_name(new.name + ".old")
    if path.exists():
        os.rename(path, aside)
    try:
        os.rename(new, path)
    except BaseException:
        if aside.exists():
            os.rename(aside, path)
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _telling(path: Path, temporary: Path) -> Iterator[None]:
    """Errors of writing name `path`. Libraries that write by themselves say of a full disk what they like
    ("System error.", "unexpected pos 64"), so it is looked at, while what was written still fills it."""
    try:
        yield
    except (SpinbotError, DiskFull):
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or (error.errno is None and _is_full(path.parent)):
            raise DiskFull(path, _figures(temporary)) from error
        if error.filename == str(temporary):
            error.filename = str(path)
        raise
    except Exception as error:
        if "os error 28" in str(error) or _is_full(path.parent):
            raise DiskFull(path, _figures(temporary)) from error
        raise


_LITTLE = 1 << 16
"""Bytes free on a disk that counts as full: less than a library's write buffer."""


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _LITTLE
    except OSError:
        return False


def _figures(temporary: Path) -> str:
    parts = [*temporary.rglob("*")] if temporary.is_dir() else [temporary]
    written = sum(part.stat().st_size for part in parts if part.is_file())
    free = megabytes(shutil.disk_usage(temporary.parent).free)
    # safetensors and Pillow take their half away themselves
    return f"{megabytes(written)} were written, {free} are free" if written else f"{free} are free without it"


def mend_folder(parent: Path) -> None:
    """Undo what a killed writer left half done in `parent`: halves go, an old one that was set aside comes back.

    Only while nobody writes there.
    """
    for path in parent.glob(".*") if parent.is_dir() else ():
        match = _HALF.fullmatch(path.name)
        if match is None:
            continue
        whole = parent / match["name"]
        if match["old"] and not whole.exists():
            os.rename(path, whole)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


_HALF = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}(?P<old>\.old)?")
"""What `tempfile` makes of the prefix `.name.`."""
