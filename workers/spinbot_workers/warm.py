"""What a worker process keeps between jobs: settings, store, loaded models, and the job it is at."""

from __future__ import annotations

import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from spinbot.home import Home
from spinbot.settings import Settings
from spinbot.store import JobStore
from spinbot_workers.reporter import Reporter

KEPT_MODELS = 4
"""Models kept loaded; the one used longest ago goes first."""

T = TypeVar("T")


@dataclass
class Models:
    """Loaded models by what identifies them: name and sha256, so that a voice trained again is loaded again."""

    on_load: Callable[[str, float], None] = lambda what, seconds: None
    _loaded: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict)

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        if key not in self._loaded:
            while len(self._loaded) >= KEPT_MODELS:
                self._loaded.popitem(last=False)
            began = time.monotonic()
            self._loaded[key] = load()
            self.on_load(self.names()[-1].partition(":")[0], time.monotonic() - began)
        self._loaded.move_to_end(key)
        model: T = self._loaded[key]
        return model

    def __contains__(self, key: Hashable) -> bool:
        return key in self._loaded

    def names(self) -> list[str]:
        return [str(key[0] if isinstance(key, tuple) else key) for key in self._loaded]


@dataclass
class Warm:
    """One per process. `worn` once memory ran out: what is left of it is not to be trusted with another job."""

    settings: Settings
    store: JobStore
    name: str
    lane: str
    device: str
    models: Models = field(default_factory=Models)
    reporter: Reporter | None = None
    job_id: str = ""
    attempt: int = 0
    leaving: bool = False
    worn: bool = False
    host: str = field(default_factory=socket.gethostname)

    @property
    def home(self) -> Home:
        return self.settings.folders


_warm: Warm | None = None


def install(warm: Warm) -> None:
    """Make `warm` the one of this process: RQ calls a function by name and can hand it nothing else."""
    global _warm
    _warm = warm


def current() -> Warm:
    assert _warm is not None, "install() comes before the first job"
    return _warm
