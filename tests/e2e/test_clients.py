"""Programs that are not ours follow a job from start to end over TCP: curl, Node's ws, and websockets' own client."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

NODE = Path(__file__).parent / "node"
CURL = """
set -eu
say() { curl --silent --show-error --fail-with-body -H "Authorization: Bearer $TOKEN" "$@"; }
answer=$(say -d '{"prompt": "a red robot", "output": "image", "steps": 2}' "$URL/api/generate")
id=$(printf %s "$answer" | sed 's/.*"jobId":"\\([^"]*\\)".*/\\1/')
state=queued
while [ "$state" = queued ] || [ "$state" = active ]; do
    answer=$(say "$URL/api/status/$id")
    state=$(printf %s "$answer" | sed 's/.*"state":"\\([^"]*\\)".*/\\1/')
done
say -o "$OUT" "$URL/api/jobs/$id/files/portrait.png"
echo "$id $state"
"""


@pytest.fixture
def daemon(shell: Any) -> tuple[str, str]:
    """URL and token of the daemon, started by the first command."""
    shell.run("daemon", "start")
    return str(shell.json("daemon", "status")["url"]), shell.run("token").stdout.strip()


def submit(shell: Any) -> str:
    return str(shell.run("generate", "--image", "--steps", "2", "-p", "a red robot", "--detach").stdout.strip())


def check(events: list[dict[str, Any]], job_id: str) -> None:
    """A snapshot, then every event once and in order, to the end."""
    assert [event["type"] for event in events].count("snapshot") == 1
    told = [event for event in events if event["type"] != "snapshot"]
    ids = [tuple(map(int, event["id"].split("-"))) for event in told]
    assert ids == sorted(set(ids))
    states = [event["state"] for event in told if event["type"] == "state"]
    assert states == ["queued", "active", "completed"]
    assert any(event["type"] == "progress" for event in told)
    assert {event["jobId"] for event in events} == {job_id}
    for event in events:
        assert {"jobId", "progress", "message"} <= set(event)


def test_curl(shell: Any, daemon: tuple[str, str], tmp_path: Path) -> None:
    url, token = daemon
    picture = tmp_path / "portrait.png"
    done = subprocess.run(
        ["sh", "-c", CURL],
        env={**shell.environment, "URL": url, "TOKEN": token, "OUT": str(picture)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" completed\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_websockets(shell: Any, daemon: tuple[str, str]) -> None:
    url, token = daemon
    job_id = submit(shell)

    async def follow() -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}"}
        uri = f"{url.replace('http', 'ws', 1)}/ws?jobId={job_id}&after=0"
        async with connect(uri, additional_headers=headers, proxy=None) as socket:
            return [json.loads(message) async for message in socket]

    check(asyncio.run(follow()), job_id)


@pytest.mark.skipif(
    shutil.which("node") is None or not (NODE / "node_modules" / "ws").is_dir(),
    reason="needs Node and its ws package: make test-clients",
)
def test_nodes_ws(shell: Any, daemon: tuple[str, str]) -> None:
    url, token = daemon
    job_id = submit(shell)
    done = subprocess.run(
        ["node", str(NODE / "follow.mjs"), url.replace("http", "ws", 1), token, job_id],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    check([json.loads(line) for line in done.stdout.splitlines()], job_id)
