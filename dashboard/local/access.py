"""Who may act on this machine: a browser that was given this start's key, from the dashboard's own page.

A page of another site can make a browser send requests here, and can point its own host name at this machine. So each
request needs the key, which only the terminal and the page that the dashboard itself opens get, the page's own
origin, and one of this machine's names. The key also keeps out other users of this machine, who can reach the port.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import threading
import time
from urllib.parse import urlsplit

from flask import Request

from dashboard.export.uploads import UploadError, require_same_origin
from dashboard.local import LocalError

#: Names of this machine under which the server answers, without ports.
NAMES = ("127.0.0.1", "localhost", "::1")
KEY_HEADER = "X-Dashboard-Key"
#: Part of an address after `#`, which browsers do not send.
KEY_PART, TICKET_PART = "key=", "ticket="
_TICKET_SECONDS = 120
_MOST_JSON = 200_000


class Access:
    """The key of this start, and a ticket that can be exchanged for it once."""

    def __init__(self) -> None:
        self.key = secrets.token_urlsafe(32)
        self._ticket = ""
        self._until = 0.0
        self._lock = threading.Lock()

    def new_ticket(self) -> str:
        """Return a ticket for the browser that is opened: all users of a machine see a program's arguments."""
        with self._lock:
            self._ticket = secrets.token_urlsafe(32)
            self._until = time.monotonic() + _TICKET_SECONDS
            return self._ticket

    def redeem(self, ticket: object) -> str:
        """Return the key for a ticket; each is good once, for two minutes.

        Raises:
            LocalError: it is not the ticket, or no longer.

        """
        with self._lock:
            good = bool(self._ticket) and _same(ticket, self._ticket) and time.monotonic() < self._until
            if good:
                self._ticket = ""
        if not good:
            raise LocalError("this link was used before; open the one that the terminal shows", 403)
        return self.key

    def check_page(self, request: Request) -> None:
        """Check that a request comes from the dashboard's own page in a browser on this machine.

        Raises:
            LocalError: it does not.

        """
        if not _is_here(request):
            raise LocalError("only this machine may send this request", 403)
        try:
            require_same_origin(request)
        except UploadError as error:
            raise LocalError(str(error), error.status) from error

    def check_key(self, request: Request) -> None:
        """Check that the page has this start's key.

        Raises:
            LocalError: it has none, or that of an earlier start.

        """
        if not _same(request.headers.get(KEY_HEADER), self.key):
            raise LocalError("this page has no key; open the link that the terminal shows", 401)


def json_of(request: Request) -> dict[str, object]:
    """Return the JSON object that a request holds; a form of another site cannot send this type.

    Raises:
        LocalError: it holds something else, or too much.

    """
    if request.mimetype != "application/json":
        raise LocalError("only JSON is accepted", 415)
    request.max_content_length = _MOST_JSON
    given = request.get_json(silent=True)
    if not isinstance(given, dict):
        raise LocalError("the request is not a JSON object")
    return given


def _is_here(request: Request) -> bool:
    try:
        name = urlsplit(f"//{request.host}").hostname
        sender = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return False
    return name in NAMES and sender.is_loopback


def _same(given: object, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
