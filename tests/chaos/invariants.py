"""What must hold after any run, however it was broken."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import soundfile

from spinbot.events import Event, event_key
from spinbot.manifests import read_look, read_voice
from spinbot.store import JobStore

LORA_FILE = "pytorch_lora_weights.safetensors"
REASONS = ("on attempt ", "No space left", "No such file or directory: ", "Read-only", "are allowed")
OVER = {"completed", "failed", "cancelled"}


def check_job(store: JobStore, job_id: str) -> list[str]:
    """What is wrong with a job that was answered 202; empty when nothing is."""
    job, events, wrong = store.get(job_id), store.events(job_id), []
    states = [event for event in events if event.type == "state"]
    ends = [event.state for event in states if event.state in OVER]
    if ends != [job.state]:
        wrong.append(f"{job_id}: record says {job.state}, events say {ends}")
    running = 0
    for event in states:
        running = running + 1 if event.state == "active" else 0
        if running > 1:
            wrong.append(f"{job_id}: began twice without having been queued again")
    attempts = [event.attempt for event in events if event.type == "state" and event.state == "active"]
    if attempts != sorted(attempts):
        wrong.append(f"{job_id}: attempts out of order {attempts}")
    spoken = [event.attempt for event in events if event.type == "progress"]
    if spoken != sorted(spoken):
        wrong.append(f"{job_id}: an attempt that was over still spoke: {spoken}")
    error = str(getattr(job.status, "error", ""))
    if job.state == "failed" and not any(reason in error for reason in REASONS):
        wrong.append(f"{job_id}: failed with {error!r}, which no fault of these explains")
    if job.state == "completed":
        wrong += _check_result(job_id, getattr(job.status, "result", {}))
    return wrong


def _check_result(job_id: str, result: dict[str, Any]) -> list[str]:
    path = Path(str(result["path"]))
    if not path.exists():
        return [f"{job_id}: its result {path} is missing"]
    if path.is_dir():
        is_voice = (path / "voice.json").exists()
        manifest = read_voice(path) if is_voice else read_look(path)
        weights = path / ("model.safetensors" if is_voice else LORA_FILE)
        digest = sha256(weights.read_bytes()).hexdigest()
        return [] if digest == manifest.weights_sha256 else [f"{job_id}: {path} is not what its manifest says"]
    if path.suffix == ".wav":
        samples, _ = soundfile.read(path)
        return [] if len(samples) else [f"{job_id}: {path} is empty"]
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            frames = sum(1 for _ in container.decode(video=0))
        return [] if frames else [f"{job_id}: {path} has no frames"]
    return []


def check_watcher(store: JobStore, job_id: str, seen: Sequence[dict[str, Any]]) -> list[str]:
    """A watcher that stayed saw every change of state once, and nothing twice or out of order."""
    said = [event.id for event in store.events(job_id) if event.type == "state"]
    heard = [event["id"] for event in seen if event["type"] == "state"]
    wrong = [] if heard == said else [f"{job_id}: a watcher saw the changes {heard}, there were {said}"]
    keys = [event_key(event["id"]) for event in seen]
    if any(later <= earlier for earlier, later in zip(keys, keys[1:], strict=False)):
        wrong.append(f"{job_id}: a watcher saw events twice or out of order")
    return wrong


def digest(path: Path) -> str:
    """Of a file, or of all the files in a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return sha256(b"".join(file.read_bytes() for file in files if file.is_file())).hexdigest()


def last_loss(events: Sequence[Event]) -> float:
    return next(event.metrics["loss"] for event in reversed(events) if event.metrics and "loss" in event.metrics)


def steps_lost(events: Sequence[Event]) -> list[int]:
    """For each time a training was taken up again: how many steps of `train` were done a second time."""
    lost: list[int] = []
    furthest, attempt_furthest, fresh = 0, 0, False
    for event in events:
        if event.type == "state" and event.state == "active":
            fresh, furthest = True, max(furthest, attempt_furthest)
        elif event.stage == "train" and event.step is not None:
            if fresh and furthest and event.step > 0:
                lost.append(max(0, furthest - (event.step - 1)))
                fresh = False
            attempt_furthest = event.step
    return lost
