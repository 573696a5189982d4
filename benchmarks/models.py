"""What running a model inside a job costs beside the bare calls: same seed, same steps, one process each."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from websockets.sync.client import unix_connect

from benchmarks.jobs import OverSocket
from benchmarks.table import Table
from spinbot.home import Home
from spinbot_workers.look.engine import Look
from spinbot_workers.paths import STARTER_LOOK, starter_voice
from spinbot_workers.video.frames import Face, frames
from spinbot_workers.video.lips import mouth_per_frame
from spinbot_workers.video.mp4 import write_mp4
from spinbot_workers.voice.speak import Speaker
from spinbot_workers.voice.train import train_voice

SCENE, SAY = "a red robot", "good morning, the kettle is on"
RUNS = 3
STEPS = 12


class Silent:
    """A Report that only notes when each training step was done."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def step(
        self,
        stage: str,
        step: int,
        total: int,
        message: str = "",
        *,
        metrics: Mapping[str, float] | None = None,
        preview: Path | None = None,
    ) -> None:
        if stage == "train":
            self.at.append(time.monotonic())

    def note(self, message: str) -> None:
        """Nobody listens."""


def measure(daemon: OverSocket, home: Home, sample: Path) -> list[Table]:
    return [_generate(daemon, home), _train(daemon, home, sample)]


def _generate(daemon: OverSocket, home: Home) -> Table:
    body = {"prompt": f'{SCENE} says "{SAY}"', "seed": 7}
    first = _seconds(daemon, finished(daemon, "/api/generate", body))
    warm = [_seconds(daemon, finished(daemon, "/api/generate", body)) for _ in range(RUNS)]
    loading = time.monotonic()
    speaker = Speaker.load(None, starter=starter_voice(home), device="cpu")
    look = Look.load("starter", starter=STARTER_LOOK, device="cpu")
    loading = time.monotonic() - loading
    bare = [_bare(speaker, look) for _ in range(RUNS + 1)][1:]
    base, ours = statistics.median(bare), statistics.median(warm)
    table = Table("Generate a video, s", ["how", "seconds", "ratio", "wanted"])
    table.add("bare diffusers + Coqui calls, warm", f"{base:.2f}", "1.00", "")
    table.add("second job on a warm worker", f"{ours:.2f}", f"{ours / base:.2f}", "at most 1.05")
    table.add("first job on a new worker", f"{first:.2f}", f"{first / base:.2f}", "")
    table.add("  of which: loading voice and look", f"{loading:.2f}", f"{loading / base:.2f}", "")
    return table


def _bare(speaker: Speaker, look: Look) -> float:
    """The same calls as a job's body makes, without a job."""
    began = time.monotonic()

    def quiet(step: int, total: int, preview: object = None) -> None: ...

    speech = speaker.say(SAY, seed=7, on_step=quiet)
    options: dict[str, Any] = {"seed": 7, "steps": 20, "guidance": 2.5, "on_step": quiet}
    portrait = look.portrait(SCENE, width=None, height=None, **options)
    face = Face(
        portrait, look.mouths(portrait, SCENE, **options), look.blink(portrait, SCENE, **options), look.eyes_box
    )
    mouths = mouth_per_frame(speech, fps=25)
    with tempfile.TemporaryDirectory() as folder:
        write_mp4(
            Path(folder) / "bare.mp4",
            frames(face, mouths, fps=25, seed=7),
            speech.samples,
            fps=25,
            sample_rate=speech.sample_rate,
            metadata={},
        )
    return time.monotonic() - began


def _train(daemon: OverSocket, home: Home, sample: Path) -> Table:
    body = {"inputs": [str(sample)], "name": "bench", "steps": STEPS, "checkpointEvery": 1000}
    job_id = finished(daemon, "/api/train", body)["jobId"]
    rates: list[float] = []
    with unix_connect(str(home.socket), f"ws://localhost/ws?jobId={job_id}&after=0") as watcher:
        for message in watcher:
            event = json.loads(message)
            if event.get("stage") == "train" and "it/s" in event.get("metrics", {}):
                rates.append(1 / event["metrics"]["it/s"])
    bare = Silent()
    with tempfile.TemporaryDirectory() as folder:
        train_voice(
            [sample],
            name="bare",
            transcript=sample.with_suffix(".txt").read_text(),
            steps=STEPS,
            seed=0,
            learning_rate=None,
            checkpoint_every=1000,
            work=Path(folder) / "work",
            out=Path(folder) / "bare",
            starter=starter_voice(home),
            consent=None,
            device="cpu",
            report=bare,
        )
    alone = (bare.at[-1] - bare.at[0]) / (len(bare.at) - 1)
    ours = rates[-1]
    table = Table("Training step of a voice, s", ["how", "seconds", "ratio", "wanted"])
    table.add("the loop alone", f"{alone:.3f}", "1.00", "")
    table.add("in a job", f"{ours:.3f}", f"{ours / alone:.2f}", "at most 1.03")
    return table


def finished(daemon: OverSocket, path: str, body: object) -> Any:
    job_id = daemon.ask("POST", path, body)["jobId"]
    while (job := daemon.ask("GET", f"/api/jobs/{job_id}"))["state"] not in {"completed", "failed", "cancelled"}:
        time.sleep(0.05)
    if job["state"] != "completed":
        raise RuntimeError(f"{job_id} {job['state']}: {job.get('error')}")
    return job


def _seconds(daemon: OverSocket, job: Any) -> float:
    return float(job["ended"]) - float(job["started"])
