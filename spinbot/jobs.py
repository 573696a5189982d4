"""A job: what was asked (its spec), and where it stands (its status). Facts live in the state they belong to."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from spinbot.names import new_job_id

State = Literal["queued", "active", "completed", "failed", "cancelled"]
Kind = Literal["train", "generate"]
STATES: tuple[State, ...] = ("queued", "active", "completed", "failed", "cancelled")
OVER: frozenset[State] = frozenset({"completed", "failed", "cancelled"})
KINDS: tuple[Kind, ...] = ("train", "generate")
MAX_ATTEMPTS = 2
"""A job whose worker died twice is failed: a third try would be a loop."""
MAX_INTERRUPTIONS = 4
"""Attempts more for those that ended with the whole daemon. Not without end: it may be the job that takes it down."""


class Model(BaseModel):
    """Frozen; camelCase on the wire; an unknown field is an error, never a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    def wire(self) -> dict[str, Any]:
        """As it goes over HTTP: camelCase, nothing that is None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Input(Model):
    """A file of the job: `file` is our name for it under `inputs/`, `name` is what the user called it."""

    file: str
    name: str
    sha256: str


class VoiceSpec(Model):
    """Learn a voice from recordings of one speaker."""

    kind: Literal["voice"] = "voice"
    name: str
    inputs: tuple[Input, ...] = Field(min_length=1)
    transcript: str | None = None
    steps: int = Field(default=150, ge=1, le=100_000)
    seed: int = Field(default=0, ge=0, lt=2**32)
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    checkpoint_every: int = Field(default=25, ge=1)
    max_minutes: float = Field(default=30, gt=0)
    consent: str | None = Field(default=None, max_length=1000)


class LookSpec(Model):
    """Learn a look from pictures."""

    kind: Literal["look"] = "look"
    name: str
    inputs: tuple[Input, ...] = Field(min_length=1)
    caption: str | None = Field(default=None, max_length=1000)
    model: str = "starter"
    steps: int = Field(default=200, ge=1, le=100_000)
    rank: int = Field(default=8, ge=1, le=256)
    seed: int = Field(default=0, ge=0, lt=2**32)
    validation_every: int = Field(default=50, ge=1)
    checkpoint_every: int = Field(default=25, ge=1)
    consent: str | None = Field(default=None, max_length=1000)


class TalkSpec(Model):
    """Make a talking video, or only its picture or its speech."""

    kind: Literal["talk"] = "talk"
    prompt: str
    say: str
    scene: str
    voice: str | None = None
    look: str | None = None
    look_scale: float = Field(default=1.0, ge=0, le=2)
    model: str = "starter"
    output: Literal["video", "image", "audio"] = "video"
    seed: int = Field(default=0, ge=0, lt=2**32)
    steps: int = Field(default=20, ge=1, le=1000)
    guidance: float = Field(default=2.5, ge=0, le=50)
    fps: int = Field(default=25, ge=5, le=60)
    speed: float = Field(default=1.0, ge=0.5, le=2.0)


Spec = Annotated[VoiceSpec | LookSpec | TalkSpec, Field(discriminator="kind")]


class Queued(Model):
    """Waiting for a worker. `reason` says why again, where a worker was lost."""

    state: Literal["queued"] = "queued"
    since: float = Field(default_factory=time.time, description="Unix time, seconds")
    reason: str = ""


class Active(Model):
    state: Literal["active"] = "active"
    since: float = Field(default_factory=time.time)
    worker: str


class Completed(Model):
    state: Literal["completed"] = "completed"
    since: float = Field(default_factory=time.time)
    result: dict[str, JsonValue]


class Failed(Model):
    """A failure without a reason cannot be built."""

    state: Literal["failed"] = "failed"
    since: float = Field(default_factory=time.time)
    error: str = Field(min_length=1)
    hint: str = ""


class Cancelled(Model):
    state: Literal["cancelled"] = "cancelled"
    since: float = Field(default_factory=time.time)
    reason: str = Field(min_length=1)


Status = Annotated[Queued | Active | Completed | Failed | Cancelled, Field(discriminator="state")]


class Job(Model):
    """The record. `started` is when the first attempt began; times are Unix seconds.

    `after` is the job that has to complete before this one is queued for a worker; `first` puts it before others;
    `timeout` is how many seconds an attempt may run; `webhook` is the URL that is told of its end;
    `interruptions` counts the attempts that ended because the daemon did;
    `trace` is the traceparent of the request, which came at `asked`.
    """

    id: str
    spec: Spec
    created: float = Field(default_factory=time.time)
    attempt: int = Field(default=1, ge=1)
    interruptions: int = Field(default=0, ge=0)
    retry_of: str | None = None
    after: str | None = None
    first: bool = False
    timeout: float | None = Field(default=None, gt=0)
    webhook: str | None = None
    trace: str | None = None
    asked: float | None = None
    started: float | None = None
    status: Status = Field(default_factory=Queued)

    @property
    def kind(self) -> Kind:
        return "generate" if isinstance(self.spec, TalkSpec) else "train"

    @property
    def state(self) -> State:
        return self.status.state

    @property
    def is_over(self) -> bool:
        return self.state in OVER


def new_job(
    spec: VoiceSpec | LookSpec | TalkSpec,
    *,
    retry_of: str | None = None,
    after: str | None = None,
    first: bool = False,
    timeout: float | None = None,
    webhook: str | None = None,
) -> Job:
    """A queued job for `spec`, with an id of its own."""
    return Job(
        id=new_job_id("gen" if isinstance(spec, TalkSpec) else "train"),
        spec=spec,
        retry_of=retry_of,
        after=after,
        first=first,
        timeout=timeout,
        webhook=webhook,
    )
