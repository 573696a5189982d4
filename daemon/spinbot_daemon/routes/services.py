"""What the routes work with, handed in by a dependency: no globals, no connection at import."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from spinbot.settings import Settings
from spinbot.store import JobStore
from spinbot_daemon.catalogue import Catalogue
from spinbot_daemon.jobs import Jobs
from spinbot_daemon.stream import Hub
from spinbot_daemon.submissions import Submissions


@dataclass(frozen=True)
class Services:
    settings: Settings
    store: JobStore
    jobs: Jobs
    submissions: Submissions
    catalogue: Catalogue
    hub: Hub
    started: float = field(default_factory=time.monotonic)


def services(connection: HTTPConnection) -> Services:
    found: Services = connection.app.state.services
    return found


Use = Annotated[Services, Depends(services)]
