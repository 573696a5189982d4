"""Learning a voice: the loss falls, a stopped job ends as if it had never stopped, and what is written can speak."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from spinbot.manifests import VoiceManifest, read_voice
from spinbot_workers.report import Recorder, StopRequested
from spinbot_workers.voice.speak import Speaker
from spinbot_workers.voice.starter import assembled, sha256
from spinbot_workers.voice.train import checkpoint, resume, train_voice

EXAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"
STEPS = 6


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Two threads on a machine that others use wait for each other more than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return assembled(tmp_path_factory.mktemp("models"))


def train(home: Path, starter: Path, recorder: Recorder, *, steps: int = STEPS) -> VoiceManifest:
    return train_voice(
        [EXAMPLE, EXAMPLE.with_suffix(".txt")],
        name="ada",
        transcript=None,
        steps=steps,
        seed=7,
        learning_rate=None,
        checkpoint_every=2,
        work=home / "work",
        out=home / "ada",
        starter=starter,
        consent="mine",
        device="cpu",
        report=recorder,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, starter: Path) -> tuple[Path, Recorder]:
    home, recorder = tmp_path_factory.mktemp("home"), Recorder()
    train(home, starter, recorder)
    return home / "ada", recorder


def test_the_loss_falls(trained: tuple[Path, Recorder]) -> None:
    losses = [metrics["loss"] for stage, _, _, metrics in trained[1].steps if stage == "train"]
    assert len(losses) == STEPS
    assert np.mean(losses[-2:]) < 0.95 * np.mean(losses[:2])


def test_the_manifest_says_what_was_done(trained: tuple[Path, Recorder]) -> None:
    folder, _ = trained
    manifest = read_voice(folder)
    assert manifest.sources[0].sha256 == sha256(EXAMPLE)
    assert manifest.weights_sha256 == sha256(folder / "model.safetensors")
    assert (manifest.steps, manifest.seed, manifest.transcript_from, manifest.consent) == (STEPS, 7, "file", "mine")
    assert manifest.clips_used >= 4
    assert manifest.similarity is not None
    assert manifest.starter_similarity is not None
    assert manifest.similarity > manifest.starter_similarity


def test_the_voice_speaks_and_left_a_preview(trained: tuple[Path, Recorder], starter: Path) -> None:
    folder, _ = trained
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "preview.wav", "voice.json"]
    wave, rate = soundfile.read(folder / "preview.wav")
    assert rate == 22_050
    assert np.abs(wave).max() > 0.5
    learned = Speaker.load(folder, starter=starter, device="cpu").say("Good morning.", seed=0).samples
    plain = Speaker.load(None, starter=starter, device="cpu").say("Good morning.", seed=0).samples
    assert len(learned) == len(plain)
    assert np.abs(learned - plain).max() > 0.01


def test_a_stopped_job_leaves_the_old_voice_and_ends_with_the_same_weights(
    tmp_path: Path, starter: Path, trained: tuple[Path, Recorder]
) -> None:
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "voice.json").write_text("the old one")
    with pytest.raises(StopRequested):
        train(tmp_path, starter, Recorder(stop_at=("train", 3)))
    assert (tmp_path / "ada" / "voice.json").read_text() == "the old one"
    recorder = Recorder()
    train(tmp_path, starter, recorder)
    assert [step for stage, step, *_ in recorder.steps if stage == "train"] == [4, 5, 6]
    whole, resumed = (load_file(folder / "model.safetensors") for folder in (trained[0], tmp_path / "ada"))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert np.allclose(tensor.numpy(), resumed[name].numpy(), atol=1e-3), name


def test_a_checkpoint_serves_its_own_plan_only(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"

    def parts() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], torch.optim.Optimizer]:
        weight = torch.nn.Parameter(torch.ones(3))
        return {"w": weight}, {"w": torch.zeros(3)}, torch.optim.AdamW([weight])

    learned, average, optimizer = parts()
    learned["w"].square().sum().backward()
    optimizer.step()
    checkpoint(file, "this plan", 5, learned, average, optimizer)
    others = parts()
    assert resume(file, "another plan", *others) == 0
    assert others[0]["w"].tolist() == [1, 1, 1]
    assert resume(file, "this plan", *others) == 5
    assert torch.equal(others[0]["w"], learned["w"])
    assert (
        others[2].state_dict()["state"][0]["exp_avg"].tolist() == optimizer.state_dict()["state"][0]["exp_avg"].tolist()
    )
    file.write_bytes(file.read_bytes()[:100])  # a disk that was full
    assert resume(file, "this plan", *parts()) == 0
