"""A tiny run of the program that makes the starter voice's posterior encoder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[2] / "workers"))  # the program is not in the wheel

from spinbot_workers.voice.starter import POSTERIOR
from starter_voice.distill import Plan, distill
from starter_voice.texts import sentences


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Two threads on a machine that others use wait for each other more than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_student_learns_and_a_resumed_run_is_the_same_run(tmp_path: Path) -> None:
    plan = Plan(sentences=10, steps=8, batch=2, frames=64, checkpoint_every=4)
    said: list[str] = []
    whole = distill(plan, work=tmp_path / "a", out=tmp_path / "a.safetensors", say=said.append)
    assert whole.plain < 2.2 < whole.first_loss
    assert [line.split(":")[0] for line in said if line.startswith("step")] == ["step 4 of 8", "step 8 of 8"]

    class Stopped(BaseException):
        pass

    def stop(line: str) -> None:
        if line.startswith("step 4"):
            raise Stopped

    for say in (stop, said.append):
        try:
            distill(plan, work=tmp_path / "b", out=tmp_path / "b.safetensors", say=say)
        except Stopped:
            assert not said[2:]
    one, other = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "b.safetensors")
    for name, tensor in one.items():
        torch.testing.assert_close(tensor.float(), other[name].float(), atol=2e-3, rtol=0)
    assert one.keys() == load_file(POSTERIOR).keys()


def test_sentences_vary_and_repeat_with_the_seed() -> None:
    first = sentences(200, seed=1)
    assert first == sentences(200, seed=1)
    assert len(set(first)) == 200
    assert first != sentences(200, seed=2)
