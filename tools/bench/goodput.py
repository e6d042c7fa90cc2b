"""Goodput of Tandem and of gateways with fixed timeouts: answers by the deadline, in simulated worlds.

Tandem is the orchestrator's own code with the shipped policy; the engines, the traffic and everything that goes wrong
are simulated on a clock that does not wait, and are the same for every contender. What it shows and what it does not:
docs/goodput.md.

The figures go to standard output, everything else to standard error. Exit status 1: Tandem broke a promise (an answer
or an error after the deadline, a request without either, or a token that is not in its books).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from goodput_plot import plot
from goodput_report import Row, as_object, broken_promises, table
from tandem.catalogue import Catalogue, load_catalogue
from tandem.deployment import deploy_folder
from tandem.orchestrator.policy import Policy, load_policy
from tandem.simulation.contenders import Contest, Tandem
from tandem.simulation.gateways import FixedTimeout, HalfDeadline
from tandem.simulation.run import simulate
from tandem.simulation.scenarios import LOADS, faulty, healthy
from tandem.simulation.world import Scenario, World, on_accelerators

REQUESTS: Final = 100_000
TIMEOUTS: Final = (2.0, 5.0, 10.0, 20.0)


def say(text: str) -> None:
    """Tell people what happens."""
    print(text, file=sys.stderr, flush=True)


def contests(policy: Policy) -> list[Contest]:
    """Return everybody who takes part."""
    timeouts = [FixedTimeout(policy, seconds) for seconds in TIMEOUTS]
    return [Tandem(policy), *timeouts, HalfDeadline(policy)]


def compare(
    catalogue: Catalogue, policy: Policy, scenarios: Sequence[Scenario], options: Options
) -> list[Row]:
    """Let everybody answer in every world."""
    rows = []
    each = max(1, options.requests // len(scenarios))
    for scenario in scenarios:
        world = World(catalogue, scenario, each, options.seed)
        for contest in contests(policy):
            began = time.perf_counter()
            outcome = simulate(world, contest)
            seconds = time.perf_counter() - began
            rows.append(Row(scenario.name, contest.name, scenario.load, outcome))
            say(
                f"{scenario.name}, {contest.name}: {outcome.in_time / outcome.sent:.2%} of {each} in time, "
                f"simulated in {seconds:.0f} s"
            )
    return rows


class Options(argparse.Namespace):
    """The command line."""

    requests: int
    seed: int
    load: list[float]
    json: bool
    plots: Path | None


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, is {number}")
    return number


def _load(text: str) -> float:
    number = float(text)
    if not 0.01 <= number <= 100.0:
        raise argparse.ArgumentTypeError(f"must be from 0.01 to 100, is {number:g}")
    return number


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".png":
        raise argparse.ArgumentTypeError(f"must be a file name that ends in .png, is {text}")
    return path


def arguments(words: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--requests",
        type=_count,
        default=REQUESTS,
        help="requests for each contender, spread evenly over the scenarios (default %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of everything that is drawn (default %(default)s)"
    )
    parser.add_argument(
        "--load",
        type=_load,
        nargs="+",
        default=list(LOADS),
        help="loads of the healthy scenarios, as multiples of the capacity (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one object in place of the table")
    parser.add_argument(
        "--plots", metavar="FILE.png", type=_picture, help="draw the figures into this file, too"
    )
    return parser.parse_args(words, Options())


def main(words: Sequence[str] | None = None) -> int:
    """Compare, print, and return the exit status."""
    options = arguments(words)
    catalogue = on_accelerators(load_catalogue(deploy_folder() / "catalogue.yaml"))
    policy = load_policy(deploy_folder() / "policy.yaml", catalogue)
    rows = compare(catalogue, policy, [*healthy(options.load), *faulty()], options)
    print(json.dumps(as_object(options.requests, options.seed, rows)) if options.json else table(rows))
    if options.plots:
        plot(rows, options.plots)
        say(f"drew {options.plots}")
    broken = broken_promises(rows)
    for promise in broken:
        say(promise)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
