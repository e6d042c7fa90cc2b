"""The scheduler: one thread that carries many requests, each at its own pace."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable

Step = Callable[[float], float | None]
"""Does what is due at a time (seconds, monotonic) and returns when to be called again, None when over."""


class Scheduler:
    """Calls steps when they are due, the one that waits longest first."""

    def __init__(self) -> None:
        self._arrived: deque[Step] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self._thread.start()

    def add(self, step: Step) -> None:
        """Call a step as soon as possible, and again whenever it asks for it."""
        self._arrived.append(step)
        self._wake.set()

    def stop(self) -> None:
        """End the thread after the step that is running; steps that still wait are dropped."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        waiting: list[tuple[float, int, Step]] = []
        arrived, order = self._arrived, 0
        while not self._stopping:
            now = time.monotonic()
            while arrived:
                order += 1
                heapq.heappush(waiting, (now, order, arrived.popleft()))
            if not waiting or waiting[0][0] > now:
                self._sleep(waiting[0][0] - now if waiting else None)
                continue
            step = waiting[0][2]
            again = step(now)
            if again is None:
                heapq.heappop(waiting)
            else:
                order += 1
                heapq.heapreplace(waiting, (max(again, now), order, step))

    def _sleep(self, seconds: float | None) -> None:
        self._wake.wait(seconds)
        self._wake.clear()
