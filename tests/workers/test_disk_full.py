"""Whatever library writes: a full disk is told with its path and its figures, and the older file stays."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import save_file

from spinbot.errors import BadInput
from spinbot.files import DiskFull, check_room, new_file, new_folder
from spinbot_workers.video.mp4 import write_mp4


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """One of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape, dtype=np.uint8)


def a_video(path: Path) -> None:
    pictures = (Image.fromarray(noise(256, 256, 3, seed=seed)) for seed in range(100))
    write_mp4(path, pictures, np.zeros(192_000, np.float32), fps=25, sample_rate=24_000, metadata={})


WRITERS: dict[str, Callable[[Path], object]] = {
    "torch": lambda path: torch.save({"x": torch.zeros(1_000_000)}, path),
    "safetensors": lambda path: save_file({"x": torch.zeros(1_000_000)}, path),
    "libsndfile": lambda path: soundfile.write(path, np.zeros(3_000_000), 24_000, format="WAV"),
    "pillow": lambda path: Image.fromarray(noise(1500, 1500, 3)).save(path, format="PNG"),
    "av": a_video,
    "python": lambda path: path.write_bytes(bytes(4_000_000)),
}


@pytest.mark.parametrize("library", WRITERS)
def test_it_is_told_in_our_words_and_the_old_file_stays(disk, library):
    path = disk / "result.mp4"
    path.write_text("old")
    with pytest.raises(DiskFull) as raised, new_file(path) as temporary:
        WRITERS[library](temporary)
    assert raised.value.filename == str(path)
    assert "No space left on device" in raised.value.strerror
    assert "were written, 0.0 MB are free" in raised.value.strerror or "MB are free without it" in raised.value.strerror
    assert [each.name for each in disk.iterdir()] == ["result.mp4"]
    assert path.read_text() == "old"


def test_a_folder_that_does_not_fit_leaves_the_old_one(disk):
    (disk / "ada").mkdir()
    (disk / "ada" / "model").write_text("old")
    with pytest.raises(DiskFull), new_folder(disk / "ada") as folder:
        WRITERS["libsndfile"](folder / "preview.wav")
    assert [each.name for each in disk.iterdir()] == ["ada"]
    assert (disk / "ada" / "model").read_text() == "old"


def test_what_is_known_not_to_fit_is_not_begun(disk):
    with pytest.raises(DiskFull, match=r"254 MB are needed, 2\.1 MB are free"):
        check_room(disk / "checkpoint", 254_000_000)


def test_other_faults_keep_their_names_on_a_disk_with_room(disk):
    with pytest.raises(ValueError, match="not a number"), new_file(disk / "a"):
        raise ValueError("not a number")
    (disk / "ballast").write_bytes(bytes(2_000_000))
    with pytest.raises(BadInput), new_file(disk / "a"):
        raise BadInput("nothing to say")


def test_a_folder_that_was_deleted_does_not_come_back(tmp_path):
    with pytest.raises(FileNotFoundError) as raised, new_file(tmp_path / "gone" / "a.png") as temporary:
        temporary.write_text("x")
    assert raised.value.filename == str(tmp_path / "gone" / "a.png")
    assert list(tmp_path.iterdir()) == []
