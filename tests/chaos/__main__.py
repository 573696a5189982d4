"""`make chaos`: real jobs on a real daemon, broken at random moments. The seed is printed; pass it to see it again."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from invariants import check_job, check_watcher, steps_lost
from machine import Machine, Watcher, until

from spinbot.home import Home
from spinbot.settings import Settings
from spinbot.store import JobStore, connect

SAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"
CHECKPOINT_EVERY = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--faults", type=int, default=12)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="spinbot-chaos-") as folder:
        wrong = run(Path(folder), random.Random(arguments.seed), arguments.faults)
    for line in wrong:
        print(line)
    print("0 failed" if not wrong else f"{len(wrong)} failed")
    sys.exit(bool(wrong))


def run(folder: Path, chance: random.Random, faults: int) -> list[str]:
    """Faults between submissions, then peace until all is over; what is wrong at the end."""
    machine = Machine(Home(folder))
    machine.start()
    watchers: list[Watcher] = []
    try:
        for number in range(faults):
            watchers.append(_submit(machine, chance, number))
            time.sleep(chance.uniform(0.2, 6))  # where in the jobs' lives the next fault falls
            _break(machine, chance)
            machine.ensure()
        _wait_for_all(machine, watchers)
        store = JobStore(connect(Settings(home=folder).broker_url()))
        wrong = [line for watcher in watchers for line in check_job(store, watcher.job_id)]
        wrong += [line for watcher in watchers for line in check_watcher(store, watcher.job_id, watcher.events)]
        for watcher in watchers:
            lost = steps_lost(store.events(watcher.job_id))
            if max(lost, default=0) > CHECKPOINT_EVERY + 1:
                wrong.append(f"{watcher.job_id}: steps done twice {lost}, a checkpoint is every {CHECKPOINT_EVERY}")
            print(watcher.job_id, store.get(watcher.job_id).state, "attempt", store.get(watcher.job_id).attempt)
        return wrong
    finally:
        for watcher in watchers:
            watcher.gave_up.set()
        machine.stop()


def _submit(machine: Machine, chance: random.Random, number: int) -> Watcher:
    if number % 3 == 0:
        body: dict[str, object] = {
            "inputs": [str(SAMPLE)],
            "name": f"voice{number}",
            "steps": 12,
            "checkpointEvery": CHECKPOINT_EVERY,
        }
        job_id = machine.submit("/api/train", body, f"chaos-{number}")
    else:
        body = {
            "prompt": "a red robot says hello",
            "output": chance.choice(["audio", "image", "video"]),
            "seed": number,
        }
        job_id = machine.submit("/api/generate", body, f"chaos-{number}")
    assert machine.submit("/api/train" if number % 3 == 0 else "/api/generate", body, f"chaos-{number}") == job_id
    watcher = Watcher(machine.home, job_id)
    watcher.start()
    return watcher


def _break(machine: Machine, chance: random.Random) -> None:
    fault = chance.choice(["train", "generate", "gateway", "valkey", "supervisor", "power", "slow", "term"])
    print(f"fault: {fault}", flush=True)
    match fault:
        case "supervisor":
            children = machine.kill_supervisor()
            until(lambda: not any(child.is_running() for child in children), "no orphan is left", within=10)
        case "power":
            machine.power_cut()
        case "slow":
            if machine.kill("valkey", signal.SIGSTOP):
                time.sleep(chance.uniform(1, 8))
                machine.kill("valkey", signal.SIGCONT)
        case "term":
            machine.stop()
        case role:
            machine.kill(role)


def _wait_for_all(machine: Machine, watchers: list[Watcher], within: float = 900) -> None:
    deadline = time.monotonic() + within
    for watcher in watchers:
        watcher.join(max(0.1, deadline - time.monotonic()))
        machine.ensure()


if __name__ == "__main__":
    main()
