"""Writing files so that a crash leaves the old one or the new one, never half of one."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    """A temporary path with `path`'s suffix in its folder; it becomes `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
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
        yield temporary
        aside = temporary.with_name(temporary.name + ".old")
        if path.exists():
            os.rename(path, aside)
        try:
            os.rename(temporary, path)
        except BaseException:
            if aside.exists():
                os.rename(aside, path)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
