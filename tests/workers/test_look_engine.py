"""The shipped starter look, drawing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spinbot.errors import BadInput, JobFailed
from spinbot_workers.look.engine import MOUTHS, Look, paste
from spinbot_workers.paths import STARTER_LOOK
from spinbot_workers.report import StopRequested

SCENE = "a friendly red robot with round eyes, on blue"


def ignore(step: int, total: int, preview: Image.Image | None) -> None:
    pass


@pytest.fixture(scope="module")
def look() -> Look:
    return Look.load("starter", starter=STARTER_LOOK, device="cpu")


@pytest.fixture(scope="module")
def portrait(look: Look) -> Image.Image:
    return look.portrait(SCENE, seed=3, steps=12, guidance=2.5, on_step=ignore)


def outside(picture: Image.Image, box: tuple[int, int, int, int]) -> np.ndarray:
    pixels = np.array(picture)
    pixels[box[1] : box[3], box[0] : box[2]] = 0
    return pixels


def test_a_portrait_has_the_colours_of_its_prompt(portrait: Image.Image) -> None:
    assert portrait.size == (256, 256)
    pixels = np.asarray(portrait, float)
    red, _, blue = pixels[55:70, 110:146].mean((0, 1))  # the forehead
    assert red > blue + 50
    red, _, blue = pixels[4:60, 4:24].mean((0, 1))  # the wall
    assert blue > red + 20


def test_the_same_seed_draws_the_same_picture(look: Look) -> None:
    one, same, other = (look.portrait(SCENE, seed=seed, steps=4, guidance=2.5, on_step=ignore) for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


def test_every_step_is_told_and_previews_come_on_the_way(look: Look) -> None:
    told: list[tuple[int, int]] = []
    previews: list[Image.Image] = []

    def remember(step: int, total: int, preview: Image.Image | None) -> None:
        told.append((step, total))
        if preview is not None:
            previews.append(preview)

    look.portrait(SCENE, seed=1, steps=7, guidance=2.5, on_step=remember)
    assert told == [(step, 7) for step in range(1, 8)]
    assert [preview.size for preview in previews] == [(256, 256)]


def test_what_a_step_raises_stops_the_drawing(look: Look) -> None:
    def stop(step: int, total: int, preview: Image.Image | None) -> None:
        if step == 2:
            raise StopRequested

    with pytest.raises(StopRequested):
        look.portrait(SCENE, seed=1, steps=50, guidance=2.5, on_step=stop)


def test_mouths_differ_inside_the_mouth_box_only(look: Look, portrait: Image.Image) -> None:
    told: list[int] = []
    mouths = look.mouths(
        portrait, SCENE, seed=3, steps=8, guidance=2.5, on_step=lambda step, total, _: told.append(total - step)
    )
    assert tuple(mouths) == MOUTHS
    assert told == list(range(8 * len(MOUTHS) - 1, -1, -1))
    box = look.mouth_box.pixels(portrait.size)
    for mouth in mouths.values():
        assert np.array_equal(outside(mouth, box), outside(portrait, box))
    dark = {name: float((np.asarray(mouth.crop(box).convert("L")) < 110).mean()) for name, mouth in mouths.items()}
    assert dark["wide"] > dark["open"] > dark["small"]
    assert dark["wide"] > dark["closed"]


def test_a_blink_changes_the_eyes_only(look: Look, portrait: Image.Image) -> None:
    blink = look.blink(portrait, SCENE, seed=3, steps=8, guidance=2.5, on_step=ignore)
    assert blink is not None
    assert look.eyes_box is not None
    box = look.eyes_box.pixels(portrait.size)
    assert np.array_equal(outside(blink, box), outside(portrait, box))
    open_dark, shut_dark = (
        float((np.asarray(picture.crop(box).convert("L")) < 80).mean()) for picture in (portrait, blink)
    )
    assert shut_dark < open_dark * 0.7


@pytest.mark.parametrize("scene", ["", "two green dragons", "🤖 机器人", "word " * 400, "a red robot " * 300])
def test_any_scene_gives_a_picture_and_keeps_the_mouth(look: Look, scene: str) -> None:
    assert look._prompt(scene, "open eyes", "smile").endswith("smile mouth")
    assert len(look.pipe.tokenizer(look._prompt(scene, "open eyes", "smile")).input_ids) <= 40
    picture = look.portrait(scene, seed=0, steps=2, guidance=2.5, on_step=ignore)
    assert np.asarray(picture).std() > 10


@pytest.mark.parametrize("model", ["no/such-model-anywhere", "."])
def test_an_unknown_model_is_refused_with_a_remedy(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    source = str(tmp_path) if model == "." else model
    with pytest.raises(BadInput) as refused:
        Look.load(source, starter=STARTER_LOOK, device="cpu")
    assert source in str(refused.value)
    assert "starter" in refused.value.hint


def test_a_broken_look_is_refused_and_the_model_goes_on(look: Look, tmp_path: Path) -> None:
    (tmp_path / "pytorch_lora_weights.safetensors").write_bytes(b"not a look")
    with pytest.raises(JobFailed):
        look.set_lora((tmp_path, 1.0))
    look.set_lora(None)
    look.portrait(SCENE, seed=1, steps=1, guidance=2.5, on_step=ignore)


def test_pasting_fits_the_colour_and_touches_nothing_else() -> None:
    portrait = Image.new("RGB", (64, 64), (200, 100, 50))
    redrawn = Image.new("RGB", (64, 64), (190, 110, 60))
    redrawn.paste((0, 0, 0), (28, 28, 36, 36))
    pasted = np.asarray(paste(portrait, redrawn, (16, 16, 48, 48)))
    assert tuple(pasted[20, 20]) == (200, 100, 50)
    assert pasted[32, 32].max() <= 10
    assert (pasted[:16] == (200, 100, 50)).all()
