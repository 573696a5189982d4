"""What every command prints with --json is what docs/schema/ says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from spinbot.home import Home
from spinbot.jobs import Failed
from spinbot.manifests import VoiceManifest
from spinbot.store import JobStore
from spinbot_cli.groups import FILES, _built

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[[], Any]

ROOT = Path(__file__).parents[2]
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "docs" / "schema").glob("*.json")}
REGISTRY: Registry[Any] = Registry().with_resources(
    (f"{name}.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)
SAMPLE = str(ROOT / "examples" / "sample.wav")

SAID_BY = {
    "train": "trainings", "generate": "submitted", "watch": "event", "wait": "wait", "status": "status",
    "jobs": "jobs", "top": "top", "cancel": "cancel", "retry": "submitted", "rerun": "submitted", "pause": "pause",
    "resume": "pause", "voices": "voices", "looks": "looks", "models": "models", "token": "token",
    "doctor": "doctor", "space": "space", "clean": "clean", "stats": "stats", "inspect": "inspect",
    "daemon start": "daemon-status", "daemon restart": "daemon-status", "daemon status": "daemon-status",
    "daemon stop": "daemon-stop",
}  # fmt: skip
"""Command -> schema."""


def check(name: str, said: Any) -> None:
    Draft202012Validator(SCHEMAS[name], registry=REGISTRY).validate(said)


def test_the_schemas_are_schemas() -> None:
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


def test_every_command_with_json_has_a_schema() -> None:
    speaking = set()
    for name in FILES:
        command = _built(name)
        subs = (
            {f"{name} {sub}": each for sub, each in command.commands.items()} if name == "daemon" else {name: command}
        )
        speaking |= {full for full, each in subs.items() if any("--json" in param.opts for param in each.params)}
    assert speaking - set(SAID_BY) == set()
    assert {SAID_BY[name] for name in speaking} - set(SCHEMAS) == set()


@pytest.mark.usefixtures("gateway")
class TestWhatIsPrinted:
    @pytest.fixture
    def jobs(self, moved: Make, store: JobStore, home: Home) -> dict[str, str]:
        """One of each state, a worker, a learned voice."""
        store.beat("generate-abc123", {"lane": "generate", "pid": "1", "rssMb": "812", "beat": "1.5", "job": ""})
        folder = home.voices / "ada"
        folder.mkdir(parents=True)
        voice = VoiceManifest(
            name="ada", base="starter", base_sha256="0", sources=[], transcript_from="file", clips_used=1,
            clips_left_out=0, steps=1, seed=0, sample_rate=22050, similarity=0.7, created=1.0, version="0",
            weights_sha256="0",
        )  # fmt: skip
        (folder / "voice.json").write_text(voice.model_dump_json(by_alias=True))
        return {
            "queued": moved().id,
            "active": moved().begin().step(1, 2, loss=1.5).id,
            "completed": moved().begin().end().id,
            "failed": moved().begin().end(Failed(error="no room", hint="make some")).id,
        }

    @pytest.mark.parametrize(
        ("words", "code"),
        [
            (("status",), 0),
            (("jobs",), 0),
            (("top",), 0),
            (("voices",), 0),
            (("looks",), 0),
            (("models",), 0),
            (("token",), 0),
            (("space",), 0),
            (("stats",), 0),
            (("clean", "--older-than", "0s"), 0),
            (("pause", "--now"), 0),
            (("resume", "train"), 0),
            (("daemon", "status"), 0),
            (("generate", "-p", "hello", "--webhook", "http://127.0.0.1:9/", "-d"), 0),
            (("train", SAMPLE, "--steps", "1", "-d"), 0),
        ],
    )
    def test_by_a_command(self, spinbot: Run, jobs: dict[str, str], words: tuple[str, ...], code: int) -> None:
        done = spinbot(*words, "--json")
        assert done.returncode == code, done.stderr
        check(SAID_BY[words[0] if words[0] != "daemon" else " ".join(words[:2])], json.loads(done.stdout))

    def test_about_one_job(self, spinbot: Run, jobs: dict[str, str]) -> None:
        for job in jobs.values():
            check("job", json.loads(spinbot("status", job, "--json").stdout))
        check("wait", json.loads(spinbot("wait", jobs["completed"], "--json").stdout))
        for line in spinbot("watch", jobs["failed"], "--json").stdout.splitlines():
            check("event", json.loads(line))
        check("submitted", json.loads(spinbot("retry", jobs["failed"], "--json").stdout))
        check("submitted", json.loads(spinbot("rerun", jobs["completed"], "--seed", "3", "-d", "--json").stdout))
        check("cancel", json.loads(spinbot("cancel", jobs["queued"], "--json").stdout))

    def test_by_the_doctor(self, spinbot: Run, jobs: dict[str, str]) -> None:
        check("doctor", json.loads(spinbot("doctor", "--json").stdout))

    def test_as_an_error_over_http(self, gateway: Any) -> None:
        check("error", gateway.http.get("/api/jobs/gen-222222").json())
