"""The VITS that speaks: Coqui's class, with the sizes of the starter voice, loaded from safetensors only.

Paper: Kim, Kong, Son 2021, "Conditional Variational Autoencoder with Adversarial Learning for End-to-End
Text-to-Speech".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from spinbot.errors import JobFailed

SAMPLE_RATE = 22_050
HOP = 256
"""Samples that one latent frame stands for: 11.6 ms."""
FFT = 1024
SYMBOLS = 256
"""Rows of the base voice's text embedding; 151 of them have an IPA symbol."""


def starter_config(symbols: dict[str, int]) -> Any:
    """What Coqui must be told to have the shape of the base voice (the "medium" size of piper, one speaker).

    Args:
        symbols: IPA symbol to row of the text embedding.
    """
    from TTS.config.shared_configs import BaseAudioConfig
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.configs.vits_config import VitsArgs, VitsConfig

    by_row = {row: symbol for symbol, row in symbols.items()}
    # Coqui counts the symbols to size the embedding: rows without one get a private-use character
    characters = "".join(by_row.get(row, chr(0xE000 + row)) for row in range(SYMBOLS))
    return VitsConfig(
        run_name="spinbot-starter-voice",
        characters=CharactersConfig(
            characters_class="TTS.tts.utils.text.characters.Graphemes",
            characters=characters,
            punctuations="",
            pad="",
            eos="",
            bos="",
            blank="",
            is_unique=False,
            is_sorted=False,
        ),
        phoneme_language="en-us",
        model_args=VitsArgs(
            num_chars=SYMBOLS,
            out_channels=FFT // 2 + 1,
            hidden_channels=192,
            hidden_channels_ffn_text_encoder=768,
            num_heads_text_encoder=2,
            num_layers_text_encoder=6,
            kernel_size_text_encoder=3,
            resblock_type_decoder="2",
            resblock_kernel_sizes_decoder=[3, 5, 7],
            resblock_dilation_sizes_decoder=[[1, 2], [2, 6], [3, 12]],
            upsample_rates_decoder=[8, 8, 4],
            upsample_kernel_sizes_decoder=[16, 16, 8],
            upsample_initial_channel_decoder=256,
            use_sdp=True,
            inference_noise_scale=0.667,
            inference_noise_scale_dp=0.8,
            init_discriminator=False,
        ),
        audio=BaseAudioConfig(fft_size=FFT, sample_rate=SAMPLE_RATE, win_length=FFT, hop_length=HOP, num_mels=80),
    )


def load_vits(folder: Path) -> Any:
    """The `Vits` in `folder` (Coqui's `config.json`, `model.safetensors`), on the CPU, in eval mode.

    Coqui's `load_checkpoint` unpickles; the same state dict comes from safetensors here.

    Raises:
        JobFailed: a file is missing, or its tensors are not this model's.
    """
    from TTS.config import load_config
    from TTS.tts.models.vits import Vits

    try:
        vits = Vits(load_config(str(folder / "config.json")))
        vits.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise JobFailed(
            f"{folder} is no voice that can be loaded: {error}", hint="delete the folder: it is made again"
        ) from error
    return vits.eval()


def spectrogram(samples: torch.Tensor) -> torch.Tensor:
    """Linear magnitude spectrogram as VITS wants it.

    Args:
        samples: (B, n) in [-1, 1] at SAMPLE_RATE.

    Returns:
        (B, FFT / 2 + 1, n // HOP).

    Source: the paper's code, `mel_processing.spectrogram_torch`: padded so that frames and latents agree in number.
    """
    pad = (FFT - HOP) // 2
    padded = torch.nn.functional.pad(samples.unsqueeze(1), (pad, pad), mode="reflect").squeeze(1)
    window = torch.hann_window(FFT, device=samples.device, dtype=samples.dtype)
    spectrum = torch.stft(padded, FFT, HOP, FFT, window, center=False, return_complex=True)
    return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-6)
