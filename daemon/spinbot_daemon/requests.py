"""What may be asked for, as it comes over HTTP. Ranges are the specs': they are not said twice."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from spinbot.jobs import Input, LookSpec, TalkSpec, VoiceSpec
from spinbot.names import JOB_ID_PATTERN
from spinbot_daemon.webhooks import checked_webhook

PLACEHOLDER = (Input(file="01", name="01", sha256=""),)
VOICE_FIELDS = ("transcript", "steps", "seed", "learning_rate", "checkpoint_every", "consent")
LOOK_FIELDS = ("caption", "model", "steps", "rank", "seed", "validation_every", "checkpoint_every", "consent")
TALK_FIELDS = ("steps", "guidance", "fps", "speed", "output")


class Request(BaseModel):
    """camelCase; an unknown field is refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False
    )

    def given(self, fields: tuple[str, ...]) -> dict[str, Any]:
        """Those of `fields` that were said; the others keep the spec's defaults."""
        return {name: value for name in fields if (value := getattr(self, name)) is not None}


class Steered(Request):
    """What every submission may say of when it runs."""

    after: str | None = Field(default=None, pattern=JOB_ID_PATTERN, description="runs when this job has completed")
    first: bool = Field(default=False, description="before the others in its queue")
    timeout: float | None = Field(default=None, gt=0, description="seconds an attempt may run")
    webhook: str | None = Field(default=None, max_length=2000, description="http or https URL told of the job's end")

    @field_validator("webhook")
    @classmethod
    def _a_url(cls, url: str | None) -> str | None:
        if url is not None:
            checked_webhook(url)
        return url


class TrainRequest(Steered):
    """Learn a voice from sound, a look from pictures, or both from a folder that has both."""

    inputs: list[str] | None = Field(default=None, min_length=1, description="files or folders on this machine")
    sample: str | None = Field(default=None, description="one file or folder; short for inputs")
    name: str | None = Field(default=None, description="default: made from the first file's name")
    transcript: str | None = Field(default=None, max_length=200_000, description="the words that are spoken")
    caption: str | None = Field(default=None, description="what the pictures show")
    steps: int | None = None
    seed: int | None = None
    learning_rate: float | None = None
    checkpoint_every: int | None = None
    rank: int | None = None
    validation_every: int | None = None
    model: str | None = None
    consent: str | None = None
    max_minutes: float | None = Field(default=None, gt=0, le=24 * 60)

    @property
    def paths(self) -> list[str]:
        return [*(self.inputs or []), *([self.sample] if self.sample is not None else [])]

    def voice(self, name: str, inputs: tuple[Input, ...], max_minutes: float) -> VoiceSpec:
        return VoiceSpec(name=name, inputs=inputs, max_minutes=max_minutes, **self.given(VOICE_FIELDS))

    def look(self, name: str, inputs: tuple[Input, ...]) -> LookSpec:
        return LookSpec(name=name, inputs=inputs, **self.given(LOOK_FIELDS))


class GenerateRequest(Steered):
    """A talking video, or with `output` only its picture or its speech."""

    prompt: str = Field(default="", description="words in quotes are said, the rest is the scene")
    say: str | None = Field(default=None, description="the words to say, instead of those in quotes")
    voice: str | None = Field(default=None, description="a learned voice; default: the starter voice")
    look: str | None = Field(default=None, description="a learned look, with its strength if you like: ada:0.8")
    model: str | None = Field(default=None, description="starter, a folder, or org/name on the hub")
    seed: int | None = Field(default=None, description="default: random, and recorded")
    steps: int | None = None
    guidance: float | None = None
    fps: int | None = None
    speed: float | None = None
    output: Literal["video", "image", "audio"] | None = None

    def talk(self, **facts: Any) -> TalkSpec:
        return TalkSpec(prompt=self.prompt, **self.given(TALK_FIELDS), **facts)
