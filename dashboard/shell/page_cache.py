"""Pages that were drawn before, and those likely to be asked for next, drawn while nobody waits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from dashboard.results.memo import Memo

_LOG = logging.getLogger(__name__)
Drawn = dict[str, Any]
Draw = Callable[[], Drawn]
#: Pages kept; a page is some 30 to 200 kB.
_MOST = 96
#: Seconds without a request after which pages are drawn ahead.
_PAUSE = 0.8


class PageCache:
    """Drawn pages by what they depend on; safe to use from several threads.

    A page that fails is not kept. What is drawn ahead follows the latest request: it stops when another comes. Who
    asks for a page that is being drawn waits for it.
    """

    def __init__(self, pause: float = _PAUSE) -> None:
        """Keep nothing yet; `pause` is in seconds."""
        self._pages: Memo[Drawn] = Memo(_MOST)
        self._wanted: dict[Hashable, Draw] = {}
        self._asked = threading.Condition()
        self._last = 0.0
        self._pause = pause
        self._worker: threading.Thread | None = None

    def get(self, key: Hashable, draw: Draw) -> Drawn:
        """Return the page for `key`, drawn now if it was not before."""
        with self._asked:
            self._last = time.monotonic()
            self._wanted = {}
        return self._pages.get(key, draw)

    def expect(self, wanted: Mapping[Hashable, Draw], *, at_once: bool = False) -> None:
        """Draw these pages, in their order, after a pause without another request, or `at_once`."""
        with self._asked:
            self._wanted = dict(wanted)
            self._last = time.monotonic() - (self._pause if at_once else 0.0)
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, daemon=True)
                self._worker.start()
            self._asked.notify()

    def __contains__(self, key: Hashable) -> bool:
        """Whether the page for `key` is there."""
        return key in self._pages

    def _work(self) -> None:
        while True:
            key, draw = self._next()
            try:
                self._pages.get(key, draw)
            except Exception:
                # Whoever asks for this page is told what is wrong with it.
                _LOG.debug("a page could not be drawn ahead", exc_info=True)

    def _next(self) -> tuple[Hashable, Draw]:
        """Wait for a page that is wanted, and for the pause since the last request."""
        with self._asked:
            while True:
                left = self._last + self._pause - time.monotonic()
                if not self._wanted:
                    self._asked.wait()
                elif left > 0:
                    self._asked.wait(left)
                else:
                    key = next(iter(self._wanted))
                    return key, self._wanted.pop(key)
