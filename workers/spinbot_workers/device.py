"""Which device a worker computes on."""

from __future__ import annotations

import logging

import pynvml

from spinbot.errors import BadInput

log = logging.getLogger(__name__)


def pick_device(wanted: str) -> str:
    """`wanted`, or for "auto" the first of cuda:0, mps, cpu that is there.

    Raises:
        BadInput: the device is not on this machine; lists those that are.
    """
    there = devices()
    if wanted == "auto":
        return there[0]
    wanted = "cuda:0" if wanted == "cuda" else wanted
    if wanted not in there:
        raise BadInput(f"device {wanted!r} is not on this machine", hint=f"SPINBOT_DEVICE is one of {', '.join(there)}")
    return wanted


def devices() -> list[str]:
    """Best first."""
    import torch  # two seconds of import: only the worker pays it

    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def device_load(device: str) -> dict[str, str]:
    """Memory in use and in all in MB, and percent of the time that it computed, of a CUDA device; nothing of others.

    NVML counts all processes on the device, as an operator wants it. Where there is none (some embedded boards) the
    memory comes from CUDA, and how busy it is stays unsaid.
    """
    if not device.startswith("cuda"):
        return {}
    import torch

    index = torch.device(device).index or 0
    try:
        return _by_nvml(f"GPU-{torch.cuda.get_device_properties(index).uuid}")
    except pynvml.NVMLError as error:
        log.debug("no NVML for %s: %s", device, error)
        free, total = torch.cuda.mem_get_info(index)
        return {"deviceUsedMb": str((total - free) >> 20), "deviceTotalMb": str(total >> 20)}


def _by_nvml(uuid: str) -> dict[str, str]:
    """By its UUID: NVML counts all devices of the machine, CUDA those that CUDA_VISIBLE_DEVICES names."""
    pynvml.nvmlInit()  # counts its calls; the first loads the driver's library
    handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "deviceUsedMb": str(memory.used >> 20),
        "deviceTotalMb": str(memory.total >> 20),
        "deviceBusyPercent": str(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
    }
