"""Reading recordings of every common kind, and cutting them at silences."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from spinbot.errors import BadInput
from spinbot_workers.voice.audio import SAMPLE_RATE, inspect, read
from spinbot_workers.voice.clips import LONGEST, split

EXAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"


def tone(seconds: float, rate: int) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 330 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def encode(path: Path, codec: str, wave: np.ndarray, rate: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def pitch(samples: np.ndarray) -> float:
    middle = samples[len(samples) // 4 : len(samples) // 4 * 3]
    return float(np.argmax(np.abs(np.fft.rfft(middle))) * SAMPLE_RATE / len(middle))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.m4a", "a.mka"])
@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_every_format_and_rate_becomes_22050_hz_mono(tmp_path: Path, name: str, rate: int) -> None:
    path, wave = tmp_path / name, tone(4, rate)
    if path.suffix in (".m4a", ".mka"):
        encode(path, "aac", wave, rate)
    else:
        soundfile.write(path, np.stack([wave, wave], axis=1), rate)
    samples = read(path)
    assert samples.dtype == np.float32
    assert len(samples) / SAMPLE_RATE == pytest.approx(4, abs=0.15)
    assert pitch(samples) == pytest.approx(330, abs=1.5)
    assert inspect(path).sample_rate == rate


def test_samples_beyond_full_scale_are_brought_back(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "loud.wav", tone(4, SAMPLE_RATE) * 20, SAMPLE_RATE, subtype="FLOAT")
    assert np.abs(read(tmp_path / "loud.wav")).max() == pytest.approx(1)


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder"):
        read(tmp_path)


def test_clips_are_cut_at_silences_and_hold_all_speech() -> None:
    samples = read(EXAMPLE)
    clips = split(samples, name="sample.wav")
    assert all(0.5 <= clip.seconds <= LONGEST for clip in clips)
    assert all(one.end <= two.start for one, two in zip(clips, clips[1:], strict=False))
    kept = np.zeros(len(samples), dtype=bool)
    for clip in clips:
        kept[round(clip.start * SAMPLE_RATE) : round(clip.end * SAMPLE_RATE)] = True
    assert (samples[kept] ** 2).sum() > 0.999 * (samples**2).sum()
    assert np.sqrt((samples[~kept] ** 2).mean()) < 0.01


def test_speech_without_a_pause_is_cut_all_the_same() -> None:
    clips = split(tone(20, SAMPLE_RATE), name="hum")
    assert all(clip.seconds <= LONGEST for clip in clips)
    assert sum(clip.seconds for clip in clips) == pytest.approx(20, abs=0.5)


def test_silence_has_no_clips() -> None:
    assert split(np.zeros(SAMPLE_RATE * 5, dtype=np.float32), name="nothing") == []
