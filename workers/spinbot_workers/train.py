"""The body of a training job: from its record and its inputs to a voice or a look."""

from __future__ import annotations

from pathlib import Path

from pydantic import JsonValue

from spinbot.jobs import Input, Job, LookSpec, VoiceSpec
from spinbot_workers.paths import STARTER_LOOK, starter_voice
from spinbot_workers.reporter import Reporter
from spinbot_workers.warm import Warm

VOICE_PLAN: dict[str, float] = {
    "read": 1,
    "split": 1,
    "words": 6,
    "align": 4,
    "load": 3,
    "train": 80,
    "measure": 3,
    "preview": 2,
}
LOOK_PLAN: dict[str, float] = {"read": 1, "load": 2, "encode": 2, "train": 92, "preview": 3}


def voice(warm: Warm, job: Job, report: Reporter) -> dict[str, JsonValue]:
    from spinbot_workers.voice.train import train_voice

    spec = job.spec
    assert isinstance(spec, VoiceSpec)
    folder = warm.home.job(job.id)
    manifest = train_voice(
        _files(folder, spec.inputs),
        name=spec.name,
        transcript=spec.transcript,
        steps=spec.steps,
        seed=spec.seed,
        learning_rate=spec.learning_rate,
        checkpoint_every=spec.checkpoint_every,
        work=folder / "checkpoints",
        out=warm.home.voices / spec.name,
        starter=starter_voice(warm.home),
        consent=spec.consent,
        device=warm.device,
        report=report,
        max_minutes=spec.max_minutes,
    )
    preview = _beside(folder, warm.home.voices / spec.name / "preview.wav")
    return {
        "voice": spec.name,
        "similarity": manifest.similarity,
        "starterSimilarity": manifest.starter_similarity,
        "clipsUsed": manifest.clips_used,
        "clipsLeftOut": manifest.clips_left_out,
        "preview": preview,
        "path": str(warm.home.voices / spec.name),
    }


def look(warm: Warm, job: Job, report: Reporter) -> dict[str, JsonValue]:
    from spinbot_workers.look.train import train_look

    spec = job.spec
    assert isinstance(spec, LookSpec)
    folder = warm.home.job(job.id)
    manifest = train_look(
        [path for path in _files(folder, spec.inputs) if path.suffix != ".txt"],
        captions=None,
        caption=spec.caption,
        name=spec.name,
        steps=spec.steps,
        seed=spec.seed,
        rank=spec.rank,
        validation_every=spec.validation_every,
        checkpoint_every=spec.checkpoint_every,
        work=folder / "checkpoints",
        out=warm.home.looks / spec.name,
        model=spec.model,
        starter=STARTER_LOOK,
        device=warm.device,
        report=report,
        consent=spec.consent,
    )
    preview = _beside(folder, warm.home.looks / spec.name / "preview.png")
    return {
        "look": spec.name,
        "loss": manifest.loss,
        "preview": preview,
        "path": str(warm.home.looks / spec.name),
    }


def _files(folder: Path, inputs: tuple[Input, ...]) -> list[Path]:
    return [folder / "inputs" / item.file for item in inputs]


def _beside(folder: Path, preview: Path) -> str:
    """The preview stays with the job too: the voice may be trained again, the job's result may not change."""
    from shutil import copyfile

    from spinbot.files import new_file

    with new_file(folder / preview.name) as temporary:
        copyfile(preview, temporary)
    return preview.name
