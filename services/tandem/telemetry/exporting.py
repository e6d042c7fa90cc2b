"""Hands spans to an exporter, away from the requests: a collector that is dead or slow costs nothing but spans."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from tandem.telemetry.logs import logger
from tandem.telemetry.spans import SpanMaker

MOST_WAITING: Final = 2048
"""Most calls whose spans wait to be made."""
MOST_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Most memory that they may hold, about."""
SPANS_AT_A_TIME: Final = 512
"""Spans after which an export begins."""
BYTES_AT_A_TIME: Final = 2 * 1024 * 1024
"""Most bytes of one export, unless a single span has more: of more than 4 MiB a collector takes nothing."""
CALLS_AT_A_TIME: Final = 8
"""Calls whose spans are made before the interpreter is offered to others: about a quarter of a millisecond.

Else the requests, which want it too, would wait for it up to five. Offering it is a call of the system.
"""
CLOSE_SECONDS: Final = 5.0
"""How long the last spans may take when the process ends."""

_log = logger("tracing")


class Told(Protocol):
    """Something that has ended, of which spans can be made."""

    @property
    def count(self) -> int:
        """How many spans it has."""

    @property
    def size(self) -> int:
        """About how many bytes of memory it holds."""

    def spans(self) -> list[bytes]:
        """Make its spans."""


class Exporter(Protocol):
    """Takes spans away. Called from one thread, and may take its time."""

    def export(self, request: bytes) -> bool:
        """Send the bytes of an `ExportTraceServiceRequest`; return whether they were taken."""

    def shutdown(self) -> None:
        """Stop, also what is under way."""


class Exporting:
    """A bounded queue, and the thread that makes spans of what is in it and exports them.

    Args:
        exporter: where the spans go.
        maker: makes the spans.
        longest_wait: seconds that a span waits for others to go with it.
    """

    def __init__(self, exporter: Exporter, maker: SpanMaker, longest_wait: float) -> None:
        self._exporter = exporter
        self._maker = maker
        self._longest_wait = longest_wait
        self._queue: deque[Told] = deque()
        # Each of these numbers is written by one thread alone, so that no lock is needed.
        self._spans_in = self._bytes_in = self._refused = 0
        self._spans_out = self._bytes_out = self._lost = 0
        self._wake = threading.Event()
        self._closing = False
        self.exported = 0
        """Spans that the collector took."""
        self._thread = threading.Thread(target=self._run, name="tandem-tracing", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Spans that it did not get: the queue was full, or it did not take them."""
        return self._refused + self._lost

    def put(self, told: Told) -> None:
        """Have spans made and exported; drop them if too much waits already. Never waits; from one thread alone."""
        count, held = told.count, self._bytes_in - self._bytes_out + told.size
        if len(self._queue) >= MOST_WAITING or held > MOST_WAITING_BYTES or self._closing:
            self._refused += count
            return
        self._queue.append(told)
        self._bytes_in += told.size
        self._spans_in += count
        if self._spans_in - self._spans_out >= SPANS_AT_A_TIME and not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Export what waits, as far as it goes in a few seconds."""
        self._closing = True
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)
        self._exporter.shutdown()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._closing:
            enough = self._wake.wait(self._longest_wait)
            self._wake.clear()
            self._drain(SPANS_AT_A_TIME if enough else 1)
        self._drain(1)

    def _drain(self, least: int) -> None:
        """Export batches while at least so many spans wait."""
        self._maker.set_clock()
        while self._spans_in - self._spans_out >= least:
            for part in _parts(*self._batch()):
                self._export(part)

    def _batch(self) -> tuple[list[bytes], int]:
        """Return spans, and the bytes that they have together."""
        batch: list[bytes] = []
        calls = size = 0
        while self._queue and len(batch) < SPANS_AT_A_TIME and size < BYTES_AT_A_TIME:
            told = self._queue.popleft()
            made = self._made(told)
            batch += made
            size += sum(map(len, made))
            self._spans_out += told.count
            self._bytes_out += told.size
            calls += 1
            if calls % CALLS_AT_A_TIME == 0:
                time.sleep(0)
        return batch, size

    def _made(self, told: Told) -> Sequence[bytes]:
        try:
            return told.spans()
        except Exception:  # noqa: BLE001 - a defect here must not end the thread
            _log.exception("no spans could be made of a request")
            self._lost += told.count
            return ()

    def _export(self, batch: Sequence[bytes]) -> None:
        try:
            taken = self._exporter.export(self._maker.request(batch))
        except Exception:  # noqa: BLE001 - nor one of an exporter
            _log.exception("the exporter of spans failed")
            taken = False
        if taken:
            self.exported += len(batch)
            return
        self._lost += len(batch)
        _log.warning(
            "the collector did not take spans; they are dropped", spans=len(batch), dropped=self.dropped
        )


def _parts(batch: Sequence[bytes], all_bytes: int) -> Iterator[Sequence[bytes]]:
    """Yield spans by as many as go at once: nearly always all of them."""
    if batch and all_bytes <= BYTES_AT_A_TIME:
        yield batch
        return
    part: list[bytes] = []
    size = 0
    for span in batch:
        if part and size + len(span) > BYTES_AT_A_TIME:
            yield part
            part, size = [], 0
        part.append(span)
        size += len(span)
    if part:
        yield part
