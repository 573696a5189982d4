"""Learn a look: a LoRA on the UNet of a Stable Diffusion, from a handful of pictures.

Reads like a notebook: read the pictures, load the model, put the pictures and words through its frozen parts
once, train the small matrices, save them in diffusers' format.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor

from spinbot.errors import BadInput, JobFailed
from spinbot.files import check_room, new_file, new_folder, write_atomic
from spinbot.manifests import LookManifest
from spinbot_workers.look.dataset import Example, read_examples
from spinbot_workers.look.engine import LORA_FILE, Look
from spinbot_workers.look.hub import on_this_machine
from spinbot_workers.report import Report

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
CONVOLUTIONS = ["conv1", "conv2", "proj_in", "proj_out"]
BATCH = 4
DROP_CAPTION = 0.1  # an empty prompt now and then, so that guidance goes on working


def train_look(
    pictures: list[Path],
    *,
    captions: Mapping[Path, str] | None = None,
    caption: str | None = None,
    name: str,
    steps: int,
    seed: int,
    rank: int,
    validation_every: int,
    checkpoint_every: int,
    work: Path,
    out: Path,
    model: str,
    starter: Path,
    device: str,
    report: Report,
    consent: str | None = None,
) -> LookManifest:
    """Train and save the look `name` into `out`; goes on from the checkpoint in `work` if there is one.

    Args:
        pictures: see read_examples, as are `captions` and `caption`.
        work: for checkpoints and validation pictures; belongs to this job.
        out: becomes a folder with the LoRA, `look.json` and `preview.png`, at once and complete.

    Raises:
        BadInput: a picture, or a model whose UNet this cannot train.
        JobFailed: the training diverged.
    """
    work.mkdir(parents=True, exist_ok=True)
    report.step("read", 0, 1, "Reading the pictures")
    source, revision = on_this_machine(model, report)
    look = Look.load(source, starter=starter, device=device)
    pipe = look.pipe
    if not isinstance(pipe, StableDiffusionPipeline):
        raise BadInput(
            f"looks are learned on Stable Diffusion 1 and 2 models; {model} is a {type(pipe).__name__}",
            hint="use such a model with --model, or the starter look",
        )
    vae, unet = pipe.vae, pipe.unet
    size = unet.config.sample_size * pipe.vae_scale_factor
    examples = read_examples(pictures, captions=captions, caption=caption, size=size)
    report.step("read", 1, 1, f"{len(examples)} pictures")

    torch.manual_seed(seed)
    for part in (vae, unet, pipe.text_encoder):
        part.requires_grad_(False)
    latents, states, nothing = _encode(pipe, examples, device, report)

    # On the small starter the convolutions carry the drawing style; on a big model attention is enough.
    targets = ATTENTION + (CONVOLUTIONS if model == "starter" else [])
    if unet.dtype != torch.float32:
        unet.to(torch.float32)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=targets), adapter_name="look")
    weights = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    peak = 2e-3 if model == "starter" else 2e-4
    optimizer = torch.optim.AdamW(weights, lr=peak, weight_decay=1e-3)
    noise = DDPMScheduler.from_config(pipe.scheduler.config)
    checkpoint = work / "look.pt"
    identity = _identity(examples, model, steps, seed, rank)
    first, losses = _resume(checkpoint, identity, unet, optimizer, report)

    preview = work / "preview.png"
    for step in range(first, steps):
        chance = torch.Generator().manual_seed(seed * 1_000_003 + step)  # of the step: resuming changes nothing
        for group in optimizer.param_groups:
            group["lr"] = peak * min(1.0, (step + 1) / 10) * (1 - 0.9 * step / steps)
        loss = _loss(unet, noise, latents, states, nothing, chance, device)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if not torch.isfinite(loss):
            raise JobFailed(f"the training diverged at step {step + 1}", hint="train with fewer or other pictures")
        done = step + 1
        fresh = None
        if done % validation_every == 0 or done == steps:
            with new_file(preview) as temporary:
                _sample(look, examples[0].caption, seed).save(temporary)
            fresh = preview
        if done % checkpoint_every == 0 or done == steps:
            _save_checkpoint(checkpoint, identity, unet, optimizer, done, losses)
        report.step("train", done, steps, "Learning the look", metrics={"loss": losses[-1]}, preview=fresh)

    report.step("preview", 0, 1, "Saving the look")
    return _save(unet, preview, out, examples, name, (model, revision), steps, seed, rank, losses, consent, report)


def _encode(pipe: Any, examples: list[Example], device: str, report: Report) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures and words through the frozen parts, once.

    Returns:
        latents (N, C, h, w), prompt states (N, tokens, width), and the empty prompt's (1, tokens, width).
    """
    vae, latents, states = pipe.vae, [], []
    with torch.no_grad():
        for index, example in enumerate(examples):
            coded = vae.encode(example.pixels[None].to(device, vae.dtype))
            z = coded.latent_dist.mode() if hasattr(coded, "latent_dist") else coded.latents
            latents.append(z.float() * vae.config.scaling_factor)
            states.append(_words(pipe, example.caption, device))
            report.step("encode", index + 1, len(examples), "Encoding the pictures")
        return torch.cat(latents), torch.cat(states), _words(pipe, "", device)


