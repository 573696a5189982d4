"""Frames and speech into an mp4: H.264 and AAC, the index in front so that it plays while it loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

AAC_FRAME = 1024
"""Samples an AAC encoder takes at a time."""


def write_mp4(
    path: Path,
    frames: Iterable[Image.Image],
    samples: npt.NDArray[np.float32],
    *,
    fps: int,
    sample_rate: int,
    metadata: Mapping[str, str],
) -> None:
    """Encode while `frames` are drawn, so that none need be kept.

    Args:
        frames: RGB, all of one even size; at least one.
        samples: (n,) mono in [-1, 1].
        sample_rate: Hz.
        metadata: MP4 tags: title, comment, ...

    Raises:
        OSError: the file cannot be written.
    """
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata.update(metadata)
        # CRF 18 is visually lossless on flat art; the default GOP of 250 would make seeking in 3 s clips useless
        options = {"crf": "18", "preset": "veryfast", "threads": "2"}
        video = container.add_stream("libx264", rate=fps, options=options)
        video.pix_fmt = "yuv420p"
        video.gop_size = fps
        audio = container.add_stream("aac", rate=sample_rate, layout="mono")
        audio.bit_rate = 96_000
        for index, picture in enumerate(frames):
            if index == 0:
                video.width, video.height = picture.size
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for start in range(0, len(samples), AAC_FRAME):
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[start : start + AAC_FRAME], dtype=np.float32)[None], "fltp", "mono"
            )
            block.sample_rate = sample_rate
            block.pts = start
            block.time_base = Fraction(1, sample_rate)
            container.mux(audio.encode(block))
        container.mux(audio.encode())
