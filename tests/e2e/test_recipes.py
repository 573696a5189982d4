"""The blocks of docs/recipes.md, run by a shell as they are printed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = re.findall(
    r"^## (.+?)$.*?^```sh\n(.*?)^```$", (ROOT / "docs" / "recipes.md").read_text(), flags=re.MULTILINE | re.DOTALL
)


def made(folder: Path, title: str) -> bool:
    """Whether the recipe left behind what it says."""
    match title.split()[0]:
        case "Learn":
            return (folder / "morning.wav").read_bytes()[:4] == b"RIFF"
        case "Many":
            ids = (folder / "ids.txt").read_text().split()
            return [json.loads((folder / f"{one}.json").read_text())["state"] for one in ids] == ["completed"] * 2
        case "In":
            return (folder / "path.txt").read_text().strip() == str(folder / "today.png")
        case "Follow":
            lines = (folder / "states.ndjson").read_text().splitlines()
            return [json.loads(line)["state"] for line in lines] == ["queued", "active", "completed"]
        case "Something":
            return (folder / "done-completed").exists()
        case "Only":
            return {"jobId", "status"} <= set(json.loads((folder / "answer.json").read_text()))
        case "From":
            return (folder / "fetched.png").read_bytes()[1:4] == b"PNG"
        case _:
            return True


@pytest.mark.parametrize(("title", "block"), RECIPES, ids=[title for title, _ in RECIPES])
def test_a_recipe_works_as_it_is_printed(shell: Any, tmp_path: Path, title: str, block: str) -> None:
    for name in ("sample.wav", "sample.txt"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    (tmp_path / "lines.txt").write_text("a red robot\na blue robot\n")
    shell.run("daemon", "start")
    environment = {**shell.environment, "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(
        ["sh", "-eu", "-c", block],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert made(tmp_path, title)
