"""Learn a voice: fine-tune the starter voice on clips of one speaker. Reads from top to bottom like a lab notebook."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from hashlib import sha256 as digest
from pathlib import Path
from typing import Any

import soundfile
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from spinbot import __version__
from spinbot.errors import JobFailed
from spinbot.files import check_room, new_file, new_folder
from spinbot.manifests import VoiceManifest
from spinbot_workers.report import Report, StopRequested
from spinbot_workers.threads import Threads
from spinbot_workers.voice.audio import LONGEST_MINUTES, SAMPLE_RATE, Samples
from spinbot_workers.voice.finetune import Recipe, batches, example, losses, parameter_groups, schedule
from spinbot_workers.voice.lesson import prepare
from spinbot_workers.voice.model import load_vits
from spinbot_workers.voice.phonemes import read
from spinbot_workers.voice.similarity import similarity
from spinbot_workers.voice.speak import Speaker
from spinbot_workers.voice.starter import NAME, sha256

SPOKEN = ("flow.", "waveform_decoder.")
"""What of a learned voice is needed for speaking, and so is kept."""
NEW_SENTENCES = (
    "The kettle is on the stove, and the bread is still warm.",
    "We waited at the station for almost two hours.",
    "A cold wind came down from the mountains at night.",
)
"""Spoken to measure a voice with; nobody's training text."""


def train_voice(
    inputs: list[Path],
    *,
    name: str,
    transcript: str | None,
    steps: int,
    seed: int,
    learning_rate: float | None,
    checkpoint_every: int,
    work: Path,
    out: Path,
    starter: Path,
    consent: str | None,
    device: str,
    report: Report,
    max_minutes: float = LONGEST_MINUTES,
) -> VoiceManifest:
    """Learn the voice in `inputs` and put it into folder `out`, which is replaced in one go at the end.

    Args:
        work: checkpoints live here; a job that starts with some of the same inputs, seed and steps goes on from them,
            and ends with the same weights as if it had never stopped.
        starter: the folder of the starter voice.

    Raises:
        BadInput: a recording will not do.
        JobFailed: words and sound do not fit, or the training diverged.
    """
    work.mkdir(parents=True, exist_ok=True)
    recordings = [path for path in inputs if path.suffix.lower() != ".txt"]  # a text goes with its recording
    lesson = prepare(
        recordings, transcript=transcript, max_minutes=max_minutes, file=work / "lesson.json", report=report
    )
    seconds = sum(item.clip.seconds for item in lesson.train)
    report.note(
        f"{len(lesson.train)} clips, {seconds:.0f} s; {lesson.left_out} left out; words: {lesson.transcript_from}"
    )
    if not lesson.kept_back:
        report.note("too little speech to keep a clip back: the similarity is to a clip that is learned")

    report.step("load", 0, 2, "Loading the starter voice")
    vits = load_vits(starter).to(device)
    starter_similarity = _similarity(vits, lesson.held_out.clip.samples, device)
    report.step("load", 1, 2, f"The starter's similarity is {starter_similarity:.2f}")
    read_out = [(read(item.text), item.clip.samples) for item in lesson.train]
    examples = [
        example(sentence.ids, torch.from_numpy(samples).to(device))
        for sentence, samples in read_out
        if sentence is not None
    ]

    base = sha256(starter / "model.safetensors")
    recipe = Recipe() if learning_rate is None else replace(Recipe(), learning_rate=learning_rate)
    same = {"base": base, "lesson": sha256(work / "lesson.json"), "steps": steps, "seed": seed, "recipe": repr(recipe)}
    key = digest(json.dumps(same, sort_keys=True).encode()).hexdigest()
    groups = parameter_groups(vits, recipe)
    learned = {tag: tensor for tag, tensor in vits.named_parameters() if tensor.requires_grad}
    optimizer = torch.optim.AdamW(groups, betas=(0.8, 0.99), weight_decay=0.01)
    average = {tag: tensor.detach().clone() for tag, tensor in learned.items()}
    start = resume(work / "checkpoint.safetensors", key, learned, average, optimizer)
    report.step("load", 2, 2, "Loaded")
    if start:
        report.note(f"going on from the checkpoint of step {start}")

    with Threads(device) as threads:
        for step in range(start, steps):
            # all chance of a step comes from its number: a resumed run is the same run
            torch.manual_seed(seed * 1_000_003 + step)
            dice = random.Random(seed * 1_000_003 + step)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * group["share"] * schedule(step, steps)
            chosen = [examples[index] for index in batches(len(examples), recipe, seed=seed, step=step)]
            with threads.step(step - start):
                now = losses(vits, chosen, recipe, dice)
                if not torch.isfinite(now.loss):
                    raise JobFailed(f"the training diverged at step {step + 1}", hint="pass a smaller --learning-rate")
                optimizer.zero_grad(set_to_none=True)
                now.loss.backward()
                torch.nn.utils.clip_grad_norm_(learned.values(), 5.0)
                optimizer.step()
            decay = min(recipe.average, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(average.values()), [tensor.detach() for tensor in learned.values()], 1 - decay)
            if (step + 1) % checkpoint_every == 0 and step + 1 < steps:
                checkpoint(work / "checkpoint.safetensors", key, step + 1, learned, average, optimizer)
            metrics = {"loss": now.loss.item(), "kl": now.kl.item(), "mel": now.mel.item()}
            try:
                report.step("train", step + 1, steps, "Learning the voice", metrics=metrics)
            except StopRequested:  # cancelled or parked: a retry goes on from here
                checkpoint(work / "checkpoint.safetensors", key, step + 1, learned, average, optimizer)
                raise

    with torch.no_grad():
        for tag, tensor in learned.items():
            tensor.copy_(average[tag])
    report.step("measure", 0, 1, "Measuring the voice")
    reached = _similarity(vits, lesson.held_out.clip.samples, device)
    report.step("measure", 1, 1, f"Similarity {reached:.2f}", metrics={"similarity": reached})

    report.step("preview", 0, 1, "Speaking")
    preview = Speaker(vits, device=device).say(lesson.held_out.text, seed=seed)
    with new_folder(out) as folder:
        soundfile.write(folder / "preview.wav", preview.samples, SAMPLE_RATE, subtype="PCM_16")
        weights = {
            tag: tensor.half().contiguous().cpu() for tag, tensor in vits.state_dict().items() if tag.startswith(SPOKEN)
        }
        save_file(weights, folder / "model.safetensors", metadata={"base": base})
        manifest = VoiceManifest(
            name=name,
            base=NAME,
            base_sha256=base,
            sources=lesson.sources,
            transcript_from=lesson.transcript_from,
            clips_used=len(lesson.train),
            clips_left_out=lesson.left_out,
            steps=steps,
            seed=seed,
            sample_rate=SAMPLE_RATE,
            similarity=round(reached, 4),
            starter_similarity=round(starter_similarity, 4),
            created=time.time(),
            version=__version__,
            weights_sha256=sha256(folder / "model.safetensors"),
            consent=consent,
        )
        (folder / "voice.json").write_text(manifest.model_dump_json(by_alias=True, indent=1))
    (work / "checkpoint.safetensors").unlink(missing_ok=True)  # a quarter of a gigabyte
    report.step("preview", 1, 1, "Saved")
    return manifest


