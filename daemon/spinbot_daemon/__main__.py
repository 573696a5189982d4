"""`python -m spinbot_daemon [--workers-only]`: the supervisor, in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from spinbot import logs
from spinbot.errors import BadInput, SpinbotError
from spinbot.settings import Settings, load_settings
from spinbot_daemon.child import rotating
from spinbot_daemon.supervisor import Supervisor


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m spinbot_daemon", description=__doc__)
    parser.add_argument("--workers-only", action="store_true", help="lend this machine's workers to REDIS_URL")
    arguments = parser.parse_args()
    os.umask(0o077)  # voices are people: nothing under the home is for other users
    try:
        settings = load_settings()
        if arguments.workers_only and settings.redis_url is None:
            raise BadInput("a machine with workers only needs a broker elsewhere", hint="set REDIS_URL=rediss://…")
        start_logging(settings)
        Supervisor(settings, workers_only=arguments.workers_only).run()
    except SpinbotError as error:
        logging.getLogger("spinbot_daemon").error("%s", error)
        print(f"error: {error}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code
    return 0


def start_logging(settings: Settings) -> None:
    """To `logs/daemon.log`, and to a terminal when there is one."""
    handlers: list[logging.Handler] = [rotating(settings.folders.logs / "daemon.log")]
    if sys.stderr.isatty():
        handlers.append(logging.StreamHandler())
    logs.start(settings.log_level, settings.log_format, handlers)


if __name__ == "__main__":
    sys.exit(main())
