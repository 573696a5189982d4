"""Which device a worker computes on."""

from __future__ import annotations

from spinbot.errors import BadInput


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
