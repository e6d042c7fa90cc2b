"""How the story of a request looks on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tandem.cli.report import usd
from tandem.cli.trace_story import Bar, Phase, Record, Story, milliseconds, story_of

PIPE_WIDTH: Final = 120
"""Columns where no terminal says how many there are."""
LEAST_BAR: Final = 20
SHORT: Final = 0.25
"""A request that took less than this part of its deadline is drawn over the time that it took."""
MARKS: Final = {"queued": "·", "first_token": "░", "writing": "█"}
COLOURS: Final = {"queued": "yellow", "first_token": "cyan", "writing": "green"}
ALLOWED: Final = "┊"
SEAM: Final = "╱"


def show_story(request: Record) -> None:
    """Print the story of a request."""
    console, story = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH), story_of(request)
    console.print(_facts(request, story))
    if story.bars:
        console.print(_timeline(request, story, console.width))
    console.print(_events(story))
    for line in story.not_as_planned:
        console.print(Text.assemble(("not as planned: ", "yellow"), line))
    console.print()


def _facts(request: Record, story: Story) -> Table:
    facts = Table.grid(padding=(0, 2))
    tokens = f"{request['input_tokens']} tokens in, {request['output_tokens']} out, {usd(request['cost_nano_usd'])}"
    rows = (
        ("request", request["request_id"]),
        ("at", f"{request['started_at'][:23].replace('T', ' ')} UTC"),
        ("trace", request["trace_id"]),
        ("taken for", story.taken_for or "nothing is known"),
        ("why", story.why),
        ("policy", request["policy_revision"]),
        ("took", tokens),
    )
    for name, value in rows:
        if value:
            facts.add_row(Text(name, style="dim"), Text(value))
    return facts


def _timeline(request: Record, story: Story, columns: int) -> Table:
    deadline = request["deadline_ms"]
    last = max(request["duration_ms"], *(phase.to_ms for bar in story.bars for phase in bar.phases))
    end = deadline if last >= SHORT * deadline else last
    end = max(end, last, 1.0)
    names = [f"{bar.position} {bar.name}" for bar in story.bars]
    width = max(LEAST_BAR, columns - max(map(len, names)) - 4)
    table = Table.grid(padding=(0, 2))
    table.add_row("", _axis(end, deadline, width))
    for name, bar in zip(names, story.bars, strict=True):
        table.add_row(Text(name), _drawn(bar, end, width))
    legend = [f"{mark} {what.replace('_', ' ')}" for what, mark in MARKS.items()]
    table.add_row("", Text("   ".join([*legend, f"{SEAM} seam", f"{ALLOWED} allowed until"]), style="dim"))
    return table


def _axis(end: float, deadline: float, width: int) -> Text:
    right = f"deadline {milliseconds(deadline)}"
    if end < deadline:
        right = f"{milliseconds(end)} … {right}"
    elif end > deadline:
        right = f"{milliseconds(end)}, {right} had passed"
    return Text(f"0{right:>{max(1, width - 1)}}", style="dim")


def _drawn(bar: Bar, end: float, width: int) -> Text:
    """Return the bar; what took any time has a mark of its own, as long as there is room."""
    cells: list[tuple[str, str]] = [(" ", "")] * width
    for phase in bar.phases:
        first, last = _cells(phase, end, width)
        colour = COLOURS[phase.what] if bar.answered or phase.what != "writing" else "red"
        cells[first:last] = [(MARKS[phase.what], colour)] * (last - first)
    first, _ = _cells(bar.phases[0], end, width) if bar.phases else (0, 0)
    if bar.seam and first > 0:
        cells[first - 1] = (SEAM, "magenta")
    allowed = int(bar.allowed_until_ms / end * width)
    if allowed < width and cells[allowed] == (" ", ""):
        cells[allowed] = (ALLOWED, "dim")
    return Text.assemble(*cells)


def _cells(phase: Phase, end: float, width: int) -> tuple[int, int]:
    first = min(width - 1, max(0, round(phase.from_ms / end * width)))
    return first, min(width, max(first + 1, round(phase.to_ms / end * width)))


def _events(story: Story) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    for event in story.events:
        style = "bold" if event.what == "finished" else ""
        table.add_row(Text(milliseconds(event.at_ms), style="dim"), Text(event.text, style=style))
    return table


def story_record(request: Record) -> dict[str, Any]:
    """Return a request and its story for a script."""
    story = story_of(request)
    return {
        **request,
        "story": {
            "taken_for": story.taken_for,
            "why": story.why,
            "events": [
                {"at_ms": event.at_ms, "what": event.what, "text": event.text} for event in story.events
            ],
            "timeline": [_bar_record(bar) for bar in story.bars],
            "not_as_planned": list(story.not_as_planned),
            "left_ms": story.left_ms,
        },
    }


def _bar_record(bar: Bar) -> dict[str, Any]:
    return {
        "attempt": bar.position,
        "phases": _phase_records(bar.phases),
        "allowed_until_ms": bar.allowed_until_ms,
    }


def _phase_records(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    return [{"what": phase.what, "from_ms": phase.from_ms, "to_ms": phase.to_ms} for phase in phases]
