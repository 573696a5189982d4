"""`make bench`: every table, from one daemon in a home of its own. Arguments choose parts: cli jobs memory …"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import cli, jobs, memory, models, scrape, watchers
from spinbot.home import Home

SAMPLE = Path(__file__).parents[1] / "examples" / "sample.wav"
PARTS = ("cli", "jobs", "watchers", "memory", "models", "scrape")


def main() -> None:
    parts = sys.argv[1:] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="spinbot-bench-") as folder:
        environment = {**os.environ, "SPINBOT_HOME": folder}
        home = Home(Path(folder))
        spinbot = str(Path(sys.executable).with_name("spinbot"))
        subprocess.run([spinbot, "daemon", "start"], env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            measure(parts, environment, home)
        finally:
            subprocess.run([spinbot, "daemon", "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)


def measure(parts: list[str], environment: dict[str, str], home: Home) -> None:
    daemon = jobs.OverSocket(home.socket)
    if "cli" in parts:
        print(cli.measure(environment, home.root), flush=True)
    if "jobs" in parts:
        print(jobs.measure(home.socket), flush=True)
    if "watchers" in parts:
        print(watchers.measure(home.socket, home.broker_socket), flush=True)
    if "memory" in parts:
        print(memory.measure(daemon, json.loads(home.daemon_file.read_text())["pid"]), flush=True)
    if "scrape" in parts:
        print(scrape.measure(home.socket, home.broker_socket), flush=True)
    if "models" in parts:
        for table in models.measure(daemon, home, SAMPLE):
            print(table, flush=True)


if __name__ == "__main__":
    main()
