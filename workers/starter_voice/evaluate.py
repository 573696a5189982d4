"""`python -m starter_voice.evaluate RECORDING... --out FOLDER`: how a voice gets on, step by step.

For each recording (with its .txt beside it): similarity of 20 new sentences to a clip that was kept back, and how many
of their words pocketsphinx misses, after 0, 50, 100 … steps of fine-tuning. Writes curve.json and voice-curve.png.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch

from spinbot_workers.report import Recorder
from spinbot_workers.voice.audio import Samples
from spinbot_workers.voice.finetune import Recipe, batches, example, losses, parameter_groups, schedule
from spinbot_workers.voice.lesson import prepare
from spinbot_workers.voice.model import load_vits
from spinbot_workers.voice.phonemes import read
from spinbot_workers.voice.similarity import embedding
from spinbot_workers.voice.speak import Speaker
from spinbot_workers.voice.starter import assembled
from spinbot_workers.voice.words import hear, tokens

SENTENCES = (
    "The kettle is on the stove and the bread is still warm.",
    "My brother bought a small wooden boat last summer.",
    "Please close the gate when you leave the garden.",
    "We waited at the station for almost two hours.",
    "The children painted the old fence bright green.",
    "There is a good reason to be careful with money.",
    "He opened the letter slowly and read it twice.",
    "A cold wind came down from the mountains at night.",
    "They are building a new bridge across the river.",
    "I would like a glass of water and a piece of cake.",
    "The doctor said that she should rest for a week.",
    "Nobody knew the answer to the third question.",
    "Turn left at the church and go straight on.",
    "The market opens early on Saturday morning.",
    "She has played the piano since she was seven.",
    "Our neighbor keeps three dogs and a parrot.",
    "It rained all day, so we stayed at home.",
    "The teacher wrote a long list of names on the board.",
    "You can find the keys in the top drawer.",
    "The last train to the city leaves at eleven.",
)
"""New: none of them is in a transcript that comes with spinbot."""

Row = dict[str, float | str]


def judge(vits: Any, held_out: Samples) -> Row:
    """Similarity of the mean voice of all sentences to `held_out`, and word error rate over them."""
    speaker = Speaker(vits)
    spoken = [speaker.say(text, seed=1000 + number).samples for number, text in enumerate(SENTENCES)]
    mean = np.mean([embedding(samples) for samples in spoken], axis=0)
    said = [" ".join(token.word for token in tokens(text)) for text in SENTENCES]
    return {
        "similarity": float(mean @ embedding(held_out) / np.linalg.norm(mean)),
        "word_error": float(jiwer.wer(said, [hear(samples) for samples in spoken])),
    }


def curve(recording: Path, at: list[int], recipe: Recipe, *, work: Path, seed: int = 0) -> list[Row]:
    """One row for each number of steps in `at`, of one run of max(at) steps. CPU seconds are those of the steps."""
    lesson = prepare(
        [recording], transcript=None, max_minutes=30, file=work / f"{recording.stem}.json", report=Recorder()
    )
    vits = load_vits(assembled(work))
    read_out = [(read(item.text), item.clip.samples) for item in lesson.train]
    examples = [example(said.ids, torch.from_numpy(samples)) for said, samples in read_out if said is not None]
    groups = parameter_groups(vits, recipe)
    learned = {tag: tensor for tag, tensor in vits.named_parameters() if tensor.requires_grad}
    average = {tag: tensor.detach().clone() for tag, tensor in learned.items()}
    optimizer = torch.optim.AdamW(groups, betas=(0.8, 0.99), weight_decay=0.01)
    rows: list[Row] = []
    steps, cpu = max(at), 0.0
    for step in range(steps + 1):
        if step in at:
            heard = copy.deepcopy(vits)
            heard.load_state_dict(average, strict=False)
            row: Row = {"recording": recording.stem, "steps": step, "cpu": round(cpu, 1)}
            rows.append(row | judge(heard, lesson.held_out.clip.samples))
            print(json.dumps(rows[-1]), flush=True)
        if step == steps:
            break
        began = time.process_time()
        torch.manual_seed(seed * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * group["share"] * schedule(step, steps)
        chosen = [examples[index] for index in batches(len(examples), recipe, seed=seed, step=step)]
        now = losses(vits, chosen, recipe, random.Random(seed * 1_000_003 + step))
        optimizer.zero_grad(set_to_none=True)
        now.loss.backward()
        torch.nn.utils.clip_grad_norm_(learned.values(), 5.0)
        optimizer.step()
        decay = min(recipe.average, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(average.values()), [tensor.detach() for tensor in learned.values()], 1 - decay)
        cpu += time.process_time() - began
    return rows


def draw(rows: list[Row], path: Path) -> None:
    """Similarity and word error over steps, one line for each recording."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for name in dict.fromkeys(row["recording"] for row in rows):
        own = [row for row in rows if row["recording"] == name]
        steps = [float(row["steps"]) for row in own]
        left.plot(steps, [float(row["similarity"]) for row in own], marker="o", label=str(name))
        right.plot(steps, [100 * float(row["word_error"]) for row in own], marker="o", label=str(name))
    left.axhline(0.75, color="gray", linestyle=":", label="goal")
    starter = 100 * float(np.mean([float(row["word_error"]) for row in rows if row["steps"] == 0]))
    right.axhline(starter + 10, color="gray", linestyle=":", label="limit: the starter's + 10")
    left.set(title="Similarity to a clip that was kept back", xlabel="steps", ylim=(0.35, 1))
    right.set(title="Words of 20 new sentences missed by pocketsphinx, %", xlabel="steps", ylim=(0, 40))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(prog="starter_voice.evaluate", description=__doc__)
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--at", default="0,50,100,150", help="numbers of steps, with commas")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/voice-curve"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for recording in args.recordings:
        rows += curve(recording, [int(step) for step in args.at.split(",")], Recipe(), work=args.out)
        (args.out / "curve.json").write_text(json.dumps(rows, indent=1))
        draw(rows, args.out / "voice-curve.png")


if __name__ == "__main__":
    main()
