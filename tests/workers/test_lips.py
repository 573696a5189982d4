"""Lips meet on m, b and p, stay closed in silence, and open as far as it is loud."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from spinbot_workers.video.frames import Face, frame_size, frames
from spinbot_workers.video.lips import MOUTHS, loudness, mouth, mouth_per_frame

RATE = 22_050
OPEN = {"closed": 0.0, "smile": 0.1, "teeth": 0.3, "small": 0.4, "round": 0.6, "open": 0.8, "wide": 1.0}


@dataclass
class Speech:
    samples: npt.NDArray[np.float32]
    sample_rate: int = RATE
    phonemes: list[SimpleNamespace] = field(default_factory=list)


def tone(levels: list[float], seconds: float = 0.2) -> npt.NDArray[np.float32]:
    wave = np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE)
    return np.concatenate([level * wave for level in levels]).astype(np.float32)


def test_every_frame_has_a_mouth_and_silence_has_a_closed_one() -> None:
    mouths = mouth_per_frame(Speech(tone([0, 0.5, 0, 0.5, 0])), fps=25)
    assert len(mouths) == 25
    assert set(mouths) <= set(MOUTHS)
    assert set(mouths[:4]) == set(mouths[11:14]) == {"closed"}
    assert "closed" not in mouths[6:9]


def test_the_mouth_opens_with_the_loudness() -> None:
    rng = np.random.default_rng(1)
    samples = tone(list(rng.uniform(0, 1, 40)))
    mouths = mouth_per_frame(Speech(samples), fps=25)
    opened = [OPEN[shape] for shape in mouths]
    assert np.corrcoef(opened, loudness(samples, sample_rate=RATE, fps=25))[0, 1] > 0.8


@pytest.mark.parametrize(("symbol", "shape"), [("m", "closed"), ("p", "closed"), ("s", "teeth"), ("u", "round")])
def test_some_sounds_have_a_shape_of_their_own(symbol: str, shape: str) -> None:
    assert mouth(symbol, 0.5) == shape


def test_phonemes_decide_the_shape_of_the_frames_they_are_heard_in() -> None:
    phonemes = [SimpleNamespace(symbol="m", start=0.0, end=0.5), SimpleNamespace(symbol="u", start=0.5, end=1.0)]
    mouths = mouth_per_frame(Speech(tone([0.5], 1.0), phonemes=phonemes), fps=10)
    assert mouths == ["closed"] * 5 + ["round"] * 5


def test_silence_alone_is_not_divided_by() -> None:
    assert not loudness(np.zeros(RATE, np.float32), sample_rate=RATE, fps=25).any()
    assert len(loudness(np.zeros(0, np.float32), sample_rate=RATE, fps=25)) == 0


@pytest.fixture
def face() -> Face:
    chance = np.random.default_rng(0)
    portrait = Image.fromarray(chance.integers(0, 255, (48, 48, 3), dtype=np.uint8)).resize((130, 128))
    mouths = {shape: portrait.copy() for shape in MOUTHS}
    for index, shape in enumerate(MOUTHS):
        mouths[shape].paste((30 * index, 0, 0), (40, 80, 90, 100))
    return Face(portrait, mouths, None, None)


def test_frames_are_even_large_enough_and_move(face: Face) -> None:
    made = list(frames(face, ["closed"] * 10, fps=25, seed=1))
    assert {frame.size for frame in made} == {frame_size(face.portrait)}
    assert frame_size(face.portrait) == (520, 512)
    assert all(np.any(np.asarray(a) != np.asarray(b)) for a, b in zip(made, made[1:], strict=False))


def test_the_same_seed_gives_the_same_frames(face: Face) -> None:
    once, again, other = (
        [np.asarray(frame) for frame in frames(face, ["open"] * 3, fps=25, seed=seed)] for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(once, other, strict=True))


def test_no_edge_of_the_picture_is_ever_seen() -> None:
    white = Image.new("RGB", (128, 128), (255, 255, 255))
    for frame in frames(Face(white, {}, None, None), ["closed"] * 200, fps=25, seed=3):
        assert np.asarray(frame).min() > 250
