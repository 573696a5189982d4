"""What can be named in a request: voices, looks and image models that are on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spinbot.errors import BadInput, SpinbotError
from spinbot.home import Home
from spinbot.manifests import LookManifest, Manifest, VoiceManifest, read_look, read_voice
from spinbot.names import HUB_ID, NAME_PATTERN

STARTER = "starter"


class Catalogue:
    """Reads the folders anew each time: a voice is there from the moment its folder is."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def voices(self) -> list[dict[str, Any]]:
        return _listed(self._home.voices, "voice", read_voice)

    def looks(self) -> list[dict[str, Any]]:
        return _listed(self._home.looks, "look", read_look)

    def models(self) -> list[dict[str, Any]]:
        """The starter, and diffusers models in `models/` or in the hub's cache on this machine."""
        found = [{"name": STARTER, "path": "", "bytes": 0}]
        if self._home.models.is_dir():
            found += [_model(path.name, path) for path in sorted(self._home.models.iterdir()) if _is_model(path)]
        for snapshot in sorted(_hub_cache().glob("models--*/snapshots/*")):
            if _is_model(snapshot):
                name = snapshot.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
                found.append(_model(name, snapshot))
        return found

    def voice(self, name: str | None) -> VoiceManifest | None:
        """The voice's manifest, None for the starter. Raises BadInput listing those that exist."""
        return None if name in (None, STARTER) else _find(self._home.voices, "voice", name or "", read_voice)

    def look(self, name: str) -> LookManifest | None:
        return None if name == STARTER else _find(self._home.looks, "look", name, read_look)

    def model(self, name: str) -> str:
        """What the worker loads for `name`: "starter", a folder's path or a hub id. Raises BadInput."""
        if name == STARTER or HUB_ID.fullmatch(name):
            return name
        own = self._home.models / name
        path = own if re.fullmatch(NAME_PATTERN, name) and _is_model(own) else Path(name)
        if path.is_absolute() and "\0" not in name and _is_model(path):
            return str(path)
        known = ", ".join(model["name"] for model in self.models())
        raise BadInput(
            f"no model {name[:100]!r}",
            hint=f"there are: {known}; or pass a diffusers folder (its whole path) or a hub id like org/name",
        )


def _find(folder: Path, kind: str, name: str, read: Callable[[Path], Any]) -> Any:
    try:
        if re.fullmatch(NAME_PATTERN, name) and (folder / name).is_symlink():
            raise BadInput(f"the {kind} {name} is a link to somewhere else", hint=f"copy the folder to {folder / name}")
        if re.fullmatch(NAME_PATTERN, name) and (folder / name / f"{kind}.json").is_file():
            return read(folder / name)
    except SpinbotError as error:
        raise BadInput(str(error), hint=error.hint) from error
    known = ", ".join([STARTER, *_names(folder, kind)])
    raise BadInput(f"no {kind} {name[:100]!r}", hint=f"there are: {known}")


def _names(folder: Path, kind: str) -> list[str]:
    return sorted(path.parent.name for path in folder.glob(f"*/{kind}.json") if not path.parent.name.startswith("."))


def _listed(folder: Path, kind: str, read: Callable[[Path], Manifest]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": STARTER, "kind": kind, "path": "", "bytes": 0}]
    for name in _names(folder, kind):
        place = {"path": str(folder / name), "bytes": _bytes(folder / name)}
        try:
            found.append({**read(folder / name).model_dump(mode="json", by_alias=True, exclude_none=True), **place})
        except SpinbotError as error:
            found.append({"name": name, "kind": kind, "error": str(error), **place})
    return found


def _model(name: str, path: Path) -> dict[str, Any]:
    return {"name": name, "path": str(path), "bytes": _bytes(path)}


def _is_model(path: Path) -> bool:
    try:
        return (path / "model_index.json").is_file()
    except (OSError, ValueError):
        return False


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _hub_cache() -> Path:
    """As huggingface_hub finds it; not imported, for its weight."""
    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache)
    return Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface") / "hub"
