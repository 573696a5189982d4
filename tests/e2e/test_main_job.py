"""The main job, as typed: a voice learned from the example, and a video in which it speaks."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from PIL import Image
from safetensors.numpy import load_file

from check_video import recognised

SAID = "good morning, we will go to the house by the river today"
PROMPT = f'a red robot says "{SAID}"'

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def video(shell, trained) -> Path:
    done = shell.run("generate", "--voice", "ada", "--seed", "7", "--prompt", PROMPT, timeout=600)
    (path,) = done.stdout.splitlines()
    return Path(path)


def test_training_lowers_the_loss_and_tells_every_stage(shell, trained) -> None:
    events = shell.events(trained["jobId"])
    losses = [event["metrics"]["loss"] for event in events if event.get("stage") == "train" and event.get("metrics")]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    assert [event["state"] for event in events if event["type"] == "state"] == ["queued", "active", "completed"]
    stages = list(dict.fromkeys(event["stage"] for event in events if event.get("stage")))
    assert [stage for stage in stages if stage in ("align", "train", "preview")] == ["align", "train", "preview"]
    progress = [event["progress"] for event in events if event["type"] != "snapshot"]
    assert progress == sorted(progress)


def test_the_voice_is_not_the_starters(shell, trained) -> None:
    learned = load_file(shell.home / "voices" / "ada" / "model.safetensors")
    starter = load_file(shell.home / "models" / "starter-voice" / "model.safetensors")
    shared = [name for name in learned if name in starter]
    assert any(not np.allclose(learned[name].astype("f4"), starter[name].astype("f4"), atol=1e-3) for name in shared)
    assert trained["result"]["similarity"] > trained["result"]["starterSimilarity"]


def test_the_preview_can_be_heard(shell, trained) -> None:
    samples, rate = soundfile.read(Path(trained["result"]["path"]) / "preview.wav")
    assert rate == 22_050
    assert len(samples) > rate
    assert np.abs(samples).max() > 0.05


def test_the_video_lasts_as_long_as_the_speech_and_moves(video: Path) -> None:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        pictures = [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(stream)]
        assert float(stream.average_rate) == 25
    samples, rate = soundfile.read(video.with_name("speech.wav"))
    assert len(pictures) == int(np.ceil(len(samples) / rate * 25))
    assert min(pictures[0].shape) >= 256
    assert all(np.abs(b - a).max() > 0 for a, b in pairwise(pictures))


def test_a_recogniser_hears_the_words_of_the_prompt(video: Path) -> None:
    heard = recognised((_sound(video, 16_000) * 32767).astype(np.int16))
    said = SAID.replace(",", "").split()
    assert sum(word in heard for word in said) >= 0.75 * len(said), heard


def test_the_mouth_opens_with_the_loudness(video: Path) -> None:
    with av.open(str(video)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    openness = _openness(np.stack(pictures))
    sound = _sound(video, 22_050)
    edges = [int(index * 22_050 / 25) for index in range(len(pictures) + 1)]
    rms = [float(np.sqrt(np.mean(sound[a:b] ** 2))) if b > a else 0.0 for a, b in pairwise(edges)]
    assert np.corrcoef(openness, rms[: len(openness)])[0, 1] > 0.5


def _openness(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(frames,) dark red or dark pixels of the lower half of the face: the inside of an open mouth."""
    height, width = pictures.shape[1:3]
    mouth = pictures[:, int(0.52 * height) : int(0.72 * height), int(0.33 * width) : int(0.67 * width)].astype(int)
    dark = (mouth.sum(axis=-1) < 330).mean(axis=(1, 2))
    result: npt.NDArray[np.float64] = dark
    return result


def _sound(video: Path, rate: int) -> npt.NDArray[np.float32]:
    with av.open(str(video)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        blocks = [out.to_ndarray()[0] for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return np.concatenate(blocks)


def test_the_same_seed_gives_the_same_picture(shell, trained) -> None:
    paths = [Path(shell.run("generate", "--image", "--seed", "3", "--prompt", PROMPT).stdout.strip()) for _ in range(2)]
    assert paths[0] != paths[1]
    one, other = (np.asarray(Image.open(path)) for path in paths)  # the comment of each names its own job
    assert np.array_equal(one, other)


def test_a_shell_can_chain_train_wait_and_generate(shell, trained) -> None:
    script = (
        'id=$("$PY" -m spinbot_cli generate --audio --voice ada --prompt "hello there" --detach)'
        ' && "$PY" -m spinbot_cli wait "$id" && "$PY" -m spinbot_cli status "$id" --json'
    )
    done = subprocess.run(
        ["sh", "-c", script],
        env={**shell.environment, "PY": sys.executable},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"completed"' in done.stdout
