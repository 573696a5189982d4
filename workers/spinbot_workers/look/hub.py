"""Image models from the hub: fetched once, with room for them made sure of, and found again without a network."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

from spinbot.errors import BadInput, JobFailed
from spinbot.names import HUB_ID
from spinbot_workers.report import Report

WANTED = ["model_index.json", "*/*.json", "*/*.txt", "*/*.model", "*/*.safetensors"]
"""A diffusers model: its parts in folders of their own. Nothing here can hold code."""
UNWANTED = ["*.fp16.*", "*.bf16.*", "*.non_ema.*", "*.ema.*"]
SPARE = 1 << 30
"""Bytes to leave free on the disk of the cache."""
TICK = 0.25


def is_hub_id(model: str) -> bool:
    """Whether `model` is `org/name`, and no folder of this machine."""
    return bool(HUB_ID.fullmatch(model)) and not Path(model).is_dir()


def on_this_machine(model: str, report: Report) -> tuple[str, str | None]:
    """What to load for `model`, and the commit it is of when it is from the hub. Raises as `fetched` does."""
    if not is_hub_id(model):
        return model, None
    folder = fetched(model, report)
    return str(folder), folder.name


def fetched(model: str, report: Report) -> Path:
    """The folder of `model`, "org/name", on this machine; the first time it is downloaded, and reported as it comes.

    What was broken off goes on where it stopped. The folder's name is the commit of the model. Once there, it is not
    looked for again: neither a network is needed, nor can a model change under a look that was learned on it.

    Raises:
        BadInput: the hub does not have it, or only as pickles; or it cannot be reached, and the model is not here.
        JobFailed: the disk is too small.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import IncompleteSnapshotError, LocalEntryNotFoundError

    which: dict[str, Any] = {"allow_patterns": WANTED, "ignore_patterns": UNWANTED}
    try:
        return Path(str(snapshot_download(model, local_files_only=True, **which)))  # nosec B615
    except (LocalEntryNotFoundError, IncompleteSnapshotError):
        pass
    report.step("download", 0, 1, f"Asking the hub for {model}")
    missing = _missing(model, which)
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if missing + SPARE > free:
        raise JobFailed(
            f"{model} needs {_size(missing)} and {_size(SPARE)} to spare; {cache} has {_size(free)} free",
            hint="make room, or set HF_HOME to a folder on a larger disk and restart the daemon",
        )
    report.note(f"Downloading {model}, {_size(missing)}, to {cache}")
    return _download(model, which, missing, report)


def _missing(model: str, which: dict[str, Any]) -> int:
    """Bytes to come. Raises BadInput."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        files: Any = snapshot_download(model, dry_run=True, **which)  # nosec B615
    except (OSError, LocalEntryNotFoundError) as error:  # the hub's errors are OSErrors
        why = _causes(error)
        if any(isinstance(cause, GatedRepoError) for cause in why):
            raise BadInput(
                f"{model} is given only to those who accepted its terms",
                hint=f"accept them on the page of {model}, log in with `hf auth login`, then try again",
            ) from error
        if any(isinstance(cause, RepositoryNotFoundError) for cause in why):
            raise BadInput(f"the hub has no model {model}", hint=f"is it spelled right? {_here()}") from error
        raise BadInput(
            f"{model} is not on this machine, and the hub cannot be reached: {_first_line(why[-1])}", hint=_here()
        ) from error
    names = [str(file.filename) for file in files]
    if "model_index.json" not in names:
        raise BadInput(f"{model} is not a diffusers model: it has no model_index.json", hint=_here())
    if not any(name.endswith(".safetensors") for name in names):
        raise BadInput(
            f"{model} has no weights in safetensors, and a pickle can run anybody's code",
            hint="on a machine you can spare: DiffusionPipeline.from_pretrained(…).save_pretrained(folder), then "
            "--model folder",
        )
    return sum(int(file.file_size) for file in files if file.will_download)


def _download(model: str, which: dict[str, Any], missing: int, report: Report) -> Path:
    """In a thread, so that this one can report and stop it."""
    from huggingface_hub import snapshot_download

    arrived = _Arrived()
    with ThreadPoolExecutor(1) as pool:
        fetch = partial(snapshot_download, model, tqdm_class=arrived.bar(), max_workers=1, **which)
        download: Future[Any] = pool.submit(fetch)
        try:
            while not wait([download], timeout=TICK).done:
                done = min(arrived.bytes, missing)
                message = f"Downloading {model}, {_size(done)} of {_size(missing)}"
                report.step("download", done >> 10, max(1, missing >> 10), message)
        except BaseException:
            arrived.stop.set()  # the pool waits for its thread
            raise
    try:
        folder = Path(str(download.result()))
    except Exception as error:  # the transport's own errors are another library's, which changes
        raise JobFailed(
            f"the download of {model} broke off: {_first_line(error)}", hint="spinbot retry goes on where it stopped"
        ) from error
    report.step("download", 1, 1, f"Downloaded {model}")
    return folder


class _Stopped(Exception):
    """Raised in the thread that downloads, when its job has been told to stop."""


class _Arrived:
    """Counts what the hub's client tells its progress bar."""

    def __init__(self) -> None:
        self.bytes = 0
        self.stop = threading.Event()

    def bar(self) -> Any:
        from tqdm import tqdm

        arrived = self

        class Bar(tqdm):
            def __init__(self, *args: Any, **options: Any) -> None:
                self.counts = options.get("unit") == "B"
                options.pop("name", None)
                super().__init__(*args, **{**options, "disable": True})

            def update(self, n: float | None = 1) -> bool | None:
                if arrived.stop.is_set():
                    raise _Stopped
                if self.counts:
                    arrived.bytes += int(n or 0)
                return None

        return Bar


def _here() -> str:
    """The models that need no network."""
    from huggingface_hub import constants

    folders = Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*/model_index.json")
    names = sorted({path.parents[2].name.removeprefix("models--").replace("--", "/", 1) for path in folders})
    return f"on this machine: {', '.join(['starter', *names])}"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _causes(error: BaseException) -> list[BaseException]:
    """`error` and what it was raised from, the first cause last."""
    return [error, *_causes(error.__cause__)] if error.__cause__ else [error]


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
