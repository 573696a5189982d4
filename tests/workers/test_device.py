"""What a worker tells of its device. The driver's library is played where there is no GPU."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest
import torch

from spinbot_workers.device import device_load


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two devices for CUDA, of which the second is asked for; NVML knows it by its UUID."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(uuid=f"uuid-{index}"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (3 << 30, 8 << 30))


def test_a_processor_says_nothing() -> None:
    assert device_load("cpu") == {}


def test_nvml_is_asked_by_uuid(cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda uuid: {"GPU-uuid-1": "second"}[uuid])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda handle: SimpleNamespace(used=5 << 20, total=24 << 30))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", lambda handle: SimpleNamespace(gpu=87))
    assert device_load("cuda:1") == {"deviceUsedMb": "5", "deviceTotalMb": "24576", "deviceBusyPercent": "87"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a driver")
def test_without_the_drivers_library_cuda_tells_the_memory(cuda: None) -> None:
    assert device_load("cuda:0") == {"deviceUsedMb": "5120", "deviceTotalMb": "8192"}


@pytest.mark.gpu
def test_a_real_gpu_is_read() -> None:
    torch.zeros(1 << 28, device="cuda")
    told = device_load("cuda:0")
    assert int(told["deviceUsedMb"]) >= 1024
    assert 0 <= int(told["deviceBusyPercent"]) <= 100
