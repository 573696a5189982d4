"""spinbot rerun"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spinbot.errors import NotAllowed
from spinbot_cli import complete
from spinbot_cli.client import Client
from spinbot_cli.commands.generate import see_through
from spinbot_cli.options import Detach, Json, Seed, Steps, Timeout
from spinbot_cli.values import seconds

AS_THEY_ARE = ("prompt", "say", "voice", "model", "seed", "steps", "guidance", "fps", "speed", "output")


def rerun(
    job: Annotated[str, typer.Argument(help="Id of a generating job.", metavar="JOB", autocompletion=complete.any_job)],
    seed: Seed = None,
    steps: Steps = None,
    prompt: Annotated[str | None, typer.Option("--prompt", "-p", help="Other words and another scene.")] = None,
    say: Annotated[str | None, typer.Option(help="Other words.")] = None,
    voice: Annotated[
        str | None, typer.Option("--voice", "-v", help="Another voice.", autocompletion=complete.voice)
    ] = None,
    look: Annotated[str | None, typer.Option(help="Another look.", autocompletion=complete.look)] = None,
    guidance: Annotated[float | None, typer.Option(min=0)] = None,
    fps: Annotated[int | None, typer.Option(min=5, max=60)] = None,
    speed: Annotated[float | None, typer.Option(min=0.5, max=2)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to put the result.")] = None,
    detach: Detach = False,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Make the same once more, with what you change; without a change it is the same to the last pixel.

    spinbot rerun gen-7f3k2q --seed 8
    """
    client = Client().ensure()
    found = client.ask("GET", f"/api/jobs/{job}")
    if found["kind"] != "generate":
        raise NotAllowed(f"{job} is a training", hint=f"spinbot retry {job} --fresh trains again from its recordings")
    changes = {
        "seed": seed,
        "steps": steps,
        "prompt": prompt,
        "say": say,
        "voice": voice,
        "look": look,
        "guidance": guidance,
        "fps": fps,
        "speed": speed,
    }
    body = {**asked(found["spec"]), **{name: value for name, value in changes.items() if value is not None}}
    if prompt is not None and say is None:
        del body["say"]  # the new prompt has its own words
    answer = client.submit("/api/generate", body)
    see_through(client, answer, output, detach=detach, timeout=seconds(timeout), as_json=as_json)


def asked(spec: dict[str, Any]) -> dict[str, Any]:
    """The request that makes a job of this spec."""
    body = {name: spec[name] for name in AS_THEY_ARE if name in spec}
    if "look" in spec:
        body["look"] = f"{spec['look']}:{spec['lookScale']:g}"
    return body
