"""What `spinbot status` costs beside an empty Typer app with two commands."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.table import Table

EMPTY = """
import typer
app = typer.Typer()
@app.command()
def one() -> None: ...
@app.command()
def two() -> None: ...
app()
"""
RUNS = 15


def cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    """User and system CPU of one run of `command`, seconds. Raises CalledProcessError when it fails."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime


def measure(environment: dict[str, str], folder: Path) -> Table:
    """Alternating runs, so that a busy machine slows both alike."""
    empty = folder / "empty.py"
    empty.write_text(EMPTY)
    spinbot = str(Path(sys.executable).with_name("spinbot"))
    base: list[float] = []
    status: list[float] = []
    for _ in range(RUNS):
        base.append(cpu_seconds([sys.executable, str(empty), "one"], environment))
        status.append(cpu_seconds([spinbot, "status"], environment))
    middle, ours = statistics.median(base), statistics.median(status)
    table = Table("CLI, CPU ms", ["command", "median", "ratio", "wanted"])
    table.add("empty Typer app", f"{1000 * middle:.0f}", "1.00", "")
    table.add("spinbot status", f"{1000 * ours:.0f}", f"{ours / middle:.2f}", "at most 1.30")
    return table
