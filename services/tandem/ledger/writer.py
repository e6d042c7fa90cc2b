"""A thread that writes entries in batches, so that no request waits for a database or fails with it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from itertools import islice
from typing import Any, Final

from tandem.ledger.entry import Entry
from tandem.ledger.rows import Rows, rows_of
from tandem.ledger.store import Store
from tandem.telemetry.logs import logger

QUEUE_ENTRIES: Final = 10_000
"""Most entries that wait for the database; beyond them the oldest are dropped."""
BATCH_ENTRIES: Final = 500
"""Most entries of one transaction."""
GATHER_SECONDS: Final = 0.1
"""Time that further entries have to join a batch: what a killed process loses."""
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 5.0
"""Pauses between tries while the database fails: from the first to the longest, doubling."""
CLOSE_SECONDS: Final = 10.0
"""Longest time that `close` tries to write what is left."""
COMPLAINT_SECONDS: Final = 60.0
"""Least time between two complaints in the log."""

_log = logger("ledger")


class LedgerWriter:
    """Keeps entries in a database, and in memory while the database fails.

    Args:
        store: where they go. The writer's thread alone uses it, and closes it.
        queue_entries: most entries that wait.
    """

    def __init__(self, store: Store, queue_entries: int = QUEUE_ENTRIES) -> None:
        self._store = store
        self._limit = queue_entries
        self._taken: deque[Entry] = deque()
        self._waiting: deque[Rows] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._pause = 0.0
        self._retry_at = 0.0
        self._complain_at = 0.0
        self._refused = 0  # counted by the threads that write
        self._lost = 0  # counted by the writer's thread
        self.written = 0
        """Entries that are in the database since the start."""
        self.errors = 0
        """Tries to write that the database refused since the start."""
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    @property
    def lag(self) -> int:
        """Entries that are not yet in the database."""
        return len(self._taken) + len(self._waiting)

    @property
    def dropped(self) -> int:
        """Entries that never will be."""
        return self._refused + self._lost

    def write(self, entry: Entry) -> None:
        """Take an entry; refuse it when so many wait that the thread cannot have looked at them for long."""
        if len(self._taken) >= self._limit or self._closing.is_set():
            self._refused += 1
            return
        self._taken.append(entry)
        if not self._wake.is_set():
            self._wake.set()

    async def close(self) -> None:
        """Write what has been taken, for at most CLOSE_SECONDS; what is left then is lost, and the log says so."""
        if self._closing.is_set():
            return
        self._give_up_at = time.monotonic() + CLOSE_SECONDS
        self._closing.set()
        self._wake.set()
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS + LONGEST_PAUSE_SECONDS)
        if self.lag or self.dropped:
            _log.error("entries lost", unwritten=self.lag, dropped=self.dropped)

    def _run(self) -> None:
        while not self._finished():
            self._wait()
            self._convert()
            if self._waiting and time.monotonic() >= self._retry_at:
                self._write_batch()
        self._store.close()

    def _finished(self) -> bool:
        return self._closing.is_set() and (not self.lag or time.monotonic() > self._give_up_at)

    def _wait(self) -> None:
        """Return when there is something to do: new entries, or the time of the next try."""
        if self._closing.is_set():
            time.sleep(FIRST_PAUSE_SECONDS if self._pause else 0.0)
            self._retry_at = 0.0
        elif not self._waiting or self._pause:
            self._wake.wait(max(0.0, self._retry_at - time.monotonic()) if self._waiting else None)
            self._wake.clear()
            self._closing.wait(GATHER_SECONDS)

    def _convert(self) -> None:
        """Turn what was taken into rows: they are small, and hold nothing of what was said."""
        while self._taken:
            if len(self._waiting) >= self._limit:
                self._waiting.popleft()
                self._lost += 1
            try:
                self._waiting.append(rows_of(self._taken[0]))
            except Exception as error:  # noqa: BLE001 - a request must not stop the books of all others
                self._lost += 1
                self._complain("an entry cannot be booked", error)
            # Last, so that `lag` never misses an entry.
            self._taken.popleft()

    def _write_batch(self) -> None:
        batch = list(islice(self._waiting, BATCH_ENTRIES))
        try:
            self._store.append(batch)
        except Exception as error:  # noqa: BLE001 - whatever the database has, requests go on
            self._fail(error)
            return
        for _ in batch:
            self._waiting.popleft()
        self.written += len(batch)
        self._succeed()

    def _fail(self, error: Exception) -> None:
        self.errors += 1
        self._store.close()
        self._pause = min(2 * self._pause or FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._retry_at = time.monotonic() + self._pause
        self._complain("the database takes no entries; they are kept and tried again", error)

    def _succeed(self) -> None:
        if self._pause:
            _log.info("the database takes entries again", waiting=self.lag, dropped=self.dropped)
        self._pause = self._retry_at = 0.0

    def _complain(self, what: str, error: Exception) -> None:
        if time.monotonic() < self._complain_at:
            return
        self._complain_at = time.monotonic() + COMPLAINT_SECONDS
        facts: dict[str, Any] = {"waiting": self.lag, "dropped": self.dropped}
        _log.error(what, error=str(error).splitlines()[0] if str(error) else type(error).__name__, **facts)
