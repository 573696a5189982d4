"""`python -m starter_voice`: train the posterior encoder of the starter voice and write its weights."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from spinbot_workers.voice.starter import POSTERIOR, sha256
from starter_voice.distill import Plan, distill


def main() -> None:
    """Resumes from `--work`; the weights on disk are usable after every checkpoint."""
    plan = Plan()
    parser = argparse.ArgumentParser(prog="starter_voice", description=__doc__)
    parser.add_argument("--sentences", type=int, default=plan.sentences)
    parser.add_argument("--steps", type=int, default=plan.steps)
    parser.add_argument("--seed", type=int, default=plan.seed)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--work", type=Path, default=Path("build/starter-voice"), help="corpus and checkpoints")
    parser.add_argument("--out", type=Path, default=POSTERIOR)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    outcome = distill(
        Plan(sentences=args.sentences, steps=args.steps, seed=args.seed),
        work=args.work,
        out=args.out,
        say=lambda line: print(line, flush=True),
    )
    print(outcome)
    print(f"sha256 {sha256(args.out)}  {args.out.name}")


if __name__ == "__main__":
    main()
