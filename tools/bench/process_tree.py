"""CPU time and memory of a process and everything that it started."""

from __future__ import annotations

import psutil


class ProcessTree:
    """The processes that there are now: later ones are not seen.

    Args:
        pid: the process at the root.
    """

    def __init__(self, pid: int) -> None:
        root = psutil.Process(pid)
        self._processes = [root, *root.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Return what all have used so far, in user and in kernel mode."""
        times = [process.cpu_times() for process in self._processes]
        return sum(each.user + each.system for each in times)

    def rss_mb(self) -> float:
        """Return the resident memory of all, in 10⁶ bytes; pages that they share count for each."""
        return sum(process.memory_info().rss for process in self._processes) / 1e6
