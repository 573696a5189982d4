"""Pictures by diffusers: a portrait from a scene, and the same portrait with other mouths or with closed eyes.

The starter look and any model of the hub go one way: a text-to-image pipeline, and an inpainting pipeline made
of the same parts, which redraws one box of the portrait and leaves every pixel outside as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from spinbot.errors import BadInput, JobFailed
from spinbot_workers.look.words import facts, known_part

OnStep = Callable[[int, int, Image.Image | None], None]
LORA_FILE = "pytorch_lora_weights.safetensors"
PREVIEW_EVERY = 5
MOUTHS = ("closed", "small", "round", "open", "wide", "teeth", "smile")
WORDS_FOR_MOUTHS = {
    "closed": "closed mouth, lips together",
    "small": "mouth slightly open",
    "round": "round open mouth, saying oh",
    "open": "open mouth, speaking",
    "wide": "mouth wide open, shouting",
    "teeth": "showing clenched teeth",
    "smile": "closed mouth, smiling",
}
"""How a model that is not the starter is asked for a mouth; the starter knows "<name> mouth"."""
SD_PREVIEW = ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473))
"""Stable Diffusion 1's latents to RGB, roughly: decoding at every step would cost more than the step."""


@dataclass(frozen=True)
class Box:
    """A part of a picture, in fractions of its width and height."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        width, height = size
        return (
            round(self.left * width),
            round(self.top * height),
            round(self.right * width),
            round(self.bottom * height),
        )


FACE_MOUTH, FACE_EYES = Box(0.36, 0.56, 0.64, 0.74), Box(0.26, 0.32, 0.74, 0.52)
"""Where a close-up portrait has them, for models that never learned our grid."""


class Look:
    """A loaded image model, warm for one picture after another."""

    def __init__(self, pipe: Any, *, starter: Path | None, device: str) -> None:
        self.pipe = pipe
        self.device = device
        self._starter = starter
        self._inpaint: Any = None
        self._lora: tuple[Path, int] | None = None
        if starter is not None:
            known = facts(starter)
            self.mouth_box, self.eyes_box = Box(*known.mouth_box), Box(*known.eyes_box)
        else:
            self.mouth_box, self.eyes_box = FACE_MOUTH, FACE_EYES

    @classmethod
    def load(cls, model: str, *, starter: Path, device: str, lora: tuple[Path, float] | None = None) -> Look:
        """Load `model`: "starter", a folder in diffusers' layout, or a hub id. Safetensors only, no remote code.

        Raises:
            BadInput: there is no such model here, or it is not one that makes pictures from words.
        """
        look = cls(
            load_pipeline(model, starter, device),
            starter=starter if model == "starter" else None,
            device=device,
        )
        look.set_lora(lora)
        return look

    def set_lora(self, lora: tuple[Path, float] | None) -> None:
        """Put a learned look (folder, scale) on the model, change its scale, or take it off with None.

        Raises:
            JobFailed: the folder does not hold a look for this model.
        """
        if lora is None:
            if self._lora is not None:
                self.pipe.unload_lora_weights()
                self._lora = None
            return
        folder, scale = lora
        file = folder / LORA_FILE
        try:
            wanted = (
                folder,
                file.stat().st_mtime_ns,
            )  # a look trained again under its old name is another look
            if wanted != self._lora:
                if self._lora is not None:
                    self.pipe.unload_lora_weights()
                    self._lora = None
                self.pipe.load_lora_weights(str(folder), weight_name=LORA_FILE, adapter_name="look")
                self._lora = wanted
            self.pipe.set_adapters(["look"], [scale])
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise JobFailed(
                f"the look in {folder} does not fit the model: {_first_line(error)}",
                hint="train the look on this model",
            ) from error

    def portrait(
        self,
        scene: str,
        *,
        seed: int,
        steps: int,
        guidance: float,
        width: int | None = None,
        height: int | None = None,
        on_step: OnStep,
    ) -> Image.Image:
        """Draw `scene` as a face that looks at us.

        Args:
            on_step: called after every denoising step with (step, steps, preview or None); what it raises
                stops the drawing.
        """
        made = self.pipe(
            prompt=self._prompt(scene, "open eyes", "closed"),
            num_inference_steps=steps,
            guidance_scale=guidance,
            width=width,
            height=height,
            generator=self._generator(seed),
            callback_on_step_end=self._callback(on_step, 0, None),
        )
        picture: Image.Image = made.images[0].convert("RGB")
        return picture

    def mouths(
        self, portrait: Image.Image, scene: str, *, seed: int, steps: int, guidance: float, on_step: OnStep
    ) -> dict[str, Image.Image]:
        """The portrait once for each mouth of MOUTHS; they differ inside `mouth_box` only."""
        total = steps * len(MOUTHS)
        return {
            name: self._redraw(
                portrait,
                self.mouth_box,
                self._prompt(scene, "open eyes", name),
                seed=seed,
                steps=steps,
                guidance=guidance,
                callback=self._callback(on_step, index * steps, total),
            )
            for index, name in enumerate(MOUTHS)
        }

    def blink(
        self, portrait: Image.Image, scene: str, *, seed: int, steps: int, guidance: float, on_step: OnStep
    ) -> Image.Image | None:
        """The portrait with its eyes closed; differs inside `eyes_box` only. None where eyes have no known place."""
        if self.eyes_box is None:
            return None
        return self._redraw(
            portrait,
            self.eyes_box,
            self._prompt(scene, "closed eyes", "closed"),
            seed=seed,
            steps=steps,
            guidance=guidance,
            callback=self._callback(on_step, 0, None),
        )

    def _redraw(
        self,
        portrait: Image.Image,
        box: Box,
        prompt: str,
        *,
        seed: int,
        steps: int,
        guidance: float,
        callback: Any,
    ) -> Image.Image:
        pixels = box.pixels(portrait.size)
        mask = Image.new("L", portrait.size, 0)
        mask.paste(255, pixels)
        made = self._inpainter()(
            prompt=prompt,
            image=portrait,
            mask_image=mask,
            width=portrait.width,
            height=portrait.height,
            strength=1.0,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=self._generator(seed),
            callback_on_step_end=callback,
        )
        return paste(portrait, made.images[0].convert("RGB"), pixels)

    def _inpainter(self) -> Any:
        if self._inpaint is None:
            from diffusers import (
                AutoPipelineForInpainting,
                StableDiffusionInpaintPipeline,
                StableDiffusionPipeline,
            )

            if type(self.pipe) is StableDiffusionPipeline:
                # from_pipe does not take every small codec; the constructor takes the same parts
                self._inpaint = StableDiffusionInpaintPipeline(**self.pipe.components, requires_safety_checker=False)
            else:
                try:
                    self._inpaint = AutoPipelineForInpainting.from_pipe(self.pipe)
                except (ValueError, TypeError) as error:
                    raise BadInput(
                        f"{type(self.pipe).__name__} cannot redraw a part of a picture: {_first_line(error)}",
                        hint="pass --image for the portrait alone, or a Stable Diffusion model with --model",
                    ) from error
            self._inpaint.set_progress_bar_config(disable=True)
        return self._inpaint

    def _prompt(self, scene: str, eyes: str, mouth: str) -> str:
        """The mouth comes last and is never cut off: a long scene loses its end instead."""
        if self._starter is None:
            eyes_too = ", eyes closed" if eyes == "closed eyes" else ""
            return f"{WORDS_FOR_MOUTHS[mouth]}{eyes_too}, close-up portrait of {scene}, face in the centre, front view"
        scene = scene if self._lora else known_part(scene, self._starter)
        ending = (f"{eyes}, " if eyes == "closed eyes" else "") + f"{mouth} mouth"
        tokenizer = self.pipe.tokenizer
        words = scene.split()
        while words and len(tokenizer(", ".join([" ".join(words), ending])).input_ids) > tokenizer.model_max_length:
            words.pop()
        return ", ".join(part for part in (" ".join(words).rstrip(","), ending) if part)

    def _generator(self, seed: int) -> torch.Generator:
        return torch.Generator("cpu").manual_seed(seed)  # the CPU's, so that a seed means the same everywhere

    def _callback(self, on_step: OnStep, before: int, total: int | None) -> Any:
        def callback(pipe: Any, index: int, _time: Any, values: dict[str, Any]) -> dict[str, Any]:
            steps = total or pipe.num_timesteps
            done = before + index + 1
            wanted = done % PREVIEW_EVERY == 0 and done < steps and total is None
            on_step(min(done, steps), steps, self._preview(values["latents"]) if wanted else None)
            return {}

        return callback

    def _preview(self, latents: torch.Tensor) -> Image.Image | None:
        """What the latents look like so far; None for latents of a kind we cannot read cheaply."""
        with torch.no_grad():
            if self._starter is not None:
                vae = self.pipe.vae
                pixels = vae.decode(latents[:1] / vae.config.scaling_factor).sample[0].permute(1, 2, 0) / 2 + 0.5
            elif latents.ndim == 4 and latents.shape[1] == 4:
                pixels = latents[0].float().cpu().permute(1, 2, 0) @ torch.tensor(SD_PREVIEW) / 2 + 0.5
            else:
                return None
            array = pixels.clamp(0, 1).mul(255).byte().cpu().numpy()
        picture = Image.fromarray(array)
        return picture if picture.width >= 256 else picture.resize((256, 256 * picture.height // picture.width))


def load_pipeline(model: str, starter: Path, device: str) -> Any:
    """The text-to-image pipeline of `model`, on `device`, quiet.

    Raises:
        BadInput: see Look.load.
    """
    from diffusers import AutoPipelineForText2Image

    source = str(starter) if model == "starter" else os.path.expanduser(model)
    dtype = torch.float32 if device == "cpu" else torch.float16
    try:
        pipe = AutoPipelineForText2Image.from_pretrained(
            source, use_safetensors=True, dtype=dtype, local_files_only=model == "starter"
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BadInput(
            f"no image model {model!r} can be loaded: {_first_line(error)}",
            hint="name a folder with a diffusers model in safetensors, a hub id (the first use downloads it), "
            "or leave --model out for the starter look",
        ) from error
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def paste(portrait: Image.Image, redrawn: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """`portrait` with `box` taken from `redrawn`: edges feathered inwards, colours fitted along the border.

    Pixels outside the box stay the portrait's, to the bit.
    """
    left, top, right, bottom = box
    old, new = (np.asarray(picture.crop(box), np.float32) for picture in (portrait, redrawn))
    rim = np.ones(old.shape[:2], bool)
    rim[2:-2, 2:-2] = False
    shift = np.median((old - new)[rim], axis=0)  # (3,): the codec's small drift of colour
    fitted = Image.fromarray(np.clip(new + shift, 0, 255).round().astype(np.uint8))
    feather = max(2, round(min(right - left, bottom - top) * 0.06))
    alpha = Image.new("L", (right - left, bottom - top), 0)
    alpha.paste(255, (feather, feather, right - left - feather, bottom - top - feather))
    alpha = alpha.filter(ImageFilter.GaussianBlur(feather / 2))
    picture = portrait.copy()
    picture.paste(fitted, (left, top), alpha)
    return picture


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
