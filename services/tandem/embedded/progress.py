"""How long steps tell the user what they do: a bar on a terminal, a line at start and end elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

Report = Callable[[int], None]
"""Takes the bytes done so far."""


class Progress(Protocol):
    """Shows long steps to the user."""

    def step(self, title: str, total_bytes: int | None = None) -> AbstractContextManager[Report]:
        """Show a step while the context is open. Without a total only the bytes done are shown."""


class LineProgress:
    """One line when a step starts and one when it ends, for logs and pipes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @contextmanager
    def step(self, title: str, total_bytes: int | None = None) -> Iterator[Report]:
        """Write the title, and at the end how long it took."""
        size = f" ({total_bytes / 1e6:.0f} MB)" if total_bytes else ""
        print(f"{title}{size} ...", file=self._stream, flush=True)
        started = time.monotonic()
        yield lambda done_bytes: None
        print(f"{title}: done in {time.monotonic() - started:.1f} s", file=self._stream, flush=True)


class _Bytes(DownloadColumn):
    """Bytes done, and nothing for a step that does not count any."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total or task.completed else Text()


class BarProgress:
    """A bar with bytes and time on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, title: str, total_bytes: int | None = None) -> Iterator[Report]:
        """Show a bar; a pulsing one if the total is not known."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            _Bytes(),
            TimeElapsedColumn(),
        )
        with Bars(*columns, console=self._console) as bars:
            task = bars.add_task(title, total=total_bytes)
            yield lambda done_bytes: bars.update(task, completed=done_bytes)
            bars.update(task, completed=total_bytes or bars.tasks[task].completed)


def progress_on(stream: TextIO = sys.stderr) -> Progress:
    """Return what suits the stream: bars on a terminal, lines elsewhere."""
    return BarProgress(Console(file=stream)) if stream.isatty() else LineProgress(stream)
