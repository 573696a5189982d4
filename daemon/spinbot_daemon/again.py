"""The same once more, with what is changed: the requests behind `rerun`."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from spinbot.errors import BadInput
from spinbot.jobs import LookSpec, TalkSpec, VoiceSpec
from spinbot.names import checked_name
from spinbot_daemon.answers import checked, names_of, refusal
from spinbot_daemon.requests import LOOK_FIELDS, VOICE_FIELDS, GenerateRequest, TrainRequest

AS_THEY_ARE = ("prompt", "say", "voice", "model", "seed", "steps", "guidance", "fps", "speed", "output")
STEERING = ("name", "after", "first", "timeout", "webhook")


def talk_again(spec: TalkSpec, changes: dict[str, Any]) -> GenerateRequest:
    """The request that makes `spec` with `changes`, which are fields of a request. Raises BadInput."""
    old = spec.wire()
    body = {name: old[name] for name in AS_THEY_ARE if name in old}
    if spec.look:
        body["look"] = f"{spec.look}:{spec.look_scale:g}"
    if "prompt" in changes and "say" not in changes:
        del body["say"]  # the new prompt has its own words
    return checked(GenerateRequest, {**body, **changes})


def training_again(spec: VoiceSpec | LookSpec, changes: dict[str, Any]) -> tuple[TrainRequest, VoiceSpec | LookSpec]:
    """What was asked, and the spec with it: the same recordings or pictures. Raises BadInput."""
    asked = checked(TrainRequest, changes)
    if asked.paths:
        raise BadInput("other files to learn from", hint="spinbot train begins with new ones")
    takes = VOICE_FIELDS if isinstance(spec, VoiceSpec) else LOOK_FIELDS
    given = {name: value for name, value in asked.model_dump(exclude_unset=True).items() if name not in STEERING}
    if isinstance(spec, VoiceSpec) and "max_minutes" in given:
        takes = (*takes, "max_minutes")
    if strange := sorted(set(given) - set(takes)):
        raise BadInput(f"a {spec.kind} has no {', '.join(strange)}", hint=f"it has {', '.join(takes)}")
    if asked.name is not None:
        given["name"] = checked_name(asked.name)
    try:
        return asked, type(spec).model_validate({**spec.model_dump(), **given})
    except ValidationError as error:
        raise refusal(error.errors(), names_of(TrainRequest)) from error
