"""How well Tandem routes: the published protocol and the exact curve, on recorded answers of real models.

With one folder, five-fold cross-validation; with two, learning from the first and measuring on the second (the same
file names; what a folder lacks is said and left out). Beside the router stand chance, the nearest neighbours on
the same features, always R1, always Pro and the oracle. What the figures mean: docs/routing.md.

The figures go to standard output, everything else to standard error. Exit status: 0 measured, 1 with --gate: something
got worse, 2 a folder, the artifact or the file of --gate cannot be used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

from recorded_data import DATA
from routing_bench import gains, gate, plots, signals, speed, turns
from routing_bench.asker_rows import asker_rows
from routing_bench.contenders import Measured
from routing_bench.corpus import Corpus, RowMissing, read
from routing_bench.held_share import held_share
from routing_bench.label_rows import Answer, draw_confusion, label_rows, learned_elsewhere, left_out
from routing_bench.nested import Nested
from routing_bench.report import nested_table, table
from routing_bench.row import Row
from routing_bench.shipped import shipped
from routing_bench.slices import slices
from routing_bench.translated import pairs, translated
from tandem.classifier.artifact import load_artifact
from tandem.classifier.encoder import Encoder, EncoderUnusable, named_encoder
from tandem.classifier.errors import ArtifactUnusable
from tandem.classifier.settings import DEFAULT_ARTIFACT
from tandem.training.classifier.data import DataMissing
from tandem.training.classifier.vectors import KeptVectors, default_folder

CROSSED: Final = ("mmlu", "gsm8k", "lexeval", "mmlupro", "zeroeval", "llmrouter")
IN_DOMAIN: Final = 0.03


def say(text: str) -> None:
    """Tell people what happens."""
    print(text, file=sys.stderr, flush=True)


class Options(argparse.Namespace):
    """The command line."""

    train: Path
    test: Path | None
    artifact: Path
    gate: Path | None
    encoder: str | None
    sample: int | None
    nested: bool
    json: bool
    plots: Path | None
    quick: bool


def _count(word: str) -> int:
    count = int(word)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


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
    parser.add_argument("--test", type=Path, help="folder to measure on; without one: cross-validation")
    parser.add_argument(
        "--artifact",
        type=Path,
        default=DEFAULT_ARTIFACT,
        help="artifact that is timed (default: the shipped one)",
    )
    parser.add_argument(
        "--gate",
        type=Path,
        metavar="FILE",
        help="fail if a row is worse than in this file of an earlier --json",
    )
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="measure with a sentence encoder too, such as minilm; those rows end in its name",
    )
    parser.add_argument(
        "--sample", type=_count, metavar="N", help="only so many questions of each table, drawn"
    )
    parser.add_argument(
        "--nested",
        action="store_true",
        help="measure only this: hyper-parameters chosen without what is measured on, beside the fixed ones",
    )
    parser.add_argument("--json", action="store_true", help="print one object in place of the table")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write pictures into this folder")
    parser.add_argument("--quick", action="store_true", help="fewer draws, no label efficiency")
    return parser.parse_args(words, Options())


class Bench:
    """All rows, one after the other; a row whose data are not there is said and left out."""

    def __init__(self, corpus: Corpus, options: Options) -> None:
        self._corpus = corpus
        self._artifact = options.artifact
        self._folders = (options.train, options.test)
        self._rows = gains.Rows(corpus)

    def rows(self) -> Iterator[Row]:
        """Give every row as soon as it is measured."""
        train, test = self._folders
        yield from self.learned()
        yield from self._try("slices", lambda: slices(self._corpus, self.crossed()))
        folds = signals.first_folds(self._corpus)
        yield from self._try("route flips", lambda: signals.flips(folds))
        yield from self._try("turns", lambda: turns.turns(folds))
        yield from self._try("turns of MT-Bench", lambda: turns.judged_turns(self._corpus))
        yield from self._try("task and domain", lambda: label_rows(self.labelled))
        yield from self._try("language and asker", lambda: asker_rows(train, test, pairs()))
        yield from self._try("translation", lambda: translated(self._artifact))
        folders, quick = [*([test] if test else []), train], self._corpus.quick
        yield from self._try("share controller", lambda: held_share(folders, quick=quick))
        yield from self._try("shipped artifact", lambda: shipped(self._corpus, self._artifact, test or train))
        yield from self._try("the product", lambda: speed.product(self._artifact))

    def encoded(self, encoder: Encoder) -> Iterator[Row]:
        """Give the rows of what is learned, and of the time it takes, with an encoder; the corpus is read with it."""
        for row in (*self.learned(), *speed.encoded(self._artifact, encoder)):
            yield replace(row, name=f"{row.name} · {encoder.spec.name}")

    def learned(self) -> Iterator[Row]:
        """Give the rows of what is learned from questions: gains, complexity, calibration."""
        wanted = [*self._rows.wanted(), *([] if self._corpus.quick else self._rows.labels())]
        for each in wanted:
            yield from self._try(each.name, lambda each=each: [gains.make(each, self._corpus)])  # type: ignore[misc]  # bound
        for name in signals.COMPLEXITY:
            yield from self._try(
                f"complexity, {name}",
                lambda name=name: [signals.complexity(self._corpus, name)],  # type: ignore[misc]  # too
            )
        for name, found in self.crossed().items():
            yield from self._try(
                f"ECE of R1 suffices, {name}",
                lambda name=name, found=found: [self._calibrated(name, found)],  # type: ignore[misc]  # too
            )

    def _calibrated(self, name: str, found: Measured) -> Row:
        return signals.calibrated(name, found, IN_DOMAIN, signals.known_scores(self._corpus, name))

    @cached_property
    def labelled(self) -> dict[str, list[Answer]]:
        """The answers on labelled texts of sources that nothing was learned from, by kind."""
        train, test = self._folders
        return learned_elsewhere(train, test) if test else left_out(train)

    def crossed(self) -> dict[str, Measured]:
        """Return the tables measured by question."""
        found = {}
        for name in CROSSED:
            try:
                found[name] = self._rows.crossed(name)
            except RowMissing:
                continue
        return found

    @staticmethod
    def _try(name: str, make: Callable[[], Iterable[Row]]) -> list[Row]:
        started = time.perf_counter()
        try:
            rows = list(make())
        except RowMissing as missing:
            say(f"{name}: left out, {missing}")
            return []
        told = [row for row in rows if not math.isnan(row.value)]
        for row in rows:
            if row in told:
                say(f"{row.name}: {row.value:.4f} [{row.low:.4f}, {row.high:.4f}]")
            else:
                say(f"{row.name}: left out, both models are equally good on these questions")
        say(f"    {time.perf_counter() - started:.0f} s")
        return told


def with_encoder(options: Options, encoder: Encoder) -> list[Row]:
    """Return the rows with an encoder; what is timed encodes anew, what is learned from is kept between runs."""
    kept = KeptVectors(encoder, default_folder(), say)
    corpus = read(options.train, options.test, options.quick, options.sample, kept)
    return list(Bench(corpus, options).encoded(encoder))


def with_nested(corpus: Corpus, options: Options) -> int:
    """Measure nested cross-validation; return the exit status."""
    rows = []
    for row in Nested(corpus, say).rows():
        say(f"{row.name}: {row.value:.4f} [{row.low:.4f}, {row.high:.4f}], fixed {row.more['fixed']:.4f}")
        rows.append(row)
    show(rows, nested_table, options)
    return 0


def show(rows: Sequence[Row], as_table: Callable[[Sequence[Row]], str], options: Options) -> None:
    """Print the rows: a table, or one object."""
    print(
        json.dumps({"rows": [row.as_object() for row in rows]}, allow_nan=False)
        if options.json
        else as_table(rows)
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run the bench; return the exit status."""
    options = arguments(words)
    try:
        encoder = named_encoder(options.encoder) if options.encoder else None
        # What takes part at the end only is looked at before anything is measured.
        load_artifact(options.artifact)
        committed = gate.read(options.gate) if options.gate else []
        if options.plots:
            options.plots.mkdir(parents=True, exist_ok=True)
        corpus = read(options.train, options.test, options.quick, options.sample)
    except (DataMissing, EncoderUnusable, ArtifactUnusable, gate.BaselineUnusable, OSError) as missing:
        say(str(missing))
        return 2
    if options.nested:
        return with_nested(corpus, options)
    bench = Bench(corpus, options)
    rows = list(bench.rows())
    if encoder:
        rows += with_encoder(options, encoder)
    if options.plots:
        plots.draw(options.plots, bench.crossed(), rows)
        with contextlib.suppress(RowMissing):
            for kind, said in bench.labelled.items():
                draw_confusion(said, options.plots / f"{kind}.png")
    show(rows, table, options)
    problems = gate.regressions(rows, committed)
    for problem in problems:
        say(f"worse: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