def _similarity(vits: Any, recording: Samples, device: str) -> float:
    """Of new sentences in this voice to a recording of the speaker."""
    speech = Speaker(vits, device=device).say(" ".join(NEW_SENTENCES), seed=0)
    return similarity(speech.samples, recording)


def checkpoint(
    file: Path,
    key: str,
    step: int,
    learned: dict[str, torch.Tensor],
    average: dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Everything that `resume` needs, without pickle; the old checkpoint stays until the new one is whole."""
    tensors = {f"learned.{tag}": tensor.detach() for tag, tensor in learned.items()}
    tensors |= {f"average.{tag}": tensor for tag, tensor in average.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{tag}": tensor for tag, tensor in state.items()}
    plain = {tag: tensor.contiguous().cpu() for tag, tensor in tensors.items()}
    check_room(file, sum(tensor.nbytes for tensor in plain.values()))
    with new_file(file) as temporary:
        save_file(plain, temporary, metadata={"key": key, "step": str(step)})


def resume(
    file: Path,
    key: str,
    learned: dict[str, torch.Tensor],
    average: dict[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> int:
    """Load a checkpoint of this very training in place; how many steps are behind it, 0 when there is none."""
    try:
        with safe_open(file, "pt") as stored:
            about = stored.metadata() or {}
    except (OSError, SafetensorError):  # none yet, or cut short by a full disk
        return 0
    if about.get("key") != key:
        return 0
    states: dict[int, dict[str, torch.Tensor]] = {}
    with torch.no_grad():
        for name, tensor in load_file(file).items():
            kind, _, tag = name.partition(".")
            if kind == "optimizer":
                index, _, what = tag.partition(".")
                states.setdefault(int(index), {})[what] = tensor
            else:
                (learned if kind == "learned" else average)[tag].copy_(tensor)
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    return int(about["step"])
