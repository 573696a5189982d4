"""spinbot train"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from spinbot.errors import BadInput
from spinbot_cli.client import Client
from spinbot_cli.on_done import OnDone, checked
from spinbot_cli.options import After, Detach, First, Json, Limit, OnDoneText, Seed, Steps, Timeout, Webhook
from spinbot_cli.say import document, out, tell
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
    each: Annotated[
        bool, typer.Option("--each", help="One job for each file or folder in the folder, named after it.")
    ] = False,
    jobs_file: Annotated[Path | None, typer.Option(help="Write the ids of the jobs here too, one a line.")] = None,
    first: First = False,
    after: After = None,
    time_limit: Limit = None,
    detach: Detach = False,
    on_done: OnDoneText = None,
    webhook: Webhook = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Learn a voice from recordings, or a look from pictures.

    spinbot train sample.wav --name ada

    spinbot train photos/ --name ada --caption 'a photo of ada'

    spinbot train speakers/ --each --detach

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
        "webhook": webhook,
    }
    given = {key: value for key, value in fields.items() if value is not None}
    if consent is None and not as_json and not detach and asks():
        given["consent"] = asked_for_consent()
    client = Client().ensure()
    if each and name is not None:
        raise BadInput("--each and --name", hint="with --each every voice is named after its file or folder")
    told = checked(client, on_done, detach=detach)
    groups = [[path] for path in _samples(inputs)] if each else [inputs]
    jobs: list[str] = []
    with jobs_file.open("w") if jobs_file else nullcontext() as file:
        for group in groups:
            made = _submit(client, group, given)["jobs"]
            jobs += made
            if file is not None:  # as they are made: when a later sample is refused, these are known
                print(*made, sep="\n", file=file, flush=True)
            if detach and not as_json:
                out("\n".join(made))
    if detach:
        if as_json:
            document({"jobId": jobs[0], "status": "queued", "jobs": jobs})
        return
    see_trainings(client, jobs, timeout=seconds(timeout), as_json=as_json, on_done=told)


def asks() -> bool:
    """Whether a person is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def asked_for_consent() -> str:
    """Who agreed, in the words of who trains; kept in the manifest and in what is generated with it."""
    tell("Voices and faces are people's. Who is this, and did they agree? (--consent 'TEXT' says it without asking)")
    return str(typer.prompt("consent", default="not said", err=True)).strip()


def see_trainings(
    client: Client, jobs: list[str], *, timeout: float | None, as_json: bool, on_done: OnDone | None = None
) -> None:
    """Watch `jobs` and say what each has made. Raises what the worst ended with."""
    ended = watch_all(client, jobs, as_json=as_json, timeout=timeout, on_done=on_done)
    for job_id in [] if as_json else jobs:
        if ended[job_id]["state"] == "completed":
            _say_result(client, job_id, ended[job_id]["result"])
    check_all(ended)


def _samples(inputs: list[Path]) -> list[Path]:
    """With `--each`: the recordings and folders named, and those in the folders named, without their words."""
    found: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(one for one in path.iterdir() if not one.name.startswith(".") and one.suffix != ".txt")
        if not inside:
            raise BadInput(f"{path}: nothing to learn from in this folder", hint="pass a folder of recordings")
        found += inside
    return found


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
