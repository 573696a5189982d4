"""spinbot rerun"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinbot_cli import complete
from spinbot_cli.client import Client
from spinbot_cli.commands.generate import see_through
from spinbot_cli.commands.train import see_trainings
from spinbot_cli.options import Detach, Json, Seed, Steps, Timeout
from spinbot_cli.say import document, out
from spinbot_cli.values import seconds


def rerun(
    job: Annotated[str, typer.Argument(help="Id of a job.", metavar="JOB", autocompletion=complete.any_job)],
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
    name: Annotated[str | None, typer.Option("--name", "-n", help="Another name for what is trained.")] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Of a look's LoRA.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of a voice.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to put the result.")] = None,
    detach: Detach = False,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Make the same once more, with what you change; without a change it is the same to the last pixel.

    spinbot rerun gen-7f3k2q --seed 8

    spinbot rerun train-4mwx8c --steps 300 --name ada-300
    """
    client = Client().ensure()
    kind = client.ask("GET", f"/api/jobs/{job}")["kind"]
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
        "name": name,
        "rank": rank,
        "learningRate": learning_rate,
    }
    given = {key: value for key, value in changes.items() if value is not None}
    answer = client.submit(f"/api/jobs/{job}/rerun", given)
    if detach:
        document(answer) if as_json else out(answer["jobId"])
    elif kind == "generate":
        see_through(client, answer, output, timeout=seconds(timeout), as_json=as_json)
    else:
        see_trainings(client, [answer["jobId"]], timeout=seconds(timeout), as_json=as_json)
