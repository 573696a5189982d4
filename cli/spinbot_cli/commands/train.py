"""spinbot train"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spinbot.errors import BadInput
from spinbot_cli.client import Client
from spinbot_cli.options import After, Detach, First, Json, Limit, Seed, Steps, Timeout
from spinbot_cli.say import document, out
from spinbot_cli.values import seconds, text_or_file
from spinbot_cli.watching import check_all, watch_all


def train(
    inputs: Annotated[list[Path], typer.Argument(help="Recordings of one speaker, pictures, or folders of them.")],
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="What to call it; default: the first file's name.")
    ] = None,
    transcript: Annotated[
        str | None, typer.Option(help="The words spoken, or @words.txt; default: a .txt beside it.")
    ] = None,
    caption: Annotated[str | None, typer.Option(help="What the pictures show; default: a .txt beside each.")] = None,
    steps: Steps = None,
    seed: Seed = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Size of a look's LoRA.")] = None,
    model: Annotated[str | None, typer.Option(help="The image model a look is learned on.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of a voice.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(min=1, help="Steps between checkpoints.")] = None,
    consent: Annotated[str | None, typer.Option(help="Who agreed to being learned, kept with the voice.")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="Most audio to take; default 30.")] = None,
    first: First = False,
    after: After = None,
    time_limit: Limit = None,
    detach: Detach = False,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Learn a voice from recordings, or a look from pictures.

    spinbot train sample.wav --name ada

    spinbot train photos/ --name ada --caption 'a photo of ada'

    id=$(spinbot train a.wav --name a --detach) && spinbot wait "$id"
    """
    fields = {
        "name": name,
        "transcript": text_or_file(transcript, "--transcript"),
        "caption": caption,
        "steps": steps,
        "seed": seed,
        "rank": rank,
        "model": model,
        "learningRate": learning_rate,
        "checkpointEvery": checkpoint_every,
        "consent": consent,
        "maxMinutes": max_minutes,
        "first": first or None,
        "after": after,
        "timeout": seconds(time_limit, "--time-limit"),
    }
    given = {key: value for key, value in fields.items() if value is not None}
    client = Client().ensure()
    answer = _submit(client, inputs, given)
    if detach:
        document(answer) if as_json else out("\n".join(answer["jobs"]))
        return
    ended = watch_all(client, answer["jobs"], as_json=as_json, timeout=seconds(timeout))
    check_all(ended)
    for job_id in [] if as_json else answer["jobs"]:
        _say_result(client, job_id, ended[job_id]["result"])


def _submit(client: Client, inputs: list[Path], fields: dict[str, Any]) -> Any:
    paths = [path.expanduser().absolute() for path in inputs]
    if not client.is_remote:
        return client.submit("/api/train", {**fields, "inputs": [str(path) for path in paths]})
    if missing := [path for path in paths if not path.exists()]:
        raise BadInput(f"{missing[0]}: no such file")
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path, *_words(path)])]
    return client.upload("/api/train", fields, [file for file in files if file.is_file()])


def _words(path: Path) -> list[Path]:
    beside = path.with_suffix(".txt")
    return [beside] if beside != path and beside.is_file() else []


def _say_result(client: Client, job_id: str, result: dict[str, Any]) -> None:
    """`ada  similarity 0.71  /…/preview.wav`: one line, the name first."""
    what = "voice" if "voice" in result else "look"
    parts = [f"{what} {result[what]}"]
    if result.get("similarity") is not None:
        parts.append(f"similarity {result['similarity']:.2f}")
    preview = result["preview"]
    path = client.home.job(job_id) / preview
    parts.append(f"preview {f'{client.url}/api/jobs/{job_id}/files/{preview}' if client.is_remote else path}")
    out("  ".join(parts))