def _words(pipe: Any, text: str, device: str) -> Tensor:
    states: Tensor = pipe.encode_prompt(text, device, 1, False)[0]
    return states.float()


def _loss(
    unet: Any,
    noise: Any,
    latents: Tensor,
    states: Tensor,
    nothing: Tensor,
    chance: torch.Generator,
    device: str,
) -> Tensor:
    """What the scheduler says the UNet predicts (noise, v or the picture) against what it does predict."""
    picks = torch.randint(len(latents), (BATCH,), generator=chance)
    clean, words = latents[picks], states[picks].clone()
    words[torch.rand(BATCH, generator=chance) < DROP_CAPTION] = nothing
    dirt = torch.randn(clean.shape, generator=chance).to(device)
    time = torch.randint(noise.config.num_train_timesteps, (BATCH,), generator=chance).to(device)
    made = unet(noise.add_noise(clean, dirt, time), time, words).sample
    match noise.config.prediction_type:
        case "v_prediction":
            goal = noise.get_velocity(clean, dirt, time)
        case "sample":
            goal = clean
        case _:
            goal = dirt
    return torch.nn.functional.mse_loss(made.float(), goal)


def _sample(look: Look, caption: str, seed: int) -> Any:
    look.pipe.unet.eval()
    picture = look.portrait(caption, seed=seed, steps=12, guidance=2.5, on_step=lambda *_: None)
    look.pipe.unet.train()
    return picture


def _identity(examples: list[Example], model: str, steps: int, seed: int, rank: int) -> str:
    """What a checkpoint must have been made from to be gone on with."""
    told = repr(([(example.source.sha256, example.caption) for example in examples], model, steps, seed, rank))
    return hashlib.sha256(told.encode()).hexdigest()


def _save_checkpoint(path: Path, identity: str, unet: Any, optimizer: Any, step: int, losses: list[float]) -> None:
    state = {
        "identity": identity,
        "adapter": get_peft_model_state_dict(unet, adapter_name="look"),
        "optimizer": optimizer.state_dict(),
        "step": step,
        "losses": losses,
    }
    tensors = [tensor for each in state["optimizer"]["state"].values() for tensor in each.values()]
    check_room(path, sum(tensor.nbytes for tensor in (*state["adapter"].values(), *tensors)))
    with new_file(path) as temporary:
        torch.save(state, temporary)


def _resume(path: Path, identity: str, unet: Any, optimizer: Any, report: Report) -> tuple[int, list[float]]:
    """The step to go on from, and the losses so far."""
    if not path.exists():
        return 0, []
    state = torch.load(path, weights_only=True)
    if state["identity"] != identity:
        report.note("the checkpoint is of other pictures or settings: starting anew")
        return 0, []
    set_peft_model_state_dict(unet, state["adapter"], adapter_name="look")
    optimizer.load_state_dict(state["optimizer"])
    report.note(f"going on from step {state['step']}")
    return int(state["step"]), list(state["losses"])


def _save(
    unet: Any,
    preview: Path,
    out: Path,
    examples: list[Example],
    name: str,
    learned_on: tuple[str, str | None],
    steps: int,
    seed: int,
    rank: int,
    losses: list[float],
    consent: str | None,
    report: Report,
) -> LookManifest:
    layers = get_peft_model_state_dict(
        unet, adapter_name="look"
    )  # peft's names: the old ones lose half of a mixed LoRA
    last = losses[-max(1, len(losses) // 10) :]
    with new_folder(out) as folder:
        StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers, safe_serialization=True)
        shutil.copyfile(preview, folder / "preview.png")
        manifest = LookManifest(
            name=name,
            model=learned_on[0],
            model_revision=learned_on[1],
            sources=[example.source for example in examples],
            captions=sorted({example.caption for example in examples}),
            rank=rank,
            steps=steps,
            seed=seed,
            loss=sum(last) / len(last),
            created=time.time(),
            version=_version(),
            weights_sha256=hashlib.sha256((folder / LORA_FILE).read_bytes()).hexdigest(),
            consent=consent,
        )
        write_atomic(folder / "look.json", manifest.model_dump_json(by_alias=True, indent=2))
    report.step("preview", 1, 1, f"Saved the look {name}")
    return manifest


def _version() -> str:
    try:
        return version("spinbot")
    except PackageNotFoundError:
        return "unknown"
