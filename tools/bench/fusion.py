"""How much better several answers are than the best one, on recorded answers of real models.

With one folder, weights are learned on half of the questions (near-duplicates together) and measured on the other, over
several halvings; with two, learned on the first and measured on the second. Every figure comes from the fusion core
that serves requests. What the figures mean: docs/fusion.md. Figures go to standard output, all else to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from fusion_bench import plots
from fusion_bench.frontier import Frontier, frontier, frontier_row
from fusion_bench.row import Row, table
from fusion_bench.served import Told, panel_names, splits, told
from fusion_bench.speed import speed_rows
from fusion_bench.voting import calibration_row, panel_row, two_rows, two_voices, unseen_row
from recorded_data import DATA
from tandem.training.fusion.recordings import DataMissing, Recording, load_recordings
from tandem.training.fusion.train import LEAST_QUESTIONS

ONCE: Final = ("top 3", "top 5", "all")
"""Panels that are measured in fields never seen, and for calibration."""


class Options(argparse.Namespace):
    """The command line."""

    train: Path
    test: Path | None
    halvings: int
    json: bool
    plots: Path | None


def arguments(words: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--train",
        type=Path,
        default=DATA,
        help="folder of recorded answers (default: TANDEM_DATA, else ../shared/data beside this checkout)",
    )
    parser.add_argument("--test", type=Path, help="folder to measure on; without one: the other halves")
    parser.add_argument("--halvings", type=int, default=6, metavar="N", help="halvings, without --test (6)")
    parser.add_argument("--json", action="store_true", help="print one object in place of the table")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write pictures into this folder")
    return parser.parse_args(words, Options())


class Bench:
    """All rows, one after the other."""

    def __init__(self, train: Sequence[Recording], test: Sequence[Recording] | None, halvings: int) -> None:
        measure = {recording.name: recording for recording in test or ()}
        self._train = [
            recording
            for recording in train
            if len(recording) >= 2 * LEAST_QUESTIONS and (test is None or recording.name in measure)
        ]
        self._splits = {
            recording.name: splits(recording, measure.get(recording.name), halvings)
            for recording in self._train
        }
        self.told: dict[str, list[Told]] = {}
        self.frontiers: dict[str, Frontier] = {}

    def rows(self) -> Iterator[Row]:
        """Give every row as soon as it is measured."""
        for recording in self._train:
            yield from self._set(recording)
        yield from two_rows({name: two_voices(found) for name, found in self._splits.items()})
        for name, found in self.told.items():
            if name.endswith(ONCE):
                yield calibration_row(name, found)
        for recording in self._train:
            yield from filter(None, (unseen_row(recording, panel) for panel in ONCE))
        for name, halves in self._splits.items():
            self.frontiers[name] = frontier(halves)
            yield frontier_row(name, self.frontiers[name])
        yield from speed_rows()

    def _set(self, recording: Recording) -> Iterator[Row]:
        for panel in panel_names(self._splits[recording.name][0].learn):
            name = f"{recording.name}, {panel}"
            self.told[name] = [told(split, panel) for split in self._splits[recording.name]]
            yield panel_row(name, self.told[name])


def main(words: Sequence[str] | None = None) -> int:
    """Run the bench; return the exit status: 2 if a folder holds no recorded answers."""
    options = arguments(words)
    try:
        train = load_recordings(options.train)
        test = load_recordings(options.test) if options.test else None
    except DataMissing as missing:
        print(missing, file=sys.stderr)
        return 2
    bench, rows = Bench(train, test, options.halvings), []
    for row in bench.rows():
        rows.append(row)
        print(f"{row.name}: {row.value:.4f}", file=sys.stderr, flush=True)
    if options.plots:
        plots.draw(options.plots, bench.told, bench.frontiers)
    print(json.dumps({"rows": [row.as_object() for row in rows]}) if options.json else table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
