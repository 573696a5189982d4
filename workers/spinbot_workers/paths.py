"""Where the starter models are: the look as shipped, the voice as it is put together on first use."""

from __future__ import annotations

from pathlib import Path

from spinbot.home import Home

STARTER = Path(__file__).parent / "starter"
STARTER_LOOK = STARTER / "look"
STARTER_VOICE = STARTER / "voice"


def starter_voice(home: Home) -> Path:
    """The folder of the assembled starter voice; the first call makes it."""
    from spinbot_workers.voice.starter import assembled

    return assembled(home.models)
