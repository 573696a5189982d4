#!/bin/sh
# The verification list of MySpinBot, run against a fresh daemon of ours with curl and a WebSocket client. Prints five
# ticks. BIN is where spinbot and its python are; STEPS how long the training is.
set -eu
BIN=${BIN:-.venv/bin}
STEPS=${STEPS:-5}
SAMPLE=$(cd "$(dirname "$0")" && pwd)/sample.wav
SPINBOT_HOME=$(mktemp -d)
export SPINBOT_HOME
trap '"$BIN/spinbot" daemon stop > "$SPINBOT_HOME/stop.log" 2>&1; rm -rf "$SPINBOT_HOME"' EXIT

tick() { printf '✓ %s\n' "$1"; }
fail() { printf '✗ %s\n' "$1"; exit 1; }
ask() { curl -fsS -H "Authorization: Bearer $TOKEN" "$@"; }
field() { sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p"; }
counted() { ask "$URL/metrics" | awk -v name="$1" 'index($0, name) == 1 { sum += $NF } END { print sum + 0 }'; }

"$BIN/spinbot" daemon start > "$SPINBOT_HOME/start.log"
URL=$("$BIN/spinbot" daemon status --json | sed -n 's/.*"url": "\(.*\)",/\1/p')
TOKEN=$("$BIN/spinbot" token)
before=$(counted bullmq_jobs_total)

id=$(ask -d "{\"sample\": \"$SAMPLE\", \"steps\": $STEPS}" "$URL/api/train" | field jobId)
case $id in
    train-*) tick "POST /api/train answers with a job id: $id" ;;
    *) fail "POST /api/train answered ${id:-nothing}" ;;
esac

# Connected until the job is over.
"$BIN/python" - "$URL" "$TOKEN" "$id" "$SPINBOT_HOME/events" <<'PYTHON' &
import sys
from websockets.sync.client import connect

url, token, job, path = sys.argv[1:]
uri = f"{url.replace('http', 'ws', 1)}/ws?jobId={job}&after=0"
with connect(uri, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None) as socket, open(path, "w") as file:
    for message in socket:
        print(message, file=file, flush=True)
PYTHON
watcher=$!

seen=""
state=queued
while [ "$state" = queued ] || [ "$state" = active ]; do
    state=$(ask "$URL/api/status/$id" | field state)
    case $seen in *"$state") ;; *) seen="$seen $state" ;; esac
    if [ "$state" = active ] && [ "${live:-0}" = 0 ]; then live=$(counted websocket_clients_connected); fi
done
case $seen in
    *active\ completed) tick "GET /api/status/$id went$seen" ;;
    *) fail "GET /api/status/$id went$seen" ;;
esac

wait "$watcher"
if grep '"type":"progress"' "$SPINBOT_HOME/events" | grep '"progress":' | grep -q '"message":'; then
    tick "/ws?jobId=$id received $(grep -c '"type":"progress"' "$SPINBOT_HOME/events") progress messages"
else
    fail "/ws?jobId=$id received no progress"
fi

after=$(counted bullmq_jobs_total)
[ "$after" -gt "$before" ] || fail "bullmq_jobs_total did not rise from $before"
tick "bullmq_jobs_total rose from $before to $after"

[ "${live:-0}" -ge 1 ] || fail "no live WebSocket connection was shown"
tick "websocket_clients_connected showed $live"
