"""Takes all free memory of a GPU on command, as another program on the same card would; run by `neighbour.Neighbour`.

Reads commands from standard input, a line each, and answers each with a JSON line once it is done: `look`, `take`
(then it goes on taking whatever becomes free), `free`. Ends at the end of its input.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import torch

MIB: Final = 1 << 20
PORTIONS: Final = (1024 * MIB, 128 * MIB, 20 * MIB, MIB)
"""Sizes to take, each as long as there is room: the last makes torch ask the card for 2 MiB."""
PAUSE_SECONDS: Final = 0.01


class Taker:
    """Holds memory of the first GPU, by plain cudaMalloc."""

    def __init__(self) -> None:
        self._held: list[Any] = []
        self._taking = threading.Event()
        self._round = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def take(self) -> None:
        """Take what is free; returns when there was no more. Goes on until `free`."""
        with self._round:
            self._taking.set()
            self._round.wait()

    def free(self) -> None:
        """Give everything back."""
        self._taking.clear()
        with self._round:
            self._held.clear()
            torch.cuda.empty_cache()

    def report(self) -> dict[str, int]:
        """Return what is held and what the card has, in bytes."""
        free, total = torch.cuda.mem_get_info()
        return {"held": sum(each.numel() for each in self._held), "free": free, "total": total}

    def _run(self) -> None:
        while True:
            self._taking.wait()
            with self._round:
                if self._taking.is_set():
                    self._fill()
                self._round.notify_all()
            time.sleep(PAUSE_SECONDS)

    def _fill(self) -> None:
        for size in PORTIONS:
            while True:
                try:
                    self._held.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
                except torch.OutOfMemoryError:
                    break


def main() -> None:
    """Obey until the input ends."""
    torch.cuda.init()
    taker = Taker()
    commands: dict[str, Callable[[], None]] = {"take": taker.take, "free": taker.free, "look": lambda: None}
    for line in sys.stdin:
        commands[line.strip()]()
        sys.stdout.write(json.dumps(taker.report()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
