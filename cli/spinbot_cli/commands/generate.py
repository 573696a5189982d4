"""spinbot generate"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from spinbot.errors import BadInput
from spinbot.files import new_file
from spinbot_cli import complete
from spinbot_cli.client import Client
from spinbot_cli.near import nearest
from spinbot_cli.on_done import OnDone, checked
from spinbot_cli.options import After, Detach, First, Json, Limit, NoPreview, OnDoneText, Seed, Steps, Timeout, Webhook
from spinbot_cli.say import document, out, tell
from spinbot_cli.values import seconds
from spinbot_cli.watching import check, watch_all


def generate(
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="Words in quotes are said, the rest is drawn.")] = "",
    say: Annotated[str | None, typer.Option(help="The words to say, instead of those in quotes.")] = None,
    voice: Annotated[
        str | None,
        typer.Option(
            "--voice", "-v", autocompletion=complete.voice, help="A learned voice; default: the starter voice."
        ),
    ] = None,
    look: Annotated[
        str | None,
        typer.Option(autocompletion=complete.look, help="A learned look, with its strength if you like: ada:0.8."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(autocompletion=complete.model, help="Any diffusers model: a folder, or org/name on the hub."),
    ] = None,
    seed: Seed = None,
    steps: Steps = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, help="Guidance scale: how closely to follow the words.")
    ] = None,
    fps: Annotated[int | None, typer.Option(min=5, max=60, help="Frames a second; default 25.")] = None,
    speed: Annotated[float | None, typer.Option(min=0.5, max=2, help="Of the speech; 2 is twice as fast.")] = None,
    image: Annotated[bool, typer.Option("--image", help="Only the portrait, a PNG.")] = False,
    audio: Annotated[bool, typer.Option("--audio", help="Only the speech, a WAV.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to put the result.")] = None,
    prompts_file: Annotated[
        Path | None, typer.Option(help="One prompt a line, one job each; prints their ids.")
    ] = None,
    jobs_file: Annotated[Path | None, typer.Option(help="Write the ids of the jobs here too, one a line.")] = None,
    first: First = False,
    after: After = None,
    time_limit: Limit = None,
    detach: Detach = False,
    no_preview: NoPreview = False,
    on_done: OnDoneText = None,
    webhook: Webhook = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Make a talking video; the last line on stdout is its path.

    spinbot generate --voice ada --prompt 'a red robot says "good morning"'

    spinbot generate --audio --voice ada --say 'only the speech' -o speech.wav

    spinbot generate --prompts-file lines.txt --voice ada --jobs-file ids.txt
    """
    if image and audio:
        raise BadInput("--image and --audio", hint="leave both out for a video")
    fields = {
        "say": say,
        "voice": voice,
        "look": look,
        "model": str(Path(model).absolute()) if model and Path(model).is_dir() else model,
        "seed": seed,
        "steps": steps,
        "guidance": guidance,
        "fps": fps,
        "speed": speed,
        "output": "image" if image else "audio" if audio else None,
        "first": first or None,
        "after": after,
        "timeout": seconds(time_limit, "--time-limit"),
        "webhook": webhook,
    }
    given = {key: value for key, value in fields.items() if value is not None}
    client = Client().ensure()
    told = checked(client, on_done, detach=detach or prompts_file is not None)
    if prompts_file is not None:
        _many(client, prompts_file, given, jobs_file)
        return
    try:
        answer = client.submit("/api/generate", {"prompt": prompt, **given})
    except BadInput as error:
        raise nearest(client, error, voices=voice, looks=look and look.partition(":")[0]) from error
    job_id = answer["jobId"]
    if jobs_file is not None:
        jobs_file.write_text(job_id + "\n")
    if detach:
        document(answer) if as_json else out(job_id)
        return
    see_through(client, answer, output, timeout=seconds(timeout), as_json=as_json, preview=not no_preview, on_done=told)


def see_through(
    client: Client,
    answer: dict[str, Any],
    output: Path | None,
    *,
    timeout: float | None,
    as_json: bool,
    preview: bool = True,
    on_done: OnDone | None = None,
) -> None:
    """Watch the job that was answered with, and print where its result is. Raises what the job ended with."""
    job_id = answer["jobId"]
    ended = watch_all(client, [job_id], as_json=as_json, timeout=timeout, preview=preview, on_done=on_done)[job_id]
    check(ended)
    path = _deliver(client, job_id, ended["result"], output)
    if not as_json:
        out(path)


def _many(client: Client, prompts_file: Path, fields: dict[str, Any], jobs_file: Path | None) -> None:
    """One job for each line that is not empty; their ids as they are made."""
    try:
        prompts = [line.strip() for line in prompts_file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {prompts_file}: {error}") from error
    if not prompts:
        raise BadInput(f"{prompts_file} has no prompts", hint="one a line")
    if jobs_file is not None:
        jobs_file.write_text("")
    for prompt in prompts:
        job_id = client.submit("/api/generate", {"prompt": prompt, **fields})["jobId"]
        out(job_id)
        if jobs_file is not None:  # as they are made: when a later line is refused, these are known
            with jobs_file.open("a") as file:
                file.write(job_id + "\n")


def _deliver(client: Client, job_id: str, result: dict[str, Any], output: Path | None) -> str:
    """The path of the result: where the job made it, or where it was asked for; from a remote daemon it is fetched."""
    for warning in result.get("warnings", []):
        tell(f"note: {warning}")
    made = Path(result["path"])
    if output is None and not client.is_remote:
        return str(made)
    target = (output or Path.cwd()).expanduser().absolute()
    if target.is_dir():
        target /= f"{job_id}{made.suffix}"
    if client.is_remote:
        return str(client.download(f"/api/jobs/{job_id}/files/{result['file']}", target))
    target.parent.mkdir(parents=True, exist_ok=True)
    with new_file(target) as temporary:
        shutil.copyfile(made, temporary)
    return str(target)
