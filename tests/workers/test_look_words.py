"""What the starter look says it knows, without loading a model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spinbot.errors import JobFailed
from spinbot_workers.look.words import facts, known_part, unknown_words
from spinbot_workers.paths import STARTER_LOOK


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("a friendly red robot in the kitchen", []),
        ("two green dragons", ["dragons"]),
        ("Dragons and more DRAGONS, with Fire", ["dragons", "more", "fire"]),
        ("", []),
        ("ein roter Roboter 机器人", ["ein", "roter", "roboter", "机器人"]),
    ],
)
def test_unknown_words_are_told_once_in_order(prompt: str, unknown: list[str]) -> None:
    assert unknown_words(prompt, STARTER_LOOK) == unknown


def test_what_is_known_of_a_prompt_stays_in_order() -> None:
    assert known_part("a grumpy red robot, by van Gogh, in the kitchen!", STARTER_LOOK) == (
        "a red robot, in the kitchen"
    )


def test_an_install_without_the_starter_says_so(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"starter\.json"):
        unknown_words("a red robot", tmp_path)


def test_mouth_and_eyes_do_not_overlap() -> None:
    known = facts(STARTER_LOOK)
    assert known.eyes_box[3] <= known.mouth_box[1]


def test_asking_for_words_loads_no_torch() -> None:
    code = "import sys, spinbot_workers.look.words; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
