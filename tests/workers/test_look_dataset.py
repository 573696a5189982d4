"""Pictures and their captions, as a training reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from spinbot.errors import BadInput
from spinbot_workers.look.dataset import read_examples


def picture(path: Path, size: tuple[int, int] = (100, 80), color: str = "red") -> Path:
    Image.new("RGB", size, color).save(path)
    return path


def test_captions_come_from_the_nearest_place(tmp_path: Path) -> None:
    named, beside, shared = (picture(tmp_path / f"{name}.png") for name in ("named", "beside", "shared"))
    (tmp_path / "beside.txt").write_text("a  robot\nfrom a text file\n")
    examples = read_examples(
        [named, beside, shared], captions={named: "a robot by name"}, caption="a robot for all", size=64
    )
    assert [example.caption for example in examples] == [
        "a robot by name",
        "a robot from a text file",
        "a robot for all",
    ]
    assert read_examples([shared], captions=None, caption=None, size=64)[0].caption == "a robot"


def test_pictures_become_squares_of_the_models_size(tmp_path: Path) -> None:
    example = read_examples([picture(tmp_path / "wide.jpg", (300, 90))], captions=None, caption=None, size=128)[0]
    assert example.pixels.shape == (3, 128, 128)
    assert example.pixels[0].min() > 0.9
    assert example.pixels[1].max() < -0.9
    assert len(example.source.sha256) == 64


def test_what_is_transparent_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (90, 90), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    example = read_examples([tmp_path / "clear.png"], captions=None, caption=None, size=64)[0]
    assert example.pixels.min() == 1


def test_a_picture_lying_on_its_side_is_set_upright(tmp_path: Path) -> None:
    lying = Image.new("RGB", (100, 100), "black")
    lying.paste("white", (0, 0, 50, 100))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise: what was left is on top
    lying.save(tmp_path / "lying.jpg", exif=exif)
    pixels = read_examples([tmp_path / "lying.jpg"], captions=None, caption=None, size=64)[0].pixels
    assert pixels[:, :20].mean() > 0.8
    assert pixels[:, -20:].mean() < -0.8


@pytest.mark.parametrize("content", [b"", b"these are words", b"\x89PNG\r\n\x1a\n truncated"])
def test_what_is_not_a_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(BadInput, match=r"broken\.png"):
        read_examples([tmp_path / "broken.png"], captions=None, caption=None, size=64)


def test_a_truncated_picture_is_refused_by_name(tmp_path: Path) -> None:
    whole = picture(tmp_path / "half.png", (400, 400)).read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"half\.png"):
        read_examples([tmp_path / "half.png"], captions=None, caption=None, size=64)


def test_no_pictures_and_tiny_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no pictures"):
        read_examples([], captions=None, caption=None, size=64)
    with pytest.raises(BadInput, match="20x20"):
        read_examples([picture(tmp_path / "dot.png", (20, 20))], captions=None, caption=None, size=64)
