"""Books: one entry for each request of a model, and the model's totals."""

from __future__ import annotations

import enum
import hashlib
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from .store import FREE, SLOTS, Counts, Name, Store

_INPUT, _OUTPUT = 1, 2
"""Places of the counts behind that of requests."""
BOOKS_FULL: Final = (
    f"{SLOTS} requests are under way in this model; exceeds maximum queue size, try again later"
)


class Unsettled(enum.Enum):
    """Why there is no receipt."""

    UNKNOWN = enum.auto()
    RUNNING = enum.auto()


class Entry:
    """One request's line in the books; whoever answers the request writes it, one thread at a time."""

    __slots__ = ("_at", "_books", "_input", "_is_cancelled", "_output", "_phase", "_slot", "_words")

    def __init__(self, books: Books, slot: int, is_cancelled: Callable[[], bool]) -> None:
        self._books = books
        self._slot = slot
        self._words = books.store.words
        self._at = books.store.counts_at(slot)
        self._is_cancelled = is_cancelled
        self._phase = _WAITING
        self._input = 0
        self._output = 0

    @property
    def counts(self) -> Counts:
        """What has been counted so far."""
        return Counts(int(self._phase == _BEGUN), self._input, self._output)

    def begin(self) -> bool:
        """Count the request; False if it was withdrawn while it waited, and must not begin."""
        with self._books.lock:
            if self._phase != _WAITING:
                return False
            self._phase = _BEGUN
            self._words[self._at] = 1
            return True

    def withdrawn(self) -> bool:
        """Withdraw the request if its client left before it began; return whether it is so."""
        if self._phase == _WAITING and self._is_cancelled():
            with self._books.lock:
                if self._phase == _WAITING:
                    self._phase = _WITHDRAWN
        return self._phase == _WITHDRAWN

    def add_input(self, tokens: int) -> None:
        """Count tokens of the prompt."""
        self._input += tokens
        self._words[self._at + _INPUT] = self._input

    def add_output(self, tokens: int) -> None:
        """Count tokens that were made."""
        self._output += tokens
        self._words[self._at + _OUTPUT] = self._output

    def end(self) -> None:
        """Close the entry: nothing more will be counted."""
        self._books.close_entry(self._slot, self.counts)


_WAITING, _BEGUN, _WITHDRAWN = range(3)


class Books:
    """The entries of one model, the newest thousands of them also after they have ended."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lock = threading.Lock()
        self._running: dict[int, Entry] = {}
        self._slots: dict[Name, int] = {}
        used = sorted(
            (slot for slot in range(SLOTS) if store.state(slot) != FREE),
            key=store.serial,
        )
        # What the process before this one had under way ended with it.
        for slot in used:
            store.end(slot)
            self._slots[store.name(slot)] = slot
        self._ended = deque(used)
        self._free = sorted(set(range(SLOTS)) - set(used), reverse=True)
        self._past = store.cleared()
        for slot in used:
            self._past = self._past.plus(store.counts(slot))

    def open(self, request: str, is_cancelled: Callable[[], bool]) -> Entry | None:
        """Begin the entry of a request that has arrived; None if there is no room, so that it must be refused."""
        name = _digest(request)
        with self.lock:
            slot = self._vacate()
            if slot is None:
                return None
            self.store.open(slot, name)
            self._slots[name] = slot
            entry = self._running[slot] = Entry(self, slot, is_cancelled)
        return entry

    def receipt(self, request: str) -> Counts | Unsettled:
        """Return what a request took in the end."""
        name = _digest(request)
        with self.lock:
            slot = self._slots.get(name)
            entry = None if slot is None else self._running.get(slot)
            if slot is None:
                return Unsettled.UNKNOWN
            if entry is None:
                return self.store.counts(slot)
        return Counts() if entry.withdrawn() else Unsettled.RUNNING

    def totals(self) -> Counts:
        """Return what the model has made since its books were begun."""
        with self.lock:
            totals = self._past
            for entry in self._running.values():
                totals = totals.plus(entry.counts)
        return totals

    def close_entry(self, slot: int, counts: Counts) -> None:
        """Note that a slot's request has ended; `Entry.end` calls this."""
        with self.lock:
            if self._running.pop(slot, None) is None:
                return
            self.store.end(slot)
            self._ended.append(slot)
            self._past = self._past.plus(counts)

    def _vacate(self) -> int | None:
        """Return a free slot: a new one, or that of the request that ended first."""
        if self._free:
            return self._free.pop()
        if not self._ended:
            return None
        slot = self._ended.popleft()
        name = self.store.name(slot)
        if self._slots.get(name) == slot:
            del self._slots[name]
        self.store.clear(slot)
        return slot


def _digest(request: str) -> Name:
    first, second = struct.unpack("<QQ", hashlib.blake2b(request.encode(), digest_size=16).digest())
    return first, second
