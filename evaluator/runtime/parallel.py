"""Distribute work over devices: each takes the next item when it has finished its last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from queue import SimpleQueue
from typing import TypeVar

from evaluator.runtime.device import Device

ItemT = TypeVar("ItemT")


def on_devices(
    devices: Sequence[Device], items: Sequence[ItemT], work: Callable[[ItemT, Device], None]
) -> None:
    """Call `work` for every item with a device that no other item is using.

    With one device, items are processed in order in the caller's thread. With several, each device has a thread; if
    `work` raises, no further items are started, and the exception is raised here when the running ones are done.
    """
    if len(devices) == 1:
        for item in items:
            work(item, devices[0])
        return
    free: SimpleQueue[Device] = SimpleQueue()
    for device in devices:
        free.put(device)

    failed = threading.Event()

    def take(item: ItemT) -> None:
        device = free.get()
        try:
            if not failed.is_set():
                work(item, device)
        except BaseException:
            failed.set()
            raise
        finally:
            free.put(device)

    pool = ThreadPoolExecutor(len(devices))
    try:
        done, _ = wait([pool.submit(take, item) for item in items], return_when=FIRST_EXCEPTION)
    finally:
        pool.shutdown(cancel_futures=True)
    for future in done:
        future.result()
