"""Fail unless an mp4 shows a moving face and lets a recogniser hear the words. Run by .ci/run on the demo's video."""

import argparse
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from pocketsphinx import Decoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--heard", required=True, help="words that were to be said")
    parser.add_argument("--at-least", type=float, default=0.5, help="share of the words that must be heard")
    arguments = parser.parse_args()
    if not arguments.video.is_file():
        sys.exit(f"{arguments.video}: no such file")
    with av.open(str(arguments.video)) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    with av.open(str(arguments.video)) as container:
        to_16k = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        blocks = [out.to_ndarray()[0] for frame in container.decode(audio=0) for out in to_16k.resample(frame)]
    sound = np.concatenate(blocks)
    heard = recognised(sound)
    words = arguments.heard.lower().split()
    share = sum(word in heard for word in words) / len(words)
    moved = float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairwise(pictures)]))
    level = float(np.abs(sound).max()) / 32768
    print(f"{len(pictures)} frames, movement {moved:.2f}, peak {level:.2f}, heard {' '.join(heard)!r}")
    if level < 0.02:
        sys.exit("the video is silent")
    if moved == 0:
        sys.exit("the picture does not move")
    if share < arguments.at_least:
        sys.exit(f"only {share:.0%} of the words were heard")


def recognised(sound: np.ndarray) -> list[str]:
    """The words pocketsphinx hears in (n,) int16 at 16 kHz."""
    decoder = Decoder(loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(sound.tobytes(), full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr.split() if found else []


if __name__ == "__main__":
    main()
