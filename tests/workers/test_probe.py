"""What is refused before a job is made, by name and fault: the probe that the daemon runs."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from spinbot.errors import BadInput
from spinbot_workers.probe import probe

RATE = 22_050


def tone(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    wave = 0.3 * np.sin(2 * np.pi * 220 * np.arange(int(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def wav(path: Path, seconds: float = 4.0, **options: int) -> Path:
    soundfile.write(path, tone(seconds, **options), options.get("rate", RATE))
    return path


def nan(path: Path) -> Path:
    wave = tone(4)
    wave[1000] = np.nan
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    return path


def cut(path: Path) -> Path:
    wav(path, 10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def text(path: Path) -> Path:
    path.write_text("this is no sound at all\n" * 50)
    return path


def playlist(path: Path) -> Path:
    path.write_text("#EXTM3U\n#EXTINF:5,\n/etc/passwd\n")
    return path


def empty(path: Path) -> Path:
    path.touch()
    return path


def silence(path: Path) -> Path:
    soundfile.write(path, np.zeros(5 * RATE, dtype=np.float32), RATE)
    return path


def endless(path: Path) -> Path:
    """A header that promises two hours, which a pipe might have written, over four seconds."""
    wav(path)
    data = bytearray(path.read_bytes())
    data[40:44] = struct.pack("<I", 2 * 3600 * RATE * 2)
    path.write_bytes(data)
    return path


def two_hours(path: Path) -> Path:
    soundfile.write(path, tone(7200, rate=4000), 4000, subtype="PCM_U8")
    return path


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (text, "is not a recording that can be read"),
        (playlist, "is not a recording that can be read"),
        (empty, "is empty"),
        (cut, "is truncated: 5.0 s of 10.0 s are there"),
        (endless, "is truncated"),
        (silence, "is silent"),
        (nan, "samples that are not numbers"),
        (lambda path: wav(path, 0.3), "0.3 s of sound; a voice needs 3 s to 30 min"),
        (two_hours, "is longer than 30 min; a voice needs 3 s to 30 min"),
        (lambda path: wav(path, channels=9), "9 channels; it may have 1 to 8"),
        (lambda path: wav(path, rate=2000), "sample rate of 2000 Hz"),
        (lambda path: path, "does not exist"),
    ],
)
def test_a_recording_is_refused_by_name_and_fault(tmp_path: Path, make: Callable[[Path], Path], fault: str) -> None:
    path = make(tmp_path / "ada.wav")
    with pytest.raises(BadInput) as refused:
        probe([path])
    assert str(path) in str(refused.value)
    assert fault in str(refused.value)


def test_short_recordings_count_together(tmp_path: Path) -> None:
    paths = [wav(tmp_path / f"{number}.wav", 1.6) for number in range(2)]
    with pytest.raises(BadInput, match=r"3 s to 30 min"):
        probe(paths[:1])
    assert [item["seconds"] for item in probe(paths)["audio"]] == [1.6, 1.6]


def test_the_limit_can_be_moved(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", 8)
    with pytest.raises(BadInput, match=r"0\.1 min"):
        probe([path], max_minutes=0.1)
    assert probe([path], max_minutes=1)["audio"]


def test_a_folder_is_sorted_into_sounds_pictures_and_the_rest(tmp_path: Path) -> None:
    wav(tmp_path / "b.wav", rate=44_100, channels=2)
    soundfile.write(tmp_path / "a.flac", tone(4), RATE)
    Image.new("RGB", (80, 64)).save(tmp_path / "c.png")
    (tmp_path / "a.txt").write_text("what is said in a")
    (tmp_path / "notes.md").write_text("…")
    found = probe([tmp_path])
    assert [Path(item["path"]).name for item in found["audio"]] == ["a.flac", "b.wav"]
    assert found["audio"][1]["sampleRate"] == 44_100
    assert found["audio"][1]["channels"] == 2
    assert found["pictures"] == [{"path": str(tmp_path / "c.png"), "width": 80, "height": 64}]
    assert [Path(path).name for path in found["ignored"]] == ["notes.md"]


def test_a_folder_without_either_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to hear")
    with pytest.raises(BadInput, match="holds no sound and no pictures"):
        probe([tmp_path])


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda path: Image.new("RGB", (63, 200)).save(path), "63 x 200; a look needs 64"),
        (lambda path: Image.new("1", (9000, 6000)).save(path), "the limit is 50 million"),
        (lambda path: path.write_text("no picture"), "is not a picture"),
        (lambda path: path.touch(), "is empty"),
        (
            lambda path: (
                Image.effect_noise((200, 200), 50).save(path),
                path.write_bytes(path.read_bytes()[:9000]),
            ),
            "truncated",
        ),
    ],
)
def test_a_picture_is_refused_by_name_and_fault(tmp_path: Path, make: Callable[[Path], object], fault: str) -> None:
    path = tmp_path / "face.png"
    make(path)
    with pytest.raises(BadInput, match=fault) as refused:
        probe([path])
    assert str(path) in str(refused.value)


def test_the_command_answers_in_json_and_loads_no_torch(tmp_path: Path) -> None:
    good, bad = wav(tmp_path / "ada.wav"), text(tmp_path / "bad.wav")
    program = (
        "import runpy, sys; sys.argv = ['probe', *sys.argv[1:]]\n"
        "try: runpy.run_module('spinbot_workers.probe', run_name='__main__')\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)"
    )

    def run(path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)

    well, refused = run(good), run(bad)
    assert well.returncode == 0
    assert json.loads(well.stdout)["audio"][0] == {
        "path": str(good), "seconds": 4.0, "sampleRate": RATE, "channels": 1,
    }  # fmt: skip
    assert well.stderr.strip() == "False"
    assert refused.returncode == 2
    assert str(bad) in json.loads(refused.stdout)["error"]
    assert json.loads(refused.stdout)["hint"]
