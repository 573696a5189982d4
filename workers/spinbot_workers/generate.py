"""The body of a generating job: a portrait, its mouths, speech, and the video they make together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydantic import JsonValue

from spinbot.errors import BadInput, JobFailed
from spinbot.files import new_file
from spinbot.jobs import Job, TalkSpec
from spinbot.manifests import checked_weights, read_look, read_voice
from spinbot_workers.credentials import Sign, signer
from spinbot_workers.look.engine import LORA_FILE, Look
from spinbot_workers.look.hub import on_this_machine
from spinbot_workers.look.words import unknown_words
from spinbot_workers.paths import STARTER_LOOK, starter_voice
from spinbot_workers.provenance import provenance
from spinbot_workers.reporter import Reporter
from spinbot_workers.video.frames import Face, frames
from spinbot_workers.video.lips import mouth_per_frame
from spinbot_workers.video.mp4 import write_mp4
from spinbot_workers.voice.speak import Speaker, Speech
from spinbot_workers.warm import Warm

Plan = dict[str, float]
SPEECH: Plan = {"speech": 15}
PICTURE: Plan = {"look": 5, "portrait": 15}
PLANS: dict[str, Plan] = {
    "audio": {"voice": 10, **SPEECH, "write": 1},
    "image": {**PICTURE, "write": 1},
    "video": {"voice": 5, **SPEECH, **PICTURE, "mouths": 45, "frames": 20},
}
PREVIEW_EVERY = 12
"""Frames between preview pictures: writing a PNG costs as much as drawing four frames."""


class Label(NamedTuple):
    """What goes into each finished file: what it says of itself, and who signs that."""

    comment: str
    sign: Sign


def talk(warm: Warm, job: Job, report: Reporter) -> dict[str, JsonValue]:
    spec = job.spec
    assert isinstance(spec, TalkSpec)
    folder = warm.home.job(job.id)
    warnings: list[str] = []
    label = Label(provenance(warm.home, job, spec), signer(warm.settings))
    result: dict[str, JsonValue] = {"seed": spec.seed, "say": spec.say, "scene": spec.scene}
    match spec.output:
        case "audio":
            speech = _speech(warm, spec, report)
            file = folder / "speech.wav"
            _write_wav(file, speech, label)
            result["seconds"] = round(len(speech.samples) / speech.sample_rate, 3)
        case "image":
            look = _look(warm, spec, report, warnings)
            file = folder / "portrait.png"
            _write_png(file, _portrait(look, spec, folder, report), label)
        case "video":
            speech = _speech(warm, spec, report)
            look = _look(warm, spec, report, warnings)
            face = _face(look, spec, folder, report)
            file = folder / "video.mp4"
            _video(file, face, speech, spec, folder, label, report)
            _write_png(folder / "portrait.png", face.portrait, label)
            _write_wav(folder / "speech.wav", speech, label)
            result["seconds"] = round(len(speech.samples) / speech.sample_rate, 3)
    return {**result, "file": file.name, "path": str(file), "warnings": list[JsonValue](warnings)}


def _speech(warm: Warm, spec: TalkSpec, report: Reporter) -> Speech:
    name = spec.voice or "starter"
    folder = warm.home.voices / name if spec.voice else None
    weights = read_voice(folder).weights_sha256 if folder else "starter"
    report.step("voice", 0, 1, f"Loading the voice {name}")
    speaker = warm.models.get(
        (f"voice:{name}", weights, warm.device),
        lambda: _speaker(warm, folder, weights),
    )
    report.step("voice", 1, 1, f"Loaded the voice {name}")

    def on_step(step: int, total: int) -> None:
        report.step("speech", step, total, "Speaking")

    speech = speaker.say(spec.say, seed=spec.seed, speed=spec.speed, on_step=on_step)
    if not len(speech.samples) or float(np.abs(speech.samples).max()) < 1e-4:
        raise JobFailed(f"the voice {name} made no sound of {spec.say!r}", hint="write the words out, in English")
    return speech


def _speaker(warm: Warm, folder: Path | None, weights: str) -> Speaker:
    if folder is not None:
        checked_weights(folder / "model.safetensors", weights)
    return Speaker.load(folder, starter=starter_voice(warm.home), device=warm.device)


def _look(warm: Warm, spec: TalkSpec, report: Reporter, warnings: list[str]) -> Look:
    report.step("look", 0, 1, f"Loading the image model {spec.model}")
    look = warm.models.get(
        (f"look:{spec.model}", warm.device),
        lambda: Look.load(on_this_machine(spec.model, report)[0], starter=STARTER_LOOK, device=warm.device),
    )
    if spec.look:
        manifest = read_look(warm.home.looks / spec.look)
        if manifest.model != spec.model:
            raise BadInput(
                f"the look {spec.look} was learned on {manifest.model}, not on {spec.model}",
                hint=f"pass --model {manifest.model}",
            )
        checked_weights(warm.home.looks / spec.look / LORA_FILE, manifest.weights_sha256)
        look.set_lora((warm.home.looks / spec.look, spec.look_scale))
    else:
        look.set_lora(None)
    report.step("look", 1, 1, f"Loaded the image model {spec.model}")
    if spec.model == "starter" and not spec.look and (unknown := unknown_words(spec.scene, STARTER_LOOK)):
        warning = f"the starter look does not know {', '.join(unknown[:8])}; --model names one that may"
        warnings.append(warning)
        report.note(warning)
    return look


def _portrait(look: Look, spec: TalkSpec, folder: Path, report: Reporter) -> Image.Image:
    def on_step(step: int, total: int, preview: Image.Image | None) -> None:
        report.step("portrait", step, total, "Drawing the portrait", preview=_preview(folder, preview))

    return look.portrait(
        spec.scene, seed=spec.seed, steps=spec.steps, guidance=spec.guidance, width=None, height=None, on_step=on_step
    )


def _face(look: Look, spec: TalkSpec, folder: Path, report: Reporter) -> Face:
    portrait = _portrait(look, spec, folder, report)
    _preview(folder, portrait)

    def on_step(step: int, total: int, preview: Image.Image | None) -> None:
        report.step("mouths", step, total, "Drawing the mouths", preview=_preview(folder, preview))

    mouths = look.mouths(
        portrait, spec.scene, seed=spec.seed, steps=spec.steps, guidance=spec.guidance, on_step=on_step
    )
    blink = look.blink(
        portrait,
        spec.scene,
        seed=spec.seed,
        steps=spec.steps,
        guidance=spec.guidance,
        on_step=lambda step, total, preview: report.check(),
    )
    return Face(portrait, mouths, blink, look.eyes_box)


def _video(
    path: Path, face: Face, speech: Speech, spec: TalkSpec, folder: Path, label: Label, report: Reporter
) -> None:
    mouths = mouth_per_frame(speech, fps=spec.fps)

    def drawn() -> Iterator[Image.Image]:
        for index, frame in enumerate(frames(face, mouths, fps=spec.fps, seed=spec.seed), start=1):
            preview = _preview(folder, frame) if index % PREVIEW_EVERY == 0 else None
            report.step("frames", index, len(mouths), "Rendering frames", preview=preview)
            yield frame

    title = re.sub(r"\s+", " ", spec.prompt)[:200]
    with new_file(path) as temporary:
        write_mp4(
            temporary,
            drawn(),
            speech.samples,
            fps=spec.fps,
            sample_rate=speech.sample_rate,
            metadata={"title": title, "comment": label.comment},
        )
        label.sign(temporary)


def _preview(folder: Path, picture: Image.Image | None) -> Path | None:
    if picture is None:
        return None
    path = folder / "preview.png"
    _write_png(path, picture)
    return path


def _write_png(path: Path, picture: Image.Image, label: Label | None = None) -> None:
    info = PngInfo()
    if label:
        info.add_text("Comment", label.comment)
    with new_file(path) as temporary:
        picture.save(temporary, compress_level=1, pnginfo=info)
        if label:
            label.sign(temporary)


def _write_wav(path: Path, speech: Speech, label: Label) -> None:
    with new_file(path) as temporary:
        with soundfile.SoundFile(temporary, "w", speech.sample_rate, 1, subtype="PCM_16") as file:
            file.comment = label.comment
            file.write(speech.samples)
        label.sign(temporary)
