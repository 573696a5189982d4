"""What a generated file says of itself: by what, with whose voice, when. `spinbot inspect` reads it."""

from __future__ import annotations

import json
import time

import spinbot
from spinbot.home import Home
from spinbot.jobs import Job, TalkSpec
from spinbot.manifests import read_look, read_voice

SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's term for what a trained model made; platforms label uploads by it."""


def provenance(home: Home, job: Job, spec: TalkSpec) -> str:
    """One line of JSON in ASCII, for the comment of an mp4, a wav or a png.

    The prompt is not in it: what somebody wanted is theirs to tell. (An mp4 has it as its title.)
    """
    facts: dict[str, object] = {
        "tool": f"spinbot {spinbot.__version__}",
        "digitalSourceType": SYNTHETIC,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "job": job.id,
        "seed": spec.seed,
    }
    if spec.output != "image":
        facts["voice"] = spec.voice or "starter"
        if spec.voice:
            voice = read_voice(home.voices / spec.voice)
            facts |= {"voiceSha256": voice.weights_sha256, "voiceConsent": voice.consent}
    if spec.output != "audio":
        facts["model"] = spec.model
        if spec.look:
            look = read_look(home.looks / spec.look)
            facts |= {"look": spec.look, "lookSha256": look.weights_sha256, "lookConsent": look.consent}
    return json.dumps(facts, separators=(",", ":"))
