"""The training program of the starter look, a few steps of everything."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "workers"))  # the program is not in the wheel

pytest.importorskip("skia", reason="skia-python draws the robots; it is in the extra dev")

from spinbot_workers.look.engine import Look
from starter_look import __main__ as program
from starter_look.draw import EYES_BOX, MOUTH_BOX, SIZE, render
from starter_look.robots import MOUTHS, Robot, caption, draw_lots
from starter_look.text import LENGTH, build_tokenizer, known_words

ROBOT = Robot("red", "blue", "round", "round", "antenna", "bolts", "tie", "plain", "open", "closed")


def changed(one: Robot, **to: str) -> tuple[int, int, int, int]:
    """The box around the pixels that differ."""
    other = Robot(**{**one.__dict__, **to})
    rows, columns = np.nonzero((render(one) != render(other)).any(-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def inside(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] >= other[0] and one[1] >= other[1] and one[2] <= other[2] and one[3] <= other[3]


@pytest.mark.parametrize("mouth", [name for name in MOUTHS if name != "closed"])
def test_mouths_are_drawn_inside_the_mouth_box(mouth: str) -> None:
    assert inside(changed(ROBOT, mouth=mouth), MOUTH_BOX)


@pytest.mark.parametrize("eyes", ["round", "square", "visor", "goggles", "sleepy", "heart", "single"])
def test_a_blink_is_drawn_inside_the_eyes_box(eyes: str) -> None:
    assert inside(changed(Robot(**{**ROBOT.__dict__, "eyes": eyes}), lids="shut"), EYES_BOX)


def test_boxes_stand_on_the_grid_of_the_latents() -> None:
    assert all(edge % 16 == 0 for edge in (*MOUTH_BOX, *EYES_BOX))


def test_drawing_is_repeatable() -> None:
    robots = [draw_lots(random.Random(7)) for _ in range(2)]
    assert robots[0] == robots[1]
    assert render(robots[0]).shape == (SIZE, SIZE, 3)
    assert np.array_equal(render(robots[0]), render(robots[1]))


def test_a_full_caption_names_everything_and_fits() -> None:
    tokenizer, rng = build_tokenizer(), random.Random(1)
    text = caption(ROBOT, rng, full=True)
    assert "robot" in text
    assert text.endswith("closed mouth")
    assert max(len(tokenizer(caption(draw_lots(rng), rng, full=True)).input_ids) for _ in range(300)) <= LENGTH


def test_each_known_word_is_one_token() -> None:
    tokenizer = build_tokenizer()
    assert [word for word in known_words() if len(tokenizer(word).input_ids) != 3] == []


def test_words_have_the_same_numbers_every_time() -> None:
    one, other = build_tokenizer().get_vocab(), build_tokenizer().get_vocab()
    assert one == other
    assert sorted(one.values()) == list(range(len(one)))


def test_the_whole_program_runs_in_miniature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--images", str(tmp_path / "images")]
    program.main(["all", "--tiny", *arguments])
    assert "held-out captions: color" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "images").iterdir()} >= {"look-captions.png", "look-mouths.png"}
    look = Look.load("starter", starter=tmp_path / "out", device="cpu")
    made = look.portrait("a red robot", seed=1, steps=2, guidance=2.0, on_step=lambda *_: None)
    assert made.size == (SIZE, SIZE)

    program.main(["train", "--tiny", *arguments])  # everything is done: nothing is trained again
    assert "1/2" not in capsys.readouterr().out
