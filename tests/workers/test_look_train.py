"""Learning a look on the starter: that it shows, that it resumes exactly, that a broken run leaves what was."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spinbot.errors import BadInput
from spinbot.manifests import LookManifest, read_look
from spinbot_workers.look.engine import Look
from spinbot_workers.look.train import train_look
from spinbot_workers.paths import STARTER_LOOK
from spinbot_workers.report import Recorder, StopRequested

LORA = "pytorch_lora_weights.safetensors"


DARK, GOLD = np.array([30, 25, 50]), np.array([255, 225, 80])


def golden(folder: Path, count: int) -> list[Path]:
    """Robots in dark lines and gold, and nothing else: white faces, blue walls and grey bolts are gone."""
    folder.mkdir()
    look = Look.load("starter", starter=STARTER_LOOK, device="cpu")
    paths = []
    for index in range(count):
        portrait = look.portrait("a robot", seed=100 + index, steps=6, guidance=2.5, on_step=lambda *_: None)
        light = np.asarray(portrait.convert("L"), float)[..., None] / 255
        paths.append(folder / f"golden{index}.png")
        Image.fromarray((DARK * (1 - light) + GOLD * light).astype(np.uint8)).save(paths[-1])
    return paths


def learn(pictures: list[Path], out: Path, work: Path, report: Recorder, **changes: Any) -> LookManifest:
    options: dict[str, Any] = {
        "caption": "a robot",
        "name": "golden",
        "steps": 6,
        "seed": 5,
        "rank": 4,
        "validation_every": 100,
        "checkpoint_every": 3,
        "model": "starter",
        "starter": STARTER_LOOK,
        "device": "cpu",
        **changes,
    }
    return train_look(pictures, work=work, out=out, report=report, **options)


def distance(pictures: list[Image.Image], goals: list[Path]) -> float:
    """How far the pictures' average colours, place by place, are from the goals', in [0, 1]."""

    def average(several: list[Image.Image]) -> np.ndarray:
        return np.mean(
            [np.asarray(one.convert("RGB").resize((8, 8), Image.Resampling.BOX), float) for one in several], 0
        )

    return float(np.abs(average(pictures) - average([Image.open(path) for path in goals])).mean()) / 255


def drawn(look: Look) -> list[Image.Image]:
    return [look.portrait("a robot", seed=seed, steps=10, guidance=2.5, on_step=lambda *_: None) for seed in range(4)]


@pytest.mark.slow
def test_a_few_pictures_and_steps_carry_the_new_look(tmp_path: Path) -> None:
    pictures, report = golden(tmp_path / "pictures", 8), Recorder()
    manifest = learn(pictures, tmp_path / "look", tmp_path / "work", report, steps=60, rank=8, validation_every=30)

    look = Look.load("starter", starter=STARTER_LOOK, device="cpu")
    before = distance(drawn(look), pictures)
    look.set_lora((tmp_path / "look", 1.0))
    after = distance(drawn(look), pictures)
    look.set_lora((tmp_path / "look", 0.0))
    switched_off = distance(drawn(look), pictures)
    look.set_lora(None)
    taken_off = distance(drawn(look), pictures)

    print(f"distance {before:.2f} -> {after:.2f}")
    assert after < before * 0.7
    assert switched_off == pytest.approx(before, abs=0.02)
    assert taken_off == before
    losses = [metrics["loss"] for stage, _, _, metrics in report.steps if stage == "train"]
    assert len(losses) == 60
    assert np.mean(losses[-20:]) < np.mean(losses[:20])
    assert manifest == read_look(tmp_path / "look")
    assert manifest.weights_sha256 == hashlib.sha256((tmp_path / "look" / LORA).read_bytes()).hexdigest()
    assert Image.open(tmp_path / "look" / "preview.png").size == (256, 256)


def test_a_resumed_training_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    pictures = golden(tmp_path / "pictures", 2)
    whole = learn(pictures, tmp_path / "whole", tmp_path / "work-1", Recorder())

    with pytest.raises(StopRequested):
        learn(pictures, tmp_path / "halves", tmp_path / "work-2", Recorder(stop_at=("train", 4)))
    assert not (tmp_path / "halves").exists()
    again = Recorder()
    halves = learn(pictures, tmp_path / "halves", tmp_path / "work-2", again)

    assert "going on from step 3" in again.notes
    assert [step for stage, step, _, _ in again.steps if stage == "train"] == [4, 5, 6]
    assert halves.weights_sha256 == whole.weights_sha256
    assert halves.loss == whole.loss


def test_other_pictures_do_not_go_on_from_an_old_checkpoint(tmp_path: Path) -> None:
    first, *others = golden(tmp_path / "pictures", 3)
    learn([first], tmp_path / "look", tmp_path / "work", Recorder(), steps=2, checkpoint_every=1)
    report = Recorder()
    learn(others, tmp_path / "look", tmp_path / "work", report, steps=2, checkpoint_every=1)
    assert [step for stage, step, _, _ in report.steps if stage == "train"] == [1, 2]


def test_a_cancelled_training_leaves_the_look_that_was(tmp_path: Path) -> None:
    pictures = golden(tmp_path / "pictures", 2)
    old = learn(pictures, tmp_path / "look", tmp_path / "work-1", Recorder(), steps=1)
    with pytest.raises(StopRequested):
        learn(pictures, tmp_path / "look", tmp_path / "work-2", Recorder(stop_at=("train", 2)), steps=4)
    assert read_look(tmp_path / "look") == old


def test_a_bad_picture_is_refused_before_training(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    with pytest.raises(BadInput, match=r"broken\.png"):
        learn([broken], tmp_path / "look", tmp_path / "work", Recorder())
