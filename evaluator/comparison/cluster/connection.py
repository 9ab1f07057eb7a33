"""Start Ray on this machine, or connect to a running cluster."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

from evaluator.support.errors import RequestError, one_line
from evaluator.support.memory import free_memory
from evaluator.support.threads import usable_cores

LOCAL, CLIENT = "local", "ray://"
#: Seconds to wait for a server to answer.
_CONNECTING = 10.0
#: Set before Ray is imported: no statistics are sent, and a GPU that a task did not ask for stays visible.
_SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
_AUTHENTICATION = "RAY_AUTH_MODE"
#: Makes a local Ray listen on 127.0.0.1 only, on every system.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


def check_installed() -> None:
    """Check that Ray is installed.

    Raises:
        RequestError: it is not.
    """
    spec = importlib.util.find_spec("ray")
    if spec is None or spec.origin is None:  # without an origin it is just a folder of that name
        raise RequestError("--cluster needs Ray: pip install 'quantization-comparison[cluster]'")


def connected(address: str, threads: int) -> Any:
    """Start Ray on this machine, or connect to a cluster; return the module.

    Raises:
        RequestError: that failed.
    """
    check_installed()
    _check_reachable(address)
    os.environ.update(_SETTINGS)
    if address.startswith(CLIENT) and _has_token():
        os.environ.setdefault(_AUTHENTICATION, "token")  # as Ray does by itself for all other addresses
    logging.getLogger("ray").setLevel(logging.ERROR)
    options: dict[str, Any] = {"address": address}
    if address == LOCAL:
        os.environ.update(_LOOPBACK)
        options |= {
            "num_cpus": max(threads, usable_cores()),
            "_memory": free_memory(),
            "include_dashboard": False,
        }
    import ray

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with warnings.catch_warnings(action="ignore"):
            ray.init(**options, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # of many kinds: no such address, other versions, a port that is taken
        raise RequestError(f"--cluster {address}: cannot connect: {one_line(str(error))}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)  # Ray installs its own
    return ray


def _check_reachable(address: str) -> None:
    """Check that a server listens at the address, because Ray waits minutes for one that does not.

    Raises:
        RequestError: none does.
    """
    place = None if address == LOCAL else _running_cluster() if address == "auto" else address
    if place is None:
        return
    host, _, port = place.removeprefix(CLIENT).rstrip("/").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECTING).close()
    except (OSError, ValueError) as error:
        raise RequestError(
            f"--cluster {address}: nothing answers at {place} ({error}); start one there with ray start --head, or "
            "correct the address"
        ) from error


def _running_cluster() -> str | None:
    """Return the address of the cluster that `auto` means; None if only Ray can tell."""
    if named := os.environ.get("RAY_ADDRESS"):
        return named if ":" in named else None
    folder = os.environ.get("RAY_TMPDIR") or ("/tmp" if os.name == "posix" else tempfile.gettempdir())  # noqa: S108
    note = Path(folder) / "ray" / "ray_current_cluster"
    return note.read_text(encoding="utf-8").strip() if note.is_file() else None


def _has_token() -> bool:
    """Return whether this machine has a token for clusters that ask for one."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else Path.home() / ".ray" / "auth_token"
    return "RAY_AUTH_TOKEN" in os.environ or path.is_file()
