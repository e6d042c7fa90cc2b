"""Shares of what happened in the last minute, for those who scale by them and cannot compute rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tandem.clock import now

SLOT_SECONDS: Final = 5.0
SLOTS: Final = 12
"""Together a minute."""


class RecentShare:
    """The share of events of a kind among all, by name."""

    def __init__(self) -> None:
        self._slots: dict[int, dict[str, list[int]]] = {}

    def add(self, name: str, kind: bool) -> None:
        """Note an event, and whether it is of the kind."""
        place = int(now() / SLOT_SECONDS)
        slot = self._slots.get(place)
        if slot is None:
            slot = self._slots[place] = {}
            self._forget(place)
        seen = slot.get(name)
        if seen is None:
            seen = slot[name] = [0, 0]
        seen[0] += kind
        seen[1] += 1

    def shares(self) -> Mapping[tuple[str, ...], float]:
        """Return the shares, of names that had an event."""
        self._forget(int(now() / SLOT_SECONDS))
        slots = self._slots.values()
        found = {name for slot in slots for name in slot}
        return {
            (name,): sum(slot[name][0] for slot in slots if name in slot)
            / sum(slot[name][1] for slot in slots if name in slot)
            for name in sorted(found)
        }

    def _forget(self, place: int) -> None:
        for old in [slot for slot in self._slots if slot <= place - SLOTS]:
            del self._slots[old]
