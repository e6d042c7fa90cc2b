"""What labels of one's own are worth: an artifact that knows nothing of a source, before and after it is adapted to it.

For each source, the artifact is trained on all the others. So many of its questions go as requests with verdicts on
both tiers through a ledger on disk; the artifact is adapted to what `tandem train classifier --from-ledger` reads
there; and both are measured on questions of the source that neither has seen, near-duplicates of the labelled ones left
out. Labels are drawn a few times: the medians are given, and of the draw with the median difference its 95 % interval,
questions drawn anew. "would publish" is how often the command would have written the artifact, from the labels alone.

The figures go to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recorded_data import DATA
from tandem.classifier.artifact import load_artifact
from tandem.classifier.header import Header
from tandem.ledger.entry import Entry
from tandem.ledger.feedback import Feedback, add_feedback
from tandem.ledger.labelled import Labelled, labelled
from tandem.ledger.opening import open_ledger
from tandem.ledger.schema import reading
from tandem.training.classifier.data import FILES, PAIRS, load_tables, pair_rows
from tandem.training.classifier.own_adapting import Own
from tandem.training.classifier.own_measure import Claims, Measured, claims, compare, cross_validated
from tandem.training.classifier.own_traffic import LEAST, laid_out
from tandem.training.classifier.train import train
from tandem.v1 import types_pb2

SOURCES: Final = ("llmrouter", "lexeval", "zeroeval", "mmlupro")
LABELS: Final = (20, 50, 200)
DRAWS: Final = 5
MOST_MEASURED: Final = 1500
START: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one source with so many labels."""

    source: str
    labels: int
    figure: str
    before: float
    after: float
    low: float
    high: float
    would_publish: float


class Options(argparse.Namespace):
    """The command line."""

    train: Path
    bases: Path | None
    sources: list[str]
    draws: int
    json: bool


def arguments(words: Sequence[str] | None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", type=Path, default=DATA, help="folder of recorded answers")
    parser.add_argument(
        "--bases",
        type=Path,
        metavar="FOLDER",
        help="keep the artifacts trained without a source here, and take those that are there",
    )
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--draws", type=int, default=DRAWS, help="how often labels are drawn")
    parser.add_argument("--json", action="store_true", help="print one object in place of the table")
    return parser.parse_args(words, Options())


def say(text: str) -> None:
    """Tell people what happens."""
    print(text, file=sys.stderr, flush=True)


def base_without(source: str, data: Path, bases: Path) -> Path:
    """Return an artifact that was trained on everything but a source."""
    made = bases / f"{source}.safetensors"
    if not made.is_file():
        with tempfile.TemporaryDirectory() as folder:
            for file in sorted(data.glob("*.parquet")):
                if file.name != FILES[source]:
                    (Path(folder) / file.name).symlink_to(file.resolve())
            train(Path(folder), made, say)
    return made


def questions(source: str, data: Path) -> list[Labelled]:
    """Return questions of a source with the outcomes of its pair of models."""
    table = load_tables(data, say)[source]
    rows, weak, strong = pair_rows(table, PAIRS[source])
    drawn = np.random.default_rng(0).permutation(len(rows))[: MOST_MEASURED + max(LABELS)]
    return [
        Labelled(
            [types_pb2.Message(role=types_pb2.ROLE_USER, parts=[types_pb2.Part(text=table.texts[rows[at]])])],
            float(weak[at]),
            float(strong[at]),
        )
        for at in drawn
    ]


def through_ledger(asked: Sequence[Labelled]) -> list[Labelled]:
    """Book questions and verdicts in a ledger on disk, and return what is read there, in the same order."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/ledger.sqlite"
        ledger = open_ledger(url)
        verdicts = []
        for number, each in enumerate(asked):
            answer = types_pb2.Answer(request_id=f"request-{number}")
            answer.answered_by.tier = "r1"
            at = START + timedelta(seconds=number)
            ledger.write(Entry(answer, "own", at, 20_000.0, "Generate", messages=each.messages))
            for tier, right in (("r1", each.r1_right), ("pro", each.pro_right)):
                verdicts.append(Feedback(answer.request_id, 2 * (right or 0.0) - 1, "judge", tier))
        asyncio.run(ledger.close())
        with reading(url) as connection:
            add_feedback(connection, verdicts)
        with reading(url) as connection:
            return list(labelled(connection))


def measure(
    header: Header, own: Own, learned: NDArray[np.intp], asked: NDArray[np.intp]
) -> tuple[Claims, bool]:
    """Adapt to some rows; return what is claimed of others, and whether the command would have published it."""
    part = own.take(learned)
    better = len(part) >= LEAST and cross_validated(header, part).better
    return claims(header, part, own.laid.take(asked), "r1"), better


def rows_of(source: str, header: Header, own: Own, labels: int, draws: int) -> list[Row]:
    """Measure a source with so many labels, drawn a few times."""
    found: list[Measured] = []
    published = []
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(len(own))
        learned, asked = order[:labels], order[labels:]
        asked = asked[~np.isin(own.groups[asked], own.groups[learned])]
        said, better = measure(header, own, learned, asked)
        found.append(compare(said, own.take(asked), "r1"))
        published.append(better)
    rows = []
    for at, first in enumerate(found[0].figures):
        each = [one.figures[at] for one in found]
        middle = sorted(each, key=lambda one: one.after - one.before)[len(each) // 2]
        rows.append(
            Row(
                source,
                labels,
                first.name,
                float(np.median([one.before for one in each])),
                float(np.median([one.after for one in each])),
                middle.low,
                middle.high,
                float(np.mean(published)),
            )
        )
    return rows


def source_rows(source: str, options: Options, bases: Path) -> list[Row]:
    """Measure a source with few labels and with more."""
    artifact = load_artifact(base_without(source, options.train, bases))
    asked = questions(source, options.train)
    kept = through_ledger(asked)
    say(f"{source}: {len(kept)} of {len(asked)} questions are kept; a ledger keeps none that is too long")
    own = laid_out(artifact, kept)
    rows = []
    for labels in LABELS:
        rows += rows_of(source, artifact.header, own, labels, options.draws)
        say(f"{source}, {labels} labels: measured")
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the figures as a table for people."""
    lines = [
        "| source | labels | figure | before | after | difference, 95 % | would publish |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.source} | {row.labels} | {row.figure} | {row.before:.4f} | {row.after:.4f} | "
        f"{row.low:+.4f} to {row.high:+.4f} | {row.would_publish:.0%} |"
        for row in rows
    ]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Run the bench; return the exit status."""
    options = arguments(words)
    with tempfile.TemporaryDirectory() as folder:
        bases = options.bases or Path(folder)
        bases.mkdir(parents=True, exist_ok=True)
        rows = [row for source in options.sources for row in source_rows(source, options, bases)]
    print(json.dumps({"rows": [asdict(row) for row in rows]}) if options.json else table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
