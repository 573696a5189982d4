"""What a learned voice or look says of itself: `voices/{name}/voice.json` and `looks/{name}/look.json`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from spinbot.errors import JobFailed

M = TypeVar("M", bound="Manifest")


class Manifest(BaseModel):
    """Frozen; camelCase in the file; an unknown field is an error, never a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Source(Manifest):
    """One file that was learned from."""

    name: str
    sha256: str
    seconds: float | None = None


class VoiceManifest(Manifest):
    """A voice. `similarity` is the cosine of speaker embeddings, voice against held-out sample, in [-1, 1]."""

    kind: Literal["voice"] = "voice"
    name: str
    base: str
    base_sha256: str
    sources: list[Source]
    transcript_from: str
    clips_used: int
    clips_left_out: int
    steps: int
    seed: int
    sample_rate: int
    similarity: float | None
    starter_similarity: float | None = None
    created: float = Field(description="Unix time, seconds")
    version: str
    weights_sha256: str
    consent: str | None = None


class LookManifest(Manifest):
    """A look: a LoRA on `model`. `loss` is the mean training loss of the last tenth of the steps."""

    kind: Literal["look"] = "look"
    name: str
    model: str
    model_revision: str | None = Field(default=None, description="the commit, of a model from the hub")
    sources: list[Source]
    captions: list[str]
    rank: int
    steps: int
    seed: int
    loss: float
    created: float = Field(description="Unix time, seconds")
    version: str
    weights_sha256: str
    consent: str | None = None


def read_voice(folder: Path) -> VoiceManifest:
    """Raises JobFailed naming the file when it is missing or not ours."""
    return _read(folder / "voice.json", VoiceManifest)


def read_look(folder: Path) -> LookManifest:
    """Raises JobFailed naming the file when it is missing or not ours."""
    return _read(folder / "look.json", LookManifest)


def checked_weights(path: Path, sha256: str) -> Path:
    """`path`, when it and its folder are no links and it is what was trained.

    Raises:
        JobFailed: naming the file. Weights that somebody exchanged are not loaded.
    """
    remedy = "train it again, or delete its folder"
    if path.is_symlink() or path.parent.is_symlink():
        raise JobFailed(f"{path} is a link to somewhere else", hint=remedy)
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise JobFailed(f"{path}: {error.strerror}", hint=remedy) from error
    if found != sha256:
        raise JobFailed(f"{path} is not what was trained: sha256 {found[:12]}, not {sha256[:12]}", hint=remedy)
    return path


def _read(path: Path, model: type[M]) -> M:
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{error.error_count()} unreadable fields"
        raise JobFailed(f"{path}: {reason}", hint="train it again, or delete its folder") from error
