"""The picture codec: 256 x 256 pictures to 16 x 16 x 4 latents and back, trained on fresh drawings."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from starter_look.draw import EYES_BOX, MOUTH_BOX, SIZE, render
from starter_look.robots import Robot, draw_lots
from starter_look.training import train

CHANNELS = (8, 16, 32, 64, 128)  # few at full resolution: that is where the time goes
LATENT_NOISE = 0.05  # the decoder learns to forgive what the diffusion leaves


def build() -> AutoencoderKL:
    """Deterministic at the start: the log variance begins at -12, where sampling adds nothing."""
    levels = len(CHANNELS)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=1,  # more groups on so few channels would normalise the colours away
        sample_size=SIZE,
        scaling_factor=1.0,  # see standardised
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    out = vae.encoder.conv_out
    with torch.no_grad():
        out.weight[4:].zero_()
        out.bias[4:].fill_(-12.0)
    return vae


def drawings(seed: int, count: int) -> Tensor:
    """`count` new drawings.

    Returns:
        (count, 3, 256, 256) float32 in [-1, 1].
    """
    rng = random.Random(seed)
    return drawings_of([draw_lots(rng) for _ in range(count)])


def drawings_of(robots: list[Robot]) -> Tensor:
    """(robots, 3, 256, 256) float32 in [-1, 1]."""
    pixels = np.stack([render(robot) for robot in robots])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def strange(x: Tensor) -> Tensor:
    """A share of the pictures in other colours, and some moved or zoomed.

    The UNet never sees these; the codec must carry them all the same, for looks that people train.
    """
    changed = []
    for one in x:
        chance = float(torch.rand(()))
        if chance < 0.2:
            recolor = torch.eye(3)[torch.randperm(3)] * (0.6 + 0.4 * torch.rand(3, 1))
            one = torch.einsum("dc,chw->dhw", recolor, one) + 0.3 * (torch.rand(3, 1, 1) - 0.5)
        if chance < 0.1:
            zoom, (dx, dy) = 0.7 + 0.6 * torch.rand(()), 0.5 * (torch.rand(2) - 0.5)
            theta = torch.stack([torch.stack([zoom, zoom * 0, dx]), torch.stack([zoom * 0, zoom, dy])])
            grid = F.affine_grid(theta[None], [1, 3, SIZE, SIZE], align_corners=False)
            one = F.grid_sample(one[None], grid, padding_mode="reflection", align_corners=False)[0]
        changed.append(one.clamp(-1, 1))
    return torch.stack(changed)


def face_weight() -> Tensor:
    """(1, 1, 256, 256): eyes and mouth count three times."""
    weight = torch.ones(1, 1, SIZE, SIZE)
    for left, top, right, bottom in (EYES_BOX, MOUTH_BOX):
        weight[:, :, top:bottom, left:right] = 3.0
    return weight / weight.mean()


def edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]


def picture_loss(made: Tensor, true: Tensor, weight: Tensor) -> tuple[Tensor, float]:
    """L1 + a little L2 + L1 of the edges + colours of whole areas; and the PSNR in dB.

    The edges are what makes vector art crisp. Without the areas the outlines are learned first and the colours,
    which few pixels' gradients ask for, an hour later.
    """
    error = made - true
    mse = float((error.detach() / 2).square().mean())
    loss = (error.abs() * weight).mean() + 0.5 * (error.square() * weight).mean()
    for one, other, w in zip(edges(made), edges(true), (weight[..., 1:, :], weight[..., 1:]), strict=True):
        loss = loss + ((one - other).abs() * w).mean()
    for cell, times in ((32, 2.0), (8, 1.0)):
        loss = loss + times * F.avg_pool2d(error, cell).abs().mean() + times * F.avg_pool2d(error, cell).square().mean()
    return loss, -10 * float(np.log10(mse + 1e-12))


def train_vae(work: Path, *, steps: int, batch: int = 4, peak: float = 1e-3) -> AutoencoderKL:
    """Train the whole codec; resumes from `work`."""
    torch.manual_seed(0)
    vae = build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    weight = face_weight()

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        x = strange(drawings(step, batch)).contiguous(memory_format=torch.channels_last)
        moments = vae.encode(x).latent_dist
        z = moments.mean  # (B, 4, 16, 16)
        made = vae.decode(z + LATENT_NOISE * torch.randn_like(z)).sample
        loss, psnr = picture_loss(made, x, weight)
        keep = 1e-3 * (z.square().mean() - 1).clamp_min(0)  # latents stay near unit size
        return loss + keep, {"loss": float(loss.detach()), "dB": psnr, "z": float(z.detach().std())}

    for _ in train("vae", vae, loss_of, steps=steps, peak=peak, checkpoint=work / "vae.pt"):
        pass
    return standardised(vae)


def standardised(vae: AutoencoderKL, samples: int = 128) -> AutoencoderKL:
    """The same codec with each latent channel at mean 0 and deviation 1, which is what diffusion starts from.

    Exact but for the picture's rim, where the decoder's zero padding now means another value.
    """
    with torch.no_grad():
        z = torch.cat([vae.encode(drawings(98_000_000 + i, 8)).latent_dist.mean for i in range(samples // 8)])
        mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))  # (4,)
        out, into = vae.encoder.conv_out, vae.decoder.conv_in
        out.weight[:4] /= std.view(4, 1, 1, 1)
        out.bias[:4] = (out.bias[:4] - mean) / std
        into.bias += (into.weight * mean.view(1, 4, 1, 1)).sum((1, 2, 3))
        into.weight *= std.view(1, 4, 1, 1)
    return vae


def sharpen_decoder(work: Path, vae: AutoencoderKL, *, steps: int, batch: int = 4, peak: float = 4e-4) -> AutoencoderKL:
    """Go on with the decoder alone: the latents stay what the UNet learned."""
    weight = face_weight()
    vae.encoder.requires_grad_(False)

    def loss_of(step: int) -> tuple[Tensor, dict[str, float]]:
        x = strange(drawings(10_000_000 + step, batch)).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            z = vae.encode(x).latent_dist.mean
            z = z + LATENT_NOISE * torch.randn_like(z)
        loss, psnr = picture_loss(vae.decode(z).sample, x, weight)
        return loss, {"loss": float(loss.detach()), "dB": psnr}

    for _ in train("decoder", vae, loss_of, steps=steps, peak=peak, checkpoint=work / "decoder.pt"):
        pass
    return vae


def sheet(vae: AutoencoderKL, path: Path, count: int = 6) -> None:
    """Drawings above, what the codec makes of them below."""
    from PIL import Image

    x = drawings(99_000_001, count)
    with torch.no_grad():
        made = vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
    both = torch.cat([torch.cat(list(x), 2), torch.cat(list(made), 2)], 1)
    pixels = both.add(1).mul(127.5).round().byte().permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(path)
