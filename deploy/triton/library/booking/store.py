"""The file behind a model's books: mapped memory that outlives the process, whole at every instant.

A process may be killed between any two machine instructions, so every change that matters is one store of eight bytes:
a count, a slot's state, or the number that says which of two headers holds. The model's totals are therefore not kept
but added up: those of the header, plus those of all slots.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from pathlib import Path
from typing import Final, NamedTuple

SLOTS: Final = 4096
"""Requests that a model remembers."""
LOCK_SECONDS: Final = 30.0
"""How long the process of a model that is loaded again may wait for the one before it to end."""

FREE, RUNNING, ENDED = range(3)
"""States of a slot."""

_FORMAT: Final = 0x7A6E_6465_6D01
"""First word of a file of this form."""
_WORD: Final = 8
_HEADERS: Final = (8, 16)
"""First words of the two headers: requests, input tokens, output tokens, and the serial that they include."""
_CURRENT: Final = 1
"""Which header holds."""
_FIRST_SLOT: Final = 24
_SLOT_WORDS: Final = 8
_STATE, _SERIAL, _NAME, _COUNTS = 0, 1, 2, 4
"""Words of a slot: its state, its serial, two of the digest of its request's name, and three counts."""
_BYTES: Final = (_FIRST_SLOT + SLOTS * _SLOT_WORDS) * _WORD

Name = tuple[int, int]
"""A digest of a request's name, in two words."""


class StoreInUse(Exception):
    """Another process writes this file."""


class Counts(NamedTuple):
    """What was counted, of one request or of a model."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Store:
    """Slots of requests and the total of those that have been cleared away.

    Args:
        path: the file, made if it is not there; None keeps everything in memory, for as long as the process lives.

    Raises:
        StoreInUse: another process has the file and does not end.
    """

    def __init__(self, path: Path | None) -> None:
        self._memory = _map(path) if path else mmap.mmap(-1, _BYTES)
        self.words = memoryview(self._memory).cast("Q")
        """All words; whoever opened a slot writes its counts here."""
        if self.words[0] != _FORMAT:
            self.words[1:] = memoryview(bytes(_BYTES - _WORD)).cast("Q")
            self.words[0] = _FORMAT
        self._finish_clearing()
        self._serial = max(self.words[self._word(slot, _SERIAL)] for slot in range(SLOTS))

    @staticmethod
    def counts_at(slot: int) -> int:
        """Return the place of a slot's counts in `words`, in the order of `Counts`."""
        return Store._word(slot, _COUNTS)

    def open(self, slot: int, name: Name) -> None:
        """Begin a free slot."""
        self._serial += 1
        name_at = self._word(slot, _NAME)
        self.words[name_at], self.words[name_at + 1] = name
        self.words[self._word(slot, _SERIAL)] = self._serial
        self.words[self._word(slot, _STATE)] = RUNNING

    def end(self, slot: int) -> None:
        """Mark that nothing more will be counted in a slot."""
        self.words[self._word(slot, _STATE)] = ENDED

    def clear(self, slot: int) -> None:
        """Free a slot; its counts move to the total of those cleared away."""
        current = self.words[_CURRENT]
        serial = self.words[self._word(slot, _SERIAL)]
        header = _HEADERS[1 - current]
        for offset, count in enumerate((*self.cleared().plus(self.counts(slot)), serial)):
            self.words[header + offset] = count
        self.words[_CURRENT] = 1 - current  # from here on the slot's own counts are ignored
        self._finish_clearing(slot)

    def counts(self, slot: int) -> Counts:
        """Return what is counted in a slot."""
        at = self.counts_at(slot)
        return Counts(*self.words[at : at + 3])

    def cleared(self) -> Counts:
        """Return the total of the slots that were cleared away."""
        header = _HEADERS[self.words[_CURRENT]]
        return Counts(*self.words[header : header + 3])

    def state(self, slot: int) -> int:
        """Return FREE, RUNNING or ENDED."""
        return self.words[self._word(slot, _STATE)]

    def serial(self, slot: int) -> int:
        """Return a number that grows from request to request."""
        return self.words[self._word(slot, _SERIAL)]

    def name(self, slot: int) -> Name:
        """Return whose slot it is."""
        at = self._word(slot, _NAME)
        return self.words[at], self.words[at + 1]

    def close(self) -> None:
        """Let go of the file."""
        self.words.release()
        self._memory.close()

    def _finish_clearing(self, *slots: int) -> None:
        """Empty the slot that the header includes already, if a kill left it full."""
        serial = self.words[_HEADERS[self.words[_CURRENT]] + 3]
        for slot in slots or range(SLOTS):
            if serial and self.serial(slot) == serial:
                at = self.counts_at(slot)
                for word in range(at, at + 3):
                    self.words[word] = 0
                self.words[self._word(slot, _STATE)] = FREE

    @staticmethod
    def _word(slot: int, offset: int) -> int:
        return _FIRST_SLOT + slot * _SLOT_WORDS + offset


def _map(path: Path) -> mmap.mmap:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, path)
        os.ftruncate(descriptor, _BYTES)
        return mmap.mmap(descriptor, _BYTES)  # has a descriptor of its own, which keeps the lock
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise StoreInUse(
                    f"the books {path} are still written by another process after {LOCK_SECONDS:.0f} s: "
                    "end the Triton that has this model loaded, or set TANDEM_BOOKS to another folder"
                ) from None
            time.sleep(0.05)
        else:
            return
