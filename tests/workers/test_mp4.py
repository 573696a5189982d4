"""The mp4 is opened again: size, frame count, duration, sound, index in front."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from spinbot_workers.video.mp4 import write_mp4

RATE = 22_050


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    pictures = (Image.new("RGB", (64, 48), (10 * index, 0, 0)) for index in range(20))
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(0.8 * RATE)) / RATE).astype(np.float32)
    write_mp4(path, pictures, tone, fps=25, sample_rate=RATE, metadata={"title": "a tone"})
    return path


def test_the_video_has_the_size_frames_and_rate_it_was_given(clip: Path) -> None:
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        shades = [int(frame.to_ndarray(format="rgb24")[..., 0].mean()) for frame in container.decode(video)]
        assert (video.width, video.height, float(video.average_rate)) == (64, 48, 25)
    assert shades == pytest.approx([10 * index for index in range(20)], abs=4)


def test_the_sound_lasts_as_long_and_is_as_loud_as_the_speech(clip: Path) -> None:
    with av.open(str(clip)) as container:
        audio = container.streams.audio[0]
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio)])
        assert audio.codec_context.name == "aac"
    assert len(heard) / RATE == pytest.approx(0.8, abs=0.1)
    assert heard[2048:-4096].std() == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_it_can_be_played_while_it_loads_and_says_what_it_is(clip: Path) -> None:
    data = clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(clip)) as container:
        assert container.metadata["title"] == "a tone"
