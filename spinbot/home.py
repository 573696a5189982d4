"""Where things live on disk. Imports nothing heavy: the CLI reads this on every start."""

from __future__ import annotations

import os
from pathlib import Path


def home_folder() -> Path:
    """`$SPINBOT_HOME`, else the user's data folder of this platform."""
    if chosen := os.environ.get("SPINBOT_HOME"):
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path  # only where it is needed: 10 ms of import

    return user_data_path("spinbot", appauthor=False)


class Home:
    """The folders and files under `$SPINBOT_HOME`; the one place that spells their names."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or home_folder()

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def voices(self) -> Path:
        return self.root / "voices"

    @property
    def looks(self) -> Path:
        return self.root / "looks"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def broker(self) -> Path:
        return self.root / "broker"

    @property
    def run(self) -> Path:
        """Sockets; 0700."""
        return self.root / "run"

    @property
    def socket(self) -> Path:
        """The gateway's unix socket. sun_path holds 107 bytes: a long home is answered with a short link."""
        path = self.run / "daemon.sock"
        return path if len(os.fsencode(path)) < 100 else _short(self.run) / "daemon.sock"

    @property
    def broker_socket(self) -> Path:
        path = self.broker / "valkey.sock"
        return path if len(os.fsencode(path)) < 100 else _short(self.broker) / "valkey.sock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def leases(self) -> Path:
        return self.root / "leases"

    @property
    def daemon_file(self) -> Path:
        """Address, pid and version of the running daemon."""
        return self.root / "daemon.json"

    @property
    def daemon_lock(self) -> Path:
        """Held by the one supervisor of this home."""
        return self.root / "daemon.lock"

    @property
    def format_file(self) -> Path:
        """The form of the data: one number."""
        return self.root / "format"

    @property
    def token_file(self) -> Path:
        return self.root / "token"

    @property
    def webhook_secret_file(self) -> Path:
        return self.root / "webhook-secret"

    @property
    def config_file(self) -> Path:
        return self.root / "config.toml"

    def job(self, job_id: str) -> Path:
        return self.jobs / job_id


def _short(folder: Path) -> Path:
    """A short private folder for the sockets of a home whose own path is too long for them."""
    from hashlib import sha256

    digest = sha256(os.fsencode(folder)).hexdigest()[:12]
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # nosec B108
    return base / f"spinbot-{os.getuid()}-{digest}"
