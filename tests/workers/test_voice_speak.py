"""The starter voice, put together and heard; learned voices over it; how alike voices are."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from spinbot.errors import BadInput, JobFailed
from spinbot_workers.voice.audio import read
from spinbot_workers.voice.model import load_vits
from spinbot_workers.voice.similarity import similarity
from spinbot_workers.voice.speak import Speaker
from spinbot_workers.voice.starter import assembled, onnx_path
from spinbot_workers.voice.words import hear

EXAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Two threads on a machine that others use wait for each other more than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def starter(models: Path) -> Path:
    return assembled(models)


@pytest.fixture(scope="module")
def speaker(starter: Path) -> Speaker:
    return Speaker.load(None, starter=starter, device="cpu")


def test_it_is_put_together_once_and_again_when_damaged(models: Path, starter: Path) -> None:
    written = (starter / "model.safetensors").stat().st_mtime_ns
    assert assembled(models) == starter
    assert (starter / "model.safetensors").stat().st_mtime_ns == written
    damaged = models / "damaged"
    shutil.copytree(starter, damaged / "starter-voice")
    (damaged / "starter-voice" / "model.safetensors").write_bytes(b"half of it")
    assert load_vits(assembled(damaged))
    assert [path.name for path in damaged.iterdir()] == ["starter-voice"]


def test_the_weights_are_those_of_the_onnx(starter: Path) -> None:
    import onnx
    from onnx import numpy_helper

    arrays = {item.name: item for item in onnx.load(str(onnx_path())).graph.initializer}
    vits = load_vits(starter)
    for ours, theirs in {
        "text_encoder.emb.weight": "sid",
        "waveform_decoder.ups.1.weight": "dec.ups.1.weight",
        "flow.flows.3.pre.weight": "flow.flows.6.pre.weight",
        "duration_predictor.flows.4.proj.bias": "dp.flows.7.proj.bias",
        "flow.flows.3.enc.in_layers.0.weight": "onnx::Conv_8168",
    }.items():
        path, _, last = ours.rpartition(".")
        found = getattr(vits.get_submodule(path), last)
        torch.testing.assert_close(found.detach(), torch.from_numpy(numpy_helper.to_array(arrays[theirs]).copy()))


def test_its_words_are_heard(speaker: Speaker) -> None:
    steps: list[tuple[int, int]] = []
    speech = speaker.say(
        "Turn left at the church and go straight on. It rained all day, so we stayed at home.",
        seed=3,
        on_step=lambda step, total: steps.append((step, total)),
    )
    heard = hear(speech.samples).split()
    assert len({"left", "church", "straight", "rained", "day", "stayed", "home"} & set(heard)) >= 6, heard
    assert steps == [(0, 2), (1, 2), (2, 2)]
    assert np.abs(speech.samples).max() <= 1


def test_phonemes_cover_the_speech_in_order(speaker: Speaker) -> None:
    speech = speaker.say("Hello there. How are you?", seed=1)
    assert all(one.start <= one.end <= two.start + 1e-9 for one, two in pairwise(speech.phonemes))
    assert speech.phonemes[-1].end == pytest.approx(len(speech.samples) / speech.sample_rate, abs=0.05)
    assert "".join(p.symbol for p in speech.phonemes).startswith("h")


def test_a_seed_gives_the_same_speech_and_speed_its_length(speaker: Speaker) -> None:
    one, same, fast = (
        speaker.say("The last train leaves at eleven.", seed=5, speed=speed).samples for speed in (1, 1, 2)
    )
    assert one.tobytes() == same.tobytes()
    assert 0.4 < len(fast) / len(one) < 0.7
    with pytest.raises(BadInput, match="speed 9 is outside"):
        speaker.say("Hello.", seed=0, speed=9)


def test_speaking_stops_between_sentences(speaker: Speaker) -> None:
    class Enough(BaseException):
        pass

    def on_step(step: int, total: int) -> None:
        if step == 1:
            raise Enough

    with pytest.raises(Enough):
        speaker.say("One. Two. Three. " * 1000, seed=0, on_step=on_step)


def test_a_missing_damaged_or_foreign_voice_is_named(tmp_path: Path, starter: Path) -> None:
    weights = tmp_path / "model.safetensors"
    with pytest.raises(JobFailed, match=r"model\.safetensors cannot be read"):
        Speaker.load(tmp_path, starter=starter, device="cpu")
    weights.write_bytes(b"\x80\x04pickle")
    with pytest.raises(JobFailed, match=r"model\.safetensors cannot be read"):
        Speaker.load(tmp_path, starter=starter, device="cpu")
    save_file({"gpt.layer": torch.zeros(1)}, weights)
    with pytest.raises(JobFailed, match="is not a voice for this starter"):
        Speaker.load(tmp_path, starter=starter, device="cpu")


def test_a_learned_voice_sounds_different(tmp_path: Path, starter: Path, speaker: Speaker) -> None:
    state = load_file(starter / "model.safetensors")
    changed = {name: (value * 1.05).half() for name, value in state.items() if name.startswith("waveform_decoder.ups")}
    save_file(changed, tmp_path / "model.safetensors")
    learned = Speaker.load(tmp_path, starter=starter, device="cpu").say("Hello.", seed=0).samples
    plain = speaker.say("Hello.", seed=0).samples
    assert len(learned) == len(plain)
    assert np.abs(learned - plain).max() > 0.01


def test_one_speaker_is_more_alike_than_two(speaker: Speaker) -> None:
    recording = read(EXAMPLE)
    middle = len(recording) // 2
    other = speaker.say("We waited at the station for almost two hours, and then it began to rain.", seed=0).samples
    assert similarity(recording[:middle], recording[middle:]) > 0.9
    assert similarity(recording, other) < 0.65
