"""Act on this machine for the person at it: open results folders, run the evaluator."""

from __future__ import annotations


class LocalError(Exception):
    """A request that is refused; the message is one line for the user, `status` the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
