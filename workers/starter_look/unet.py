"""The diffusion model: caption to latents, v-prediction, zero terminal SNR."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel, UniPCMultistepScheduler
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from starter_look.draw import EYES_BOX, MOUTH_BOX
from starter_look.robots import Robot, caption, draw_lots
from starter_look.text import WIDTH, tokens
from starter_look.training import save, train
from starter_look.vae import drawings_of

NOISE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
}
GRID, STRIDE = 16, 16  # latents, and pictures' pixels per latent


def noise_schedule() -> DDPMScheduler:
    return DDPMScheduler(**NOISE, prediction_type="v_prediction", rescale_betas_zero_snr=True, clip_sample=False)


def sampler() -> UniPCMultistepScheduler:
    """What is shipped: UniPC, spacing "trailing", so that sampling starts where the noise is pure."""
    return UniPCMultistepScheduler(
        **NOISE,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        solver_order=2,
        steps_offset=1,  # unused by this spacing; the pipeline complains of 0
    )


def build() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=GRID,
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,  # the number of heads, in spite of its name
    )


class Painter(nn.Module):
    """UNet and text encoder, which learn together."""

    def __init__(self, unet: UNet2DConditionModel, text: CLIPTextModel) -> None:
        super().__init__()
        self.unet, self.text = unet, text

    def forward(self, noisy: Tensor, time: Tensor, ids: Tensor) -> Tensor:
        states = self.text(ids).last_hidden_state  # (B, LENGTH, WIDTH)
        made: Tensor = self.unet(noisy, time, states).sample
        return made


def region_weight() -> Tensor:
    """(1, 1, 16, 16): the mouth counts four times, the eyes twice."""
    weight = torch.ones(1, 1, GRID, GRID)
    for (left, top, right, bottom), times in ((EYES_BOX, 2.0), (MOUTH_BOX, 4.0)):
        weight[:, :, top // STRIDE : bottom // STRIDE, left // STRIDE : right // STRIDE] = times
    return weight / weight.mean()


def encode_robots(work: Path, vae: AutoencoderKL, *, count: int, batch: int = 16) -> tuple[list[Robot], Tensor]:
    """`count` random robots and their latents, kept in `work`.

    Returns:
        The robots, and (count, 4, 16, 16) float32, as the encoder gives them.
    """
    path = work / f"latents-{count}.pt"
    rng = random.Random(77)
    robots = [draw_lots(rng) for _ in range(count)]
    if not path.exists():
        made = []
        vae.eval()
        with torch.inference_mode():
            for start in range(0, count, batch):
                made.append(vae.encode(drawings_of(robots[start : start + batch])).latent_dist.mean.clone())
                if start % (batch * 50) == 0:
                    print(f"latents {start}/{count}", flush=True)
        save(path, {"latents": torch.cat(made)})
    latents: Tensor = torch.load(path, weights_only=True)["latents"]
    return robots, latents


def train_unet(
    work: Path,
    vae: AutoencoderKL,
    tokenizer: CLIPTokenizer,
    text: CLIPTextModel,
    *,
    steps: int,
    count: int,
    batch: int = 16,
    peak: float = 1e-3,
) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """Train UNet and text encoder; resumes from `work`.

    Returns:
        Their slow averages. The latents are used as they are: the codec is standardised.
    """
    robots, latents = encode_robots(work, vae, count=count)
    torch.manual_seed(0)
    painter = Painter(build(), text)
    slow = copy.deepcopy(painter).requires_grad_(False)
    alphas = noise_schedule().alphas_cumprod
    weight = region_weight()

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = random.Random(step)
        picks = [rng.randrange(count) for _ in range(batch)]
        # one prompt in ten is empty: what guidance steers away from
        words = ["" if rng.random() < 0.1 else caption(robots[i], rng) for i in picks]
        clean = latents[picks]
        noise = torch.randn_like(clean)
        time = (torch.rand(batch) ** 0.75 * 1000).long().clamp_max(999)  # biased high: there captions decide
        signal = alphas[time].sqrt().view(-1, 1, 1, 1)
        dirt = (1 - alphas[time]).sqrt().view(-1, 1, 1, 1)
        made = painter(signal * clean + dirt * noise, time, tokens(tokenizer, words))
        error = (made - (signal * noise - dirt * clean)).square()
        loss = (error * weight).mean()
        return loss, {"loss": float(loss.detach())}

    for _ in train(
        "unet",
        painter,
        loss_of,
        steps=steps,
        peak=peak,
        checkpoint=work / "unet.pt",
        every=500,
        ema=slow,
        ema_decay=0.999,
        weight_decay=0.01,
    ):
        pass
    return slow.unet, slow.text
