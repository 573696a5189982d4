"""`make chaos`: real jobs on a real daemon, broken at random moments. The seed is printed; pass it to see it again."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from disk import full, small_disk
from invariants import check_job, check_watcher, digest, last_loss, steps_lost
from machine import Machine, Watcher, until
from redis.backoff import ConstantBackoff
from redis.retry import Retry

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
    with tempfile.TemporaryDirectory(prefix="spinbot-chaos-") as folder, small_disk(Path(folder)) as is_small:
        wrong = run(Path(folder), random.Random(arguments.seed), arguments.faults, is_small)
    for line in wrong:
        print(line)
    print("0 failed" if not wrong else f"{len(wrong)} failed")
    sys.exit(bool(wrong))


def run(folder: Path, chance: random.Random, faults: int, is_small: bool) -> list[str]:
    """Faults between submissions, then peace until all is over; what is wrong at the end."""
    machine = Machine(Home(folder), {"SPINBOT_MIN_FREE_MB": "0"})
    machine.start()
    watchers: list[Watcher] = []
    try:
        unbroken = _submit(machine, chance, 0)
        unbroken.join(300)
        store = JobStore(connect(Settings(home=folder).broker_url(), retry=Retry(ConstantBackoff(0.2), 100)))
        made: dict[Path, str] = {}
        for number in range(1, faults + 1):
            watchers.append(_submit(machine, chance, number))
            time.sleep(chance.uniform(0.2, 6))  # where in the jobs' lives the next fault falls
            _break(machine, chance, is_small)
            machine.ensure()
            _remember(store, made)
        _wait_for_all(machine, watchers)
        wrong = [line for watcher in watchers for line in check_job(store, watcher.job_id)]
        wrong += [line for watcher in watchers for line in check_watcher(store, watcher.job_id, watcher.events)]
        wrong += [line for watcher in watchers for line in _check_training(store, watcher.job_id, unbroken.job_id)]
        wrong += [f"{path} was changed after it was finished" for path, old in made.items() if digest(path) != old]
        for watcher in watchers:
            job = store.get(watcher.job_id)
            print(job.id, job.state, "attempt", job.attempt, getattr(job.status, "error", ""))
        return wrong
    finally:
        for watcher in watchers:
            watcher.gave_up.set()
        machine.stop()


def _remember(store: JobStore, made: dict[Path, str]) -> None:
    """What is finished by now, to see at the end that nobody wrote it again."""
    for job in store.newest(state="completed"):
        path = Path(str(getattr(job.status, "result", {})["path"]))
        if path not in made:
            made[path] = digest(path)


def _check_training(store: JobStore, job_id: str, unbroken: str) -> list[str]:
    """A training that was broken off lost no more than a checkpoint, and learned what an unbroken one learns."""
    job, events, wrong = store.get(job_id), store.events(job_id), []
    if job.kind != "train":
        return []
    lost = steps_lost(events)
    if max(lost, default=0) > CHECKPOINT_EVERY + 1:
        wrong.append(f"{job_id}: steps done twice {lost}, a checkpoint is every {CHECKPOINT_EVERY}")
    if job.state == "completed":
        loss, whole = last_loss(events), last_loss(store.events(unbroken))
        if abs(loss - whole) > 0.02 * whole:
            wrong.append(f"{job_id}: ended with the loss {loss:.4f}, an unbroken training with {whole:.4f}")
    return wrong


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


FAULTS = (
    "train", "generate", "gateway", "valkey", "supervisor", "power", "slow valkey", "slow worker", "term", "term twice",
    "disk",
)  # fmt: skip


def _break(machine: Machine, chance: random.Random, is_small: bool) -> None:
    fault = chance.choice(FAULTS)
    print(f"fault: {fault}", flush=True)
    match fault:
        case "supervisor":
            children = machine.kill_supervisor()
            until(lambda: not any(child.is_running() for child in children), "no orphan is left", within=10)
        case "power":
            machine.power_cut()
        case "slow valkey":
            _pause(machine, "valkey", chance.uniform(1, 8))
        case "slow worker":
            _pause(machine, chance.choice(["train", "generate"]), chance.uniform(1, 20))
        case "term":
            machine.stop()
        case "term twice":
            _term_twice(machine)
        case "disk" if is_small:
            with full(machine.home.root, chance.choice([0, 1 << 20, 64 << 20])):
                time.sleep(chance.uniform(1, 6))
        case "disk":
            print("  (a small disk needs the right to mount one)")
        case role:
            machine.kill(role)


def _pause(machine: Machine, role: str, seconds: float) -> None:
    if machine.kill(role, signal.SIGSTOP):
        time.sleep(seconds)
        machine.kill(role, signal.SIGCONT)


def _term_twice(machine: Machine) -> None:
    assert machine.supervisor is not None
    began = time.monotonic()
    for _ in range(2):
        machine.supervisor.terminate()
        time.sleep(0.05)
    machine.supervisor.wait(10)
    print(f"  gone after {time.monotonic() - began:.1f} s")


def _wait_for_all(machine: Machine, watchers: list[Watcher], within: float = 900) -> None:
    deadline = time.monotonic() + within
    for watcher in watchers:
        watcher.join(max(0.1, deadline - time.monotonic()))
        machine.ensure()


if __name__ == "__main__":
    main()
