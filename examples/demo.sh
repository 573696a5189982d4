#!/bin/sh
# A voice from examples/sample.wav, and a video in which it speaks. The last line on stdout is the video's path.
# SPINBOT_HOME is where everything goes, BIN where spinbot is installed, STEPS how long the voice is trained.
set -eu
spinbot="${BIN:-.venv/bin}/spinbot"
trap '"$spinbot" daemon stop >&2' EXIT
"$spinbot" train examples/sample.wav --name ada --steps "${STEPS:-150}" \
    --consent 'a synthetic speaker, free to use' >&2
"$spinbot" generate --voice ada --seed 7 --prompt 'a red robot says "good morning, the kettle is on"'
