"""`make fuzz`: 10,000 requests, 2,000 WebSockets and 5,000 recordings that nobody would send by accident."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz import audio, interface

from spinbot.home import Home


def main() -> None:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--examples", type=int, default=700, help="for each operation of the document")
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument("--recordings", type=int, default=5000)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    wrong = of_the_interface(arguments) + of_the_decoder(arguments)
    for line in wrong:
        print(line)
    print(f"{len(wrong)} findings")
    sys.exit(bool(wrong))


def of_the_interface(arguments: argparse.Namespace) -> list[str]:
    spinbot, wrong = str(Path(sys.executable).with_name("spinbot")), []
    with tempfile.TemporaryDirectory(prefix="spinbot-fuzz-") as folder:
        environment = {**os.environ, "SPINBOT_HOME": folder, "SPINBOT_LANES": "[]"}
        home = Home(Path(folder))
        subprocess.run([spinbot, "daemon", "start"], env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            url = json.loads(home.daemon_file.read_text())["url"]
            began = time.monotonic()
            token = home.token_file.read_text().strip()
            made, passed, said = interface.schemathesis(url, token, arguments.examples, arguments.seed)
            print(f"{made:,} requests, {passed:,} answered without a 5xx, {time.monotonic() - began:.0f} s", flush=True)
            wrong += [said[-6000:]] if passed != made or not made else []
            began = time.monotonic()
            opened = interface.nonsense(home.socket, arguments.sockets, arguments.seed)
            print(f"{arguments.sockets:,} sockets, {opened:,} opened, {time.monotonic() - began:.0f} s", flush=True)
            text = (home.logs / "gateway.log").read_text()
            wrong += [f"the gateway's log: {text[text.index('Traceback') :][:3000]}"] if "Traceback" in text else []
            starts = (home.logs / "daemon.log").read_text().count("gateway started")
            wrong += [f"the gateway was started {starts} times"] if starts != 1 else []
        finally:
            subprocess.run([spinbot, "daemon", "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return wrong


def of_the_decoder(arguments: argparse.Namespace) -> list[str]:
    began = time.monotonic()
    found = audio.run(arguments.recordings, arguments.seed)
    spent = time.monotonic() - began
    print(f"{arguments.recordings:,} recordings: {found.read:,} read, {found.refused:,} refused, {spent:.0f} s")
    return found.wrong


if __name__ == "__main__":
    main()
